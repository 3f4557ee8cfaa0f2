//! What an operator ordered at run time, instead of what the configuration says: servers that are taken out
//! of their pools, weights, checks that are not made. An order stays over reloads and restarts until it is
//! taken back, or its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::config::model::{OnGone, RealServer, VirtualServer};
use crate::ipvs::ServiceKey;
use crate::lvs;
use crate::net::Endpoint;
use crate::time::Time;

use super::notices::servers;
use super::{Action, Balancer, BalancerEvent, ServerKey};

/// How long connections of a server that is taken out may last where nobody says.
const LIMIT: Duration = Duration::from_secs(300);

/// Servers, wherever they stand: one port of an address, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whom {
    /// The address.
    pub addr: IpAddr,
    /// `None`: whatever the port is.
    pub port: Option<u16>,
}

impl Whom {
    /// Whether it is one of these.
    pub fn means(self, endpoint: Endpoint) -> bool {
        self.addr == endpoint.addr && self.port.is_none_or(|port| port == endpoint.port)
    }
}

/// `10.1.0.1`, `10.1.0.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.addr, port).fmt(f),
            None => self.addr.fmt(f),
        }
    }
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Whom, String> {
        if let Ok(addr) = text.parse() {
            return Ok(Whom { addr, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(at) => Ok(Whom {
                addr: at.ip(),
                port: Some(at.port()),
            }),
            Err(_) => Err(format!(
                "`{text}` is no server: write ADDRESS or ADDRESS:PORT"
            )),
        }
    }
}

/// Whom an order is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Servers, in every virtual server that has them.
    Server(Whom),
    /// All servers of one virtual server, by the name of its service (`10.0.0.1:80/tcp`) or of its group.
    Service(String),
}

impl Scope {
    fn means(&self, vs: &VirtualServer, server: &RealServer) -> bool {
        match self {
            Scope::Server(whom) => whom.means(server.endpoint),
            Scope::Service(name) => is_called(vs, name),
        }
    }
}

/// Whether a virtual server has this name: that of its service, the same without the protocol, or that of its
/// group.
fn is_called(vs: &VirtualServer, name: &str) -> bool {
    if let Some(group) = &vs.group {
        return group.name == name;
    }
    service_is_called(&lvs::service_key(&vs.address), name)
}

fn service_is_called(key: &ServiceKey, name: &str) -> bool {
    let full = key.to_string();
    full == name || full.split('/').next() == Some(name)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Server(whom) => whom.fmt(f),
            Scope::Service(name) => f.write_str(name),
        }
    }
}

/// Which kind of order. Of each kind there is one for the same [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `vipd drain`
    Drain,
    /// `vipd weight`
    Weight,
    /// `vipd pause`
    Pause,
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// It takes no new connections and goes when those that it has are over, or after this time; `None`: as
    /// configured, else 300 s.
    Drain(Option<Duration>),
    /// It has this weight instead of the configured one; what checks add to it, they add to this one.
    Weight(u32),
    /// It is not checked: what its checks said last holds.
    Pause,
}

impl Set {
    /// Of which kind it is.
    pub fn kind(self) -> Kind {
        match self {
            Set::Drain(_) => Kind::Drain,
            Set::Weight(_) => Kind::Weight,
            Set::Pause => Kind::Pause,
        }
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// What is ordered.
    pub set: Set,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When, in seconds since 1970, by the wall clock at that time.
    pub since: u64,
    /// When it ends by itself.
    pub until: Option<Time>,
}

/// All orders that hold.
pub type Overrides = BTreeMap<(Kind, Scope), Override>;

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// It holds from now on; for so long, unless it is taken back.
    Now(Option<Duration>),
    /// Somebody took it back.
    Back(String),
    /// Its time is over.
    Over,
}

/// The order of this kind about a server by its address: that about its port comes first.
fn of_server(overrides: &Overrides, kind: Kind, at: Endpoint) -> Option<&Override> {
    if overrides.is_empty() {
        return None;
    }
    let Endpoint { addr, port } = at;
    let look = |port| overrides.get(&(kind, Scope::Server(Whom { addr, port })));
    look(Some(port)).or_else(|| look(None))
}

/// The time that a server's connections have, if an operator took it out.
pub(super) fn limit(overrides: &Overrides, server: &RealServer) -> Option<Duration> {
    let Set::Drain(said) = of_server(overrides, Kind::Drain, server.endpoint)?.set else {
        return None;
    };
    let configured = server.connections.as_deref();
    let configured = configured.and_then(|c| match c.on_remove.or(c.on_down) {
        Some(OnGone::Drain(limit)) => Some(limit),
        Some(OnGone::Kill) | None => None,
    });
    Some(said.or(configured).unwrap_or(LIMIT))
}

/// The weight that counts as the configured one.
pub(super) fn weight(overrides: &Overrides, server: &RealServer) -> u32 {
    match of_server(overrides, Kind::Weight, server.endpoint).map(|order| order.set) {
        Some(Set::Weight(weight)) => weight,
        _ => server.weight,
    }
}

/// Orders about all servers of a virtual server.
fn of_services(overrides: &Overrides) -> impl Iterator<Item = (&str, &Override)> {
    overrides
        .iter()
        .filter_map(|((_, scope), order)| match scope {
            Scope::Service(name) => Some((name.as_str(), order)),
            Scope::Server(_) => None,
        })
}

impl Balancer {
    /// Orders that an earlier run left. Before [`Input::Started`](super::Input::Started).
    #[must_use]
    pub fn with_overrides(mut self, overrides: Overrides) -> Balancer {
        self.overrides = overrides;
        self
    }

    /// How many servers of the configuration somebody means.
    pub fn count(&self, scope: &Scope) -> usize {
        let all = servers(&self.config);
        all.filter(|(_, vs, server)| scope.means(vs, server))
            .count()
    }

    /// The orders that concern a server.
    pub(super) fn overrides_of(
        &self,
        vs: &VirtualServer,
        server: &RealServer,
    ) -> Vec<(Scope, Override)> {
        if self.overrides.is_empty() {
            return Vec::new();
        }
        let kinds = [Kind::Drain, Kind::Weight, Kind::Pause];
        let of_one = kinds.into_iter().filter_map(|kind| {
            let order = of_server(&self.overrides, kind, server.endpoint)?;
            let port = Some(server.endpoint.port);
            let addr = server.endpoint.addr;
            let one = Scope::Server(Whom { addr, port });
            let exact = self.overrides.contains_key(&(kind, one.clone()));
            let all = Scope::Server(Whom { addr, port: None });
            Some((if exact { one } else { all }, order.clone()))
        });
        let of_all = of_services(&self.overrides);
        let of_all = of_all.filter(|(name, _)| is_called(vs, name));
        let of_all = of_all.map(|(name, order)| (Scope::Service(name.to_owned()), order.clone()));
        of_one.chain(of_all).collect()
    }

    /// Whether an operator wants a server not to be checked.
    pub(super) fn is_paused(&self, vs: &VirtualServer, server: &RealServer) -> bool {
        of_server(&self.overrides, Kind::Pause, server.endpoint).is_some()
            || of_services(&self.overrides).any(|(name, _)| is_called(vs, name))
    }

    /// Those whom an operator wants not to be checked.
    pub(super) fn paused(&self) -> BTreeSet<ServerKey> {
        if !self.has_pauses() {
            return BTreeSet::new();
        }
        let all = servers(&self.config);
        all.filter(|(_, vs, server)| self.is_paused(vs, server))
            .map(|(key, ..)| key)
            .collect()
    }

    pub(super) fn has_pauses(&self) -> bool {
        self.overrides.keys().any(|(kind, _)| *kind == Kind::Pause)
    }

    /// Somebody gives an order.
    pub(super) fn on_override(
        &mut self,
        scope: Scope,
        order: Override,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let key = (order.set.kind(), scope);
        let lasts = order.until.map(|until| until.until(now));
        if self.overrides.get(&key) == Some(&order) {
            return;
        }
        self.overrides.insert(key.clone(), order.clone());
        self.tell_override(key.1.clone(), order, Given::Now(lasts), out);
        self.apply_overrides(&[key], now, out);
    }

    /// Somebody takes orders back: of an address those of every port too.
    pub(super) fn on_lift(
        &mut self,
        kind: Kind,
        scope: &Scope,
        by: &str,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let concerned = |(of, other): &(Kind, Scope)| {
            *of == kind
                && match (scope, other) {
                    (Scope::Server(whom), Scope::Server(other)) => {
                        other.addr == whom.addr && (whom.port.is_none() || other.port == whom.port)
                    }
                    _ => scope == other,
                }
        };
        let keys = self.overrides.keys().filter(|key| concerned(key));
        let keys: Vec<(Kind, Scope)> = keys.cloned().collect();
        self.end_overrides(&keys, &Given::Back(by.to_owned()), now, out);
    }

    /// When the first of them ends by itself.
    pub(super) fn overrides_end(&self) -> Option<Time> {
        self.overrides
            .values()
            .filter_map(|order| order.until)
            .min()
    }

    /// Ends those whose time is over.
    pub(super) fn on_overrides_over(&mut self, now: Time, out: &mut Vec<Action>) {
        let over = self.overrides.iter();
        let over = over.filter(|(_, order)| order.until.is_some_and(|until| until <= now));
        let keys: Vec<(Kind, Scope)> = over.map(|(key, _)| key.clone()).collect();
        self.end_overrides(&keys, &Given::Over, now, out);
    }

    fn end_overrides(
        &mut self,
        keys: &[(Kind, Scope)],
        how: &Given,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        for key in keys {
            if let Some(order) = self.overrides.remove(key) {
                self.tell_override(key.1.clone(), order, how.clone(), out);
            }
        }
        if !keys.is_empty() {
            self.apply_overrides(keys, now, out);
        }
    }

    fn tell_override(&self, scope: Scope, order: Override, how: Given, out: &mut Vec<Action>) {
        out.push(Action::Event(BalancerEvent::Override {
            scope,
            order: Box::new(order),
            how,
        }));
    }

    /// Has orders take effect that came or went.
    fn apply_overrides(&mut self, keys: &[(Kind, Scope)], now: Time, out: &mut Vec<Action>) {
        out.push(Action::Overrides(self.overrides.clone()));
        if !self.is_running() {
            return;
        }
        let of_kinds = |kinds: &[Kind]| -> BTreeSet<ServiceKey> {
            let scopes = keys.iter().filter(|(kind, _)| kinds.contains(kind));
            let scopes: Vec<&Scope> = scopes.map(|(_, scope)| scope).collect();
            let all = servers(&self.config);
            all.filter(|(_, vs, server)| scopes.iter().any(|scope| scope.means(vs, server)))
                .map(|(key, ..)| key.service)
                .collect()
        };
        let pools = of_kinds(&[Kind::Drain, Kind::Weight]);
        let checked = of_kinds(&[Kind::Pause]);
        for service in pools {
            self.refresh_pool(service, out);
        }
        if !checked.is_empty() {
            self.set_pauses(|vs| checked.contains(&lvs::service_key(&vs.address)), now);
            self.tell_checks(out);
        }
    }
}
