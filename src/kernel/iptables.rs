//! A packet filter by the programs of iptables, for kernels without nf_tables and for whoever filters
//! with iptables.
//!
//! Rules stand in chains of vipd's own, which are made and replaced whole in one transaction
//! (`iptables-restore --noflush`, which empties a chain that it declares); chains that are there get one
//! rule each that leads to them. So nothing has to be found again among rules of others, and what a
//! predecessor left is taken over. The programs are run by the script helper: no thread here forks.

mod services;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::config::model::{Capabilities, ScriptUser};
use crate::errno::Words;
use crate::net::{Family, Filter};

use super::spawner::{AtEnd, Outcome, Request, Spawner};

/// Where the programs may be.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];
/// Seconds for which the programs wait for the lock that others of them may hold.
const LOCK_S: &str = "5";
/// How long one may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest name of a chain (XT_EXTENSION_MAXNAMELEN, less its end).
pub const CHAIN_MAX: usize = 28;

/// Which set of programs: that of the distribution's choice, or the one for the old interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    /// `iptables`.
    Plain,
    /// `iptables-legacy`.
    Legacy,
}

/// Which of their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IptablesTable {
    /// `filter`.
    Filter,
    /// `mangle`.
    Mangle,
    /// `nat`.
    Nat,
}

impl IptablesTable {
    const ALL: [IptablesTable; 3] = [
        IptablesTable::Filter,
        IptablesTable::Mangle,
        IptablesTable::Nat,
    ];

    const fn name(self) -> &'static str {
        match self {
            IptablesTable::Filter => "filter",
            IptablesTable::Mangle => "mangle",
            IptablesTable::Nat => "nat",
        }
    }
}

/// Chains of ours in one table, and what leads to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The table.
    pub table: IptablesTable,
    /// From chains that are there to ours.
    pub links: BTreeSet<(String, String)>,
    /// Our chains whole, as iptables-restore reads them.
    pub rules: String,
}

impl Ruleset {
    /// The rules that lead to ours.
    pub fn jumps(&self, flavour: Flavour) -> BTreeSet<Jump> {
        let links = self.links.iter();
        links
            .map(|(from, to)| Jump {
                flavour,
                family: self.family,
                table: self.table,
                from: from.clone(),
                to: to.clone(),
            })
            .collect()
    }
}

/// One rule that leads from a chain that is there to one of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jump {
    /// Made with these programs.
    pub flavour: Flavour,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Where both chains are.
    pub table: IptablesTable,
    /// Somebody else's.
    pub from: String,
    /// Ours.
    pub to: String,
}

impl Jump {
    /// Of the program that checks (-C), adds (-A) or deletes (-D) it.
    fn arguments<'a>(&'a self, what: &'a str) -> [&'a str; 6] {
        let table = self.table.name();
        ["-t", table, what, &self.from, "-j", &self.to]
    }
}

/// Four words, or three in the table `filter`, for a file that remembers it.
impl std::fmt::Display for Jump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (restore, _) = programs(self.flavour, self.family);
        write!(f, "{restore} {} {}", self.from, self.to)?;
        match self.table {
            IptablesTable::Filter => Ok(()),
            table => write!(f, " {}", table.name()),
        }
    }
}

/// A line that no [`Jump`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoJump;

impl FromStr for Jump {
    type Err = NoJump;

    fn from_str(line: &str) -> Result<Jump, NoJump> {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(NoJump);
        let (restore, from, to) = (word()?, word()?, word()?);
        let table = word().unwrap_or_else(|_| IptablesTable::Filter.name().to_owned());
        let mut tables = IptablesTable::ALL.into_iter();
        let table = tables.find(|t| t.name() == table).ok_or(NoJump)?;
        let kinds = [Flavour::Plain, Flavour::Legacy]
            .into_iter()
            .flat_map(|flavour| [Family::V4, Family::V6].map(|family| (flavour, family)));
        let mut kinds = kinds.filter(|(flavour, family)| programs(*flavour, *family).0 == restore);
        let (flavour, family) = kinds.next().ok_or(NoJump)?;
        Ok(Jump {
            flavour,
            family,
            table,
            from,
            to,
        })
    }
}

/// Where the rules are to be called from, and what our chains are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chains {
    /// `vrrp_iptables IN`.
    pub input: String,
    /// `vrrp_iptables IN OUT`; without it what is spoken from an address is not dropped.
    pub output: Option<String>,
    /// Ours for what comes in.
    pub own_input: String,
    /// Ours for what goes out.
    pub own_output: String,
}

impl Chains {
    /// Chains for a filter.
    pub fn ruleset(&self, filter: &Filter, family: Family) -> Ruleset {
        let link = |from: &String, to: &String| (from.clone(), to.clone());
        let output = self.output.iter().map(|from| link(from, &self.own_output));
        Ruleset {
            family,
            table: IptablesTable::Filter,
            links: output.chain([link(&self.input, &self.own_input)]).collect(),
            rules: self.rules(filter, family),
        }
    }

    fn rules(&self, filter: &Filter, family: Family) -> String {
        let mut text = String::from("*filter\n");
        let mut line = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        let mut sides = vec![(&self.own_input, 'd', 'i')];
        sides.extend(self.output.iter().map(|_| (&self.own_output, 's', 'o')));
        for (chain, _, _) in &sides {
            line(format_args!(":{chain} - [0:0]"));
        }
        if self.output.is_some() {
            let chain = &self.own_output;
            for (vmac, _) in filter.vmacs_of(family) {
                let what: &[&str] = match family {
                    Family::V4 => &["igmp"],
                    Family::V6 => &["icmpv6 --icmpv6-type 143", "icmpv6 --icmpv6-type 133"],
                };
                for what in what {
                    line(format_args!("-A {chain} -o {vmac} -p {what} -j DROP"));
                }
            }
        }
        for (chain, end, side) in sides {
            match family {
                Family::V4 => {
                    for vip in &filter.v4 {
                        line(format_args!("-A {chain} -{end} {vip}/32 -j DROP"));
                    }
                }
                Family::V6 => {
                    // Without these the neighbours could not find the address at all.
                    for kind in [135, 136] {
                        line(format_args!(
                            "-A {chain} -p icmpv6 --icmpv6-type {kind} -j RETURN"
                        ));
                    }
                    for (vip, on) in &filter.link_local {
                        line(format_args!(
                            "-A {chain} -{end} {vip}/128 -{side} {on} -j DROP"
                        ));
                    }
                    for vip in &filter.v6 {
                        line(format_args!("-A {chain} -{end} {vip}/128 -j DROP"));
                    }
                }
            }
        }
        text.push_str("COMMIT\n");
        text
    }
}

/// The programs for `iptables-restore` and `iptables`.
fn programs(flavour: Flavour, family: Family) -> (&'static str, &'static str) {
    match (flavour, family) {
        (Flavour::Plain, Family::V4) => ("iptables-restore", "iptables"),
        (Flavour::Plain, Family::V6) => ("ip6tables-restore", "ip6tables"),
        (Flavour::Legacy, Family::V4) => ("iptables-legacy-restore", "iptables-legacy"),
        (Flavour::Legacy, Family::V6) => ("ip6tables-legacy-restore", "ip6tables-legacy"),
    }
}

fn find(program: &str) -> Option<String> {
    let mut paths = DIRECTORIES.iter().map(|dir| Path::new(dir).join(program));
    let path = paths.find(|path| path.is_file())?;
    Some(path.display().to_string())
}

/// Whether these programs are installed.
pub fn is_installed(flavour: Flavour, family: Family) -> bool {
    let (restore, program) = programs(flavour, family);
    find(restore).is_some() && find(program).is_some()
}

/// Runs the programs.
#[derive(Debug)]
pub struct Iptables {
    spawner: Spawner,
    /// What iptables-restore reads is written there.
    file: PathBuf,
}

impl Iptables {
    /// With an end of the script helper that nobody else uses, and a file for rules.
    pub fn new(spawner: Spawner, file: PathBuf) -> Iptables {
        Iptables { spawner, file }
    }

    /// Replaces our chains of a family by `rules`, as a [`Ruleset`] has them.
    ///
    /// # Errors
    /// The program is missing or refuses; nothing was changed then.
    pub fn replace(&mut self, flavour: Flavour, family: Family, rules: &str) -> Result<(), String> {
        let file = self.file.display().to_string();
        std::fs::write(&self.file, rules)
            .map_err(|error| format!("write {file}: {}", Words(&error)))?;
        let (restore, _) = programs(flavour, family);
        self.succeed(restore, &["--noflush", &file])
    }

    /// Has a chain lead to ours, at its end.
    ///
    /// # Errors
    /// There is no such chain, or the program refuses.
    pub fn link(&mut self, jump: &Jump) -> Result<(), String> {
        let (_, program) = programs(jump.flavour, jump.family);
        if self.succeed(program, &jump.arguments("-C")).is_ok() {
            return Ok(());
        }
        self.succeed(program, &jump.arguments("-A")).map_err(|why| {
            let from = &jump.from;
            format!(
                "{why}; chain {from} has to be there before vipd starts and to be called from \
                     INPUT or OUTPUT (a startup_script can do it: `{program} -N {from}`)"
            )
        })
    }

    /// Undoes [`Iptables::link`].
    ///
    /// # Errors
    /// There is no such rule, or the program refuses.
    pub fn unlink(&mut self, jump: &Jump) -> Result<(), String> {
        let (_, program) = programs(jump.flavour, jump.family);
        self.succeed(program, &jump.arguments("-D"))
    }

    /// Undoes [`Iptables::link`] and removes our chain. That it is not there is no failure.
    ///
    /// # Errors
    /// The chain cannot be removed, because somebody else uses it for instance.
    pub fn remove(&mut self, jump: &Jump) -> Result<(), String> {
        let _ = self.unlink(jump);
        let (to, table) = (&jump.to, jump.table.name());
        let rules = format!("*{table}\n:{to} - [0:0]\n-X {to}\nCOMMIT\n");
        self.replace(jump.flavour, jump.family, &rules)
    }

    /// Nothing is left to do: the file goes.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.file);
    }

    fn succeed(&mut self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let Some(path) = find(program) else {
            return Err(format!("{program} is not installed"));
        };
        let words = [path.as_str(), "-w", LOCK_S].into_iter();
        let argv: Vec<String> = words
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        let command = argv.join(" ");
        let request = Request {
            id: 0,
            argv,
            user: Some(ScriptUser {
                user: "root".to_owned(),
                group: None,
            }),
            caps: Capabilities::ALL,
            timeout: Some(TIMEOUT),
            at_end: AtEnd::Leave,
        };
        match self.spawner.run(&request) {
            Ok(Outcome::Exited(0)) => Ok(()),
            Ok(outcome) => Err(format!("`{command}` {outcome}; run it by hand to see why")),
            Err(error) => Err(format!("`{command}`: {}", Words(&error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(output: Option<&str>) -> Chains {
        Chains {
            input: "KA_IN".to_owned(),
            output: output.map(str::to_owned),
            own_input: "vipd-in".to_owned(),
            own_output: "vipd-out".to_owned(),
        }
    }

    fn filter() -> Filter {
        let mut filter = Filter {
            v4: ["10.0.0.2".parse().unwrap()].into(),
            v6: ["fd00::3".parse().unwrap()].into(),
            link_local: [("fe80::3".parse().unwrap(), "eth0".parse().unwrap())].into(),
            ..Filter::default()
        };
        let base: crate::net::InterfaceName = "eth0".parse().unwrap();
        for (vmac, family) in [("vrrp.51", Family::V4), ("vrrp6.52", Family::V6)] {
            filter
                .vmacs
                .insert(vmac.parse().unwrap(), (family, base.clone()));
        }
        filter
    }

    #[test]
    fn both_directions_are_dropped_and_reports_of_vmacs() {
        let text = chains(Some("KA_OUT")).rules(&filter(), Family::V4);
        assert_eq!(
            text,
            "*filter\n:vipd-in - [0:0]\n:vipd-out - [0:0]\n-A vipd-out -o vrrp.51 -p igmp -j DROP\n\
             -A vipd-in -d 10.0.0.2/32 -j DROP\n-A vipd-out -s 10.0.0.2/32 -j DROP\nCOMMIT\n"
        );
    }

    #[test]
    fn without_a_chain_for_it_nothing_is_dropped_on_its_way_out() {
        let text = chains(None).rules(&filter(), Family::V6);
        assert_eq!(
            text,
            "*filter\n:vipd-in - [0:0]\n-A vipd-in -p icmpv6 --icmpv6-type 135 -j RETURN\n\
             -A vipd-in -p icmpv6 --icmpv6-type 136 -j RETURN\n\
             -A vipd-in -d fe80::3/128 -i eth0 -j DROP\n-A vipd-in -d fd00::3/128 -j DROP\nCOMMIT\n"
        );
        let ruleset = chains(None).ruleset(&filter(), Family::V6);
        assert_eq!(ruleset.jumps(Flavour::Plain).len(), 1);
    }

    #[test]
    fn jumps_are_remembered() {
        for flavour in [Flavour::Plain, Flavour::Legacy] {
            let mut ruleset = chains(Some("KA_OUT")).ruleset(&filter(), Family::V6);
            for table in IptablesTable::ALL {
                ruleset.table = table;
                for jump in ruleset.jumps(flavour) {
                    assert_eq!(jump.to_string().parse(), Ok(jump));
                }
            }
        }
        let older = "iptables-restore KA_IN vipd-in"
            .parse()
            .map(|j: Jump| j.table);
        assert_eq!(older, Ok(IptablesTable::Filter));
        assert_eq!("iptables-restore KA_IN".parse::<Jump>(), Err(NoJump));
        assert_eq!("nft KA_IN vipd-in".parse::<Jump>(), Err(NoJump));
    }
}
