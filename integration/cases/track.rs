//! What instances track: priorities in adverts, faults, and who has the address then; beside keepalived
//! where it can do the same.

pub(crate) mod events;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, Router, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "track.weights",
        proves: "scripts, interfaces and files move the priority by their weights, reversed or not, as \
                 in keepalived",
        limit: Duration::from_secs(180),
        run: weights,
    },
    Case {
        name: "track.without_weight",
        proves: "weight 0 is a fault, turned round by reverse, for scripts and files, as in keepalived",
        limit: Duration::from_secs(180),
        run: without_weight,
    },
    Case {
        name: "track.file",
        proves: "a file that is replaced, removed, a link, or written at the start counts at once",
        limit: Duration::from_secs(60),
        run: file,
    },
    Case {
        name: "track.process",
        proves: "a process that ends means FAULT at once; one that starts brings the VIP back; quorum, \
                 quorum_max, arguments and terminate_delay count",
        limit: Duration::from_secs(120),
        run: process,
    },
    Case {
        name: "track.interfaces_come_and_go",
        proves: "with dynamic_interfaces an instance waits for its interface, and follows its name when \
                 it is deleted, made again and renamed; without it a start is refused",
        limit: Duration::from_secs(120),
        run: interfaces_come_and_go,
    },
    Case {
        name: "track.link_delays",
        proves: "interface_up_down_delays bridge a short loss of carrier, as in keepalived",
        limit: Duration::from_secs(120),
        run: link_delays,
    },
    Case {
        name: "track.init_fail",
        proves: "the first end of a script decides, whatever rise says, with init_fail too, as in keepalived",
        limit: Duration::from_secs(120),
        run: init_fail,
    },
    Case {
        name: "track.linkbeat",
        proves: "interfaces of linkbeat_interfaces are asked for their link, as they can be, and say \
                 what keepalived says",
        limit: Duration::from_secs(120),
        run: linkbeat,
    },
];

/// An instance with these lines, and this before it.
fn conf(before: &str, lines: &str) -> String {
    let instance = Instance {
        priority: 100,
        lines,
        unicast: None,
    };
    format!("{before}{}", instance.text())
}

/// Waits until the newest advert of this segment has this priority.
fn wait_priority(wire: &Capture, what: &str, priority: u8) -> Outcome {
    wait_until(format!("{what}: priority {priority}"), ELECTION, || {
        let newest = wire.adverts().pop().map(|(_, advert)| advert.priority);
        Ok(newest == Some(priority))
    })
    .map(drop)
}

/// Two more interfaces, whose carrier their other ends give: `peer1` and `peer2`.
fn more_interfaces(router: &Router) -> Outcome {
    for n in [1, 2] {
        router.host.ip(&format!(
            "link add eth{n} type veth peer name peer{n}\nlink set eth{n} up\nlink set peer{n} up"
        ))?;
    }
    Ok(())
}

fn scratch(lab: &Lab, kind: Kind) -> Outcome<PathBuf> {
    let dir = lab.dir().join(format!("files.{}", kind.name()));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn replace(path: &Path, text: &str) -> Outcome {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(new, path)?)
}

fn weights(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        more_interfaces(&router)?;
        let dir = scratch(lab, kind)?;
        let (flag, f, g) = (dir.join("flag"), dir.join("f"), dir.join("g"));
        let before = format!(
            "vrrp_script s {{\n    script \"/usr/bin/test -e {}\"\n    interval 1\n}}\n\
             track_file f {{\n    file {}\n    weight 2\n}}\n\
             track_file g {{\n    file {}\n}}\n",
            flag.display(),
            f.display(),
            g.display()
        );
        let lines = "track_script {\n    s weight 10 reverse\n    }\n    \
                     track_interface {\n    eth1 weight -20 reverse\n    eth2 weight 5\n    }\n    \
                     track_file {\n    f\n    g weight 3 reverse\n    }";
        let wire = Capture::at(&router.port)?;
        router.start(&conf(&before, lines))?;
        let who = kind.name();
        let sees = |what: &str, priority| wait_priority(&wire, &format!("{who}, {what}"), priority);
        sees("eth2 is up", 105)?;
        fs::write(&flag, "")?;
        sees(
            "a reversed weight of 10 is taken away while the script passes",
            95,
        )?;
        fs::write(&f, "4\n")?;
        sees("4 in a file of weight 2", 103)?;
        replace(&g, "-1\n")?;
        sees("-1 in a file of weight 3 reverse", 106)?;
        router.host.ip("link set peer1 down")?;
        sees("a reversed weight of -20 is added while eth1 is down", 126)?;
        fs::remove_file(&f)?;
        sees("a file that is not there says 0", 118)?;
        router.host.ip("link set peer2 down")?;
        sees("eth2 is down", 113)?;
        fs::write(&g, "100\n")?;
        sees("-300 is a fault", 0)?;
        wait_until(
            format!("{who} lets go"),
            ELECTION,
            || Ok(!router.has_vip()?),
        )?;
        fs::remove_file(&g)?;
        sees("the fault is over", 110)?;
        router.stop()?;
        drop(router);
        drop(wire);
        let Lan { net, .. } = lan;
        net.demolish()?;
    }
    Ok(())
}

fn without_weight(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        let dir = scratch(lab, kind)?;
        let [flag, down, up] = ["flag", "down", "up"].map(|name| dir.join(name));
        fs::write(&up, "1\n")?;
        let before = format!(
            "vrrp_script s {{\n    script \"/usr/bin/test -e {}\"\n    interval 1\n}}\n\
             track_file down {{\n    file {}\n    weight 0\n}}\n\
             track_file up {{\n    file {}\n    weight 0 reverse\n}}\n",
            flag.display(),
            down.display(),
            up.display()
        );
        let lines = "track_script {\n    s weight 0 reverse\n    }\n    \
                     track_file {\n    down\n    up\n    }";
        router.start(&conf(&before, lines))?;
        let who = kind.name();
        let has = |what: &str, has: bool| {
            let what = format!("{who}, {what}: VIP {has}");
            wait_until(what, ELECTION, || Ok(router.has_vip()? == has)).map(drop)
        };
        has("all is well", true)?;
        fs::write(&flag, "")?;
        has("a script that passes, reversed", false)?;
        fs::remove_file(&flag)?;
        has("a script that fails, reversed", true)?;
        fs::write(&down, "-3\n")?;
        has("any number in a file of weight 0", false)?;
        fs::write(&down, "0\n")?;
        has("0 in it", true)?;
        replace(&up, "0\n")?;
        has("0 in a file of weight 0 reverse", false)?;
        replace(&up, "7\n")?;
        has("any other number in it", true)?;
        router.stop()?;
        drop(router);
        let Lan { net, .. } = lan;
        net.demolish()?;
    }
    Ok(())
}

fn file(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let dir = scratch(lab, lab.subject())?;
    fs::write(dir.join("kept"), "-2\n")?;
    fs::write(dir.join("over"), "-90\n")?;
    let before = format!(
        "track_file made {{\n    file {0}/made\n    init_file 20\n}}\n\
         track_file kept {{\n    file {0}/kept\n    init_file 50\n}}\n\
         track_file over {{\n    file {0}/over\n    init_file 3 overwrite\n}}\n\
         track_file link {{\n    file {0}/deep/link\n}}\n",
        dir.display()
    );
    let lines = "track_file {\n    made\n    kept\n    over\n    link\n    }";
    let wire = Capture::at(&router.port)?;
    router.start(&conf(&before, lines))?;
    let sees = |what: &str, priority| wait_priority(&wire, what, priority);
    sees("20 made, -2 kept, 3 written over", 121)?;
    for (number, at) in [(5, "one"), (7, "two")] {
        fs::create_dir(dir.join(at))?;
        fs::write(dir.join(at).join("value"), format!("{number}\n"))?;
    }
    fs::create_dir(dir.join("deep"))?;
    std::os::unix::fs::symlink("../one/value", dir.join("deep/link"))?;
    sees("a link in a directory that was not there", 126)?;
    fs::write(dir.join("one/value"), "6\n")?;
    sees("what the link leads to is written", 127)?;
    std::os::unix::fs::symlink("../two/value", dir.join("deep/next"))?;
    fs::rename(dir.join("deep/next"), dir.join("deep/link"))?;
    sees("the link leads elsewhere", 128)?;
    fs::remove_file(dir.join("made"))?;
    router
        .host
        .run(&["mkfifo", &dir.join("made").display().to_string()])?;
    sees("a FIFO in its place says 0 and holds nothing up", 108)?;
    router.daemon()?.hang_up()?;
    router.daemon()?.wait_log("reloaded", 1, ELECTION)?;
    fs::write(dir.join("kept"), "1\n")?;
    sees(
        "it is watched after a reload, and nothing was written over",
        111,
    )?;
    owner_stays(&router, &[], Duration::from_secs(2))
}

fn process(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let dir = scratch(lab, lab.subject())?;
    // A name of its own: whatever else sleeps does not count.
    let program = dir.join("lab-sleeper").display().to_string();
    fs::copy("/usr/bin/sleep", &program)?;
    let before = format!(
        "vrrp_track_process one {{\n    process lab-sleeper\n    quorum 1\n    quorum_max 2\n}}\n\
         vrrp_track_process args {{\n    process {program} 601\n    weight 10\n    \
         terminate_delay 3\n}}\n"
    );
    let lines = "track_process {\n    one\n    args\n    }";
    let wire = Capture::at(&router.port)?;
    router.start(&conf(&before, lines))?;
    let host = router.host.clone();
    let sleeper = |name: &str, seconds: &str| host.spawn(name, &[&program, seconds]);
    router.daemon()?.wait_log("FAULT STATE", 1, ELECTION)?;
    let mut one = sleeper("one", "600")?;
    wait_owner(&router, &[])?;
    wait_priority(&wire, "args does not run", 100)?;
    let mut two = sleeper("two", "601")?;
    wait_priority(&wire, "args runs", 110)?;

    let lost = "Quorum lost for tracked process one";
    let before = router.daemon()?.logged(lost);
    let mut three = sleeper("three", "602")?;
    router.daemon()?.wait_log(lost, before + 1, ELECTION)?;
    ensure!(!router.has_vip()?, "three of at most two run");
    three.kill()?;
    wait_owner(&router, &[])?;

    // Gone for less than terminate_delay: the priority stays.
    let adverts = wire.adverts().len();
    two.kill()?;
    std::thread::sleep(Duration::from_millis(500));
    let mut two = sleeper("two", "601")?;
    std::thread::sleep(Duration::from_secs(4));
    let sent = wire.adverts().into_iter().skip(adverts);
    ensure!(
        sent.map(|(_, advert)| advert.priority).all(|p| p == 110),
        "a restart within terminate_delay moved the priority"
    );
    two.kill()?;
    wait_priority(&wire, "args does not run any more", 100)?;

    let daemon = router.daemon()?;
    let before = daemon.logged(lost);
    let began = std::time::Instant::now();
    one.kill()?;
    daemon.wait_log(lost, before + 1, ELECTION)?;
    let took = began.elapsed();
    lab.note(format!("the end of a process was noticed after {took:.1?}"));
    ensure!(
        took < Duration::from_millis(900),
        "not before /proc was read again"
    );
    wait_until("it lets go", ELECTION, || Ok(!router.has_vip()?)).map(drop)
}

fn interfaces_come_and_go(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let instance = Instance::plain(100).replace("interface eth0", "interface late0");
    let dynamic = format!("global_defs {{\n    dynamic_interfaces\n}}\n{instance}");
    router.start(&instance)?;
    let ended = || Ok(router.daemon()?.ended()?.is_some());
    wait_until("a start without the interface is refused", ELECTION, ended)?;
    router.start(&dynamic)?;
    // Both starts write to the same log, and the one that was refused has said it once.
    router
        .daemon()?
        .wait_log("FAULT STATE: interface late0 does not exist", 1, ELECTION)?;
    let host = router.host.clone();
    let make = || {
        host.ip(
            "link add late0 type veth peer name far0\naddr add 198.51.100.1/24 dev late0\n\
             link set far0 up\nlink set late0 up",
        )
    };
    make()?;
    wait_owner(&router, &[])?;
    host.ip("link del late0")?;
    router.daemon()?.wait_log("FAULT STATE", 2, ELECTION)?;
    make()?;
    wait_owner(&router, &[])?;
    host.ip("link set late0 down\nlink set late0 name other0\nlink set other0 up")?;
    wait_until("it leaves a link of another name", ELECTION, || {
        Ok(!router.has_vip()?)
    })?;
    router.daemon()?.wait_log("FAULT STATE", 3, ELECTION)?;
    host.ip("link set other0 down\nlink set other0 name late0\nlink set late0 up")?;
    wait_owner(&router, &[])?;
    Ok(())
}

fn link_delays(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        more_interfaces(&router)?;
        let before = "interface_up_down_delays {\n    eth1 2 3\n}\n";
        router.start(&conf(before, "track_interface {\n    eth1\n    }"))?;
        wait_owner(&router, &[])?;
        let peer = |state: &str| router.host.ip(&format!("link set peer1 {state}"));
        for _ in 0..3 {
            peer("down")?;
            owner_stays(&router, &[], Duration::from_millis(1000))?;
            peer("up")?;
            owner_stays(&router, &[], Duration::from_millis(300))?;
        }
        peer("down")?;
        owner_stays(&router, &[], Duration::from_millis(1500))?;
        let what = format!("{}: down for more than 2 s", kind.name());
        wait_until(what, Duration::from_secs(3), || Ok(!router.has_vip()?))?;
        peer("up")?;
        let what = format!("{}: not up for 3 s yet", kind.name());
        holds_for(what, Duration::from_millis(2500), || Ok(!router.has_vip()?))?;
        wait_owner(&router, &[])?;
        router.stop()?;
        drop(router);
        let Lan { net, .. } = lan;
        net.demolish()?;
    }
    Ok(())
}

fn linkbeat(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        more_interfaces(&router)?;
        let before = "linkbeat_interfaces {\n    eth1 ETHTOOL\n    eth2 MII\n}\n";
        let lines = "track_interface {\n    eth1\n    eth2\n    }";
        router.start(&conf(before, lines))?;
        wait_owner(&router, &[])?;
        // A veth has no transceiver.
        let other = "(eth2): Configured linkbeat type MII not supported, using ETHTOOL";
        router.daemon()?.wait_log(other, 1, ELECTION)?;
        for n in [1, 2] {
            router.host.ip(&format!("link set peer{n} down"))?;
            let says = format!("Linkbeat reports eth{n} down");
            router.daemon()?.wait_log(&says, 1, ELECTION)?;
            let what = format!("{} without eth{n}", kind.name());
            wait_until(what, ELECTION, || Ok(!router.has_vip()?))?;
            router.host.ip(&format!("link set peer{n} up"))?;
            wait_owner(&router, &[])?;
        }
        router.stop()?;
        drop(router);
        let Lan { net, .. } = lan;
        net.demolish()?;
    }
    Ok(())
}

/// 3 x advert_int + skew of priority 100: RFC 3768 section 6.1.
const MASTER_DOWN: Duration = Duration::from_millis(3609);

fn init_fail(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let mut took = Vec::new();
        for keyword in ["", "init_fail"] {
            let lan = Lan::new(lab)?;
            let mut router = lan.router("router", 1, kind)?;
            let before = format!(
                "vrrp_script s {{\n    script /bin/true\n    interval 1\n    rise 3\n    {keyword}\n}}\n"
            );
            router.start(&conf(&before, "track_script {\n    s\n    }"))?;
            took.push(wait_owner(&router, &[])?);
            router.stop()?;
            drop(router);
            let Lan { net, .. } = lan;
            net.demolish()?;
        }
        lab.note(format!("{}: {took:.1?}", kind.name()));
        // `rise` would be two seconds more.
        let limit = MASTER_DOWN + Duration::from_secs(1);
        let late = took.iter().any(|took| *took > limit);
        ensure!(!late, "{}: {took:.1?}", kind.name());
    }
    Ok(())
}
