//! What becomes of the connections of servers that go: left hanging as in keepalived, killed, drained; and
//! servers that come back slowly.

use std::time::{Duration, Instant};

use crate::cases::daemon::only_vipd;
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "connections.kill",
        proves: "a connection whose server is removed hangs as in keepalived, and no setting of the kernel is \
                 touched; with on_down kill and on_remove kill it is reset, and the setting is put back at \
                 the stop and after a crash",
        limit: Duration::from_secs(180),
        run: kill,
    },
    Case {
        name: "connections.drain",
        proves: "a drained server keeps its connections and gets no new ones, from persistent clients \
                 neither; it goes when they have ended, or resets them when its time is over",
        limit: Duration::from_secs(180),
        run: drain,
    },
    Case {
        name: "connections.slow_start",
        proves: "a server that comes back gets its weight step by step, and one that fails again and again is \
                 held back",
        limit: Duration::from_secs(180),
        run: slow_start,
    },
];

pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// How long a client waits that would wait for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
pub(super) const FIRST: &str = "198.51.100.10";
pub(super) const SECOND: &str = "198.51.100.11";
pub(super) const SERVICE: &str = "192.0.2.1:80";

/// A director between a client and two servers, which are addresses of one machine.
pub(super) struct Site<'a> {
    pub(super) net: Net<'a>,
    pub(super) director: Host,
    pub(super) client: Host,
    back: Host,
    _servers: Vec<Server>,
    /// What the checks ask, of the first and of the second.
    alive: Vec<Option<Server>>,
}

impl<'a> Site<'a> {
    pub(super) fn new(lab: &'a Lab) -> Outcome<Site<'a>> {
        only_vipd(lab)?;
        let net = Net::new(lab)?;
        let (front, behind) = (net.segment("front")?, net.segment("back")?);
        let (client, back) = (net.host("client")?, net.host("servers")?);
        let director = net.router("director")?;
        net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
        net.plug(&director, "eth0", &front, &["192.0.2.1/24"])?;
        net.plug(&director, "eth1", &behind, &["198.51.100.1/24"])?;
        let both = [format!("{FIRST}/24"), format!("{SECOND}/24")];
        net.plug(&back, "eth0", &behind, &[&both[0], &both[1]])?;
        back.ip("route add default via 198.51.100.1\n")?;
        let mut site = Site {
            _servers: vec![
                Server::tcp(&back, &format!("{FIRST}:80"), "first")?,
                Server::tcp(&back, &format!("{SECOND}:80"), "second")?,
            ],
            net,
            director,
            client,
            back,
            alive: vec![None, None],
        };
        site.recover(0)?;
        site.recover(1)?;
        Ok(site)
    }

    /// Checks of this server pass from now on.
    pub(super) fn recover(&mut self, number: usize) -> Outcome {
        let at = format!("{}:8081", [FIRST, SECOND][number]);
        self.alive[number] = Some(Server::tcp(&self.back, &at, "check")?);
        Ok(())
    }

    /// Checks of this server fail from now on; what it serves goes on.
    pub(super) fn fail(&mut self, number: usize) {
        self.alive[number] = None;
    }

    pub(super) fn setting(&self, key: &str) -> Outcome<String> {
        let text = self
            .director
            .sh(&format!("cat /proc/sys/net/ipv4/vs/{key}"))?;
        Ok(text.trim().to_owned())
    }

    /// The weight of the first server.
    fn weight(&self) -> Outcome<Option<u32>> {
        self.weight_of(FIRST)
    }

    pub(super) fn weight_of(&self, server: &str) -> Outcome<Option<u32>> {
        let line = format!("-r {server}:80 ");
        let table = self.director.ipvs()?;
        let found = table.iter().find(|l| l.contains(&line));
        let weight = found.and_then(|l| l.rsplit(' ').next());
        Ok(weight.and_then(|w| w.parse().ok()))
    }

    pub(super) fn wait_weight(&self, what: &str, weight: Option<u32>) -> Outcome {
        let met = wait_until(what, LIMIT, || Ok(self.weight()? == weight));
        met.map(drop)
    }

    /// A connection to the first server.
    pub(super) fn talk(&self) -> Outcome<Conversation> {
        for _ in 0..10 {
            let talk = Conversation::open(&self.client, SERVICE, PATIENCE)?;
            if talk.server == "first" {
                return Ok(talk);
            }
        }
        Err("no connection went to the first server".into())
    }
}

/// Both servers, or the second alone.
pub(super) fn conf(lines: &str, both: bool) -> String {
    let server = |address: &str| {
        format!(
            " real_server {address} 80 {{\n  weight 110\n  TCP_CHECK {{\n   connect_port 8081\n   \
             connect_timeout 2\n   retry 0\n  }}\n }}\n"
        )
    };
    let first = if both { server(FIRST) } else { String::new() };
    format!(
        "virtual_server 192.0.2.1 80 {{\n delay_loop 1\n warmup 0\n lb_algo wrr\n lb_kind NAT\n protocol \
         TCP\n {lines}\n{first}{}}}\n",
        server(SECOND)
    )
}

/// Its next packet is answered by a reset, at once.
pub(super) fn is_reset(talk: &mut Conversation) -> Outcome {
    let begun = Instant::now();
    // The first write may still be taken; the answer to it is the reset.
    let said = talk.say("still there?").and_then(|_| talk.say("still?"));
    let Err(error) = said else {
        return Err(Failure::failed("the connection goes on"));
    };
    let error = error.to_string();
    ensure!(
        error.contains("reset") || error.contains("ECONNRESET") || error.contains("pipe"),
        "the connection ended otherwise: {error}"
    );
    let took = begun.elapsed();
    ensure!(took < PATIENCE / 2, "the reset came after {took:?}");
    Ok(())
}

fn kill(lab: &Lab) -> Outcome {
    let mut site = Site::new(lab)?;
    let mut daemon = Daemon::start(lab.subject(), &site.director, &conf("", true))?;
    site.wait_weight("the first server", Some(110))?;
    let mut hanging = site.talk()?;
    daemon.reload(&conf("", false))?;
    site.wait_weight("the first server is gone", None)?;
    ensure_eq!(site.setting("expire_nodest_conn")?, "0", "untouched");
    let begun = Instant::now();
    ensure!(hanging.say("still there?").is_err(), "it goes on");
    ensure!(begun.elapsed() >= PATIENCE, "it did not hang");

    let lines = "@vipd on_down kill\n @vipd on_remove kill";
    daemon.reload(&conf(lines, true))?;
    site.wait_weight("the first server is back", Some(110))?;
    ensure_eq!(site.setting("expire_nodest_conn")?, "1", "on");
    ensure_eq!(site.setting("expire_quiescent_template")?, "0", "untouched");
    daemon.wait_log(
        "expire_nodest_conn is 1 (before: 0), for 192.0.2.1:80/tcp",
        1,
        LIMIT,
    )?;
    let mut talk = site.talk()?;
    site.fail(0);
    site.wait_weight("the failed server is gone", None)?;
    is_reset(&mut talk)?;
    site.recover(0)?;
    site.wait_weight("the first server is well", Some(110))?;
    let mut talk = site.talk()?;
    daemon.reload(&conf(lines, false))?;
    site.wait_weight("the first server is removed", None)?;
    is_reset(&mut talk)?;

    // A successor knows what was there before.
    let check = "TCP connection to [198.51.100.11]:tcp:8081 success.";
    let checked = daemon.logged(check);
    daemon.kill()?;
    ensure_eq!(
        site.setting("expire_nodest_conn")?,
        "1",
        "left by the crash"
    );
    daemon.start_again()?;
    daemon.wait_log(check, checked + 1, LIMIT)?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(site.setting("expire_nodest_conn")?, "0", "put back");
    Ok(())
}

fn drain(lab: &Lab) -> Outcome {
    let mut site = Site::new(lab)?;
    let lines = "persistence_timeout 300\n @vipd on_down drain 8\n @vipd on_remove drain 60";
    let mut daemon = Daemon::start(lab.subject(), &site.director, &conf(lines, true))?;
    site.wait_weight("the first server", Some(110))?;
    ensure_eq!(site.setting("expire_quiescent_template")?, "1", "on");
    // With persistence the client stays with the server that it had first.
    let mut talk = Conversation::open(&site.client, SERVICE, PATIENCE)?;
    if talk.server == "second" {
        site.fail(1);
        wait_until("the second server is drained", LIMIT, || {
            Ok(site.weight_of(SECOND)? != Some(110))
        })?;
        talk = Conversation::open(&site.client, SERVICE, PATIENCE)?;
        site.recover(1)?;
        wait_until("the second server is back", LIMIT, || {
            Ok(site.weight_of(SECOND)? == Some(110))
        })?;
    }
    ensure_eq!(talk.server, "first", "the persistent server");
    daemon.reload(&conf(lines, false))?;
    site.wait_weight("the removed server is drained", Some(0))?;
    ensure_eq!(talk.say("go on")?, "first: go on", "the open connection");
    let other = Conversation::open(&site.client, SERVICE, PATIENCE)?;
    ensure_eq!(other.server, "second", "a new one of the same client");
    ensure_eq!(talk.say("on")?, "first: on", "the open connection");
    drop(talk);
    site.wait_weight("it is gone with its last connection", None)?;
    daemon.wait_log("is drained: its connections have ended", 1, LIMIT)?;

    let lines = lines.replace("persistence_timeout 300\n", "");
    daemon.reload(&conf(&lines, true))?;
    site.wait_weight("the first server is back", Some(110))?;
    let mut talk = site.talk()?;
    site.fail(0);
    site.wait_weight("the failed server is drained", Some(0))?;
    ensure_eq!(talk.say("go on")?, "first: go on", "the open connection");
    site.wait_weight("its time is over", None)?;
    daemon.wait_log("is drained: its time is over", 1, LIMIT)?;
    is_reset(&mut talk)?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(site.setting("expire_quiescent_template")?, "0", "put back");
    Ok(())
}

fn slow_start(lab: &Lab) -> Outcome {
    let mut site = Site::new(lab)?;
    let lines = "@vipd slow_start 10\n @vipd flap_damping 2 20";
    let daemon = Daemon::start(lab.subject(), &site.director, &conf(lines, true))?;
    site.wait_weight("the whole weight at the start", Some(110))?;
    site.fail(0);
    site.wait_weight("it failed", None)?;
    site.recover(0)?;
    let mut seen: Vec<u32> = Vec::new();
    wait_until("the whole weight", LIMIT, || {
        if let Some(weight) = site.weight()?
            && seen.last() != Some(&weight)
        {
            seen.push(weight);
        }
        Ok(seen.last() == Some(&110))
    })?;
    lab.note(format!("weights on the way: {seen:?}"));
    ensure!(seen.len() >= 4 && seen.is_sorted(), "steps: {seen:?}");
    site.fail(0);
    site.wait_weight("it failed again", None)?;
    site.recover(0)?;
    daemon.wait_log("failed 2 times lately: it is held back", 1, LIMIT)?;
    let held = Instant::now();
    wait_until("it is let in", LIMIT, || Ok(site.weight()?.is_some()))?;
    let took = held.elapsed();
    ensure!(took > Duration::from_secs(15), "let in after {took:?}");
    Ok(())
}
