//! Events in words. Where monitors know a phrase of keepalived's it is that phrase, with the reason behind
//! it.

use std::fmt;

use crate::config::model::{CheckerKind, VirtualServer};
use crate::ipvs::ServiceKey;
use crate::lvs::{self, Quorum, QuorumLimits};
use crate::net::Endpoint;

use super::event::{BalancerEvent, KernelEvent, PoolChange, Programmed, QuorumWhen, ServerKey};
use super::overrides::{Given, Override, Scope, Set};

impl fmt::Display for BalancerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BalancerEvent::CheckPassed { server, checker } => {
                write!(f, "{} success.", Asked(server, &checker.kind))
            }
            BalancerEvent::TryFailed {
                server,
                checker,
                reason,
            } => write!(f, "{} failed. ({reason})", Asked(server, &checker.kind)),
            BalancerEvent::CheckFailed {
                server,
                checker,
                retries,
                reason,
            } => {
                let whom = checker.kind.destination().unwrap_or(server.endpoint);
                let asked = Name(server.service, whom);
                let check = checker.kind.keyword();
                write!(f, "{check} on service {asked} failed")?;
                if *retries > 0 {
                    write!(f, " after {retries} retries")?;
                }
                write!(f, ". ({reason})")
            }
            BalancerEvent::NotAsked {
                server,
                checker,
                reason,
            } => write!(
                f,
                "{} could not be tried: {reason}; the server is left as it is",
                Asked(server, &checker.kind)
            ),
            BalancerEvent::OddAnswer {
                server,
                checker,
                remark,
            } => write!(f, "{} passed, but {remark}", Asked(server, &checker.kind)),
            BalancerEvent::Pool { server, vs, change } => {
                let (verb, word) = change.words();
                write!(f, "{verb} service {server} {word} VS {vs}")
            }
            BalancerEvent::HeldBack {
                server,
                vs,
                failures,
                wait,
            } => write!(
                f,
                "service {server} of VS {vs} failed {failures} times lately: it is held back until it \
                 was well for {wait:?}"
            ),
            BalancerEvent::Override { scope, order, how } => ordered(f, scope, order, how),
            BalancerEvent::StillOut { server, vs } => write!(
                f,
                "service {server} was out of VS {vs} before this start and stays out until its checks \
                 have passed"
            ),
            BalancerEvent::Quorum {
                vs,
                quorum,
                limits,
                sum,
                when,
                ..
            } => {
                let QuorumLimits {
                    quorum: q,
                    hysteresis: h,
                } = limits;
                match (quorum, when) {
                    (_, QuorumWhen::Stop) => {
                        write!(f, "Shutdown of VS {vs}: its quorum is given up")
                    }
                    (Quorum::Gained, _) => {
                        write!(f, "Gained quorum {q}+{h}={} <= {sum} for VS {vs}", q + h)
                    }
                    (Quorum::Lost, QuorumWhen::Start) => {
                        write!(f, "VS {vs} starts without its quorum: {sum} of {}", q + h)
                    }
                    (Quorum::Lost, QuorumWhen::Change) => {
                        write!(f, "Lost quorum {q}-{h}={} > {sum} for VS {vs}", q - h)
                    }
                }
            }
            BalancerEvent::Sorry {
                service,
                vs,
                endpoint,
                change,
            } => {
                let (verb, word) = change.words();
                let server = Name(*service, *endpoint);
                write!(f, "{verb} sorry server {server} {word} VS {vs}")
            }
            BalancerEvent::Writer {
                vs, before, now, ..
            } => match (now, before) {
                (Some((now, why)), Some(before)) => {
                    write!(
                        f,
                        "{now} is the writer of VS {vs} in place of {before}: {why}"
                    )
                }
                (Some((now, why)), None) => write!(f, "{now} is the writer of VS {vs}: {why}"),
                (None, _) => write!(f, "VS {vs} has no writer: none of its servers is well"),
            },
            BalancerEvent::Suspended { address, here } => {
                let (how, what) = match here {
                    true => ("on", "resumed"),
                    false => ("not on", "suspended"),
                };
                write!(
                    f,
                    "{address} is {how} this machine: checks behind it are {what}"
                )
            }
            BalancerEvent::Kernel(event) => event.fmt(f),
        }
    }
}

/// `10.1.0.1:80 is taken out by an operator (ann, for 600s): new disk`
fn ordered(
    f: &mut fmt::Formatter<'_>,
    scope: &Scope,
    order: &Override,
    how: &Given,
) -> fmt::Result {
    let Override { set, by, .. } = order;
    match (how, set) {
        (Given::Now(_), Set::Drain(_)) => write!(f, "{scope} is taken out by an operator")?,
        (Given::Now(_), Set::Weight(weight)) => {
            write!(f, "{scope} has weight {weight} by an operator")?;
        }
        (Given::Now(_), Set::Pause) => write!(f, "checks of {scope} are paused by an operator")?,
        (_, Set::Drain(_)) => write!(f, "{scope} is let in again by an operator")?,
        (_, Set::Weight(_)) => write!(f, "{scope} has its configured weight again")?,
        (_, Set::Pause) => write!(f, "checks of {scope} are made again")?,
    }
    match how {
        Given::Now(None) => write!(f, " ({by})")?,
        // It was given a moment ago.
        Given::Now(Some(lasts)) => write!(f, " ({by}, for {:.0}s)", lasts.as_secs_f64())?,
        Given::Back(other) => return write!(f, " ({other})"),
        Given::Over => write!(f, " (the time that {by} gave is over)")?,
    }
    match &order.reason {
        Some(reason) => write!(f, ": {reason}"),
        None => Ok(()),
    }
}

impl fmt::Display for KernelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelEvent::Programmed(programmed) => programmed.fmt(f),
            KernelEvent::Repairing { commands, first } => write!(
                f,
                "IPVS was changed by somebody else: {commands} changes put it back, the first: {first}"
            ),
            KernelEvent::SetByHand {
                service,
                destination,
                weight,
                ours,
            } => write!(
                f,
                "weight of {destination} in {service} is {weight} instead of {ours}, set by hand: kept \
                 until its checks or the configuration change it"
            ),
            KernelEvent::AddedByHand {
                service,
                destination,
            } => write!(
                f,
                "destination {destination} of {service} was added by hand: kept"
            ),
            KernelEvent::Draining {
                service,
                destination,
                limit,
            } => write!(
                f,
                "destination {destination} of {service} is drained: no new connections, {limit:?} for \
                 those that it has"
            ),
            KernelEvent::Drained {
                service,
                destination,
                in_time,
            } => {
                let how = match in_time {
                    true => "its connections have ended",
                    false => "its time is over",
                };
                write!(
                    f,
                    "destination {destination} of {service} is drained: {how}"
                )
            }
            KernelEvent::Failed {
                reason, retry_in, ..
            } => write!(f, "{reason}; next try in {retry_in:?}"),
            KernelEvent::MoreFailed { count } => write!(f, "{count} more changes to IPVS failed"),
            KernelEvent::Recovered { command } => write!(f, "{command}: done now"),
            KernelEvent::ObserveFailed { reason, retry_in } => {
                write!(f, "{reason}; next try in {retry_in:?}")
            }
            KernelEvent::ObserveRecovered => f.write_str("the IPVS table can be read again"),
            KernelEvent::NotReadyInTime => {
                f.write_str("IPVS is not programmed in time: virtual addresses do not wait for it")
            }
            KernelEvent::LeftBehind { services } => {
                write!(
                    f,
                    "{services} services could not be removed from IPVS in time"
                )
            }
        }
    }
}

impl fmt::Display for Programmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IPVS programmed: services {} added, {} changed, {} removed; servers {} added, {} changed, \
             {} removed",
            self.services_added,
            self.services_changed,
            self.services_removed,
            self.servers_added,
            self.servers_changed,
            self.servers_removed
        )
    }
}

/// A virtual server as keepalived writes it: `[10.0.0.1]:tcp:80`, `FWM 3`, `[GROUP]:0`.
pub(super) fn service_name(virtual_server: &VirtualServer) -> String {
    match &virtual_server.group {
        Some(group) => format!("[{}]:0", group.name),
        None => Vs(lvs::service_key(&virtual_server.address)).to_string(),
    }
}

/// `[10.1.0.1]:tcp:80`.
impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(self.service, self.endpoint).fmt(f)
    }
}

/// A virtual server as keepalived writes it: `[10.0.0.1]:tcp:80`, `FWM 3`.
struct Vs(ServiceKey);

impl fmt::Display for Vs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceKey::Endpoint { endpoint, .. } => Name(self.0, endpoint).fmt(f),
            ServiceKey::FwMark { mark, .. } => write!(f, "FWM {mark}"),
        }
    }
}

/// An endpoint with the protocol of a service; a mark has none.
struct Name(ServiceKey, Endpoint);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { addr, port } = self.1;
        match self.0 {
            ServiceKey::Endpoint { protocol, .. } => write!(f, "[{addr}]:{protocol}:{port}"),
            ServiceKey::FwMark { .. } => write!(f, "[{addr}]:{port}"),
        }
    }
}

/// The start of a line about one try.
struct Asked<'a>(&'a ServerKey, &'a CheckerKind);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Name(
            self.0.service,
            self.1.destination().unwrap_or(self.0.endpoint),
        );
        match self.1 {
            CheckerKind::Tcp(_) => write!(f, "TCP connection to {name}"),
            other => write!(f, "{} on service {name}", other.keyword()),
        }
    }
}

impl PoolChange {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            PoolChange::Adding => ("Adding", "to"),
            PoolChange::Removing => ("Removing", "from"),
            PoolChange::Enabling => ("Enabling", "of"),
            PoolChange::Disabling => ("Disabling", "of"),
        }
    }
}
