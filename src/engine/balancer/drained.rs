//! Servers that an operator took out of their pools: they take no new connections, go when those that they
//! have are over, and stay away until the operator lets them in again, over reloads and restarts.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::config::model::{OnGone, RealServer};
use crate::net::Endpoint;

use super::notices::servers;
use super::{Action, Balancer, BalancerEvent, ServerKey};

/// How long connections may last where nobody says.
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

/// Those that were taken out, with the time that their connections were given.
pub type Drained = BTreeMap<Whom, Option<Duration>>;

/// The time that a server's connections have, if an operator took it out.
pub(super) fn limit(drained: &Drained, server: &RealServer) -> Option<Duration> {
    let Endpoint { addr, port } = server.endpoint;
    let one = drained.get(&Whom {
        addr,
        port: Some(port),
    });
    let said = one.or_else(|| drained.get(&Whom { addr, port: None }))?;
    let configured = server.connections.as_deref();
    let configured = configured.and_then(|c| match c.on_remove.or(c.on_down) {
        Some(OnGone::Drain(limit)) => Some(limit),
        Some(OnGone::Kill) | None => None,
    });
    Some(said.or(configured).unwrap_or(LIMIT))
}

impl Balancer {
    /// Servers that an earlier run had taken out. Before [`Input::Started`](super::Input::Started).
    #[must_use]
    pub fn with_drained(mut self, drained: Drained) -> Balancer {
        self.drained = drained;
        self
    }

    /// How many servers of the configuration somebody means.
    pub fn count(&self, whom: Whom) -> usize {
        let all = servers(&self.config);
        all.filter(|(key, ..)| whom.means(key.endpoint)).count()
    }

    /// Takes servers out, or lets them in again.
    pub(super) fn on_drain(
        &mut self,
        whom: Whom,
        order: Option<Option<Duration>>,
        out: &mut Vec<Action>,
    ) {
        let before = self.drained.clone();
        match order {
            Some(limit) => drop(self.drained.insert(whom, limit)),
            // Of an address every port too.
            None => self.drained.retain(|other, _| {
                other.addr != whom.addr || whom.port.is_some() && other.port != whom.port
            }),
        }
        if self.drained == before {
            return;
        }
        out.push(Action::Drained(self.drained.clone()));
        if !self.is_running() {
            return;
        }
        let concerned = servers(&self.config).filter(|(key, ..)| whom.means(key.endpoint));
        let concerned: Vec<(ServerKey, bool)> = concerned
            .map(|(key, _, server)| (key, limit(&self.drained, server).is_some()))
            .collect();
        for (server, out_of_pool) in concerned {
            let vs = self.service_name(&server.service);
            out.push(Action::Event(BalancerEvent::Drained {
                server,
                vs,
                drained: out_of_pool,
            }));
            self.refresh_pool(server.service, out);
        }
    }
}
