use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What keepalived 2.2.7 sent for virtual router 51, priority 100, advert_int 1, auth_type PASS,
/// auth_pass 123456, VIP 172.18.0.201.
const WITH_PASS: [u8; 20] = [
    0x21, 0x33, 0x64, 0x01, 0x01, 0x01, 0x33, 0x52, 0xac, 0x12, 0x00, 0xc9, 0x31, 0x32, 0x33, 0x34,
    0x35, 0x36, 0x00, 0x00,
];

/// The same router when it was stopped.
const LEAVING: [u8; 20] = [
    0x21, 0x33, 0x00, 0x01, 0x01, 0x01, 0x97, 0x52, 0xac, 0x12, 0x00, 0xc9, 0x31, 0x32, 0x33, 0x34,
    0x35, 0x36, 0x00, 0x00,
];

/// Virtual router 52, priority 150, advert_int 2, no authentication, two VIPs.
const WITHOUT_AUTH: [u8; 24] = [
    0x21, 0x34, 0x96, 0x02, 0x00, 0x02, 0xef, 0x0c, 0xac, 0x12, 0x00, 0xca, 0xac, 0x12, 0x00, 0xcb,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Version 3 over IPv4: virtual router 52, priority 200, advert_int 0.5, VIPs 10.0.0.52 and 10.0.0.53, from
/// 10.0.0.1 to the group.
const V3: [u8; 16] = [
    0x31, 0x34, 0xc8, 0x02, 0x00, 0x32, 0x07, 0x9a, 0x0a, 0x00, 0x00, 0x34, 0x0a, 0x00, 0x00, 0x35,
];

/// Version 3 over IPv6: virtual router 55, priority 200, advert_int 1, VIP 2001:db8::55, from
/// fe80::ff:fe00:a to the peer fe80::2.
const V3_OVER_V6: [u8; 24] = [
    0x31, 0x37, 0xc8, 0x01, 0x00, 0x64, 0xdb, 0xbe, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x55,
];

/// What `version 2` makes of IPv6: virtual router 62, priority 255, VIP 2001:db8::62, from
/// fe80::ff:fe00:a to the peer 2001:db8::2.
const V2_OVER_V6: [u8; 24] = [
    0x21, 0x3e, 0xff, 0x01, 0x00, 0x01, 0x85, 0xd5, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x62,
];

/// Version 3 to one peer with `old_unicast_checksum`: virtual router 61, priority 255, VIP 10.0.0.61,
/// from 10.0.0.1 to 10.0.0.2, and the sum as if it went to the group.
const V3_OLD_SUM: [u8; 12] = [
    0x31, 0x3d, 0xff, 0x01, 0x00, 0x64, 0xda, 0x8f, 0x0a, 0x00, 0x00, 0x3d,
];

const V4: Family = Family::V4;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v3(vrid: u8, priority: u8, ms: u64, vips: &[&str]) -> Advert {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        priority,
        interval: Duration::from_millis(ms),
        addresses: vips.iter().map(|vip| ip(vip)).collect(),
        auth: AuthField::None,
    }
}

fn with_pass() -> Advert {
    Advert {
        version: Version::V2,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: vec![IpAddr::from([172, 18, 0, 201])],
        auth: AuthField::Pass(*b"123456\0\0"),
    }
}

fn without_auth() -> Advert {
    Advert {
        version: Version::V2,
        vrid: Vrid::new(52).unwrap(),
        priority: 150,
        interval: Duration::from_secs(2),
        addresses: vec![
            IpAddr::from([172, 18, 0, 202]),
            IpAddr::from([172, 18, 0, 203]),
        ],
        auth: AuthField::None,
    }
}

fn encoded(advert: &Advert) -> Vec<u8> {
    let mut out = vec![0xaa; 7];
    encode(advert, V4, Cover::Message, &mut out).unwrap();
    out
}

fn encoded_between(advert: &Advert, source: &str, destination: &str) -> Vec<u8> {
    let (source, destination) = (ip(source), ip(destination));
    let mut out = Vec::new();
    let cover = Cover::of(advert.version, source, destination);
    encode(advert, Family::of(source), cover, &mut out).unwrap();
    out
}

/// As version 2 over IPv4: the addresses do not matter.
fn parse4(payload: &[u8]) -> Result<Advert, AdvertError> {
    parse(payload, ip("10.0.0.1"), ip("224.0.0.18"))
}

/// The vector with its checksum made right again after a change.
fn summed(mut payload: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&payload, CHECKSUM_WORD).to_be_bytes();
    payload[6..8].copy_from_slice(&sum);
    payload
}

#[test]
fn adverts_are_byte_for_byte_keepalived_s() {
    assert_eq!(encoded(&with_pass()), WITH_PASS);
    assert_eq!(encoded(&without_auth()), WITHOUT_AUTH);
    let leaving = Advert {
        priority: 0,
        ..with_pass()
    };
    assert_eq!(encoded(&leaving), LEAVING);
}

/// Bytes, what they say, from where and to where.
fn of_keepalived() -> Vec<(&'static [u8], Advert, &'static str, &'static str)> {
    let (group, link_local) = ("224.0.0.18", "fe80::ff:fe00:a");
    let v2_over_v6 = Advert {
        version: Version::V2,
        ..v3(62, 255, 1000, &["2001:db8::62"])
    };
    vec![
        (
            &V3,
            v3(52, 200, 500, &["10.0.0.52", "10.0.0.53"]),
            "10.0.0.1",
            group,
        ),
        (
            &V3_OVER_V6,
            v3(55, 200, 1000, &["2001:db8::55"]),
            link_local,
            "fe80::2",
        ),
        (&V2_OVER_V6, v2_over_v6, link_local, "2001:db8::2"),
    ]
}

#[test]
fn version_3_and_ipv6_are_byte_for_byte_keepalived_s() {
    for (bytes, advert, source, destination) in of_keepalived() {
        assert_eq!(encoded_between(&advert, source, destination), bytes);
        let read = parse(bytes, ip(source), ip(destination));
        assert_eq!(read, Ok(advert));
        let elsewhere = parse(bytes, ip(source), ip(source));
        assert!(matches!(elsewhere, Err(AdvertError::BadChecksum { .. })));
    }
}

#[test]
fn other_sums_are_made_and_known_when_asked_for() {
    let advert = v3(61, 255, 1000, &["10.0.0.61"]);
    let (source, group) = (ip("10.0.0.1"), ip("224.0.0.18"));
    let old = Cover::of(Version::V3, source, group);
    let mut out = Vec::new();
    encode(&advert, V4, old, &mut out).unwrap();
    assert_eq!(out, V3_OLD_SUM);
    assert!(parse(&V3_OLD_SUM, source, ip("10.0.0.2")).is_err());
    let message = Message::read(&V3_OLD_SUM, V4).unwrap();
    assert_eq!(message.check_sum(old), Ok(()));
    // As version 2 sums: the message alone.
    encode(&advert, V4, Cover::Message, &mut out).unwrap();
    let message = Message::read(&out, V4).unwrap();
    assert_eq!(message.check_sum(Cover::Message), Ok(()));
    assert!(message.check_sum(old).is_err());
}

#[test]
fn the_reserved_bits_of_version_3_are_not_part_of_the_interval() {
    let mut payload = V3.to_vec();
    payload[4] = 0xf0;
    let message = Message::read(&payload, V4).unwrap();
    assert_eq!(message.interval, Duration::from_millis(500));
}

#[test]
fn so_many_addresses_fit() {
    let ethernet4 = 1500 - 20;
    assert_eq!(addresses_within(ethernet4, Version::V2, V4), 255);
    assert_eq!(addresses_within(ethernet4, Version::V3, V4), 255);
    assert_eq!(addresses_within(1500 - 40, Version::V3, Family::V6), 90);
    assert_eq!(addresses_within(576 - 20, Version::V2, V4), 135);
    assert_eq!(addresses_within(0, Version::V2, V4), 0);
    for (len, version, family) in [(1460, Version::V3, Family::V6), (556, Version::V2, V4)] {
        let vip = if family == V4 {
            "10.0.0.1"
        } else {
            "2001:db8::1"
        };
        let addresses = vec![ip(vip); addresses_within(len, version, family)];
        let advert = Advert {
            version,
            addresses,
            ..v3(1, 1, 1000, &[])
        };
        let mut out = Vec::new();
        encode(&advert, family, Cover::Message, &mut out).unwrap();
        assert!(out.len() <= len && out.len() + 16 > len);
    }
}

#[test]
fn keepalived_s_adverts_are_understood() {
    assert_eq!(parse4(&WITH_PASS), Ok(with_pass()));
    assert_eq!(parse4(&WITHOUT_AUTH), Ok(without_auth()));
    assert_eq!(parse4(&LEAVING).unwrap().priority, 0);
}

#[test]
fn up_to_three_bytes_behind_the_message_are_let_pass() {
    for extra in 0..=3 {
        let mut payload = WITH_PASS.to_vec();
        payload.extend(vec![0xff; extra]);
        assert_eq!(parse4(&payload), Ok(with_pass()), "{extra}");
    }
    let mut payload = WITH_PASS.to_vec();
    payload.extend([0; 4]);
    let bad = AdvertError::BadLength {
        len: 24,
        expected: 20,
    };
    assert_eq!(parse4(&payload), Err(bad));
}

#[test]
fn each_fault_has_its_name() {
    let with = |at: usize, byte: u8| {
        let mut payload = WITH_PASS.to_vec();
        payload[at] = byte;
        parse4(&summed(payload))
    };
    assert_eq!(with(0, 0x41), Err(AdvertError::BadVersion(4)));
    assert_eq!(with(0, 0x22), Err(AdvertError::BadType(2)));
    assert_eq!(with(1, 0), Err(AdvertError::BadVrid));
    assert_eq!(
        with(3, 2),
        Err(AdvertError::BadLength {
            len: 20,
            expected: 24
        })
    );
    assert_eq!(parse4(&[]), Err(AdvertError::TooShort { len: 0 }));
    assert_eq!(
        parse4(&WITH_PASS[..7]),
        Err(AdvertError::TooShort { len: 7 })
    );
    let mut broken = WITH_PASS;
    broken[2] = 101;
    assert_eq!(
        parse4(&broken),
        Err(AdvertError::BadChecksum {
            found: 0x3352,
            expected: 0x3252
        })
    );
}

#[test]
fn any_other_authentication_is_kept_as_it_came() {
    let with_type = |kind: u8| {
        let mut payload = WITH_PASS.to_vec();
        payload[4] = kind;
        parse4(&summed(payload)).unwrap().auth
    };
    let other = AuthField::Other {
        kind: 3,
        data: *b"123456\0\0",
    };
    assert_eq!((with_type(2), with_type(3)), (AuthField::Ah, other));
}

#[test]
fn a_sum_of_all_ones_is_a_sum_of_zero() {
    // Chosen so that the words add up to 0xffff: the field may then hold 0x0000 or 0xffff.
    let mut advert = without_auth();
    advert.addresses.clear();
    let mut payload = encoded(&advert);
    let rest = u16::from_be_bytes([payload[6], payload[7]]);
    payload[14..16].copy_from_slice(&rest.to_be_bytes());
    for field in [[0, 0], [0xff, 0xff]] {
        payload[6..8].copy_from_slice(&field);
        assert!(parse4(&payload).is_ok(), "{field:?}");
    }
}

#[test]
fn what_no_advert_can_say_is_not_sent() {
    let mut out = Vec::new();
    let mut refused = |advert: Advert| encode(&advert, V4, Cover::Message, &mut out).unwrap_err();
    let six = ip("::");
    let advert = Advert {
        addresses: vec![six],
        ..with_pass()
    };
    assert_eq!(refused(advert), EncodeError::MixedFamilies(six));
    let advert = Advert {
        addresses: vec![ip("10.0.0.1"); 256],
        ..with_pass()
    };
    assert_eq!(refused(advert), EncodeError::TooManyAddresses(256));
    let advert = Advert {
        version: Version::V3,
        ..with_pass()
    };
    assert_eq!(refused(advert), EncodeError::Authentication);
    for (version, ms) in [
        (Version::V2, 1500),
        (Version::V2, 256_000),
        (Version::V3, 5),
        (Version::V3, 40_960),
    ] {
        let advert = Advert {
            version,
            auth: AuthField::None,
            interval: Duration::from_millis(ms),
            ..with_pass()
        };
        let interval = advert.interval;
        assert_eq!(refused(advert), EncodeError::Interval(interval));
    }
}

#[test]
fn the_router_can_be_told_before_the_message_is_read() {
    assert_eq!(peek(&WITH_PASS), Some((2, Vrid::new(51).unwrap())));
    assert_eq!(peek(&[0x31, 7]), Some((3, Vrid::new(7).unwrap())));
    assert_eq!(peek(&[0x21, 0]), None);
    assert_eq!(peek(&[0x21]), None);
}

#[test]
fn a_password_does_not_stand_in_the_log() {
    let text = format!("{:?}", with_pass());
    assert!(
        !text.contains("123456") && !text.contains("49, 50"),
        "{text}"
    );
}

fn any_auth() -> impl Strategy<Value = AuthField> {
    prop_oneof![
        Just(AuthField::None),
        any::<[u8; 8]>().prop_map(AuthField::Pass),
        Just(AuthField::Ah),
        (3..=255u8, any::<[u8; 8]>()).prop_map(|(kind, data)| AuthField::Other { kind, data }),
    ]
}

fn any_advert() -> impl Strategy<Value = Advert> {
    (
        1..=255u8,
        any::<u8>(),
        any::<u8>(),
        vec(any::<[u8; 4]>(), 0..=MAX_ADDRESSES),
        any_auth(),
    )
        .prop_map(|(vrid, priority, seconds, addresses, auth)| Advert {
            version: Version::V2,
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval: Duration::from_secs(seconds.into()),
            addresses: addresses.into_iter().map(IpAddr::from).collect(),
            auth,
        })
}

fn any_addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    prop_oneof![
        vec(any::<[u8; 4]>().prop_map(IpAddr::from), 2..=MAX_ADDRESSES),
        vec(any::<[u8; 16]>().prop_map(IpAddr::from), 2..=MAX_ADDRESSES),
    ]
}

proptest! {
    #[test]
    fn what_was_encoded_reads_back(advert in any_advert()) {
        let payload = encoded(&advert);
        prop_assert!(payload.len() <= MAX_LEN);
        prop_assert_eq!(parse4(&payload), Ok(advert));
    }

    #[test]
    fn version_3_reads_back(
        addresses in any_addresses(),
        vrid in 1..=255u8,
        priority in any::<u8>(),
        centiseconds in 0..=4095u64,
    ) {
        // The first two stand for sender and receiver too.
        let (source, destination) = (addresses[0], addresses[1]);
        let advert = Advert { addresses, ..v3(vrid, priority, 10 * centiseconds, &[]) };
        let mut payload = Vec::new();
        let cover = Cover::of(Version::V3, source, destination);
        encode(&advert, Family::of(source), cover, &mut payload).unwrap();
        prop_assert!(payload.len() <= MAX_LEN);
        prop_assert_eq!(parse(&payload, source, destination), Ok(advert));
    }

    #[test]
    fn any_bytes_give_an_advert_or_an_error(payload in vec(any::<u8>(), 0..1200)) {
        let _ = parse4(&payload);
        let _ = parse(&payload, ip("fe80::1"), ip("ff02::12"));
        let _ = peek(&payload);
    }

    // Random bytes hardly ever get past the checksum: these do.
    #[test]
    fn any_bytes_with_a_right_sum_give_an_advert_or_an_error(
        count in 0..8u8,
        mut payload in vec(any::<u8>(), 8..64),
    ) {
        payload[0] = 0x21;
        payload[3] = count;
        let expected = 16 + 4 * usize::from(count);
        payload.resize(expected, 0);
        let payload = summed(payload);
        match parse4(&payload) {
            Ok(advert) => prop_assert_eq!(advert.addresses.len(), usize::from(count)),
            Err(error) => prop_assert_eq!(error, AdvertError::BadVrid),
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed(advert in any_advert(), at in any::<prop::sample::Index>()) {
        let mut payload = encoded(&advert);
        let bit = at.index(payload.len() * 8);
        payload[bit / 8] ^= 1 << (bit % 8);
        // But for the lowest bit of the version, which makes it a message that says something else.
        prop_assert!(parse4(&payload) != Ok(advert));
    }
}
