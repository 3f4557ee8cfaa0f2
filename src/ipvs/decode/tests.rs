use proptest::prelude::*;

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(outer: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    [vec![1, 1, 0, 0], attribute(outer, &inner.concat())].concat()
}

/// A service as Linux 6.1 dumps it: 10.0.0.1:80/tcp, rr.
fn service() -> Vec<Vec<u8>> {
    vec![
        attribute(1, &2u16.to_ne_bytes()),
        attribute(2, &6u16.to_ne_bytes()),
        attribute(3, &[10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        attribute(4, &[0, 80]),
        attribute(6, b"rr\0"),
        attribute(7, &[2u32.to_ne_bytes(), [0xff; 4]].concat()),
        attribute(8, &0u32.to_ne_bytes()),
        attribute(9, &[255; 4]),
    ]
}

fn destination() -> Vec<Vec<u8>> {
    vec![
        attribute(1, &[10, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        attribute(2, &[0, 80]),
        attribute(3, &0u32.to_ne_bytes()),
        attribute(4, &5u32.to_ne_bytes()),
        attribute(5, &0u32.to_ne_bytes()),
        attribute(6, &0u32.to_ne_bytes()),
        attribute(7, &1u32.to_ne_bytes()),
        attribute(8, &2u32.to_ne_bytes()),
        attribute(9, &3u32.to_ne_bytes()),
    ]
}

#[test]
fn the_kernels_own_hashed_flag_is_not_ours() {
    let read = decode_service(&message(1, &service())).unwrap();
    assert_eq!(read.key.to_string(), "10.0.0.1:80/tcp");
    assert_eq!(read.spec.flags, ServiceFlags::default());
    assert_eq!(read.spec.persistence, None);
}

#[test]
fn attributes_of_later_kernels_are_passed_over() {
    let mut attributes = service();
    attributes.insert(0, attribute(99, b"whatever it is"));
    attributes.push(attribute(13, &[]));
    assert_eq!(
        decode_service(&message(1, &attributes)),
        decode_service(&message(1, &service()))
    );
}

#[test]
fn counters_are_the_wide_ones_where_there_are_any() {
    let narrow = [1u32, 2, 3].map(|n| attribute(u16::try_from(n).unwrap(), &n.to_ne_bytes()));
    let bytes = [
        attribute(4, &40u64.to_ne_bytes()),
        attribute(5, &50u64.to_ne_bytes()),
    ];
    let narrow = [narrow.concat(), bytes.concat()].concat();
    let mut attributes = service();
    attributes.push(attribute(10, &narrow));
    let stats = decode_service(&message(1, &attributes)).unwrap().stats;
    let expected = ServiceStats {
        connections: 1,
        packets_in: 2,
        packets_out: 3,
        bytes_in: 40,
        bytes_out: 50,
    };
    assert_eq!(stats, expected);
    let wide = attribute(1, &(1u64 << 40).to_ne_bytes());
    attributes.push(attribute(12, &wide));
    let stats = decode_service(&message(1, &attributes)).unwrap().stats;
    assert_eq!(stats.connections, 1 << 40);
    assert_eq!(stats.packets_in, 0, "the narrow ones are not mixed in");
}

#[test]
fn destinations_of_old_kernels_have_the_family_of_their_service() {
    let read = decode_destination(&message(2, &destination()), Family::V4).unwrap();
    assert_eq!(read.key.to_string(), "10.0.1.1:80");
    assert_eq!(read.spec.weight, 5);
    assert_eq!(read.spec.tunnel, TunnelKind::Ipip);
    assert_eq!(read.stats.active_connections, 1);
    assert_eq!(read.stats.inactive_connections, 2);
    assert_eq!(read.stats.persistent_connections, 3);
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    let mut attributes = service();
    attributes.remove(4);
    let error = decode_service(&message(1, &attributes)).unwrap_err();
    assert_eq!(error.to_string(), "the kernel's answer has no scheduler");
    let mut attributes = destination();
    attributes[2] = attribute(3, &4u32.to_ne_bytes());
    let error = decode_destination(&message(2, &attributes), Family::V4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel's answer has an unknown forwarding method"
    );
    assert_eq!(decode_service(&[]), Err(DecodeError::Missing("service")));
}

#[test]
fn version_1_2_1_is_read_from_its_three_bytes() {
    let payload = [
        vec![14, 1, 0, 0],
        attribute(1, &0x0001_0201u32.to_ne_bytes()),
        attribute(2, &4096u32.to_ne_bytes()),
    ]
    .concat();
    let info = decode_info(&payload).unwrap();
    assert_eq!(
        (info.version, info.connection_table_size),
        ((1, 2, 1), 4096)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_info(&bytes);
        let _ = decode_service(&bytes);
        let _ = decode_destination(&bytes, Family::V6);
        let _ = decode_daemon(&bytes);
    }

    #[test]
    fn any_damage_to_an_answer_is_survived(
        at in 0usize..200,
        byte in any::<u8>(),
        length in 0usize..200,
    ) {
        for (outer, inner) in [(1, service()), (2, destination())] {
            let mut bytes = message(outer, &inner);
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
            bytes.truncate(length);
            let _ = decode_service(&bytes);
            let _ = decode_destination(&bytes, Family::V4);
            let _ = decode_daemon(&bytes);
        }
    }
}
