//! When nothing has happened for a while, memory that is not needed any more goes back.

use std::time::Duration;

use tokio::time::Instant;

/// For so long nothing has changed.
const QUIET: Duration = Duration::from_secs(5);
/// A thread has packed what it keeps by then.
const PACKED: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The failover thread packs what it keeps.
    Pack,
    /// Free pages go back to the kernel.
    GiveBack,
}

/// Says when it is time for each step, once after each time that something happened.
#[derive(Debug)]
pub(super) struct Tidy {
    next: Option<(Instant, Step)>,
}

impl Tidy {
    /// It has just started.
    pub(super) fn new(now: Instant) -> Tidy {
        Tidy {
            next: Some((now + QUIET, Step::Pack)),
        }
    }

    /// Something has happened.
    pub(super) fn stirred(&mut self, now: Instant) {
        *self = Tidy::new(now);
    }

    /// When the next step is due.
    pub(super) fn at(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// The step that is due, which counts as taken.
    pub(super) fn take(&mut self, now: Instant) -> Option<Step> {
        let (_, step) = self.next.take_if(|(at, _)| *at <= now)?;
        if step == Step::Pack {
            self.next = Some((now + PACKED, Step::GiveBack));
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_quiet_and_does_each_step_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut tidy = Tidy::new(start);
        tidy.stirred(after(4));
        assert_eq!((tidy.at(), tidy.take(after(8))), (Some(after(9)), None));
        assert_eq!(tidy.take(after(9)), Some(Step::Pack));
        assert_eq!((tidy.at(), tidy.take(after(9))), (Some(after(10)), None));
        assert_eq!(tidy.take(after(10)), Some(Step::GiveBack));
        assert_eq!((tidy.at(), tidy.take(after(3600))), (None, None));
        tidy.stirred(after(3600));
        assert_eq!(tidy.take(after(3605)), Some(Step::Pack));
        tidy.stirred(after(3605));
        assert_eq!(tidy.take(after(3609)), None);
        assert_eq!(tidy.take(after(3610)), Some(Step::Pack));
    }
}
