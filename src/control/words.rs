//! Why something is as it is: one sentence for each instance, service and server, made of what the status
//! says. `clock` turns a point in time into the words of whoever reads it.

use super::model::{Check, Instance, Override, RealServer, Status, Tracker, VirtualServer, Writer};

/// Turns a [`super::model::Stamp`] into words.
pub type Clock<'a> = &'a dyn Fn(&str) -> String;

/// `BACKUP: 10.0.0.2 advertises 150, ours is 120 because chk_nginx fails: exit 1, since 14:02:11`.
pub fn instance(status: &Status, instance: &Instance, clock: Clock<'_>) -> String {
    let Instance { state, .. } = instance;
    let why = match state.as_str() {
        "FAULT" => fault(status, instance, clock),
        "MASTER" => master(instance),
        "BACKUP" => backup(status, instance, clock),
        _ => init(status, instance),
    };
    format!("{state}: {why}")
}

fn fault(status: &Status, instance: &Instance, clock: Clock<'_>) -> String {
    if instance.faults.is_empty() {
        return entered(instance, "it was in fault a moment ago");
    }
    let with_since = |fault: &String| {
        let known = instance.tracks.iter().find_map(|key| {
            let tracker = tracker(status, key)?;
            fault
                .contains(&tracker.name)
                .then(|| tracker.since.clone())?
        });
        match known {
            Some(since) => format!("{fault}, since {}", clock(&since)),
            None => fault.clone(),
        }
    };
    let faults: Vec<String> = instance.faults.iter().map(with_since).collect();
    faults.join("; ")
}

fn master(instance: &Instance) -> String {
    let mut text = entered(instance, "it was master before");
    let priority = &instance.priority;
    if priority.effective != priority.base {
        text += &format!(
            "; it advertises {} instead of {}",
            priority.effective, priority.base
        );
    }
    text
}

fn entered(instance: &Instance, otherwise: &str) -> String {
    let because = instance.entered_because.clone();
    because.unwrap_or_else(|| otherwise.to_owned())
}

fn backup(status: &Status, instance: &Instance, clock: Clock<'_>) -> String {
    let ours = instance.priority.effective;
    let because = because(status, instance, clock);
    if status.daemon.standby {
        let since = status.daemon.standby_since.as_deref();
        let since = since.map(|since| format!(" ({since})")).unwrap_or_default();
        return format!("this node was told to stand by{since}");
    }
    let Some(master) = instance.master.as_ref().filter(|master| !master.ours) else {
        return match &status.daemon.waits_for {
            Some(what) => format!("nobody was heard, and it waits for {what}"),
            None => format!(
                "nobody was heard yet; it takes over when that stays so, ours is {ours}{because}"
            ),
        };
    };
    let (address, theirs) = (&master.address, master.priority);
    match theirs {
        0 => format!(
            "{address} has said that it leaves; an election is under way, ours is {ours}{because}"
        ),
        _ if theirs > ours => format!("{address} advertises {theirs}, ours is {ours}{because}"),
        _ if theirs == ours => {
            format!("{address} advertises {theirs} too and was master first{because}")
        }
        _ if instance.nopreempt => {
            format!("{address} advertises {theirs}, ours is {ours}, and nopreempt leaves it master")
        }
        _ => {
            let entered = entered(instance, "it was started");
            format!("{address} advertises {theirs}, ours is {ours}; it follows because {entered}")
        }
    }
}

/// What lowers the priority.
fn because(status: &Status, instance: &Instance, clock: Clock<'_>) -> String {
    let lowers = instance.priority.weights.iter().filter_map(|weight| {
        let tracker = tracker(status, &weight.tracker)?;
        let since = match &tracker.since {
            Some(since) => format!(", since {}", clock(since)),
            None => String::new(),
        };
        let says = &tracker.says;
        match (weight.adds, weight.would_add) {
            (adds, _) if adds < 0 => Some(format!("{says}{since}")),
            (0, would) if would > 0 => Some(format!("{says}{since} (it would add {would})")),
            _ => None,
        }
    });
    let lowers: Vec<String> = lowers.collect();
    match lowers.is_empty() {
        true => String::new(),
        false => format!(" because {}", lowers.join(" and ")),
    }
}

fn init(status: &Status, instance: &Instance) -> String {
    if !instance.waits_for.is_empty() {
        return format!(
            "it waits for the first answer of {}",
            instance.waits_for.join(", ")
        );
    }
    match &status.daemon.waits_for {
        Some(what) => format!("it waits for {what}"),
        None => "it begins".to_owned(),
    }
}

pub(super) fn tracker<'a>(status: &'a Status, key: &str) -> Option<&'a Tracker> {
    status.trackers.iter().find(|tracker| tracker.key == key)
}

/// `quorum: weights up 3, needed 2`.
pub fn virtual_server(server: &VirtualServer) -> String {
    let up = server
        .real_servers
        .iter()
        .filter(|server| server.up)
        .count();
    let all = server.real_servers.len();
    let (sum, needed, slack) = (server.weight_up, server.quorum_needed, server.hysteresis);
    let servers = format!("{up} of {all} servers up, weight {sum}");
    let mut text = match server.quorum {
        true => format!("{servers}, quorum {needed}"),
        false => format!("{servers} of the {} that are needed", needed + slack),
    };
    if let Some(sorry) = &server.sorry_server
        && sorry.active
    {
        text += &format!(": the sorry server {} takes their place", sorry.address);
    }
    if let Some(writer) = &server.writer {
        text += &self::writer(writer);
    }
    if !server.programmed {
        text += "; it is not in the kernel's table";
    }
    text
}

/// `; writer 10.1.0.1:3306: the first of the list that was well`.
fn writer(writer: &Writer) -> String {
    let (Some(address), Some(why)) = (&writer.address, &writer.why) else {
        return "; no writer".to_owned();
    };
    let mut text = format!("; writer {address}: {why}");
    if let Some(first) = &writer.passed_over {
        text += &format!(", and it stays though {first} is well and comes before it");
    }
    text
}

/// `down since 14:02:11: TCP_CHECK: connection refused (ECONNREFUSED)`.
pub fn real_server(server: &RealServer, clock: Clock<'_>) -> String {
    let state = if server.up { "up" } else { "down" };
    let mut text = match &server.since {
        Some(since) => format!("{state} since {}", clock(since)),
        None => state.to_owned(),
    };
    if server.checks.is_empty() {
        text += ": it has no check";
    }
    let failed = server
        .checks
        .iter()
        .filter(|check| !check.up || check.retries > 0);
    for check in failed {
        text += &format!(": {}", check_result(check));
        if check.up {
            text += &format!(" (try {}, does not count yet)", check.retries);
        }
    }
    let ordered = |what: &str| server.overrides.iter().find(|o| o.what == what);
    if ordered("pause").is_none() && server.checks.iter().any(|check| check.paused) {
        text += ": not checked while the address is on another machine";
    }
    match server.duty.as_deref() {
        Some("writer") => text += "; it is the writer",
        Some("standby") if server.up => text += "; it stands by: another one is the writer",
        Some("standby") | None => {}
        Some(elsewhere) => text += &format!("; no new connections: it is the {elsewhere}"),
    }
    for (what, words) in [
        ("pause", "not checked by an operator"),
        ("drain", "taken out by an operator"),
        ("weight", "its weight is an operator's"),
    ] {
        if let Some(order) = ordered(what) {
            text += &format!("; {words} ({})", terms(order, clock));
        }
    }
    if server.by_hand {
        text += "; its weight was set by hand";
    }
    text
}

/// `ann, until 15:00:00: new disk`.
fn terms(order: &Override, clock: Clock<'_>) -> String {
    let mut text = order.by.clone();
    if let Some(until) = &order.until {
        text += &format!(", until {}", clock(until));
    }
    if let Some(reason) = &order.reason {
        text += &format!(": {reason}");
    }
    text
}

/// `10.1.0.1:80 is taken out since 2026-11-21T14:02:11Z (ann, until 2026-11-21T15:00:00Z: new disk)`.
pub(super) fn ordered(order: &Override) -> String {
    self::override_in_words(order, &|stamp| stamp.to_owned())
}

/// The same in the words of whoever reads it.
pub fn override_in_words(order: &Override, clock: Clock<'_>) -> String {
    let Override { whom, since, .. } = order;
    let what = match (order.what.as_str(), order.weight) {
        ("drain", _) => format!("{whom} is taken out"),
        ("weight", Some(weight)) => format!("{whom} has weight {weight}"),
        ("pause", _) => format!("checks of {whom} are paused"),
        (what, _) => format!("{what} {whom}"),
    };
    format!("{what} since {} ({})", clock(since), terms(order, clock))
}

/// `TCP_CHECK: connection refused (ECONNREFUSED)`.
pub fn check_result(check: &Check) -> String {
    let result = check.result.as_deref();
    let target = check.target.as_ref().map(|target| format!(" {target}"));
    format!(
        "{}{}: {}",
        check.kind,
        target.unwrap_or_default(),
        result.unwrap_or("not answered yet")
    )
}
