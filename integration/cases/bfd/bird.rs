//! BIRD as the neighbor.

use std::fs;
use std::time::Duration;

use super::{DOWN, LIMIT, STATE_UP, line, session, timed};
use crate::cases::scene::Lan;
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::net::Host;
use crate::lab::process::Process;
use crate::lab::wire::Capture;

/// A BIRD with nothing but BFD; 50 ms both ways, three packets may be missed.
struct Bird {
    host: Host,
    socket: String,
    process: Process,
}

impl Bird {
    fn start(host: &Host, id: &str, neighbors: &str) -> Outcome<Bird> {
        let dir = host.dir().join(format!("{}.bird", host.name()));
        fs::create_dir_all(&dir)?;
        let file = dir.join("bird.conf");
        let times = "{ min rx interval 50 ms; min tx interval 50 ms; idle tx interval 1 s; \
                     multiplier 3; };";
        fs::write(
            &file,
            format!(
                "log stderr all;\nrouter id {id};\nprotocol device {{}}\nprotocol bfd {{\n    \
                 interface \"eth0\" {times}\n    multihop {times}\n{neighbors}}}\n"
            ),
        )?;
        let path = |name: &str| dir.join(name).display().to_string();
        let (socket, pid, file) = (path("ctl"), path("pid"), file.display().to_string());
        let argv = ["bird", "-f", "-c", &file, "-s", &socket, "-P", &pid];
        Ok(Bird {
            host: host.clone(),
            process: host.spawn("bird", &argv)?,
            socket,
        })
    }

    /// State, interval and timeout of the session with `neighbor`; times in seconds.
    fn session(&self, neighbor: &str) -> Outcome<(String, String, String)> {
        let argv = ["birdc", "-s", &self.socket, "show", "bfd", "sessions"];
        let table = self.host.run(&argv)?;
        let row = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&neighbor));
        match row.as_deref() {
            Some([_, _, state, _, interval, timeout]) => Ok((
                (*state).to_owned(),
                (*interval).to_owned(),
                (*timeout).to_owned(),
            )),
            _ => Err(format!("BIRD has no session with {neighbor}:\n{table}").into()),
        }
    }

    fn wait(&self, neighbor: &str, state: &str, timeout: &str) -> Outcome {
        let what = format!("BIRD's session with {neighbor} is {state}, timeout {timeout}");
        wait_until(what, LIMIT, || {
            let (is, _, lasts) = self.session(neighbor)?;
            Ok(is == state && (lasts == timeout || timeout.is_empty()))
        })?;
        Ok(())
    }
}

pub(super) fn with_bird(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let back = lan.net.segment("back")?;
    let mut a = lan.router("a", 1, lab.subject())?;
    a.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n\
               route add 198.51.100.0/24 via 192.0.2.254\n\
               route add 2001:db8:1::/64 via 2001:db8::fe\n")?;
    let near = lan.net.host("near")?;
    let on_lan = ["192.0.2.9/24", "2001:db8::9/64"];
    lan.net.plug(&near, "eth0", &lan.segment, &on_lan)?;
    let between = lan.net.router("between")?;
    let on_lan = ["192.0.2.254/24", "2001:db8::fe/64"];
    lan.net.plug(&between, "eth0", &lan.segment, &on_lan)?;
    let on_back = ["198.51.100.254/24", "2001:db8:1::fe/64"];
    lan.net.plug(&between, "eth1", &back, &on_back)?;
    let far = lan.net.host("far")?;
    let on_back = ["198.51.100.9/24", "2001:db8:1::9/64"];
    lan.net.plug(&far, "eth0", &back, &on_back)?;
    far.ip("route add default via 198.51.100.254\nroute add default via 2001:db8:1::fe\n")?;

    let near = Bird::start(
        &near,
        "192.0.2.9",
        "    neighbor 192.0.2.1 dev \"eth0\" local 192.0.2.9;\n    \
         neighbor 2001:db8::1 dev \"eth0\" local 2001:db8::9;\n",
    )?;
    let mut far = Bird::start(
        &far,
        "198.51.100.9",
        "    neighbor 192.0.2.1 local 198.51.100.9 multihop on;\n    \
         neighbor 2001:db8::1 local 2001:db8:1::9 multihop on;\n",
    )?;
    // BIRD's packets over routers leave with the TTL of its kernel.
    let over = |source: &str| format!("source_ip {source}\n    multihop\n    max_hops 255");
    let conf = |ms| {
        timed("near", "192.0.2.9", ms, "hoplimit 255")
            + &session("near6", "2001:db8::9", "hoplimit 255")
            + &session("far", "198.51.100.9", &over("192.0.2.1"))
            + &session("far6", "2001:db8:1::9", &over("2001:db8::1"))
    };
    let wire = Capture::at(&a.port)?;
    a.start(&conf(50))?;
    let sessions = [
        (&near, "192.0.2.1"),
        (&near, "2001:db8::1"),
        (&far, "192.0.2.1"),
        (&far, "2001:db8::1"),
    ];
    for (bird, neighbor) in sessions {
        bird.wait(neighbor, "Up", "0.150")?;
    }
    for name in ["near", "near6", "far", "far6"] {
        let daemon = a.daemon()?;
        daemon.wait_log(&line(name, "detection time is 150 ms"), 1, LIMIT)?;
    }
    holds_for("all sessions are up", Duration::from_secs(3), || {
        let mut up = true;
        for (bird, neighbor) in sessions {
            up &= bird.session(neighbor)?.0 == "Up";
        }
        Ok(up)
    })?;
    let multihop = wire.bfd(a.address);
    let multihop = multihop.iter().filter(|(_, p)| p.ports.1 == 4784);
    ensure!(multihop.count() > 50, "hardly a packet on port 4784");

    a.daemon()?.reload(&conf(200))?;
    settled_near(&wire, &a)?;
    near.wait("192.0.2.1", "Up", "0.600")?;
    ensure_eq!(a.daemon()?.logged(DOWN), 0, "sessions that were lost");
    let (state, interval, _) = near.session("192.0.2.1")?;
    ensure_eq!(
        (state.as_str(), interval.as_str()),
        ("Up", "0.200"),
        "BIRD's side"
    );

    far.process.kill()?;
    for name in ["far", "far6"] {
        let why = "Entering Down state: nothing was heard for";
        a.daemon()?.wait_log(&line(name, why), 1, LIMIT)?;
    }
    ensure_eq!(a.daemon()?.logged(DOWN), 2, "sessions that were lost");

    a.stop()?;
    for neighbor in ["192.0.2.1", "2001:db8::1"] {
        near.wait(neighbor, "Down", "")?;
    }
    Ok(())
}

/// The session with `near` goes on by the new times; that with `far` has the same source.
fn settled_near(wire: &Capture, a: &crate::cases::scene::Router) -> Outcome {
    wait_until("the new times are settled", LIMIT, || {
        let packets = wire.bfd(a.address);
        let packets: Vec<_> = packets.iter().filter(|(_, p)| p.ports.1 == 3784).collect();
        let asked = packets.iter().any(|(_, p)| p.poll && p.min_tx == 200_000);
        let last = packets.last().map(|(_, p)| (p.state, p.poll, p.min_tx));
        Ok(asked && last == Some((STATE_UP, false, 200_000)))
    })?;
    Ok(())
}
