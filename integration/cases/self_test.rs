//! The lab itself: what every other case takes for granted.

use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Net;
use crate::lab::traffic::{Conversation, Pulse, Server};
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "lab.network",
        proves: "hosts on a segment reach each other, and IPVS NAT forwards in this guest",
        limit: Duration::from_secs(60),
        run: network,
    },
    Case {
        name: "lab.reference",
        proves: "the reference keepalived becomes master, its adverts are seen, it stops cleanly",
        limit: Duration::from_secs(60),
        run: reference,
    },
];

fn network(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let (front, back) = (net.segment("front")?, net.segment("back")?);
    let client = net.host("client")?;
    let director = net.router("director")?;
    let server = net.host("server")?;
    net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
    net.plug(&director, "eth0", &front, &["192.0.2.1/24"])?;
    net.plug(&director, "eth1", &back, &["198.51.100.1/24"])?;
    net.plug(&server, "eth0", &back, &["198.51.100.10/24"])?;
    server.ip("route add default via 198.51.100.1\n")?;
    let _tcp = Server::tcp(&server, "198.51.100.10:80", "server")?;
    let _udp = Server::udp(&director, "192.0.2.1:7", "director")?;
    ensure!(director.ipvs()?.is_empty(), "a new namespace has services");
    director.sh(
        "ipvsadm -A -t 192.0.2.1:80 -s rr; ipvsadm -a -t 192.0.2.1:80 -r 198.51.100.10:80 -m -w 3",
    )?;
    ensure_eq!(
        director.ipvs()?,
        [
            "-A -t 192.0.2.1:80 -s rr".to_owned(),
            "-a -t 192.0.2.1:80 -r 198.51.100.10:80 -m -w 3".to_owned()
        ],
        "the table reads back"
    );
    let mut talk = Conversation::open(&client, "192.0.2.1:80", Duration::from_secs(5))?;
    ensure_eq!(
        talk.say("hello")?,
        "server: hello".to_owned(),
        "an answer through IPVS"
    );
    let pulse = Pulse::start(&client, "192.0.2.1:7", Duration::from_millis(10))?;
    wait_until("20 answers", Duration::from_secs(10), || {
        Ok(pulse.answers().len() >= 20)
    })?;
    let (gap, answers) = pulse.stop();
    ensure!(
        answers.iter().all(|a| a.from == "director"),
        "somebody else answered"
    );
    lab.note(format!(
        "longest gap of an idle 10 ms pulse: {} ms",
        gap.as_millis()
    ));
    ensure!(director.owns([192, 0, 2, 1])?, "an address of the director");
    ensure!(!director.owns([192, 0, 2, 10])?, "an address of the client");
    Ok(())
}

fn reference(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let router = net.host("router")?;
    let port = net.plug(&router, "eth0", &lan, &["192.0.2.1/24"])?;
    let capture = Capture::at(&port)?;
    let conf = "vrrp_instance V {\n interface eth0\n virtual_router_id 9\n priority 200\n\
                virtual_ipaddress {\n 192.0.2.100\n }\n}\n";
    let mut daemon = Daemon::start(Kind::Keepalived, &router, conf)?;
    daemon.wait_log("(V) Entering MASTER STATE", 1, Duration::from_secs(20))?;
    wait_until("the VIP is there", Duration::from_secs(5), || {
        router.owns([192, 0, 2, 100])
    })?;
    let enough = || Ok(capture.adverts().len() >= 3);
    wait_until("three adverts", Duration::from_secs(10), enough)?;
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    ensure!(
        !router.owns([192, 0, 2, 100])?,
        "the VIP stays after the stop"
    );
    let adverts = capture.adverts();
    let priorities: Vec<u8> = adverts.iter().map(|(_, advert)| advert.priority).collect();
    ensure_eq!(
        priorities.first(),
        Some(&200),
        "priority of the first advert"
    );
    ensure_eq!(priorities.last(), Some(&0), "priority of the last advert");
    ensure_eq!(
        capture.gratuitous([192, 0, 2, 100].into()).len(),
        5,
        "gratuitous ARP at once"
    );
    Ok(())
}
