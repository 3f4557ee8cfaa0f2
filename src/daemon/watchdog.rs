//! Shows the service manager that vipd is not stuck: main sends `WATCHDOG=1` (sd_notify(3)) each time the
//! failover thread has answered. Where one of the two is stuck, nothing is sent, and the service manager
//! ends the process and starts it again, which adopts what it finds.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::failover_thread::{Caller, Command};
use super::main_loop::notify;

/// So many times within the time that the service manager waits.
const TIMES: u32 = 4;

/// Begins, if the service manager wants to be told.
pub(super) fn start(failover: Caller) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    info!(
        "the service manager's watchdog is fed; it waits for {} s",
        limit.as_secs_f64()
    );
    tokio::spawn(feed(failover, limit / TIMES));
}

async fn feed(failover: Caller, every: Duration) {
    let mut told = false;
    loop {
        let answers = answers(&failover, every).await;
        if answers {
            notify(&[NotifyState::Watchdog]);
        } else if !told {
            error!(
                "the failover thread has not answered for {} s: if it does not soon, the service manager \
                 starts vipd again",
                every.as_secs_f64()
            );
        }
        told = !answers;
        tokio::time::sleep(every).await;
    }
}

/// Whether the failover thread takes a command within this time.
async fn answers(failover: &Caller, within: Duration) -> bool {
    let (reply, answer) = oneshot::channel();
    failover.send(Command::Answer(reply));
    matches!(tokio::time::timeout(within, answer).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn only_a_thread_that_takes_commands_answers() {
        let (caller, inbox) = Caller::new().unwrap();
        let thread = std::thread::spawn(move || {
            if let Ok(Command::Answer(reply)) = inbox.recv() {
                let _ = reply.send(());
            }
            inbox
        });
        assert!(answers(&caller, Duration::from_secs(60)).await);
        let inbox = thread.join().unwrap();
        assert!(!answers(&caller, Duration::from_millis(10)).await, "stuck");
        drop(inbox);
        assert!(!answers(&caller, Duration::from_secs(60)).await, "gone");
    }
}
