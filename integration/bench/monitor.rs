//! vipd's checks without what follows from them: its monitor and its probes on one thread, as in the daemon.
//! The kernel of this machine may have no IPVS, and the daemon does not run checks without it.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use vipd::config::model::{Checker, CheckerKind, ConnectOptions, Shared};
use vipd::health::{Monitor, Output};
use vipd::kernel::clock;
use vipd::kernel::runtime::{Alarm, wait_for};
use vipd::net::Endpoint;
use vipd::probe::Connects;

use super::connects::{PORT, address};
use crate::lab::check::{Doing as _, Outcome};

/// A `TCP_CHECK` of the server of this number.
fn checker(number: usize, interval: Duration) -> Checker {
    Checker {
        kind: CheckerKind::Tcp(ConnectOptions {
            destination: Endpoint::new(address(number).into(), PORT),
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout: Duration::from_secs(3),
        }),
        delay_loop: interval,
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: interval,
        alpha: false,
        log_all_failures: false,
    }
}

/// Checks so many servers for so long; how late each check began.
pub(super) fn check_for(
    count: usize,
    interval: Duration,
    lasts: Duration,
) -> Outcome<Vec<Duration>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let checks = checks(count, interval, lasts);
    runtime.block_on(checks)
}

async fn checks(count: usize, interval: Duration, lasts: Duration) -> Outcome<Vec<Duration>> {
    let servers: Vec<(usize, [Shared<Checker>; 1])> = (0..count)
        .map(|number| (number, [checker(number, interval).into()]))
        .collect();
    let mut monitor = Monitor::new(7);
    let all = servers
        .iter()
        .map(|(number, checkers)| (*number, &checkers[..]));
    let mut outputs = monitor.configure(all, clock::now());
    let mut connects = Connects::open(wait_for, clock::now).doing("wait for connections")?;
    let mut alarm = Alarm::new().doing("a timer")?;
    let (began, mut late) = (Instant::now(), Vec::new());
    while began.elapsed() < lasts {
        for output in outputs.drain(..) {
            match output {
                Output::Start(id, question) => match question.kind() {
                    CheckerKind::Tcp(options) => connects.begin(id, options),
                    other => return Err(format!("{other:?} is no TCP check").into()),
                },
                Output::Changed { server, status } => {
                    return Err(format!("server {server} became {status:?}").into());
                }
                _ => {}
            }
        }
        connects.look();
        let due = monitor.next_deadline();
        alarm.set(due.into_iter().chain(connects.next_deadline()).min());
        tokio::select! {
            biased;
            answers = connects.answered() => {
                let now = clock::now();
                for (id, outcome) in answers {
                    outputs.extend(monitor.finished(id, outcome, now));
                }
            }
            () = alarm.rings() => {
                let now = clock::now();
                connects.expire(now);
                if let Some(due) = due.filter(|due| *due <= now) {
                    late.push(now.since(due));
                    outputs = monitor.timer(now);
                }
            }
        };
    }
    Ok(late)
}
