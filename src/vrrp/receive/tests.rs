use super::*;
use crate::config::model::{PeerOptions, VirtualAddress};
use crate::net::Family;
use crate::units::{AdvertInterval, Vrid};
use crate::vrrp::Heard;
use crate::wire::vrrp::{Advert, encode};
use crate::wire::{PROTOCOL_AH, ah, ipv4};
use std::time::Duration;

const PASS: [u8; 8] = *b"123456\0\0";
const PEER: &str = "10.0.0.9";
const GROUP: &str = "224.0.0.18";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn instance(version: Version) -> Instance {
    Instance {
        version,
        vips: vec![VirtualAddress::new("10.0.0.100".parse().unwrap())],
        ..Instance::new("VI", "eth0".parse().unwrap(), Vrid::new(51).unwrap())
    }
}

fn unicast(version: Version) -> Instance {
    let mut config = instance(version);
    config.transport = Transport::Unicast(vec![ip(PEER)]);
    config
}

/// A packet that an instance like `of` would send, changed before it is summed.
struct Sent {
    advert: Advert,
    family: Family,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    cover: Option<Cover>,
}

impl Sent {
    fn by(of: &Instance) -> Sent {
        let (source, group) = match of.family {
            Family::V4 => (ip(PEER), ip(GROUP)),
            Family::V6 => (ip("fe80::9"), ip("ff02::12")),
        };
        let destination = match &of.transport {
            Transport::Multicast(_) => group,
            Transport::Unicast(_) => ip("10.0.0.5"),
        };
        Sent {
            advert: Advert {
                version: of.version,
                vrid: of.vrid,
                priority: 150,
                interval: of.advert_int.get(),
                addresses: of.vips.iter().map(|vip| vip.cidr.addr()).collect(),
                auth: match of.auth {
                    Some(Auth::Pass(password)) => AuthField::Pass(password),
                    Some(Auth::Ah(_)) => AuthField::Ah,
                    None => AuthField::None,
                },
            },
            family: of.family,
            source,
            destination,
            ttl: 255,
            cover: None,
        }
    }

    fn message(&self) -> Vec<u8> {
        let by_rfc = Cover::of(self.advert.version, self.source, self.destination);
        let mut out = Vec::new();
        let cover = self.cover.unwrap_or(by_rfc);
        encode(&self.advert, self.family, cover, &mut out).unwrap();
        out
    }

    fn to(&self, receiver: &mut Receiver, config: &Instance) -> Result<Accepted, Rejection> {
        let payload = self.message();
        let arrived = Arrived {
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            header: &[],
            sealed: None,
            payload: &payload,
        };
        let result = receiver.check(config, &arrived);
        if let Err(rejection) = result {
            receiver.count(rejection);
        }
        result
    }
}

/// What a change of a good packet is answered with, and which counter it moves.
fn refused(config: &Instance, change: impl FnOnce(&mut Sent)) -> (Option<Rejection>, Counters) {
    let mut receiver = Receiver::default();
    let mut sent = Sent::by(config);
    change(&mut sent);
    let result = sent.to(&mut receiver, config);
    (result.err(), receiver.counters())
}

#[test]
fn a_good_advert_says_who_how_much_and_how_often() {
    let mut v3 = instance(Version::V3);
    v3.advert_int = AdvertInterval::new(Duration::from_millis(20)).unwrap();
    let mut v6 = instance(Version::V3);
    v6.family = Family::V6;
    v6.transport = Transport::Multicast(ip("ff02::12"));
    v6.vips = vec![VirtualAddress::new("fe80::100".parse().unwrap())];
    for config in [
        instance(Version::V2),
        v3,
        v6,
        unicast(Version::V2),
        unicast(Version::V3),
    ] {
        let mut receiver = Receiver::default();
        let sent = Sent::by(&config);
        let accepted = sent.to(&mut receiver, &config).unwrap();
        let heard = Heard {
            source: sent.source,
            priority: 150,
            interval: config.advert_int.get(),
        };
        assert_eq!(accepted.heard, heard);
        assert_eq!(accepted.other_addresses, None);
        assert_eq!(receiver.counters().advert_rcvd, 1);
    }
}

#[test]
fn version_3_has_the_sender_s_interval_and_version_2_must_have_ours() {
    let longer = |sent: &mut Sent| sent.advert.interval = Duration::from_secs(2);
    let v3 = instance(Version::V3);
    let mut sent = Sent::by(&v3);
    longer(&mut sent);
    let accepted = sent.to(&mut Receiver::default(), &v3).unwrap();
    assert_eq!(accepted.heard.interval, Duration::from_secs(2));
    let (why, counters) = refused(&instance(Version::V2), longer);
    let theirs = Duration::from_secs(2);
    assert_eq!(why, Some(Rejection::Interval { theirs }));
    assert_eq!(counters.advert_interval_err, 1);
    let (why, _) = refused(&v3, |sent| sent.advert.interval = Duration::ZERO);
    let theirs = Duration::ZERO;
    assert_eq!(
        why,
        Some(Rejection::Interval { theirs }),
        "it would make us spin"
    );
}

#[test]
fn each_fault_has_its_name_and_its_counter() {
    let v2 = instance(Version::V2);
    let v3 = instance(Version::V3);
    let mut with_pass = instance(Version::V2);
    with_pass.auth = Some(Auth::Pass(PASS));
    let (why, counters) = refused(&v3, |sent| sent.ttl = 254);
    assert_eq!((why, counters.ip_ttl_err), (Some(Rejection::Ttl(254)), 1));
    let (why, counters) = refused(&v2, |sent| sent.advert.version = Version::V3);
    assert_eq!(
        (why, counters.vers_err),
        (Some(Rejection::Version(Version::V3)), 1)
    );
    let (why, counters) = refused(&v2, |sent| sent.advert.auth = AuthField::Pass(PASS));
    assert_eq!(
        (why, counters.authtype_mismatch),
        (Some(Rejection::AuthType), 1)
    );
    let other = AuthField::Other {
        kind: 7,
        data: [0; 8],
    };
    let (why, counters) = refused(&v2, |sent| sent.advert.auth = other);
    assert_eq!(
        (why, counters.invalid_authtype),
        (Some(Rejection::AuthTypeUnknown(7)), 1)
    );
    let (why, counters) = refused(&with_pass, |sent| {
        sent.advert.auth = AuthField::Pass(*b"wrong\0\0\0");
    });
    assert_eq!(
        (why, counters.auth_failure),
        (Some(Rejection::AuthPassword), 1)
    );
    let (why, counters) = refused(&v3, |sent| sent.cover = Some(Cover::Message));
    assert!(matches!(
        why,
        Some(Rejection::Malformed(AdvertError::BadChecksum { .. }))
    ));
    assert_eq!(counters.chk_err, 1);
    let (why, counters) = refused(&v2, |sent| sent.destination = ip("10.0.0.5"));
    assert_eq!(
        (why, counters.other_err),
        (Some(Rejection::UnicastUnexpected), 1)
    );
    let (why, _) = refused(&v2, |sent| sent.destination = ip("224.0.0.99"));
    assert_eq!(why, Some(Rejection::OtherGroup(ip("224.0.0.99"))));
    let (why, _) = refused(&unicast(Version::V2), |sent| sent.destination = ip(GROUP));
    assert_eq!(why, Some(Rejection::MulticastUnexpected));
}

#[test]
fn bytes_that_are_no_message_are_counted_by_what_is_wrong() {
    let config = instance(Version::V2);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = Sent::by(&config).message();
        change(&mut payload);
        let arrived = Arrived {
            source: ip(PEER),
            destination: ip(GROUP),
            ttl: 255,
            header: &[],
            sealed: None,
            payload: &payload,
        };
        let mut receiver = Receiver::default();
        let why = receiver.check(&config, &arrived).unwrap_err();
        receiver.count(why);
        receiver.counters()
    };
    assert_eq!(with(&|payload| payload.truncate(10)).packet_len_err, 1);
    assert_eq!(with(&|payload| payload.truncate(3)).packet_len_err, 1);
    assert_eq!(with(&|payload| payload[0] = 0x51).vers_err, 1);
    assert_eq!(with(&|payload| payload[0] = 0x22).invalid_type_rcvd, 1);
    assert_eq!(with(&|payload| payload[2] = 7).chk_err, 1);
}

#[test]
fn peers_may_come_through_routers_within_what_is_said_of_them() {
    let mut config = unicast(Version::V2);
    let ttl = |config: &Instance, ttl: u8| refused(config, |sent| sent.ttl = ttl).0;
    assert_eq!(ttl(&config, 3), None);
    let options = PeerOptions {
        min_ttl: Some(250),
        max_ttl: Some(253),
    };
    config.adverts.peers.insert(ip(PEER), options);
    assert_eq!(ttl(&config, 249), Some(Rejection::TtlOfPeer(249)));
    assert_eq!((ttl(&config, 250), ttl(&config, 253)), (None, None));
    assert_eq!(ttl(&config, 255), Some(Rejection::TtlOfPeer(255)));
}

#[test]
fn strangers_are_heard_unless_the_source_is_checked() {
    let mut config = unicast(Version::V2);
    let stranger = |config: &Instance| refused(config, |sent| sent.source = ip("10.0.0.66")).0;
    assert_eq!(stranger(&config), None);
    config.adverts.check_source = true;
    assert_eq!(stranger(&config), Some(Rejection::NoPeer));
    assert_eq!(refused(&config, |_| {}).0, None);
}

#[test]
fn sums_of_old_keepalived_are_detected_and_answered_in_kind() {
    let mut config = unicast(Version::V3);
    let (us, peer, stranger) = (ip("10.0.0.5"), ip(PEER), ip("10.0.0.66"));
    let new = Cover::of(Version::V3, us, peer);
    let old = |source| Cover::of(Version::V3, source, ip(GROUP));
    let mut receiver = Receiver::default();
    assert_eq!(receiver.cover(&config, us, peer), new);
    let mut sent = Sent::by(&config);
    sent.cover = Some(old(peer));
    sent.to(&mut receiver, &config).unwrap();
    assert_eq!(receiver.cover(&config, us, peer), old(us));
    assert_eq!(
        receiver.cover(&config, us, stranger),
        Cover::of(Version::V3, us, stranger)
    );
    sent.cover = None;
    sent.to(&mut receiver, &config).unwrap();
    assert_eq!(receiver.cover(&config, us, peer), new, "it was updated");
    config.adverts.old_checksum = OldChecksum::Never;
    sent.cover = Some(old(peer));
    assert!(sent.to(&mut receiver, &config).is_err());
    config.adverts.old_checksum = OldChecksum::Always;
    assert_eq!(receiver.cover(&config, us, peer), old(us));
    config.transport = Transport::Multicast(ip(GROUP));
    assert_eq!(
        receiver.cover(&config, us, ip(GROUP)),
        old(us),
        "the same thing"
    );
}

#[test]
fn sums_over_the_message_alone_are_made_and_believed_where_that_is_said() {
    let mut config = instance(Version::V3);
    config.adverts.v3_checksum_as_v2 = true;
    let mut receiver = Receiver::default();
    let cover = receiver.cover(&config, ip("10.0.0.5"), ip(GROUP));
    assert_eq!(cover, Cover::Message);
    let mut sent = Sent::by(&config);
    sent.to(&mut receiver, &config).unwrap();
    sent.cover = Some(Cover::Message);
    sent.to(&mut receiver, &config).unwrap();
    sent.cover = Some(Cover::of(Version::V3, ip(PEER), ip("10.0.0.1")));
    assert!(
        sent.to(&mut receiver, &config).is_err(),
        "a wrong sum is still wrong"
    );
    config.family = Family::V6;
    let cover = receiver.cover(&config, ip("fe80::1"), ip("ff02::12"));
    assert_ne!(cover, Cover::Message, "IPv6 has no such thing");
}

#[test]
fn other_addresses_are_told_once_and_counted_always() {
    let config = instance(Version::V2);
    let mut receiver = Receiver::default();
    let mut sent = Sent::by(&config);
    sent.advert.addresses.push(ip("10.0.0.101"));
    let told =
        |receiver: &mut Receiver, sent: &Sent| sent.to(receiver, &config).unwrap().other_addresses;
    assert_eq!(told(&mut receiver, &sent), Some((1, 2)));
    assert_eq!(told(&mut receiver, &sent), None);
    assert_eq!(receiver.counters().addr_list_err, 2);
    assert_eq!(receiver.counters().advert_rcvd, 2, "and believed");
    assert_eq!(told(&mut receiver, &Sent::by(&config)), None);
    assert_eq!(receiver.counters().addr_list_err, 2);
    assert_eq!(told(&mut receiver, &sent), Some((1, 2)));
}

fn authenticated() -> Instance {
    Instance {
        auth: Some(Auth::Ah(PASS)),
        ..instance(Version::V2)
    }
}

fn seal(sent: &Sent, sequence: u32, key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (sent.source, sent.destination) else {
        panic!("IPv4 only");
    };
    let envelope = ipv4::Envelope {
        source,
        destination,
        ttl: 255,
        protocol: PROTOCOL_AH,
        identification: ah::identification(sequence),
    };
    let message = sent.message();
    let header = ipv4::advert_header(envelope, ah::HEADER_LEN + message.len()).unwrap();
    let mut out = Vec::new();
    ah::seal(header, source, sequence, key, &message, &mut out);
    (header.to_vec(), out)
}

fn hear_sealed(
    receiver: &mut Receiver,
    config: &Instance,
    sequence: u32,
    key: &[u8],
) -> Result<Accepted, Rejection> {
    let sent = Sent::by(config);
    let (header, payload) = seal(&sent, sequence, key);
    let sealed = Sealed::read(&payload).unwrap();
    let arrived = Arrived {
        source: sent.source,
        destination: sent.destination,
        ttl: 255,
        header: &header,
        sealed: Some(sealed),
        payload: sealed.message,
    };
    receiver.check(config, &arrived)
}

#[test]
fn a_seal_is_needed_where_it_is_configured_and_unwanted_elsewhere() {
    let config = authenticated();
    let (why, counters) = refused(&config, |_| {});
    assert_eq!(
        (why, counters.authtype_mismatch),
        (Some(Rejection::AuthType), 1)
    );
    let mut receiver = Receiver::default();
    let open = instance(Version::V2);
    let why = hear_sealed(&mut receiver, &open, 1, &PASS).unwrap_err();
    assert_eq!(why, Rejection::AuthType);
    let why = hear_sealed(&mut receiver, &config, 1, b"wrong").unwrap_err();
    assert_eq!(why, Rejection::Seal(crate::wire::ah::AhError::Value));
    receiver.count(why);
    assert_eq!(receiver.counters().auth_failure, 1);
    assert!(hear_sealed(&mut receiver, &config, 1, &PASS).is_ok());
}

#[test]
fn a_number_is_believed_once_and_ours_are_higher_than_any_heard() {
    let config = authenticated();
    let mut receiver = Receiver::new(10);
    assert_eq!(receiver.next_sequence(), 11);
    assert!(
        hear_sealed(&mut receiver, &config, 5, &PASS).is_ok(),
        "each counts for himself"
    );
    for replayed in [5, 4] {
        let why = hear_sealed(&mut receiver, &config, replayed, &PASS).unwrap_err();
        assert_eq!(why, Rejection::Replayed);
    }
    assert_eq!(receiver.next_sequence(), 12);
    assert!(hear_sealed(&mut receiver, &config, 700, &PASS).is_ok());
    assert_eq!(receiver.next_sequence(), 701);
    // A number that nobody with the password sent counts for nothing.
    assert!(hear_sealed(&mut receiver, &config, 9000, b"wrong").is_err());
    assert_eq!(receiver.next_sequence(), 702);
}
