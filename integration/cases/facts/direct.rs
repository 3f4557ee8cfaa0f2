//! Direct routing and tunnels: what stands in the way of packets that carry the virtual address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::cases::daemon::only_vipd;
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::wire::{Capture, Packet};

use super::containers::{bridge, plug};
use super::{LIMIT, PATIENCE, answers, front, hangs, has_lines, service, stop};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

fn dr(port: u16, servers: &[&str]) -> String {
    service(
        &format!("{VIP} {port}"),
        "lb_kind DR\n protocol TCP",
        servers,
    )
}

/// The host takes packets for the virtual address, and does not say so.
fn takes_vip(host: &Host) -> Outcome {
    host.sysctl("net.ipv4.conf.all.arp_ignore", "1")?;
    host.sysctl("net.ipv4.conf.all.arp_announce", "2")?;
    host.ip(&format!("addr add {VIP}/32 dev lo\n"))
}

pub(super) fn local(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (segment, client, director) = front(&net)?;
    let (near, tunnel, far) = (net.host("near")?, net.host("tunnel")?, net.host("far")?);
    bridge(&director)?;
    plug(&director, &near, "172.18.0.201")?;
    plug(&director, &tunnel, "172.18.0.202")?;
    let port = net.plug(&far, "eth0", &segment, &["192.0.2.21/24"])?;
    takes_vip(&near)?;
    takes_vip(&tunnel)?;
    tunnel.ip("link add ipip1 type ipip local 172.18.0.202\nlink set ipip1 up\n")?;
    for dev in ["all", "ipip1"] {
        tunnel.sysctl(&format!("net.ipv4.conf.{dev}.rp_filter"), "0")?;
    }
    let _servers = [
        Server::tcp(&near, &format!("{VIP}:80"), "near")?,
        Server::tcp(&tunnel, &format!("{VIP}:82"), "tunnel")?,
        Server::tcp(&far, &format!("{VIP}:81"), "far")?,
    ];
    director.ip(&format!("addr add {VIP}/32 dev eth0\n"))?;
    let mut conf = dr(80, &["172.18.0.201 80"]);
    conf.push_str(&dr(81, &["192.0.2.21 81"]));
    let tun = "lb_kind TUN\n protocol TCP";
    conf.push_str(&service(&format!("{VIP} 82"), tun, &["172.18.0.202 82"]));
    let daemon = Daemon::start(lab.subject(), &director, &conf)?;
    has_lines(&director, 6)?;

    // The answer carries an address of the director, who believes it of nobody else.
    hangs(&client, &format!("{VIP}:80"))?;
    hangs(&client, &format!("{VIP}:82"))?;
    for dev in ["all", "docker0"] {
        director.sysctl(&format!("net.ipv4.conf.{dev}.accept_local"), "1")?;
        director.sysctl(&format!("net.ipv4.conf.{dev}.rp_filter"), "0")?;
    }
    answers(&client, &format!("{VIP}:80"), "near")?;
    answers(&client, &format!("{VIP}:82"), "tunnel")?;
    // For the director itself that is no way.
    hangs(&director, &format!("{VIP}:80"))?;
    hangs(&director, &format!("{VIP}:82"))?;

    far.ip(&format!("addr add {VIP}/32 dev lo\n"))?;
    ensure_eq!(who_claims(&client, &port)?, 2, "claims of the address");
    far.sysctl("net.ipv4.conf.all.arp_ignore", "1")?;
    far.sysctl("net.ipv4.conf.all.arp_announce", "2")?;
    ensure_eq!(who_claims(&client, &port)?, 1, "claims of the address");
    answers(&client, &format!("{VIP}:81"), "far")?;
    stop(daemon)
}

/// How many hardware addresses a client hears when it asks who has the virtual address.
fn who_claims(client: &Host, port: &crate::lab::net::Port) -> Outcome<usize> {
    let heard = Capture::on(client, "eth0")?;
    // The port of the real server, to be sure that the question got there.
    let asked = Capture::at(port)?;
    client.sh(&format!(
        "ip neigh flush all; ping -c 2 -W 1 {VIP} >/dev/null || true"
    ))?;
    let asks = |frame: &crate::lab::wire::Frame| matches!(&frame.packet, Packet::Arp(arp) if arp.operation == 1 && arp.target == VIP);
    wait_until("the question was heard", LIMIT, || {
        Ok(asked.frames().iter().any(asks))
    })?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let frames = heard.frames();
    let claims = frames.iter().filter_map(|frame| match &frame.packet {
        Packet::Arp(arp) if arp.operation == 2 && arp.sender == VIP => Some(frame.src_mac),
        _ => None,
    });
    Ok(claims.collect::<BTreeSet<_>>().len())
}

pub(super) fn backup_only(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (segment, client, master) = front(&net)?;
    let backup = net.router("backup")?;
    net.plug(&backup, "eth0", &segment, &["192.0.2.2/24"])?;
    master.ip(&format!("addr add {VIP}/32 dev eth0\n"))?;
    takes_vip(&backup)?;
    let _servers = [
        Server::tcp(&master, &format!("{VIP}:80"), "master")?,
        Server::tcp(&backup, &format!("{VIP}:80"), "backup")?,
    ];
    let conf = dr(80, &["192.0.2.1 80", "192.0.2.2 80"]);
    let daemons = [&master, &backup]
        .into_iter()
        .map(|host| Daemon::start(lab.subject(), host, &conf))
        .collect::<Outcome<Vec<Daemon>>>()?;
    has_lines(&master, 3)?;
    has_lines(&backup, 3)?;
    let to = format!("{VIP}:80");
    let tries = || -> Vec<Option<String>> {
        let open = |_| Conversation::open(&client, &to, PATIENCE).ok();
        let opened = (0..6).map(open);
        opened.map(|talk| Some(talk?.server)).collect()
    };
    let without = tries();
    lab.note(format!("without backup_only: {without:?}"));
    ensure!(
        without.contains(&None),
        "every connection was made: {without:?}"
    );
    backup.sysctl("net.ipv4.vs.backup_only", "1")?;
    backup.sh("ipvsadm --start-daemon backup --mcast-interface eth0")?;
    let with = tries();
    lab.note(format!("with it: {with:?}"));
    for who in ["master", "backup"] {
        let mut names = with.iter().flatten();
        ensure!(
            names.any(|name| name == who),
            "{who} served nobody: {with:?}"
        );
    }
    ensure!(!with.contains(&None), "a connection hangs: {with:?}");
    daemons.into_iter().try_for_each(stop)
}
