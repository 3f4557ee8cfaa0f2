//! Two routers with one virtual address, and a client that asks for it: the stage of [`super::gap`] and
//! [`super::failovers`].

use std::fs;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::sleeper;
use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port};
use crate::lab::sys;
use crate::lab::wire::Capture;

/// What both routers are there for.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// Elections, start of a daemon included.
const ELECTION: Duration = Duration::from_secs(20);

/// How often a master speaks.
#[derive(Clone, Copy)]
pub(super) struct Speed {
    pub(super) name: &'static str,
    version: u8,
    pub(super) interval: Duration,
    /// Between two questions of the client.
    pub(super) pulse: Duration,
}

pub(super) const SPEEDS: [Speed; 3] = [
    Speed {
        name: "v2 1 s",
        version: 2,
        interval: Duration::from_secs(1),
        pulse: Duration::from_millis(1),
    },
    Speed {
        name: "v3 0.1 s",
        version: 3,
        interval: Duration::from_millis(100),
        pulse: Duration::from_millis(1),
    },
    Speed {
        name: "v3 0.01 s",
        version: 3,
        interval: Duration::from_millis(10),
        pulse: Duration::from_micros(200),
    },
];

/// What [`super::failovers`] runs at.
pub(super) const TWENTIETH: Speed = Speed {
    name: "v3 0.05 s",
    version: 3,
    interval: Duration::from_millis(50),
    pulse: Duration::from_millis(5),
};

/// One router: eth0 on the segment, eth1 to nowhere, which it tracks.
pub(super) struct Node {
    kind: Kind,
    speed: Speed,
    priority: u8,
    pub(super) host: Host,
    pub(super) port: Port,
    pub(super) other_port: Port,
    pub(super) address: Ipv4Addr,
    pub(super) mac: [u8; 6],
    daemon: Option<Daemon>,
}

impl Node {
    /// While this file is there, the script of no weight succeeds.
    pub(super) fn fault_file(&self) -> PathBuf {
        self.host.dir().join(format!("{}.well", self.host.name()))
    }

    /// While this file is there, the script that is worth 100 points succeeds.
    pub(super) fn weight_file(&self) -> PathBuf {
        self.host.dir().join(format!("{}.strong", self.host.name()))
    }

    fn conf(&self) -> String {
        let Speed {
            version, interval, ..
        } = self.speed;
        let script = |name: &str, file: PathBuf, weight: &str| {
            let file = file.display();
            format!(
                "vrrp_script {name} {{\n    script \"/usr/bin/test -e {file}\"\n    interval 1\n{weight}}}\n"
            )
        };
        format!(
            "global_defs {{\n    script_user root\n}}\n{}{}vrrp_instance V {{\n    interface eth0\n    \
             virtual_router_id 51\n    version {version}\n    priority {}\n    advert_int {}\n    \
             track_interface {{\n        eth1\n    }}\n    \
             track_script {{\n        well\n        strong\n    }}\n    \
             virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n",
            script("well", self.fault_file(), ""),
            script("strong", self.weight_file(), "    weight -100\n"),
            self.priority,
            interval.as_secs_f64(),
        )
    }

    pub(super) fn start(&mut self) -> Outcome {
        for file in [self.fault_file(), self.weight_file()] {
            fs::write(file, "")?;
        }
        if let Some(daemon) = &mut self.daemon {
            return daemon.boot_again();
        }
        self.daemon = Some(Daemon::start(self.kind, &self.host, &self.conf())?);
        Ok(())
    }

    /// After it was killed: as a machine that boots, without the address that was left behind.
    pub(super) fn start_clean(&mut self) -> Outcome {
        let address = self.address;
        self.host.ip(&format!(
            "addr flush dev eth0\naddr add {address}/24 dev eth0\n"
        ))?;
        self.start()
    }

    pub(super) fn daemon(&mut self) -> Outcome<&mut Daemon> {
        Ok(self.daemon.as_mut().ok_or("no daemon was started")?)
    }

    pub(super) fn has_vip(&self) -> Outcome<bool> {
        self.host.owns(VIP)
    }
}

/// Both routers and the client's machine.
pub(super) struct Pair<'a> {
    net: Net<'a>,
    pub(super) client: Host,
    pub(super) better: Node,
    pub(super) other: Node,
}

impl<'a> Pair<'a> {
    /// Nothing runs yet. `name` tells its machines from those of other pairs.
    pub(super) fn new(lab: &'a Lab, name: &str, kind: Kind, speed: Speed) -> Outcome<Self> {
        let net = Net::with_switch(lab, &format!("{name}-switch"))?;
        let (segment, nowhere) = (net.segment("lan")?, net.segment("nowhere")?);
        let client = net.host(&format!("{name}-client"))?;
        net.plug(&client, "eth0", &segment, &["192.0.2.10/24"])?;
        let node = |which: &str, number: u8, priority: u8| -> Outcome<Node> {
            let address = Ipv4Addr::new(192, 0, 2, number);
            let host = net.host(&format!("{name}-{which}"))?;
            let port = net.plug(&host, "eth0", &segment, &[&format!("{address}/24")])?;
            let other_port = net.plug(&host, "eth1", &nowhere, &[])?;
            let mac = mac_of(&host, "eth0")?;
            Ok(Node {
                kind,
                speed,
                priority,
                host,
                port,
                other_port,
                address,
                mac,
                daemon: None,
            })
        };
        let (better, other) = (node("better", 1, 150)?, node("other", 2, 100)?);
        Ok(Self {
            net,
            client,
            better,
            other,
        })
    }

    /// Everything of the client's segment: adverts, and answers to the client.
    pub(super) fn capture(&self) -> Outcome<Capture> {
        Capture::on(&self.client, "eth0")
    }

    /// Starts both; the better one is master then.
    pub(super) fn start(&mut self) -> Outcome {
        self.better.start()?;
        wait_owner(&self.better, None)?;
        self.other.start()
    }

    pub(super) fn demolish(self) -> Outcome {
        let Self {
            net,
            better,
            other,
            client,
        } = self;
        drop((better, other, client));
        net.demolish()
    }
}

/// Until `owner`, and not `not`, has the virtual address.
pub(super) fn wait_owner(owner: &Node, not: Option<&Node>) -> Outcome {
    let what = format!("{} alone has the VIP", owner.host.name());
    wait_until(what, ELECTION, || {
        let twice = not.map_or(Ok(false), Node::has_vip)?;
        Ok(!twice && owner.has_vip()?)
    })
    .map(drop)
}

fn mac_of(host: &Host, dev: &str) -> Outcome<[u8; 6]> {
    let shown: Vec<serde_json::Value> =
        serde_json::from_str(&host.run(&["ip", "-j", "link", "show", dev])?)?;
    let text = shown
        .first()
        .and_then(|link| link.get("address")?.as_str())
        .ok_or("a link without an address")?;
    let mut mac = [0; 6];
    for (byte, digits) in mac.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(digits, 16).doing(text)?;
    }
    Ok(mac)
}

/// A client that sends an echo request to [`VIP`] again and again, in time whatever else runs: the kernel
/// of whoever has the address answers. What came back is in a capture.
pub(super) struct Questions {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Questions {
    pub(super) fn ask(client: &Host, every: Duration) -> Outcome<Self> {
        let socket = client
            .within(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)))?
            .doing("open a raw socket")?;
        // Answers are not read here; they need no room.
        socket.set_recv_buffer_size(0)?;
        let stop = Arc::new(AtomicBool::new(false));
        let enough = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // Without it the questions are less regular.
            let _ = sys::run_first(sleeper::FIRST - 1);
            let to = SocketAddr::from((VIP, 0)).into();
            let mut next = Instant::now();
            let mut scrap = [MaybeUninit::uninit(); 64];
            while !enough.load(Ordering::Relaxed) {
                // No route or no neighbour is part of the gap that is measured.
                let _ = socket.send_to(&ECHO_REQUEST, &to);
                while socket
                    .recv_with_flags(&mut scrap, libc::MSG_DONTWAIT)
                    .is_ok()
                {}
                next = (next + every).max(Instant::now());
                sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

/// Type 8, code 0, checksum, identifier 1, number 1; RFC 792.
const ECHO_REQUEST: [u8; 8] = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];

impl Drop for Questions {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked asks nothing, which shows as a gap.
            let _ = thread.join();
        }
    }
}
