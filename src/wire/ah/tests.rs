use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// What keepalived 2.2.7 sent for virtual router 51, priority 200, advert_int 1, auth_type AH, auth_pass
/// secret, VIP 10.0.0.51: its first advert from 10.0.0.1.
const KEEPALIVED: [u8; 64] = [
    0x45, 0xc0, 0x00, 0x40, 0x00, 0x01, 0x00, 0x00, 0xff, 0x33, 0xd0, 0xb6, 0x0a, 0x00, 0x00, 0x01,
    0xe0, 0x00, 0x00, 0x12, 0x70, 0x04, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
    0x40, 0x29, 0xda, 0xe7, 0x8d, 0xc2, 0x13, 0xf7, 0x5e, 0x99, 0xa3, 0xf0, 0x21, 0x33, 0xc8, 0x01,
    0x02, 0x01, 0x0a, 0x97, 0x0a, 0x00, 0x00, 0x33, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];
const KEY: &[u8] = b"secret\0\0";

fn envelope() -> ipv4::Envelope {
    ipv4::Envelope {
        source: Ipv4Addr::new(10, 0, 0, 1),
        destination: Ipv4Addr::new(224, 0, 0, 18),
        ttl: 255,
        protocol: crate::wire::PROTOCOL_AH,
        identification: identification(1),
    }
}

fn sealed(message: &[u8]) -> Vec<u8> {
    let header = ipv4::advert_header(envelope(), HEADER_LEN + message.len()).unwrap();
    let mut out = vec![0xaa; 3];
    seal(header, envelope().source, 1, KEY, message, &mut out);
    out
}

#[test]
fn sealed_adverts_are_byte_for_byte_keepalived_s() {
    assert_eq!(sealed(&KEEPALIVED[44..]), KEEPALIVED[20..]);
}

#[test]
fn keepalived_s_seal_is_believed_and_no_other() {
    let (header, payload) = KEEPALIVED.split_at(20);
    let read = Sealed::read(payload).unwrap();
    assert_eq!((read.sequence, read.message), (1, &KEEPALIVED[44..]));
    assert_eq!(read.verify(header, KEY), Ok(()));
    assert_eq!(
        read.verify(header, b"secret"),
        Ok(()),
        "the key as it was written"
    );
    assert_eq!(read.verify(header, b"Secret"), Err(AhError::Value));
    assert_eq!(read.verify(&header[..19], KEY), Err(AhError::Length));
}

#[test]
fn what_changes_on_the_way_is_not_covered_and_the_rest_is() {
    let free = [1, 6, 7, 10, 11];
    for at in 0..KEEPALIVED.len() {
        let mut packet = KEEPALIVED;
        packet[at] ^= 1;
        let (header, payload) = packet.split_at(20);
        let believed = Sealed::read(payload).is_ok_and(|read| read.verify(header, KEY).is_ok());
        assert_eq!(believed, free.contains(&at), "byte {at}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let read = |at: usize, byte: u8| {
        let mut payload = KEEPALIVED[20..].to_vec();
        payload[at] = byte;
        Sealed::read(&payload).map(|read| read.sequence)
    };
    assert_eq!(read(0, 6), Err(AhError::NextHeader(6)));
    assert_eq!(read(1, 5), Err(AhError::Length));
    assert!(matches!(Sealed::read(&[0; 23]), Err(AhError::Length)));
    let mut packet = KEEPALIVED;
    packet[27] = 2;
    let (header, payload) = packet.split_at(20);
    let index = Ipv4Addr::new(10, 0, 0, 2);
    let read = Sealed::read(payload).unwrap();
    assert_eq!(read.verify(header, KEY), Err(AhError::Index(index)));
}

#[test]
fn an_identification_is_never_the_kernel_s_to_choose() {
    assert_eq!(identification(0x0001_0203), 0x0203);
    assert_eq!(identification(0x0001_0000), 1);
}

/// RFC 2202 section 2.
#[test]
fn the_hash_is_hmac_md5() {
    let of = |key: &[u8], text: &[u8]| {
        let mut mac = keyed(key);
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let first = of(&[0x0b; 16], b"Hi There");
    assert_eq!(first[..4], [0x92, 0x94, 0x72, 0x7a]);
    let sixth = of(
        &[0xaa; 80],
        b"Test Using Larger Than Block-Size Key - Hash Key First",
    );
    assert_eq!(sixth[..4], [0x6b, 0x1a, 0xb7, 0xfe]);
}

proptest! {
    #[test]
    fn what_was_sealed_is_believed(message in vec(any::<u8>(), 0..100)) {
        let payload = sealed(&message);
        let mut header = ipv4::advert_header(envelope(), payload.len()).unwrap();
        header[10] = 0x5a;
        let read = Sealed::read(&payload).unwrap();
        prop_assert_eq!(read.message, &message);
        prop_assert_eq!(read.verify(&header, KEY), Ok(()));
    }

    #[test]
    fn any_bytes_are_a_header_or_an_error(
        header in vec(any::<u8>(), 0..70),
        payload in vec(any::<u8>(), 0..70),
    ) {
        if let Ok(read) = Sealed::read(&payload) {
            prop_assert!(read.verify(&header, KEY).is_err());
        }
    }
}
