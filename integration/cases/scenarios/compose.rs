//! A compose project: nginx and the daemon in two containers that speak unicast, the virtual address in their
//! network, HAProxy in front of it on a port of the machine. The first container's file has a virtual server,
//! too, whose servers are not there.
//!
//! The author's keepalived.conf files, entrypoint and steps. The Dockerfile copies the daemon into the image
//! instead of installing packages, because there is nobody to ask for them.

use std::time::Duration;

use super::site::PAIRS;
use super::steps::{Step, Steps};
use super::{image, lines, nginx_docker, note};
use crate::cases::daemon::only_vipd;
use crate::demo::timeline::{Timeline, Who};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::docker::Docker;
use crate::lab::net::{Host, Net};

const LIMIT: Duration = Duration::from_secs(40);
/// For keepalived alone, which does not come back from a stop.
const REFERENCE_LIMIT: Duration = Duration::from_secs(12);
const DIR: &str = "/srv/compose";
const MASTER: &str = "nginx_master_1";

/// The text and its name in the project's directory.
const FILES: [(&str, &str); 9] = [
    (
        "docker-compose.yml",
        include_str!("../../fixtures/scenarios/compose/docker-compose.yml"),
    ),
    (
        "Dockerfile.vipd",
        include_str!("../../fixtures/scenarios/compose/Dockerfile.vipd"),
    ),
    (
        "Dockerfile.keepalived",
        include_str!("../../fixtures/scenarios/compose/Dockerfile.keepalived"),
    ),
    (
        "entrypoint.sh",
        include_str!("../../fixtures/scenarios/compose/entrypoint.sh"),
    ),
    (
        "haproxy.cfg",
        include_str!("../../fixtures/scenarios/compose/haproxy.cfg"),
    ),
    (
        "index-master.html",
        include_str!("../../fixtures/scenarios/compose/index-master.html"),
    ),
    (
        "index-slave.html",
        include_str!("../../fixtures/scenarios/compose/index-slave.html"),
    ),
    (
        "keepalived-master.conf",
        include_str!("../../fixtures/scenarios/s2-master.conf"),
    ),
    (
        "keepalived-slave.conf",
        include_str!("../../fixtures/scenarios/s2-slave.conf"),
    ),
];

/// The image that the Dockerfiles begin with.
const NGINX: &str = "nginx:1.13.5-alpine";

/// What the images need of this machine.
const PROGRAMS: [&str; 9] = [
    "/etc/nginx/nginx.conf",
    "/usr/sbin/nginx",
    "/usr/sbin/haproxy",
    "/usr/sbin/keepalived",
    "/bin/sh",
    "/bin/pidof",
    "/usr/sbin/ip",
    "/usr/sbin/ipvsadm",
    "/bin/sleep",
];

pub(super) fn run(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let segment = net.segment("lan")?;
    let (client, host) = (net.host("client")?, net.router("host")?);
    net.plug(&client, "eth0", &segment, &["192.168.1.10/24"])?;
    net.plug(&host, "eth0", &segment, &["192.168.1.5/24"])?;
    let timeline = Timeline::new(false);
    let docker = Docker::start(&host)?;
    timeline.say(Who::Stage, "Docker runs");
    prepare(&docker)?;
    timeline.say(Who::Stage, "the images are there");
    // Docker runs here anyway.
    nginx_docker::in_docker(&docker, &client, &host, NGINX)?;
    timeline.say(Who::Stage, "nginx in Docker has played");
    image::run(lab, &docker)?;
    timeline.say(Who::Stage, "the image of vipd has played");
    let mut ended = Vec::new();
    for (pair, kinds) in PAIRS {
        let played = one_pair(&docker, &client, pair, kinds);
        timeline.say(Who::Stage, format!("the pair {pair} has played"));
        if played.is_err() {
            tell(lab, &docker)?;
        }
        ended.push((pair, played?));
    }
    note(lab, &lines(&ended));
    Ok(())
}

/// What the containers say goes to the case's logs.
fn tell(lab: &Lab, docker: &Docker) -> Outcome {
    let said = docker.docker(
        "ps -a; for name in $(/usr/bin/docker ps -aq); do echo \"--- $name\"\n\
         /usr/bin/docker logs --tail 60 $name 2>&1; /usr/bin/docker exec $name ip addr 2>&1 || true; done",
    )?;
    Ok(std::fs::write(lab.dir().join("log/containers.log"), said)?)
}

fn prepare(docker: &Docker) -> Outcome {
    let machine = docker.machine();
    machine.sh(
        "modprobe ip_vs; modprobe ip_vs_rr\n\
         mkdir -p /etc/nginx; cat > /etc/nginx/nginx.conf <<END\n\
         user root; pid /run/nginx.pid; events { }\n\
         http { access_log off; error_log /dev/null; server { listen 80; root /usr/share/nginx/html; } }\n\
         END\n",
    )?;
    docker.image(NGINX, &PROGRAMS)?;
    for (name, text) in FILES {
        machine.write(&format!("{DIR}/{name}"), text)?;
    }
    docker.copy_vipd(&format!("{DIR}/vipd"))?;
    machine.sh(&format!(
        "cd {DIR}; chmod +x entrypoint.sh; cp /usr/sbin/keepalived .\n\
         /usr/bin/docker tag {NGINX} haproxy:1.7-alpine\n"
    ))?;
    // Both Dockerfiles in one go; a project whose images are there does not build them.
    let [_, _, (built, kinds)] = PAIRS;
    compose(docker, built, kinds, "build -q")?;
    let mut tags = String::new();
    for (pair, kinds) in PAIRS.into_iter().filter(|(pair, _)| *pair != built) {
        for (kind, service) in kinds.into_iter().zip(["nginx_master", "nginx_slave"]) {
            let from = match kind {
                Kind::Vipd => "nginx_master",
                Kind::Keepalived => "nginx_slave",
            };
            tags.push_str(&format!(
                "/usr/bin/docker tag {built}_{from} {pair}_{service}\n"
            ));
        }
    }
    machine.sh(&tags).map(drop)
}

fn compose(docker: &Docker, pair: &str, [master, slave]: [Kind; 2], words: &str) -> Outcome {
    let (master, slave) = (master.name(), slave.name());
    let script =
        format!("cd {DIR}; MASTER={master} SLAVE={slave} docker-compose -p {pair} {words}");
    docker.machine().sh(&script).map(drop)
}

fn one_pair(
    docker: &Docker,
    client: &Host,
    pair: &'static str,
    kinds: [Kind; 2],
) -> Outcome<Vec<Step>> {
    let tolerant = kinds == [Kind::Keepalived; 2];
    let limit = if tolerant { REFERENCE_LIMIT } else { LIMIT };
    let mut steps = Steps::begin(client, pair, &["192.168.1.5:8000"], limit, tolerant)?;
    steps.step(
        "docker-compose up",
        || compose(docker, pair, kinds, "up -d --no-build"),
        &["master"],
    )?;
    table(docker, pair)?;
    let master = format!("{pair}_{MASTER}");
    steps.step(
        "docker stop nginx_master",
        // The author's waits for 10 s before it kills: the entrypoint's shell minds no signal.
        || docker.docker(&format!("stop -t 1 {master}")).map(drop),
        &["slave"],
    )?;
    steps.step(
        "docker start nginx_master",
        || docker.docker(&format!("start {master}")).map(drop),
        &["master"],
    )?;
    // As `docker-compose down`, in less time.
    docker.docker("rm -f $(/usr/bin/docker ps -aq); /usr/bin/docker network prune -f")?;
    Ok(steps.end())
}

/// Until its servers have failed, the virtual server is in the kernel as keepalived has it there.
fn table(docker: &Docker, pair: &str) -> Outcome {
    let ipvs = || docker.docker(&format!("exec {pair}_{MASTER} ipvsadm -Sn"));
    wait_until(format!("{pair}: a virtual server"), LIMIT, || {
        Ok(ipvs()?.contains("172.20.128.2:80"))
    })?;
    let said = ipvs()?;
    let service = said.lines().find(|line| line.starts_with("-A"));
    ensure_eq!(
        service.map(str::trim_end),
        Some("-A -t 172.20.128.2:80 -s rr -p 50"),
        "{pair}: the virtual server"
    );
    Ok(())
}
