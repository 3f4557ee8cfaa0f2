//! Pools with one writer (`one_writer`), and pools of readers beside them (`readers_of`).
//!
//! Who the writer is stands in what is desired like everything else; that the old one has left every service
//! of the pool before the new one enters any is seen to where commands are made of that
//! ([`lvs::never_two`]).

use crate::config::model::{RealServer, VirtualServer, Writers};
use crate::health::Member;
use crate::ipvs::{Command, Service, ServiceKey};
use crate::lvs::{self, Candidate, Elected, Observation, Quorum, ServerState, Writer};
use crate::net::Endpoint;

use super::backoff::Object;
use super::checks::Standing;
use super::pools::key;
use super::{Action, Balancer, BalancerEvent, Duty, ServerKey, WriterView};

/// Another server is the writer of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriterNews {
    service: ServiceKey,
    before: Option<Endpoint>,
    now: Option<Elected>,
}

impl WriterNews {
    /// `None`: it is the same server.
    pub(super) fn of(service: ServiceKey, before: Writer, now: Writer) -> Option<WriterNews> {
        let before = before.server();
        (before != now.server()).then_some(WriterNews {
            service,
            before,
            now: now.elected(),
        })
    }
}

/// Which servers of those that are up take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// The writer alone.
    Only(Option<Endpoint>),
    /// All but a writer; it keeps the connections that it has.
    Without(Option<Endpoint>),
}

impl Part {
    /// Whether it is that of a pool with one writer.
    pub(super) fn is_one(self) -> bool {
        matches!(self, Part::Only(_))
    }

    /// Whether it makes a difference for this server.
    pub(super) fn concerns(self, server: &RealServer) -> bool {
        match self {
            Part::All => false,
            Part::Only(writer) | Part::Without(writer) => writer == Some(server.endpoint),
        }
    }

    /// As it is now. `closed`: a sorry server stands in for the pool. `others`: servers take connections that
    /// it does not concern.
    pub(super) fn settled(self, closed: bool, others: impl Fn() -> bool) -> Part {
        match self {
            Part::Only(_) if closed => Part::Only(None),
            Part::Without(Some(_)) if !others() => Part::All,
            same => same,
        }
    }

    /// What becomes of a server's state.
    pub(super) fn of(self, server: &RealServer, state: ServerState) -> ServerState {
        match (self, state) {
            (Part::Only(_), _) if !self.concerns(server) => ServerState::Out,
            (Part::Without(_), ServerState::Up { .. }) if self.concerns(server) => {
                ServerState::Up { weight: 0 }
            }
            (_, same) => same,
        }
    }
}

/// Whether a pool is to have one writer.
pub(super) fn is_one(virtual_server: &VirtualServer) -> bool {
    matches!(virtual_server.writers, Some(Writers::One(_)))
}

/// Whether a server in this state takes connections.
pub(super) fn takes(state: ServerState) -> bool {
    matches!(state, ServerState::Up { weight } if weight > 0)
}

/// The writer of a pool as things are now; nobody where there is none to be.
pub(super) fn elect(
    pool: ServiceKey,
    virtual_server: &VirtualServer,
    before: Writer,
    standing: &Standing<'_>,
) -> Writer {
    let Some(Writers::One(rule)) = virtual_server.writers else {
        return Writer::default();
    };
    before.after(rule, &candidates(pool, virtual_server, standing))
}

fn candidates<'a>(
    pool: ServiceKey,
    virtual_server: &VirtualServer,
    standing: &Standing<'a>,
) -> Vec<Candidate<'a>> {
    let monitor = standing.monitor;
    let candidate = |server: &RealServer| {
        let key = key(pool, server);
        let place = monitor.member(&key);
        Candidate {
            server: server.endpoint,
            up: takes(standing.state(&key, server)),
            heard: monitor.is_heard(&key),
            place: place.map(|Member { index, uuid }| (uuid.as_str(), *index)),
        }
    };
    virtual_server.real_servers.iter().map(candidate).collect()
}

/// The first server of a pool that takes connections in a service as it is there.
pub(super) fn found_writer(
    service: &ServiceKey,
    virtual_server: &VirtualServer,
    there: &Service,
) -> Option<Endpoint> {
    let mut servers = virtual_server.real_servers.iter();
    let found = servers.find(|server| {
        let destination = lvs::destination_in(service, server);
        let spec = there.destinations.get(&destination);
        spec.is_some_and(|spec| spec.weight > 0)
    });
    found.map(|server| server.endpoint)
}

impl Balancer {
    /// A pool has another writer: its readers change with it.
    pub(super) fn on_writer(&mut self, news: WriterNews, out: &mut Vec<Action>) {
        let WriterNews { service, .. } = news;
        self.tell_writer(news, out);
        let readers = self
            .config
            .virtual_servers
            .iter()
            .filter(|vs| match vs.writers {
                Some(Writers::ReadersOf(address)) => lvs::service_key(&address) == service,
                _ => false,
            });
        let readers: Vec<ServiceKey> = readers.map(|vs| lvs::service_key(&vs.address)).collect();
        for pool in readers {
            self.refresh_pool(pool, out);
        }
    }

    pub(super) fn tell_writer(&self, news: WriterNews, out: &mut Vec<Action>) {
        let WriterNews {
            service,
            before,
            now,
        } = news;
        let server = |endpoint| ServerKey { service, endpoint };
        out.push(Action::Event(BalancerEvent::Writer {
            service,
            vs: self.service_name(&service),
            before: before.map(server),
            now: now.map(|now| (server(now.server), now.why)),
        }));
    }

    /// The checks of a server have answered for the first time: it may be the writer now.
    pub(super) fn hear(&mut self, server: &ServerKey, out: &mut Vec<Action>) {
        let vs = self.pools.virtual_server(&server.service, &self.config);
        if vs.is_some_and(is_one) {
            self.refresh_pool(server.service, out);
        }
    }

    /// At a start: whoever takes connections of a pool that an earlier run left goes on.
    pub(super) fn adopt_writers(&mut self, found: &Observation, out: &mut Vec<Action>) {
        let pools = self.config.virtual_servers.iter().filter(|vs| is_one(vs));
        let adopted = pools.filter_map(|vs| {
            let there = |key: ServiceKey| found_writer(&key, vs, found.table.get(&key)?);
            let writer = lvs::service_keys(vs).find_map(there)?;
            Some((lvs::service_key(&vs.address), writer))
        });
        let adopted: Vec<(ServiceKey, Endpoint)> = adopted.collect();
        for (pool, server) in adopted {
            let before = self.pools.writer(&pool);
            if before.server() == Some(server) {
                continue;
            }
            self.pools.set_writer(&pool, Writer::found(server));
            let news = WriterNews::of(pool, before, self.pools.writer(&pool));
            self.refresh_pool(pool, out);
            if let Some(news) = news.filter(|news| news.now == self.pools.writer(&pool).elected()) {
                self.on_writer(news, out);
            }
        }
    }

    /// Services of the pools of these commands, where others wait for a destination to leave.
    pub(super) fn waiting_for(&self, commands: &[Command]) -> Vec<ServiceKey> {
        let pools = self.pools.with_one_writer().iter();
        let concerned = pools.filter(|pool| {
            let mut of = commands.iter().map(Object::of);
            of.any(|object| match object {
                Object::Service(key) | Object::Destination(key, _) => pool.contains(&key),
                Object::Table | Object::Daemon(_) | Object::Timeouts => false,
            })
        });
        concerned.flatten().copied().collect()
    }

    pub(super) fn writer_view(&self, vs: &VirtualServer) -> Option<WriterView> {
        let Some(Writers::One(rule)) = vs.writers else {
            return None;
        };
        let pool = lvs::service_key(&vs.address);
        let writer = self.pools.writer(&pool);
        let all = candidates(pool, vs, &self.standing());
        let first = Writer::default().after(rule, &all).server();
        let closed = self.pools.quorum(&pool) == Quorum::Lost && vs.sorry_server.is_some();
        Some(WriterView {
            elected: writer.elected().filter(|_| !closed),
            passed_over: first.filter(|first| writer.server() != Some(*first)),
        })
    }

    pub(super) fn duty(&self, vs: &VirtualServer, server: &RealServer) -> Duty {
        match vs.writers {
            None => Duty::Shares,
            Some(Writers::One(_)) => match self.writer_view(vs).and_then(|view| view.elected) {
                Some(elected) if elected.server == server.endpoint => Duty::Writes,
                _ => Duty::StandsBy,
            },
            Some(Writers::ReadersOf(address)) => {
                let writers = lvs::service_key(&address);
                let writer = self.pools.writer(&writers).server();
                let pool = lvs::service_key(&vs.address);
                let desired = self.pools.get(&pool);
                let weight = desired
                    .and_then(|s| s.destinations.get(&lvs::destination_key(vs, server)))
                    .map(|spec| spec.weight);
                match writer == Some(server.endpoint) && weight == Some(0) {
                    true => Duty::WritesElsewhere(writers),
                    false => Duty::Shares,
                }
            }
        }
    }
}
