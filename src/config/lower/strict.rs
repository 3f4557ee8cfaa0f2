//! `strict_mode`: what the RFC does not have is cleared, as keepalived clears it.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{InitialState, Instance, Preempt};
use crate::config::source::Span;
use crate::net::Family;
use crate::units::Version;

use super::context::Context;

/// What was written about accepting, and about holding to the RFC.
#[derive(Clone, Copy, Default)]
pub(super) struct Acceptance {
    /// `accept`, `no_accept`; the last one counts.
    pub(super) accept: Option<bool>,
    /// `strict_mode`.
    pub(super) strict: Option<bool>,
    /// `lower_prio_no_advert off`.
    pub(super) lower_prio_advert: bool,
}

/// Applies `strict_mode`, if it holds, and says whether a master answers on its addresses.
pub(super) fn apply(
    ctx: &mut Context<'_>,
    instance: &mut Instance,
    written: Acceptance,
    strict: bool,
    span: Span,
) {
    let owner = instance.priority.is_owner();
    instance.strict = strict;
    if !strict {
        instance.accept = owner || written.accept.unwrap_or(true);
        return;
    }
    let mut cleared = Vec::new();
    if instance.auth.take().is_some() {
        cleared.push("`authentication` is left out: the RFC took it out of the protocol");
    }
    if owner != (instance.state == InitialState::Master) {
        cleared.push(match owner {
            true => "`state` is MASTER: a priority of 255 owns the addresses",
            false => "`state` is BACKUP: only a priority of 255 owns the addresses",
        });
        instance.state = match owner {
            true => InitialState::Master,
            false => InitialState::Backup,
        };
    }
    if !matches!(
        instance.preempt,
        Preempt::Never | Preempt::After(Duration::ZERO)
    ) {
        instance.preempt = Preempt::After(Duration::ZERO);
        cleared.push("`preempt_delay` is 0");
    }
    if instance.down_timer_adverts != 3 {
        instance.down_timer_adverts = 3;
        cleared.push("`down_timer_adverts` is 3");
    }
    if written.lower_prio_advert {
        cleared.push("`lower_prio_no_advert` is on");
    }
    instance.lower_prio_no_advert = true;
    instance.owner_ignore_adverts |= owner;
    // keepalived says so only of numbers that were written; its default of 5 goes as well.
    instance.garp.lower_prio_repeat = 0;
    if std::mem::take(&mut instance.higher_prio_send_advert) {
        cleared.push("`higher_prio_send_advert` is off");
    }
    if std::mem::take(&mut instance.more.settings.vmac_xmit_base) {
        cleared.push("`vmac_xmit_base` is off");
    }
    if let Some(vmac) = &mut instance.more.vmac
        && vmac.mac.take().is_some()
    {
        cleared.push("the MAC of `use_vmac` is that of the virtual router");
    }
    let accepts_v2 = instance.version == Version::V2 && written.accept == Some(true) && !owner;
    if accepts_v2 {
        cleared.push("`accept` is off: version 2 has no accept mode");
    }
    instance.accept = owner || (written.accept == Some(true) && !accepts_v2);
    for what in cleared {
        let message = format!("`{}` holds to the RFC: {what}", instance.name);
        ctx.say(
            Diagnostic::warning(Code::Contradiction, span, message)
                .note("keepalived does the same under `strict_mode`"),
        );
    }
    complain(ctx, instance, span);
}

/// What cannot be cleared.
fn complain(ctx: &mut Context<'_>, instance: &Instance, span: Span) {
    let name = &instance.name;
    if instance.vips.is_empty() && instance.version == Version::V2 {
        let message = format!("`{name}` has no `virtual_ipaddress`, and holds to the RFC");
        ctx.say(
            Diagnostic::error(Code::MissingKeyword, span, message)
                .note("keepalived would end here")
                .hint("add `virtual_ipaddress`, or leave `strict_mode` out".to_owned()),
        );
    }
    let first = instance.vips.first().map(|vip| vip.cidr.addr());
    if instance.family == Family::V6
        && let Some(std::net::IpAddr::V6(first)) = first
        && !first.is_unicast_link_local()
    {
        let message = format!("the first address of `{name}` is not link-local");
        ctx.say(
            Diagnostic::warning(Code::Contradiction, span, message)
                .note("the RFC wants one there (RFC 9568 section 5.2.9)"),
        );
    }
}
