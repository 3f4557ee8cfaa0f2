//! Requests and answers, and their bytes between vipd and its helper: two copies of one program on one
//! machine, so the form is nobody else's business and numbers travel as the machine has them.

use std::fmt;
use std::time::Duration;

use nom::bytes::complete::take;
use nom::combinator::{map, map_opt};
use nom::multi::length_count;
use nom::number::Endianness::Native;
use nom::number::complete::{be_u8, i32 as int32, u32 as uint32, u64 as uint64};
use nom::{IResult, Parser};

use crate::config::model::{Capabilities, ScriptUser};
use crate::errno::Errno;

/// Bytes of the longest answer.
pub(super) const FINISHED_MAX: usize = 2048;
/// Bytes of the longest reason in it; longer ones are cut.
const WHAT_MAX: usize = 1024;

/// What a message to the helper asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Run a program.
    Run(Request),
    /// Go to the network namespace of this name; programs run there from then on.
    Enter {
        /// Comes back in the answer.
        id: u64,
        /// As ip-netns(8) has it.
        namespace: String,
    },
}

const RUN: u8 = 0;
const ENTER: u8 = 1;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Comes back in the answer; who asks chooses it.
    pub id: u64,
    /// The program, looked up in PATH when it has no slash, and its arguments. No shell.
    pub argv: Vec<String>,
    /// Whom it runs as. `None`: the user `keepalived_script` if there is one, else the user of vipd.
    pub user: Option<ScriptUser>,
    /// What it may do if it runs as root: of what vipd may do no more than these.
    pub caps: Capabilities,
    /// How long it may take; then it is answered [`Outcome::TimedOut`] and ended, SIGTERM first,
    /// SIGKILL two seconds later. `None`: as long as it likes.
    pub timeout: Option<Duration>,
    /// What becomes of it when vipd ends.
    pub at_end: AtEnd,
}

/// What becomes of a running program when vipd ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// It ends with vipd: checks.
    Kill,
    /// It runs to its end: notifications.
    Leave,
}

/// The one answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The request's.
    pub id: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended with this status.
    Exited(u8),
    /// A signal ended it (signal(7)).
    Signaled(i32),
    /// Its time was over while it ran; it is being ended now.
    TimedOut,
    /// It never ran.
    NotStarted {
        /// The kernel's reason, where it was the kernel.
        errno: Option<Errno>,
        /// What failed and why, in words.
        what: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Exited(status) => write!(f, "exited with status {status}"),
            Outcome::Signaled(signal) => write!(f, "was killed by signal {signal}"),
            Outcome::TimedOut => f.write_str("did not end in time"),
            Outcome::NotStarted { what, .. } => f.write_str(what),
        }
    }
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageError;

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message between vipd and its script helper cannot be read")
    }
}

impl std::error::Error for MessageError {}

impl Request {
    /// Writes the request to `out`, in place of what stood there.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(RUN);
        put_u64(out, self.id);
        put_u64(out, self.timeout.map_or(u64::MAX, nanos));
        put_u64(out, self.caps.bits());
        out.push(match self.at_end {
            AtEnd::Kill => 0,
            AtEnd::Leave => 1,
        });
        put_u32(out, self.argv.len());
        for argument in &self.argv {
            put_text(out, argument);
        }
        let group = self.user.as_ref().and_then(|user| user.group.as_ref());
        let names = [self.user.as_ref().map(|user| &user.user), group];
        for name in names {
            out.push(u8::from(name.is_some()));
            if let Some(name) = name {
                put_text(out, name);
            }
        }
    }
}

/// Writes what asks the helper to go to a namespace.
pub(super) fn encode_enter(id: u64, namespace: &str, out: &mut Vec<u8>) {
    out.clear();
    out.push(ENTER);
    put_u64(out, id);
    put_text(out, namespace);
}

impl Asked {
    pub(super) fn decode(bytes: &[u8]) -> Result<Asked, MessageError> {
        whole(asked(bytes))
    }
}

impl Finished {
    /// Writes the answer to `out`, in place of what stood there.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        put_u64(out, self.id);
        let (kind, number, what) = match &self.outcome {
            Outcome::Exited(status) => (0, i32::from(*status), ""),
            Outcome::Signaled(signal) => (1, *signal, ""),
            Outcome::TimedOut => (2, 0, ""),
            Outcome::NotStarted { errno, what } => {
                (3, errno.map_or(0, |errno| errno.0), what.as_str())
            }
        };
        out.push(kind);
        out.extend(number.to_ne_bytes());
        put_text(out, cut(what, WHAT_MAX));
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Finished, MessageError> {
        whole(finished(bytes))
    }
}

/// The longest start of `text` that has at most `len` bytes and whole characters.
fn cut(text: &str, len: usize) -> &str {
    let ends = (0..=len.min(text.len())).rev();
    ends.filter_map(|end| text.get(..end))
        .next()
        .unwrap_or_default()
}

fn nanos(duration: Duration) -> u64 {
    // 584 years stand for more; the largest number stands for no timeout.
    u64::try_from(duration.as_nanos()).map_or(u64::MAX - 1, |nanos| nanos.min(u64::MAX - 1))
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_ne_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    // A message is refused long before it has 2^32 of anything.
    out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len());
    out.extend(text.as_bytes());
}

fn whole<T>(parsed: IResult<&[u8], T>) -> Result<T, MessageError> {
    match parsed {
        Ok(([], value)) => Ok(value),
        _ => Err(MessageError),
    }
}

fn text(input: &[u8]) -> IResult<&[u8], String> {
    let (rest, len) = uint32(Native).parse(input)?;
    map_opt(take(len), |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).ok()
    })
    .parse(rest)
}

fn optional_text(input: &[u8]) -> IResult<&[u8], Option<String>> {
    let (rest, present) = be_u8(input)?;
    if present == 0 {
        Ok((rest, None))
    } else {
        map(text, Some).parse(rest)
    }
}

fn asked(input: &[u8]) -> IResult<&[u8], Asked> {
    let (rest, kind) = be_u8(input)?;
    if kind == RUN {
        return map(request, Asked::Run).parse(rest);
    }
    let enter = (uint64(Native), text);
    map_opt(enter, |(id, namespace)| {
        (kind == ENTER).then_some(Asked::Enter { id, namespace })
    })
    .parse(rest)
}

fn request(input: &[u8]) -> IResult<&[u8], Request> {
    let number = || uint64(Native);
    let (rest, (id, timeout, caps)) = (number(), number(), number()).parse(input)?;
    let (rest, at_end) = map_opt(be_u8, |kind| match kind {
        0 => Some(AtEnd::Kill),
        1 => Some(AtEnd::Leave),
        _ => None,
    })
    .parse(rest)?;
    let (rest, argv) = length_count(uint32(Native), text).parse(rest)?;
    let (rest, (user, group)) = (optional_text, optional_text).parse(rest)?;
    let request = Request {
        id,
        argv,
        user: user.map(|user| ScriptUser { user, group }),
        caps: Capabilities::from_bits(caps),
        timeout: (timeout != u64::MAX).then(|| Duration::from_nanos(timeout)),
        at_end,
    };
    Ok((rest, request))
}

fn finished(input: &[u8]) -> IResult<&[u8], Finished> {
    let fields = (uint64(Native), be_u8, int32(Native), text);
    map_opt(fields, |(id, kind, number, what)| {
        let outcome = match kind {
            0 => Outcome::Exited(u8::try_from(number).ok()?),
            1 => Outcome::Signaled(number),
            2 => Outcome::TimedOut,
            3 => Outcome::NotStarted {
                errno: (number != 0).then_some(Errno(number)),
                what,
            },
            _ => return None,
        };
        Some(Finished { id, outcome })
    })
    .parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn any_request() -> impl Strategy<Value = Request> {
        let user = (".*", option::of(".*")).prop_map(|(user, group)| ScriptUser { user, group });
        let timeout = (0..u64::MAX).prop_map(Duration::from_nanos);
        (
            any::<u64>(),
            vec(".*", 0..5),
            option::of(user),
            option::of(timeout),
            any::<(bool, u64)>(),
        )
            .prop_map(|(id, argv, user, timeout, (leave, caps))| Request {
                id,
                argv,
                user,
                caps: Capabilities::from_bits(caps),
                timeout,
                at_end: if leave { AtEnd::Leave } else { AtEnd::Kill },
            })
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            any::<u8>().prop_map(Outcome::Exited),
            any::<i32>().prop_map(Outcome::Signaled),
            Just(Outcome::TimedOut),
            (option::of(1..4096i32), ".{0,200}").prop_map(|(errno, what)| {
                Outcome::NotStarted {
                    errno: errno.map(Errno),
                    what,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn requests_arrive_as_they_were_sent(request in any_request()) {
            let mut bytes = vec![1; 3];
            request.encode(&mut bytes);
            prop_assert_eq!(Asked::decode(&bytes), Ok(Asked::Run(request)));
        }

        #[test]
        fn namespaces_arrive_as_they_were_sent(id in any::<u64>(), namespace in ".*") {
            let mut bytes = vec![1; 3];
            encode_enter(id, &namespace, &mut bytes);
            prop_assert_eq!(Asked::decode(&bytes), Ok(Asked::Enter { id, namespace }));
        }

        #[test]
        fn answers_arrive_as_they_were_sent(id in any::<u64>(), outcome in any_outcome()) {
            let finished = Finished { id, outcome };
            let mut bytes = vec![1; 3];
            finished.encode(&mut bytes);
            prop_assert!(bytes.len() <= FINISHED_MAX);
            prop_assert_eq!(Finished::decode(&bytes), Ok(finished));
        }

        #[test]
        fn any_bytes_give_a_message_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Asked::decode(&bytes);
            let _ = Finished::decode(&bytes);
        }
    }

    #[test]
    fn a_reason_too_long_for_an_answer_is_cut_between_characters() {
        let finished = Finished {
            id: 7,
            outcome: Outcome::NotStarted {
                errno: None,
                what: "\u{20ac}".repeat(2000),
            },
        };
        let mut bytes = Vec::new();
        finished.encode(&mut bytes);
        assert!(bytes.len() <= FINISHED_MAX);
        let Outcome::NotStarted { what, .. } = Finished::decode(&bytes).unwrap().outcome else {
            panic!("another kind");
        };
        assert_eq!(what, "\u{20ac}".repeat(341));
    }
}
