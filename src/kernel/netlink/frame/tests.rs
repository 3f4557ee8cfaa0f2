use proptest::prelude::*;

use super::*;

/// A message as the kernel writes it.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(77u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// NLMSGERR_ATTR_MSG.
fn words(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len() + 5).unwrap();
    let mut bytes = [length.to_ne_bytes(), 1u16.to_ne_bytes()].concat();
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

fn only(bytes: &[u8]) -> Body<'_> {
    let mut frames = Frames::new(bytes);
    let frame = frames.next().unwrap();
    assert_eq!((frames.next(), frame.port), (None, 77));
    frame.body
}

#[test]
fn errors_have_the_kernels_words_whether_or_not_the_request_comes_back() {
    let request = message(0x20, 5, 9, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let capped = [
        &(-22i32).to_ne_bytes(),
        &request[..HEADER],
        &words("no such mode"),
    ]
    .concat();
    let bytes = message(ERROR, CAPPED | HAS_ATTRIBUTES, 9, &capped);
    assert_eq!(only(&bytes), Body::Error(Errno(22), Some("no such mode")));
    let whole = [
        &(-22i32).to_ne_bytes(),
        &request[..],
        &words("no such mode"),
    ]
    .concat();
    let bytes = message(ERROR, HAS_ATTRIBUTES, 9, &whole);
    assert_eq!(only(&bytes), Body::Error(Errno(22), Some("no such mode")));
    let bytes = message(ERROR, 0, 9, &whole);
    assert_eq!(only(&bytes), Body::Error(Errno(22), None));
}

#[test]
fn a_dump_can_end_in_an_error() {
    let bytes = message(DONE, 2, 1, &0i32.to_ne_bytes());
    assert_eq!(only(&bytes), Body::Done);
    let bytes = message(DONE, 2, 1, &(-105i32).to_ne_bytes());
    assert_eq!(only(&bytes), Body::Error(Errno(105), None));
    assert_eq!(only(&message(DONE, 2, 1, &[])), Body::Done);
}

#[test]
fn messages_come_one_after_the_other() {
    let bytes = [
        message(0x20, DUMP_INTERRUPTED, 1, b"abc"),
        message(ERROR, 0, 2, &[0; 20]),
        message(1, 0, 3, &[]),
    ]
    .concat();
    let all: Vec<_> = Frames::new(&bytes).collect();
    assert_eq!(all[0].body, Body::Data(0x20, b"abc"));
    assert!(all[0].interrupted && !all[1].interrupted);
    assert_eq!(all[1].body, Body::Ack);
    assert_eq!(all[2].body, Body::Nothing);
    assert_eq!(
        all.iter().map(|f| f.sequence).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn a_length_that_cannot_be_ends_reading() {
    for length in [0u32, 15, 17, u32::MAX] {
        let mut bytes = message(0x20, 0, 1, &[]);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(Frames::new(&bytes).count(), 0, "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Frames::new(&bytes).count() <= bytes.len() / HEADER);
    }

    #[test]
    fn any_damage_to_an_error_is_survived(
        at in 0usize..80,
        byte in any::<u8>(),
        length in 0usize..80,
    ) {
        let request = message(0x20, 5, 9, &[]);
        let payload = [&(-22i32).to_ne_bytes(), &request[..], &words("no such mode")].concat();
        let mut bytes = message(ERROR, HAS_ATTRIBUTES, 9, &payload);
        if let Some(b) = bytes.get_mut(at) {
            *b = byte;
        }
        bytes.truncate(length);
        prop_assert!(Frames::new(&bytes).count() <= 2);
    }
}
