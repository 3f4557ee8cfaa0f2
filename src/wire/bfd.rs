//! BFD control packets of version 1 (RFC 5880 section 4.1), without authentication.
//!
//! ```text
//!  0                   1                   2                   3
//! |vers |  diag   |sta|P|F|C|A|D|M|  detect mult  |    length     |
//! |                       my discriminator                        |
//! |                      your discriminator                       |
//! |                desired min TX interval, µs                    |
//! |               required min RX interval, µs                    |
//! |            required min echo RX interval, µs                  |
//! ```
//! What a receiver must check without knowing the session (RFC 5880 section 6.8.6) is checked here.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

/// Bytes of a packet without authentication.
pub const LEN: usize = 24;
const LEN_BYTE: u8 = 24;
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// State of a session (RFC 5880 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Taken down by its owner.
    AdminDown,
    /// The other side is not heard, or says that it does not hear us.
    Down,
    /// The other side is heard, and does not yet know that we hear it.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    const ALL: [State; 4] = [State::AdminDown, State::Down, State::Init, State::Up];

    const fn bits(self) -> u8 {
        match self {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        }
    }
}

/// keepalived's words.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why a session left Up the last time (RFC 5880 section 4.1): five bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing to say.
    pub const NONE: Diagnostic = Diagnostic(0);
    /// The detection time ran out.
    pub const EXPIRED: Diagnostic = Diagnostic(1);
    /// The other side said that it is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Diagnostic = Diagnostic(3);
    /// Its owner took it down.
    pub const ADMINISTRATIVELY_DOWN: Diagnostic = Diagnostic(7);

    /// `None` for a number that does not fit into five bits.
    pub const fn new(number: u8) -> Option<Diagnostic> {
        if number < 32 {
            Some(Diagnostic(number))
        } else {
            None
        }
    }

    /// Its number, 0 to 31.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// In the words of the RFC.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            other => return write!(f, "diagnostic {other}"),
        })
    }
}

/// One control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session left Up the last time.
    pub diagnostic: Diagnostic,
    /// State of the sender's session.
    pub state: State,
    /// P: the sender wants an answer with F.
    pub poll: bool,
    /// F: the answer to P.
    pub is_final: bool,
    /// C: the sender's BFD outlives its control plane.
    pub control_plane_independent: bool,
    /// D: the sender wants to hear nothing unless it polls.
    pub demand: bool,
    /// So many packets may be missed.
    pub detect_mult: NonZeroU8,
    /// Names the session at the sender.
    pub my_discriminator: NonZeroU32,
    /// Names it at the receiver; 0 while that is not known.
    pub your_discriminator: u32,
    /// Microseconds; the sender would not send more often.
    pub desired_min_tx: u32,
    /// Microseconds; the sender cannot take them more often. 0: it wants none.
    pub required_min_rx: u32,
    /// Microseconds, for the echo function; 0: it has none.
    pub required_min_echo_rx: u32,
}

/// Why bytes are not a packet that a session may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketError {
    /// Fewer bytes than every packet has.
    TooShort {
        /// Bytes there were.
        len: usize,
    },
    /// Another version than 1.
    BadVersion(u8),
    /// The length field is less than a packet has, or more than came.
    BadLength {
        /// What it says.
        field: u8,
        /// Bytes there were.
        len: usize,
    },
    /// The sender authenticates, which we do not.
    Authenticated,
    /// M is set, which is reserved.
    Multipoint,
    /// The detect multiplier is 0.
    ZeroMultiplier,
    /// The sender's discriminator is 0.
    ZeroDiscriminator,
    /// It names no session of the receiver, which only a sender that is down may.
    NamesNoSession(State),
    /// Both P and F.
    PollAndFinal,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::TooShort { len } => {
                write!(f, "{len} bytes, a BFD packet has at least {LEN}")
            }
            PacketError::BadVersion(version) => write!(f, "BFD version {version} is not 1"),
            PacketError::BadLength { field, len } => {
                write!(f, "its length field says {field}, {len} bytes came")
            }
            PacketError::Authenticated => {
                f.write_str("it is authenticated, which vipd does not offer for BFD: turn it off at the other side")
            }
            PacketError::Multipoint => f.write_str("the multipoint bit is set"),
            PacketError::ZeroMultiplier => f.write_str("its detect multiplier is 0"),
            PacketError::ZeroDiscriminator => f.write_str("its own discriminator is 0"),
            PacketError::NamesNoSession(state) => {
                write!(f, "it is {state} and names no session")
            }
            PacketError::PollAndFinal => f.write_str("both poll and final bit are set"),
        }
    }
}

impl std::error::Error for PacketError {}

/// The bytes of a packet.
pub fn encode(packet: &Packet) -> [u8; LEN] {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = flag(packet.poll, POLL)
        | flag(packet.is_final, FINAL)
        | flag(packet.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
        | flag(packet.demand, DEMAND);
    let mut bytes = [0; LEN];
    let head = [
        VERSION << 5 | packet.diagnostic.get(),
        packet.state.bits() << 6 | flags,
        packet.detect_mult.get(),
        LEN_BYTE,
    ];
    let words = [
        head,
        packet.my_discriminator.get().to_be_bytes(),
        packet.your_discriminator.to_be_bytes(),
        packet.desired_min_tx.to_be_bytes(),
        packet.required_min_rx.to_be_bytes(),
        packet.required_min_echo_rx.to_be_bytes(),
    ];
    for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word;
    }
    bytes
}

/// Reads the payload of a UDP datagram. What stands behind the packet is not looked at.
pub fn parse(payload: &[u8]) -> Result<Packet, PacketError> {
    let len = payload.len();
    let (_, fields) = Fields::read(payload).map_err(|_| PacketError::TooShort { len })?;
    let (version, diagnostic) = (fields.version_diag >> 5, fields.version_diag & 0x1f);
    if version != VERSION {
        return Err(PacketError::BadVersion(version));
    }
    if fields.length < LEN_BYTE || usize::from(fields.length) > len {
        let field = fields.length;
        return Err(PacketError::BadLength { field, len });
    }
    let detect_mult = NonZeroU8::new(fields.detect_mult).ok_or(PacketError::ZeroMultiplier)?;
    let has = |bit: u8| fields.state_flags & bit != 0;
    if has(MULTIPOINT) {
        return Err(PacketError::Multipoint);
    }
    let my_discriminator =
        NonZeroU32::new(fields.my_discriminator).ok_or(PacketError::ZeroDiscriminator)?;
    let bits = fields.state_flags >> 6;
    let state = State::ALL.into_iter().find(|state| state.bits() == bits);
    let state = state.unwrap_or(State::AdminDown);
    if fields.your_discriminator == 0 && !matches!(state, State::Down | State::AdminDown) {
        return Err(PacketError::NamesNoSession(state));
    }
    if has(AUTHENTICATION) {
        return Err(PacketError::Authenticated);
    }
    if has(POLL) && has(FINAL) {
        return Err(PacketError::PollAndFinal);
    }
    Ok(Packet {
        diagnostic: Diagnostic(diagnostic),
        state,
        poll: has(POLL),
        is_final: has(FINAL),
        control_plane_independent: has(CONTROL_PLANE_INDEPENDENT),
        demand: has(DEMAND),
        detect_mult,
        my_discriminator,
        your_discriminator: fields.your_discriminator,
        desired_min_tx: fields.desired_min_tx,
        required_min_rx: fields.required_min_rx,
        required_min_echo_rx: fields.required_min_echo_rx,
    })
}

/// The bytes as they stand there.
struct Fields {
    version_diag: u8,
    state_flags: u8,
    detect_mult: u8,
    length: u8,
    my_discriminator: u32,
    your_discriminator: u32,
    desired_min_tx: u32,
    required_min_rx: u32,
    required_min_echo_rx: u32,
}

impl Fields {
    fn read(payload: &[u8]) -> IResult<&[u8], Fields> {
        let head = (be_u8, be_u8, be_u8, be_u8);
        let words = (be_u32, be_u32, be_u32, be_u32, be_u32);
        (head, words)
            .map(|(head, words)| Fields {
                version_diag: head.0,
                state_flags: head.1,
                detect_mult: head.2,
                length: head.3,
                my_discriminator: words.0,
                your_discriminator: words.1,
                desired_min_tx: words.2,
                required_min_rx: words.3,
                required_min_echo_rx: words.4,
            })
            .parse(payload)
    }
}

#[cfg(test)]
mod tests;
