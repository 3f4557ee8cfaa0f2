//! `vipd doctor`: what is wrong with this machine and its network, before a start or while vipd runs.
//!
//! Facts are gathered first ([`gather`], [`listen`]), then judged ([`judge`], [`wire`]); only the first reads,
//! asks and listens. Nothing is changed.

mod facts;
mod filter;
mod gather;
mod judge;
mod listen;
mod passage;
mod rulesets;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::args::Reading;
use super::client::Whom;

use facts::Facts;
use judge::{Finding, Findings, Severity};

/// Say what is wrong with this machine and its network, and what to do
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Before the first start or while vipd runs, as root. It changes nothing; for some seconds it listens on the
interfaces of the configuration, and asks who has the virtual addresses.

It looks at: the configuration, capabilities, kernel modules, links, forwarding, ARP and reverse-path
settings, firewalls (nft and iptables) that drop VRRP or the services' traffic, who else uses our virtual
router ids and addresses, versions, intervals, passwords and priorities of peers, the clock, pid files left
over, keepalived beside it, and network managers that would take addresses away.

Exit status: 0 nothing worse than a note, 1 warnings, 2 errors.

Examples:
  vipd doctor
  vipd doctor -f /etc/keepalived/keepalived.conf --listen 10s
  vipd doctor --json")]
pub struct DoctorArgs {
    /// Configuration file [default: that of the vipd that runs, else as for a start]
    #[arg(short = 'f', long = "use-file", value_name = "FILE")]
    file: Option<PathBuf>,

    /// How long to listen; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = humantime::parse_duration)]
    listen: Duration,

    /// For programs: an array of objects
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(args: &DoctorArgs) -> ExitCode {
    let facts = gather::gather(&gather::Ask {
        file: args.file.as_deref(),
        reading: args.reading.options(),
        whom: &args.whom,
        listen: args.listen,
    });
    let findings = findings(&facts);
    let text = match args.json {
        true => format!("{:#}\n", serde_json::json!(findings)),
        false => words(&findings, &facts),
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    match findings.first().map(|finding| finding.severity) {
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        Some(Severity::Note) | None => ExitCode::SUCCESS,
    }
}

/// What the facts mean, the worst first.
fn findings(facts: &Facts) -> Vec<Finding> {
    let mut out = Findings::default();
    judge::machine(facts, &mut out);
    wire::network(facts, &mut out);
    let mut all = merged(out.0);
    all.sort_by_key(|finding| finding.severity);
    all
}

/// Objects that a finding names; it says how many more there are.
const NAMED_MAX: usize = 5;

/// What is the same of several objects, said once: an interface may have hundreds of instances.
fn merged(all: Vec<Finding>) -> Vec<Finding> {
    let mut groups: BTreeMap<Finding, (usize, Vec<String>)> = BTreeMap::new();
    for (at, finding) in all.into_iter().enumerate() {
        let on = finding.on.clone();
        let key = Finding {
            on: String::new(),
            ..finding
        };
        let group = groups.entry(key).or_insert_with(|| (at, Vec::new()));
        group.1.push(on);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (at, _))| *at);
    let one = |(finding, (_, on)): (Finding, (usize, Vec<String>))| {
        let more = on.len().saturating_sub(NAMED_MAX);
        let mut names = on
            .into_iter()
            .take(NAMED_MAX)
            .collect::<Vec<_>>()
            .join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        Finding {
            on: names,
            ..finding
        }
    };
    groups.into_iter().map(one).collect()
}

fn words(findings: &[Finding], facts: &Facts) -> String {
    let mut out = String::new();
    for finding in findings {
        let Finding {
            on,
            what,
            why,
            remedy,
            code,
            ..
        } = finding;
        let word = finding.severity.word();
        let _ = writeln!(
            out,
            "{word}[{code}] {on}: {what}\n    why: {why}\n    do:  {remedy}"
        );
    }
    let heard = wire::summary(facts);
    if !heard.is_empty() {
        let _ = writeln!(out, "heard:");
    }
    for line in heard {
        let _ = writeln!(out, "  {line}");
    }
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let _ = writeln!(
        out,
        "{} errors, {} warnings, {} notes",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    out
}
