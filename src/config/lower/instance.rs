//! `vrrp_instance`.

mod vips;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{InitialState, Instance, InstanceMore, Preempt};
use crate::config::source::Span;
use crate::config::tree::{Block, Item, Unpacker};
use crate::net::{Family, InterfaceName};
use crate::units::{Priority, Vrid};

use super::Named;
use super::addresses::{self, WrittenVip};
use super::adverts::{AdvertDraft, told_apart};
use super::auth::AuthDraft;
use super::context::{Context, Draft, Handled, Line};
use super::election::ElectionWords;
use super::globals::{Defaults, GarpWords};
use super::script::duplicate;
use super::strict::{self, Acceptance};
use super::tracking::{Trackable, Tracked};
use super::value::Value;
use super::{auth_hmac, route, rule, vmac};

/// What an advert on the wire says of its virtual router.
type Place = (Option<InterfaceName>, Vrid, Family);

/// Reads instances one after the other and compares them.
pub(super) struct Instances<'d> {
    defaults: &'d Defaults,
    known: Trackable<'d>,
    list: Vec<Instance>,
    unpacker: Unpacker,
    used_scripts: BTreeSet<String>,
    /// Where instances stand in the list, and in the text.
    links: BTreeMap<Place, Vec<(usize, Span)>>,
}

impl<'d> Instances<'d> {
    pub(super) fn new(defaults: &'d Defaults, known: Trackable<'d>) -> Instances<'d> {
        Instances {
            defaults,
            known,
            list: Vec::new(),
            unpacker: Unpacker::default(),
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
        let statement = block.statement.unpacked(&mut self.unpacker);
        ctx.read_block(BlockKind::VrrpInstance, &statement, &mut draft);
        let used = draft.tracked.scripts.iter().map(|t| t.script.clone());
        self.used_scripts.extend(used);
        if let Some(instance) = draft.finish(ctx, self.defaults) {
            self.say_same_vrid(ctx, &instance, span);
            self.list.push(instance);
        }
    }

    fn say_same_vrid(&mut self, ctx: &mut Context<'_>, instance: &Instance, span: Span) {
        let place = instance.interface.clone().or(instance.more.vrf.clone());
        let same = self
            .links
            .entry((place, instance.vrid, instance.family))
            .or_default();
        let clash = same.iter().find_map(|(number, span)| {
            let other = self.list.get(*number)?;
            (!told_apart(instance, other)).then_some((&other.name, span))
        });
        let clash = clash.map(|(name, span)| (name.clone(), *span));
        same.push((self.list.len(), span));
        let Some((other, first)) = clash else {
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
                .related(first, "first used here")
                .note("keepalived would end here")
                .hint("give each instance on a link a virtual_router_id of its own".to_owned()),
        );
    }
}

pub(super) struct InstanceDraft<'s> {
    name: String,
    span: Span,
    known: Trackable<'s>,
    adverts: AdvertDraft,
    state: InitialState,
    interface: Option<InterfaceName>,
    vrf: Option<InterfaceName>,
    vrid: Option<Vrid>,
    vrid_refused: bool,
    interface_refused: bool,
    priority: Option<Priority>,
    down_timer_adverts: Option<u8>,
    nopreempt: Option<Span>,
    preempt_delay: Option<(Duration, Span)>,
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
            adverts: AdvertDraft::default(),
            state: InitialState::Backup,
            interface: None,
            vrf: None,
            vrid: None,
            vrid_refused: false,
            interface_refused: false,
            priority: None,
            down_timer_adverts: None,
            nopreempt: None,
            preempt_delay: None,
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
        if self.garp.apply(line.row.name, &value) == Handled::Yes
            || self.adverts.apply(ctx, line, &value) == Handled::Yes
        {
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
            "vrf" => self.vrf = interface(value),
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
                .is_some_and(|w| matches!(ctx.raw(w.span), "auth_type" | "auth_pass")),
            _ => false,
        };
        if block.items.is_empty() || !block.items.iter().all(is_auth) {
            return Handled::No;
        }
        self.auth.written = Some(block.open);
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
            "auth_hmac" => self.more.auth_hmac = Some(auth_hmac::read(ctx, line.statement)),
            "virtual_routes" => self.more.routes.extend(route::routes(ctx, line.statement)),
            "virtual_rules" => self.more.rules.extend(rule::rules(ctx, line.statement)),
            "use_vmac" => self.more.vmac = vmac::vmac(ctx, line),
            "use_ipvlan" => self.more.ipvlan = vmac::ipvlan(ctx, line),
            "unicast_peer" => {
                self.adverts.unicast = Some(line.span);
                let AdvertDraft {
                    peers,
                    peer_options,
                    ..
                } = &mut self.adverts;
                addresses::peers(ctx, line, peers, peer_options);
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
            "timer_expired_backup" | "owner_ignore_adverts" | "vip_lease" => {
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
        let interface = self.interface(ctx);
        let written = self.vips.iter().chain(&self.vips_excluded);
        let family = self.adverts.family(written.map(|w| w.vip.cidr.addr()));
        let version = self.adverts.version(ctx, &self.name, family, defaults);
        let priority = self.priority(ctx);
        let preempt = self.preempt(ctx);
        let auth = self.auth.finish(ctx, &self.name, version, family);
        let advert_int = self.adverts.advert_int(ctx, version);
        let (mut vips, mut vips_excluded) = self.take_vips(ctx, family, version);
        let interface = interface?;
        if interface.is_none() {
            for vip in vips.iter_mut().chain(&mut vips_excluded) {
                vip.dev.get_or_insert_with(|| defaults.default_interface());
            }
        }
        let adverts = self.adverts;
        let transport = adverts.transport(ctx, &self.name, defaults, family);
        let src_ip = adverts.source(ctx, &self.name, family);
        let more = InstanceMore {
            vrf: self.vrf,
            lvs_sync_daemon_interface: self.lvs_sync_daemon_interface,
            track_scripts: self.tracked.scripts,
            track_interfaces: self.tracked.interfaces,
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
            interface,
            vrid: vrid?,
            priority,
            advert_int,
            down_timer_adverts: self
                .down_timer_adverts
                .unwrap_or(defaults.down_timer_adverts),
            preempt,
            transport,
            src_ip,
            adverts: adverts.finish(defaults, family).into(),
            auth,
            vips,
            vips_excluded,
            garp: self
                .garp
                .resolve(&defaults.garp, defaults.min_garp, ctx.compat())
                .into(),
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
            dont_track_primary: self.dont_track_primary,
            accept: true,
            strict: false,
            more: more.into(),
        };
        let strict = acceptance
            .strict
            .unwrap_or(defaults.globals.vrrp.vrrp_strict);
        strict::apply(ctx, &mut instance, acceptance, strict, span);
        let lease = defaults.globals.vrrp.vip_lease;
        let lease = self.election.vip_lease(ctx, &instance, lease, span);
        instance.more.settings.vip_lease = lease;
        Some(instance)
    }

    /// `Some(None)`: it needs none.
    fn interface(&self, ctx: &mut Context<'_>) -> Option<Option<InterfaceName>> {
        if self.interface.is_none()
            && !self.interface_refused
            && self.adverts.stands_alone(ctx, &self.name, self.span)
        {
            return Some(None);
        }
        let interface = self.interface.clone();
        self.required(ctx, interface, self.interface_refused, "interface")
            .map(Some)
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
}

fn interface(value: Value) -> Option<InterfaceName> {
    match value {
        Value::Interface(name) => Some(name),
        _ => None,
    }
}
