//! A host, its containers on a bridge, and a virtual server that leads to one of them.

use crate::cases::daemon::only_vipd;
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::Server;

use super::{LIMIT, answers, front, hangs, has_lines, iptables, service, stop};

const SERVICE: &str = "192.0.2.1:3306";
const CONTAINER: &str = "172.18.0.201";

/// A bridge of the director itself, as Docker makes it.
pub(super) fn bridge(director: &Host) -> Outcome {
    director.ip("link add docker0 type bridge\n\
         addr add 172.18.0.1/16 dev docker0\n\
         link set docker0 up\n")
}

/// Plugs `container` into it.
pub(super) fn plug(director: &Host, container: &Host, address: &str) -> Outcome {
    let name = container.name();
    director.ip(&format!(
        "link add veth-{name} type veth peer name eth0 netns {name}\n\
         link set veth-{name} master docker0 up\n"
    ))?;
    container.ip(&format!(
        "addr add {address}/16 dev eth0\nlink set eth0 up\nroute add default via 172.18.0.1\n"
    ))
}

pub(super) fn nat(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (_front, client, director) = front(&net)?;
    let (server, other) = (net.host("c1")?, net.host("c2")?);
    bridge(&director)?;
    plug(&director, &server, CONTAINER)?;
    plug(&director, &other, "172.18.0.202")?;
    client.ip("route add 172.18.0.0/16 via 192.0.2.1\n")?;
    let _server = Server::tcp(&server, &format!("{CONTAINER}:3306"), "database")?;
    let conf = |more: &str| {
        let lines = format!("lb_kind NAT\n protocol TCP\n {more}");
        service("192.0.2.1 3306", &lines, &["172.18.0.201 3306"])
    };
    let daemon = Daemon::start(lab.subject(), &director, &conf(""))?;
    has_lines(&director, 2)?;

    for outside in [&client, &director] {
        answers(outside, SERVICE, "database")?;
    }
    // The answer goes straight from one container to the other, from an address that was not asked.
    hangs(&other, SERVICE)?;
    hangs(&server, SERVICE)?;
    daemon.wait_log("in 172.18.0.1/16, which is docker0, a bridge of", 1, LIMIT)?;
    // A rule makes them seem to come from the host, and is of no use alone: connections of IPVS are unknown to it.
    daemon.reload(&conf("@vipd masquerade"))?;
    daemon.wait_log(
        "conntrack is 1 (before: 0), for 192.0.2.1:3306/tcp",
        1,
        LIMIT,
    )?;
    director.sysctl("net.ipv4.vs.conntrack", "0")?;
    hangs(&other, SERVICE)?;
    director.sysctl("net.ipv4.vs.conntrack", "1")?;
    for anybody in [&other, &server, &client, &director] {
        answers(anybody, SERVICE, "database")?;
    }

    // What Docker drops: what others route to a container, not what this host's IPVS sends there.
    iptables(
        &director,
        &format!("-t raw -A PREROUTING -d {CONTAINER} ! -i docker0 -j DROP"),
    )?;
    iptables(&director, "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT")?;
    iptables(&director, "-P FORWARD DROP")?;
    hangs(&client, &format!("{CONTAINER}:3306"))?;
    for anybody in [&client, &director] {
        answers(anybody, SERVICE, "database")?;
    }
    stop(daemon)?;
    let left = director.sh("iptables-legacy-save -t nat; cat /proc/sys/net/ipv4/vs/conntrack")?;
    ensure!(
        !left.contains("vipd") && left.ends_with("0\n"),
        "rules or settings after the stop:\n{left}"
    );
    Ok(())
}
