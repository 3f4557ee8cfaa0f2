//! Instances: who can be reached, and whether what they track can move them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::diagnostic::Diagnostics;
use crate::config::model::{Instance, Preempt, Transport, Weight};
use crate::config::source::Span;
use crate::config::{Config, Origins};
use crate::units::Priority;

use super::{risk, weights};

/// The highest priority that a weight can make.
const WEIGHTED_MAX: i32 = 254;

pub(super) fn lint(config: &Config, origins: &Origins, diagnostics: &mut Diagnostics) {
    shared_vips(config, origins, diagnostics);
    for instance in &config.instances {
        let mut check = Check {
            config,
            instance,
            span: origins.instances.get(&instance.name).copied(),
            diagnostics,
        };
        check.static_vips();
        check.peers();
        check.strict();
        check.weights();
    }
}

/// Addresses that two instances of this router have on the same interface: whichever is master last
/// decides whether they are there.
fn shared_vips(config: &Config, origins: &Origins, diagnostics: &mut Diagnostics) {
    let mut seen = BTreeMap::new();
    for instance in &config.instances {
        for vip in instance.all_vips() {
            let address = vip.cidr.addr();
            let interface = vip.dev.as_ref().or(instance.interface.as_ref());
            let first = *seen.entry((address, interface)).or_insert(&instance.name);
            if *first == instance.name {
                continue;
            }
            let message = format!(
                "{address} is an address of `{first}` and of `{}`",
                instance.name
            );
            diagnostics.push(
                risk(origins.instances.get(&instance.name).copied(), message)
                    .label("each would take it away from the other")
                    .hint("an address belongs to one instance".to_owned()),
            );
        }
    }
}

struct Check<'a> {
    config: &'a Config,
    instance: &'a Instance,
    span: Option<Span>,
    diagnostics: &'a mut Diagnostics,
}

impl Check<'_> {
    fn static_vips(&mut self) {
        let statics = &self.config.statics.addresses;
        for vip in self.instance.all_vips() {
            let address = vip.cidr.addr();
            if statics.iter().any(|fixed| fixed.cidr.addr() == address) {
                let name = &self.instance.name;
                let message = format!("{address} of `{name}` is a `static_ipaddress` too");
                self.diagnostics.push(
                    risk(self.span, message)
                        .label("a backup would answer on it")
                        .hint("take it out of `static_ipaddress`".to_owned()),
                );
            }
        }
    }

    fn peers(&mut self) {
        let name = &self.instance.name;
        let Transport::Unicast(peers) = &self.instance.transport else {
            return;
        };
        for &peer in peers {
            let ours: Option<(IpAddr, &str)> = self
                .instance
                .src_ip
                .filter(|&source| source == peer)
                .map(|source| (source, "its own `unicast_src_ip`"))
                .or_else(|| {
                    let mut vips = self.instance.all_vips();
                    let vip = vips.find(|vip| vip.cidr.addr() == peer)?;
                    Some((vip.cidr.addr(), "one of its own virtual addresses"))
                });
            if let Some((address, what)) = ours {
                let message = format!("{address} in `unicast_peer` of `{name}` is {what}");
                self.diagnostics.push(
                    risk(self.span, message)
                        .label("a router that is its own peer hears nobody else there")
                        .hint("name the other routers' own addresses".to_owned()),
                );
            }
        }
    }

    /// Strict routers, and those with `no_accept`, drop what is sent to addresses that they do not own.
    fn strict(&mut self) {
        if self.instance.accept || self.instance.all_vips().next().is_none() {
            return;
        }
        let keyword = match (self.instance.strict, self.config.globals.vrrp.vrrp_strict) {
            (true, true) => "vrrp_strict",
            (true, false) => "strict_mode",
            (false, _) => "no_accept",
        };
        let name = &self.instance.name;
        let message =
            format!("with `{keyword}` the addresses of `{name}` answer neither ping nor anybody");
        self.diagnostics.push(
            risk(self.span, message)
                .note("what is sent to them is dropped, but for neighbour discovery")
                .hint(format!(
                    "remove `{keyword}`, unless a service behind them is forwarded only"
                )),
        );
    }

    /// What its weights can add and take away, each with its name.
    fn weights(&mut self) {
        let instance = self.instance;
        let weighted: Vec<(&str, i32)> = weights(instance)
            .filter_map(|(name, weight)| match weight {
                Weight::Priority { delta, .. } => Some((name, i32::from(delta))),
                Weight::Fault | Weight::FaultWhenUp => None,
            })
            .collect();
        let Some(&(first, _)) = weighted.first() else {
            return;
        };
        let name = &instance.name;
        if instance.priority.is_owner() {
            let owner = Priority::OWNER;
            let message = format!("the weight of `{first}` never moves `{name}`");
            self.diagnostics.push(
                risk(self.span, message)
                    .label(format!("a priority of {owner} takes no weights"))
                    .note("keepalived does the same")
                    .hint("give it a priority below 255".to_owned()),
            );
            return;
        }
        if instance.preempt == Preempt::Never {
            let message =
                format!("with `nopreempt` the weight of `{first}` may never move `{name}`");
            self.diagnostics.push(
                risk(self.span, message)
                    .label("a backup with `nopreempt` lets a master with a lower priority be")
                    .note("keepalived does the same")
                    .hint(
                        "leave out `weight`, so that failure is a fault, or leave out `nopreempt`"
                            .to_owned(),
                    ),
            );
        }
        let base = i32::from(instance.priority.get());
        let message = match weighted.iter().find(|&&(_, delta)| delta > 0) {
            Some((tracked, _)) if base == WEIGHTED_MAX => format!(
                "the weight of `{tracked}` cannot raise `{name}`: {WEIGHTED_MAX} is the highest"
            ),
            _ => return,
        };
        self.diagnostics.push(
            risk(self.span, message)
                .note("keepalived does the same")
                .hint("lower its priority, or use a negative weight".to_owned()),
        );
    }
}
