//! The image of packaging/Dockerfile: the program and nothing else, with two capabilities and no more.
//!
//! What is tested is linked dynamically as a rule, so that its libraries are the base then. A static program, as
//! `scripts/package --static` builds it, has none: FROM scratch.

use std::time::Duration;

use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::docker::Docker;
use crate::lab::guest::vipd_path;

const LIMIT: Duration = Duration::from_secs(40);
const DIR: &str = "/srv/image";
const RUN: &str = "--network image --ip 172.30.0.2 -v /srv/image/vipd.conf:/etc/vipd/vipd.conf:ro";

/// What a container may do with these capabilities, and some that it may not.
const CONF: &str = "global_defs {
    vrrp_rt_priority 10
    vrrp_no_swap
    @vipd set_kernel_settings
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        172.30.0.100/16 dev eth0
    }
}
virtual_server 172.30.0.100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    @vipd masquerade
    real_server 172.30.0.1 80 {
    }
}
";

pub(super) fn run(lab: &Lab, docker: &Docker) -> Outcome {
    let machine = docker.machine();
    let vipd = vipd_path();
    let libraries = machine.sh(&format!(
        "ldd {vipd} 2>/dev/null | grep -o '/[^ ]*' || true"
    ))?;
    let libraries: Vec<&str> = libraries.split_whitespace().collect();
    let base = match libraries.is_empty() {
        true => "scratch",
        false => {
            docker.image("libraries", &libraries)?;
            "libraries"
        }
    };
    lab.note(format!("the image of vipd is FROM {base}"));
    machine.write(
        &format!("{DIR}/Dockerfile"),
        include_str!("../../../packaging/Dockerfile"),
    )?;
    machine.write(&format!("{DIR}/vipd.conf"), CONF)?;
    let program = format!("{DIR}/target/x86_64-unknown-linux-musl/dist");
    machine.sh(&format!("mkdir -p {program}"))?;
    docker.copy_vipd(&format!("{program}/vipd"))?;
    docker.docker(&format!("build -q --build-arg BASE={base} -t vipd {DIR}"))?;
    docker.docker("network create --subnet 172.30.0.0/16 image")?;

    let refused = docker.docker(&format!("run --rm {RUN} vipd 2>&1 || echo status $?"))?;
    ensure!(
        refused.contains("CAP_NET_ADMIN is missing") && !refused.contains("status 0"),
        "without a capability:\n{refused}"
    );
    docker.docker(&format!(
        "run -d --name vipd --cap-add NET_ADMIN {RUN} vipd"
    ))?;
    is_master(docker, 1)?;
    let log = || docker.docker("logs vipd 2>&1");
    for lacks in ["it needs CAP_SYS_NICE", "read-only file system"] {
        wait_until(format!("it says: {lacks}"), LIMIT, || {
            Ok(log()?.contains(lacks))
        })?;
    }
    // The next one has the same process id as that which left its pid file.
    docker.docker("kill --signal KILL vipd")?;
    docker.docker("start vipd")?;
    is_master(docker, 2)?;
    docker.docker("stop -t 10 vipd")?;
    let status = docker.docker("inspect -f '{{.State.ExitCode}}' vipd")?;
    ensure!(
        status.trim() == "0",
        "it ended with {status} at docker stop:\n{}",
        log()?
    );
    docker.docker("rm vipd; /usr/bin/docker network rm image")?;
    Ok(())
}

/// As the image's health check asks; `times`: how often it became master so far.
fn is_master(docker: &Docker, times: usize) -> Outcome {
    wait_until(format!("MASTER for the {times}. time"), LIMIT, || {
        let entered = docker.docker("logs vipd 2>&1 | grep -c 'Entering MASTER' || true")?;
        let status = docker.docker("exec vipd /usr/sbin/vipd status 2>&1 || true")?;
        Ok(entered.trim() == times.to_string() && status.contains("VI_1  MASTER"))
    })
    .map(drop)
}
