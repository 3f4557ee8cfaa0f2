use std::io::Read as _;
use std::net::{IpAddr, TcpListener};

use socket2::Domain;

use super::super::tests::{local, run};
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "what the daemon hands in is not known here"
)]
fn clock() -> Time {
    static BEGAN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    Time::ZERO + BEGAN.elapsed()
}

/// Must be called within a runtime.
fn connects() -> Connects {
    #[expect(
        deprecated,
        reason = "sound for an OwnedFd, which is what it cannot know"
    )]
    let wait_for = AsyncFd::new;
    Connects::open(wait_for, clock).unwrap()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Waits for so many answers, in the order of their probes.
async fn answers(connects: &mut Connects, count: usize) -> Vec<Answer> {
    let mut all = Vec::new();
    while all.len() < count {
        connects.look();
        let next = match connects.next_deadline() {
            Some(end) => end.until(clock()),
            None => PATIENCE,
        };
        tokio::select! {
            some = connects.answered() => all.extend(some),
            () = tokio::time::sleep(next) => connects.expire(clock()),
        }
    }
    all.sort_by_key(|(probe, _)| *probe);
    assert!(connects.is_empty());
    assert_eq!(connects.next_deadline(), None);
    all
}

fn probe(options: &ConnectOptions) -> CheckOutcome {
    run(async {
        let mut connects = connects();
        connects.begin(ProbeId(7), options);
        let mut all = answers(&mut connects, 1).await;
        let (probe, outcome) = all.remove(0);
        assert_eq!(probe, ProbeId(7));
        outcome
    })
}

/// A listener whose queue is full: it answers no further connection until one of it is taken.
fn full() -> (Socket, SocketAddr, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap();
    let fillers = (0..4)
        .map(|_| {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address);
            filler
        })
        .collect();
    (socket, address.as_socket().unwrap(), fillers)
}

#[test]
fn a_server_that_listens_is_well_and_gets_its_connection_closed() {
    let (listener, address) = listener();
    assert_eq!(probe(&local(address, PATIENCE)), CheckOutcome::Passed);
    let (mut connection, _) = listener.accept().unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let (listener, address) = listener();
    drop(listener);
    let refused = CheckOutcome::Failed("connection refused (ECONNREFUSED)".to_owned());
    assert_eq!(probe(&local(address, PATIENCE)), refused);
}

#[test]
fn a_server_that_does_not_answer_fails_when_the_time_is_over() {
    let (_listener, address, _fillers) = full();
    let failed = CheckOutcome::Failed("no answer within 50ms".to_owned());
    let began = clock();
    assert_eq!(probe(&local(address, Duration::from_millis(50))), failed);
    assert!(clock().since(began) >= Duration::from_millis(50));
}

#[test]
fn one_that_answers_late_is_well_when_it_does() {
    let (listener, address, _fillers) = full();
    run(async {
        let mut connects = connects();
        connects.begin(ProbeId(1), &local(address, PATIENCE));
        connects.look();
        assert!(connects.answers.is_empty());
        assert!(connects.next_deadline().is_some());
        // There is room now; the kernel asks again after a second.
        listener.set_nonblocking(true).unwrap();
        while listener.accept().is_ok() {}
        let answers = answers(&mut connects, 1).await;
        assert_eq!(answers, [(ProbeId(1), CheckOutcome::Passed)]);
    });
}

#[test]
fn of_many_that_begin_together_each_gets_its_own_answer() {
    let (listener, well) = listener();
    let (_full, silent, _fillers) = full();
    let (closed, refuses) = self::listener();
    drop(closed);
    run(async {
        let mut connects = connects();
        for number in 0..90 {
            let to = [well, refuses, silent][usize::try_from(number % 3).unwrap()];
            connects.begin(ProbeId(number), &local(to, Duration::from_millis(80)));
        }
        assert_eq!(connects.len(), 90);
        let all = answers(&mut connects, 90).await;
        for (number, (probe, outcome)) in (0..).zip(all) {
            assert_eq!(probe, ProbeId(number));
            let wanted = match number % 3 {
                0 => CheckOutcome::Passed,
                1 => CheckOutcome::Failed("connection refused (ECONNREFUSED)".to_owned()),
                _ => CheckOutcome::Failed("no answer within 80ms".to_owned()),
            };
            assert_eq!(outcome, wanted);
        }
    });
    drop(listener);
}

#[test]
fn more_than_one_call_takes_come_late_and_all_are_told() {
    let (listener, address, _fillers) = full();
    let count = 2 * FOUND_AT_ONCE as u64 + 1;
    run(async {
        let mut connects = connects();
        for number in 0..count {
            connects.begin(ProbeId(number), &local(address, PATIENCE));
        }
        connects.look();
        assert_eq!(connects.len() as u64, count);
        // The port is closed: each is refused when the kernel asks again.
        drop(listener);
        let left = connects.len();
        let all = answers(&mut connects, left).await;
        let refused = CheckOutcome::Failed("connection refused (ECONNREFUSED)".to_owned());
        assert!(all.iter().all(|(_, outcome)| *outcome == refused));
    });
}

#[test]
fn what_is_not_wanted_any_more_is_not_answered() {
    let (_listener, well) = listener();
    let (_full, silent, _fillers) = full();
    run(async {
        let mut connects = connects();
        let limit = Duration::from_millis(20);
        connects.begin(ProbeId(1), &local(silent, limit));
        connects.look();
        assert!(connects.cancel(ProbeId(1)));
        assert!(!connects.cancel(ProbeId(1)));
        connects.begin(ProbeId(2), &local(well, limit));
        assert!(connects.cancel(ProbeId(2)));
        connects.begin(ProbeId(3), &local(well, limit));
        let answers = answers(&mut connects, 1).await;
        assert_eq!(answers, [(ProbeId(3), CheckOutcome::Passed)]);
    });
}

#[test]
fn the_source_is_the_configured_one() {
    let (listener, address) = listener();
    // A port that is free now; taken from the kernel, and given back.
    let free = TcpListener::bind("127.0.0.2:0").unwrap();
    let source = free.local_addr().unwrap();
    drop(free);
    let mut options = local(address, PATIENCE);
    options.bind_to = Some(source.ip());
    assert_eq!(probe(&options), CheckOutcome::Passed);
    assert_eq!(listener.accept().unwrap().1.ip(), source.ip());
    options.bind_port = source.port();
    assert_eq!(probe(&options), CheckOutcome::Passed);
    assert_eq!(listener.accept().unwrap().1, source);
}

#[test]
fn what_cannot_be_set_up_is_named_and_is_not_the_servers_fault() {
    let (_listener, address) = listener();
    let mut options = local(address, PATIENCE);
    options.bind_to = Some(IpAddr::from([192, 0, 2, 77]));
    let why = "bind to 192.0.2.77: cannot assign requested address (EADDRNOTAVAIL)";
    assert_eq!(probe(&options), CheckOutcome::NotAsked(why.to_owned()));
    options.bind_to = None;
    options.bind_if = Some("no-such-if".parse().unwrap());
    let CheckOutcome::NotAsked(why) = probe(&options) else {
        panic!("it was asked");
    };
    assert!(why.starts_with("bind to interface no-such-if: "), "{why}");
}
