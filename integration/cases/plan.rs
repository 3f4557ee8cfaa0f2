//! What a reload would do, said before; and servers that operators take out.

use super::connections::{FIRST, LIMIT, PATIENCE, SECOND, SERVICE, Site, conf, is_reset};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::guest::vipd_path;
use crate::lab::net::Host;
use crate::lab::process::Finished;
use crate::lab::traffic::Conversation;
use crate::lab::{Case, Lab};

use std::fs;
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "plan.live",
        proves: "vipd plan says what a reload then does, in words and as ipvsadm's arguments, with the \
                 connections of what goes, and changes nothing; a file with errors is refused with them",
        limit: Duration::from_secs(120),
        run: live,
    },
    Case {
        name: "plan.drain",
        proves: "vipd drain takes a server out and status shows its connections and until when; both a \
                 drain by an operator and one by a reload go on after kill -9; vipd undrain lets it in; a \
                 weight and a pause of checks that an operator ordered hold over the crash too, and \
                 status says who ordered them, why and until when",
        limit: Duration::from_secs(180),
        run: drain,
    },
    Case {
        name: "plan.reload_storm",
        proves: "asked for 20 reloads a second, each with other weights, vipd cuts no connection of clients",
        limit: Duration::from_secs(120),
        run: reload_storm,
    },
];

const INSTANCE: &str = "vrrp_instance V {\n interface eth0\n state MASTER\n virtual_router_id 51\n priority \
                        200\n advert_int 1\n virtual_ipaddress {\n  192.0.2.100/24 dev eth0\n }\n}\n";

/// Runs a command against a vipd.
fn ask(host: &Host, daemon: &Daemon, words: &[&str]) -> Outcome<Finished> {
    let run = daemon.file().with_file_name("run").display().to_string();
    let vipd = vipd_path();
    let mut argv = vec![vipd.as_str()];
    argv.extend(words);
    argv.extend(["--run-dir", &run]);
    host.try_run(&argv)
}

fn said(host: &Host, daemon: &Daemon, words: &[&str]) -> Outcome<String> {
    Ok(ask(host, daemon, words)?.success()?.stdout)
}

fn live(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.director;
    let before = conf("", true) + INSTANCE;
    let mut daemon = Daemon::start(lab.subject(), host, &before)?;
    site.wait_weight("the first server", Some(110))?;
    wait_until("the VIP is here", LIMIT, || {
        host.owns(std::net::Ipv4Addr::new(192, 0, 2, 100))
    })?;
    let nothing = said(host, &daemon, &["plan"])?;
    ensure!(nothing.contains("nothing changes"), "{nothing}");

    let talk = site.talk()?;
    let after = conf("", false).replace("weight 110", "weight 55")
        + &conf("", true).replace("192.0.2.1 80", "192.0.2.1 8080")
        + &INSTANCE.replace("192.0.2.100/24", "192.0.2.101/24");
    let new = daemon.file().with_file_name("new.conf");
    fs::write(&new, &after)?;
    let file = new.display().to_string();
    let table = host.ipvs()?;
    let text = said(host, &daemon, &["plan", &file])?;
    for line in [
        "  - server 198.51.100.10:80 of 192.0.2.1:80/tcp: NAT, weight 110; 1 connection\n",
        "  ~ server 198.51.100.11:80 of 192.0.2.1:80/tcp: NAT, weight 110 -> NAT, weight 55;",
        "  + service 192.0.2.1:8080/tcp: wrr\n",
        "  + server 198.51.100.10:80 of 192.0.2.1:8080/tcp: NAT, weight 110\n",
        "  + address 192.0.2.101/24 on eth0\n",
        "  - address 192.0.2.100/24 on eth0\n",
        "connections of what goes: 1\n",
    ] {
        ensure!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
    let commands = said(host, &daemon, &["plan", "--format", "ipvsadm", &file])?;
    let json = said(host, &daemon, &["plan", "--format", "json", &file])?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    ensure_eq!(
        json["ipvsadm"].as_array().map(Vec::len),
        Some(commands.lines().count()),
        "commands in JSON"
    );
    ensure_eq!(host.ipvs()?, table, "the table after planning");
    let wrong = after.replace("lb_algo wrr", "lb_algo");
    fs::write(&new, &wrong)?;
    let refused = ask(host, &daemon, &["plan", &file])?;
    ensure!(
        refused.code == Some(2) && refused.stderr.contains("new.conf:"),
        "{}",
        refused.describe()
    );

    // What ipvsadm makes of the plan in another place is what the reload makes here.
    let copy = site.net.host("copy")?;
    let lines = format!("{}\n{commands}", table.join("\n"));
    copy.sh(&format!("ipvsadm -R <<'EOF'\n{lines}EOF"))?;
    daemon.rewrite(&after)?;
    let done = said(host, &daemon, &["reload"])?;
    let planned = text
        .split_once("in the kernel:\n")
        .map(|(_, kernel)| kernel);
    ensure!(
        planned.is_some_and(|kernel| done.contains(kernel)),
        "the plan was\n{text}and the reload said\n{done}"
    );
    let wanted = copy.ipvs()?;
    wait_until("the table is as planned", LIMIT, || {
        Ok(host.ipvs()? == wanted)
    })?;
    drop(talk);
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    let nobody = ask(host, &daemon, &["plan", &file])?;
    ensure!(
        nobody.code == Some(1) && nobody.stderr.contains("--offline"),
        "{}",
        nobody.describe()
    );
    Ok(())
}

fn drain(lab: &Lab) -> Outcome {
    let mut site = Site::new(lab)?;
    let host = site.director.clone();
    let host = &host;
    let lines = "@vipd on_remove drain 20";
    let mut daemon = Daemon::start(lab.subject(), host, &conf(lines, true))?;
    site.wait_weight("the first server", Some(110))?;
    let mut talk = site.talk()?;
    let whom = format!("{FIRST}:80");
    let done = said(
        host,
        &daemon,
        &["drain", &whom, "--grace", "60s", "--no-wait"],
    )?;
    ensure!(done.contains("no new connections"), "{done}");
    site.wait_weight("it is drained", Some(0))?;
    let draining = format!("draining {whom} of {SERVICE}/tcp: 1 connection left, until ");
    wait_until("status says so", LIMIT, || {
        let status = said(host, &daemon, &["status"])?;
        Ok(status.contains(&draining) && status.contains("taken out by an operator"))
    })?;
    let other = Conversation::open(&site.client, SERVICE, PATIENCE)?;
    ensure_eq!(other.server, "second", "a new connection");

    order_more(&mut site, &daemon)?;

    daemon.kill()?;
    daemon.start_again()?;
    daemon.wait_log("is drained: no new connections", 2, LIMIT)?;
    still_ordered(&mut site, &daemon)?;
    ensure_eq!(talk.say("on")?, "first: on", "the open connection");
    ensure_eq!(site.weight_of(FIRST)?, Some(0), "weight after the crash");
    let done = said(host, &daemon, &["undrain", &whom])?;
    ensure!(done.contains("takes connections again"), "{done}");
    site.wait_weight("it is let in again", Some(110))?;
    ensure_eq!(talk.say("on")?, "first: on", "the open connection");

    daemon.reload(&conf(lines, false))?;
    site.wait_weight("the removed server is drained", Some(0))?;
    daemon.kill()?;
    daemon.start_again()?;
    daemon.wait_log("is drained: no new connections", 4, LIMIT)?;
    ensure_eq!(talk.say("on")?, "first: on", "the open connection");
    site.wait_weight("its time is over, crash or not", None)?;
    daemon.wait_log("is drained: its time is over", 1, LIMIT)?;
    is_reset(&mut talk)?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    Ok(())
}

/// The other server gets a weight, and nobody is checked any more: what its checks would say changes nothing.
fn order_more(site: &mut Site<'_>, daemon: &Daemon) -> Outcome {
    let (other, why) = (format!("{SECOND}:80"), "its page moves");
    let words = ["weight", &other, "20", "--for", "1h", "--reason", "warm up"];
    let done = said(&site.director, daemon, &words)?;
    ensure!(done.contains("has weight 20"), "{done}");
    let words = ["pause", SERVICE, "--reason", why];
    let done = said(&site.director, daemon, &words)?;
    ensure!(done.contains("2 servers of"), "{done}");
    site.fail(1);
    let status = said(&site.director, daemon, &["status"])?;
    let pause = format!("OVERRIDE checks of {SERVICE}/tcp are paused since ");
    for words in [
        &pause,
        ": its page moves)",
        "has weight 20 since",
        ": warm up)",
    ] {
        ensure!(status.contains(words), "{words:?} is missing in:\n{status}");
    }
    let why = said(&site.director, daemon, &["why", &other])?;
    ensure!(
        why.contains("not checked by an operator (") && why.contains(", until "),
        "{why}"
    );
    let events = said(&site.director, daemon, &["events"])?;
    // A slow guest takes a moment to carry it out.
    ensure!(
        events.contains("by an operator (root, for 3") && events.contains("s): warm up"),
        "{events}"
    );
    Ok(())
}

/// After a crash all of that holds, until it is taken back.
fn still_ordered(site: &mut Site<'_>, daemon: &Daemon) -> Outcome {
    let other = format!("{SECOND}:80");
    // Longer than its check would take to fail.
    std::thread::sleep(Duration::from_secs(2));
    ensure_eq!(site.weight_of(SECOND)?, Some(20), "weight after the crash");
    said(&site.director, daemon, &["resume", SERVICE])?;
    wait_until("its checks count again", LIMIT, || {
        Ok(site.weight_of(SECOND)? == Some(0))
    })?;
    site.recover(1)?;
    said(&site.director, daemon, &["weight", &other, "configured"])?;
    wait_until("it has its own weight", LIMIT, || {
        Ok(site.weight_of(SECOND)? == Some(110))
    })?;
    let status = said(&site.director, daemon, &["status"])?;
    let left = status.matches("OVERRIDE").count();
    ensure_eq!(left, 1, "orders that hold");
    Ok(())
}

/// Less than the minute of docs/performance.md in a run of all cases.
const STORM_SECONDS: u32 = 10;
const EVERY: Duration = Duration::from_millis(50);

fn reload_storm(lab: &Lab) -> Outcome {
    let storm = Duration::from_secs(lab.number("seconds", STORM_SECONDS)?.into());
    let site = Site::new(lab)?;
    let host = &site.director;
    let texts = ["110", "90"]
        .map(|weight| conf("", true).replace("weight 110", &format!("weight {weight}")));
    let mut daemon = Daemon::start(lab.subject(), host, &texts[0])?;
    site.wait_weight("the first server", Some(110))?;
    let open = |_| Conversation::open(&site.client, SERVICE, PATIENCE);
    let mut talks = (0..6).map(open).collect::<Outcome<Vec<_>>>()?;
    let begun = std::time::Instant::now();
    let (mut said, mut opened) = (0_usize, 0_usize);
    let (reloads, talked) = std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            let mut reloads = 0_usize;
            while begun.elapsed() < storm && daemon.reload(&texts[reloads % 2]).is_ok() {
                reloads += 1;
                std::thread::sleep(EVERY);
            }
            reloads
        });
        let mut talk = || {
            while begun.elapsed() < storm {
                for talk in &mut talks {
                    let answer = talk.say("on")?;
                    ensure_eq!(answer, format!("{}: on", talk.server), "an open connection");
                    said += 1;
                }
                drop(Conversation::open(&site.client, SERVICE, PATIENCE)?);
                opened += 1;
            }
            Ok(())
        };
        let talked: Outcome = talk();
        (reloading.join().unwrap_or(0), talked)
    });
    talked?;
    lab.note(format!(
        "{reloads} reloads asked for in {:.1} s, {} carried out; {said} answers on {} connections, {opened} new ones",
        begun.elapsed().as_secs_f64(),
        daemon.logged("INFO reloaded "),
        talks.len()
    ));
    ensure!(
        daemon.logged("INFO reloaded ") >= 3,
        "it did not keep up at all"
    );
    daemon.reload(&texts[1])?;
    site.wait_weight("the last file counts", Some(90))?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    Ok(())
}
