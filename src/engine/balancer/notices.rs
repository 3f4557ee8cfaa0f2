//! Whom the balancer tells of a server that came or went, beside the log.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::config::model::{RealServer, VirtualServer};
use crate::health::Status;
use crate::ipvs::ServiceKey;
use crate::lvs::{self, Quorum};
use crate::notice::{Notice, ServerNotice, ServiceNotice};

use super::words::service_name;
use super::{Action, Balancer, ServerKey};

/// Every server of a configuration.
fn servers(config: &Config) -> impl Iterator<Item = (ServerKey, &VirtualServer, &RealServer)> {
    config.virtual_servers.iter().flat_map(|vs| {
        let service = lvs::service_key(&vs.address);
        vs.real_servers.iter().map(move |rs| {
            let endpoint = rs.endpoint;
            (ServerKey { service, endpoint }, vs, rs)
        })
    })
}

fn notice(key: &ServerKey, server: &RealServer, status: Status) -> Action {
    let up = status == Status::Up;
    let run = match status {
        Status::Up => &server.more.notify_up,
        Status::Down => &server.more.notify_down,
    };
    Action::Notice(Notice::Server(Box::new(ServerNotice {
        server: key.to_string(),
        service: service_name(key.service),
        up,
        run: run.clone(),
    })))
}

/// A pool gained or lost its quorum.
pub(super) fn of_service(virtual_server: &VirtualServer, quorum: Quorum) -> Action {
    let up = quorum == Quorum::Gained;
    let run = match quorum {
        Quorum::Gained => &virtual_server.pool.quorum_up,
        Quorum::Lost => &virtual_server.pool.quorum_down,
    };
    Action::Notice(Notice::Service(Box::new(ServiceNotice {
        service: service_name(lvs::service_key(&virtual_server.address)),
        up,
        run: run.clone(),
    })))
}

impl Balancer {
    /// A server is up or down now.
    pub(super) fn tell_server(&self, key: &ServerKey, status: Status, out: &mut Vec<Action>) {
        let virtual_server = self.pools.virtual_server(&key.service, &self.config);
        let server = virtual_server.and_then(|vs| {
            let mut servers = vs.real_servers.iter();
            servers.find(|rs| rs.endpoint == key.endpoint)
        });
        if let Some(server) = server {
            out.push(notice(key, server, status));
        }
    }

    /// `rs_init_notifies`: servers that begin their life up are told of. `before`: what the
    /// configuration before this one had.
    pub(super) fn tell_new(&self, before: Option<&Config>, out: &mut Vec<Action>) {
        if !self.config.globals.scripts.rs_init_notifies {
            return;
        }
        let known: BTreeSet<ServerKey> = before
            .into_iter()
            .flat_map(servers)
            .map(|(key, ..)| key)
            .collect();
        for (key, _, server) in servers(&self.config) {
            if !known.contains(&key) && self.monitor.status(&key) == Status::Up {
                out.push(notice(&key, server, Status::Up));
            }
        }
    }

    /// Servers that were up, and pools that had a quorum, and leave with a reload are down for those who
    /// are told.
    pub(super) fn tell_gone(&self, next: &Config, out: &mut Vec<Action>) {
        let stay: BTreeSet<ServerKey> = servers(next).map(|(key, ..)| key).collect();
        for (key, _, server) in servers(&self.config) {
            if !stay.contains(&key) && self.monitor.status(&key) == Status::Up {
                out.push(notice(&key, server, Status::Down));
            }
        }
        let next = next.virtual_servers.iter();
        let stay: BTreeSet<ServiceKey> = next.map(|vs| lvs::service_key(&vs.address)).collect();
        for vs in &self.config.virtual_servers {
            let service = lvs::service_key(&vs.address);
            if !stay.contains(&service) && self.pools.quorum(&service) == Quorum::Gained {
                out.push(of_service(vs, Quorum::Lost));
            }
        }
    }
}
