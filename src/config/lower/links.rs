//! Blocks that stand for themselves: static objects, links, keys of TLS.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    GarpGroup, Instance, LinkBeat, LinkDelays, LinkSettings, SslSettings, Statics,
};
use crate::config::source::Span;
use crate::config::tree::Statement;
use crate::net::InterfaceName;

use super::context::{Context, Draft, Handled, Line};
use super::value::Value;
use super::{Root, addresses, route, rule};

/// Where static addresses are set that name no interface, unless `default_interface` says otherwise.
const DEFAULT_INTERFACE: &str = "eth0";

/// `static_ipaddress`, `static_routes` and `static_rules`.
pub(super) fn statics(
    ctx: &mut Context<'_>,
    root: &Root<'_>,
    default_interface: Option<InterfaceName>,
) -> Statics {
    let mut statics = Statics::default();
    for statement in &root.static_addresses {
        statics.addresses.extend(addresses::statics(ctx, statement));
    }
    let interface = default_interface.or_else(|| DEFAULT_INTERFACE.parse().ok());
    for address in &mut statics.addresses {
        address.dev = address.dev.take().or_else(|| interface.clone());
    }
    for statement in &root.static_routes {
        statics.routes.extend(route::routes(ctx, statement));
    }
    for statement in &root.static_rules {
        statics.rules.extend(rule::rules(ctx, statement));
    }
    statics
}

/// Every `track_group`, when the instances are known.
pub(super) fn track_groups(ctx: &mut Context<'_>, root: &Root<'_>) -> Vec<(String, Vec<String>)> {
    let mut groups = Vec::new();
    for block in &root.track_groups {
        let mut members = NamesDraft::default();
        ctx.read_block(BlockKind::TrackGroup, block.statement, &mut members);
        let mut names = Vec::new();
        for (name, span) in members.0 {
            if ctx.origins().instances.contains_key(&name) || ctx.is_damaged() {
                names.push(name);
                continue;
            }
            let message = format!("no `vrrp_instance {name}` is defined");
            ctx.say(
                Diagnostic::warning(Code::UnknownName, span, message)
                    .label("left out of the group, as in keepalived"),
            );
        }
        groups.push((block.name.clone(), names));
    }
    groups
}

/// `interface_up_down_delays` and `garp_group`.
pub(super) fn lower(ctx: &mut Context<'_>, root: &Root<'_>) -> LinkSettings {
    let mut links = LinkSettings::default();
    for statement in &root.up_down_delays {
        for line in ctx.lines(statement) {
            up_down_delays(ctx, line, &mut links);
        }
    }
    for statement in &root.garp_groups {
        let mut draft = GarpDraft::default();
        ctx.read_block(BlockKind::GarpGroup, statement, &mut draft);
        if draft.0.interfaces.is_empty() {
            let message = "this `garp_group` names no interface";
            let label = "left out, as in keepalived";
            let span = statement.span();
            ctx.say(Diagnostic::warning(Code::EmptyBlock, span, message).label(label));
            continue;
        }
        links.garp_groups.push(draft.0);
    }
    links
}

/// Who is asked for its link: every interface of the block, and with `linkbeat_use_polling` those that
/// instances need.
pub(super) fn linkbeats(ctx: &mut Context<'_>, root: &Root<'_>, config: &mut Config) {
    let everywhere = config.globals.node.linkbeat_use_polling;
    let asked = config.instances.iter();
    let asked = asked.filter(|i| everywhere || i.more.settings.linkbeat_use_polling);
    let own = asked.filter_map(|instance| instance.interface.as_ref());
    let instances = config.instances.iter().filter(|_| everywhere);
    let tracked = instances.flat_map(|instance| &instance.more.track_interfaces);
    let groups = config.sync_groups.iter().filter(|_| everywhere);
    let tracked = tracked.chain(groups.flat_map(|group| &group.track_interfaces));
    let names = own.chain(tracked.map(|tracked| &tracked.interface));
    let linkbeat = &mut config.links.linkbeat;
    linkbeat.extend(names.map(|name| (name.clone(), None)));
    for statement in &root.linkbeats {
        for line in ctx.lines(statement) {
            let [interface, how @ ..] = &*line.words else {
                continue;
            };
            let Some(interface) = ctx.interface(interface) else {
                continue;
            };
            let how = how.first().and_then(|word| {
                let text = ctx.text(word);
                let how = [LinkBeat::Mii, LinkBeat::Ethtool, LinkBeat::Ioctl];
                let how = how.into_iter().find(|how| how.to_string() == text);
                if how.is_none() {
                    let message = format!("`{text}` is not MII, ETHTOOL or IOCTL");
                    let span = word.span;
                    ctx.say(
                        Diagnostic::warning(Code::InvalidValue, span, message)
                            .label("ignored: it is asked as it can be"),
                    );
                }
                how
            });
            linkbeat.insert(interface, how);
        }
    }
}

/// `IF DOWN [UP]`, seconds from 0 to 255.
fn up_down_delays(ctx: &mut Context<'_>, line: &Statement, links: &mut LinkSettings) {
    let [interface, delays @ ..] = &*line.words else {
        return;
    };
    let Some(interface) = ctx.interface(interface) else {
        return;
    };
    let mut seconds = [0; 2];
    for (seconds, word) in seconds.iter_mut().zip(delays) {
        let text = ctx.text(word);
        match text.parse::<u8>() {
            Ok(read) => *seconds = read,
            Err(_) => {
                let message = format!("`{text}` is not a delay from 0 to 255 seconds");
                let span = word.span;
                ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            }
        }
    }
    if delays.is_empty() {
        let message = format!("`{interface}` needs a delay");
        ctx.say(Diagnostic::error(Code::MissingValue, line.span(), message));
    }
    let [down, up] = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    links
        .up_down_delays
        .insert(interface, LinkDelays { down, up });
}

/// A link that is down must count before its instance would take its own master for dead.
pub(super) fn bound_delays(
    ctx: &mut Context<'_>,
    links: &mut LinkSettings,
    instances: &[Arc<Instance>],
) {
    for instance in instances {
        let Some(interface) = &instance.interface else {
            continue;
        };
        let Some(delays) = links.up_down_delays.get_mut(interface) else {
            continue;
        };
        // keepalived's bounds: without a second advert to wait for there is no delay at all.
        let interval = instance.advert_int.get();
        let waits = u32::from(instance.down_timer_adverts.saturating_sub(1));
        let max = (interval * waits).saturating_sub(interval / 256);
        if delays.down <= max && (waits > 0 || delays.up.is_zero()) {
            continue;
        }
        if waits == 0 || delays.up == delays.down {
            delays.up = max;
        }
        delays.down = max;
        let name = &instance.name;
        let message = format!(
            "`{interface}` is down after {} s at the latest, as `{name}` advertises",
            max.as_secs_f64()
        );
        let span = ctx.origins().interfaces.get(interface).copied();
        ctx.say(
            Diagnostic::warning(Code::InvalidValue, span, message)
                .label("the delay is shortened, as in keepalived"),
        );
    }
}

/// `SSL`; later blocks over earlier ones.
pub(super) fn ssl(ctx: &mut Context<'_>, statements: &[&Statement]) -> Option<SslSettings> {
    let mut draft = None;
    for statement in statements {
        let draft = draft.get_or_insert_with(SslDraft::default);
        ctx.read_block(BlockKind::Ssl, statement, draft);
    }
    draft.map(|draft| draft.0)
}

#[derive(Default)]
pub(super) struct SslDraft(SslSettings);

impl<'t> Draft<'t> for SslDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        Handled::of(self.0.set(line.row.name, &ctx.setting(line, &value)))
    }
}

/// `track_group`.
#[derive(Default)]
pub(super) struct NamesDraft(Vec<(String, Span)>);

impl<'t> Draft<'t> for NamesDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, _: Value) -> Handled {
        if line.row.name != "group" {
            return Handled::No;
        }
        self.0.extend(ctx.names(line.statement));
        Handled::Yes
    }
}

#[derive(Default)]
pub(super) struct GarpDraft(GarpGroup);

impl<'t> Draft<'t> for GarpDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match (line.row.name, value) {
            ("garp_interval", value) => self.0.garp_interval = value.seconds(),
            ("gna_interval", value) => self.0.gna_interval = value.seconds(),
            ("interface", Value::Interface(name)) => self.0.interfaces.push(name),
            ("interfaces", _) => {
                for entry in ctx.lines(line.statement) {
                    let names = entry.words.iter().filter_map(|word| ctx.interface(word));
                    self.0.interfaces.extend(names);
                }
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}
