//! `REDIS_CHECK`: whether a server has the part that it should have.

use crate::config::model::RedisRole;
use crate::health::CheckOutcome;
use crate::wire::redis::{Part, Pong};

/// A replica must be in step with its master as well: one whose link is down answers with old data.
pub fn redis_outcome(pong: &Pong, wanted: Option<RedisRole>) -> CheckOutcome {
    let Some(wanted) = wanted else {
        return CheckOutcome::Passed;
    };
    match (&pong.part, wanted) {
        (Some(Part::Master), RedisRole::Master) => CheckOutcome::Passed,
        (Some(Part::Replica { link }), RedisRole::Replica) if link == "connected" => {
            CheckOutcome::Passed
        }
        (Some(Part::Replica { link }), RedisRole::Replica) => CheckOutcome::Failed(format!(
            "the link of this replica to its master is `{link}`"
        )),
        (Some(Part::Master), RedisRole::Replica) => {
            CheckOutcome::Failed("it is a master, not a replica".to_owned())
        }
        (Some(Part::Replica { .. }), RedisRole::Master) => {
            CheckOutcome::Failed("it is a replica, not a master".to_owned())
        }
        (Some(Part::Other(name)), _) => {
            CheckOutcome::Failed(format!("its role is `{name}`, neither master nor replica"))
        }
        (None, _) => CheckOutcome::Failed("it does not say its role".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wanted_role_passes() {
        let replica = |link: &str| {
            Some(Part::Replica {
                link: link.to_owned(),
            })
        };
        let said = |part, wanted| redis_outcome(&Pong { part }, wanted);
        let passed = CheckOutcome::Passed;
        assert_eq!(said(None, None), passed);
        assert_eq!(said(Some(Part::Master), Some(RedisRole::Master)), passed);
        assert_eq!(said(replica("connected"), Some(RedisRole::Replica)), passed);
        for (part, wanted) in [
            (replica("sync"), RedisRole::Replica),
            (replica("connected"), RedisRole::Master),
            (Some(Part::Master), RedisRole::Replica),
            (Some(Part::Other("sentinel".into())), RedisRole::Master),
            (None, RedisRole::Master),
        ] {
            assert!(matches!(said(part, Some(wanted)), CheckOutcome::Failed(_)));
        }
    }
}
