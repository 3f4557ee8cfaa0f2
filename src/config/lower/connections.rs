//! What becomes of the connections of servers that go: vipd's own keywords.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Connections, FlapDamping, OnGone, VirtualServer, Writers};

use super::context::{Context, Handled, Line};
use super::value::Value;

/// `drain` and `drain_timeout` without a time.
const DRAIN_DEFAULT: Duration = Duration::from_secs(300);
/// The longest time of any of these, in seconds.
const TIME_MAX: i64 = 86_400;

/// `kill`, or `drain` with its time.
#[derive(Clone, Copy)]
enum Gone {
    Kill,
    Drain(Option<Duration>),
}

/// The words of a block.
#[derive(Clone, Copy, Default)]
pub(super) struct ConnectionWords {
    on_down: Option<Gone>,
    on_remove: Option<Gone>,
    drain_timeout: Option<Duration>,
    slow_start: Option<Duration>,
    flap_damping: Option<FlapDamping>,
}

impl ConnectionWords {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: &Value,
    ) -> Handled {
        match line.row.name {
            "on_down" => self.on_down = gone(ctx, line).or(self.on_down),
            "on_remove" => self.on_remove = gone(ctx, line).or(self.on_remove),
            "drain_timeout" => self.drain_timeout = value.seconds(),
            "slow_start" => self.slow_start = value.seconds(),
            "flap_damping" => self.flap_damping = damping(ctx, line).or(self.flap_damping),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// These words, and those of `outer` where these say nothing; `None`: neither says anything.
    pub(super) fn within(self, outer: ConnectionWords) -> Option<Box<Connections>> {
        let timeout = outer.drain_timeout;
        let whole = |gone: Gone| match gone {
            Gone::Kill => OnGone::Kill,
            Gone::Drain(time) => OnGone::Drain(time.or(timeout).unwrap_or(DRAIN_DEFAULT)),
        };
        let on_remove = self.on_remove.or(outer.on_remove).map(whole);
        let all = Connections {
            on_down: self.on_down.or(outer.on_down).map(whole),
            on_remove: on_remove.or(timeout.map(OnGone::Drain)),
            slow_start: self.slow_start.or(outer.slow_start),
            flap_damping: self.flap_damping.or(outer.flap_damping),
            spared: false,
        };
        (all != Connections::default()).then(|| Box::new(all))
    }
}

/// The kernel's setting that kills holds for the whole namespace: where one server asks for it, the others
/// keep their place with weight 0 when they fail, and are drained when they are removed. Not those of a pool
/// with one writer, where nobody keeps a place.
pub(super) fn spare_the_others(servers: &mut [VirtualServer]) {
    let mut all = servers.iter().flat_map(|vs| vs.real_servers.iter());
    let asked = all.any(|rs| {
        let said = rs.connections.as_deref();
        said.is_some_and(|c| c.on_down.is_some() || c.on_remove.is_some())
    });
    if !asked {
        return;
    }
    let others = servers.iter_mut();
    let others = others.filter(|vs| !matches!(vs.writers, Some(Writers::One(_))));
    for server in others.flat_map(|vs| &mut vs.real_servers) {
        let said = server.connections.get_or_insert_default();
        if said.on_down.is_none() {
            server.inhibit_on_failure = true;
        }
        said.spared = said.on_down.is_none() && said.on_remove.is_none();
        said.on_remove.get_or_insert(OnGone::Drain(DRAIN_DEFAULT));
    }
}

/// `kill | drain [SECONDS]`.
fn gone(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Gone> {
    let (first, rest) = line.args.split_first()?;
    let text = ctx.text(first);
    match (text.as_ref(), rest.first()) {
        ("kill", None) => Some(Gone::Kill),
        ("drain", None) => Some(Gone::Drain(None)),
        ("drain", Some(time)) => Some(Gone::Drain(Some(time_of(ctx, line, time)?))),
        _ => {
            let name = line.row.name;
            let message = format!("`{name}` takes kill, drain or drain SECONDS");
            let problem = Diagnostic::error(Code::InvalidValue, line.args_span(), message);
            ctx.say(problem);
            None
        }
    }
}

/// `COUNT SECONDS`.
fn damping(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<FlapDamping> {
    let [count, time] = line.args else {
        return None;
    };
    let count = number(ctx, line, count, 2, 1000)?;
    Some(FlapDamping {
        count: u32::try_from(count).ok()?,
        within: time_of(ctx, line, time)?,
    })
}

fn time_of(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    word: &crate::config::tree::Word,
) -> Option<Duration> {
    let seconds = number(ctx, line, word, 1, TIME_MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn number(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    word: &crate::config::tree::Word,
    min: i64,
    max: i64,
) -> Option<i64> {
    let text = ctx.text(word);
    let number = text.parse().ok().filter(|n| (min..=max).contains(n));
    if number.is_none() {
        let name = line.row.name;
        let message = format!("`{text}` of `{name}` is not a number from {min} to {max}");
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    number
}
