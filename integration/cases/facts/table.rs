//! Ways back by NAT, and connections while the table changes.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::cases::daemon::only_vipd;
use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::{Conversation, Server};

use super::{LIMIT, PATIENCE, answers, front, hangs, has_lines, iptables, service, stop};

const NAT: &str = "lb_kind NAT\n protocol TCP";

pub(super) fn way_back(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (_front, client, director) = front(&net)?;
    let behind = net.segment("back")?;
    let (server, gateway) = (net.host("server")?, net.router("gateway")?);
    net.plug(&director, "eth1", &behind, &["198.51.100.1/24"])?;
    net.plug(&server, "eth0", &behind, &["198.51.100.11/24"])?;
    // Its way to clients is another one, which does not know of the virtual address.
    net.plug(&gateway, "eth0", &behind, &["198.51.100.254/24"])?;
    server.ip("route add default via 198.51.100.254\n")?;
    client.ip("route add 203.0.113.0/24 via 192.0.2.1\n")?;
    let _servers = [
        Server::tcp(&server, "198.51.100.11:80", "server")?,
        Server::tcp(&director, "127.0.0.1:81", "loopback")?,
        Server::tcp(&director, "192.0.2.1:8081", "here")?,
        Server::tcp(&director, "192.0.2.1:83", "direct")?,
    ];
    let mut conf = service("192.0.2.1 80", NAT, &["198.51.100.11 80"]);
    conf.push_str(&service("192.0.2.1 81", NAT, &["127.0.0.1 81"]));
    conf.push_str(&service("192.0.2.1 82", NAT, &["192.0.2.1 8081"]));
    let dr = "lb_kind DR\n protocol TCP";
    conf.push_str(&service("192.0.2.1 83", dr, &["127.0.0.1 83"]));
    conf.push_str(&service("203.0.113.7 82", NAT, &["192.0.2.1 8081"]));
    let daemon = Daemon::start(lab.subject(), &director, &conf)?;
    has_lines(&director, 10)?;

    hangs(&client, "192.0.2.1:80")?;
    director.sysctl("net.ipv4.vs.conntrack", "1")?;
    iptables(
        &director,
        "-t nat -A POSTROUTING -d 198.51.100.11 -j MASQUERADE",
    )?;
    answers(&client, "192.0.2.1:80", "server")?;

    let warned = "the real server 127.0.0.1 serves this host alone";
    ensure_eq!(daemon.logged(warned), 1, "warnings: {warned}");
    answers(&director, "192.0.2.1:81", "loopback")?;
    hangs(&client, "192.0.2.1:81")?;
    director.sysctl("net.ipv4.conf.all.route_localnet", "1")?;
    hangs(&client, "192.0.2.1:81")?;
    // By DR it means this host, and the service is asked by the virtual address.
    answers(&client, "192.0.2.1:83", "direct")?;
    // The host's own address serves everybody.
    for anybody in [&client, &director] {
        answers(anybody, "192.0.2.1:82", "here")?;
    }

    hangs(&client, "203.0.113.7:82")?;
    director.ip("route add local 203.0.113.7 dev lo\n")?;
    answers(&client, "203.0.113.7:82", "here")?;
    stop(daemon)
}

/// All settings of IPVS.
fn settings(host: &Host) -> Outcome<String> {
    host.sh("grep -r . /proc/sys/net/ipv4/vs 2>/dev/null || true")
}

/// The name of the server that a connection from this port of the client finds. It ends with a reset, so
/// that the port is free at once.
fn from_port(client: &Host, port: u16, to: &str) -> Outcome<String> {
    let to: SocketAddr = to.parse().doing("an endpoint")?;
    let opened = client.within(|| -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([192, 0, 2, 10], port)).into())?;
        socket.set_linger(Some(std::time::Duration::ZERO))?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket.into())
    })?;
    let mut reader = BufReader::new(opened.doing(format!("connect from port {port}"))?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

pub(super) fn connections(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (_front, client, director) = front(&net)?;
    let behind = net.segment("back")?;
    let server = net.host("server")?;
    net.plug(&director, "eth1", &behind, &["198.51.100.1/24"])?;
    let both = ["198.51.100.11/24", "198.51.100.12/24"];
    net.plug(&server, "eth0", &behind, &both)?;
    server.ip("route add default via 198.51.100.1\n")?;
    let _servers = [
        Server::tcp(&server, "198.51.100.11:80", "first")?,
        Server::tcp(&server, "198.51.100.12:80", "second")?,
    ];
    let (to, first, second) = ("192.0.2.1:80", "198.51.100.11 80", "198.51.100.12 80");
    let one = service("192.0.2.1 80", NAT, &[first]);
    let mut daemon = Daemon::start(lab.subject(), &director, &one)?;
    has_lines(&director, 2)?;
    let untouched = settings(&director)?;
    ensure!(untouched.contains("conn_reuse_mode:1"), "{untouched}");
    let table = director.ipvs()?;
    let same = || Ok(director.ipvs()? == table);

    // The kernel remembers a deleted server for a while, and its connections with it.
    let mut talk = Conversation::open(&client, to, PATIENCE)?;
    for by_hand in [
        "ipvsadm -d -t 192.0.2.1:80 -r 198.51.100.11:80",
        "ipvsadm -C",
    ] {
        director.sh(by_hand)?;
        daemon.hang_up()?;
        wait_until(format!("the table is back after {by_hand}"), LIMIT, same)?;
        ensure_eq!(talk.say(by_hand)?, format!("first: {by_hand}"), "an answer");
    }

    // With this on, a server that is deleted takes its connections along: so none may be.
    director.sysctl("net.ipv4.vs.expire_nodest_conn", "1")?;
    daemon.reload(&one.replace("weight 1", "weight 5"))?;
    wait_until("the weight changes", LIMIT, || {
        let table = director.ipvs()?;
        Ok(table.iter().any(|line| line.ends_with("-w 5")))
    })?;
    ensure_eq!(talk.say("weight")?, "first: weight", "after a reload");
    let run_dir = daemon.file().with_file_name("run").display().to_string();
    let vipd = crate::lab::guest::vipd_path();
    director.run(&[&vipd, "stop", "--keep", "--run-dir", &run_dir])?;
    ensure!(
        daemon.ended()?.is_some_and(|status| status.success()),
        "it has not ended after vipd stop"
    );
    ensure_eq!(talk.say("nobody")?, "first: nobody", "between two vipds");
    daemon.start_again()?;
    daemon.wait_log("vipd 0.1.0 starts", 2, LIMIT)?;
    ensure_eq!(talk.say("restart")?, "first: restart", "after a restart");
    director.sysctl("net.ipv4.vs.expire_nodest_conn", "0")?;

    // A port that was used for a server that is gone.
    ensure_eq!(from_port(&client, 40_000, to)?, "first", "the first time");
    daemon.reload(&service("192.0.2.1 80", NAT, &[second]))?;
    wait_until("the server is another one", LIMIT, || {
        let table = director.ipvs()?;
        Ok(!table.iter().any(|line| line.contains("198.51.100.11")))
    })?;
    ensure_eq!(from_port(&client, 40_000, to)?, "second", "the same port");
    ensure_eq!(settings(&director)?, untouched, "settings of IPVS");
    stop(daemon)
}
