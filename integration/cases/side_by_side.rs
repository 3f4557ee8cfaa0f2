//! The same file through keepalived and through vipd, each on a machine of its own, and what `ip` shows
//! on both then.

use std::time::Duration;

use super::scene::{Instance, VIP};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Segment};

/// Long enough for an election at 1 s, twice over, in a slow guest.
const ELECTION: Duration = Duration::from_secs(20);
/// For what is done right after the VIP is set or removed.
const SETTLED: Duration = Duration::from_secs(1);

/// Words behind `ip` that show something, all of it.
pub(super) const ADDRESSES: &[&str] = &["-d", "-o", "addr", "show"];

pub(super) const ROUTES: &[&[&str]] = &[
    &["-d", "route", "show", "table", "all"],
    &["-d", "-6", "route", "show", "table", "all"],
    &["-d", "rule", "show"],
    &["-d", "-6", "rule", "show"],
];

/// One daemon on its machine.
pub(super) struct Side {
    pub(super) host: Host,
    segment: Segment,
    pub(super) daemon: Daemon,
}

/// keepalived and vipd, on networks that look the same.
pub(super) struct SideBySide<'a> {
    net: Net<'a>,
    pub(super) keepalived: Side,
    pub(super) vipd: Side,
}

impl<'a> SideBySide<'a> {
    /// Starts both with `conf` on machines with 192.0.2.1/24 and 2001:db8::1/64, prepared by `prepare`,
    /// and waits until both are master.
    pub(super) fn start(lab: &'a Lab, conf: &str, prepare: &str) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let side = |name: &str, kind: Kind| -> Outcome<Side> {
            let segment = net.segment(&format!("lan{name}"))?;
            let host = net.host(name)?;
            net.plug(&host, "eth0", &segment, &["192.0.2.1/24", "2001:db8::1/64"])?;
            host.ip(
                "link add eth1 type dummy\nlink set eth1 up\naddr add 203.0.113.1/24 dev eth1\n",
            )?;
            if !prepare.is_empty() {
                host.sh(prepare)?;
            }
            let daemon = Daemon::start(kind, &host, conf)?;
            Ok(Side {
                host,
                segment,
                daemon,
            })
        };
        let keepalived = side("ka", Kind::Keepalived)?;
        let vipd = side("vi", Kind::Vipd)?;
        let both = Self {
            net,
            keepalived,
            vipd,
        };
        both.become_master()?;
        Ok(both)
    }

    fn sides(&self) -> [&Side; 2] {
        [&self.keepalived, &self.vipd]
    }

    /// Until both have the VIP, or neither.
    fn wait_vip(&self, there: bool) -> Outcome {
        for side in self.sides() {
            let name = side.daemon.kind().name();
            let what = format!("{name} has the VIP: {there}");
            wait_until(what, ELECTION, || Ok(side.host.owns(VIP)? == there))?;
        }
        std::thread::sleep(SETTLED);
        Ok(())
    }

    fn become_master(&self) -> Outcome {
        self.wait_vip(true)
    }

    /// A better router comes to both networks: both become backup. `work` looks at that; then the better
    /// ones leave and both are master again.
    pub(super) fn as_backup(&self, work: impl FnOnce() -> Outcome) -> Outcome {
        let mut rivals = Vec::new();
        for (number, side) in self.sides().into_iter().enumerate() {
            let host = self.net.host(&format!("rival{number}"))?;
            self.net
                .plug(&host, "eth0", &side.segment, &["192.0.2.9/24"])?;
            rivals.push(Daemon::start(
                Kind::Keepalived,
                &host,
                &Instance::plain(250),
            )?);
        }
        self.wait_vip(false)?;
        work()?;
        for rival in &mut rivals {
            rival.stop()?;
        }
        self.become_master()
    }

    /// Both get another file.
    pub(super) fn reload(&self, conf: &str) -> Outcome {
        for side in self.sides() {
            side.daemon.reload(conf)?;
        }
        std::thread::sleep(SETTLED * 2);
        Ok(())
    }

    /// Both start again with another file, after their ends.
    pub(super) fn start_again(&mut self, conf: &str) -> Outcome {
        for side in [&mut self.keepalived, &mut self.vipd] {
            side.daemon.rewrite(conf)?;
            side.daemon.start_again()?;
        }
        self.become_master()
    }

    /// TERM to both, and their ends.
    pub(super) fn stop(&mut self) -> Outcome {
        self.keepalived.daemon.stop()?;
        self.vipd.daemon.stop()?;
        Ok(())
    }

    /// What `ip` with these words shows is the same on both machines, but for lines that begin so.
    pub(super) fn same(&self, when: &str, views: &[&[&str]], but: &[&str]) -> Outcome {
        for words in views {
            let [keepalived, vipd] = self.sides().map(|side| shown(&side.host, words, but));
            ensure_eq!(vipd?, keepalived?, "ip {} {when}", words.join(" "));
        }
        Ok(())
    }
}

/// The lines of `ip` with these words, without what differs from machine to machine or from daemon to
/// daemon by intention: numbers of interfaces, hardware addresses, seconds that run, tags.
pub(super) fn shown(host: &Host, words: &[&str], but: &[&str]) -> Outcome<Vec<String>> {
    let mut argv = vec!["ip"];
    argv.extend(words);
    let text = host.run(&argv)?;
    // A next hop of a route has a line of its own.
    let text = text.replace("\n\t", " ");
    let mut lines: Vec<String> = text
        .lines()
        .map(plain)
        .filter(|line| !but.iter().any(|but| line.contains(but)))
        .collect();
    lines.sort();
    Ok(lines)
}

fn plain(line: &str) -> String {
    let mut plain = Vec::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "proto" if matches!(words.peek(), Some(&("112" | "keepalived" | "unspec"))) => {
                words.next();
            }
            "expires" => {
                words.next();
                plain.push("expires ...".to_owned());
            }
            "preferred_lft" => {
                let time = words.next().unwrap_or_default();
                let runs = time != "0sec" && time != "forever";
                let time = if runs { "..." } else { time };
                plain.push(format!("preferred_lft {time}"));
            }
            _ if word.starts_with("fe80:") => return String::new(),
            _ => plain.push(word.trim_end_matches('\\').to_owned()),
        }
    }
    // The number of the interface that leads lines about addresses.
    if plain.first().is_some_and(|word| {
        word.strip_suffix(':')
            .is_some_and(|n| n.parse::<u32>().is_ok())
    }) && plain.get(1).is_some_and(|word| !word.ends_with(':'))
        && plain.get(2).is_some_and(|word| word.starts_with("inet"))
    {
        plain.remove(0);
    }
    plain.retain(|word| !word.is_empty());
    plain.join(" ")
}
