//! Which of the addresses that were written an instance takes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::InstanceDraft;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::lower::addresses::WrittenVip;
use crate::config::lower::context::Context;
use crate::config::model::VirtualAddress;
use crate::config::source::Span;
use crate::net::{Family, InterfaceName};
use crate::units::Version;

/// The count of an advert is one byte (RFC 3768 section 5.3.5).
const VIPS_MAX: usize = 255;

impl InstanceDraft<'_> {
    pub(super) fn take_vips(
        &mut self,
        ctx: &mut Context<'_>,
        family: Family,
        version: Version,
    ) -> (Vec<VirtualAddress>, Vec<VirtualAddress>) {
        let written = std::mem::take(&mut self.vips);
        let excluded = std::mem::take(&mut self.vips_excluded);
        if written.is_empty() && version == Version::V3 {
            let message = format!("`{}` has no address that an advert could name", self.name);
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, self.span, message)
                    .note("VRRP version 3 wants one at least; keepalived would end here")
                    .hint("add `virtual_ipaddress`, or use `version 2`".to_owned()),
            );
        } else if self.vips_expected {
            let message = format!("`{}` has no `virtual_ipaddress`", self.name);
            ctx.say(
                Diagnostic::warning(Code::MissingKeyword, self.span, message)
                    .label("it will elect a master of nothing"),
            );
        }
        let mut seen = BTreeMap::new();
        let mut vips = Vec::new();
        let mut vips_excluded = Vec::new();
        for (written, in_adverts) in written
            .into_iter()
            .map(|w| (w, true))
            .chain(excluded.into_iter().map(|w| (w, false)))
        {
            let of_family = !in_adverts || Family::of(written.vip.cidr.addr()) == family;
            if !self.takes_vip(ctx, of_family, &written, &mut seen) {
                continue;
            }
            if in_adverts && vips.len() == VIPS_MAX {
                let message = format!("an advert names at most {VIPS_MAX} addresses");
                ctx.say(
                    Diagnostic::warning(Code::OutOfRange, written.span, message)
                        .label("set like the others, but not named")
                        .note("keepalived does the same"),
                );
                vips_excluded.push(written.vip);
            } else if in_adverts {
                vips.push(written.vip);
            } else {
                vips_excluded.push(written.vip);
            }
        }
        (vips, vips_excluded)
    }

    fn takes_vip(
        &self,
        ctx: &mut Context<'_>,
        of_family: bool,
        written: &WrittenVip,
        seen: &mut BTreeMap<(IpAddr, Option<InterfaceName>), Span>,
    ) -> bool {
        let address = written.vip.cidr.addr();
        if !of_family {
            let (is, name) = (if address.is_ipv6() { "IPv6" } else { "IPv4" }, &self.name);
            let message = format!("{address} is {is} and the first address of `{name}` is not");
            ctx.say(
                Diagnostic::warning(Code::Conflict, written.span, message)
                    .label("left out, as in keepalived")
                    .hint("write it in `virtual_ipaddress_excluded`".to_owned()),
            );
            return false;
        }
        let key = (address, written.vip.dev.clone());
        if let Some(&first) = seen.get(&key) {
            let message = format!("{address} stands twice in `{}`", self.name);
            ctx.say(
                Diagnostic::warning(Code::Duplicate, written.span, message)
                    .label("left out")
                    .related(first, "first written here"),
            );
            return false;
        }
        seen.insert(key, written.span);
        true
    }
}
