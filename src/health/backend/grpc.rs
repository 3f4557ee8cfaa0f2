//! `GRPC_CHECK`: whether a service serves.

use crate::health::CheckOutcome;
use crate::wire::grpc::Health;

/// `grpc-status` 5 and 12: what a server says that does not know the service, or has no health protocol.
const NOT_FOUND: u32 = 5;
const UNIMPLEMENTED: u32 = 12;

/// Only a service that serves is well. `service`: which was asked for; empty: the server as a whole.
pub fn grpc_outcome(health: &Health, service: &str) -> CheckOutcome {
    let whole = || "the server as a whole".to_owned();
    let which = match service {
        "" => whole(),
        name => format!("the service {name}"),
    };
    CheckOutcome::Failed(match health {
        Health::Status(1) => return CheckOutcome::Passed,
        Health::Status(0) => format!("{which} is UNKNOWN"),
        Health::Status(2) => format!("{which} is NOT_SERVING"),
        Health::Status(3)
        | Health::Refused {
            code: NOT_FOUND, ..
        } => {
            format!("the server knows nothing of the health of {which}")
        }
        Health::Status(other) => format!("{which} has status {other}"),
        Health::Refused {
            code: UNIMPLEMENTED,
            ..
        } => "the server does not have grpc.health.v1.Health".to_owned(),
        Health::Refused { code, message } => format!("gRPC status {code} {message}")
            .trim_end()
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_serves_is_well() {
        let said = |health: Health| match grpc_outcome(&health, "shop") {
            CheckOutcome::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        let passed = grpc_outcome(&Health::Status(1), "");
        assert_eq!(passed, CheckOutcome::Passed);
        let refused = |code| Health::Refused {
            code,
            message: "no".to_owned(),
        };
        assert_eq!(said(Health::Status(2)), "the service shop is NOT_SERVING");
        assert_eq!(said(Health::Status(0)), "the service shop is UNKNOWN");
        assert_eq!(said(Health::Status(9)), "the service shop has status 9");
        for unknown in [Health::Status(3), refused(NOT_FOUND)] {
            let expected = "the server knows nothing of the health of the service shop";
            assert_eq!(said(unknown), expected);
        }
        let none = "the server does not have grpc.health.v1.Health";
        assert_eq!(said(refused(UNIMPLEMENTED)), none);
        assert_eq!(said(refused(14)), "gRPC status 14 no");
    }
}
