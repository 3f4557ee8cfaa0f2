use proptest::prelude::*;

use super::*;
use crate::kernel::route::encode;
use crate::net::{ADDRESS_PROTOCOL, AddressCommand};

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn link_bytes(family: u8, flags: u32) -> Vec<u8> {
    [
        vec![family, 0, 1, 0],
        2u32.to_ne_bytes().to_vec(),
        flags.to_ne_bytes().to_vec(),
        vec![0; 4],
        attribute(3, b"eth0\0"),
        attribute(1, &[0, 0, 0x5e, 0, 1, 51]),
        attribute(4, &1500u32.to_ne_bytes()),
        attribute(60, b"of a later kernel"),
    ]
    .concat()
}

fn written(command: AddressCommand) -> Vec<u8> {
    let request = encode::command(&command.into()).unwrap();
    request.payload.as_ref().to_vec()
}

#[test]
fn a_link_shows_its_flags() {
    let read = link(&link_bytes(0, UP | RUNNING | MULTICAST)).unwrap();
    assert_eq!(
        (read.index.get(), read.name.as_str(), read.mtu),
        (2, "eth0", 1500)
    );
    assert_eq!(read.mac.to_string(), "00:00:5e:00:01:33");
    assert!(read.is_up() && read.multicast && !read.loopback && !read.no_arp);
    let read = link(&link_bytes(0, UP | NOARP | LOOPBACK)).unwrap();
    assert!(read.admin_up && !read.running && read.loopback && read.no_arp);
}

#[test]
fn news_of_a_bridge_about_its_port_is_no_news_of_the_link() {
    assert_eq!(link(&link_bytes(7, UP)), None);
}

#[test]
fn the_own_end_of_a_link_between_two_is_the_address() {
    let bytes = [
        vec![2, 24, 0x80, 0],
        3u32.to_ne_bytes().to_vec(),
        attribute(1, &[10, 0, 0, 2]),
        attribute(2, &[10, 0, 0, 1]),
        attribute(8, &0x81u32.to_ne_bytes()),
        attribute(11, &[3]),
    ]
    .concat();
    let read = address(&bytes).unwrap();
    assert_eq!(read.key.cidr.to_string(), "10.0.0.1/24");
    assert!(read.secondary);
    assert_eq!(read.protocol, 3);
}

#[test]
fn temporary_addresses_of_ipv6_are_not_secondary() {
    let bytes = [
        vec![10, 64, 0x01, 0],
        3u32.to_ne_bytes().to_vec(),
        attribute(1, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ]
    .concat();
    let read = address(&bytes).unwrap();
    assert_eq!(read.key.cidr.to_string(), "2001:db8::1/64");
    assert!(!read.secondary);
}

#[test]
fn labels_that_the_kernel_could_not_hold_are_refused() {
    let spec = AddressSpec {
        label: Some("eth0:sixteen-lon".to_owned()),
        ..AddressSpec::default()
    };
    let interface = InterfaceIndex::new(1).unwrap();
    let key = AddressKey::new(interface, Cidr::host([10, 0, 0, 1].into()));
    let error = encode::command(&AddressCommand::Add(key, spec).into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "label \"eth0:sixteen-lon\" is longer than 15 bytes"
    );
}

proptest! {
    #[test]
    fn addresses_read_back_as_they_were_written(
        addr in any::<IpAddr>(),
        prefix in 0u8..=32,
        interface in 1u32..,
        broadcast in prop::option::of(any::<Ipv4Addr>()),
        label in prop::option::of("[a-z0-9:]{1,15}"),
        scope in any::<u8>(),
        flags in any::<[bool; 5]>(),
        preferred_lifetime in prop::option::of(0..u32::MAX),
        valid_lifetime in prop::option::of(1..u32::MAX),
        other in prop::option::of(any::<IpAddr>()),
    ) {
        let key = AddressKey {
            interface: InterfaceIndex::new(interface).unwrap(),
            cidr: Cidr::new(addr, prefix).unwrap(),
            peer: other.filter(|other| other.is_ipv4() == addr.is_ipv4() && *other != addr),
        };
        let broadcast = broadcast.filter(|_| addr.is_ipv4());
        let [no_dad, home, manage_temporary, no_prefix_route, auto_join] = flags;
        let spec = AddressSpec {
            broadcast,
            scope,
            label,
            no_dad,
            home,
            manage_temporary,
            no_prefix_route,
            auto_join,
            preferred_lifetime,
            valid_lifetime,
        };
        let read = address(&written(AddressCommand::Add(key, spec.clone()))).unwrap();
        prop_assert_eq!(read.key, key);
        // Nothing is preferred for longer than it is there.
        let preferred_lifetime = match (preferred_lifetime, valid_lifetime) {
            (Some(preferred), Some(valid)) => Some(preferred.min(valid)),
            (preferred, valid) => preferred.or(valid),
        };
        let spec = AddressSpec { preferred_lifetime, ..spec };
        prop_assert_eq!(read.spec, spec);
        prop_assert_eq!(read.protocol, ADDRESS_PROTOCOL);
        let read = address(&written(AddressCommand::Delete(key))).unwrap();
        prop_assert_eq!((read.key, read.protocol), (key, 0));
    }

    #[test]
    fn any_bytes_are_a_link_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = link(&bytes);
        let _ = address(&bytes);
    }

    #[test]
    fn any_damage_to_a_link_is_survived(at in 0usize..90, byte in any::<u8>(), cut in 0usize..90) {
        let mut bytes = link_bytes(0, UP);
        if let Some(b) = bytes.get_mut(at) {
            *b = byte;
        }
        bytes.truncate(cut);
        let _ = link(&bytes);
        let _ = address(&bytes);
    }
}
