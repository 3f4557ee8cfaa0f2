//! What the kernel does that a manager of IPVS has to know, shown with vipd as the manager: which settings
//! decide whether packets arrive and come back, and what becomes of connections.

mod containers;
mod direct;
mod table;

use std::time::Duration;

use crate::lab::Case;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::Conversation;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "facts.containers",
        proves: "NAT to a container: clients outside and the host itself get through, also past what Docker \
                 drops; containers on the same bridge and the server itself only with vs.conntrack and a \
                 masquerade rule",
        limit: Duration::from_secs(90),
        run: containers::nat,
    },
    Case {
        name: "facts.way_back",
        proves: "NAT to a server without a route back hangs, and works with masquerading; by NAT \
                 a server on 127.0.0.1 serves the host alone, and vipd warns of it; a virtual address that is not set \
                 here is unreachable, a local route is enough",
        limit: Duration::from_secs(90),
        run: table::way_back,
    },
    Case {
        name: "facts.connections",
        proves: "connections outlive a server deleted and a table emptied by somebody else, because vipd \
                 puts them back; with expire_nodest_conn on, a reload and a restart delete nothing and end \
                 none; a port that is used again finds a live server; no setting of IPVS is touched",
        limit: Duration::from_secs(120),
        run: table::connections,
    },
    Case {
        name: "facts.direct",
        proves: "DR to a container of the director's own bridge needs accept_local, TUN too, and by neither \
                 does the director reach itself; a real server \
                 answers ARP for the virtual address unless arp_ignore and arp_announce say no",
        limit: Duration::from_secs(90),
        run: direct::local,
    },
    Case {
        name: "facts.backup_only",
        proves: "two directors that are each other's servers send packets round in a circle by DR, and with \
                 backup_only and the sync daemon the backup serves them itself",
        limit: Duration::from_secs(90),
        run: direct::backup_only,
    },
];

const LIMIT: Duration = Duration::from_secs(30);
/// How long a client waits that would wait for ever; a retransmission and a bit.
const PATIENCE: Duration = Duration::from_millis(2500);

/// A connection is made and answered by the server `name`.
fn answers(client: &Host, to: &str, name: &str) -> Outcome {
    let talk = Conversation::open(client, to, PATIENCE)?;
    ensure_eq!(talk.server, name, "who answers {} at {to}", client.name());
    Ok(())
}

/// A connection is not made, or not answered.
fn hangs(client: &Host, to: &str) -> Outcome {
    let opened = Conversation::open(client, to, PATIENCE);
    let who = opened.map(|talk| talk.server);
    ensure!(
        who.is_err(),
        "{} gets an answer at {to}: {who:?}",
        client.name()
    );
    Ok(())
}

/// The table has so many lines.
fn has_lines(host: &Host, lines: usize) -> Outcome {
    let what = format!("{} has {lines} lines in its table", host.name());
    wait_until(what, LIMIT, || Ok(host.ipvs()?.len() == lines)).map(drop)
}

/// A virtual server without checks; its servers have weight 1.
fn service(key: &str, lines: &str, servers: &[&str]) -> String {
    let mut text = format!("virtual_server {key} {{\n delay_loop 5\n lb_algo rr\n {lines}\n");
    for server in servers {
        text.push_str(&format!(" real_server {server} {{\n  weight 1\n }}\n"));
    }
    text.push_str("}\n");
    text
}

/// iptables, by way of the kernel's old tables: the guest's nftables know no IPv4.
fn iptables(host: &Host, rule: &str) -> Outcome {
    host.sh(&format!("iptables-legacy -w {rule}")).map(drop)
}

/// A segment with a client 192.0.2.10 and a director 192.0.2.1.
fn front<'a>(net: &Net<'a>) -> Outcome<(crate::lab::net::Segment, Host, Host)> {
    let front = net.segment("front")?;
    let (client, director) = (net.host("client")?, net.router("director")?);
    net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
    net.plug(&director, "eth0", &front, &["192.0.2.1/24"])?;
    Ok((front, client, director))
}

/// It stops cleanly.
fn stop(mut daemon: Daemon) -> Outcome {
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
