//! Two hosts with nginx in a container of Docker each, two addresses, each host the master of one.
//!
//! The author's `docker run` on both, with the default network of Docker; the image is made of this machine's
//! nginx. The file of the first host has a slip under VI_2: its password stands in a block of `advert_int`.
//! keepalived loses the address of VI_2 by it, so that the pair to compare with gets it corrected. The author saw
//! that a stopped container moved nothing, and gave up. `nopreempt` on both backups is why: a backup that has it
//! lets a master be whose priority has fallen. vipd says both when it reads the files.

use std::time::Duration;

use super::site::{Plan, Play, Site};
use super::{Story, perform};
use crate::lab::Lab;
use crate::lab::check::{Outcome, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::docker;
use crate::lab::net::Net;
use crate::lab::process::Run;

const FIRST: usize = 0;
const SECOND: usize = 1;
/// Three adverts and the skew, in a guest in which six Dockers run.
const LIMIT: Duration = Duration::from_secs(60);
const FILE: &str = "/etc/keepalived/keepalived.conf";
/// What the image holds of this machine.
const PROGRAMS: [&str; 2] = ["/bin/sh", "/usr/sbin/nginx"];
const NGINX: &str = "\
user root; pid /run/nginx.pid; events { }
http { access_log off; error_log /dev/null; server { listen 80; root /usr/share/nginx/html; } }
";
/// The image on the disk, and the container; both are there when Docker is started again.
const FIRST_BOOT: &str = "\
ls /var/lib/docker/containers/* >/dev/null 2>&1 && exit
/usr/bin/docker import -c 'CMD [\"nginx\", \"-g\", \"daemon off;\"]' TAR nginx:1.7.6 >/dev/null
/usr/bin/docker run --name nginx_m --restart=always -v /tmp/docker:/usr/share/nginx/html:ro -p 80:80 -d nginx:1.7.6
";

/// The block that the slip opens, as it was meant.
const SLIP: &str = "advert_int 1 {";
const CORRECTED: &str = "advert_int 1\n    authentication {";

/// Where all machines find the image.
const TAR: &str = "/run/disk/nginx.tar";

pub(super) fn run(lab: &Lab) -> Outcome {
    make_image(lab)?;
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

fn make_image(lab: &Lab) -> Outcome {
    let disk = lab.dir().join("disk").display().to_string();
    let files = docker::root_files(&format!("{disk}/root"), &PROGRAMS);
    let net = Net::with_switch(lab, "workshop")?;
    net.host("builder")?.run_with(&Run {
        argv: &[
            "/bin/sh",
            "-ec",
            &format!(
                "mkdir -p {disk}; cd {disk}\n{files}\
             mkdir -p root/etc/nginx root/usr/share/nginx/html; cat > root/etc/nginx/nginx.conf\n\
             tar -C root -cf nginx.tar .; rm -r root\n"
            ),
        ],
        stdin: NGINX,
        limit: LIMIT,
    })?;
    Ok(())
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
        // The author's page is gone with /tmp at each boot, and written again.
        files: vec![(FILE, conf), ("/tmp/docker/index.html", name.to_owned())],
        has_docker: true,
        prepare: FIRST_BOOT.replace("TAR", TAR),
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
    play.own_pages()?;
    // It names the slip, and what keeps the address where nginx is lost.
    play.told(
        FIRST,
        &[
            "the password stands in a block of `advert_int`",
            "with `nopreempt` the weight of `chk_nginx` may never move `VI_2`",
        ],
    )?;
    for (node, stopped, started, without) in [
        (
            FIRST,
            "keepalived on 128 is stopped",
            "and started",
            [SECOND, SECOND],
        ),
        (
            SECOND,
            "keepalived on 130 is stopped",
            "and started",
            [FIRST, FIRST],
        ),
    ] {
        let service = |word: &'static str| {
            move |site: &mut Site| {
                site.nodes[node]
                    .sh(&format!("service keepalived {word}"))
                    .map(drop)
            }
        };
        play.step(stopped, service("stop"), &without)?;
        play.step(started, service("start"), &both)?;
    }
    // Docker starts its container again by itself, and the page is written again, as the article says.
    play.step(
        "128 is switched off",
        |site| site.nodes[FIRST].power_off(),
        &[SECOND, SECOND],
    )?;
    play.step(
        "128 is back",
        |site| {
            site.nodes[FIRST].power_on()?;
            site.nodes[FIRST].sh("service keepalived start").map(drop)
        },
        &both,
    )?;
    lost_nginx(play)
}

/// The priority falls below the other's, and nothing moves; then the line that the warning names is taken
/// out on the other host.
fn lost_nginx(play: &mut Play<'_>) -> Outcome {
    play.stays("docker stop nginx_m on 128", |site| {
        let node = &site.nodes[FIRST];
        node.sh("/usr/bin/docker stop nginx_m")?;
        if node.kind == Kind::Vipd {
            let what = format!("{}: the script fails", site.pair);
            wait_until(what, LIMIT, || {
                let log = node.log()?;
                let last = log.rfind("VRRP_Script(chk_nginx) failed");
                Ok(last > log.rfind("VRRP_Script(chk_nginx) succeeded"))
            })?;
        }
        // The script runs every second, and a backup that minded would come forward after three adverts.
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    })?;
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
        "docker start nginx_m on 128",
        |site| {
            site.nodes[FIRST]
                .sh("/usr/bin/docker start nginx_m")
                .map(drop)
        },
        &[FIRST, SECOND],
    )
}
