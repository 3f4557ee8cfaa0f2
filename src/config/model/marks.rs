//! `nftables_ipvs`: a `virtual_server_group` is one service in the kernel, found by a mark that the packet filter
//! gives to packets to its addresses, instead of a service for each of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::{Family, FwMark, Protocol};

use super::{Config, MarkedAddresses, ServiceGroup, VirtualServer, VirtualServerAddress, Writers};

/// `nftables_ipvs_start_fwmark`, as in keepalived.
const FIRST: u32 = 1000;

/// First addresses of virtual servers, before and after.
type Moved = BTreeMap<VirtualServerAddress, VirtualServerAddress>;
/// What a mark stands for.
type Marked = (String, Protocol, Family);

impl Config {
    /// With `nftables_ipvs` every group gets marks in place of its addresses. They are counted up in the order
    /// of the file, past those that the file names itself.
    pub(in crate::config) fn mark_groups(&mut self) {
        if self.globals.filters.nftables_ipvs.is_none() {
            return;
        }
        let mut free = self.free_marks();
        let mut moved = Moved::new();
        for server in &mut self.virtual_servers {
            let before = server.address;
            mark_group(server, &mut free);
            moved.insert(before, server.address);
        }
        self.follow(&moved);
    }

    /// Whoever names a virtual server by its first address goes on to do so.
    fn follow(&mut self, moved: &Moved) {
        for server in &mut self.virtual_servers {
            if let Some(Writers::ReadersOf(whose)) = &mut server.writers
                && let Some(now) = moved.get(whose)
            {
                *whose = *now;
            }
        }
    }

    /// A group that `running` has too keeps its mark: under another one it would be another service, and its
    /// connections would be those of somebody else.
    pub(super) fn keep_marks_of(&mut self, running: &Config) {
        let first = |config: &Config| config.globals.filters.nftables_ipvs_start_fwmark;
        let known: BTreeMap<Marked, FwMark> = match first(self) == first(running) {
            true => running.virtual_servers.iter().flat_map(marked).collect(),
            false => BTreeMap::new(),
        };
        if known.is_empty() {
            return;
        }
        let here: BTreeSet<Marked> = self
            .virtual_servers
            .iter()
            .flat_map(marked)
            .map(|m| m.0)
            .collect();
        let named = self.named_marks();
        let kept: BTreeMap<&Marked, FwMark> = known
            .iter()
            .filter(|(what, mark)| here.contains(what) && !named.contains(mark))
            .map(|(what, mark)| (what, *mark))
            .collect();
        let taken: BTreeSet<FwMark> = kept.values().copied().collect();
        let mut free = self.free_marks().filter(|mark| !taken.contains(mark));
        let mut moved = Moved::new();
        for server in &mut self.virtual_servers {
            let all: Vec<(Marked, FwMark)> = marked(server).collect();
            let renamed: BTreeMap<FwMark, FwMark> = all
                .into_iter()
                .filter_map(|(what, mark)| {
                    let new = kept.get(&what).copied().or_else(|| free.next())?;
                    Some((mark, new))
                })
                .collect();
            let before = server.address;
            rename(server, &renamed);
            moved.insert(before, server.address);
        }
        self.follow(&moved);
    }

    /// Those that stand in the file.
    fn named_marks(&self) -> BTreeSet<FwMark> {
        let given: BTreeSet<FwMark> = self
            .virtual_servers
            .iter()
            .flat_map(marked)
            .map(|m| m.1)
            .collect();
        let all = self
            .virtual_servers
            .iter()
            .flat_map(VirtualServer::addresses);
        let marks = all.filter_map(|address| match address {
            VirtualServerAddress::FwMark { mark, .. } => Some(mark),
            VirtualServerAddress::Endpoint { .. } => None,
        });
        marks.filter(|mark| !given.contains(mark)).collect()
    }

    fn free_marks(&self) -> impl Iterator<Item = FwMark> + use<> {
        let named = self.named_marks();
        let first = self.globals.filters.nftables_ipvs_start_fwmark;
        let all = (first.unwrap_or(FIRST)..=u32::MAX).filter_map(FwMark::new);
        all.filter(move |mark| !named.contains(mark))
    }
}

/// What the marks of a virtual server stand for.
fn marked(server: &VirtualServer) -> impl Iterator<Item = (Marked, FwMark)> + '_ {
    server.group.iter().flat_map(|group| {
        let marked = group.marked.iter();
        marked.map(|m| ((group.name.clone(), m.protocol, m.family), m.mark))
    })
}

fn mark_group(server: &mut VirtualServer, free: &mut impl Iterator<Item = FwMark>) {
    let mut list: Vec<MarkedAddresses> = Vec::new();
    let mut others = Vec::new();
    for address in server.addresses() {
        match address {
            VirtualServerAddress::Endpoint { protocol, endpoint } => {
                let family = endpoint.family();
                match list.iter_mut().find(|m| m.family == family) {
                    Some(marked) => marked.endpoints.push(endpoint),
                    None => {
                        let Some(mark) = free.next() else { return };
                        list.push(MarkedAddresses {
                            mark,
                            protocol,
                            family,
                            endpoints: vec![endpoint],
                        });
                    }
                }
            }
            mark @ VirtualServerAddress::FwMark { .. } => others.push(mark),
        }
    }
    let Some(group) = &mut server.group else {
        return;
    };
    let own = list.iter().map(MarkedAddresses::address);
    let mut all = own.chain(others);
    if let Some(first) = all.next() {
        server.address = first;
        group.more = all.collect();
        group.marked = list;
    }
}

fn rename(server: &mut VirtualServer, renamed: &BTreeMap<FwMark, FwMark>) {
    let Some(ServiceGroup { more, marked, .. }) = &mut server.group else {
        return;
    };
    let given: BTreeSet<(Family, FwMark)> = marked.iter().map(|m| (m.family, m.mark)).collect();
    for address in std::iter::once(&mut server.address).chain(more) {
        if let VirtualServerAddress::FwMark { family, mark } = address
            && given.contains(&(*family, *mark))
            && let Some(new) = renamed.get(mark)
        {
            *mark = *new;
        }
    }
    for marked in marked {
        if let Some(new) = renamed.get(&marked.mark) {
            marked.mark = *new;
        }
    }
}

impl MarkedAddresses {
    /// The service that they are.
    pub fn address(&self) -> VirtualServerAddress {
        VirtualServerAddress::FwMark {
            family: self.family,
            mark: self.mark,
        }
    }
}
