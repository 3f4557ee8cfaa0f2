//! What lines of routes and rules ask of the kernel.

use std::collections::BTreeSet;

use crate::config::model::{self, RouteHop, Table};
use crate::net::{
    DEFAULT_METRIC_V6, Family, HopOptions, InterfaceName, ROUTE_PROTOCOL, RouteKey, RouteSpec, Rule,
};

use super::kernel_view::KernelView;

/// Routes and rules in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) routes: Vec<(RouteKey, RouteSpec)>,
    pub(super) rules: Vec<Rule>,
}

impl Wanted {
    /// What these lines ask for, as far as the interfaces that they name are there.
    pub(super) fn of(
        routes: &[model::Route],
        rules: &[model::Rule],
        kernel: &KernelView,
    ) -> Wanted {
        Wanted {
            routes: routes.iter().filter_map(|r| resolve(r, kernel)).collect(),
            rules: rules.iter().map(|rule| rule.rule.clone()).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    pub(super) fn extend(&mut self, other: Wanted) {
        self.routes.extend(other.routes);
        self.rules.extend(other.rules);
    }

    /// Whether a route as the kernel shows it is one of these.
    pub(super) fn has(&self, shown: &RouteKey) -> bool {
        self.routes.iter().any(|(key, _)| key.is_shown_as(shown))
    }

    /// Those routes and rules of these that are there.
    pub(super) fn only(
        &self,
        is_there: impl Fn(&RouteKey) -> bool,
        rules: &BTreeSet<Rule>,
    ) -> Wanted {
        let routes = self.routes.iter().filter(|(key, _)| is_there(key));
        let there = self.rules.iter().filter(|rule| rules.contains(rule));
        Wanted {
            routes: routes.cloned().collect(),
            rules: there.cloned().collect(),
        }
    }
}

/// The links that must be up for these lines.
pub(super) fn links<'a>(
    routes: &'a [model::Route],
    rules: &'a [model::Rule],
) -> impl Iterator<Item = &'a InterfaceName> {
    let routes = routes.iter().filter(|route| !route.no_track);
    let hops = routes.flat_map(|route| &route.hops);
    let rules = rules.iter().filter(|rule| !rule.no_track);
    let of_rules = rules.flat_map(|rule| rule.rule.iif.iter().chain(&rule.rule.oif));
    hops.filter_map(|hop| hop.dev.as_ref()).chain(of_rules)
}

pub(super) fn resolve(route: &model::Route, kernel: &KernelView) -> Option<(RouteKey, RouteSpec)> {
    let mut hops = Vec::new();
    for hop in &route.hops {
        let interface = match &hop.dev {
            Some(dev) => Some(kernel.index_of(dev)?),
            None => None,
        };
        hops.push((hop.via, interface));
    }
    let table = match &route.table {
        Table::Number(table) => *table,
        Table::Vrf(vrf) => kernel.link(vrf)?.vrf_table?,
    };
    let metric = match route.family {
        Family::V6 if route.metric == 0 => DEFAULT_METRIC_V6,
        _ => route.metric,
    };
    let key = RouteKey {
        family: route.family,
        table,
        destination: route.destination,
        source: route.from,
        tos: route.tos,
        metric,
        kind: route.kind,
        protocol: route.protocol.unwrap_or(ROUTE_PROTOCOL),
        hops,
    };
    let spec = RouteSpec {
        scope: route.scope,
        source_address: route.source_address,
        hops: route.hops.iter().map(hop_options).collect(),
        metrics: route.metrics.clone(),
        locked: route.locked,
        congestion: route.congestion.clone(),
        expires: route.expires,
        preference: route.preference,
        ttl_propagate: route.ttl_propagate,
        placement: route.placement,
    };
    Some((key, spec))
}

fn hop_options(hop: &RouteHop) -> HopOptions {
    HopOptions {
        weight: u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX),
        onlink: hop.onlink,
        realms: hop.realms,
        encap: hop.encap.clone(),
    }
}

/// Whether a route is as it should be; what was not asked for is the kernel's to choose, and what
/// expires runs down.
pub(super) fn same_route(desired: &RouteSpec, observed: &RouteSpec) -> bool {
    let asked = |want: bool, same: bool| !want || same;
    let source = desired.source_address;
    desired.scope == observed.scope
        && desired.hops == observed.hops
        && desired.metrics == observed.metrics
        && desired.locked == observed.locked
        && desired.congestion == observed.congestion
        && desired.expires.is_some() == observed.expires.is_some_and(|left| left > 0)
        && asked(source.is_some(), source == observed.source_address)
        && asked(
            desired.preference.is_some(),
            desired.preference == observed.preference,
        )
        && asked(
            desired.ttl_propagate.is_some(),
            desired.ttl_propagate == observed.ttl_propagate,
        )
}
