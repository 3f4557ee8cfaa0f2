//! Whom the balancer tells of a server that came or went, beside the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::model::{CheckerKind, RealServer, VirtualServer};
use crate::health::Status;
use crate::ipvs::ServiceKey;
use crate::lvs::{self, Quorum, QuorumLimits};
use crate::notice::{CheckNotice, Notice, ServerNotice, ServiceNotice};

use super::pools::QuorumNews;
use super::words::service_name;
use super::{Action, Balancer, ServerKey};

const REMOVING: &str = "=> Removing <=";
const STOPPING: &str = "=> Shutting down <=";

/// Every server of a configuration.
pub(super) fn servers(
    config: &Config,
) -> impl Iterator<Item = (ServerKey, &VirtualServer, &RealServer)> {
    config.virtual_servers.iter().flat_map(|vs| {
        let service = lvs::service_key(&vs.address);
        vs.real_servers.iter().map(move |rs| {
            let endpoint = rs.endpoint;
            (ServerKey { service, endpoint }, vs, rs)
        })
    })
}

/// Groups whose first service is another one now: they are still the same virtual servers, as in
/// keepalived, which knows them by name. From the old to the new.
pub(super) fn moved_groups(old: &Config, new: &Config) -> BTreeMap<ServiceKey, ServiceKey> {
    let named = |config: &Config| -> BTreeMap<(String, usize), ServiceKey> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for vs in &config.virtual_servers {
            if let Some(group) = &vs.group {
                let time = times.entry(&group.name).or_default();
                groups.insert((group.name.clone(), *time), lvs::service_key(&vs.address));
                *time += 1;
            }
        }
        groups
    };
    let (before, after) = (named(old), named(new));
    let both = before
        .iter()
        .filter_map(|(id, from)| Some((*from, *after.get(id)?)));
    let firsts = old
        .virtual_servers
        .iter()
        .map(|vs| lvs::service_key(&vs.address));
    let taken: BTreeSet<ServiceKey> = firsts.collect();
    both.filter(|(from, to)| from != to && !taken.contains(to))
        .collect()
}

fn renamed(key: ServerKey, moved: Option<&BTreeMap<ServiceKey, ServiceKey>>) -> ServerKey {
    let to = moved.and_then(|moved| moved.get(&key.service));
    ServerKey {
        service: to.copied().unwrap_or(key.service),
        ..key
    }
}

fn notice(
    key: &ServerKey,
    (virtual_server, server): (&VirtualServer, &RealServer),
    status: Status,
    mail: Option<&'static str>,
) -> Action {
    let up = status == Status::Up;
    let run = match status {
        Status::Up => &server.more.notify_up,
        Status::Down => &server.more.notify_down,
    };
    Action::Notice(Notice::Server(Box::new(ServerNotice {
        server: key.to_string(),
        service: service_name(virtual_server),
        up,
        run: run.clone(),
        smtp_alert: server.more.smtp_alert,
        mail,
    })))
}

/// A pool gained or lost its quorum; `mail`: keepalived's line about it.
pub(super) fn of_service(virtual_server: &VirtualServer, quorum: Quorum, mail: String) -> Action {
    let up = quorum == Quorum::Gained;
    let run = match quorum {
        Quorum::Gained => &virtual_server.pool.quorum_up,
        Quorum::Lost => &virtual_server.pool.quorum_down,
    };
    Action::Notice(Notice::Service(Box::new(ServiceNotice {
        service: service_name(virtual_server),
        up,
        run: run.clone(),
        smtp_alert: virtual_server.pool.smtp_alert,
        mail,
    })))
}

/// keepalived's line about a quorum: what it is, and what it was compared with.
pub(super) fn quorum_mail(news: &QuorumNews) -> String {
    let QuorumLimits { quorum, hysteresis } = news.limits;
    let (what, limit) = match (news.quorum, news.starts) {
        (Quorum::Gained, true) => ("Starting with quorum up", quorum + hysteresis),
        (Quorum::Gained, false) => ("Gained quorum", quorum + hysteresis),
        (Quorum::Lost, true) => ("Starting with quorum down", quorum - hysteresis),
        (Quorum::Lost, false) => ("Lost quorum", quorum - hysteresis),
    };
    format!("=> {what} {quorum}+{hysteresis}={limit} <= {} <=", news.sum)
}

/// At the end, for those of `omega`.
pub(super) fn of_service_stop(virtual_server: &VirtualServer) -> Action {
    of_service(virtual_server, Quorum::Lost, STOPPING.to_owned())
}

impl Balancer {
    pub(super) fn configured(&self, key: &ServerKey) -> Option<(&VirtualServer, &RealServer)> {
        let virtual_server = self.pools.virtual_server(&key.service, &self.config)?;
        let mut servers = virtual_server.real_servers.iter();
        let server = servers.find(|rs| rs.endpoint == key.endpoint)?;
        Some((virtual_server, server))
    }

    /// A virtual server, by its first service, as keepalived writes it.
    pub(super) fn service_name(&self, key: &ServiceKey) -> String {
        let virtual_server = self.pools.virtual_server(key, &self.config);
        virtual_server.map_or_else(|| key.to_string(), service_name)
    }

    /// A check of a server went from up to down or back; `changed`: with it the server.
    pub(super) fn tell_check(
        &self,
        key: &ServerKey,
        checker: &CheckerKind,
        (passed, reason): (bool, &str),
        changed: bool,
        out: &mut Vec<Action>,
    ) {
        let Some((virtual_server, server)) = self.configured(key) else {
            return;
        };
        let (name, how) = match (checker, passed) {
            (CheckerKind::Tcp(_), true) => ("TCP CHECK", "succeed"),
            (CheckerKind::Tcp(_), false) => ("TCP CHECK", "failed"),
            (CheckerKind::Dns(_), true) => ("DNS_CHECK:", "succeed"),
            (CheckerKind::Dns(_), false) => ("DNS_CHECK:", "failed"),
            (CheckerKind::Udp(_), true) => ("UDP CHECK", "succeed"),
            (CheckerKind::Udp(_), false) => ("UDP CHECK", "failed"),
            (CheckerKind::Ping(_), true) => ("ICMP CHECK", "succeed"),
            (CheckerKind::Ping(_), false) => ("ICMP CHECK", "failed"),
            (CheckerKind::Misc(_), true) => ("MISC CHECK", "succeeded"),
            (CheckerKind::Misc(_), false) => ("MISC CHECK", "failed"),
            (_, true) => ("CHECK", "succeed"),
            (_, false) => ("CHECK", "failed"),
        };
        out.push(Action::Notice(Notice::Check(Box::new(CheckNotice {
            server: key.to_string(),
            service: service_name(virtual_server),
            up: self.status(key) == Status::Up,
            changed,
            smtp_alert: server.more.smtp_alert,
            mail: format!("=> {name} {how} on service <="),
            reason: (!passed && !reason.is_empty()).then(|| reason.to_owned()),
        }))));
    }

    /// At the end, for those of `omega`.
    pub(super) fn tell_server_stops(&self, key: &ServerKey, out: &mut Vec<Action>) {
        if let Some(configured) = self.configured(key) {
            out.push(notice(key, configured, Status::Down, Some(STOPPING)));
        }
    }

    /// A server is up or down now.
    pub(super) fn tell_server(&self, key: &ServerKey, status: Status, out: &mut Vec<Action>) {
        if let Some(configured) = self.configured(key) {
            out.push(notice(key, configured, status, None));
        }
    }

    /// `rs_init_notifies`: servers that begin their life up are told of. `before`: what the
    /// configuration before this one had.
    pub(super) fn tell_new(&self, before: Option<&Config>, out: &mut Vec<Action>) {
        if !self.config.globals.scripts.rs_init_notifies {
            return;
        }
        let moved = before.map(|before| moved_groups(before, &self.config));
        let known = before.into_iter().flat_map(servers);
        let known: BTreeSet<ServerKey> = known
            .map(|(key, ..)| renamed(key, moved.as_ref()))
            .collect();
        for (key, vs, server) in servers(&self.config) {
            if !known.contains(&key) && self.status(&key) == Status::Up {
                out.push(notice(&key, (vs, server), Status::Up, None));
            }
        }
    }

    /// Servers that were up, and pools that had a quorum, and leave with a reload are down for those who
    /// are told.
    pub(super) fn tell_gone(&self, next: &Config, out: &mut Vec<Action>) {
        // Mostly all stay.
        let keys = |config| servers(config).map(|(key, ..)| key);
        let first = |config: &Config| -> Vec<ServiceKey> {
            let all = config.virtual_servers.iter();
            all.map(|vs| lvs::service_key(&vs.address)).collect()
        };
        if keys(&self.config).eq(keys(next)) && first(&self.config) == first(next) {
            return;
        }
        let moved = moved_groups(&self.config, next);
        let stay: BTreeSet<ServerKey> = servers(next).map(|(key, ..)| key).collect();
        for (key, vs, server) in servers(&self.config) {
            let stays = stay.contains(&renamed(key, Some(&moved)));
            if !stays && self.status(&key) == Status::Up {
                out.push(notice(&key, (vs, server), Status::Down, Some(REMOVING)));
            }
        }
        let next = next.virtual_servers.iter();
        let stay: BTreeSet<ServiceKey> = next.map(|vs| lvs::service_key(&vs.address)).collect();
        for vs in &self.config.virtual_servers {
            let service = lvs::service_key(&vs.address);
            let then = moved.get(&service).unwrap_or(&service);
            if !stay.contains(then) && self.pools.quorum(&service) == Quorum::Gained {
                out.push(of_service(vs, Quorum::Lost, REMOVING.to_owned()));
            }
        }
    }
}
