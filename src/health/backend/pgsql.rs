//! `PGSQL_CHECK`: what a server of PostgreSQL says of itself.

use std::time::Duration;

use crate::config::model::{PgsqlRole, PgsqlWants};
use crate::health::CheckOutcome;
use crate::wire::pgsql::Answered;

/// Whether it is in recovery, and how many seconds of it are still to be replayed. A standby that has
/// replayed all that its receiver has is up to date, however old the last change is; one that receives
/// nothing gets older with time.
const RECOVERY: &str = "SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() THEN 0 \
     WHEN EXISTS (SELECT 1 FROM pg_stat_wal_receiver) \
     AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
     ELSE floor(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))::bigint END";

/// What has to be asked, in order.
pub fn pgsql_statements(wants: &PgsqlWants) -> Vec<String> {
    let recovery = wants.role.is_some() || wants.max_lag.is_some();
    let recovery = recovery.then(|| RECOVERY.to_owned());
    recovery.into_iter().chain([query(wants)]).collect()
}

fn query(wants: &PgsqlWants) -> String {
    wants.query.clone().unwrap_or_else(|| "SELECT 1".to_owned())
}

/// What the answers to those say of the server.
pub fn pgsql_outcome(answers: &[Answered], wants: &PgsqlWants) -> CheckOutcome {
    match judge(answers, wants) {
        Ok(()) => CheckOutcome::Passed,
        Err(why) => CheckOutcome::Failed(why),
    }
}

fn judge(answers: &[Answered], wants: &PgsqlWants) -> Result<(), String> {
    let statements = pgsql_statements(wants);
    for (answer, statement) in answers.iter().zip(&statements) {
        if let Err(why) = answer {
            let statement = match statement.as_str() {
                RECOVERY => "pg_is_in_recovery()",
                statement => statement,
            };
            return Err(format!("`{statement}`: {why}"));
        }
    }
    if answers.len() != statements.len() {
        return Err("not every question was answered".to_owned());
    }
    if statements.len() == 1 {
        return Ok(());
    }
    let Some(Ok(row)) = answers.first() else {
        return Err("not every question was answered".to_owned());
    };
    let value = |at: usize| row.get(at).and_then(Option::as_deref);
    let standby = match value(0) {
        Some("t") => true,
        Some("f") => false,
        _ => return Err("it does not say whether it is in recovery".to_owned()),
    };
    match (wants.role, standby) {
        (Some(PgsqlRole::Primary), true) => {
            return Err("it is a standby (in recovery), not a primary".to_owned());
        }
        (Some(PgsqlRole::Standby), false) => {
            return Err("it is a primary, not a standby".to_owned());
        }
        _ => {}
    }
    match (wants.max_lag, value(1).map(str::parse::<i64>)) {
        (None, _) => Ok(()),
        (Some(limit), Some(Ok(behind))) => behind_at_most(limit, behind),
        (Some(_), _) => Err("it has replayed nothing yet".to_owned()),
    }
}

fn behind_at_most(limit: Duration, behind: i64) -> Result<(), String> {
    match u64::try_from(behind).unwrap_or(0) <= limit.as_secs() {
        true => Ok(()),
        false => Err(format!(
            "replication is {behind} s behind, more than {limit:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(row: [Option<&str>; 2], role: Option<PgsqlRole>, max_lag: Option<u64>) -> String {
        let wants = PgsqlWants {
            role,
            max_lag: max_lag.map(Duration::from_secs),
            query: None,
        };
        let row = row.map(|value| value.map(str::to_owned)).to_vec();
        let one = Ok(vec![Some("1".to_owned())]);
        match pgsql_outcome(&[Ok(row), one], &wants) {
            CheckOutcome::Passed => String::new(),
            CheckOutcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn roles_and_lags() {
        use PgsqlRole::{Primary, Standby};
        let (primary, standby) = ([Some("f"), Some("0")], [Some("t"), Some("7")]);
        assert_eq!(said(primary, Some(Primary), Some(5)), "");
        assert_eq!(said(standby, Some(Standby), Some(7)), "");
        assert_eq!(said(standby, Some(Standby), None), "");
        assert_eq!(
            said(primary, Some(Standby), None),
            "it is a primary, not a standby"
        );
        assert_eq!(
            said(standby, Some(Primary), None),
            "it is a standby (in recovery), not a primary"
        );
        assert_eq!(
            said(standby, None, Some(6)),
            "replication is 7 s behind, more than 6s"
        );
        assert_eq!(
            said([Some("t"), None], None, Some(6)),
            "it has replayed nothing yet"
        );
        let strange = said([None, None], Some(Primary), None);
        assert_eq!(strange, "it does not say whether it is in recovery");
    }

    #[test]
    fn a_statement_that_is_refused_is_a_failure() {
        let refused = [Err("error 57014: canceling statement".to_owned())];
        let outcome = pgsql_outcome(&refused, &PgsqlWants::default());
        let why = "`SELECT 1`: error 57014: canceling statement".to_owned();
        assert_eq!(outcome, CheckOutcome::Failed(why));
        assert_eq!(
            pgsql_outcome(&[Ok(Vec::new())], &PgsqlWants::default()),
            CheckOutcome::Passed
        );
        assert_ne!(
            pgsql_outcome(&[], &PgsqlWants::default()),
            CheckOutcome::Passed
        );
    }
}
