//! `vipd doctor`: faults that were planted, and a pair without any.

use std::fs;
use std::time::Duration;

use super::scene::{Instance, Lan, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;
use crate::lab::net::Host;
use crate::lab::process::Finished;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "doctor.finds",
    proves: "vipd doctor finds each of twenty-two planted faults and says what to do: of the file, of this machine, \
             its firewall and kernel, and of the routers it hears; of a healthy pair it finds none",
    limit: Duration::from_secs(90),
    run: finds,
}];

const LIMIT: Duration = Duration::from_secs(20);

/// An instance of a configuration for [`Kind::Keepalived`] or vipd.
fn instance(name: &str, vrid: u8, priority: u8, lines: &str, vip: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n {lines}\n \
         virtual_ipaddress {{\n  {vip}\n }}\n}}\n"
    )
}

/// What the sick node is to run: an instance for each fault of the network.
fn file() -> String {
    let pass = "authentication {\n auth_type PASS\n auth_pass ours\n }";
    let mut text = instance("VERSION", 51, 100, "", "192.0.2.101");
    text += &instance("NUMBER", 52, 100, "", "192.0.2.102");
    text += &instance("PASSWORD", 53, 100, pass, "192.0.2.103");
    text += &instance("INTERVAL", 54, 100, "", "192.0.2.104");
    text += &instance("PRIORITY", 55, 100, "", "192.0.2.105");
    text += &instance("TAKEN", 56, 100, "", "192.0.2.106");
    text += &instance("PATH", 57, 100, "", "192.0.2.107");
    text += &instance(
        "UNICAST",
        58,
        100,
        "unicast_peer {\n 192.0.2.9\n }",
        "192.0.2.108",
    );
    text += &instance("DOWN", 59, 100, "", "203.0.113.1").replace("eth0", "eth1");
    text += "virtual_server 192.0.2.101 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server \
             198.51.100.7 80 {\n }\n}\n";
    text
}

/// What its peer runs.
fn peer() -> String {
    let pass = "authentication {\n auth_type PASS\n auth_pass theirs\n }";
    let mut text = instance("A", 51, 90, "version 3", "192.0.2.101");
    text += &instance("B", 52, 90, "", "192.0.2.222");
    text += &instance("C", 53, 90, pass, "192.0.2.103");
    text += &instance("D", 54, 90, "advert_int 2", "192.0.2.104");
    text += &instance("E", 55, 100, "", "192.0.2.105");
    text += &instance("F", 57, 90, "mcast_src_ip 198.51.100.99", "192.0.2.107");
    text += &instance("G", 58, 90, "", "192.0.2.108");
    text
}

fn finds(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut healthy = [
        lan.router("high", 11, lab.subject())?,
        lan.router("low", 12, lab.subject())?,
    ];
    let [high, low] = &mut healthy;
    let other = |priority| Instance::plain(priority).replace("router_id 51", "router_id 61");
    high.start(&other(150))?;
    low.start(&other(130))?;
    let sick = lan.router("sick", 1, lab.subject())?.host;
    let mut first = lan.router("first", 2, Kind::Keepalived)?;
    first.start(&peer())?;
    let squatter = lan.net.host("squatter")?;
    lan.net.plug(
        &squatter,
        "eth0",
        &lan.segment,
        &["192.0.2.50/24", "192.0.2.106/24"],
    )?;
    let behind = lan.net.segment("behind")?;
    lan.net.plug(&sick, "eth1", &behind, &["203.0.113.9/24"])?;
    sick.ip("link set eth1 down multicast off\naddr add 192.0.2.102/32 dev eth0\n")?;
    for (key, value) in [
        ("ip_forward", "0"),
        ("conf.eth0.arp_ignore", "8"),
        ("conf.all.rp_filter", "0"),
        ("conf.eth0.rp_filter", "1"),
    ] {
        sick.sysctl(&format!("net.ipv4.{key}"), value)?;
    }
    sick.sh(
        "nft -f - <<'END'\ntable inet fw {\n chain incoming {\n type filter hook input priority 0; policy accept;\n \
         iifname eth0 meta l4proto vrrp drop\n tcp dport { 80, 443 } drop\n }\n chain through {\n type filter hook \
         forward priority 0; policy drop;\n }\n}\nEND",
    )?;
    fs::write("/run/keepalived.pid", "999999\n")?;
    let links = std::path::Path::new("/run/systemd/netif/links");
    fs::create_dir_all(links)?;
    let index = sick.sh("cat /sys/class/net/eth0/ifindex || ip -o link show eth0")?;
    let index = index
        .split(':')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    fs::write(
        links.join(&index),
        "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-eth0.network\n",
    )?;
    let fake = lab.dir().join("keepalived");
    fs::copy("/bin/sleep", &fake)?;
    let _beside = sick.spawn("beside", &[&fake.display().to_string(), "60"])?;
    let wire = Capture::at(&lan.client_port)?;
    wait_until("its peer is master", LIMIT, || {
        let adverts = wire.adverts();
        let heard = |vrid: u8| {
            adverts
                .iter()
                .filter(|(_, advert)| advert.vrid == vrid)
                .count()
        };
        Ok(heard(51) > 0 && heard(54) > 1 && heard(58) > 0)
    })?;

    let conf = lab.dir().join("sick.conf");
    fs::write(&conf, file())?;
    let found = doctor(&sick, &conf.display().to_string())?;
    ensure_eq!(found.code, Some(2), "exit status");
    let text = &found.stdout;
    for (code, on, what, remedy) in PLANTED {
        let line = format!("[{code}] {on}");
        let place = text.find(&line);
        let told = place.and_then(|at| text.get(at..)).unwrap_or_default();
        let told: Vec<&str> = told.lines().take(3).collect();
        let [first, _, last] = told.as_slice() else {
            return Err(format!("{line} was not found in\n{text}").into());
        };
        ensure!(first.contains(what), "{first}: it does not say {what}");
        ensure!(last.contains(remedy), "{last}: it does not say {remedy}");
    }
    // What needs a run of its own: an error in the file, and a process that may nothing.
    fs::write(
        &conf,
        instance("V", 51, 100, "advert_int often", "192.0.2.1"),
    )?;
    let found = doctor(&sick, &conf.display().to_string())?;
    ensure!(
        found.stdout.contains("error[configuration]"),
        "{}",
        found.describe()
    );
    let words = [
        "setpriv",
        "--inh-caps=-net_admin",
        "--bounding-set=-net_admin",
        "--",
    ];
    let vipd = vipd_path();
    let words: Vec<&str> = words
        .into_iter()
        .chain([vipd.as_str(), "doctor", "--listen", "0s"])
        .collect();
    let found = sick.try_run(&words)?;
    ensure!(
        found.stdout.contains("error[capability]"),
        "{}",
        found.describe()
    );

    for path in ["/run/keepalived.pid", "/run/systemd/netif/links"] {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
    }
    // It would be a neighbour of theirs.
    first.stop()?;
    let [high, low] = &mut healthy;
    wait_owner(high, &[&*low])?;
    for router in [high, low] {
        let dir = router
            .daemon()?
            .file()
            .with_file_name("run")
            .display()
            .to_string();
        let argv = [vipd.as_str(), "doctor", "--run-dir", &dir];
        let found = router.host.try_run(&argv)?;
        ensure!(
            found.code == Some(0),
            "{} is healthy: {}",
            router.name,
            found.describe()
        );
        ensure!(
            found.stdout.contains(
                " on eth0: VRRP version 2, virtual_router_id 61, priority 150, every 1 s"
            ),
            "{}",
            found.describe()
        );
    }
    Ok(())
}

/// Runs it where no module of IPVS is to be had.
fn doctor(host: &Host, conf: &str) -> Outcome<Finished> {
    let line = format!(
        "mount -t tmpfs none /sys/module && mount -t tmpfs none /lib/modules && exec {} doctor -f {conf} \
         --run-dir /run/lab/none",
        vipd_path()
    );
    host.try_run(&["unshare", "--mount", "sh", "-c", &line])
}

/// Code, object, words of what is wrong, words of what to do.
const PLANTED: [(&str, &str, &str, &str); 20] = [
    (
        "module",
        "kernel module ip_vs",
        "neither loaded nor installed",
        "modprobe ip_vs",
    ),
    (
        "pid-file",
        "/run/keepalived.pid",
        "process 999999, which does not run",
        "rm /run/keepalived.pid",
    ),
    (
        "keepalived",
        "process",
        "keepalived runs here too",
        "systemctl disable --now keepalived",
    ),
    (
        "link",
        "vrrp_instance DOWN",
        "interface eth1 is not up",
        "ip link set eth1 up",
    ),
    (
        "multicast",
        "vrrp_instance DOWN",
        "multicast switched off",
        "multicast on",
    ),
    (
        "arp-ignore",
        "vrrp_instance VERSION",
        "arp_ignore is 8",
        "arp_ignore=0",
    ),
    (
        "manager",
        "vrrp_instance VERSION",
        "systemd-networkd manages eth0",
        "KeepConfiguration=static",
    ),
    (
        "address",
        "192.0.2.102 of vrrp_instance NUMBER",
        "set on eth0 already",
        "ip addr del 192.0.2.102",
    ),
    (
        "sysctl",
        "192.0.2.101:80/tcp",
        "net.ipv4.ip_forward is 0 instead of 1",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    (
        "vrrp-filter",
        "vrrp_instance VERSION",
        "l4proto vrrp drop",
        "accept",
    ),
    (
        "service-filter",
        "virtual_server 192.0.2.101:80",
        "tcp dport",
        "th dport 80 accept",
    ),
    (
        "forward-filter",
        "virtual_server 192.0.2.101:80",
        "policy drop of nft inet fw through",
        "-s 198.51.100.7",
    ),
    (
        "version",
        "vrrp_instance VERSION",
        "192.0.2.2 speaks VRRP version 3, this node version 2",
        "vrrp_version",
    ),
    (
        "vrid-in-use",
        "vrrp_instance NUMBER",
        "for other addresses: 192.0.2.222",
        "another virtual_router_id",
    ),
    (
        "authentication",
        "vrrp_instance PASSWORD",
        "192.0.2.2 has another",
        "the same authentication",
    ),
    (
        "advert-int",
        "vrrp_instance INTERVAL",
        "every 2 s, this node every 1 s",
        "the same advert_int",
    ),
    (
        "priority",
        "vrrp_instance PRIORITY",
        "192.0.2.2 has the same priority, 100",
        "its own priority",
    ),
    (
        "rp-filter",
        "vrrp_instance PATH",
        "198.51.100.99 is in no network of eth0",
        "rp_filter=2",
    ),
    (
        "transport",
        "vrrp_instance UNICAST",
        "192.0.2.2 sends its adverts to the group",
        "unicast_peer",
    ),
    (
        "address-in-use",
        "192.0.2.106 of vrrp_instance TAKEN",
        "no router advertises it",
        "take the address from it",
    ),
];
