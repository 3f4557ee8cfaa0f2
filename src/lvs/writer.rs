//! Pools with one writer (`one_writer`): who it is, and that there is never a second.

use std::fmt;

use crate::config::model::{OneWriter, WriterOrder};
use crate::ipvs::{Command, DestinationKey, DestinationSpec, Service, ServiceKey, Table};
use crate::net::Endpoint;

/// A server of such a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Which.
    pub server: Endpoint,
    /// It takes connections, as far as is known.
    pub up: bool,
    /// That is known of its checks: they have answered since the start, or nobody asks.
    pub heard: bool,
    /// Its place in its cluster, if it said so: its node's UUID and index.
    pub place: Option<(&'a str, u32)>,
}

/// The writer of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    elected: Option<Elected>,
    /// There was one before: nobody who was not heard is waited for any more.
    settled: bool,
}

/// A server that is the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// Which.
    pub server: Endpoint,
    /// Why it was chosen.
    pub why: WriterWhy,
}

/// Why a server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterWhy {
    /// It was the first of those that were up, in the order of the file.
    First,
    /// It had the lowest index, which is this one.
    LowestIndex(u32),
    /// It was found in the table at the start.
    Found,
}

/// In words, as what was so when it was chosen.
impl fmt::Display for WriterWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriterWhy::First => f.write_str("the first of the list that was well"),
            WriterWhy::LowestIndex(index) => {
                write!(
                    f,
                    "its cluster index, {index}, was the lowest of those that were well"
                )
            }
            WriterWhy::Found => f.write_str("it took connections already"),
        }
    }
}

impl Writer {
    /// Who it is.
    pub fn server(&self) -> Option<Endpoint> {
        self.elected.map(|elected| elected.server)
    }

    /// Who it is, and why.
    pub fn elected(&self) -> Option<Elected> {
        self.elected
    }

    /// One that was found in the table.
    pub fn found(server: Endpoint) -> Writer {
        let why = WriterWhy::Found;
        Writer {
            elected: Some(Elected { server, why }),
            settled: true,
        }
    }

    /// Who it is with these servers, which stand in the order of the file.
    ///
    /// Without `failback` a writer stays one while it is up. A server is chosen only when its checks have
    /// answered; the first writer of all only when everybody has who may come before it, so that every node
    /// that asks the same servers begins with the same.
    #[must_use]
    pub fn after(self, rule: OneWriter, candidates: &[Candidate<'_>]) -> Writer {
        let rank = |at: usize| Rank::of(rule.order, at, candidates.get(at));
        let now = self.server();
        let mut all = candidates.iter();
        let stays = all.position(|c| Some(c.server) == now && c.up);
        let able = candidates.iter().enumerate();
        let able = able.filter(|(_, c)| c.up && c.heard).map(|(at, _)| at);
        let best = able.min_by_key(|at| rank(*at));
        let chosen = match (stays, best) {
            (None, best) => {
                best.filter(|best| self.settled || !may_be_beaten(rule, candidates, *best))
            }
            (Some(now), Some(best)) if rule.failback => {
                let heard = candidates.get(now).is_some_and(|c| c.heard);
                (heard && rank(best) < rank(now)).then_some(best)
            }
            (Some(_), _) => None,
        };
        match (chosen.and_then(|at| candidates.get(at)), stays) {
            (Some(chosen), _) => Writer {
                elected: Some(Elected {
                    server: chosen.server,
                    why: match (rule.order, chosen.place) {
                        (WriterOrder::Index, Some((_, index))) => WriterWhy::LowestIndex(index),
                        _ => WriterWhy::First,
                    },
                }),
                settled: true,
            },
            (None, Some(_)) => self,
            (None, None) => Writer {
                elected: None,
                settled: self.settled,
            },
        }
    }
}

/// Whether a server that was not heard yet may come before this one.
fn may_be_beaten(rule: OneWriter, candidates: &[Candidate<'_>], best: usize) -> bool {
    let before = match rule.order {
        WriterOrder::Order => candidates.get(..best).unwrap_or_default(),
        WriterOrder::Index => candidates,
    };
    before.iter().any(|c| !c.heard)
}

/// Who comes first. A cluster's index is a node's place in the order of their UUIDs, and what two nodes say
/// of their index may be of two views of the cluster: so the UUIDs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    unknown: bool,
    place: Option<(&'a str, u32)>,
    at: usize,
}

impl<'a> Rank<'a> {
    fn of(order: WriterOrder, at: usize, candidate: Option<&Candidate<'a>>) -> Rank<'a> {
        let place = match order {
            WriterOrder::Order => None,
            WriterOrder::Index => candidate.and_then(|c| c.place),
        };
        Rank {
            unknown: place.is_none(),
            place,
            at,
        }
    }
}

/// Leaves out of a batch whatever would let a destination of a pool take connections while another one
/// still does, in any of the pool's services: it comes when that one is gone. The kernel may refuse any
/// command of a batch, so both in one batch would not do.
///
/// `desired`, `seen`: what should be and what is. `certain`: what is seen can be relied on; otherwise no
/// destination may begin to take connections at all.
pub fn never_two<'a>(
    commands: &mut Vec<Command>,
    pool: &[ServiceKey],
    desired: impl Fn(&ServiceKey) -> Option<&'a Service>,
    seen: &Table,
    certain: bool,
) {
    let clear = certain
        && pool.iter().all(|key| {
            let wanted = desired(key);
            let mut taking = seen.get(key).into_iter().flat_map(taking);
            taking.all(|(d, _)| {
                let wanted = wanted.and_then(|w| w.destinations.get(d));
                wanted.is_some_and(|spec| spec.weight > 0)
            })
        });
    if clear {
        return;
    }
    commands.retain(|command| match command {
        Command::NewDestination(key, d, spec) | Command::SetDestination(key, d, spec)
            if spec.weight > 0 && pool.contains(key) =>
        {
            let have = seen
                .get(key)
                .and_then(|service| service.destinations.get(d));
            have.is_some_and(|have| have.weight > 0)
        }
        _ => true,
    });
}

fn taking(service: &Service) -> impl Iterator<Item = (&DestinationKey, &DestinationSpec)> {
    service
        .destinations
        .iter()
        .filter(|(_, spec)| spec.weight > 0)
}

#[cfg(test)]
mod tests;
