//! `vipd status`: what the vipd that runs does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use hyper::Method;

use crate::control::model::{
    DrainingServer, Instance, KernelSetting, RealServer, Status, VirtualServer,
};
use crate::control::words;
use crate::kernel::clock;

use super::client::Whom;
use super::why;

/// Show what the vipd that runs does, and why
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0, or 1 when no vipd answers or nothing has that name.

Examples:
  vipd status                       everything, in short
  vipd status VI_1                  one instance, and the facts behind its state
  vipd status 10.0.0.1:80/tcp       one virtual server and its servers
  vipd status --json                everything, for programs")]
pub struct StatusArgs {
    /// An instance, a sync group, or a virtual server
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// For programs: the JSON of /v1/status
    #[arg(long, conflicts_with = "name")]
    json: bool,

    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, String> {
    let answer = args.whom.ask(Method::GET, "/v1/status")?;
    let status: Status = answer.done()?;
    let text = if args.json {
        let mut text = serde_json::to_string_pretty(&status).unwrap_or_default();
        text.push('\n');
        text
    } else {
        match &args.name {
            None => everything(&status, &clock::local_words),
            Some(name) => why::one(&status, name, &clock::local_words)?,
        }
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Everything, a few lines for each object.
pub(super) fn everything(status: &Status, clock: words::Clock<'_>) -> String {
    let daemon = &status.daemon;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "vipd {} on {}, process {}, since {}, configuration {}",
        daemon.version,
        daemon.host,
        daemon.pid,
        clock(&daemon.started),
        daemon.configuration
    );
    if daemon.standby {
        let since = daemon.standby_since.as_deref();
        let since = since.map(|since| format!(" ({since})")).unwrap_or_default();
        let _ = writeln!(
            out,
            "STANDBY: this node was told to yield, and to stay so{since}"
        );
    }
    if let Some(what) = &daemon.waits_for {
        let _ = writeln!(out, "waits for {what}");
    }
    if let Some(reload) = daemon.reload.as_ref().filter(|reload| !reload.done) {
        let errors = reload.errors.join("\n  ");
        let at = clock(&reload.at);
        let _ = writeln!(
            out,
            "RELOAD REFUSED at {at}, the configuration before it is in force:\n  {errors}"
        );
    }
    if !status.instances.is_empty() {
        out.push('\n');
        out.push_str(&instances(&status.instances, clock));
    }
    for group in &status.sync_groups {
        let members = group.members.join(", ");
        let _ = writeln!(
            out,
            "sync group {}: {} ({members})",
            group.name, group.state
        );
    }
    let bad = status
        .trackers
        .iter()
        .filter(|tracker| tracker.value != "up");
    let bad = bad.filter(|tracker| tracker.value.parse::<i64>().is_err());
    for tracker in bad {
        let since = tracker
            .since
            .as_deref()
            .map(|since| format!(", since {}", clock(since)));
        let _ = writeln!(out, "tracker {}{}", tracker.says, since.unwrap_or_default());
    }
    for session in &status.bfd {
        let since = session
            .since
            .as_deref()
            .map(|since| format!(" since {}", clock(since)));
        let reason = session
            .reason
            .as_deref()
            .map(|reason| format!(": {reason}"));
        let _ = writeln!(
            out,
            "BFD session {} with {}: {}{}{}",
            session.name,
            session.neighbor,
            session.state,
            since.unwrap_or_default(),
            reason.unwrap_or_default()
        );
    }
    for server in &status.virtual_servers {
        out.push('\n');
        out.push_str(&virtual_server(server, clock));
    }
    for order in &status.overrides {
        let _ = writeln!(out, "OVERRIDE {}", words::override_in_words(order, clock));
    }
    out.push_str(&draining(&status.draining, clock));
    out.push_str(&settings(&status.kernel));
    out
}

/// Settings of the kernel, a line each.
fn settings(all: &[KernelSetting]) -> String {
    let mut out = String::new();
    for setting in all {
        let KernelSetting { name, wanted, .. } = setting;
        let now = setting.now.as_deref().unwrap_or("not there");
        let whom = setting.whom.join(", ");
        let _ = match (&setting.why, &setting.before) {
            (Some(why), _) => writeln!(
                out,
                "KERNEL {name} is {now} instead of {wanted}: {why} ({whom})"
            ),
            (None, Some(before)) => {
                writeln!(
                    out,
                    "kernel {name} is {now}, set for {whom}, before {before}"
                )
            }
            (None, None) => writeln!(out, "kernel {name} is {now}, kept for {whom}"),
        };
    }
    out
}

/// Servers that keep their connections for a while, a line each.
fn draining(all: &[DrainingServer], clock: words::Clock<'_>) -> String {
    let mut out = String::new();
    for server in all {
        let left = match server.connections {
            None => "connections not counted yet".to_owned(),
            Some(1) => "1 connection left".to_owned(),
            Some(count) => format!("{count} connections left"),
        };
        let _ = writeln!(
            out,
            "draining {} of {}: {left}, until {} at most",
            server.server,
            server.service,
            clock(&server.until)
        );
    }
    out
}

/// A line for each instance, and why it is what it is under it.
fn instances(all: &[Instance], clock: words::Clock<'_>) -> String {
    let width = all
        .iter()
        .map(|instance| instance.name.chars().count())
        .max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    for instance in all {
        let since = instance
            .since
            .as_deref()
            .map(|since| format!(" since {}", clock(since)));
        let held = instance
            .addresses
            .iter()
            .filter(|address| address.held)
            .count();
        let _ = writeln!(
            out,
            "{:width$}  {}{}, priority {}, holds {held} of {} addresses{}",
            instance.name,
            instance.state,
            since.unwrap_or_default(),
            instance.priority.effective,
            instance.addresses.len(),
            if instance.leaving {
                " until they answer elsewhere"
            } else {
                ""
            }
        );
        let why = instance
            .why
            .split_once(": ")
            .map_or(instance.why.as_str(), |(_, why)| why);
        let _ = writeln!(out, "{:width$}    {why}", "");
    }
    out
}

/// A virtual server, and a line for each of its servers.
pub(super) fn virtual_server(server: &VirtualServer, clock: words::Clock<'_>) -> String {
    let mut out = String::new();
    let group = server
        .group
        .as_ref()
        .map(|group| format!(" of group {group}"));
    let _ = writeln!(
        out,
        "{}{}, {}: {}",
        server.name,
        group.unwrap_or_default(),
        server.scheduler,
        server.why
    );
    let width = server
        .real_servers
        .iter()
        .map(|server| server.address.len())
        .max()
        .unwrap_or(0);
    for real in &server.real_servers {
        let _ = writeln!(
            out,
            "  {:width$}  {}",
            real.address,
            real_server(real, clock)
        );
    }
    out
}

fn real_server(server: &RealServer, clock: words::Clock<'_>) -> String {
    let weight = match server.weight_now {
        None => "not in the pool".to_owned(),
        Some(weight) if weight == server.weight => format!("weight {weight}"),
        Some(weight) => format!("weight {weight} instead of {}", server.weight),
    };
    let mut text = format!("{}, {weight}", words::real_server(server, clock));
    if server.up
        && let Some(check) = server.checks.iter().max_by_key(|check| check.latency_us)
        && let Some(micros) = check.latency_us
    {
        let (millis, rest) = (micros / 1000, micros % 1000 / 100);
        let _ = write!(text, ", {} in {millis}.{rest} ms", check.kind);
    }
    text
}

#[cfg(test)]
#[path = "status/tests.rs"]
pub(super) mod tests;
