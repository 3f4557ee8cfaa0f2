//! Two hosts with nginx in a container each, two addresses, each host the master of one.
//!
//! The file of the first host has a slip under VI_2: its password stands in a block of `advert_int`.
//! keepalived loses the address of VI_2 by it, so that the pair to compare with gets it corrected. The author saw that a lost nginx moved nothing, and gave up. `nopreempt` on both backups is why: a backup
//! that has it lets a master be whose priority has fallen. vipd says both when it reads the files.

use std::path::Path;
use std::time::Duration;

use super::site::{Plan, Play};
use super::steps::Steps;
use super::{Story, perform};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::docker::Docker;
use crate::lab::net::Host;

const FIRST: usize = 0;
const SECOND: usize = 1;
const LIMIT: Duration = Duration::from_secs(20);
const FILE: &str = "/etc/keepalived/keepalived.conf";
/// As Docker runs it: in a namespace of processes of its own, so that the host sees its processes. The
/// container's network is the host's here.
const NGINX: &str =
    "unshare --pid --fork --mount-proc nginx -g 'daemon off;' >/run/logs/nginx.log 2>&1 & ";

/// The block that the slip opens, as it was meant.
const SLIP: &str = "advert_int 1 {";
const CORRECTED: &str = "advert_int 1\n    authentication {";

pub(super) fn run(lab: &Lab) -> Outcome {
    perform(
        lab,
        &Story {
            client: "192.168.202.1/24",
            vips: &["192.168.202.131:80", "192.168.202.132:80"],
            limit: LIMIT,
            reference_limit: LIMIT,
            plans,
            play,
        },
    )
}

fn plans(kinds: [Kind; 2]) -> [Plan; 2] {
    let first = include_str!("../../fixtures/scenarios/s0-128.conf");
    let first = match kinds {
        [Kind::Keepalived, _] => first.replace(SLIP, CORRECTED),
        [Kind::Vipd, _] => first.to_owned(),
    };
    let plan = |name, address, conf: String| Plan {
        name,
        address,
        files: vec![(FILE, conf)],
        prepare: NGINX,
    };
    [
        plan("128", "192.168.202.128/24", first),
        plan(
            "130",
            "192.168.202.130/24",
            include_str!("../../fixtures/scenarios/s0-130.conf").to_owned(),
        ),
    ]
}

fn play(play: &mut Play<'_>) -> Outcome {
    let both = [FIRST, SECOND];
    play.step(
        "service keepalived start on both",
        |site| {
            for node in &site.nodes {
                node.sh("service keepalived start")?;
            }
            Ok(())
        },
        &both,
    )?;
    // It names the slip, and what keeps the address where nginx is lost.
    play.told(
        FIRST,
        &[
            "the password stands in a block of `advert_int`",
            "with `nopreempt` the weight of `chk_nginx` may never move `VI_2`",
        ],
    )?;
    play.step(
        "keepalived on 128 is stopped",
        |site| site.nodes[FIRST].sh("service keepalived stop").map(drop),
        &[SECOND, SECOND],
    )?;
    play.step(
        "and started",
        |site| site.nodes[FIRST].sh("service keepalived start").map(drop),
        &both,
    )?;
    for (node, without, gone, back) in [
        (
            FIRST,
            [SECOND, SECOND],
            "128 is switched off",
            "128 is back",
        ),
        (SECOND, [FIRST, FIRST], "130 is switched off", "130 is back"),
    ] {
        play.step(gone, |site| site.nodes[node].power_off(), &without)?;
        play.step(
            back,
            |site| {
                site.nodes[node].power_on()?;
                site.nodes[node].sh("service keepalived start").map(drop)
            },
            &both,
        )?;
    }
    lost_nginx(play)
}

/// The priority falls below the other's, and nothing moves; then the line that the warning names is taken
/// out on the other host.
fn lost_nginx(play: &mut Play<'_>) -> Outcome {
    let node = &play.site.nodes[FIRST];
    node.kill_nginx()?;
    if node.kind == Kind::Vipd {
        let what = format!("{}: the script fails", play.site.pair);
        wait_until(what, LIMIT, || {
            let log = node.log()?;
            let last = log.rfind("VRRP_Script(chk_nginx) failed");
            Ok(last > log.rfind("VRRP_Script(chk_nginx) succeeded"))
        })?;
    }
    // The script runs every second, and a backup that minded would come forward after three adverts.
    std::thread::sleep(Duration::from_secs(5));
    ensure!(
        node.host.owns([192, 168, 202, 131])?,
        "{}: the address has moved in spite of nopreempt",
        play.site.pair
    );
    play.step(
        "nopreempt taken out on 130",
        |site| {
            site.nodes[SECOND].sh(&format!(
                "sed -i /nopreempt/d {FILE}; service keepalived reload"
            ))?;
            Ok(())
        },
        &[SECOND, SECOND],
    )?;
    play.step(
        "nginx on 128 runs again",
        |site| site.nodes[FIRST].sh(NGINX).map(drop),
        &[FIRST, SECOND],
    )
}

/// The file of 128 on one machine where Docker runs nginx, as the author starts it: the script sees whether that
/// container's nginx runs, and both addresses lead into it.
pub(super) fn in_docker(docker: &Docker, client: &Host, host: &Host, image: &str) -> Outcome {
    const NAME: &str = "128";
    let machine = docker.machine();
    host.ip("addr add 192.168.202.128/24 dev eth0\n")?;
    client.ip("addr add 192.168.202.1/24 dev eth0\n")?;
    machine.write(FILE, include_str!("../../fixtures/scenarios/s0-128.conf"))?;
    machine.write("/tmp/docker/index.html", NAME)?;
    let words = Daemon::command_line(Kind::Vipd, Path::new(FILE));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let daemon = machine.spawn("scenario-128", &words)?;
    let vips = ["192.168.202.131:80", "192.168.202.132:80"];
    let mut steps = Steps::begin(client, "vipd and Docker", &vips, LIMIT, false)?;
    steps.step(
        "docker run nginx",
        || {
            docker.docker(&format!(
                "network create site; \
                 /usr/bin/docker run --net=site --name nginx_m --restart=always -v /tmp/docker:/usr/share/nginx/html:ro -p 80:80 -d {image} \
                 nginx -g 'daemon off;'"
            ))?;
            Ok(())
        },
        &[NAME, NAME],
    )?;
    let times = |phrase: &str| daemon.log().matches(phrase).count();
    let logs = |phrase: &str, number: usize| {
        let what = format!("vipd beside Docker logs {phrase:?} ({number} times)");
        wait_until(what, LIMIT, || Ok(times(phrase) >= number))
    };
    let (good, bad) = (
        "VRRP_Script(chk_nginx) succeeded",
        "VRRP_Script(chk_nginx) failed",
    );
    logs(good, 1)?;
    let (was_good, was_bad) = (times(good), times(bad));
    docker.docker("stop nginx_m")?;
    logs(bad, was_bad + 1)?;
    steps.step(
        "docker start nginx_m",
        || docker.docker("start nginx_m").map(drop),
        &[NAME, NAME],
    )?;
    logs(good, was_good + 1)?;
    docker
        .docker("rm -f nginx_m; /usr/bin/docker network rm site")
        .map(drop)
}
