//! From the answers of checks to pools: servers come and go, quorums are gained and lost.

use std::time::Duration;

use crate::config::model::{CheckerKind, RealServer};
use crate::fact::FactValue;
use crate::health::{CheckOutcome, Monitor, Output, Status, Verdict, file_outcome};
use crate::ipvs::ServiceKey;
use crate::lvs::{self, Quorum, QuorumLimits, ServerState};
use crate::time::Time;

use super::backoff::Object;
use super::overrides::{self, Overrides};
use super::pools::QuorumNews;
use super::returning::Returning;
use super::words::service_name;
use super::{Action, Balancer, BalancerEvent, PoolChange, QuorumWhen, ServerKey, notices};

impl Balancer {
    pub(super) fn on_checks_end(&mut self, out: &mut Vec<Action>) {
        let outputs = self.monitor.configure([], Time::ZERO);
        self.on_checks(outputs, out);
    }

    /// What is known of BFD sessions and of files, to the checks that wait for it. As in keepalived a
    /// session that has not been up yet says nothing.
    pub(super) fn tell_checks(&mut self, out: &mut Vec<Action>) {
        let (sessions, files) = (&self.sessions, &self.files);
        let paused = self.paused();
        let track_files = &self.config.track_files;
        let outputs = self.monitor.told(|server, kind| match kind {
            _ if paused.contains(server) => None,
            CheckerKind::Bfd(name) => match sessions.get(name)? {
                FactValue::Up => Some(CheckOutcome::Passed),
                FactValue::Down => {
                    Some(CheckOutcome::Failed(format!("BFD session {name} is down")))
                }
                FactValue::Unknown | FactValue::Number(_) => None,
            },
            CheckerKind::File(check) => {
                let name = &check.track_file;
                let FactValue::Number(number) = *files.get(name)? else {
                    return None;
                };
                let weight = match check.weight {
                    Some(weight) => weight,
                    None => track_files.get(name)?.weight,
                };
                Some(file_outcome(name, number, weight))
            }
            _ => None,
        });
        self.on_checks(outputs, out);
    }

    pub(super) fn on_checks(&mut self, outputs: Vec<Output<ServerKey>>, out: &mut Vec<Action>) {
        let mut outputs = outputs.into_iter().peekable();
        while let Some(output) = outputs.next() {
            match output {
                Output::Start(probe, question) => {
                    out.push(Action::StartCheck { probe, question });
                }
                Output::Cancel(probe) => out.push(Action::CancelCheck { probe }),
                Output::Answered {
                    server,
                    checker,
                    verdict,
                    reason,
                } => {
                    let whose = server;
                    let reason = reason.unwrap_or_default();
                    // keepalived: its first answer is news, though it changes nothing.
                    if verdict == (Verdict::StillDown { first: true }) {
                        self.tell_server(&server, Status::Down, out);
                    }
                    if matches!(verdict, Verdict::CameUp | Verdict::WentDown { .. }) {
                        let said = (verdict == Verdict::CameUp, reason.as_str());
                        let next = outputs.peek();
                        let changed = matches!(next, Some(Output::Changed { .. }));
                        self.tell_check(&server, &checker.kind, said, changed, out);
                    }
                    let heard = matches!(
                        verdict,
                        Verdict::Confirmed | Verdict::NotAsked { first: true }
                    );
                    let event = match verdict {
                        Verdict::StillUp
                        | Verdict::Partly
                        | Verdict::StillDown { .. }
                        | Verdict::NotAsked { first: false } => {
                            continue;
                        }
                        Verdict::NotAsked { first: true } => BalancerEvent::NotAsked {
                            server,
                            checker,
                            reason,
                        },
                        Verdict::Retrying { .. } if !checker.log_all_failures => continue,
                        Verdict::Confirmed | Verdict::CameUp => {
                            BalancerEvent::CheckPassed { server, checker }
                        }
                        Verdict::Retrying { .. } => BalancerEvent::TryFailed {
                            server,
                            checker,
                            reason,
                        },
                        Verdict::WentDown { retries } => BalancerEvent::CheckFailed {
                            server,
                            checker,
                            retries,
                            reason,
                        },
                    };
                    out.push(Action::Event(event));
                    if heard {
                        self.hear(&whose, out);
                    }
                }
                Output::Remarked {
                    server,
                    checker,
                    remark,
                } => out.push(Action::Event(BalancerEvent::OddAnswer {
                    server,
                    checker,
                    remark,
                })),
                Output::Weighed { server } => self.refresh_pool(server.service, out),
                Output::Changed { server, status } => self.on_server(server, status, out),
            }
        }
    }

    /// A server comes or goes.
    pub(super) fn change_pool(&mut self, server: ServerKey, status: Status, out: &mut Vec<Action>) {
        let change = match (status, self.inhibits(&server)) {
            (Status::Up, false) => PoolChange::Adding,
            (Status::Up, true) => PoolChange::Enabling,
            (Status::Down, false) => PoolChange::Removing,
            (Status::Down, true) => PoolChange::Disabling,
        };
        let vs = self.service_name(&server.service);
        out.push(Action::Event(BalancerEvent::Pool { server, vs, change }));
        self.tell_server(&server, status, out);
        self.refresh_pool(server.service, out);
    }

    pub(super) fn refresh_pool(&mut self, service: ServiceKey, out: &mut Vec<Action>) {
        let standing = Standing {
            monitor: &self.monitor,
            returning: &self.returning,
            overrides: &self.overrides,
            now: self.now,
        };
        let refreshed = self.pools.refresh(service, &self.config, &standing);
        self.tell_draining(&refreshed.draining, out);
        if let Some(news) = refreshed.quorum {
            self.on_quorum(news, out);
        }
        for (service, destination) in refreshed.destinations {
            self.backoff
                .reset(Object::Destination(service, destination));
        }
        if let Some(vs) = self.pools.virtual_server(&service, &self.config) {
            self.dirty.services.extend(lvs::service_keys(vs));
        }
        if let Some(news) = refreshed.writer {
            self.on_writer(news, out);
        }
    }

    /// Says what becomes of a pool, and of its sorry server.
    pub(super) fn on_quorum(&self, news: QuorumNews, out: &mut Vec<Action>) {
        let mail = notices::quorum_mail(&news);
        let QuorumNews {
            service,
            quorum,
            limits,
            sum,
            starts,
        } = news;
        let when = match starts {
            true => QuorumWhen::Start,
            false => QuorumWhen::Change,
        };
        let vs = self.service_name(&service);
        out.push(Action::Event(BalancerEvent::Quorum {
            service,
            vs: vs.clone(),
            quorum,
            limits,
            sum,
            when,
        }));
        let virtual_server = self.pools.virtual_server(&service, &self.config);
        if let Some(vs) = virtual_server
            // keepalived: a pool that begins without a quorum is news only if somebody takes its place.
            && (quorum == Quorum::Gained || !starts || vs.sorry_server.is_some())
        {
            out.push(notices::of_service(vs, quorum, mail));
        }
        let with_sorry = virtual_server.and_then(|vs| Some((vs, vs.sorry_server.as_ref()?)));
        let Some((virtual_server, sorry)) = with_sorry else {
            return;
        };
        let change = match (quorum, virtual_server.pool.sorry_server_inhibit) {
            (Quorum::Gained, _) if starts => return,
            (Quorum::Lost, false) => PoolChange::Adding,
            (Quorum::Lost, true) => PoolChange::Enabling,
            (Quorum::Gained, false) => PoolChange::Removing,
            (Quorum::Gained, true) => PoolChange::Disabling,
        };
        out.push(Action::Event(BalancerEvent::Sorry {
            service,
            vs,
            endpoint: sorry.endpoint,
            change,
        }));
    }

    fn inhibits(&self, server: &ServerKey) -> bool {
        self.pools
            .virtual_server(&server.service, &self.config)
            .and_then(|vs| {
                vs.real_servers
                    .iter()
                    .find(|rs| rs.endpoint == server.endpoint)
            })
            .is_some_and(|rs| rs.inhibit_on_failure)
    }

    /// `omega`: what a stop takes away is told as if it had failed.
    pub(super) fn tell_omega(&self, out: &mut Vec<Action>) {
        for vs in self
            .config
            .virtual_servers
            .iter()
            .filter(|vs| vs.pool.omega)
        {
            let service = lvs::service_key(&vs.address);
            for rs in &vs.real_servers {
                let endpoint = rs.endpoint;
                let server = ServerKey { service, endpoint };
                if self.status(&server) == Status::Up {
                    let change = PoolChange::Removing;
                    let vs = service_name(vs);
                    out.push(Action::Event(BalancerEvent::Pool { server, vs, change }));
                    self.tell_server_stops(&server, out);
                }
            }
            if self.pools.quorum(&service) == Quorum::Gained {
                out.push(Action::Event(BalancerEvent::Quorum {
                    service,
                    vs: service_name(vs),
                    quorum: Quorum::Lost,
                    limits: QuorumLimits::of(vs),
                    sum: 0,
                    when: QuorumWhen::Stop,
                }));
                out.push(notices::of_service_stop(vs));
            }
        }
    }
}

/// What is known of servers.
pub(super) struct Standing<'a> {
    pub(super) monitor: &'a Monitor<ServerKey>,
    pub(super) returning: &'a Returning,
    pub(super) overrides: &'a Overrides,
    pub(super) now: Time,
}

impl Standing<'_> {
    /// What the checks of a server make of it: keepalived adds up what each says of the weight.
    pub(super) fn state(&self, key: &ServerKey, server: &RealServer) -> ServerState {
        if self.drained(server).is_some() {
            return ServerState::Out;
        }
        if self.returning.is_held(key) || self.monitor.status(key) == Status::Down {
            return ServerState::Down;
        }
        let weight = overrides::weight(self.overrides, server);
        let shifts = self.monitor.weighings(key).map(|w| w.shift(weight));
        let weight = i64::from(weight) + shifts.sum::<i64>();
        ServerState::Up {
            weight: u32::try_from(weight.clamp(0, WEIGHT_MAX)).unwrap_or(0),
        }
    }

    /// The same with the weight that the kernel gets for the time being.
    pub(super) fn shown(&self, key: &ServerKey, server: &RealServer) -> ServerState {
        match self.state(key, server) {
            ServerState::Up { weight } => ServerState::Up {
                weight: self.returning.weight(key, weight, self.now),
            },
            out => out,
        }
    }

    /// The time that a server's connections have, if an operator took it out.
    pub(super) fn drained(&self, server: &RealServer) -> Option<Duration> {
        overrides::limit(self.overrides, server)
    }
}

/// The kernel's weights are signed (IPVS_DEST_ATTR_WEIGHT).
const WEIGHT_MAX: i64 = 2_147_483_647;
