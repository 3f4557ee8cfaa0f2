use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What keepalived 2.2.7 sends while its session is Up: min_tx 50, min_rx 50, multiplier 3.
fn up() -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(0x0102_0304).unwrap(),
        your_discriminator: 0x0a0b_0c0d,
        desired_min_tx: 50_000,
        required_min_rx: 50_000,
        required_min_echo_rx: 0,
    }
}

#[test]
fn the_bytes_are_those_of_the_rfc() {
    let expected = [
        0x20, 0xc0, 3, 24, 1, 2, 3, 4, 0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50,
        0, 0, 0, 0,
    ];
    assert_eq!(encode(&up()), expected);
    let down = Packet {
        diagnostic: Diagnostic::EXPIRED,
        state: State::Down,
        poll: true,
        ..up()
    };
    assert_eq!(encode(&down)[..2], [0x21, 0x60]);
    let last = Packet {
        diagnostic: Diagnostic::ADMINISTRATIVELY_DOWN,
        state: State::AdminDown,
        is_final: true,
        ..up()
    };
    assert_eq!(encode(&last)[..2], [0x27, 0x10]);
}

/// Each check of RFC 5880 section 6.8.6 that needs no session.
#[test]
fn what_must_be_dropped_is_dropped() {
    let good = encode(&up());
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        parse(&bytes)
    };
    assert_eq!(parse(&good), Ok(up()));
    assert_eq!(parse(&good[..23]), Err(PacketError::TooShort { len: 23 }));
    assert_eq!(parse(&[]), Err(PacketError::TooShort { len: 0 }));
    assert_eq!(with(0, 0x00), Err(PacketError::BadVersion(0)));
    assert_eq!(with(0, 0x40), Err(PacketError::BadVersion(2)));
    let bad_length = |field| Err(PacketError::BadLength { field, len: 24 });
    assert_eq!(with(3, 23), bad_length(23));
    assert_eq!(with(3, 25), bad_length(25));
    assert_eq!(with(2, 0), Err(PacketError::ZeroMultiplier));
    assert_eq!(with(1, 0xc1), Err(PacketError::Multipoint));
    assert_eq!(with(1, 0xc4), Err(PacketError::Authenticated));
    assert_eq!(with(1, 0xf0), Err(PacketError::PollAndFinal));
    let mut nobody = good;
    nobody[4..8].fill(0);
    assert_eq!(parse(&nobody), Err(PacketError::ZeroDiscriminator));
}

#[test]
fn only_one_who_is_down_may_name_no_session() {
    for state in State::ALL {
        let packet = Packet {
            state,
            your_discriminator: 0,
            ..up()
        };
        let expected = match state {
            State::AdminDown | State::Down => Ok(packet),
            State::Init | State::Up => Err(PacketError::NamesNoSession(state)),
        };
        assert_eq!(parse(&encode(&packet)), expected);
    }
}

/// RFC 5880 section 6.8.6 asks for no check of it, and new ones may be given a meaning.
#[test]
fn a_diagnostic_without_a_name_is_no_reason_to_drop() {
    let mut bytes = encode(&up());
    bytes[0] |= 31;
    assert_eq!(parse(&bytes).unwrap().diagnostic.get(), 31);
}

#[test]
fn what_stands_behind_the_packet_is_let_pass() {
    let mut bytes = encode(&up()).to_vec();
    bytes.extend([1, 2, 3]);
    assert_eq!(parse(&bytes), Ok(up()));
}

fn packets() -> impl Strategy<Value = Packet> {
    let bits = any::<[bool; 4]>();
    let numbers = (any::<NonZeroU8>(), any::<NonZeroU32>(), any::<[u32; 4]>());
    let names = (0u8..32, prop::sample::select(State::ALL.to_vec()));
    (bits, numbers, names).prop_map(|(bits, (detect_mult, mine, words), (diag, state))| Packet {
        diagnostic: Diagnostic::new(diag).unwrap(),
        state,
        poll: bits[0],
        is_final: bits[1] && !bits[0],
        control_plane_independent: bits[2],
        demand: bits[3],
        detect_mult,
        my_discriminator: mine,
        your_discriminator: words[0].max(1),
        desired_min_tx: words[1],
        required_min_rx: words[2],
        required_min_echo_rx: words[3],
    })
}

proptest! {
    #[test]
    fn every_packet_is_read_as_it_was_written(packet in packets()) {
        prop_assert_eq!(parse(&encode(&packet)), Ok(packet));
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_is_written_the_same(
        bytes in vec(any::<u8>(), 0..64)
    ) {
        if let Ok(packet) = parse(&bytes) {
            let written = encode(&packet);
            // The length may have been longer than the packet.
            prop_assert_eq!(&written[..3], &bytes[..3]);
            prop_assert_eq!(&written[4..], &bytes[4..LEN]);
        }
    }

    #[test]
    fn a_good_packet_with_one_byte_changed_does_not_panic(
        packet in packets(), at in 0..LEN, byte: u8
    ) {
        let mut bytes = encode(&packet);
        bytes[at] = byte;
        let _ = parse(&bytes);
    }
}
