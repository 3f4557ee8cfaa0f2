//! vipd's checks without what follows from them: its monitor and its probes on one thread, as in the daemon.
//! The kernel of this machine may have no IPVS, and the daemon does not run checks without it.

use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;
use vipd::config::model::{Checker, CheckerKind, ConnectOptions, Shared};
use vipd::health::{Monitor, Output};
use vipd::kernel::clock;
use vipd::net::Endpoint;
use vipd::probe::{self, Kit};

use super::connects::{PORT, address};
use crate::lab::check::Outcome;

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
    LocalSet::new().block_on(&runtime, checks)
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
    let (answers, mut answered) = mpsc::unbounded_channel();
    let (began, mut late) = (Instant::now(), Vec::new());
    while began.elapsed() < lasts {
        for output in outputs.drain(..) {
            match output {
                Output::Start(id, question) => {
                    let answers = answers.clone();
                    spawn_local(async move {
                        let outcome = probe::ask(&question, &Kit::default()).await;
                        let _ = answers.send((id, outcome));
                    });
                }
                Output::Changed { server, status } => {
                    return Err(format!("server {server} became {status:?}").into());
                }
                _ => {}
            }
        }
        let deadline = monitor.next_deadline().unwrap_or(clock::now());
        outputs = tokio::select! {
            biased;
            Some((id, outcome)) = answered.recv() => monitor.finished(id, outcome, clock::now()),
            () = sleep(deadline.since(clock::now())) => {
                let now = clock::now();
                late.push(now.since(deadline));
                monitor.timer(now)
            }
        };
    }
    Ok(late)
}
