//! `timer_expired_backup`, `owner_ignore_adverts` and `vip_lease`: what depends on other words about the
//! election.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Instance, Preempt};
use crate::config::source::Span;
use crate::units::Priority;

use super::context::{Context, Handled, Line};
use super::value::Value;

/// As written in one instance.
#[derive(Default)]
pub(super) struct ElectionWords {
    timer_expired_backup: Option<(Priority, Span)>,
    owner_ignore_adverts: Option<(bool, Span)>,
    vip_lease: Option<(Duration, Span)>,
}

impl ElectionWords {
    pub(super) fn apply(&mut self, line: &Line<'_>, value: &Value) -> Handled {
        match line.row.name {
            "timer_expired_backup" => {
                let others = value.number().and_then(Priority::new);
                // keepalived: whoever is quickest to take over.
                let others = others.unwrap_or(Priority::HIGHEST);
                self.timer_expired_backup = Some((others, line.span));
            }
            "owner_ignore_adverts" => {
                self.owner_ignore_adverts = Some((value.is_true(), line.span));
            }
            "vip_lease" => self.vip_lease = value.seconds().map(|time| (time, line.span)),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// Its own word, else the one of `global_defs`; in whole seconds, as the kernel counts.
    pub(super) fn vip_lease(
        &self,
        ctx: &mut Context<'_>,
        instance: &Instance,
        global: Option<Duration>,
        span: Span,
    ) -> Option<Duration> {
        let (lease, span) = self.vip_lease.or(global.map(|lease| (lease, span)))?;
        let lease = Duration::from_secs(lease.as_millis().div_ceil(1000).try_into().ok()?);
        if lease.is_zero() {
            return None;
        }
        let patience = instance.advert_int.get() * u32::from(instance.down_timer_adverts);
        if lease < patience {
            let (name, lease_s) = (&instance.name, lease.as_secs());
            let patience = patience.as_secs_f64();
            let message = format!(
                "`vip_lease` of `{name}` is {lease_s} s, and others wait {patience} s for its adverts"
            );
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .label("a standstill that no other router notices takes the addresses away")
                    .hint(format!("use {} at least", patience.ceil())),
            );
        }
        Some(lease)
    }

    /// keepalived: only whoever does not preempt would not take the addresses back at once.
    pub(super) fn timer_expired_backup(
        &self,
        ctx: &mut Context<'_>,
        preempt: Preempt,
    ) -> Option<Priority> {
        let (others, span) = self.timer_expired_backup?;
        if preempt == Preempt::Never {
            return Some(others);
        }
        let message = "`timer_expired_backup` needs `nopreempt`: it is cleared".to_owned();
        ctx.say(
            Diagnostic::warning(Code::Contradiction, span, message)
                .note("keepalived does the same")
                .hint("add `nopreempt`, with `state BACKUP`".to_owned()),
        );
        None
    }

    /// Its own word, else the one of `global_defs`; for an owner of the addresses only.
    pub(super) fn owner_ignore_adverts(
        &self,
        ctx: &mut Context<'_>,
        priority: Priority,
        global: bool,
    ) -> bool {
        match self.owner_ignore_adverts {
            Some((true, span)) if !priority.is_owner() => {
                let message = format!(
                    "`owner_ignore_adverts` is for priority 255, and it has {}: it is cleared",
                    priority.get()
                );
                ctx.say(
                    Diagnostic::warning(Code::Contradiction, span, message)
                        .note("keepalived does the same"),
                );
                false
            }
            Some((ignores, _)) => ignores,
            None => global && priority.is_owner(),
        }
    }
}
