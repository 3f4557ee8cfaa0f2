//! A compose project: nginx and the daemon in two containers that speak unicast, the virtual address in their
//! network, HAProxy in front of it on a port of the machine. The first container's file has a virtual server,
//! too; the machine answers for its servers.
//!
//! The author's keepalived.conf files, entrypoint and steps. The Dockerfile copies the daemon into the image
//! instead of installing packages, because there is nobody to ask for them.

use std::time::Duration;

use super::direct::{self, Sides, Web};
use super::image;
use super::site::{PAIRS, named};
use super::steps::Steps;
use super::timeline::{self, Played};
use crate::cases::daemon::only_vipd;
use crate::demo::timeline::{Timeline, Who};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::docker::Docker;
use crate::lab::net::{Host, Net};

const LIMIT: Duration = Duration::from_secs(40);
/// For keepalived alone, which does not come back from a stop.
const REFERENCE_LIMIT: Duration = Duration::from_secs(10);
const DIR: &str = "/srv/compose";
const MASTER: usize = 0;
const SLAVE: usize = 1;
const SERVICES: [&str; 2] = ["nginx_master", "nginx_slave"];
/// What they share.
const VIP: [u8; 4] = [172, 20, 128, 4];

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
    let sides = Sides::new(&net)?;
    // That is timers for the most part.
    let (ended, direct) = std::thread::scope(|scope| {
        let direct = scope.spawn(|| sides.play());
        let ended = in_docker(lab, &client, &host);
        let panicked = |_| Err("the thread of the virtual server panicked".into());
        (ended, direct.join().unwrap_or_else(panicked))
    });
    timeline::show(lab, &ended?);
    lab.note(direct?);
    Ok(())
}

fn in_docker(lab: &Lab, client: &Host, host: &Host) -> Outcome<Vec<Played>> {
    let timeline = Timeline::new(false);
    let docker = Docker::start(host)?;
    timeline.say(Who::Stage, "Docker runs");
    prepare(&docker)?;
    timeline.say(Who::Stage, "the images are there");
    // Docker runs here anyway.
    image::run(lab, &docker)?;
    timeline.say(Who::Stage, "the image of vipd has played");
    direct::become_servers(host)?;
    let _servers = [
        Web::start(host, direct::SERVERS[0])?,
        Web::start(host, direct::SERVERS[1])?,
    ];
    let mut ended = Vec::new();
    for (pair, kinds) in PAIRS {
        let played = one_pair(lab, &docker, client, pair, kinds);
        timeline.say(Who::Stage, format!("the pair {pair} has played"));
        if played.is_err() {
            tell(lab, &docker)?;
        }
        ended.push(played?);
    }
    Ok(ended)
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
        for (kind, service) in kinds.into_iter().zip(SERVICES) {
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

/// The networks of both containers, and their names in the report.
struct Containers<'a> {
    lab: &'a Lab,
    docker: &'a Docker,
    pair: &'static str,
    all: [Option<Host>; 2],
}

impl Containers<'_> {
    fn full_name(&self, number: usize) -> String {
        format!("{}_{}_1", self.pair, SERVICES[number])
    }

    /// It has been started.
    fn look_at(&mut self, number: usize) -> Outcome {
        let (host, _) = self.docker.container(self.lab, &self.full_name(number))?;
        self.all[number] = Some(host);
        Ok(())
    }

    fn holders(&self) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for (host, name) in self.all.iter().zip(SERVICES) {
            if let Some(host) = host
                && host.owns(VIP)?
            {
                names.push(name);
            }
        }
        Ok(vec![named(&names)])
    }

    /// The virtual server and its servers are in the first one's kernel, whichever daemon put them there.
    fn table(&self) -> Outcome {
        let host = self.all[MASTER].as_ref().ok_or("it does not run")?;
        wait_until(format!("{}: both servers", self.pair), LIMIT, || {
            Ok(host.ipvs()?.len() == direct::TABLE.len())
        })?;
        ensure_eq!(host.ipvs()?, direct::TABLE, "{}: the table", self.pair);
        Ok(())
    }
}

fn one_pair(
    lab: &Lab,
    docker: &Docker,
    client: &Host,
    pair: &'static str,
    kinds: [Kind; 2],
) -> Outcome<Played> {
    let tolerant = kinds == [Kind::Keepalived; 2];
    let limit = if tolerant { REFERENCE_LIMIT } else { LIMIT };
    let mut steps = Steps::begin(client, pair, &["192.168.1.5:8000"], limit, tolerant)?;
    let mut containers = Containers {
        lab,
        docker,
        pair,
        all: [None, None],
    };
    steps.step(
        "docker-compose up",
        || compose(docker, pair, kinds, "up -d --no-build"),
        &["master"],
    )?;
    containers.look_at(MASTER)?;
    containers.look_at(SLAVE)?;
    steps.held_by(containers.holders()?);
    containers.table()?;
    let master = containers.full_name(MASTER);
    containers.all[MASTER] = None;
    steps.step(
        "docker stop nginx_master",
        // The author's waits for 10 s before it kills: the entrypoint's shell minds no signal.
        || docker.docker(&format!("stop -t 1 {master}")).map(drop),
        &["slave"],
    )?;
    steps.held_by(containers.holders()?);
    steps.step(
        "docker start nginx_master",
        || docker.docker(&format!("start {master}")).map(drop),
        &["master"],
    )?;
    containers.look_at(MASTER)?;
    steps.held_by(containers.holders()?);
    // As `docker-compose down`, in less time.
    docker.docker("rm -f $(/usr/bin/docker ps -aq); /usr/bin/docker network prune -f")?;
    Ok((pair, steps.end()))
}
