//! All virtual servers of a file: no address has two.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{VirtualServer, VirtualServerAddress};
use crate::config::source::Span;
use crate::net::Endpoint;

use super::context::Context;

/// Virtual servers; two blocks for one address are one service with the servers of both, as they are
/// in the kernel when keepalived has added them one after the other.
#[derive(Default)]
pub(super) struct Services {
    list: Vec<VirtualServer>,
    places: BTreeMap<VirtualServerAddress, usize>,
    /// The servers of those that others have joined.
    members: BTreeMap<usize, BTreeSet<Endpoint>>,
}

impl Services {
    /// For so many virtual servers.
    pub(super) fn with_capacity(servers: usize) -> Services {
        Services {
            list: Vec::with_capacity(servers),
            ..Services::default()
        }
    }

    pub(super) fn into_list(self) -> Vec<VirtualServer> {
        self.list
    }

    pub(super) fn add(&mut self, ctx: &mut Context<'_>, mut server: VirtualServer, span: Span) {
        let place = self.list.len();
        let mut own = Vec::new();
        let mut taken = Vec::new();
        for address in server.addresses() {
            match self.places.contains_key(&address) {
                true => taken.push(address),
                false => own.push(address),
            }
        }
        let mut own = own.into_iter();
        let Some(first) = own.next() else {
            return self.join(ctx, server, span);
        };
        if let Some(address) = taken.first() {
            self.say_taken(ctx, *address, taken.len(), span);
        }
        server.address = first;
        if let Some(group) = &mut server.group {
            group.more = own.collect();
        }
        for address in server.addresses() {
            self.places.insert(address, place);
            ctx.origins().virtual_servers.insert(address, span);
        }
        self.list.push(server);
    }

    /// All its addresses are those of an earlier one.
    fn join(&mut self, ctx: &mut Context<'_>, server: VirtualServer, span: Span) {
        let mut twice = Diagnostic::warning(
            Code::Duplicate,
            span,
            "this virtual server is defined twice",
        )
        .label("its real servers join those of the first; nothing else of it counts")
        .hint("put all its real servers into one block".to_owned());
        if let Some(&first) = ctx.origins().virtual_servers.get(&server.address) {
            twice = twice.related(first, "first defined here");
        }
        ctx.say(twice);
        // Of those that have its addresses the one of the same group, if there is one.
        let name = |vs: &VirtualServer| vs.group.as_ref().map(|group| group.name.clone());
        let places = server
            .addresses()
            .filter_map(|a| self.places.get(&a).copied());
        let places: Vec<usize> = places.collect();
        let mut same = places.iter().copied();
        let same = same.find(|p| self.list.get(*p).map(name) == Some(name(&server)));
        let Some(known) = same.or(places.first().copied()) else {
            return;
        };
        if let Some(first) = self.list.get_mut(known) {
            let members = self.members.entry(known);
            let members = members.or_insert_with(|| {
                first
                    .real_servers
                    .iter()
                    .map(|real| real.endpoint)
                    .collect()
            });
            for joining in server.real_servers {
                if members.insert(joining.endpoint) {
                    first.real_servers.push(joining);
                }
            }
        }
    }

    fn say_taken(
        &self,
        ctx: &mut Context<'_>,
        address: VirtualServerAddress,
        count: usize,
        span: Span,
    ) {
        let which = match address {
            VirtualServerAddress::Endpoint { protocol, endpoint } => {
                format!("{endpoint}/{protocol}")
            }
            VirtualServerAddress::FwMark { mark, .. } => format!("fwmark {mark}"),
        };
        let more = match count - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let message = format!("{which}{more} of this group has a virtual server already");
        let mut diagnostic = Diagnostic::warning(Code::Duplicate, span, message)
            .label("the address is left out here")
            .note("keepalived would add the servers of both to that service");
        if let Some(&first) = ctx.origins().virtual_servers.get(&address) {
            diagnostic = diagnostic.related(first, "it is defined here");
        }
        ctx.say(diagnostic);
    }
}
