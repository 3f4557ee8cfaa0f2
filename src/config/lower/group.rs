//! `virtual_server_group`: addresses, ranges and networks of them, and firewall marks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tree::{Statement, Word};
use crate::net::{Cidr, Endpoint, Family, FwMark};

use super::Named;
use super::context::Context;
use super::script::duplicate;
use super::virtual_server::{fwmark, port_of};

/// Addresses that one group may have: more than any IPVS table holds well, and too few to exhaust us.
const ADDRESSES_MAX: usize = 65_536;

/// One address of a group.
#[derive(Clone, Copy)]
pub(super) enum GroupAddress {
    Endpoint(Endpoint),
    FwMark {
        mark: FwMark,
        /// `inet` or `inet6`.
        family: Option<Family>,
    },
}

/// Every group, by name.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, Group>);

struct Group {
    span: Span,
    addresses: Vec<GroupAddress>,
}

impl Groups {
    /// The addresses of a group. `None`: it was said why.
    pub(super) fn find(
        &self,
        ctx: &mut Context<'_>,
        name: &str,
        span: Span,
    ) -> Option<Vec<GroupAddress>> {
        if let Some(group) = self.0.get(name) {
            return Some(group.addresses.clone());
        }
        if !ctx.is_damaged() {
            let message = format!("no `virtual_server_group {name}` is defined");
            let near = nearest(name, self.0.keys().map(String::as_str));
            ctx.say(
                Diagnostic::error(Code::UnknownName, span, message)
                    .note("keepalived would leave this virtual server out")
                    .hint(near.map(|near| format!("did you mean `{near}`?"))),
            );
        }
        None
    }
}

/// Reads every group.
pub(super) fn lower(ctx: &mut Context<'_>, blocks: &[Named<'_>]) -> Groups {
    let mut groups = Groups::default();
    for block in blocks {
        let Some(span) = block.span() else { continue };
        if let Some(first) = groups.0.get(&block.name) {
            ctx.say(duplicate(
                "virtual_server_group",
                &block.name,
                span,
                first.span,
            ));
            continue;
        }
        let mut addresses = Vec::new();
        for line in ctx.lines(block.statement) {
            if read(ctx, line, &mut addresses).is_some() && addresses.len() > ADDRESSES_MAX {
                let message = format!("a group has at most {ADDRESSES_MAX} addresses");
                ctx.say(Diagnostic::error(Code::OutOfRange, line.span(), message));
                addresses.truncate(ADDRESSES_MAX);
                break;
            }
        }
        if addresses.is_empty() && !ctx.has_errors() {
            let message = format!("`virtual_server_group {}` has no address", block.name);
            ctx.say(Diagnostic::warning(Code::EmptyBlock, span, message));
        }
        groups
            .0
            .insert(block.name.clone(), Group { span, addresses });
    }
    groups
}

/// One line. `None`: it was said why.
fn read(ctx: &mut Context<'_>, line: &Statement, out: &mut Vec<GroupAddress>) -> Option<()> {
    let (first, rest) = line.words.split_first()?;
    let text = ctx.text(first);
    if text == "fwmark" {
        let mark = fwmark(ctx, rest.first()?)?;
        let family = match rest.get(1).map(|word| ctx.text(word)).as_deref() {
            None => None,
            Some("inet") => Some(Family::V4),
            Some("inet6") => Some(Family::V6),
            Some(other) => {
                let message = format!("`{other}` is not inet or inet6");
                ctx.say(Diagnostic::error(Code::InvalidValue, line.span(), message));
                return None;
            }
        };
        out.push(GroupAddress::FwMark { mark, family });
        return Some(());
    }
    let Some((first_addr, count)) = range(&text) else {
        say_no_range(ctx, first, &text);
        return None;
    };
    let port = match rest.first() {
        Some(word) => port_of(ctx, word)?,
        None => 0,
    };
    // One more than is allowed is enough to see that it is too many.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for offset in (0u128..).take(count.min(ADDRESSES_MAX + 1)) {
        let addr = plus(first_addr, offset)?;
        out.push(GroupAddress::Endpoint(Endpoint::new(addr, port)));
    }
    Some(())
}

fn say_no_range(ctx: &mut Context<'_>, word: &Word, text: &str) {
    let message = format!("`{text}` is not an address, a range or a network of addresses");
    let hint = "write 10.0.0.1, 10.0.0.1-9, 10.0.0.1-10.0.0.9 or 10.0.0.0/28";
    ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message).hint(hint.to_owned()));
}

/// The first address of `IP`, `IP-N`, `IP1-IP2` or `IP/LEN`, and how many there are. Behind the dash of
/// `IP-N` stands the last part of the last address: decimal in IPv4, hexadecimal in IPv6.
fn range(text: &str) -> Option<(IpAddr, u128)> {
    if text.contains('/') {
        let network: Cidr = text.parse().ok()?;
        let host_bits = u32::from(network.family().bits() - network.prefix());
        let first = match network.addr() {
            IpAddr::V4(addr) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv4Addr::from(addr.to_bits() & mask).into()
            }
            IpAddr::V6(addr) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from(addr.to_bits() & mask).into()
            }
        };
        return Some((first, 1u128.checked_shl(host_bits).unwrap_or(u128::MAX)));
    }
    let Some((first, last)) = text.split_once('-') else {
        return Some((text.parse().ok()?, 1));
    };
    let first: IpAddr = first.parse().ok()?;
    let last: IpAddr = match (last.parse(), first) {
        (Ok(last), _) => last,
        (Err(_), IpAddr::V4(first)) => {
            let [a, b, c, _] = first.octets();
            Ipv4Addr::new(a, b, c, last.parse().ok()?).into()
        }
        (Err(_), IpAddr::V6(first)) => {
            let part = u16::from_str_radix(last, 16).ok()?;
            Ipv6Addr::from(first.to_bits() & !0xffff | u128::from(part)).into()
        }
    };
    let bits = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    if first.is_ipv4() != last.is_ipv4() {
        return None;
    }
    let count = bits(last).checked_sub(bits(first))?.checked_add(1)?;
    Some((first, count))
}

fn plus(addr: IpAddr, offset: u128) -> Option<IpAddr> {
    Some(match addr {
        IpAddr::V4(addr) => {
            let offset = u32::try_from(offset).ok()?;
            Ipv4Addr::from(addr.to_bits().checked_add(offset)?).into()
        }
        IpAddr::V6(addr) => Ipv6Addr::from(addr.to_bits().checked_add(offset)?).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_networks_begin_and_end_where_they_say() {
        let read = |text| range(text).map(|(first, count)| (first.to_string(), count));
        assert_eq!(read("10.0.0.1"), Some(("10.0.0.1".into(), 1)));
        assert_eq!(read("10.0.0.1-9"), Some(("10.0.0.1".into(), 9)));
        assert_eq!(read("10.0.0.250-10.0.1.5"), Some(("10.0.0.250".into(), 12)));
        assert_eq!(read("10.0.0.5/30"), Some(("10.0.0.4".into(), 4)));
        assert_eq!(read("ae00::2-a"), Some(("ae00::2".into(), 9)));
        assert_eq!(read("::/0"), Some(("::".into(), u128::MAX)));
        for bad in [
            "10.0.0.9-1",
            "10.0.0.1-",
            "-",
            "x-y",
            "10.0.0.1-::1",
            "10.0.0.1/40",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
