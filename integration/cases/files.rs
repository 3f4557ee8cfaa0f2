//! Files as people write them, through keepalived and through vipd: the same steps, the same state.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Address, Host, Net};
use crate::lab::traffic::Server;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "files.two_vips",
        proves: "a pair with two addresses and a tracked script moves both as keepalived's pair does",
        limit: LIMIT,
        run: two_vips,
    },
    Case {
        name: "files.unicast_dr",
        proves: "a unicast pair with direct routing and checks has keepalived's addresses and table",
        limit: LIMIT,
        run: unicast_dr,
    },
    Case {
        name: "files.brace_below",
        proves: "an untidy file (braces below, mail, long interval, long password) means the same",
        limit: LIMIT,
        run: brace_below,
    },
];

const LIMIT: Duration = Duration::from_secs(150);
const SETTLED: Duration = Duration::from_secs(30);

/// Routers on one segment, each with its file and its own health.
struct Site {
    routers: Vec<Host>,
    health: Vec<PathBuf>,
    daemons: Vec<Daemon>,
}

/// What each router shows: its addresses and its IPVS table with the state of the sync daemon.
type Shown = Vec<(Vec<Address>, Vec<String>, String)>;

impl Site {
    /// One router for each (own address, file), named after the daemon; all healthy.
    fn new(
        lab: &Lab,
        net: &Net<'_>,
        kind: Kind,
        role: &str,
        files: &[(&str, &str)],
    ) -> Outcome<Self> {
        let segment = net.segment(&format!("{role}-l"))?;
        let mut site = Self {
            routers: vec![],
            health: vec![],
            daemons: vec![],
        };
        for (n, (address, conf)) in files.iter().enumerate() {
            let host = net.router(&format!("{role}-{n}"))?;
            net.plug(&host, "eth0", &segment, &[address])?;
            let healthy = lab.dir().join(format!("{role}-{n}.healthy"));
            fs::write(&healthy, "")?;
            let conf = conf.replace("@HEALTHY@", &healthy.display().to_string());
            site.daemons.push(Daemon::start(kind, &host, &conf)?);
            site.routers.push(host);
            site.health.push(healthy);
        }
        Ok(site)
    }

    /// Waits until each address is on the router of the given number, and on no other.
    fn reaches(&self, expected: &[([u8; 4], usize)]) -> Outcome {
        wait_until(format!("the owners are {expected:?}"), SETTLED, || {
            for (address, owner) in expected {
                for (n, router) in self.routers.iter().enumerate() {
                    if router.owns(*address)? != (n == *owner) {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })
        .map(drop)
    }

    fn shows(&self) -> Outcome<Shown> {
        let look = |host: &Host| {
            let sync = host.run(&["ipvsadm", "--list", "--daemon"])?;
            Ok((host.addresses()?, host.ipvs()?, sync))
        };
        self.routers.iter().map(look).collect()
    }

    fn stop(&mut self) -> Outcome {
        for daemon in &mut self.daemons {
            let status = daemon.stop()?;
            ensure!(
                status.success(),
                "{:?} stopped with {status}",
                daemon.kind()
            );
        }
        Ok(())
    }
}

/// Runs `steps` with both daemons; what they show after each step must be equal.
fn compare(
    lab: &Lab,
    files: &[(&str, &str)],
    steps: impl Fn(&Net<'_>, &str, &Site) -> Outcome<Vec<Shown>>,
) -> Outcome {
    let net = Net::new(lab)?;
    let mut seen = Vec::new();
    for (kind, role) in [(Kind::Keepalived, "ref"), (lab.subject(), "sub")] {
        let mut site = Site::new(lab, &net, kind, role, files)?;
        let mut shown = steps(&net, role, &site)?;
        site.stop()?;
        shown.push(site.shows()?);
        seen.push(shown);
    }
    let (Some(subject), Some(reference)) = (seen.pop(), seen.pop()) else {
        return Err("nothing was seen".into());
    };
    for (step, (one, other)) in reference.iter().zip(&subject).enumerate() {
        ensure_eq!(
            other,
            one,
            "{} and keepalived after step {step}",
            lab.subject().name()
        );
    }
    ensure_eq!(subject.len(), reference.len(), "steps");
    Ok(())
}

fn two_vips(lab: &Lab) -> Outcome {
    let files = [
        (
            "10.211.55.100/24",
            include_str!("../fixtures/two_vips_a.conf"),
        ),
        (
            "10.211.55.101/24",
            include_str!("../fixtures/two_vips_b.conf"),
        ),
    ];
    let owners = |first, second| {
        [
            ([10, 211, 55, 88], first),
            ([10, 211, 55, 89], second),
            ([10, 211, 55, 90], second),
        ]
    };
    compare(lab, &files, |_, _, site| {
        let mut shown = Vec::new();
        let [a, b] = site.health.as_slice() else {
            return Err("two routers".into());
        };
        site.reaches(&owners(0, 1))?;
        shown.push(site.shows()?);
        fs::remove_file(a)?;
        site.reaches(&owners(1, 1))?;
        shown.push(site.shows()?);
        fs::write(a, "")?;
        site.reaches(&owners(0, 1))?;
        fs::remove_file(b)?;
        site.reaches(&owners(0, 0))?;
        shown.push(site.shows()?);
        Ok(shown)
    })
}

fn unicast_dr(lab: &Lab) -> Outcome {
    let files = [
        (
            "172.20.128.2/24",
            include_str!("../fixtures/unicast_dr_a.conf"),
        ),
        (
            "172.20.128.3/24",
            include_str!("../fixtures/unicast_dr_b.conf"),
        ),
    ];
    const VIP: [u8; 4] = [172, 20, 128, 4];
    compare(lab, &files, |_, _, site| {
        let mut shown = Vec::new();
        let [a, b] = site.routers.as_slice() else {
            return Err("two routers".into());
        };
        // Any address of the network will do for a server that answers on one of two ports.
        b.ip("addr add 172.20.128.10/24 dev eth0\naddr add 172.20.128.11/24 dev eth0\n")?;
        let _one = Server::tcp(b, "172.20.128.10:80", "one")?;
        let _other = Server::tcp(b, "172.20.128.11:8080", "other")?;
        let full = || Ok(a.ipvs()?.len() == 3 && b.ipvs()?.len() == 3);
        wait_until("both servers are in both tables", SETTLED, full)?;
        site.reaches(&[(VIP, 0)])?;
        shown.push(site.shows()?);
        let [healthy, _] = site.health.as_slice() else {
            return Err("two routers".into());
        };
        fs::remove_file(healthy)?;
        site.reaches(&[(VIP, 1)])?;
        shown.push(site.shows()?);
        fs::write(healthy, "")?;
        site.reaches(&[(VIP, 0)])?;
        drop(_one);
        let one_left = || Ok(a.ipvs()?.len() == 2 && b.ipvs()?.len() == 2);
        wait_until("one server is left in both tables", SETTLED, one_left)?;
        shown.push(site.shows()?);
        Ok(shown)
    })
}

fn brace_below(lab: &Lab) -> Outcome {
    let files = [(
        "192.168.1.5/24",
        include_str!("../fixtures/brace_below.conf"),
    )];
    compare(lab, &files, |_, _, site| {
        site.reaches(&[([192, 168, 1, 200], 0)])?;
        // The sync daemon of IPVS is started beside the VIP.
        std::thread::sleep(Duration::from_secs(1));
        let shown = site.shows()?;
        for (_, _, sync) in &shown {
            lab.note(format!("sync daemon: {}", sync.trim()));
        }
        Ok(vec![shown])
    })
}
