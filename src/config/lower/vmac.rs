//! `use_vmac` and `use_ipvlan`: interfaces that an instance makes for itself.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Ipvlan, IpvlanMode, Vmac};
use crate::config::tree::Word;
use crate::net::MacAddr;

use super::context::{Context, Line};

/// `[[name] IF] [MAC] [netlink_notify_msg] [group G]`. `None`: it was said why.
pub(super) fn vmac(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Vmac> {
    let mut vmac = Vmac::default();
    let mut words = line.args;
    while let Some((word, mut rest)) = words.split_first() {
        let text = ctx.text(word);
        match text.as_ref() {
            "netlink_notify_msg" => vmac.netlink_notify_msg = true,
            "group" => vmac.group = Some(group(ctx, line, word, &mut rest)?),
            "name" => {
                let (name, behind) = rest.split_first()?;
                vmac.name = Some(ctx.interface(name)?);
                rest = behind;
            }
            text if text.contains(':') => {
                vmac.mac = Some(mac(ctx, word, text)?);
                vmac.mac_ends_with_vrid = text.matches(':').count() == 4;
            }
            _ => vmac.name = Some(ctx.interface(word)?),
        }
        words = rest;
    }
    Some(vmac)
}

/// `[[name] IF] [ADDRESS] [bridge|private|vepa] [group G]`. `None`: it was said why.
pub(super) fn ipvlan(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Ipvlan> {
    let mut ipvlan = Ipvlan::default();
    let mut words = line.args;
    while let Some((word, mut rest)) = words.split_first() {
        let text = ctx.text(word);
        match text.as_ref() {
            "bridge" => ipvlan.mode = IpvlanMode::Bridge,
            "private" => ipvlan.mode = IpvlanMode::Private,
            "vepa" => ipvlan.mode = IpvlanMode::Vepa,
            "group" => ipvlan.group = Some(group(ctx, line, word, &mut rest)?),
            "name" => {
                let (name, behind) = rest.split_first()?;
                ipvlan.name = Some(ctx.interface(name)?);
                rest = behind;
            }
            text => match text.parse() {
                Ok(address) => ipvlan.address = Some(address),
                Err(_) => ipvlan.name = Some(ctx.interface(word)?),
            },
        }
        words = rest;
    }
    Some(ipvlan)
}

/// The number behind `group`.
fn group(ctx: &mut Context<'_>, line: &Line<'_>, word: &Word, rest: &mut &[Word]) -> Option<u32> {
    let Some((number, behind)) = rest.split_first() else {
        let span = word.span;
        let message = "`group` needs a number";
        ctx.say(Diagnostic::error(Code::MissingValue, span, message));
        return None;
    };
    *rest = behind;
    let number = ctx.integer(number, 0, i64::from(u32::MAX), line.row)?;
    u32::try_from(number).ok()
}

/// Six octets, or five before the VRID: keepalived takes both.
fn mac(ctx: &mut Context<'_>, word: &Word, text: &str) -> Option<MacAddr> {
    let read = text.parse().or_else(|()| format!("{text}:00").parse());
    if read.is_err() {
        let message = format!("`{text}` is not a hardware address");
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    read.ok()
}
