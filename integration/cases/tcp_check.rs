//! TCP_CHECK: a dead server leaves the pool and a living one returns, when keepalived does it too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port};
use crate::lab::traffic::Server;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "tcp_check.refused",
        proves: "a server that refuses leaves after the retries and returns, in keepalived's time",
        limit: Duration::from_secs(120),
        run: |lab| leaves_and_returns(lab, Death::Refuses, Pool::Removes),
    },
    Case {
        name: "tcp_check.silent",
        proves: "a server that says nothing leaves after connect_timeout and retries, and returns",
        limit: Duration::from_secs(120),
        run: |lab| leaves_and_returns(lab, Death::Silent, Pool::Removes),
    },
    Case {
        name: "tcp_check.inhibit_on_failure",
        proves: "with inhibit_on_failure it stays with weight 0 and gets its weight back",
        limit: Duration::from_secs(120),
        run: |lab| leaves_and_returns(lab, Death::Refuses, Pool::Inhibits),
    },
    Case {
        name: "tcp_check.start",
        proves: "a server that is dead at the start never gets into the pool with a weight",
        limit: Duration::from_secs(60),
        run: dead_at_the_start,
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Its port is closed: each attempt fails at once.
    Refuses,
    /// Its cable is cut: each attempt takes all of connect_timeout.
    Silent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    Removes,
    Inhibits,
}

const DELAY_LOOP: u32 = 2;
const RETRY: u32 = 2;
const DELAY_BEFORE_RETRY: u32 = 1;
const CONNECT_TIMEOUT: u32 = 1;
const SECOND: Duration = Duration::from_secs(1);
/// The guest is slow, and both daemons share it with the case.
const SLACK: Duration = Duration::from_millis(1500);

fn conf(pool: Pool) -> String {
    let inhibit = if pool == Pool::Inhibits {
        "inhibit_on_failure"
    } else {
        ""
    };
    let server = |last: u8, weight: u8| {
        format!(
            "    real_server 198.51.100.{last} 80 {{\n        weight {weight}\n        {inhibit}\n        \
             TCP_CHECK {{\n            connect_port 80\n            connect_timeout {CONNECT_TIMEOUT}\n            \
             retry {RETRY}\n            delay_before_retry {DELAY_BEFORE_RETRY}\n        }}\n    }}\n"
        )
    };
    format!(
        "virtual_server 10.9.0.1 80 {{\n    delay_loop {DELAY_LOOP}\n    lb_algo rr\n    lb_kind NAT\n    \
         protocol TCP\n{}{}}}\n",
        server(11, 3),
        server(12, 5)
    )
}

/// Two directors, one of each kind, that check the same two servers.
struct Scene {
    directors: [Host; 2],
    daemons: [Daemon; 2],
    servers: Host,
    stays: Server,
    mortal: Option<Server>,
    cable: Port,
}

const STAYS: &str = "198.51.100.11";
const MORTAL: &str = "198.51.100.12";

impl Scene {
    fn new(lab: &Lab, pool: Pool, mortal_lives: bool) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let back = net.segment("back")?;
        let (one, other) = (net.router("reference")?, net.router("subject")?);
        net.plug(&one, "eth0", &back, &["198.51.100.1/24"])?;
        net.plug(&other, "eth0", &back, &["198.51.100.2/24"])?;
        let (servers, mortals) = (net.host("server")?, net.host("mortal")?);
        net.plug(&servers, "eth0", &back, &[&format!("{STAYS}/24")])?;
        let cable = net.plug(&mortals, "eth0", &back, &[&format!("{MORTAL}/24")])?;
        let stays = Server::tcp(&servers, &format!("{STAYS}:80"), "stays")?;
        let start = || Server::tcp(&mortals, &format!("{MORTAL}:80"), "mortal");
        let mortal = if mortal_lives { Some(start()?) } else { None };
        let conf = conf(pool);
        let daemons = [
            Daemon::start(Kind::Keepalived, &one, &conf)?,
            Daemon::start(lab.subject(), &other, &conf)?,
        ];
        Ok(Self {
            directors: [one, other],
            daemons,
            servers: mortals,
            stays,
            mortal,
            cable,
        })
    }

    /// Weight of `server` in the pool of each director; none where it is not in it.
    fn weights(&self, server: &str) -> Outcome<[Option<u32>; 2]> {
        let [one, other] = &self.directors;
        Ok([
            pool(one)?.get(server).copied(),
            pool(other)?.get(server).copied(),
        ])
    }

    /// When each director's weight of the mortal server became `expected`, from now on.
    fn both_reach(&self, expected: Option<u32>) -> Outcome<[Duration; 2]> {
        let (began, mut reached) = (Instant::now(), [None, None]);
        wait_until(
            format!("both have the weight {expected:?}"),
            20 * SECOND,
            || {
                for (at, weight) in reached.iter_mut().zip(self.weights(MORTAL)?) {
                    if weight == expected && at.is_none() {
                        *at = Some(began.elapsed());
                    }
                }
                Ok(reached.iter().all(Option::is_some))
            },
        )?;
        Ok(reached.map(Option::unwrap_or_default))
    }
}

/// Servers in the table of `host` with their weights, from /proc/net/ip_vs, which is fast to read.
fn pool(host: &Host) -> Outcome<BTreeMap<String, u32>> {
    let text = host.proc_net("ip_vs")?;
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.by_ref().skip_while(|word| *word != "->").nth(1)?;
        let bits = u32::from_str_radix(address.split(':').next()?, 16).ok()?;
        let weight = words.nth(1)?.parse().ok()?;
        Some((std::net::Ipv4Addr::from(bits).to_string(), weight))
    });
    Ok(servers.collect())
}

fn leaves_and_returns(lab: &Lab, death: Death, pool: Pool) -> Outcome {
    let mut scene = Scene::new(lab, pool, true)?;
    let gone = if pool == Pool::Inhibits {
        Some(0)
    } else {
        None
    };
    scene.both_reach(Some(5))?;
    // Past the first check, whose phase each daemon chooses for itself.
    std::thread::sleep(SECOND * (DELAY_LOOP + 1));
    ensure_eq!(
        scene.weights(MORTAL)?,
        [Some(5); 2],
        "weights while the server lives"
    );

    let attempt = match death {
        Death::Refuses => 0,
        Death::Silent => CONNECT_TIMEOUT,
    };
    match death {
        Death::Refuses => scene.mortal = None,
        Death::Silent => scene.cable.black_hole()?,
    }
    let left = scene.both_reach(gone)?;
    // retry + 1 attempts, delay_before_retry between them, after up to delay_loop.
    let least = SECOND * (RETRY * DELAY_BEFORE_RETRY + (RETRY + 1) * attempt);
    in_time(lab, "leaves", left, least, SECOND * DELAY_LOOP)?;

    match death {
        Death::Refuses => {
            let again = Server::tcp(&scene.servers, &format!("{MORTAL}:80"), "mortal")?;
            scene.mortal = Some(again);
        }
        Death::Silent => scene.cable.forward()?,
    }
    let returned = scene.both_reach(Some(5))?;
    in_time(
        lab,
        "returns",
        returned,
        Duration::ZERO,
        SECOND * (DELAY_LOOP + attempt),
    )?;
    ensure_eq!(
        scene.weights(STAYS)?,
        [Some(3); 2],
        "the server that lived all the time"
    );
    let [_, subject] = &mut scene.daemons;
    ensure!(subject.stop()?.success(), "it did not stop cleanly");
    drop(scene.stays);
    Ok(())
}

/// Both times lie within what the configuration says.
fn in_time(
    lab: &Lab,
    what: &str,
    times: [Duration; 2],
    least: Duration,
    phase: Duration,
) -> Outcome {
    let [reference, subject] = times;
    let (name, most) = (lab.subject().name(), least + phase + SLACK);
    lab.note(format!(
        "{what}: keepalived after {reference:.1?}, {name} after {subject:.1?}, by configuration \
         {least:.0?} to {:.0?}",
        least + phase
    ));
    for (who, time) in [("keepalived", reference), (name, subject)] {
        // A tick of the guest may be missing from each of the waits.
        let early = time + Duration::from_millis(200) < least;
        ensure!(
            !early && time <= most,
            "{what}: {who} after {time:.2?}, not {least:?} to {most:?}"
        );
    }
    Ok(())
}

fn dead_at_the_start(lab: &Lab) -> Outcome {
    let scene = Scene::new(lab, Pool::Removes, false)?;
    let both = || Ok(scene.weights(STAYS)? == [Some(3); 2]);
    wait_until("the living server is in both pools", 20 * SECOND, both)?;
    // keepalived without `alpha` takes a server for alive until the check says otherwise.
    let left = scene.both_reach(None)?;
    let most = SECOND * (DELAY_LOOP + RETRY * DELAY_BEFORE_RETRY) + SLACK;
    let [reference, subject] = left;
    lab.note(format!(
        "out of the pool: keepalived after {reference:.1?}, then {subject:.1?}"
    ));
    ensure!(
        subject <= most,
        "the dead server is in the pool for {subject:.2?}"
    );
    Ok(())
}
