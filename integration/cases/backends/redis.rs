//! Real Redis servers: a master and its replica.

use std::fs;

use super::{SETTLED, Site, service};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::net::Host;
use crate::lab::process::Process;

const KEY: &str = include_str!("../../../src/probe/http/test_key.pem");
const PASSWORD: &str = "sesame open";

fn redis(host: &Host, port: u16, more: &[&str]) -> Outcome<Process> {
    let dir = host.dir().join(format!("redis-{port}"));
    fs::create_dir_all(&dir)?;
    let (port, dir) = (port.to_string(), dir.display().to_string());
    let mut argv = vec!["redis-server", "--port", &port, "--bind", "192.0.2.1"];
    argv.extend(["--requirepass", PASSWORD, "--masterauth", PASSWORD]);
    argv.extend([
        "--save",
        "",
        "--dir",
        &dir,
        "--repl-diskless-sync-delay",
        "0",
    ]);
    argv.extend(more);
    host.spawn(&format!("redis-{port}"), &argv)
}

fn tell(host: &Host, port: u16, words: &[&str]) -> Outcome<String> {
    let port = port.to_string();
    let mut argv = vec!["redis-cli", "-h", "192.0.2.1", "-p", &port, "-a", PASSWORD];
    argv.push("--no-auth-warning");
    argv.extend(words);
    host.run(&argv)
}

fn conf(file: &str) -> String {
    let check = |more: &str| {
        format!(
            "@vipd REDIS_CHECK {{\n@vipd password_file {file}\n@vipd log_all_failures\n{more}@vipd }}"
        )
    };
    service(8001, &[6379, 6380], &check("@vipd role master\n"))
        + &service(8002, &[6379, 6380], &check("@vipd role replica\n"))
        + &service(8003, &[6390], &check("@vipd tls on\n"))
        + &service(8004, &[6390], &check("@vipd tls verify\n"))
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.host;
    let dir = host.dir().display().to_string();
    let (key, file) = (format!("{dir}/key.pem"), format!("{dir}/password"));
    fs::write(&key, KEY)?;
    fs::write(&file, format!("{PASSWORD}\n"))?;
    let tls = [
        "--tls-port",
        "6390",
        "--tls-cert-file",
        &key,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let mut master = redis(host, 6379, &tls)?;
    let replica = redis(host, 6380, &["--replicaof", "192.0.2.1 6379"])?;
    let linked = || {
        let role = host.try_run(&[
            "redis-cli",
            "-h",
            "192.0.2.1",
            "-p",
            "6380",
            "-a",
            PASSWORD,
            "--no-auth-warning",
            "role",
        ])?;
        Ok(role.stdout.contains("connected"))
    };
    wait_until("the replica follows", SETTLED, linked)?;
    let mut daemon = site.start(lab, &conf(&file))?;
    site.wait_pools(
        lab,
        "a master and a replica",
        &["8001>6379*100", "8002>6380*100", "8003>6390*100"],
    )?;
    daemon.wait_log("certificate", 1, SETTLED)?;
    tell(host, 6379, &["config", "set", "requirepass", "other"])?;
    site.wait_pools(lab, "another password", &["8002>6380*100"])?;
    daemon.wait_log("AUTH: WRONGPASS", 1, SETTLED)?;
    master.kill()?;
    site.wait_pools(lab, "the master is gone, and with it the link", &[])?;
    daemon.wait_log(
        "the link of this replica to its master is `connect",
        1,
        SETTLED,
    )?;
    tell(host, 6380, &["replicaof", "no", "one"])?;
    site.wait_pools(lab, "the replica is master", &["8001>6380*100"])?;
    replica.signal(19)?;
    site.wait_pools(lab, "it hangs", &[])?;
    daemon.wait_log("no answer within 1s", 1, SETTLED)?;
    replica.signal(18)?;
    site.wait_pools(lab, "it goes on", &["8001>6380*100"])?;
    ensure!(
        !daemon.log().contains(PASSWORD),
        "the password is not in the log"
    );
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
