//! Settings of the kernel without which virtual servers do not work: told of, set when that is asked for, and put
//! back.

use std::time::Duration;

use super::connections::{LIMIT, PATIENCE, SERVICE, Site, conf};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::guest::vipd_path;
use crate::lab::traffic::Conversation;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "settings.kernel",
    proves: "without ip_forward no client gets an answer through NAT, and log and status say so; with \
             set_kernel_settings they do, sysctl keeps a value by name, and all is put back at the stop; \
             servers in the service's own network are warned of",
    limit: Duration::from_secs(120),
    run: kernel,
}];

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

fn kernel(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.director;
    host.sh(&format!("echo 0 > {FORWARD}"))?;
    let forward = || {
        Ok::<_, crate::lab::check::Failure>(host.sh(&format!("cat {FORWARD}"))?.trim().to_owned())
    };
    let services = conf("persistence_timeout 60\n inhibit_on_failure", true)
        + &conf("", true).replace("192.0.2.1 80", "198.51.100.1 80");
    let mut daemon = Daemon::start(lab.subject(), host, &services)?;
    site.wait_weight("the first server", Some(110))?;
    daemon.wait_log("net.ipv4.ip_forward is 0: answers of servers", 1, LIMIT)?;
    daemon.wait_log(
        "net.ipv4.vs.expire_quiescent_template is 0: persistent",
        1,
        LIMIT,
    )?;
    daemon.wait_log(
        "198.51.100.1:80/tcp has servers behind NAT in 198.51.100.1/24, where its own address is",
        1,
        LIMIT,
    )?;
    ensure_eq!(
        daemon.logged("192.0.2.1:80/tcp has servers behind NAT"),
        0,
        "warnings of the other"
    );
    let limit = Duration::from_secs(3);
    ensure!(
        Conversation::open(&site.client, SERVICE, limit).is_err(),
        "a client got an answer without ip_forward"
    );
    let run = daemon.file().with_file_name("run").display().to_string();
    let status = || host.run(&[&vipd_path(), "status", "--run-dir", &run]);
    let text = status()?;
    ensure!(
        text.contains("KERNEL net.ipv4.ip_forward is 0 instead of 1: answers of servers"),
        "status:\n{text}"
    );

    let asks = "global_defs {\n @vipd set_kernel_settings\n @vipd sysctl net.ipv4.vs.conn_reuse_mode 0\n}\n";
    daemon.reload(&(asks.to_owned() + &services))?;
    wait_until("ip_forward is set", LIMIT, || Ok(forward()? == "1"))?;
    Conversation::open(&site.client, SERVICE, PATIENCE)?;
    ensure_eq!(site.setting("conn_reuse_mode")?, "0", "conn_reuse_mode");
    ensure_eq!(
        site.setting("expire_quiescent_template")?,
        "1",
        "expire_quiescent_template"
    );
    wait_until("status has the table", LIMIT, || {
        let text = status()?;
        Ok(text.contains("kernel net.ipv4.ip_forward is 1, set for 192.0.2.1:80/tcp, 198.51.100.1:80/tcp, before 0")
            && text.contains("kernel net.ipv4.vs.conn_reuse_mode is 0, set for `sysctl`, before 1"))
    })?;
    // A successor knows what was there before.
    let checked = daemon.logged("success.");
    daemon.kill()?;
    daemon.start_again()?;
    daemon.wait_log("success.", checked + 1, LIMIT)?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(forward()?, "0", "ip_forward after the stop");
    ensure_eq!(
        site.setting("conn_reuse_mode")?,
        "1",
        "conn_reuse_mode after the stop"
    );
    Ok(())
}
