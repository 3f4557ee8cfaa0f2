//! `vipd why`: the facts behind a state.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use hyper::Method;

use crate::config::nearest;
use crate::control::model::{Instance, Status, Tracker, VirtualServer};
use crate::control::words;
use crate::kernel::clock;

use super::client::Whom;
use super::status;

/// Say why an instance, a sync group, a tracker or a virtual server is as it is
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0, or 1 when no vipd answers or nothing has that name.

Example:
  vipd why VI_1")]
pub struct WhyArgs {
    /// An instance, a sync group, a tracker, a BFD session, a virtual or a real server
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(args: &WhyArgs) -> Result<ExitCode, String> {
    let answer = args.whom.ask(Method::GET, "/v1/status")?;
    let status: Status = answer.done()?;
    let text = one(&status, &args.name, &clock::local_words)?;
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Everything that has this name.
///
/// # Errors
/// Nothing has.
pub(super) fn one(status: &Status, name: &str, clock: words::Clock<'_>) -> Result<String, String> {
    let mut out = String::new();
    for found in status
        .instances
        .iter()
        .filter(|instance| instance.name == name)
    {
        out.push_str(&instance(status, found, clock));
    }
    for group in status.sync_groups.iter().filter(|group| group.name == name) {
        let _ = writeln!(out, "sync group {} is {}", group.name, group.state);
        let members = status
            .instances
            .iter()
            .filter(|i| group.members.contains(&i.name));
        for member in members {
            let _ = writeln!(
                out,
                "  {} is {}",
                member.name,
                words::instance(status, member, clock)
            );
        }
    }
    for found in status
        .trackers
        .iter()
        .filter(|t| t.name == name || t.key == name)
    {
        out.push_str(&tracker(status, found, clock));
    }
    for session in status.bfd.iter().filter(|session| session.name == name) {
        let since = session
            .since
            .as_deref()
            .map(|since| format!(" since {}", clock(since)));
        let reason = session
            .reason
            .as_deref()
            .or(session.socket_error.as_deref());
        let _ = writeln!(
            out,
            "BFD session {} is {}{}: {}",
            session.name,
            session.state,
            since.unwrap_or_default(),
            reason.unwrap_or("nothing was heard yet")
        );
    }
    for found in status
        .virtual_servers
        .iter()
        .filter(|vs| is_called(vs, name))
    {
        out.push_str(&status::virtual_server(found, clock));
    }
    for vs in &status.virtual_servers {
        for rs in vs.real_servers.iter().filter(|rs| rs.address == name) {
            let _ = writeln!(
                out,
                "{} of {} is {}",
                rs.address,
                vs.name,
                words::real_server(rs, clock)
            );
            for check in &rs.checks {
                let at = check.at.as_deref().map(|at| format!(" at {}", clock(at)));
                let at = at.unwrap_or_default();
                let _ = writeln!(out, "  {}{at}", words::check_result(check));
            }
        }
    }
    if out.is_empty() {
        return Err(nothing(status, name));
    }
    Ok(out)
}

/// `10.0.0.1:80/tcp` is also `10.0.0.1:80`, and the name of its group.
fn is_called(server: &VirtualServer, name: &str) -> bool {
    let short = server.name.split('/').next();
    server.name == name || short == Some(name) || server.group.as_deref() == Some(name)
}

fn nothing(status: &Status, name: &str) -> String {
    let instances = status.instances.iter().map(|i| i.name.as_str());
    let groups = status.sync_groups.iter().map(|g| g.name.as_str());
    let trackers = status.trackers.iter().map(|t| t.name.as_str());
    let services = status.virtual_servers.iter().map(|v| v.name.as_str());
    let names: Vec<&str> = instances
        .chain(groups)
        .chain(trackers)
        .chain(services)
        .collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if names.is_empty() => "there is nothing at all".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    format!("nothing is called {name}; {hint}")
}

/// An instance: one sentence, then what it rests on.
fn instance(status: &Status, instance: &Instance, clock: words::Clock<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} is {}",
        instance.name,
        words::instance(status, instance, clock)
    );
    if let (Some(since), Some(before)) = (&instance.since, &instance.before) {
        let because = instance.entered_because.as_deref().unwrap_or_default();
        let (state, since) = (&instance.state, clock(since));
        let _ = writeln!(out, "  {state} since {since}, {before} before: {because}");
    }
    let priority = &instance.priority;
    let weights = priority.weights.iter().filter(|weight| weight.adds != 0);
    let weights = weights.map(|weight| format!(" {:+} ({})", weight.adds, weight.tracker));
    let weights: String = weights.collect();
    let _ = match weights.is_empty() {
        true => writeln!(out, "  priority {}", priority.effective),
        false => writeln!(
            out,
            "  priority {}{weights} = {}",
            priority.base, priority.effective
        ),
    };
    for key in &instance.tracks {
        if let Some(tracker) = status.trackers.iter().find(|tracker| tracker.key == *key) {
            let _ = writeln!(out, "  {}", says(tracker, clock));
        }
    }
    for fault in &instance.faults {
        let _ = writeln!(out, "  fault: {fault}");
    }
    if let Some(master) = &instance.master {
        let _ = match &master.heard {
            Some(heard) => writeln!(
                out,
                "  last advert from {}, priority {}, at {}",
                master.address,
                master.priority,
                clock(heard)
            ),
            None => writeln!(
                out,
                "  master from {}, priority {}",
                master.address, master.priority
            ),
        };
    }
    for address in &instance.addresses {
        let on = address
            .interface
            .as_ref()
            .map(|on| format!(" on {on}"))
            .unwrap_or_default();
        let held = if address.held {
            "is set here"
        } else {
            "is not set here"
        };
        let _ = writeln!(out, "  {}{on} {held}", address.address);
    }
    if let Some(group) = &instance.group {
        let found = status.sync_groups.iter().find(|found| found.name == *group);
        let state = found.map_or("", |found| found.state.as_str());
        let _ = writeln!(out, "  in sync group {group}, which is {state}");
    }
    let counters = &instance.counters;
    let _ = writeln!(
        out,
        "  adverts: {} sent, {} believed, {} lost; {} times master",
        counters.advert_sent, counters.advert_rcvd, counters.advert_lost, counters.become_master
    );
    out
}

fn says(tracker: &Tracker, clock: words::Clock<'_>) -> String {
    match &tracker.since {
        Some(since) => format!("{}, since {}", tracker.says, clock(since)),
        None => tracker.says.clone(),
    }
}

fn tracker(status: &Status, tracker: &Tracker, clock: words::Clock<'_>) -> String {
    let readers = status
        .instances
        .iter()
        .filter(|i| i.tracks.contains(&tracker.key));
    let readers: Vec<&str> = readers.map(|i| i.name.as_str()).collect();
    format!(
        "{}; tracked by {}\n",
        says(tracker, clock),
        readers.join(", ")
    )
}
