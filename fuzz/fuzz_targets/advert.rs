//! Any bytes as a packet of protocol 112 or 51, of either family: it is read or refused, nothing panics.
//!
//! `cargo +nightly fuzz run advert -- -max_total_time=600`

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use vipd::wire::ah::Sealed;
use vipd::wire::{ipv4, vrrp};

fuzz_target!(|bytes: &[u8]| {
    let v4 = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    for ends in [v4, v6] {
        if let Ok(advert) = vrrp::parse(bytes, ends, ends) {
            assert!(advert.addresses.len() <= vrrp::MAX_ADDRESSES);
        }
    }
    let _ = vrrp::peek(bytes);
    let Ok(header) = ipv4::parse(bytes) else {
        return;
    };
    let payload = bytes.get(header.payload(bytes.len())).unwrap_or_default();
    if let Ok(sealed) = Sealed::read(payload) {
        let _ = sealed.verify(bytes.get(..header.header_len).unwrap_or_default(), b"secret");
        let _ = vrrp::parse(sealed.message, header.source.into(), header.destination.into());
    }
});
