//! The same file under keepalived and under vipd: what scripts and FIFOs were told.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::LIMIT;
use super::ears::{Listener, Teller, script};
use crate::cases::daemon::only_vipd;
use crate::cases::scene::{Lan, VIP};
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Net;

/// What one daemon told.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    /// Script lines, step by step.
    scripts: Vec<Vec<String>>,
    /// Lines of the FIFO that the test read.
    fifo: Vec<String>,
    /// Lines of the FIFO that a script read.
    read: Vec<String>,
    /// Kind, mode and owner of the FIFO.
    kind: String,
}

/// keepalived leaves some of its FIFOs behind.
fn removed(kind: Kind, fifo: &Path) -> Outcome {
    let stays = kind == Kind::Vipd && fifo.exists();
    ensure!(!stays, "{} stays behind", fifo.display());
    Ok(())
}

fn compare(lab: &Lab, tell: impl Fn(Kind) -> Outcome<Story>) -> Outcome<Story> {
    let mut reference = tell(Kind::Keepalived)?;
    lab.note(format!("keepalived: {reference:?}"));
    let mut subject = tell(lab.subject())?;
    // The last scripts are killed by keepalived after a second, which is short on a busy machine.
    let (Some(last), Some(at_least)) = (subject.scripts.pop(), reference.scripts.pop()) else {
        return Err("no step".into());
    };
    let missing: Vec<&String> = at_least.iter().filter(|l| !last.contains(l)).collect();
    ensure!(missing.is_empty(), "not told at the end: {missing:?}");
    for (step, (one, other)) in subject.scripts.iter().zip(&reference.scripts).enumerate() {
        ensure_eq!(one, other, "scripts of step {step}");
    }
    ensure_eq!(subject.fifo, reference.fifo, "lines of the FIFO");
    ensure_eq!(subject, reference, "what was told");
    Ok(subject)
}

const HIGH: u8 = 100;

fn instance(name: &str, vrid: u8, vip: &str, tell: &str, lines: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n    interface eth0\n    virtual_router_id {vrid}\n    \
         priority {HIGH}\n    advert_int 1\n    notify_master \"{tell} {name}-master 'two words'\"\n    \
         notify_backup \"{tell} {name}-backup\" nobody\n    notify_fault \"{tell} {name}-fault\"\n    \
         notify_stop \"{tell} {name}-stop\"\n    notify_master_rx_lower_pri \"{tell} {name}-lower\"\n    \
         notify \"{tell} {name}-any\" nobody daemon\n    {lines}\n    \
         virtual_ipaddress {{\n        {vip}\n    }}\n}}\n"
    )
}

/// A master that loses and finds its link, hears a lower priority, changes its priority, loses an
/// instance to a reload, and ends.
pub(super) fn instances(lab: &Lab) -> Outcome {
    let story = compare(lab, |kind| one_instance_story(lab, kind))?;
    let fifo = story.fifo.join("\n");
    for word in ["BACKUP", "MASTER", "FAULT", "STOP", "MASTER_RX_LOWER_PRI"] {
        let line = format!("INSTANCE \"V\" {word} ");
        ensure!(fifo.contains(&line), "no {line:?} in\n{fifo}");
    }
    for word in ["MASTER_PRIORITY 80", "\"W\" DELETED"] {
        ensure!(fifo.contains(word), "no {word} in\n{fifo}");
    }
    ensure!(!story.read.is_empty(), "the script read nothing");
    Ok(())
}

fn one_instance_story(lab: &Lab, kind: Kind) -> Outcome<Story> {
    let dir = lab.dir().join(format!("story-{}", kind.name()));
    let teller = Teller::new(&dir)?;
    let (fifo, other) = (dir.join("fifo"), dir.join("other"));
    let read = dir.join("read");
    let reader = script(
        &dir.join("reader.sh"),
        &format!(
            "trap '' TERM\nexec < \"$2\"\nwhile read -r line; do echo \"$1 $line\" >> {}; done\n",
            read.display()
        ),
    )?;
    let globals = format!(
        "global_defs {{\n    vrrp_notify_fifo {} daemon\n    notify_fifo {}\n    \
         notify_fifo_script \"{reader} word\"\n    vrrp_notify_priority_changes on\n}}\n",
        fifo.display(),
        other.display()
    );
    let tell = teller.script.as_str();
    let tracks = "track_interface {\n        eth1 weight -20\n    }";
    let v = instance("V", 51, &VIP.to_string(), tell, tracks);
    let deleted = format!("notify_deleted \"{tell} W-deleted\"");
    let w = instance("W", 52, "192.0.2.101", tell, &deleted);

    let lan = Lan::new(lab)?;
    let mut low = lan.router("low", 1, Kind::Keepalived)?;
    low.port.black_hole()?;
    let mut router = lan.router("high", 2, kind)?;
    let aside = lan.net.segment("aside")?;
    let cable = lan
        .net
        .plug(&router.host, "eth1", &aside, &["198.51.100.1/24"])?;
    router.start(&format!("{globals}{v}{w}"))?;
    let mut listener = Listener::open(&fifo)?;
    let mut seen = 0;
    let mut scripts = Vec::new();
    let mut step = |teller: &Teller| -> Outcome {
        scripts.push(teller.settled(&mut seen)?);
        Ok(())
    };
    let master = |router: &crate::cases::scene::Router| {
        wait_until("the VIP is there", LIMIT, || router.has_vip())
    };
    master(&router)?;
    step(&teller)?;
    let kind_of = lan
        .client
        .run(&["stat", "-c", "%F %a %U %G", &fifo.display().to_string()])?;
    router.port.unplug()?;
    wait_until("the VIP is gone", LIMIT, || Ok(!router.has_vip()?))?;
    step(&teller)?;
    router.port.plug_in()?;
    master(&router)?;
    step(&teller)?;
    cable.unplug()?;
    step(&teller)?;
    cable.plug_in()?;
    step(&teller)?;

    low.start(&format!(
        "vrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n    priority 50\n    \
         virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n"
    ))?;
    // The other became master 3.8 s after our last advert that it heard: now ours is next, unheard, and
    // then its own, which is heard. Were it ours, the other would yield and be silent.
    for _ in 0..8 {
        wait_until("the other is master too", LIMIT, || low.has_vip())?;
        std::thread::sleep(Duration::from_millis(500));
        low.port.forward()?;
        wait_until("the other yields", LIMIT, || Ok(!low.has_vip()?))?;
        if listener.text()?.contains("MASTER_RX_LOWER_PRI") {
            break;
        }
        low.port.black_hole()?;
    }
    // How often the two hear each other is their affair.
    let mut lower = teller.settled(&mut seen)?;
    lower.dedup();
    if kind == Kind::Vipd {
        told_again(&mut lower)?;
    }
    scripts.push(lower);
    let mut step = |teller: &Teller| -> Outcome {
        scripts.push(teller.settled(&mut seen)?);
        Ok(())
    };
    router.daemon()?.reload(&format!("{globals}{v}"))?;
    step(&teller)?;
    listener.text()?;
    let status = router.stop()?;
    ensure!(status.success(), "it ended with {status}");
    step(&teller)?;
    removed(kind, &fifo)?;
    let mut lines: Vec<String> = listener.text()?.lines().map(str::to_owned).collect();
    lines.dedup();
    let mut read: Vec<String> = fs::read_to_string(&read)?
        .lines()
        .map(str::to_owned)
        .collect();
    read.dedup();
    if kind == Kind::Vipd {
        without_again(&mut lines)?;
        without_again(&mut read)?;
    }
    low.stop()?;
    let story = Story {
        scripts,
        fifo: in_step(lines),
        read: in_step(read),
        kind: kind_of,
    };
    lan.net.demolish()?;
    Ok(story)
}

/// What keepalived does not do: after a split that has healed the scripts of the master run again. Takes
/// their lines out.
fn told_again(lines: &mut Vec<String>) -> Outcome {
    for own in ["V-master", "V-any INSTANCE V MASTER"] {
        let told = lines.iter().position(|line| line.contains(own));
        let Some(told) = told else {
            return Err(format!("{own} is not told again: {lines:?}").into());
        };
        lines.remove(told);
    }
    Ok(())
}

/// The same of the lines of a FIFO.
fn without_again(lines: &mut Vec<String>) -> Outcome {
    let again = lines.windows(2).position(|two| match two {
        [one, next] => one.contains("\"V\" MASTER ") && next.contains("MASTER_RX_LOWER_PRI"),
        _ => false,
    });
    let Some(again) = again else {
        return Err(format!("MASTER is not told again: {lines:?}").into());
    };
    lines.remove(again);
    Ok(())
}

/// Two instances that are one: a fault of one is a fault of both.
pub(super) fn groups(lab: &Lab) -> Outcome {
    let story = compare(lab, |kind| group_story(lab, kind))?;
    let fifo = story.fifo.join("\n");
    for word in ["BACKUP", "MASTER", "FAULT", "STOP"] {
        let line = format!("GROUP \"G\" {word} 0");
        ensure!(fifo.contains(&line), "no {line:?} in\n{fifo}");
    }
    Ok(())
}

fn group_story(lab: &Lab, kind: Kind) -> Outcome<Story> {
    let dir = lab.dir().join(format!("group-{}", kind.name()));
    let teller = Teller::new(&dir)?;
    let fifo = dir.join("fifo");
    let tell = teller.script.as_str();
    let v = instance("V", 51, &VIP.to_string(), tell, "");
    let w = instance(
        "W",
        52,
        "192.0.2.101",
        tell,
        "track_interface {\n        eth1\n    }",
    );
    let conf = format!(
        "global_defs {{\n    notify_fifo {}\n}}\nvrrp_sync_group G {{\n    group {{\n        V\n        \
         W\n    }}\n    notify_master \"{tell} G-master\"\n    notify_backup \"{tell} G-backup\"\n    \
         notify_fault \"{tell} G-fault\" nobody\n    notify_stop \"{tell} G-stop\"\n    \
         notify \"{tell} G-any\"\n}}\n{v}{w}",
        fifo.display()
    );
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 2, kind)?;
    let aside = lan.net.segment("aside")?;
    let cable = lan
        .net
        .plug(&router.host, "eth1", &aside, &["198.51.100.1/24"])?;
    router.start(&conf)?;
    let mut listener = Listener::open(&fifo)?;
    let mut seen = 0;
    let mut scripts = Vec::new();
    wait_until("the VIP is there", LIMIT, || router.has_vip())?;
    scripts.push(teller.settled(&mut seen)?);
    cable.unplug()?;
    wait_until("the VIP is gone", LIMIT, || Ok(!router.has_vip()?))?;
    scripts.push(teller.settled(&mut seen)?);
    cable.plug_in()?;
    wait_until("the VIP is there", LIMIT, || router.has_vip())?;
    scripts.push(teller.settled(&mut seen)?);
    let status = router.stop()?;
    ensure!(status.success(), "it ended with {status}");
    scripts.push(teller.settled(&mut seen)?);
    removed(kind, &fifo)?;
    let lines: Vec<String> = listener.text()?.lines().map(str::to_owned).collect();
    lan.net.demolish()?;
    Ok(Story {
        scripts,
        fifo: in_step(lines),
        read: Vec::new(),
        kind: String::new(),
    })
}

/// Two instances that change at the same moment have no order between them.
fn in_step(lines: Vec<String>) -> Vec<String> {
    let of = |name: &str| {
        let quoted = format!("\"{name}\"");
        lines
            .iter()
            .filter(|line| line.contains(&quoted))
            .cloned()
            .collect::<Vec<_>>()
    };
    [of("V"), of("W"), of("G")].concat()
}

/// A server that fails and comes back, and with it the quorum.
pub(super) fn servers(lab: &Lab) -> Outcome {
    let story = compare(lab, |kind| server_story(lab, kind))?;
    let fifo = story.fifo.join("\n");
    for line in [
        "RS [192.0.2.1]:tcp:8001 [192.0.2.200]:tcp:8000 DOWN",
        "RS [192.0.2.1]:tcp:8001 [192.0.2.200]:tcp:8000 UP",
        "RS [192.0.2.1]:tcp:8002 [192.0.2.200]:tcp:9000 UP",
        "VS [192.0.2.200]:tcp:8000 UP",
        "VS [192.0.2.200]:tcp:8000 DOWN",
        "VS [web]:0 DOWN",
        "RS [192.0.2.1]:tcp:8001 [web]:0 UP",
    ] {
        ensure!(fifo.contains(line), "no {line:?} in\n{fifo}");
    }
    Ok(())
}

fn server_story(lab: &Lab, kind: Kind) -> Outcome<Story> {
    let dir = lab.dir().join(format!("servers-{}", kind.name()));
    let teller = Teller::new(&dir)?;
    let fifo = dir.join("fifo");
    let tell = teller.script.as_str();
    let server = |port: u16, name: u8, lines: &str| {
        format!(
            "    real_server 192.0.2.1 {port} {{\n        notify_up \"{tell} up {name}\"\n        \
             notify_down \"{tell} down {name}\" nobody\n{lines}    }}\n"
        )
    };
    let checked =
        "        TCP_CHECK {\n            connect_timeout 2\n            retry 0\n        }\n";
    let head =
        "    delay_loop 1\n    warmup 0\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n";
    let conf = format!(
        "global_defs {{\n    lvs_notify_fifo {}\n    rs_init_notifies\n}}\n\
         virtual_server 192.0.2.200 8000 {{\n{head}    omega\n    \
         quorum_up \"{tell} quorum up\"\n    quorum_down \"{tell} quorum down\" nobody\n{}{}}}\n\
         virtual_server 192.0.2.200 9000 {{\n{head}{}{}}}\n\
         virtual_server_group web {{\n    192.0.2.201-202 80\n    192.0.2.203 443\n}}\n\
         virtual_server group web {{\n{head}    \
         quorum_up \"{tell} web up\"\n    quorum_down \"{tell} web down\"\n{}}}\n",
        fifo.display(),
        server(8001, 1, checked),
        server(8003, 3, &format!("        alpha\n{checked}")),
        server(8002, 2, ""),
        server(8012, 12, ""),
        server(8001, 101, checked),
    );
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let listen = || {
        host.within(|| TcpListener::bind("192.0.2.1:8001"))?
            .doing("listen")
    };
    let listens = listen()?;
    let mut daemon = Daemon::start(kind, &host, &conf)?;
    let mut listener = Listener::open(&fifo)?;
    let mut seen = 0;
    let told = |times: usize| {
        let what = format!("scripts were told {times} times");
        wait_until(what, LIMIT, || Ok(teller.lines()?.len() >= times))
    };
    // Up from the start: four and two quorums, the group's told once; down at its first check: the fifth.
    told(7)?;
    let mut scripts = vec![teller.settled(&mut seen)?];
    drop(listens);
    told(11)?;
    scripts.push(teller.settled(&mut seen)?);
    let _listens = listen()?;
    told(15)?;
    scripts.push(teller.settled(&mut seen)?);
    daemon.reload(&conf.replace("real_server 192.0.2.1 8002", "real_server 192.0.2.1 8009"))?;
    told(17)?;
    scripts.push(teller.settled(&mut seen)?);
    listener.text()?;
    let status = daemon.stop()?;
    ensure!(status.success(), "it ended with {status}");
    scripts.push(teller.settled(&mut seen)?);
    // Newer versions of keepalived write a zero byte behind each of these lines.
    let text = listener.text()?.replace('\0', "");
    let mut fifo_lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // Of servers that change at the same moment the order is not defined.
    fifo_lines.sort();
    removed(kind, &fifo)?;
    net.demolish()?;
    Ok(Story {
        scripts,
        fifo: fifo_lines,
        read: Vec::new(),
        kind: String::new(),
    })
}

/// The two scripts log when they run, and whether the VIP is there.
pub(super) fn outer_scripts(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let seen = outer_story(lab, lab.subject())?;
    ensure_eq!(seen, ["begin made", "end of all 65534"], "what they saw");
    Ok(())
}

fn outer_story(lab: &Lab, kind: Kind) -> Outcome<Vec<String>> {
    let dir = lab.dir().join(format!("outer-{}", kind.name()));
    fs::create_dir_all(&dir)?;
    let seen = dir.join("seen");
    let path = seen.display();
    let look = format!("ip -o addr show to {VIP} | grep -q . && echo \"$1 vip\" >> {path}");
    // The interface of the instance is made by the first script.
    let startup = script(
        &dir.join("startup.sh"),
        &format!(
            "{look}\nip link add dummy7 type dummy\nip addr add 198.51.100.1/24 dev dummy7\n\
             ip link set dummy7 up\necho \"$1 made\" >> {path}\nexec sleep 60\n"
        ),
    )?;
    let shutdown = script(
        &dir.join("shutdown.sh"),
        &format!("{look}\necho \"$1 $2 $(id -u)\" >> {path}\nexit 3\n"),
    )?;
    let conf = format!(
        "global_defs {{\n    startup_script \"{startup} begin\"\n    startup_script_timeout 2\n    \
         shutdown_script \"{shutdown} end 'of all'\" nobody\n    shutdown_script_timeout 5\n}}\n\
         vrrp_instance V {{\n    state MASTER\n    interface dummy7\n    virtual_router_id 51\n    \
         priority 255\n    virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n"
    );
    fs::write(&seen, "")?;
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o666))?;
    let net = Net::new(lab)?;
    let host = net.host("router")?;
    let begun = Instant::now();
    let mut daemon = Daemon::start(kind, &host, &conf)?;
    wait_until("the VIP is there", LIMIT, || host.owns(VIP))?;
    let took = begun.elapsed();
    lab.note(format!("{}: VIP after {took:.2?}", kind.name()));
    ensure!(
        took > Duration::from_millis(1900),
        "the VIP is there after {took:?}, before the startup script was given up"
    );
    let status = daemon.stop()?;
    ensure!(status.success(), "it ended with {status}");
    net.demolish()?;
    Ok(fs::read_to_string(&seen)?
        .lines()
        .map(str::to_owned)
        .collect())
}
