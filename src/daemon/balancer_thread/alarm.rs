//! When the thread has something to do by itself.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::kernel::clock;
use crate::time::Time;

/// The longest sleep: the runtime's timers stand still while the machine is suspended, ours do not.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// Rings at a deadline. It is set when that changes, not after each of thousands of checks that leave it as it
/// is: to set it takes two looks at clocks.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// What it is set to; `None` while it has to be set.
    set_to: Option<Option<Time>>,
}

impl Alarm {
    /// Must be called in the context of a runtime.
    pub(super) fn new() -> Alarm {
        Alarm {
            sleep: Box::pin(sleep(SLEEP_MAX)),
            set_to: None,
        }
    }

    /// Rings at this time, or after [`SLEEP_MAX`].
    pub(super) fn set(&mut self, deadline: Option<Time>) {
        if self.set_to == Some(deadline) {
            return;
        }
        let wait = deadline.map_or(SLEEP_MAX, |time| time.until(clock::now()).min(SLEEP_MAX));
        self.sleep.as_mut().reset(Instant::now() + wait);
        self.set_to = Some(deadline);
    }

    /// Waits until it rings; then it has to be set again. Nothing is lost when this is not waited for.
    pub(super) async fn rings(&mut self) {
        self.sleep.as_mut().await;
        self.set_to = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_at_its_deadline_each_time_it_is_set_and_when_that_comes_earlier() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let mut alarm = Alarm::new();
            let late = clock::now() + Duration::from_secs(3600);
            for _ in 0..2 {
                alarm.set(Some(late));
                let deadline = clock::now() + Duration::from_millis(15);
                alarm.set(Some(deadline));
                alarm.set(Some(deadline));
                alarm.rings().await;
                assert!(clock::now() >= deadline);
                // One that has passed rings at once.
                alarm.set(Some(deadline));
                alarm.rings().await;
            }
            assert!(clock::now() < late);
        });
    }
}
