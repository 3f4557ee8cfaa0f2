//! `MYSQL_CHECK`: what a server of MySQL, MariaDB or a Galera cluster says of itself.

use std::time::Duration;

use crate::config::model::{Donor, GaleraWants, MysqlWants};
use crate::health::{CheckOutcome, Found, Member};
use crate::wire::mysql::{Link, Questions, Report};

/// `wsrep_local_state` of a node that may be asked.
const DONOR: &str = "2";
const SYNCED: &str = "4";

/// What has to be known.
pub fn mysql_questions(wants: &MysqlWants) -> Questions {
    let mut questions = Questions {
        replication: wants.max_lag.is_some(),
        query: Some(wants.query.clone().unwrap_or_else(|| "SELECT 1".to_owned())),
        ..Questions::default()
    };
    if wants.read_only.is_some() || wants.max_lag.is_some() {
        questions.variables.push("read_only");
    }
    if wants.galera.is_some() {
        questions.variables.extend([
            "wsrep_desync",
            "wsrep_sst_donor_rejects_queries",
            "wsrep_reject_queries",
            "pxc_maint_mode",
        ]);
        questions.status.extend([
            "wsrep_ready",
            "wsrep_connected",
            "wsrep_cluster_status",
            "wsrep_cluster_size",
            "wsrep_local_state",
            "wsrep_local_state_comment",
            "wsrep_local_recv_queue",
            "wsrep_local_index",
            "wsrep_gcomm_uuid",
            "wsrep_flow_control_paused_ns",
        ]);
    }
    questions
}

/// What the answers say of the server.
pub fn mysql_outcome(report: &Report, wants: &MysqlWants) -> CheckOutcome {
    let mut found = Found::default();
    let judged = match &wants.galera {
        Some(galera) => self::galera(report, galera, &mut found),
        None => Ok(()),
    };
    let judged = judged
        .and_then(|()| match &report.refused {
            Some(why) => Err(format!("`{}`: {why}", query(wants))),
            None => Ok(()),
        })
        .and_then(|()| read_only(report, wants))
        .and_then(|()| replication(report, wants));
    match judged {
        Err(why) => CheckOutcome::Failed(why),
        Ok(()) if found == Found::default() => CheckOutcome::Passed,
        Ok(()) => CheckOutcome::Found(Box::new(found)),
    }
}

fn query(wants: &MysqlWants) -> &str {
    wants.query.as_deref().unwrap_or("SELECT 1")
}

fn fact<'a>(report: &'a Report, name: &str) -> &'a str {
    report.facts.get(name).map_or("", String::as_str)
}

fn is_on(value: &str) -> bool {
    value.eq_ignore_ascii_case("on") || value == "1"
}

fn galera(report: &Report, wants: &GaleraWants, found: &mut Found) -> Result<(), String> {
    let fact = |name| fact(report, name);
    let state = fact("wsrep_local_state");
    if state.is_empty() {
        return Err("it is no node of a Galera cluster (it has no wsrep_local_state)".to_owned());
    }
    match fact("wsrep_cluster_status") {
        "Primary" => {}
        status => return Err(format!("wsrep_cluster_status is `{status}`, not Primary")),
    }
    match fact("pxc_maint_mode") {
        "" | "DISABLED" => {}
        mode => return Err(format!("pxc_maint_mode is `{mode}`")),
    }
    match fact("wsrep_reject_queries") {
        "" | "NONE" => {}
        what => return Err(format!("wsrep_reject_queries is `{what}`")),
    }
    local_state(report, state, wants)?;
    if !is_on(fact("wsrep_ready")) {
        return Err("wsrep_ready is not ON".to_owned());
    }
    let size: u32 = fact("wsrep_cluster_size").parse().unwrap_or(0);
    if size < wants.min_cluster_size {
        let least = wants.min_cluster_size;
        return Err(format!("wsrep_cluster_size is {size}, not {least} or more"));
    }
    if let Some((high, low)) = wants.max_recv_queue {
        let queue: u32 = fact("wsrep_local_recv_queue").parse().unwrap_or(0);
        if queue > high {
            return Err(format!("wsrep_local_recv_queue is {queue}, above {high}"));
        }
        let why = || format!("wsrep_local_recv_queue is {queue}, not yet {low} or less");
        found.if_down = (queue > low).then(why);
    }
    if wants.flow_control_weight {
        let paused = fact("wsrep_flow_control_paused_ns").parse().ok();
        found.paused = paused.map(Duration::from_nanos);
    }
    found.member = fact("wsrep_local_index").parse().ok().map(|index| Member {
        index,
        uuid: fact("wsrep_gcomm_uuid").to_owned(),
    });
    Ok(())
}

fn local_state(report: &Report, state: &str, wants: &GaleraWants) -> Result<(), String> {
    let desynced = is_on(fact(report, "wsrep_desync"));
    if desynced && !wants.desynced {
        return Err("it is desynced (wsrep_desync is ON)".to_owned());
    }
    match state {
        SYNCED => Ok(()),
        DONOR if desynced => Ok(()),
        DONOR => {
            let rejects = is_on(fact(report, "wsrep_sst_donor_rejects_queries"));
            match wants.donor {
                Donor::Allow => Ok(()),
                Donor::Auto if !rejects => Ok(()),
                Donor::Auto => {
                    Err("it is a donor, and wsrep_sst_donor_rejects_queries is ON".to_owned())
                }
                Donor::Deny => Err("it is a donor".to_owned()),
            }
        }
        _ => {
            let comment = fact(report, "wsrep_local_state_comment");
            Err(format!(
                "wsrep_local_state is {state} ({comment}), not synced"
            ))
        }
    }
}

fn read_only(report: &Report, wants: &MysqlWants) -> Result<(), String> {
    let Some(wanted) = wants.read_only else {
        return Ok(());
    };
    // MariaDB 12 and MySQL have other words than ON and OFF for more of it.
    let value = fact(report, "read_only");
    let is = !value.eq_ignore_ascii_case("off") && value != "0" && !value.is_empty();
    match is == wanted {
        true => Ok(()),
        false => {
            let wanted = if wanted { "ON" } else { "OFF" };
            Err(format!("read_only is `{value}`, not {wanted}"))
        }
    }
}

/// A server without a source is up to date, unless it can only be one that has lost it.
fn replication(report: &Report, wants: &MysqlWants) -> Result<(), String> {
    let (Some(limit), Some(links)) = (wants.max_lag, &report.links) else {
        return Ok(());
    };
    if links.is_empty() && is_on(fact(report, "read_only")) {
        return Err("it is read_only and follows no source".to_owned());
    }
    links.iter().try_for_each(|link| behind(link, limit))
}

fn behind(link: &Link, limit: Duration) -> Result<(), String> {
    for (what, runs) in [
        ("reads from its source", &link.io),
        ("carries out", &link.sql),
    ] {
        if !runs.eq_ignore_ascii_case("yes") {
            return Err(format!("replication: what {what} runs: `{runs}`"));
        }
    }
    match link.behind {
        Some(seconds) if seconds <= limit.as_secs() => Ok(()),
        Some(seconds) => Err(format!(
            "replication is {seconds} s behind, more than {limit:?}"
        )),
        None => Err("replication: how far it is behind is not known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(changes: &[(&str, &str)]) -> Report {
        let mut report = Report::default();
        let well = [
            ("wsrep_ready", "ON"),
            ("wsrep_cluster_status", "Primary"),
            ("wsrep_cluster_size", "3"),
            ("wsrep_local_state", "4"),
            ("wsrep_local_recv_queue", "0"),
            ("wsrep_local_index", "1"),
            ("wsrep_gcomm_uuid", "a-b"),
            ("wsrep_desync", "OFF"),
        ];
        for (name, value) in well.iter().chain(changes) {
            report.facts.insert((*name).to_owned(), (*value).to_owned());
        }
        report
    }

    fn wants(galera: GaleraWants) -> MysqlWants {
        MysqlWants {
            galera: Some(galera),
            ..MysqlWants::default()
        }
    }

    fn said(changes: &[(&str, &str)], galera: GaleraWants) -> String {
        match mysql_outcome(&node(changes), &wants(galera)) {
            CheckOutcome::Failed(why) => why,
            CheckOutcome::Found(found) => found.if_down.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_is_well_or_it_is_said_why_not() {
        let plain = GaleraWants::default;
        assert_eq!(said(&[], plain()), "");
        for (name, value, why) in [
            (
                "wsrep_cluster_status",
                "non-Primary",
                "wsrep_cluster_status is `non-Primary`, not Primary",
            ),
            ("wsrep_ready", "OFF", "wsrep_ready is not ON"),
            (
                "wsrep_local_state",
                "1",
                "wsrep_local_state is 1 (), not synced",
            ),
            ("wsrep_desync", "ON", "it is desynced (wsrep_desync is ON)"),
            ("pxc_maint_mode", "SHUTDOWN", "pxc_maint_mode is `SHUTDOWN`"),
            (
                "wsrep_reject_queries",
                "ALL",
                "wsrep_reject_queries is `ALL`",
            ),
        ] {
            assert_eq!(said(&[(name, value)], plain()), why);
        }
        let none = mysql_outcome(&Report::default(), &wants(plain()));
        assert!(matches!(none, CheckOutcome::Failed(why) if why.starts_with("it is no node")));
    }

    #[test]
    fn a_donor_is_asked_as_it_wants_unless_it_is_said() {
        let donor = ("wsrep_local_state", "2");
        let rejects = ("wsrep_sst_donor_rejects_queries", "ON");
        let wants = |donor| GaleraWants {
            donor,
            ..GaleraWants::default()
        };
        assert_eq!(said(&[donor], wants(Donor::Auto)), "");
        assert_ne!(said(&[donor, rejects], wants(Donor::Auto)), "");
        assert_eq!(said(&[donor, rejects], wants(Donor::Allow)), "");
        assert_eq!(said(&[donor], wants(Donor::Deny)), "it is a donor");
        let desynced = GaleraWants {
            desynced: true,
            donor: Donor::Deny,
            ..GaleraWants::default()
        };
        assert_eq!(said(&[donor, ("wsrep_desync", "ON")], desynced), "");
    }

    #[test]
    fn size_queue_and_pauses() {
        let wants = GaleraWants {
            min_cluster_size: 2,
            max_recv_queue: Some((100, 10)),
            flow_control_weight: true,
            ..GaleraWants::default()
        };
        let queue = |n| [("wsrep_local_recv_queue", n)];
        assert_eq!(
            said(&[("wsrep_cluster_size", "1")], wants.clone()),
            "wsrep_cluster_size is 1, not 2 or more"
        );
        assert_eq!(
            said(&queue("101"), wants.clone()),
            "wsrep_local_recv_queue is 101, above 100"
        );
        assert_eq!(
            said(&queue("11"), wants.clone()),
            "wsrep_local_recv_queue is 11, not yet 10 or less"
        );
        assert_eq!(said(&queue("10"), wants.clone()), "");
        let report = node(&[("wsrep_flow_control_paused_ns", "5000000000")]);
        let CheckOutcome::Found(found) = mysql_outcome(&report, &self::wants(wants)) else {
            panic!("nothing is found");
        };
        assert_eq!(found.paused, Some(Duration::from_secs(5)));
        let uuid = "a-b".to_owned();
        assert_eq!(found.member, Some(Member { index: 1, uuid }));
    }

    #[test]
    fn replicas_and_sources() {
        let link = |io: &str, behind| Link {
            io: io.to_owned(),
            sql: "Yes".to_owned(),
            behind,
        };
        let said = |read_only: &str, wanted, links: Option<Vec<Link>>| {
            let mut report = Report {
                links,
                ..Report::default()
            };
            report.facts.insert("read_only".into(), read_only.into());
            let wants = MysqlWants {
                read_only: wanted,
                max_lag: report.links.as_ref().map(|_| Duration::from_secs(10)),
                ..MysqlWants::default()
            };
            match mysql_outcome(&report, &wants) {
                CheckOutcome::Passed => String::new(),
                CheckOutcome::Failed(why) => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said("OFF", Some(false), None), "");
        assert_eq!(said("ON", Some(true), None), "");
        assert_eq!(said("ON", Some(false), None), "read_only is `ON`, not OFF");
        assert_eq!(said("OFF", Some(true), None), "read_only is `OFF`, not ON");
        assert_eq!(said("ON", None, Some(vec![link("Yes", Some(10))])), "");
        assert_eq!(said("OFF", None, Some(Vec::new())), "");
        for (links, why) in [
            (
                vec![link("Yes", Some(11))],
                "replication is 11 s behind, more than 10s",
            ),
            (
                vec![link("Yes", None)],
                "replication: how far it is behind is not known",
            ),
            (
                vec![link("Yes", Some(0)), link("Connecting", Some(0))],
                "replication: what reads from its source runs: `Connecting`",
            ),
            (Vec::new(), "it is read_only and follows no source"),
        ] {
            assert_eq!(said("ON", None, Some(links)), why);
        }
    }

    #[test]
    fn a_statement_that_is_refused_is_a_failure() {
        let report = Report {
            refused: Some("error 1047: WSREP".to_owned()),
            ..Report::default()
        };
        let outcome = mysql_outcome(&report, &MysqlWants::default());
        let why = "`SELECT 1`: error 1047: WSREP".to_owned();
        assert_eq!(outcome, CheckOutcome::Failed(why));
    }
}
