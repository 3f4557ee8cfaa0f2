//! How an instance sends its adverts and which it believes: version, interval, peers, options.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::settings::{Setting, settings};
use crate::config::model::{
    AdvertOptions, Instance, OldChecksum, PeerOptions, ReceiveBuffer, Transport,
};
use crate::config::source::Span;
use crate::net::Family;
use crate::units::{AdvertInterval, Version};

use super::context::{Context, Handled, Line};
use super::globals::{self, Defaults};
use super::value::Value;

settings! {
    /// Keywords that are a value each.
    #[expect(unreachable_pub, reason = "the macro makes structs of the model")]
    AdvertSettings {
        native_ipv6: bool,
        unicast_ttl: Option<u8>,
        unicast_fault_no_peer: bool,
        check_unicast_src: bool,
        old_unicast_checksum: Option<Option<String>>,
        v3_checksum_as_v2: Option<bool>,
        track_src_ip: bool,
        kernel_rx_buf_size: Option<u32>,
    }
}

/// What an instance says about its adverts.
#[derive(Default)]
pub(super) struct AdvertDraft {
    version: Option<(Version, Span)>,
    advert_int: Option<(Duration, Span)>,
    pub(super) peers: Vec<(IpAddr, Span)>,
    pub(super) peer_options: BTreeMap<IpAddr, PeerOptions>,
    /// Where it is said that unicast is meant.
    pub(super) unicast: Option<Span>,
    pub(super) src_ip: Option<(IpAddr, Span)>,
    mcast_dst_ip: Option<(IpAddr, Span)>,
    settings: AdvertSettings,
}

impl AdvertDraft {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: &Value,
    ) -> Handled {
        match line.row.name {
            "advert_int" => self.advert_int = value.seconds().map(|s| (s, line.args_span())),
            "version" => self.version = Some((globals::version(value), line.span)),
            "mcast_src_ip" => self.src_ip = value.address().map(|a| (a, line.args_span())),
            "unicast_src_ip" => {
                self.unicast = Some(line.span);
                self.src_ip = value.address().map(|a| (a, line.args_span()));
            }
            "mcast_dst_ip" => {
                let group = globals::group(ctx, line, value);
                self.mcast_dst_ip = group.map(|group| (group, line.args_span()));
            }
            name => {
                let setting: Setting = ctx.setting(line, value);
                return Handled::of(self.settings.set(name, &setting));
            }
        }
        Handled::Yes
    }

    /// Its family: IPv6 where its first address is, or a peer or a source is.
    pub(super) fn family(&self, addresses: impl Iterator<Item = IpAddr>) -> Family {
        let first = addresses
            .chain(self.src_ip.map(|(address, _)| address))
            .chain(self.peers.iter().map(|(address, _)| *address))
            .next();
        match first {
            Some(IpAddr::V6(_)) => Family::V6,
            None if self.settings.native_ipv6 => Family::V6,
            _ => Family::V4,
        }
    }

    /// Its version: its own word, else 3 with IPv6, else `vrrp_version`.
    pub(super) fn version(
        &self,
        ctx: &mut Context<'_>,
        name: &str,
        family: Family,
        defaults: &Defaults,
    ) -> Version {
        match (self.version, family) {
            (Some((Version::V2, span)), Family::V6) => {
                let message = format!("`{name}` uses IPv6, which no RFC has in version 2");
                ctx.say(
                    Diagnostic::warning(Code::Contradiction, span, message)
                        .label("understood by keepalived and vipd alone")
                        .hint("leave `version` out on every router of this link".to_owned()),
                );
                Version::V2
            }
            (Some((version, _)), _) => version,
            (None, Family::V6) => Version::V3,
            (None, Family::V4) => defaults.version,
        }
    }

    /// Version 2 says whole seconds on the wire, version 3 hundredths up to 40.95 s; keepalived rounds,
    /// to the shortest at least.
    pub(super) fn advert_int(&self, ctx: &mut Context<'_>, version: Version) -> AdvertInterval {
        let Some((written, span)) = self.advert_int else {
            return AdvertInterval::DEFAULT;
        };
        let (unit_ms, max, takes) = match version {
            Version::V2 => (1000, 255, "version 2 takes whole seconds"),
            Version::V3 => (
                10,
                4095,
                "version 3 takes hundredths of a second up to 40.95",
            ),
        };
        let units = (written.as_millis() + unit_ms / 2) / unit_ms;
        let units = u64::try_from(units).unwrap_or(max).clamp(1, max);
        let unit_ms = u64::try_from(unit_ms).unwrap_or(1000);
        let rounded = Duration::from_millis(units * unit_ms);
        if rounded != written {
            let seconds = rounded.as_secs_f64();
            let message = format!("VRRP {takes}: `advert_int` is {seconds}");
            ctx.say(
                Diagnostic::warning(Code::OutOfRange, span, message)
                    .note("keepalived does the same"),
            );
        }
        AdvertInterval::new(rounded).unwrap_or(AdvertInterval::DEFAULT)
    }

    pub(super) fn transport(
        &self,
        ctx: &mut Context<'_>,
        name: &str,
        defaults: &Defaults,
        family: Family,
    ) -> Transport {
        let peers = self.of_family(ctx, name, family);
        if !peers.is_empty() || self.no_peer() {
            return Transport::Unicast(peers);
        }
        if let Some(span) = self.unicast {
            let message = format!("`{name}` has no `unicast_peer`: it uses multicast");
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .note("keepalived does the same")
                    .hint("name the other routers in `unicast_peer`".to_owned()),
            );
        }
        if let Some((group, span)) = self.mcast_dst_ip {
            if Family::of(group) == family {
                return Transport::Multicast(group);
            }
            let message = format!("{group} is not of the family of `{name}`");
            ctx.say(Diagnostic::error(Code::Conflict, span, message));
        }
        Transport::Multicast(group(defaults, family))
    }

    /// Unicast is meant, there is nobody to speak to, and that is to be a fault.
    fn no_peer(&self) -> bool {
        self.settings.unicast_fault_no_peer && self.peers.is_empty() && self.unicast.is_some()
    }

    /// Peers of the other family are left out.
    fn of_family(&self, ctx: &mut Context<'_>, name: &str, family: Family) -> Vec<IpAddr> {
        let mut peers = Vec::new();
        for &(address, span) in &self.peers {
            if Family::of(address) == family {
                peers.push(address);
                continue;
            }
            let message = format!("{address} is not of the family of `{name}`");
            ctx.say(
                Diagnostic::warning(Code::Conflict, span, message)
                    .label("left out, as in keepalived"),
            );
        }
        peers
    }

    /// The source address, if it is of the family.
    pub(super) fn source(
        &self,
        ctx: &mut Context<'_>,
        name: &str,
        family: Family,
    ) -> Option<IpAddr> {
        let (address, span) = self.src_ip?;
        if Family::of(address) == family {
            return Some(address);
        }
        let message = format!("{address} is not of the family of `{name}`");
        ctx.say(
            Diagnostic::warning(Code::Conflict, span, message)
                .label("ignored: it speaks from the interface's first address"),
        );
        None
    }

    /// An instance without an interface speaks to peers, by the routes, from an address that it names.
    pub(super) fn stands_alone(&self, ctx: &mut Context<'_>, name: &str, span: Span) -> bool {
        if self.peers.is_empty() {
            return false;
        }
        if self.src_ip.is_none() {
            let message = format!("`{name}` has no `interface` and no `unicast_src_ip`");
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, span, message)
                    .label("nothing says where its adverts come from")
                    .hint("add `unicast_src_ip` to this instance".to_owned()),
            );
        }
        let link_local = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let ends = self.peers.iter().chain(&self.src_ip);
        if let Some((address, span)) = ends.into_iter().find(|(address, _)| link_local(address)) {
            let message = format!("{address} says nothing without an `interface`");
            ctx.say(
                Diagnostic::error(Code::Conflict, *span, message)
                    .label("it is link-local")
                    .hint("add `interface` to this instance".to_owned()),
            );
        }
        true
    }

    pub(super) fn finish(self, defaults: &Defaults, family: Family) -> AdvertOptions {
        let (written, vrrp) = (&self.settings, &defaults.globals.vrrp);
        let no_peer = self.no_peer();
        AdvertOptions {
            ttl: written.unicast_ttl.unwrap_or(255),
            check_source: written.check_unicast_src
                || vrrp.vrrp_check_unicast_src
                || !self.peer_options.is_empty(),
            old_checksum: match written.old_unicast_checksum {
                None => OldChecksum::Detect,
                Some(None) => OldChecksum::Always,
                Some(Some(_)) => OldChecksum::Never,
            },
            v3_checksum_as_v2: written.v3_checksum_as_v2.unwrap_or(vrrp.v3_checksum_as_v2),
            track_source: written.track_src_ip,
            no_peer,
            group: group(defaults, family),
            receive_buffer: match written.kernel_rx_buf_size {
                Some(bytes) => ReceiveBuffer::Bytes(bytes),
                None => defaults.receive_buffer(),
            },
            peers: self.peer_options,
        }
    }
}

fn group(defaults: &Defaults, family: Family) -> IpAddr {
    match family {
        Family::V4 => defaults.mcast_group4.into(),
        Family::V6 => {
            let group6 = defaults.globals.vrrp.vrrp_mcast_group6;
            group6.unwrap_or(GROUP6.into())
        }
    }
}

/// RFC 9568 section 5.1.2.2: the group of every router that speaks VRRP over IPv6.
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Whether two instances with one VRID on one link can be told apart by where an advert comes from and
/// goes to.
pub(super) fn told_apart(a: &Instance, b: &Instance) -> bool {
    match (&a.transport, &b.transport) {
        (Transport::Multicast(a), Transport::Multicast(b)) => a != b,
        (Transport::Unicast(a), Transport::Unicast(b)) => !a.iter().any(|peer| b.contains(peer)),
        _ => true,
    }
}
