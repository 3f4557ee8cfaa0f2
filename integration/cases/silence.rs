//! A reload with the same file, for a configuration with something of everything: not one packet, and
//! nothing asked of the kernel but questions. What is asked is seen by strace on this machine's kernel, which
//! has nf_tables, and by an nlmon interface in the guest, which has IPVS.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{ELECTION, Lan, Router, VIP, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Port;
use crate::lab::netlink::Requests;
use crate::lab::process::Process;
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

pub(crate) const NATIVE: &[Case] = &[Case {
    name: "silence.reload",
    proves: "with groups, trackers, statics, routes, rules, VMAC, a lease, firewall and BFD a reload of the same file, \
             or of a wrong one, sends no packet and no netlink message that changes anything",
    limit: Duration::from_secs(120),
    run,
}];

pub(crate) const GUEST: &[Case] = &[Case {
    name: "silence.reload_with_ipvs",
    proves: "and with pools that have a quorum, a sorry server and firewall marks beside all that",
    limit: Duration::from_secs(180),
    run,
}];

const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// Adverts are this far apart, so that there is room for a reload between two of them.
const INTERVAL: Duration = Duration::from_secs(5);
const RELOADS: usize = 3;
/// Long enough for a slow guest to read the file and to do whatever it should not.
const LISTEN: Duration = Duration::from_millis(2_500);

/// What the daemon asks the kernel to change.
enum Asked {
    Traced { strace: Process, file: PathBuf },
    Watched(Requests),
}

impl Asked {
    fn of(lab: &Lab, router: &mut Router) -> Outcome<Self> {
        if !lab.is_native() {
            return Ok(Self::Watched(Requests::watch(&router.host)?));
        }
        let file = lab.dir().join("log").join("strace");
        let pid = router.daemon()?.pid().to_string();
        let strace = router.host.spawn(
            "strace",
            &[
                "strace",
                "-f",
                "-s",
                "4096",
                "-e",
                "trace=sendto,sendmsg,sendmmsg,ioctl",
                "-o",
                &file.display().to_string(),
                "-p",
                &pid,
            ],
        )?;
        wait_until("strace has attached", ELECTION, || {
            Ok(strace.log().contains("attached"))
        })?;
        Ok(Self::Traced { strace, file })
    }

    /// So far; each in words.
    fn so_far(&mut self) -> Outcome<Vec<String>> {
        match self {
            Self::Watched(requests) => Ok(requests
                .sequence()?
                .into_iter()
                .map(str::to_owned)
                .collect()),
            Self::Traced { strace, file } => {
                ensure!(strace.ended()?.is_none(), "strace has ended");
                let text = fs::read_to_string(file)?;
                Ok(text
                    .lines()
                    .filter(|line| changes(line))
                    .map(str::to_owned)
                    .collect())
            }
        }
    }
}

/// Whether a call that strace shows asks for a change, or sends a packet.
fn changes(line: &str) -> bool {
    let netlink = line.contains("nlmsg_type=") && !line.contains("nlmsg_type=RTM_GET");
    let ioctl = line.contains("SIOCS") || line.contains("SIOCDEL");
    let packet = ["AF_INET", "AF_PACKET"]
        .iter()
        .any(|family| line.contains(&format!("sa_family={family}")));
    netlink || ioctl || packet
}

fn conf(lab: &Lab, more: &str) -> Outcome<String> {
    let file = lab.dir().join("tracked");
    fs::write(&file, "0\n")?;
    let interval = INTERVAL.as_secs();
    let election =
        format!("    priority 100\n    advert_int {interval}\n    down_timer_adverts 1\n");
    let (globals, lines, pools) = if lab.is_native() {
        ("    nftables silence\n", "    no_accept\n", "")
    } else {
        ("", "", POOLS)
    };
    Ok(format!(
        "global_defs {{\n    script_user root\n{globals}}}\n{BEFORE}\
         track_file file {{\n    file {}\n    weight 1\n}}\n\
         vrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n{election}{lines}\
         {TRACKED}    virtual_ipaddress {{\n        {VIP}\n        {more}\n    }}\n{ROUTED}}}\n\
         vrrp_instance W {{\n    interface eth1\n    virtual_router_id 52\n{election}    use_vmac\n    \
         virtual_ipaddress {{\n        {OTHER_VIP}\n    }}\n}}\n{pools}",
        file.display()
    ))
}

const BEFORE: &str = "\
static_ipaddress {
    203.0.113.5/24 dev eth1
}
static_routes {
    10.90.0.0/24 via 203.0.113.9 dev eth1
}
static_rules {
    from 10.91.0.0/24 table 91 priority 700
}
vrrp_script fine {
    script /usr/bin/true
    interval 1
    weight 2
}
vrrp_track_process shell {
    process sleep
    weight 3
}
bfd_instance peer {
    neighbor_ip 192.0.2.2
    source_ip 192.0.2.1
    passive
    weight 5
}
vrrp_sync_group G {
    group {
        V
        W
    }
    track_interface {
        eth1
    }
    sync_group_tracking_weight
}
";

const TRACKED: &str = "    @vipd vip_lease 3600
    track_script {
        fine
    }
    track_file {
        file
    }
    track_process {
        shell
    }
    track_bfd {
        peer
    }
";

const ROUTED: &str = "    virtual_routes {
        10.92.0.0/24 via 192.0.2.9 dev eth0
        10.93.0.0/24 nexthop via 192.0.2.9 dev eth0 weight 2 nexthop via 192.0.2.8 dev eth0 weight 3
        blackhole 10.94.0.0/24
    }
    virtual_rules {
        from 10.92.0.0/24 to 10.93.0.0/24 table 92 priority 701
    }
";

const POOLS: &str = "
virtual_server 192.0.2.100 80 {
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    quorum 2
    hysteresis 1
    sorry_server 198.51.100.20 80
    real_server 198.51.100.11 80 {
        weight 2
    }
    real_server 198.51.100.12 80 {
        weight 3
        inhibit_on_failure
    }
}
virtual_server fwmark 7 {
    lb_algo lc
    lb_kind DR
    persistence_timeout 60
    protocol UDP
    real_server 198.51.100.13 0 {
        weight 1
    }
}
";

/// Everything that the daemon, or the kernel for it, sent from both of its interfaces: all but what an
/// interface with IPv6 says by itself.
fn sent(wires: &[Capture]) -> Vec<Packet> {
    let frames = wires.iter().flat_map(Capture::frames);
    frames
        .filter(|frame| frame.packet != Packet::Other || !frame.bytes.is_empty())
        .map(|frame| frame.packet)
        .collect()
}

fn captures(ports: &[&Port]) -> Outcome<Vec<Capture>> {
    ports.iter().map(|port| Capture::at(port)).collect()
}

/// Until both instances have just advertised.
fn after_adverts(ports: &[&Port]) -> Outcome {
    let wires = captures(ports)?;
    wait_until("adverts on both segments", ELECTION, || {
        Ok(wires.iter().all(|wire| !wire.adverts().is_empty()))
    })
    .map(drop)
}

fn run(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let far = lan.net.segment("far")?;
    let mut router = lan.router("router", 1, Kind::Vipd)?;
    let eth1 = lan
        .net
        .plug(&router.host, "eth1", &far, &["198.51.100.1/24"])?;
    let eth0 = router.port.clone();
    let ports = [&eth0, &eth1];
    let same = conf(lab, "")?;
    router.start(&same)?;
    wait_owner(&router, &[])?;
    wait_until("the other instance is master", ELECTION, || {
        router.host.owns(OTHER_VIP)
    })?;
    // Everything is announced a second time after 5 s.
    std::thread::sleep(Duration::from_secs(6));
    let mut asked = Asked::of(lab, &mut router)?;
    for turn in 1..=RELOADS {
        let done = Done::Reloaded(turn);
        let seen = reload(&mut router, &ports, &mut asked, &same, done)?;
        ensure_eq!(seen, Seen::default(), "reload {turn} of the same file");
    }
    let wrong = format!("{same}vrrp_instance X {{\n    interface eth0\n}}\n");
    let seen = reload(&mut router, &ports, &mut asked, &wrong, Done::Refused)?;
    ensure_eq!(seen, Seen::default(), "a file with an error");
    ensure!(router.has_vip()?, "the VIP is gone");
    let other = conf(lab, "192.0.2.101")?;
    let done = Done::Reloaded(RELOADS + 1);
    let seen = reload(&mut router, &ports, &mut asked, &other, done)?;
    ensure!(
        !seen.packets.is_empty() && !seen.asked.is_empty(),
        "one more address was not noticed: {seen:?}"
    );
    router.stop().map(drop)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    packets: Vec<Packet>,
    asked: Vec<String>,
}

/// What the log says then.
#[derive(Clone, Copy)]
enum Done {
    /// So many times.
    Reloaded(usize),
    Refused,
}

/// Between two adverts: a reload, and all that came of it.
fn reload(
    router: &mut Router,
    ports: &[&Port],
    asked: &mut Asked,
    conf: &str,
    done: Done,
) -> Outcome<Seen> {
    after_adverts(ports)?;
    let before = asked.so_far()?.len();
    let wires = captures(ports)?;
    router.daemon()?.reload(conf)?;
    match done {
        Done::Reloaded(times) => router.daemon()?.wait_log("reloaded ", times, ELECTION)?,
        Done::Refused => router.daemon()?.wait_log("reload refused", 1, ELECTION)?,
    }
    std::thread::sleep(LISTEN);
    Ok(Seen {
        packets: sent(&wires),
        asked: asked.so_far()?.split_off(before),
    })
}
