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

fn with_pass() -> Advert {
    Advert {
        version: Version::V2,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval_s: 1,
        addresses: vec![IpAddr::from([172, 18, 0, 201])],
        auth: AuthField::Pass(*b"123456\0\0"),
    }
}

fn without_auth() -> Advert {
    Advert {
        version: Version::V2,
        vrid: Vrid::new(52).unwrap(),
        priority: 150,
        interval_s: 2,
        addresses: vec![
            IpAddr::from([172, 18, 0, 202]),
            IpAddr::from([172, 18, 0, 203]),
        ],
        auth: AuthField::None,
    }
}

fn encoded(advert: &Advert) -> Vec<u8> {
    let mut out = vec![0xaa; 7];
    encode(advert, &mut out).unwrap();
    out
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

#[test]
fn keepalived_s_adverts_are_understood() {
    assert_eq!(parse(&WITH_PASS), Ok(with_pass()));
    assert_eq!(parse(&WITHOUT_AUTH), Ok(without_auth()));
    assert_eq!(without_auth().interval(), Duration::from_secs(2));
    assert_eq!(parse(&LEAVING).unwrap().priority, 0);
}

#[test]
fn reading_again_replaces_everything_and_allocates_nothing() {
    let mut advert = parse(&WITHOUT_AUTH).unwrap();
    let memory = advert.addresses.as_ptr();
    parse_into(&WITH_PASS, &mut advert).unwrap();
    assert_eq!(advert, with_pass());
    assert_eq!(advert.addresses.as_ptr(), memory);
    assert!(parse_into(&[0x31], &mut advert).is_err());
    assert_eq!(advert, with_pass(), "an error changes nothing");
}

#[test]
fn up_to_three_bytes_behind_the_message_are_let_pass() {
    for extra in 0..=3 {
        let mut payload = WITH_PASS.to_vec();
        payload.extend(vec![0xff; extra]);
        assert_eq!(parse(&payload), Ok(with_pass()), "{extra}");
    }
    let mut payload = WITH_PASS.to_vec();
    payload.extend([0; 4]);
    let bad = AdvertError::BadLength {
        len: 24,
        expected: 20,
    };
    assert_eq!(parse(&payload), Err(bad));
}

#[test]
fn each_fault_has_its_name() {
    let with = |at: usize, byte: u8| {
        let mut payload = WITH_PASS.to_vec();
        payload[at] = byte;
        parse(&summed(payload))
    };
    assert_eq!(with(0, 0x31), Err(AdvertError::BadVersion(3)));
    assert_eq!(with(0, 0x22), Err(AdvertError::BadType(2)));
    assert_eq!(with(1, 0), Err(AdvertError::BadVrid));
    assert_eq!(
        with(3, 2),
        Err(AdvertError::BadLength {
            len: 20,
            expected: 24
        })
    );
    assert_eq!(parse(&[]), Err(AdvertError::TooShort { len: 0 }));
    assert_eq!(
        parse(&WITH_PASS[..7]),
        Err(AdvertError::TooShort { len: 7 })
    );
    let mut broken = WITH_PASS;
    broken[2] = 101;
    assert_eq!(
        parse(&broken),
        Err(AdvertError::BadChecksum {
            found: 0x3352,
            expected: 0x3252
        })
    );
}

#[test]
fn any_other_authentication_is_kept_as_it_came() {
    let mut payload = WITH_PASS.to_vec();
    payload[4] = 2;
    let advert = parse(&summed(payload)).unwrap();
    let other = AuthField::Other {
        kind: 2,
        data: *b"123456\0\0",
    };
    assert_eq!(advert.auth, other);
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
        assert!(parse(&payload).is_ok(), "{field:?}");
    }
}

#[test]
fn what_version_2_cannot_say_is_not_sent() {
    let mut out = Vec::new();
    let mut refused = |advert: Advert| encode(&advert, &mut out).unwrap_err();
    let six = IpAddr::from([0; 16]);
    let v3 = Advert {
        version: Version::V3,
        ..with_pass()
    };
    assert_eq!(refused(v3), EncodeError::Version(Version::V3));
    let advert = Advert {
        addresses: vec![six],
        ..with_pass()
    };
    assert_eq!(refused(advert), EncodeError::Address(six));
    let advert = Advert {
        addresses: vec![IpAddr::from([10, 0, 0, 1]); 256],
        ..with_pass()
    };
    assert_eq!(refused(advert), EncodeError::TooManyAddresses(256));
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
        (2..=255u8, any::<[u8; 8]>()).prop_map(|(kind, data)| AuthField::Other { kind, data }),
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
        .prop_map(|(vrid, priority, interval_s, addresses, auth)| Advert {
            version: Version::V2,
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval_s,
            addresses: addresses.into_iter().map(IpAddr::from).collect(),
            auth,
        })
}

proptest! {
    #[test]
    fn what_was_encoded_reads_back(advert in any_advert()) {
        let payload = encoded(&advert);
        prop_assert!(payload.len() <= MAX_LEN);
        prop_assert_eq!(parse(&payload), Ok(advert));
    }

    #[test]
    fn any_bytes_give_an_advert_or_an_error(payload in vec(any::<u8>(), 0..1200)) {
        let _ = parse(&payload);
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
        match parse(&payload) {
            Ok(advert) => prop_assert_eq!(advert.addresses.len(), usize::from(count)),
            Err(error) => prop_assert_eq!(error, AdvertError::BadVrid),
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed(advert in any_advert(), at in any::<prop::sample::Index>()) {
        let mut payload = encoded(&advert);
        let bit = at.index(payload.len() * 8);
        payload[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(parse(&payload).is_err());
    }
}
