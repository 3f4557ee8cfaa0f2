//! `vrrp_instance`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    InitialState, Instance, InstanceMore, Preempt, Transport, VirtualAddress,
};
use crate::config::source::Span;
use crate::config::tree::{Block, Item};
use crate::net::{Family, InterfaceName};
use crate::units::{AdvertInterval, Priority, Version, Vrid};

use super::Named;
use super::addresses::{self, WrittenVip};
use super::auth::AuthDraft;
use super::context::{Context, Draft, Handled, Line};
use super::election::ElectionWords;
use super::globals::{self, Defaults, GarpWords};
use super::script::duplicate;
use super::strict::{self, Acceptance};
use super::tracking::{Trackable, Tracked};
use super::value::Value;
use super::{auth_hmac, route, vmac};

/// Reads instances one after the other and compares them.
pub(super) struct Instances<'d> {
    defaults: &'d Defaults,
    known: Trackable<'d>,
    list: Vec<Instance>,
    used_scripts: BTreeSet<String>,
    links: BTreeMap<(Option<InterfaceName>, Vrid, Family), (String, Span)>,
}

impl<'d> Instances<'d> {
    pub(super) fn new(defaults: &'d Defaults, known: Trackable<'d>) -> Instances<'d> {
        Instances {
            defaults,
            known,
            list: Vec::new(),
            used_scripts: BTreeSet::new(),
            links: BTreeMap::new(),
        }
    }

    /// Every instance, and the scripts that they track.
    pub(super) fn finish(self) -> (Vec<Instance>, BTreeSet<String>) {
        (self.list, self.used_scripts)
    }

    pub(super) fn lower(&mut self, ctx: &mut Context<'_>, block: &Named<'_>) {
        let Some(span) = block.span() else { return };
        if let Some(&first) = ctx.origins().instances.get(&block.name) {
            ctx.say(duplicate("vrrp_instance", &block.name, span, first));
            return;
        }
        ctx.origins().instances.insert(block.name.clone(), span);
        let mut draft = InstanceDraft::new(&block.name, span, self.known);
        ctx.read_block(BlockKind::VrrpInstance, block.statement, &mut draft);
        let used = draft.tracked.scripts.iter().map(|t| t.script.clone());
        self.used_scripts.extend(used);
        if let Some(instance) = draft.finish(ctx, self.defaults) {
            self.say_same_vrid(ctx, &instance, span);
            self.list.push(instance);
        }
    }

    fn say_same_vrid(&mut self, ctx: &mut Context<'_>, instance: &Instance, span: Span) {
        let link = (instance.interface.clone(), instance.vrid, instance.family);
        let Some((other, first)) = self.links.get(&link) else {
            self.links.insert(link, (instance.name.clone(), span));
            return;
        };
        let message = format!(
            "`{}` and `{other}` both use virtual_router_id {}{}",
            instance.name,
            instance.vrid,
            instance
                .interface
                .as_ref()
                .map(|name| format!(" on {name}"))
                .unwrap_or_default()
        );
        ctx.say(
            Diagnostic::error(Code::Conflict, span, message)
                .related(*first, "first used here")
                .note("keepalived would end here")
                .hint("give each instance on a link a virtual_router_id of its own".to_owned()),
        );
    }
}

pub(super) struct InstanceDraft<'s> {
    name: String,
    span: Span,
    known: Trackable<'s>,
    version: Option<Version>,
    state: InitialState,
    interface: Option<InterfaceName>,
    vrid: Option<Vrid>,
    vrid_refused: bool,
    interface_refused: bool,
    priority: Option<Priority>,
    advert_int: Option<(Duration, Span)>,
    down_timer_adverts: Option<u8>,
    nopreempt: Option<Span>,
    preempt_delay: Option<(Duration, Span)>,
    peers: Vec<(IpAddr, Span)>,
    unicast: Option<Span>,
    src_ip: Option<(IpAddr, Span)>,
    mcast_dst_ip: Option<(IpAddr, Span)>,
    auth: AuthDraft,
    vips: Vec<WrittenVip>,
    vips_excluded: Vec<WrittenVip>,
    vips_expected: bool,
    garp: GarpWords,
    lower_prio_no_advert: Option<bool>,
    higher_prio_send_advert: Option<bool>,
    acceptance: Acceptance,
    election: ElectionWords,
    tracked: Tracked,
    more: InstanceMore,
    dont_track_primary: bool,
    lvs_sync_daemon_interface: Option<InterfaceName>,
}

impl<'s> InstanceDraft<'s> {
    pub(super) fn new(name: &str, span: Span, known: Trackable<'s>) -> InstanceDraft<'s> {
        InstanceDraft {
            name: name.to_owned(),
            span,
            known,
            version: None,
            state: InitialState::Backup,
            interface: None,
            vrid: None,
            vrid_refused: false,
            interface_refused: false,
            priority: None,
            advert_int: None,
            down_timer_adverts: None,
            nopreempt: None,
            preempt_delay: None,
            peers: Vec::new(),
            unicast: None,
            src_ip: None,
            mcast_dst_ip: None,
            auth: AuthDraft::default(),
            vips: Vec::new(),
            vips_excluded: Vec::new(),
            vips_expected: true,
            garp: GarpWords::default(),
            lower_prio_no_advert: None,
            higher_prio_send_advert: None,
            acceptance: Acceptance::default(),
            election: ElectionWords::default(),
            tracked: Tracked::default(),
            more: InstanceMore::default(),
            dont_track_primary: false,
            lvs_sync_daemon_interface: None,
        }
    }
}

impl<'t> Draft<'t> for InstanceDraft<'_> {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        if self.garp.apply(line.row.name, &value) == Handled::Yes {
            return Handled::Yes;
        }
        match line.row.name {
            "garp_extra_if" => self.garp.apply_extra_if(ctx, line, 0),
            "state" => {
                self.state = match value {
                    Value::Choice("MASTER") => InitialState::Master,
                    _ => InitialState::Backup,
                }
            }
            "interface" => self.interface = interface(value),
            "virtual_router_id" => self.vrid = value.number().and_then(Vrid::new),
            "priority" => self.priority = value.number().and_then(Priority::new),
            "advert_int" => self.advert_int = value.seconds().map(|s| (s, line.args_span())),
            "version" => self.version = Some(globals::version(&value)),
            "authentication" => {
                self.auth.written = Some(line.span);
                ctx.read_block(BlockKind::Authentication, line.statement, &mut self.auth);
            }
            _ => return self.apply_addresses(ctx, line, value),
        }
        Handled::Yes
    }

    fn refused(&mut self, line: &Line<'t>) {
        match line.row.name {
            "virtual_router_id" => self.vrid_refused = true,
            "interface" => self.interface_refused = true,
            _ => {}
        }
    }

    fn take_stray_block(&mut self, ctx: &mut Context<'_>, block: &'t Block) -> Handled {
        let is_auth = |item: &Item| match item {
            Item::Statement(statement) => statement
                .words
                .first()
                .is_some_and(|w| matches!(ctx.raw(w.leaf.span), "auth_type" | "auth_pass")),
            _ => false,
        };
        if block.items.is_empty() || !block.items.iter().all(is_auth) {
            return Handled::No;
        }
        self.auth.written = Some(block.open.span);
        ctx.read_items(BlockKind::Authentication, &block.items, &mut self.auth);
        Handled::Yes
    }
}

impl InstanceDraft<'_> {
    fn apply_addresses(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: Value) -> Handled {
        match line.row.name {
            "virtual_ipaddress" => {
                self.vips_expected &= !addresses::vips(ctx, line, &mut self.vips);
            }
            "virtual_ipaddress_excluded" => {
                self.vips_expected &= !addresses::vips(ctx, line, &mut self.vips_excluded);
            }
            "no_virtual_ipaddress" => self.vips_expected = false,
            "mcast_src_ip" => self.src_ip = value.address().map(|a| (a, line.args_span())),
            "unicast_src_ip" => {
                self.unicast = Some(line.span);
                self.src_ip = value.address().map(|a| (a, line.args_span()));
            }
            "mcast_dst_ip" => {
                let group = globals::group(ctx, line, &value);
                self.mcast_dst_ip = group.map(|group| (group, line.args_span()));
            }
            "auth_hmac" => self.more.auth_hmac = Some(auth_hmac::read(ctx, line.statement)),
            "virtual_routes" => self.more.routes.extend(route::routes(ctx, line.statement)),
            "virtual_rules" => self.more.rules.extend(route::rules(ctx, line.statement)),
            "use_vmac" => self.more.vmac = vmac::vmac(ctx, line),
            "use_ipvlan" => self.more.ipvlan = vmac::ipvlan(ctx, line),
            "unicast_peer" => {
                self.unicast = Some(line.span);
                addresses::peers(ctx, line, &mut self.peers, &mut self.more.peers);
            }
            _ => return self.apply_rest(ctx, line, value),
        }
        Handled::Yes
    }

    fn apply_rest(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: Value) -> Handled {
        match line.row.name {
            "nopreempt" => self.nopreempt = Some(line.span),
            "preempt" => self.nopreempt = None,
            "preempt_delay" => self.preempt_delay = value.seconds().map(|d| (d, line.span)),
            "down_timer_adverts" => self.down_timer_adverts = value.number(),
            "lower_prio_no_advert" => {
                self.lower_prio_no_advert = Some(value.is_true());
                self.acceptance.lower_prio_advert = !value.is_true();
            }
            "accept" => self.acceptance.accept = Some(true),
            "no_accept" => self.acceptance.accept = Some(false),
            "strict_mode" => self.acceptance.strict = Some(value.is_true()),
            "higher_prio_send_advert" => self.higher_prio_send_advert = Some(value.is_true()),
            "dont_track_primary" => self.dont_track_primary = true,
            "lvs_sync_daemon_interface" => self.lvs_sync_daemon_interface = interface(value),
            "timer_expired_backup" | "owner_ignore_adverts" => {
                return self.election.apply(line, &value);
            }
            name => {
                let setting = ctx.setting(line, &value);
                if self.more.settings.set(name, &setting) {
                    return Handled::Yes;
                }
                return self.tracked.apply(ctx, line, &self.name, self.known);
            }
        }
        Handled::Yes
    }

    fn finish(mut self, ctx: &mut Context<'_>, defaults: &Defaults) -> Option<Instance> {
        let vrid = self.required(ctx, self.vrid, self.vrid_refused, "virtual_router_id");
        let interface = self.interface.clone();
        let interface = self.required(ctx, interface, self.interface_refused, "interface");
        let (family, version) = self.family_and_version(ctx, defaults);
        let priority = self.priority(ctx);
        let preempt = self.preempt(ctx);
        let auth = self.auth.finish(ctx, &self.name);
        let advert_int = self.advert_int(ctx, version);
        let (vips, vips_excluded) = self.take_vips(ctx, family, version);
        let transport = self.transport(ctx, defaults, family);
        let more = InstanceMore {
            track_files: self.tracked.files,
            track_processes: self.tracked.processes,
            track_bfds: self.tracked.sessions,
            ..self.more
        };
        let (acceptance, span) = (self.acceptance, self.span);
        let mut instance = Instance {
            name: self.name,
            version,
            family,
            state: self.state,
            interface: Some(interface?),
            vrid: vrid?,
            priority,
            advert_int,
            down_timer_adverts: self
                .down_timer_adverts
                .unwrap_or(defaults.down_timer_adverts),
            preempt,
            transport,
            src_ip: self.src_ip.map(|(address, _)| address),
            auth,
            vips,
            vips_excluded,
            garp: self.garp.resolve(&defaults.garp, defaults.min_garp),
            lower_prio_no_advert: self
                .lower_prio_no_advert
                .unwrap_or(defaults.lower_prio_no_advert),
            higher_prio_send_advert: self
                .higher_prio_send_advert
                .unwrap_or(defaults.higher_prio_send_advert),
            timer_expired_backup: self.election.timer_expired_backup(ctx, preempt),
            owner_ignore_adverts: self.election.owner_ignore_adverts(
                ctx,
                priority,
                defaults.globals.vrrp.vrrp_owner_ignore_adverts,
            ),
            track_scripts: self.tracked.scripts,
            track_interfaces: self.tracked.interfaces,
            dont_track_primary: self.dont_track_primary,
            lvs_sync_daemon_interface: self.lvs_sync_daemon_interface,
            accept: true,
            strict: false,
            more,
        };
        let strict = acceptance
            .strict
            .unwrap_or(defaults.globals.vrrp.vrrp_strict);
        strict::apply(ctx, &mut instance, acceptance, strict, span);
        Some(instance)
    }

    fn required<T>(
        &self,
        ctx: &mut Context<'_>,
        value: Option<T>,
        refused: bool,
        keyword: &str,
    ) -> Option<T> {
        if value.is_none() && !refused {
            let message = format!("`{}` has no `{keyword}`", self.name);
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, self.span, message)
                    .hint(format!("add `{keyword}` to this instance")),
            );
        }
        value
    }

    /// Its family and its version, and that this version's engine speaks version 2 over IPv4 only.
    fn family_and_version(&self, ctx: &mut Context<'_>, defaults: &Defaults) -> (Family, Version) {
        let name = &self.name;
        if let Some(span) = self.span_of_v6() {
            let message = format!("this version of vipd cannot run `{name}`: it uses IPv6");
            ctx.say(
                Diagnostic::refusal(span, message)
                    .note("IPv6 works in `virtual_server` and `real_server`"),
            );
            return (Family::V6, Version::V3);
        }
        let version = self.version.unwrap_or(defaults.version);
        if version == Version::V3 {
            let message =
                format!("this version of vipd cannot run `{name}`: it speaks VRRP version 3");
            ctx.say(
                Diagnostic::refusal(self.span, message)
                    .hint("use `version 2` on every router of this link".to_owned()),
            );
        }
        (Family::V4, version)
    }

    /// Where IPv6 is written, if anywhere that counts: the first VIP says which family the others
    /// must have; keepalived leaves those out that have not.
    fn span_of_v6(&self) -> Option<Span> {
        let v6 = |address: IpAddr| address.is_ipv6();
        let first = self.vips.first().map(|w| (w.vip.cidr.addr(), w.span));
        let peers = self.peers.iter().copied();
        first
            .into_iter()
            .chain(self.src_ip)
            .chain(peers)
            .chain(
                self.vips_excluded
                    .iter()
                    .map(|w| (w.vip.cidr.addr(), w.span)),
            )
            .find(|&(address, _)| v6(address))
            .map(|(_, span)| span)
    }

    fn priority(&self, ctx: &mut Context<'_>) -> Priority {
        match (self.priority, self.state) {
            (Some(priority), _) => priority,
            (None, InitialState::Backup) => Priority::DEFAULT,
            (None, InitialState::Master) => {
                let name = &self.name;
                let message = format!("`{name}` is MASTER without a `priority`: it has 255");
                ctx.say(
                    Diagnostic::warning(Code::Contradiction, self.span, message)
                        .note("keepalived does the same; no weight moves a priority of 255")
                        .hint("give it a `priority`".to_owned()),
                );
                Priority::OWNER
            }
        }
    }

    /// keepalived: a router that wants to be master preempts.
    fn preempt(&self, ctx: &mut Context<'_>) -> Preempt {
        let delay = self.preempt_delay.map(|(delay, _)| delay);
        let written = self.nopreempt.or(self.preempt_delay.map(|(_, span)| span));
        match (self.state, written) {
            (InitialState::Master, Some(span)) => {
                let keyword = ctx.raw(span);
                let message =
                    format!("`{keyword}` does not work with `state MASTER`: it is cleared");
                ctx.say(
                    Diagnostic::warning(Code::Contradiction, span, message)
                        .note("keepalived does the same")
                        .hint("use `state BACKUP` on both routers".to_owned()),
                );
                Preempt::After(Duration::ZERO)
            }
            _ if self.nopreempt.is_some() => Preempt::Never,
            _ => Preempt::After(delay.unwrap_or(Duration::ZERO)),
        }
    }

    /// Version 2 says whole seconds on the wire, version 3 hundredths up to 40.95 s; keepalived rounds,
    /// to the shortest at least.
    fn advert_int(&self, ctx: &mut Context<'_>, version: Version) -> AdvertInterval {
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

    fn transport(
        &mut self,
        ctx: &mut Context<'_>,
        defaults: &Defaults,
        family: Family,
    ) -> Transport {
        if !self.peers.is_empty() {
            let peers = self.peers.iter().map(|&(address, _)| address);
            return Transport::Unicast(peers.collect());
        }
        if let Some(span) = self.unicast {
            let message = format!("`{}` has no `unicast_peer`: it uses multicast", self.name);
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
            let message = format!("{group} is not of the family of `{}`", self.name);
            ctx.say(Diagnostic::error(Code::Conflict, span, message));
        }
        let group6 = defaults.globals.vrrp.vrrp_mcast_group6;
        Transport::Multicast(match family {
            Family::V4 => defaults.mcast_group4.into(),
            Family::V6 => group6.unwrap_or(GROUP6.into()),
        })
    }

    fn take_vips(
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
            if !self.takes_vip(ctx, family, &written, &mut seen) {
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
        family: Family,
        written: &WrittenVip,
        seen: &mut BTreeMap<(IpAddr, Option<InterfaceName>), Span>,
    ) -> bool {
        let address = written.vip.cidr.addr();
        if Family::of(address) != family {
            let (is, name) = (if address.is_ipv6() { "IPv6" } else { "IPv4" }, &self.name);
            let message = format!("{address} is {is} and the first address of `{name}` is not");
            ctx.say(
                Diagnostic::warning(Code::Conflict, written.span, message)
                    .label("left out, as in keepalived"),
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

/// RFC 9568 section 5.1.2.2: the group of every router that speaks VRRP over IPv6.
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The count of an advert is one byte (RFC 3768 section 5.3.5).
const VIPS_MAX: usize = 255;

fn interface(value: Value) -> Option<InterfaceName> {
    match value {
        Value::Interface(name) => Some(name),
        _ => None,
    }
}
