use std::cell::RefCell;
use std::collections::VecDeque;

use neli::types::Buffer;

use super::*;

const PORT: u32 = 4242;

/// What the socket receives next.
enum Step {
    Bytes(Vec<u8>),
    Errno(i32),
    /// A datagram of this length, of which only what fits arrives.
    Long(usize),
}

/// A kernel that answers from a script; when the script is over there is nothing to receive.
#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<Step>>,
    sent: RefCell<Vec<Vec<u8>>>,
}

impl Wire for Script {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.sent.borrow_mut().push(bytes.to_vec());
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8], _wait: Wait) -> io::Result<usize> {
        match self.steps.borrow_mut().pop_front() {
            Some(Step::Bytes(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Some(Step::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Step::Long(length)) => Ok(length),
            None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }
}

fn socket(steps: impl IntoIterator<Item = Step>) -> Socket<Script> {
    let script = Script::default();
    script.steps.borrow_mut().extend(steps);
    Socket::new(script, PORT)
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(PORT.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// NLMSG_ERROR with NLM_F_CAPPED; 0 is the acknowledgement.
fn answer(sequence: u32, errno: i32) -> Step {
    let payload = [(-errno).to_ne_bytes().to_vec(), vec![0; 16]].concat();
    Step::Bytes(message(2, 0x100, sequence, &payload))
}

fn data(sequence: u32, flags: u16, value: u8) -> Vec<u8> {
    message(0x20, flags, sequence, &[value, 0, 0, 0])
}

fn done(sequence: u32) -> Vec<u8> {
    message(3, 2, sequence, &[0; 4])
}

fn request() -> Request<Buffer> {
    Request {
        kind: 0x20,
        flags: NlmF::empty(),
        payload: Buffer::from(vec![1, 2, 3, 4]),
    }
}

fn list(socket: &mut Socket<Script>) -> Result<Vec<u8>, Error> {
    socket.dump(&"list things", &request(), |_, payload| {
        payload.first().copied()
    })
}

fn write(socket: &mut Socket<Script>, count: usize) -> Vec<String> {
    let commands: Vec<String> = (0..count).map(|n| format!("write {n}")).collect();
    let encode = |_: &String| Ok::<_, String>(request());
    let failures = socket.batch(&commands, encode);
    failures
        .iter()
        .map(|f| format!("{}: {f}", f.index))
        .collect()
}

/// Flags and sequence numbers of the messages in a datagram.
fn sent(bytes: &[u8]) -> Vec<(u16, u32)> {
    bytes
        .chunks(20)
        .map(|m| {
            let flags = u16::from_ne_bytes([m[6], m[7]]);
            (flags, u32::from_ne_bytes([m[8], m[9], m[10], m[11]]))
        })
        .collect()
}

#[test]
fn only_the_last_message_of_a_batch_asks_for_an_answer() {
    let mut socket = socket([answer(3, 0)]);
    assert_eq!(write(&mut socket, 3), Vec::<String>::new());
    let datagrams = socket.wire.sent.take();
    assert_eq!(datagrams.len(), 1);
    assert_eq!(sent(&datagrams[0]), [(1, 1), (1, 2), (5, 3)]);
}

#[test]
fn long_lists_go_out_in_batches_of_64() {
    let mut socket = socket([
        answer(64, 0),
        answer(100, 28),
        answer(128, 0),
        answer(130, 0),
    ]);
    let failures = write(&mut socket, 130);
    assert_eq!(failures, ["99: write 99: no space left on device (ENOSPC)"]);
    let sizes: Vec<usize> = socket
        .wire
        .sent
        .take()
        .iter()
        .map(|d| sent(d).len())
        .collect();
    assert_eq!(sizes, [64, 64, 2]);
}

#[test]
fn each_error_finds_its_command() {
    let mut socket = socket([answer(2, libc::EEXIST), answer(4, libc::EINVAL)]);
    let failures = write(&mut socket, 4);
    assert_eq!(
        failures,
        [
            "1: write 1: file exists (EEXIST)",
            "3: write 3: invalid argument (EINVAL)"
        ]
    );
    let mut socket = self::socket([answer(1, libc::EEXIST)]);
    let failures = socket.batch(&["one"], |_| Ok::<_, String>(request()));
    assert!(failures[0].error.is_disagreement());
}

#[test]
fn a_command_that_cannot_be_written_does_not_stop_the_others() {
    let mut socket = socket([answer(2, 0)]);
    let commands = ["a", "bad", "c", "bad"];
    let failures = socket.batch(&commands, |c| match *c {
        "bad" => Err("it has no name"),
        _ => Ok(request()),
    });
    let failures: Vec<_> = failures.iter().map(|f| (f.index, f.to_string())).collect();
    let expected = |n| (n, "bad: it has no name".to_owned());
    assert_eq!(failures, [expected(1), expected(3)]);
    assert_eq!(sent(&socket.wire.sent.take()[0]), [(1, 1), (5, 2)]);
}

#[test]
fn answers_to_others_and_to_earlier_requests_are_passed_over() {
    let mut foreign = message(2, 0, 2, &[0; 20]);
    foreign[12..16].copy_from_slice(&1u32.to_ne_bytes());
    let mut socket = socket([
        answer(1_000_000, libc::EEXIST),
        answer(0, 0),
        Step::Bytes(foreign),
        answer(1, libc::ENOENT),
        Step::Errno(libc::EINTR),
        answer(2, 0),
    ]);
    assert_eq!(
        write(&mut socket, 2),
        ["0: write 0: ".to_owned() + &enoent()]
    );
    assert!(socket.wire.steps.borrow().is_empty());
}

fn enoent() -> String {
    Errno(libc::ENOENT).to_string()
}

#[test]
fn what_a_full_buffer_swallowed_is_to_be_looked_at_again() {
    let mut socket = socket([
        answer(1, libc::EINVAL),
        Step::Errno(libc::ENOBUFS),
        answer(3, 0),
    ]);
    let commands = ["a", "b", "c"];
    let failures = socket.batch(&commands, |_| Ok::<_, String>(request()));
    let kinds: Vec<_> = failures
        .iter()
        .map(|f| (f.index, f.error.is_disagreement()))
        .collect();
    // The first has its own answer, the last was acknowledged, nobody knows of the second.
    assert_eq!(kinds, [(0, false), (1, true)]);
    assert_eq!(
        failures[1].error,
        Error::Lost {
            action: "b".to_owned()
        }
    );
}

#[test]
fn silence_is_an_error_for_every_command_without_an_answer() {
    let mut socket = socket([answer(1, libc::EEXIST)]);
    assert_eq!(
        write(&mut socket, 2),
        [
            "0: write 0: file exists (EEXIST)",
            "1: write 1: no answer from the kernel"
        ]
    );
}

#[test]
fn a_dump_is_what_came_under_its_own_number() {
    let stale = [data(0, 2, 9), done(0)].concat();
    let mut socket = socket([
        Step::Bytes(stale),
        Step::Bytes([data(1, 2, 1), data(1, 2, 2)].concat()),
        Step::Bytes(data(7, 2, 8)),
        Step::Bytes([data(1, 2, 3), done(1)].concat()),
    ]);
    assert_eq!(list(&mut socket), Ok(vec![1, 2, 3]));
    assert_eq!(sent(&socket.wire.sent.take()[0]), [(0x301, 1)]);
}

#[test]
fn a_dump_that_changed_meanwhile_is_made_again() {
    let mut socket = socket([
        Step::Bytes([data(1, 2 | 0x10, 1), done(1)].concat()),
        Step::Bytes([data(2, 2, 7), done(2)].concat()),
    ]);
    assert_eq!(list(&mut socket), Ok(vec![7]));
}

#[test]
fn a_dump_that_always_changes_is_given_up() {
    let torn = (1..=100).map(|n| Step::Bytes([data(n, 0x12, 1), done(n)].concat()));
    let mut socket = socket(torn);
    let error = list(&mut socket).unwrap_err();
    assert_eq!(
        error.to_string(),
        "list things: it kept changing while it was read"
    );
    assert_eq!(socket.wire.sent.borrow().len(), DUMP_ATTEMPTS);
}

#[test]
fn a_dump_that_lost_messages_is_made_again() {
    let mut socket = socket([
        Step::Bytes(data(1, 2, 1)),
        Step::Errno(libc::ENOBUFS),
        Step::Bytes(done(1)),
        Step::Bytes([data(2, 2, 1), data(2, 2, 2), done(2)].concat()),
    ]);
    assert_eq!(list(&mut socket), Ok(vec![1, 2]));
}

#[test]
fn the_buffer_grows_for_what_did_not_fit() {
    let mut socket = socket([
        Step::Long(100_000),
        Step::Bytes(done(1)),
        Step::Bytes([data(2, 2, 1), done(2)].concat()),
    ]);
    assert_eq!(list(&mut socket), Ok(vec![1]));
    assert_eq!(socket.buffer.len(), 100_000);
    let mut buffer = vec![0; 16];
    let huge = Script::default();
    huge.steps.borrow_mut().push_back(Step::Long(usize::MAX));
    assert!(receive(&huge, &mut buffer, Wait::No).is_err());
    assert_eq!(buffer.len(), DATAGRAM_LIMIT);
}

#[test]
fn another_dump_in_the_way_is_read_to_its_end_first() {
    let mut socket = socket([
        answer(1, libc::EBUSY),
        Step::Bytes(data(0, 2, 9)),
        Step::Bytes(done(0)),
        Step::Errno(libc::EAGAIN),
        Step::Bytes([data(2, 2, 1), done(2)].concat()),
    ]);
    assert_eq!(list(&mut socket), Ok(vec![1]));
}

#[test]
fn a_refused_dump_says_what_and_why() {
    let mut socket = socket([answer(1, libc::EPERM)]);
    let error = list(&mut socket).unwrap_err();
    assert_eq!(
        error.to_string(),
        "list things: operation not permitted (EPERM)"
    );
    assert_eq!(error.errno(), Some(Errno(libc::EPERM)));
    assert!(!error.is_disagreement());
}

#[test]
fn a_question_ends_with_its_acknowledgement() {
    let mut socket = socket([Step::Bytes(data(1, 0, 5)), answer(1, 0)]);
    let answers = socket.ask(&"ask", request(), |_, payload| payload.first().copied());
    assert_eq!(answers, Ok(vec![5]));
    let mut socket = self::socket([]);
    let answers = socket.ask(&"ask", request(), |_, _| Some(()));
    assert_eq!(
        answers.unwrap_err().to_string(),
        "ask: no answer from the kernel"
    );
}

#[test]
fn sequence_numbers_go_round() {
    let mut socket = socket([answer(0, libc::EEXIST), answer(1, 0)]);
    socket.sequence = u32::MAX - 1;
    assert_eq!(write(&mut socket, 3), ["1: write 1: file exists (EEXIST)"]);
}
