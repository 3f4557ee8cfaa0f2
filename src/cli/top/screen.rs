//! From a status to lines of a terminal. Pure.

use crate::control::model::{Event, Instance, RealServer, Status, Traffic, VirtualServer};
use crate::control::words;
use crate::kernel::clock;
use crate::time::Time;

/// What is known at one moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) status: Status,
    pub(super) at: Time,
    /// The look before this one.
    pub(super) before: Option<Box<(Time, Status)>>,
    pub(super) events: Vec<Event>,
    /// Why there is no newer one.
    pub(super) error: Option<String>,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    End,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// The next part.
    Part,
}

impl Step {
    /// What a terminal sends for a key (ECMA-48, xterm).
    pub(super) fn of(bytes: &[u8]) -> Option<Step> {
        Some(match bytes {
            b"q" | b"Q" | b"\x03" | b"\x1b" => Step::End,
            b"\x1b[A" | b"\x1bOA" | b"k" => Step::Up,
            b"\x1b[B" | b"\x1bOB" | b"j" => Step::Down,
            b"\x1b[5~" => Step::PageUp,
            b"\x1b[6~" | b" " => Step::PageDown,
            b"\x1b[H" | b"\x1b[1~" | b"\x1bOH" | b"g" => Step::First,
            b"\x1b[F" | b"\x1b[4~" | b"\x1bOF" | b"G" => Step::Last,
            b"\t" => Step::Part,
            _ => return None,
        })
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Instances,
    Services,
    Events,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Doubtful,
    Quiet,
}

/// Where somebody looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    part: Part,
    /// The first line of the body that is shown.
    top: usize,
    colour: bool,
}

/// Events that stand below everything else.
const LAST_EVENTS: usize = 8;
/// Lines that do not move: the head, and the keys.
const FIXED: usize = 3;

impl Screen {
    pub(super) fn new(colour: bool) -> Screen {
        Screen {
            part: Part::All,
            top: 0,
            colour,
        }
    }

    /// Moves; the lines that follow say how far that went.
    pub(super) fn step(&mut self, step: Step, height: usize) {
        let page = height.saturating_sub(FIXED + 1).max(1);
        self.top = match step {
            Step::Up => self.top.saturating_sub(1),
            Step::Down => self.top.saturating_add(1),
            Step::PageUp => self.top.saturating_sub(page),
            Step::PageDown => self.top.saturating_add(page),
            Step::First => 0,
            Step::Last => usize::MAX,
            Step::Part => {
                self.part = match self.part {
                    Part::All => Part::Instances,
                    Part::Instances => Part::Services,
                    Part::Services => Part::Events,
                    Part::Events => Part::All,
                };
                0
            }
            Step::End => self.top,
        };
    }

    /// As many lines as there are, none longer than the terminal is wide.
    pub(super) fn lines(&mut self, moment: &Moment, width: usize, height: usize) -> Vec<String> {
        let mut body = Vec::new();
        if matches!(self.part, Part::All | Part::Instances) {
            instances(moment, &mut body);
        }
        if matches!(self.part, Part::All | Part::Services) {
            services(moment, &mut body);
        }
        if matches!(self.part, Part::All | Part::Events) {
            let most = if self.part == Part::All {
                LAST_EVENTS
            } else {
                usize::MAX
            };
            events(moment, most, &mut body);
        }
        let room = height.saturating_sub(FIXED).max(1);
        self.top = self.top.min(body.len().saturating_sub(room));
        let mut lines = vec![head(&moment.status), problems(moment)];
        lines.extend(body.iter().skip(self.top).take(room).cloned());
        lines.resize(room + 2, (Tone::Plain, String::new()));
        let below = body.len().saturating_sub(self.top + room);
        let more = if below > 0 {
            format!(", {below} lines below")
        } else {
            String::new()
        };
        let part = match self.part {
            Part::All => "everything",
            Part::Instances => "instances",
            Part::Services => "services",
            Part::Events => "events",
        };
        lines.push((
            Tone::Quiet,
            format!("{part}{more}; arrows move, Tab: another part, q: end"),
        ));
        lines
            .iter()
            .map(|(tone, text)| self.dressed(*tone, text, width))
            .collect()
    }

    fn dressed(&self, tone: Tone, text: &str, width: usize) -> String {
        // Nothing of a name reaches the terminal as an order.
        let text: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(width)
            .collect();
        let code = match tone {
            Tone::Plain => return text,
            Tone::Title => "1",
            Tone::Good => "36",
            Tone::Bad => "1;31",
            Tone::Doubtful => "33",
            Tone::Quiet => "2",
        };
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        }
    }
}

type Lines = Vec<(Tone, String)>;

fn head(status: &Status) -> (Tone, String) {
    let daemon = &status.daemon;
    let masters = status
        .instances
        .iter()
        .filter(|i| i.state == "MASTER")
        .count();
    let quorum = status.virtual_servers.iter().filter(|vs| vs.quorum).count();
    let text = format!(
        "vipd {} on {}, since {}: {masters} of {} instances MASTER, {quorum} of {} services with quorum",
        daemon.version,
        daemon.host,
        clock::local_words(&daemon.started),
        status.instances.len(),
        status.virtual_servers.len()
    );
    (Tone::Title, text)
}

fn problems(moment: &Moment) -> (Tone, String) {
    let daemon = &moment.status.daemon;
    if let Some(error) = &moment.error {
        return (Tone::Bad, format!("NO ANSWER: {error}"));
    }
    if let Some(reload) = daemon.reload.as_ref().filter(|reload| !reload.done) {
        let errors = reload.errors.join("; ");
        return (Tone::Bad, format!("RELOAD REFUSED: {errors}"));
    }
    if daemon.standby {
        let since = daemon.standby_since.clone().unwrap_or_default();
        return (
            Tone::Doubtful,
            format!("STANDBY: it yields everything {since}"),
        );
    }
    match &daemon.waits_for {
        Some(what) => (Tone::Doubtful, format!("waits for {what}")),
        None => overrides(&moment.status),
    }
}

/// What operators ordered, in one line.
fn overrides(status: &Status) -> (Tone, String) {
    let Some(first) = status.overrides.first() else {
        return (Tone::Plain, String::new());
    };
    let mut text = words::override_in_words(first, &clock::local_words);
    if let more @ 1.. = status.overrides.len() - 1 {
        text += &format!(", and {more} more overrides");
    }
    (Tone::Doubtful, text)
}

fn instances(moment: &Moment, out: &mut Lines) {
    let all = &moment.status.instances;
    if all.is_empty() {
        return;
    }
    out.push((
        Tone::Title,
        format!(
            "{:20} {:8} {:>4} {:>5}  WHY",
            "INSTANCE", "STATE", "PRIO", "HELD"
        ),
    ));
    for instance in all {
        let Instance {
            name, state, why, ..
        } = instance;
        let held = instance
            .addresses
            .iter()
            .filter(|address| address.held)
            .count();
        let (shape, tone) = match state.as_str() {
            "MASTER" => ("▲", Tone::Good),
            "BACKUP" => ("▽", Tone::Plain),
            "FAULT" => ("✖", Tone::Bad),
            _ => ("…", Tone::Doubtful),
        };
        let why = why.strip_prefix(&format!("{state}: ")).unwrap_or(why);
        let text = format!(
            "{:20} {shape} {state:6} {:>4} {held:>2}/{:<2}  {why}",
            cut(name, 20),
            instance.priority.effective,
            instance.addresses.len()
        );
        out.push((tone, text));
    }
    for tracker in moment
        .status
        .trackers
        .iter()
        .filter(|tracker| tracker.value == "down")
    {
        out.push((Tone::Bad, format!("  ▼ {}", tracker.says)));
    }
}

fn services(moment: &Moment, out: &mut Lines) {
    let all = &moment.status.virtual_servers;
    if all.is_empty() {
        return;
    }
    let title = format!(
        "{:28} {:9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}  CHECKS",
        "SERVICE, SERVER", "STATE", "WEIGHT", "CONNS", "CLOSING", "NEW/S", "IN B/S", "OUT B/S"
    );
    out.push((Tone::Title, title));
    for service in all {
        let mut earlier = moment
            .before
            .iter()
            .flat_map(|before| &before.1.virtual_servers);
        let earlier = earlier.find(|before| before.name == service.name);
        let (state, tone) = match service.quorum {
            true => ("▲ QUORUM", Tone::Good),
            false => ("✖ NONE", Tone::Bad),
        };
        let was = earlier.and_then(|before| before.traffic.as_ref());
        let counted = traffic(moment, service.traffic.as_ref(), was);
        let text = format!(
            "{:28} {state:9} {:>7} {counted}  {}",
            cut(&service.name, 28),
            service.weight_up,
            service.why
        );
        out.push((tone, text));
        for server in &service.real_servers {
            out.push(self::server(moment, server, earlier));
        }
    }
}

fn server(moment: &Moment, server: &RealServer, service: Option<&VirtualServer>) -> (Tone, String) {
    let (state, tone) = match (server.drained, server.up) {
        (true, _) => ("◆ drained", Tone::Doubtful),
        (false, true) => ("▲ up", Tone::Plain),
        (false, false) => ("▼ down", Tone::Bad),
    };
    let weight = server
        .weight_now
        .map_or("out".to_owned(), |weight| weight.to_string());
    let was = service.and_then(|service| {
        let mut servers = service.real_servers.iter();
        servers
            .find(|other| other.address == server.address)?
            .traffic
            .as_ref()
    });
    let checks = server.checks.iter().map(|check| {
        let result = match (&check.result, check.latency_us) {
            _ if check.paused => "paused".to_owned(),
            (None, _) => "not answered yet".to_owned(),
            (Some(result), Some(micros)) if result == "passed" => {
                format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
            }
            (Some(result), _) => result.clone(),
        };
        format!(
            "{} {}: {result}",
            if check.up { "✔" } else { "✖" },
            check.kind
        )
    });
    let checks: Vec<String> = checks.collect();
    let text = format!(
        "  {:26} {state:9} {weight:>7} {}  {}",
        cut(&server.address, 26),
        traffic(moment, server.traffic.as_ref(), was),
        checks.join(", ")
    );
    (tone, text)
}

/// Connections, and how many of what came in a second.
fn traffic(moment: &Moment, now: Option<&Traffic>, was: Option<&Traffic>) -> String {
    let since = moment
        .before
        .as_ref()
        .map(|before| moment.at.since(before.0));
    let rate = |of: fn(&Traffic) -> u64| -> String {
        let rate = now.zip(was).zip(since).and_then(|((now, was), since)| {
            let micros = u64::try_from(since.as_micros())
                .ok()
                .filter(|micros| *micros > 0)?;
            let more = of(now).checked_sub(of(was))?;
            Some(more.saturating_mul(1_000_000) / micros)
        });
        rate.map_or("-".to_owned(), short)
    };
    let open = |of: fn(&Traffic) -> u64| now.map_or("-".to_owned(), |now| short(of(now)));
    format!(
        "{:>8} {:>8} {:>8} {:>8} {:>8}",
        open(|t| t.active),
        open(|t| t.inactive),
        rate(|t| t.connections),
        rate(|t| t.bytes_in),
        rate(|t| t.bytes_out)
    )
}

/// `12345`, `123k`, `12M`.
fn short(number: u64) -> String {
    match number {
        0..100_000 => number.to_string(),
        100_000..10_000_000 => format!("{}k", number / 1000),
        10_000_000..10_000_000_000 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

fn events(moment: &Moment, most: usize, out: &mut Lines) {
    out.push((Tone::Title, "EVENTS".to_owned()));
    for event in moment.events.iter().rev().take(most) {
        let (word, tone) = match event.level.as_str() {
            "error" => ("✖ ", Tone::Bad),
            "warning" => ("◆ ", Tone::Doubtful),
            _ => ("", Tone::Plain),
        };
        out.push((
            tone,
            format!("{} {word}{}", clock::local_words(&event.time), event.text),
        ));
    }
}

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
