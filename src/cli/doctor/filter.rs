//! Firewalls as they are read: what becomes of a packet that is the first of its kind. Pure.

use std::net::IpAddr;

use crate::net::{Cidr, Family};

/// Chains that call each other so deep are not followed further.
const DEPTH_MAX: usize = 16;

/// Where a chain is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// Before it is known whom a packet is for.
    Prerouting,
    /// For this machine.
    Input,
    /// Through this machine.
    Forward,
    /// From this machine.
    Output,
    /// On its way out.
    Postrouting,
}

/// A packet that nobody has seen before.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) family: Family,
    /// Where it came in; without it and an output, it passes through, by interfaces that are not known.
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) protocol: u8,
    /// `None`: anybody.
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    pub(super) source_port: Option<u16>,
    pub(super) port: Option<u16>,
    /// It is an answer within a connection.
    pub(super) established: bool,
}

/// A chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// `None`: both.
    pub(super) family: Option<Family>,
    /// Program, table.
    pub(super) table: String,
    pub(super) name: String,
    /// Where it is asked, and in which order; absent: it is called by others.
    pub(super) hook: Option<(Hook, i64)>,
    /// What passes all rules is dropped.
    pub(super) drops: bool,
    pub(super) rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// As it is shown.
    pub(super) text: String,
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
}

/// What a rule asks of a packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Match {
    /// Any of these, or none of them.
    Protocol(Vec<u8>, bool),
    Input(Vec<String>, bool),
    Output(Vec<String>, bool),
    Source(Vec<Cidr>, bool),
    Destination(Vec<Cidr>, bool),
    SourcePort(Vec<(u16, u16)>, bool),
    Port(Vec<(u16, u16)>, bool),
    /// States of connections.
    State(Vec<String>, bool),
    Family(Family, bool),
    /// What this version cannot judge.
    Unknown,
}

/// What becomes of a packet that a rule fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Jump(String),
    Goto(String),
    Return,
    /// The next rule is asked.
    Continue,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    /// Dropped; by which rule.
    Dropped(String),
    /// Perhaps, if something holds that is not judged here; by which rule.
    Perhaps(String),
}

/// Yes, no, or it depends.
type Fits = Option<bool>;

/// How a walk through a chain ends.
enum End {
    Accepted,
    Dropped(String),
    /// The chain ended or returned.
    Back,
}

/// What becomes of `packet` at `hook`.
pub(super) fn fate(chains: &[Chain], hook: Hook, packet: &Packet) -> Fate {
    let mut bases: Vec<&Chain> = chains
        .iter()
        .filter(|chain| chain.hook.is_some_and(|(at, _)| at == hook))
        .filter(|chain| chain.family.is_none_or(|family| family == packet.family))
        .collect();
    bases.sort_by_key(|chain| chain.hook.map(|(_, order)| order));
    let mut perhaps = None;
    for base in bases {
        let mut walk = Walk {
            chains,
            packet,
            doubtful: None,
            excused: false,
        };
        let dropped = match walk.through(base, 0) {
            End::Accepted => None,
            End::Dropped(rule) => Some(rule),
            End::Back if base.drops => Some(format!("policy drop of {} {}", base.table, base.name)),
            End::Back => None,
        };
        match dropped {
            Some(rule) if !walk.excused => return Fate::Dropped(rule),
            Some(rule) => perhaps = perhaps.or(Some(rule)),
            None => perhaps = perhaps.or(walk.doubtful),
        }
    }
    perhaps.map_or(Fate::Passes, Fate::Perhaps)
}

struct Walk<'a> {
    chains: &'a [Chain],
    packet: &'a Packet,
    /// The first rule that would drop it if something held.
    doubtful: Option<String>,
    /// A rule would accept it if something held.
    excused: bool,
}

impl Walk<'_> {
    fn through(&mut self, chain: &Chain, depth: usize) -> End {
        for rule in &chain.rules {
            let fits = all(&rule.matches, self.packet);
            let named = |walk: &Self, name: &str| {
                let same = |other: &&Chain| other.table == chain.table && other.name == name;
                walk.chains.iter().find(same).filter(|_| depth < DEPTH_MAX)
            };
            match (fits, &rule.verdict) {
                (Some(false), _) | (_, Verdict::Continue) => {}
                (Some(true), Verdict::Accept) => return End::Accepted,
                (None, Verdict::Accept) => self.excused = true,
                (Some(true), Verdict::Drop) => return End::Dropped(self.place(chain, rule)),
                (None, Verdict::Drop) => {
                    let place = self.place(chain, rule);
                    self.doubtful.get_or_insert(place);
                }
                (Some(true), Verdict::Return) => return End::Back,
                (None, Verdict::Return) => self.excused = true,
                (fits, Verdict::Jump(name) | Verdict::Goto(name)) => {
                    let Some(called) = named(self, name) else {
                        continue;
                    };
                    let end = self.through(called, depth + 1);
                    match (end, fits) {
                        (End::Back, Some(true)) if matches!(rule.verdict, Verdict::Goto(_)) => {
                            return End::Back;
                        }
                        (End::Back, _) => {}
                        (end, Some(true)) => return end,
                        (End::Accepted, _) => self.excused = true,
                        (End::Dropped(rule), _) => drop(self.doubtful.get_or_insert(rule)),
                    }
                }
            }
        }
        End::Back
    }

    fn place(&self, chain: &Chain, rule: &Rule) -> String {
        format!("`{}` in {} {}", rule.text, chain.table, chain.name)
    }
}

/// Whether all fit: one that does not settles it, one that is not known leaves it open.
fn all(matches: &[Match], packet: &Packet) -> Fits {
    let fits = || matches.iter().map(|what| fits(what, packet));
    match (
        fits().any(|fit| fit == Some(false)),
        fits().any(|fit| fit.is_none()),
    ) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(true),
    }
}

fn fits(what: &Match, packet: &Packet) -> Fits {
    let one = |found: bool, not: &bool| Some(found != *not);
    match what {
        Match::Protocol(all, not) => one(all.contains(&packet.protocol), not),
        Match::Input(_, _) | Match::Output(_, _)
            if packet.input.is_none() && packet.output.is_none() =>
        {
            None
        }
        Match::Input(names, not) => by_name(names, packet.input.as_deref(), *not),
        Match::Output(names, not) => by_name(names, packet.output.as_deref(), *not),
        Match::Source(nets, not) => by_net(nets, packet.source, *not),
        Match::Destination(nets, not) => by_net(nets, packet.destination, *not),
        Match::SourcePort(ports, not) => by_port(ports, packet.source_port, packet.protocol, *not),
        Match::Port(ports, not) => by_port(ports, packet.port, packet.protocol, *not),
        Match::State(states, not) => {
            let own = if packet.established {
                "established"
            } else {
                "new"
            };
            one(
                states.iter().any(|state| state.eq_ignore_ascii_case(own)),
                not,
            )
        }
        Match::Family(family, not) => one(*family == packet.family, not),
        Match::Unknown => None,
    }
}

/// A packet that comes from here has no interface that it came in by.
fn by_name(names: &[String], own: Option<&str>, not: bool) -> Fits {
    let own = own.unwrap_or_default();
    let means = |name: &String| match name.strip_suffix(['+', '*']) {
        Some(begin) => own.starts_with(begin),
        None => name == own,
    };
    Some(names.iter().any(means) != not)
}

fn by_net(nets: &[Cidr], own: Option<IpAddr>, not: bool) -> Fits {
    let everything = nets.iter().any(|net| net.prefix() == 0);
    match own {
        Some(own) => Some(nets.iter().any(|net| net.contains(own)) != not),
        None if everything => Some(!not),
        None => None,
    }
}

/// A packet of a protocol without ports fits no rule about ports.
fn by_port(ports: &[(u16, u16)], own: Option<u16>, protocol: u8, not: bool) -> Fits {
    if !matches!(protocol, 6 | 17 | 132) {
        return Some(false);
    }
    let own = own?;
    Some(ports.iter().any(|(from, to)| (*from..=*to).contains(&own)) != not)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
        Rule {
            text: "rule".to_owned(),
            matches,
            verdict,
        }
    }

    fn input(drops: bool, rules: Vec<Rule>) -> Chain {
        Chain {
            family: None,
            table: "inet t".to_owned(),
            name: "input".to_owned(),
            hook: Some((Hook::Input, 0)),
            drops,
            rules,
        }
    }

    fn advert() -> Packet {
        Packet {
            family: Family::V4,
            input: Some("eth0".to_owned()),
            output: None,
            protocol: 112,
            source: None,
            destination: Some("224.0.0.18".parse().unwrap()),
            source_port: None,
            port: None,
            established: false,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let vrrp = || vec![Match::Protocol(vec![112], false)];
        let dropped = |chain: Chain| fate(&[chain], Hook::Input, &advert());
        assert_eq!(dropped(input(false, Vec::new())), Fate::Passes);
        let policy = "policy drop of inet t input".to_owned();
        assert_eq!(dropped(input(true, Vec::new())), Fate::Dropped(policy));
        let accepts = input(true, vec![rule(vrrp(), Verdict::Accept)]);
        assert_eq!(dropped(accepts), Fate::Passes);
        let drops = vec![rule(vrrp(), Verdict::Drop), rule(vrrp(), Verdict::Accept)];
        let place = "`rule` in inet t input".to_owned();
        assert_eq!(dropped(input(false, drops)), Fate::Dropped(place));
        let other = rule(
            vec![Match::Input(vec!["eth1".into()], false)],
            Verdict::Drop,
        );
        assert_eq!(dropped(input(false, vec![other])), Fate::Passes);
    }

    #[test]
    fn what_is_not_judged_makes_it_doubtful_either_way() {
        let unknown = |verdict| rule(vec![Match::Unknown], verdict);
        let fate = |drops, rules| fate(&[input(drops, rules)], Hook::Input, &advert());
        assert!(matches!(
            fate(false, vec![unknown(Verdict::Drop)]),
            Fate::Perhaps(_)
        ));
        assert!(matches!(
            fate(true, vec![unknown(Verdict::Accept)]),
            Fate::Perhaps(_)
        ));
        let from = Match::Source(vec!["10.0.0.0/8".parse().unwrap()], false);
        assert!(matches!(
            fate(true, vec![rule(vec![from], Verdict::Accept)]),
            Fate::Perhaps(_)
        ));
    }

    #[test]
    fn a_chain_that_is_called_decides_or_comes_back_and_loops_end() {
        let called = |name: &str, rules| Chain {
            name: name.to_owned(),
            hook: None,
            ..input(false, rules)
        };
        let to = |name: &str| rule(Vec::new(), Verdict::Jump(name.to_owned()));
        let chains = |rules| {
            [
                input(true, vec![to("a"), rule(Vec::new(), Verdict::Accept)]),
                called("a", rules),
            ]
        };
        let back = chains(vec![rule(Vec::new(), Verdict::Return)]);
        assert_eq!(fate(&back, Hook::Input, &advert()), Fate::Passes);
        let drops = chains(vec![rule(Vec::new(), Verdict::Drop)]);
        assert!(matches!(
            fate(&drops, Hook::Input, &advert()),
            Fate::Dropped(_)
        ));
        let itself = chains(vec![to("a")]);
        assert_eq!(fate(&itself, Hook::Input, &advert()), Fate::Passes);
    }
}
