//! Two directors and the sync daemon between them.

use std::thread::sleep;
use std::time::Duration;

use super::daemon::only_vipd;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "sync.move",
    proves: "connections through NAT survive that the VIP moves to the other director and back, with the sync \
             daemon bound to the instance: each side sends or hears as it is master or backup",
    limit: Duration::from_secs(120),
    run: moves,
}];

/// This machine's kernel has no IPVS.
pub(crate) const NATIVE: &[Case] = &[Case {
    name: "sync.without_ipvs",
    proves: "without IPVS a sync daemon is one warning and the rest runs and stops; with a virtual server \
             nothing starts, and it says why",
    limit: Duration::from_secs(60),
    run: without_ipvs,
}];

const LIMIT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(5);
const VIP: &str = "192.0.2.100";
const SERVER: &str = "198.51.100.10";
/// Connections of each kind.
const EACH: usize = 8;

fn conf(priority: u8, vrid: u8) -> String {
    format!(
        "global_defs {{\n lvs_sync_daemon eth1 V\n}}\nvrrp_instance V {{\n interface eth0\n virtual_router_id {vrid}\n \
         priority {priority}\n advert_int 1\n virtual_ipaddress {{\n {VIP}/24 dev eth0\n 198.51.100.1/24 dev eth1\n }}\n}}\n\
         virtual_server {VIP} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server {SERVER} 80 {{\n }}\n}}\n"
    )
}

fn without_ipvs(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let host = net.router("director")?;
    for (dev, name, address) in [
        ("eth0", "front", "192.0.2.2/24"),
        ("eth1", "back", "198.51.100.2/24"),
    ] {
        let segment = net.segment(name)?;
        net.plug(&host, dev, &segment, &[address])?;
    }
    let whole = conf(150, 51);
    let at = whole.find("virtual_server ").ok_or("a virtual server")?;
    let mut daemon = Daemon::start(lab.subject(), &host, &whole[..at])?;
    wait_until("it is master", LIMIT, || {
        let vip: std::net::Ipv4Addr = VIP.parse().map_err(|_| "an address")?;
        host.owns(vip)
    })?;
    let begun = std::time::Instant::now();
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(3), "the stop took {took:?}");
    ensure_eq!(
        daemon.logged("WARN the kernel has no IPVS: module"),
        1,
        "warnings"
    );
    ensure_eq!(daemon.logged(" ERROR "), 0, "errors:\n{}", daemon.log());
    daemon.rewrite(&whole)?;
    daemon.start_again()?;
    wait_until("it ends", LIMIT, || Ok(daemon.ended()?.is_some()))?;
    let ended = daemon.ended()?;
    ensure!(
        ended.is_some_and(|status| !status.success()),
        "it ended with {ended:?}"
    );
    ensure_eq!(
        daemon.logged("has virtual servers that cannot be programmed: the kernel has no IPVS"),
        1,
        "refusals"
    );
    Ok(())
}

fn sync_state(host: &Host) -> Outcome<String> {
    let text = host.run(&["ipvsadm", "--list", "--daemon"])?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

/// It has the VIP, sends, and the other one hears.
fn leads(host: &Host, other: &Host) -> Outcome {
    wait_until(format!("{} leads", host.name()), LIMIT, || {
        let vip: std::net::Ipv4Addr = VIP.parse().map_err(|_| "an address")?;
        Ok(host.owns(vip)? && !other.owns(vip)? && sync_state(host)? == "master sync")
    })?;
    Ok(())
}

fn moves(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (front, behind) = (net.segment("front")?, net.segment("back")?);
    let (client, back) = (net.host("client")?, net.host("server")?);
    net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
    net.plug(&back, "eth0", &behind, &[&format!("{SERVER}/24")])?;
    back.ip("route add default via 198.51.100.1\n")?;
    let _server = Server::tcp(&back, &format!("{SERVER}:80"), "web")?;
    let mut directors = Vec::new();
    for (number, priority) in [(2, 150), (3, 100)] {
        let host = net.router(&format!("director{number}"))?;
        net.plug(&host, "eth0", &front, &[&format!("192.0.2.{number}/24")])?;
        net.plug(
            &host,
            "eth1",
            &behind,
            &[&format!("198.51.100.{number}/24")],
        )?;
        let daemon = Daemon::start(lab.subject(), &host, &conf(priority, 51))?;
        directors.push((host, daemon));
    }
    let [(first, mut one), (second, mut two)] =
        <[_; 2]>::try_from(directors).map_err(|_| "two directors")?;
    leads(&first, &second)?;
    wait_until("the backup hears", LIMIT, || {
        Ok(sync_state(&second)? == "backup sync")
    })?;

    let to = format!("{VIP}:80");
    let open = |requests: usize| {
        let mut talk = Conversation::open(&client, &to, PATIENCE)?;
        for _ in 0..requests {
            talk.say("before")?;
        }
        Ok::<_, crate::lab::check::Failure>(talk)
    };
    // The server has greeted each: the third packet from the client said that this was heard.
    let mut talks = Vec::new();
    for requests in [0, 1, 3] {
        for _ in 0..EACH {
            talks.push(open(requests)?);
        }
    }
    // The kernel keeps what it has to tell for two seconds at most.
    sleep(Duration::from_millis(2500));
    ensure!(one.stop()?.success(), "it did not stop cleanly");
    leads(&second, &first)?;
    let goes_on =
        |talk: &mut Conversation| talk.say("after").is_ok_and(|said| said == "web: after");
    for talk in &mut talks {
        ensure!(goes_on(talk), "a connection that was told of is cut");
    }

    // And back, to the better one that starts again.
    one.start_again()?;
    wait_until("the better one hears first", LIMIT, || {
        Ok(!sync_state(&first)?.is_empty())
    })?;
    leads(&first, &second)?;
    wait_until("the other hears", LIMIT, || {
        Ok(sync_state(&second)? == "backup sync")
    })?;
    for talk in &mut talks {
        ensure!(goes_on(talk), "a connection is cut on the way back");
    }
    ensure!(two.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(sync_state(&second)?, "", "a sync daemon after the stop");
    Ok(())
}
