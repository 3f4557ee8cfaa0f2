//! Start, stop and sudden death of the daemon: what clients see of them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::daemon::only_vipd;
use super::scene::{Instance, Lan, VIP, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::netlink::Requests;
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "order.start_and_stop",
        proves: "IPVS is programmed before the VIP is claimed and torn down after it was released",
        limit: Duration::from_secs(120),
        run: start_and_stop,
    },
    Case {
        name: "order.reload",
        proves: "a reload programs new services before their VIP is claimed, and removes old ones after \
                 theirs was released; the same file again changes nothing",
        limit: Duration::from_secs(120),
        run: reload,
    },
    Case {
        name: "restart.kill",
        proves: "kill -9 and a new start: one owner of the VIP, the same table, no connection cut",
        limit: Duration::from_secs(120),
        run: kill_and_start_again,
    },
];

const NEWCOMER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const SERVICES: u16 = 200;
const LIMIT: Duration = Duration::from_secs(30);

/// A second instance, which claims its VIP at once, and the services behind that.
fn newcomer() -> String {
    let mut text = format!(
        "vrrp_instance W {{\n    interface eth0\n    virtual_router_id 52\n    state MASTER\n    \
         priority 255\n    virtual_ipaddress {{\n        {NEWCOMER}/24\n    }}\n}}\n"
    );
    add_services(&mut text, NEWCOMER);
    text
}

fn reload(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let host = net.router("router")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let all = usize::from(SERVICES);
    let before = many_services();
    let mut daemon = Daemon::start(lab.subject(), &host, &before)?;
    let there = || Ok(host.owns(VIP)? && servers(&host)? == all);
    wait_until("VIP and table are there", LIMIT, there)?;
    let requests = Requests::watch(&host)?;

    requests.forget();
    daemon.reload(&(before.clone() + &newcomer()))?;
    let both = || Ok(host.owns(NEWCOMER)? && servers(&host)? == 2 * all);
    wait_until("the new VIP and its services are there", LIMIT, both)?;
    let asked = requests.sequence()?;
    let claimed = asked.iter().position(|change| *change == "address new");
    let programmed = asked.iter().rposition(|change| *change == "server new");
    ensure!(
        claimed.is_some() && programmed.is_some() && claimed > programmed,
        "claimed before IPVS was programmed: {}",
        brief(&asked)
    );

    requests.forget();
    daemon.reload(&before)?;
    let gone = || Ok(!host.owns(NEWCOMER)? && servers(&host)? == all);
    wait_until("both are gone", LIMIT, gone)?;
    ensure!(there()?, "something else went with them");
    let asked = requests.sequence()?;
    let released = asked.iter().rposition(|change| *change == "address del");
    let dismantled = asked
        .iter()
        .position(|change| change.ends_with(" del") && *change != "address del");
    ensure!(
        released.is_some() && dismantled.is_some() && released < dismantled,
        "IPVS torn down before the VIP was released: {}",
        brief(&asked)
    );

    requests.forget();
    let reloads = daemon.logged("reloaded ");
    daemon.hang_up()?;
    let done = || Ok(daemon.logged("reloaded ") > reloads);
    wait_until("the same file is in force again", LIMIT, done)?;
    holds_for("everything is there", Duration::from_secs(2), there)?;
    ensure_eq!(
        requests.sequence()?,
        Vec::<&str>::new(),
        "changes asked for"
    );
    // A stop in the middle of a reload leaves nothing behind either.
    daemon.reload(&(before + &newcomer()))?;
    daemon.stop()?;
    ensure!(
        !host.owns(VIP)? && !host.owns(NEWCOMER)? && servers(&host)? == 0,
        "the stop leaves something behind"
    );
    Ok(())
}

fn many_services() -> String {
    // Priority 255 with state MASTER claims at once: nothing but the order holds it back.
    let mut text = Instance {
        priority: 255,
        lines: "state MASTER",
        unicast: None,
    }
    .text();
    add_services(&mut text, VIP);
    text
}

fn add_services(text: &mut String, vip: Ipv4Addr) {
    for port in 1..=SERVICES {
        let _ = write!(
            text,
            "virtual_server {vip} {port} {{\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
             real_server 198.51.100.10 {port} {{\n        weight 1\n    }}\n}}\n"
        );
    }
}

fn servers(host: &Host) -> Outcome<usize> {
    let text = host.proc_net("ip_vs")?;
    Ok(text
        .lines()
        .filter(|line| line.trim_start().starts_with("-> C63364"))
        .count())
}

fn start_and_stop(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let host = net.router("router")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let requests = Requests::watch(&host)?;
    let all = usize::from(SERVICES);
    let mut daemon = Daemon::start(lab.subject(), &host, &many_services())?;
    let there = || Ok(host.owns(VIP)? && servers(&host)? == all);
    wait_until("VIP and table are there", LIMIT, there)?;
    let asked = requests.sequence()?;
    let claimed = asked.iter().position(|change| *change == "address new");
    let programmed = asked.iter().rposition(|change| *change == "server new");
    ensure!(
        claimed.is_some() && programmed.is_some(),
        "not all was seen: {asked:?}"
    );
    if claimed < programmed {
        judge(
            lab,
            format!("VIP claimed before IPVS was programmed: {}", brief(&asked)),
        )?;
    }

    requests.forget();
    daemon.stop()?;
    ensure!(
        !host.owns(VIP)? && servers(&host)? == 0,
        "the stop leaves something behind"
    );
    let asked = requests.sequence()?;
    let released = asked.iter().rposition(|change| *change == "address del");
    let dismantled = asked
        .iter()
        .position(|change| change.ends_with(" del") && *change != "address del");
    ensure!(
        released.is_some() && dismantled.is_some(),
        "not all was seen: {asked:?}"
    );
    if released > dismantled {
        judge(
            lab,
            format!(
                "IPVS torn down before the VIP was released: {}",
                brief(&asked)
            ),
        )?;
    }
    Ok(())
}

/// Each change and how often it follows itself.
fn brief(asked: &[&str]) -> String {
    let runs = asked.chunk_by(|one, other| one == other);
    let words = runs.map(|run| format!("{} x {}", run.len(), run.first().unwrap_or(&"")));
    words.collect::<Vec<_>>().join(", ")
}

/// keepalived promises no order: of it this is a remark, of vipd a failure.
fn judge(lab: &Lab, what: String) -> Outcome {
    if lab.subject() == Kind::Keepalived {
        lab.note(format!("keepalived: {what}"));
        return Ok(());
    }
    Err(what.into())
}

fn kill_and_start_again(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let back = lan.net.segment("back")?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    let server = lan.net.host("server")?;
    lan.net.plug(&a.host, "eth1", &back, &["198.51.100.1/24"])?;
    lan.net.plug(&b.host, "eth1", &back, &["198.51.100.2/24"])?;
    lan.net
        .plug(&server, "eth0", &back, &["198.51.100.10/24"])?;
    server.ip("route add default via 198.51.100.1\n")?;
    let at = Ipv4Addr::new(198, 51, 100, 10);
    let _server = Server::tcp(&server, &format!("{at}:80"), "server")?;
    let service = format!(
        "virtual_server {VIP} 80 {{\n    delay_loop 2\n    lb_algo rr\n    lb_kind NAT\n    \
         protocol TCP\n    persistence_timeout 50\n    real_server {at} 80 {{\n        weight 2\n        \
         TCP_CHECK {{\n            connect_timeout 2\n        }}\n    }}\n}}\n"
    );
    a.start(&(Instance::plain(150) + &service))?;
    b.start(&(Instance::plain(100) + &service))?;
    wait_owner(&a, &[&b])?;
    wait_until(
        "the table is there",
        LIMIT,
        || Ok(a.host.ipvs()?.len() == 2),
    )?;
    let table = a.host.ipvs()?;
    let mut talk = Conversation::open(&lan.client, &format!("{VIP}:80"), Duration::from_secs(10))?;
    ensure_eq!(talk.say("one")?, "server: one", "before");

    a.daemon()?.kill()?;
    ensure_eq!(a.host.ipvs()?, table, "the table without its daemon");
    ensure_eq!(talk.say("two")?, "server: two", "without the daemon");
    let stop_watching = AtomicBool::new(false);
    let (host, watched) = (a.host.clone(), &stop_watching);
    let incomplete = std::thread::scope(|scope| -> Outcome<usize> {
        let watcher = scope.spawn(move || watch_servers(&host, watched));
        let talked = talk_through_restart(&mut a, &mut talk);
        stop_watching.store(true, Ordering::SeqCst);
        let incomplete = watcher.join().map_err(|_| "the watcher panicked")?;
        talked.and(incomplete)
    });
    let incomplete = match incomplete {
        // It takes the VIP away and waits to be elected again: it cannot pass, which shows that
        // the case can fail.
        Err(why) if lab.subject() == Kind::Keepalived => return judge(lab, why.to_string()),
        other => other?,
    };
    wait_owner(&a, &[&b])?;
    owner_stays(&a, &[&b], Duration::from_secs(2))?;
    holds_for("the table is the same", Duration::from_secs(3), || {
        Ok(a.host.ipvs()? == table)
    })?;
    ensure_eq!(talk.say("last")?, "server: last", "after");
    ensure_eq!(
        incomplete,
        0,
        "looks at a table without the server, of all during the restart"
    );
    let took_over = b.daemon()?.logged("(V) Entering MASTER STATE");
    lab.note(format!(
        "the other router became master {took_over} times meanwhile"
    ));
    Ok(())
}

fn talk_through_restart(a: &mut super::scene::Router, talk: &mut Conversation) -> Outcome {
    a.daemon()?.start_again()?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        ensure_eq!(talk.say("three")?, "server: three", "through the restart");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// How often the table lacked its server until told to stop.
fn watch_servers(host: &Host, stop: &AtomicBool) -> Outcome<usize> {
    let mut incomplete = 0;
    while !stop.load(Ordering::SeqCst) {
        if servers(host)? != 1 {
            incomplete += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(incomplete)
}
