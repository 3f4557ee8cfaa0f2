//! Whom a check asks and from where, as the server sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::SETTLED;
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};

/// Port of the server, and what is said about the way to it. 203.0.113.9 is behind eth0; marked packets and
/// those that must not use eth0 reach it by eth1.
const CHECKS: &[(u16, &str)] = &[
    (81, "connect_ip 203.0.113.9\n connect_port 81"),
    (
        82,
        "connect_ip 192.0.2.10\n connect_port 82\n bindto 192.0.2.3\n bind_port CHOSEN",
    ),
    (
        83,
        "connect_ip 203.0.113.9\n connect_port 83\n bind_if eth1",
    ),
    (84, "connect_ip 203.0.113.9\n connect_port 84\n fwmark 7"),
];

/// The port that each daemon is told to ask from: what the first one used is not free for a minute.
const CHOSEN: [u16; 2] = [5555, 5556];

/// Who asked, on each port, and whether from a port that was chosen.
type Seen = BTreeMap<u16, BTreeSet<(Ipv4Addr, bool)>>;

fn conf(chosen: u16) -> String {
    let services = CHECKS.iter().map(|(port, way)| {
        let way = way.replace("CHOSEN", &chosen.to_string());
        format!(
            "virtual_server 10.9.0.1 {port} {{\n delay_loop 1\n warmup 0\n lb_algo wlc\n lb_kind NAT\n \
             protocol TCP\n real_server 10.8.0.1 80 {{\n TCP_CHECK {{\n connect_timeout 2\n {way}\n }}\n }}\n}}\n"
        )
    });
    services.collect()
}

/// Listens for ever, and notes who comes.
fn listen(server: &Host, seen: &Arc<Mutex<Seen>>) -> Outcome {
    for &(port, _) in CHECKS {
        let bind = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener = server.within(bind)?.doing(format!("listen on {port}"))?;
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            while let Ok((_, SocketAddr::V4(peer))) = listener.accept() {
                let chosen = CHOSEN.contains(&peer.port());
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.entry(port).or_default().insert((*peer.ip(), chosen));
            }
        });
    }
    Ok(())
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let (front, back) = (net.segment("front")?, net.segment("back")?);
    let (director, server) = (net.host("director")?, net.host("server")?);
    net.plug(&director, "eth0", &front, &["192.0.2.1/24", "192.0.2.3/24"])?;
    net.plug(&director, "eth1", &back, &["198.51.100.1/24"])?;
    net.plug(
        &server,
        "eth0",
        &front,
        &["192.0.2.10/24", "203.0.113.9/32"],
    )?;
    net.plug(&server, "eth1", &back, &["198.51.100.10/24"])?;
    director.ip(
        "route add 203.0.113.9 via 192.0.2.10\nroute add 203.0.113.9 via 198.51.100.10 metric 9\n\
         route add 203.0.113.9 via 198.51.100.10 table 77\nrule add fwmark 7 lookup 77\n",
    )?;
    let seen = Arc::<Mutex<Seen>>::default();
    listen(&server, &seen)?;
    let mut stories = Vec::new();
    for (kind, chosen) in [Kind::Keepalived, lab.subject()].into_iter().zip(CHOSEN) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut daemon = Daemon::start(kind, &director, &conf(chosen))?;
        let all = || Ok(seen.lock().unwrap_or_else(PoisonError::into_inner).len() == CHECKS.len());
        let waited = wait_until("every port was asked", SETTLED, all);
        // A second time, so that nobody else comes.
        std::thread::sleep(Duration::from_millis(1500));
        stories.push(seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
        daemon.stop()?;
        waited?;
    }
    let from = |address: [u8; 4], chosen| BTreeSet::from([(Ipv4Addr::from(address), chosen)]);
    let expected = Seen::from([
        (81, from([192, 0, 2, 1], false)),
        (82, from([192, 0, 2, 3], true)),
        (83, from([198, 51, 100, 1], false)),
        (84, from([198, 51, 100, 1], false)),
    ]);
    ensure_eq!(stories[0], expected, "who asked, for keepalived");
    ensure_eq!(stories[1], expected, "who asked, for the subject");
    Ok(())
}
