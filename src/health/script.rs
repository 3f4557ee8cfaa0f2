//! What the end of a command says of a server (`MISC_CHECK`).

use std::time::Duration;

use super::{CheckOutcome, Weighing};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// With this exit status.
    Exited(u8),
    /// By this signal.
    Signaled(i32),
    /// It took longer than this.
    TimedOut(Duration),
    /// It could not be started; why.
    NotStarted(String),
}

impl ScriptEnd {
    /// Exit status 0 is well. With `misc_dynamic` 2 to 255 is well too, and sets the weight to the status
    /// less 2; 0 gives back the configured one.
    pub fn outcome(self, dynamic: bool) -> CheckOutcome {
        match self {
            ScriptEnd::Exited(0) => CheckOutcome::Passed,
            ScriptEnd::Exited(status @ 2..) if dynamic => {
                CheckOutcome::Weighs(Weighing::Instead(u32::from(status) - 2))
            }
            ScriptEnd::Exited(status) => CheckOutcome::Failed(format!("exit status {status}")),
            ScriptEnd::Signaled(signal) => {
                CheckOutcome::Failed(format!("ended by signal {signal}"))
            }
            ScriptEnd::TimedOut(limit) => {
                CheckOutcome::Failed(format!("still ran after {limit:?}, and was ended"))
            }
            ScriptEnd::NotStarted(why) => CheckOutcome::Failed(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_weight_where_it_may_be() {
        let outcome = |status, dynamic| ScriptEnd::Exited(status).outcome(dynamic);
        assert_eq!(outcome(0, false), CheckOutcome::Passed);
        assert_eq!(outcome(0, true), CheckOutcome::Passed);
        assert_eq!(
            outcome(1, true),
            CheckOutcome::Failed("exit status 1".to_owned())
        );
        assert_eq!(
            outcome(2, false),
            CheckOutcome::Failed("exit status 2".to_owned())
        );
        assert_eq!(outcome(2, true), CheckOutcome::Weighs(Weighing::Instead(0)));
        assert_eq!(
            outcome(255, true),
            CheckOutcome::Weighs(Weighing::Instead(253))
        );
        let late = ScriptEnd::TimedOut(Duration::from_secs(3)).outcome(true);
        assert_eq!(
            late,
            CheckOutcome::Failed("still ran after 3s, and was ended".to_owned())
        );
    }
}
