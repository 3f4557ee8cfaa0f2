//! The packet filter where it is one of iptables: which chains, and what of them is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::kernel::iptables::{CHAIN_MAX, Chains, Flavour, Iptables, Jump, Ruleset, is_installed};
use crate::net::{Family, Filter, ServiceRules};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const FLAVOURS: [Flavour; 2] = [Flavour::Plain, Flavour::Legacy];

/// The chains of vipd.
#[derive(Debug)]
pub(super) struct IptablesChains {
    /// Remembers what leads to our chains.
    file: PathBuf,
    iptables: Iptables,
    /// What is there, or what a predecessor left.
    jumps: BTreeSet<Jump>,
    /// Who wants what of it.
    wanted: BTreeMap<Part, BTreeSet<Jump>>,
}

/// What rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Traffic that is dropped.
    Filter,
    /// Virtual servers.
    Services,
}

/// `vrrp_iptables [IN [OUT]]`. Several instances in one network namespace have chains of their own.
pub(super) fn named(words: Option<&[String]>, instance: Option<&str>) -> Chains {
    let mut words = words.unwrap_or_default().iter().cloned();
    let (input, output) = match (words.next(), words.next()) {
        (None, _) => ("INPUT".to_owned(), Some("OUTPUT".to_owned())),
        (Some(input), output) => (input, output),
    };
    Chains {
        input,
        output,
        own_input: own("in", instance),
        own_output: own("out", instance),
    }
}

/// Rules for a filter.
pub(super) fn for_filter(chains: &Chains, filter: &Filter) -> Vec<Ruleset> {
    let families = FAMILIES.into_iter().filter(|f| !filter.is_empty_for(*f));
    families
        .map(|family| chains.ruleset(filter, family))
        .collect()
}

/// Rules for virtual servers.
pub(super) fn for_services(rules: &ServiceRules, instance: Option<&str>) -> Vec<Ruleset> {
    let (marks, post) = (own("mark", instance), own("masq", instance));
    let families = FAMILIES.into_iter();
    families
        .flat_map(|family| Ruleset::for_services(rules, family, (&marks, &post)))
        .collect()
}

/// The name of a chain of ours.
fn own(side: &str, instance: Option<&str>) -> String {
    let name = match instance {
        None => format!("vipd-{side}"),
        Some(instance) => format!("vipd-{side}-{instance}"),
    };
    name.chars().take(CHAIN_MAX).collect()
}

/// Whether there are programs for these.
pub(super) fn are_installed(rulesets: &[Ruleset]) -> bool {
    rulesets.iter().all(|ruleset| {
        let mut flavours = FLAVOURS.into_iter();
        flavours.any(|flavour| is_installed(flavour, ruleset.family))
    })
}

impl IptablesChains {
    /// What a predecessor left is known by `file`.
    pub(super) fn new(file: PathBuf, iptables: Iptables) -> IptablesChains {
        let left = std::fs::read_to_string(&file).unwrap_or_default();
        IptablesChains {
            jumps: left.lines().filter_map(|line| line.parse().ok()).collect(),
            file,
            iptables,
            wanted: BTreeMap::new(),
        }
    }

    /// Makes those of one part what it asks for.
    pub(super) fn apply(&mut self, part: Part, rulesets: &[Ruleset]) -> Result<(), String> {
        let mut failures = Vec::new();
        let mut wanted = BTreeSet::new();
        for ruleset in rulesets {
            match self.apply_one(ruleset) {
                Ok(jumps) => wanted.extend(jumps),
                Err(why) => failures.push(why),
            }
        }
        self.wanted.insert(part, wanted);
        self.remove_others();
        if failures.is_empty() {
            let from = rulesets.iter().flat_map(|ruleset| &ruleset.links);
            let from: BTreeSet<&str> = from.map(|(from, _)| from.as_str()).collect();
            let from: Vec<&str> = from.into_iter().collect();
            info!(
                "iptables: rules are in place, called from {}",
                from.join(" and ")
            );
            return Ok(());
        }
        Err(failures.join("; "))
    }

    /// With the first programs that do it; what leads to our chains then.
    fn apply_one(&mut self, ruleset: &Ruleset) -> Result<BTreeSet<Jump>, String> {
        let (family, rules) = (ruleset.family, &ruleset.rules);
        let mut why = String::new();
        for flavour in FLAVOURS.into_iter().filter(|f| is_installed(*f, family)) {
            let jumps = ruleset.jumps(flavour);
            let new: Vec<Jump> = jumps.difference(&self.jumps).cloned().collect();
            // First the note: what a crash in between leaves must be found again.
            self.jumps.extend(jumps.iter().cloned());
            self.remember();
            let mut done = self.iptables.replace(flavour, family, rules);
            for jump in &jumps {
                done = done.and_then(|()| self.iptables.link(jump));
            }
            let Err(error) = done else {
                return Ok(jumps);
            };
            for jump in new {
                // Half of it may be there.
                let _ = self.iptables.remove(&jump);
                self.jumps.remove(&jump);
            }
            // What the distribution chose is what its user knows of.
            if why.is_empty() {
                why = error;
            }
        }
        Err(why)
    }

    /// Removes what one part has.
    pub(super) fn remove(&mut self, part: Part) {
        self.wanted.remove(&part);
        self.remove_others();
    }

    /// Removes what nobody wants.
    fn remove_others(&mut self) {
        let wanted: BTreeSet<Jump> = self.wanted.values().flatten().cloned().collect();
        let over: Vec<Jump> = self.jumps.difference(&wanted).cloned().collect();
        for jump in over {
            // A chain of ours that is called from elsewhere now goes on.
            let goes_on = wanted.iter().any(|other| {
                (other.flavour, other.family, other.table, &other.to)
                    == (jump.flavour, jump.family, jump.table, &jump.to)
            });
            let removed = match goes_on {
                true => self.iptables.unlink(&jump),
                false => self.iptables.remove(&jump),
            };
            if let Err(why) = removed {
                error!("iptables chain {} is left behind: {why}", jump.to);
            }
            self.jumps.remove(&jump);
        }
        self.remember();
        if self.jumps.is_empty() {
            self.iptables.forget();
        }
    }

    fn remember(&self) {
        let done = if self.jumps.is_empty() {
            match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let lines: String = self.jumps.iter().map(|jump| format!("{jump}\n")).collect();
            std::fs::write(&self.file, lines)
        };
        if let Err(error) = done {
            warn!("write {}: {error}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_named_by_what_stands_behind_the_keyword() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let bare: Vec<String> = Vec::new();
        let both = named(Some(&bare), None);
        assert_eq!(
            (both.input.as_str(), both.output.as_deref()),
            ("INPUT", Some("OUTPUT"))
        );
        let one: Vec<String> = words(&["A"]);
        let one = named(Some(&one), Some("a-name-that-is-very-long-indeed"));
        assert_eq!((one.input.as_str(), one.output.as_deref()), ("A", None));
        assert_eq!(one.own_input, "vipd-in-a-name-that-is-very-");
        assert_eq!(one.own_input.len(), CHAIN_MAX);
    }
}
