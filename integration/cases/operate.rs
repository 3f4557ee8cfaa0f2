//! vipd in a cluster of containers, and read by programs: its configuration is a ConfigMap, its log is JSON,
//! and its answers are as the OpenAPI document says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::scene::{ELECTION, Instance, Lan, VIP};
use crate::lab::check::{Failure, Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::guest::vipd_path;
use crate::lab::net::Host;
use crate::lab::{Case, Lab};
use crate::schema;

pub(crate) const CASES: &[Case] = &[Case {
    name: "operate.config_map",
    proves: "with watch_config a ConfigMap that is swapped is in force without a signal, and a bad one \
             changes nothing and is told; with --log-format json each line is an object that names \
             instance and state; status is as the OpenAPI document says; reload_file goes when a file was \
             read, config_save_dir keeps it with the states around it, reload_time_file reloads in time",
    limit: Duration::from_secs(60),
    run: config_map,
}];

fn conf(dir: &Path, priority: &str) -> String {
    let text = Instance::plain(99).replace("priority 99", &format!("priority {priority}"));
    let dir = dir.display();
    format!(
        "global_defs {{\n    @vipd watch_config\n    reload_file {dir}/reloading\n    \
         config_save_dir {dir}/saved\n    reload_time_file {dir}/when\n}}\n{text}"
    )
}

fn get(host: &Host, daemon: &Daemon, path: &str) -> Outcome<Value> {
    let socket = daemon.file().with_file_name("run/control.sock");
    let socket = socket.display().to_string();
    let url = format!("http://vipd{path}");
    let text = host.run(&["curl", "-s", "--unix-socket", &socket, &url])?;
    Ok(serde_json::from_str(&text)?)
}

/// As the kubelet does it: another directory, and one link renamed.
fn swap(dir: &Path, to: &str, text: &str) -> Outcome {
    fs::create_dir(dir.join(to))?;
    fs::write(dir.join(to).join("daemon.conf"), text)?;
    symlink(to, dir.join("..data_tmp"))?;
    Ok(fs::rename(dir.join("..data_tmp"), dir.join("..data"))?)
}

fn config_map(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let only = lan.router("only", 1, Kind::Vipd)?;
    let host = &only.host;
    let words = ["--log-format", "json"];
    let files = lab.dir().to_owned();
    let conf = |priority| conf(&files, priority);
    let reloading = files.join("reloading");
    fs::write(&reloading, "who writes the configuration")?;
    let mut daemon = Daemon::start_with(Kind::Vipd, host, &conf("150"), &words)?;
    wait_until("it is master", ELECTION, || host.owns(VIP))?;
    ensure!(!reloading.exists(), "reload_file is there after the start");
    let is_master = |line: &Value| line["state"] == "MASTER" && line["instance"] == "V";
    let lines = daemon.log();
    let lines: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
    let lines = lines.map_err(|error| Failure::failed(format!("a line is no JSON: {error}")))?;
    ensure!(
        lines.iter().any(|line| is_master(line)
            && line["level"] == "info"
            && line["before"] == "BACKUP"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("(V) Entering"))),
        "no line says that V is MASTER: {lines:?}"
    );

    let dir = daemon.file().with_file_name("");
    let base = |daemon: &Daemon| -> Outcome<Value> {
        Ok(get(host, daemon, "/v1/status")?["instances"][0]["priority"]["base"].clone())
    };
    swap(&dir, "..1", &conf("140"))?;
    symlink("..data/daemon.conf", dir.join("new"))?;
    fs::rename(dir.join("new"), daemon.file())?;
    wait_until("a link in place of the file", ELECTION, || {
        Ok(base(&daemon)? == 140)
    })?;
    fs::write(&reloading, "who writes the configuration")?;
    swap(&dir, "..2", &conf("x"))?;
    wait_until("the bad one is refused", ELECTION, || {
        Ok(get(host, &daemon, "/v1/status")?["daemon"]["reload"]["done"] == false)
    })?;
    ensure!(
        base(&daemon)? == 140 && host.owns(VIP)?,
        "it changed something"
    );
    ensure!(!reloading.exists(), "reload_file is there after a reload");
    let run = daemon.file().with_file_name("run").display().to_string();
    let status = host.run(&[&vipd_path(), "status", "--run-dir", &run])?;
    ensure!(
        status.contains("RELOAD REFUSED") && status.contains("`priority` wants"),
        "{status}"
    );
    let document = get(host, &daemon, "/v1/openapi.json")?;
    let status = get(host, &daemon, "/v1/status?traffic=true")?;
    schema::fits(&document, "Status", &status).map_err(Failure::failed)?;
    swap(&dir, "..3", &conf("130"))?;
    wait_until("the next is in force", ELECTION, || {
        Ok(base(&daemon)? == 130)
    })?;
    in_time(host, &daemon, &files.join("when"))?;
    saved(&files.join("saved"))?;
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    Ok(())
}

/// A reload two seconds from now, by a file that is gone then.
fn in_time(host: &Host, daemon: &Daemon, file: &Path) -> Outcome {
    let reload = || -> Outcome<Value> {
        Ok(get(host, daemon, "/v1/status")?["daemon"]["reload"]["at"].clone())
    };
    let before = reload()?;
    let at = host.sh("date -u -d '2 seconds' '+%Y-%m-%d %H:%M:%SZ'")?;
    fs::write(file, at)?;
    daemon.wait_log("reload at ", 1, ELECTION)?;
    ensure!(before == reload()?, "it was not in time, but at once");
    wait_until("it is time", ELECTION, || {
        Ok(before != reload()? && !file.exists())
    })
    .map(drop)
}

/// Four reloads, of which one was refused.
fn saved(dir: &Path) -> Outcome {
    let ended = |end: &str| -> Outcome<Vec<String>> {
        let entries: Result<Vec<_>, _> = fs::read_dir(dir)?.collect();
        let names = entries?.into_iter().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.ends_with(end));
        names.sort();
        Ok(names)
    };
    for (end, count) in [
        (".before.json", 4),
        (".conf", 4),
        (".after.json", 3),
        (".refused", 1),
    ] {
        wait_until(format!("{count} of *{end}"), ELECTION, || {
            Ok(ended(end)?.len() == count)
        })?;
    }
    let base = |end: &str, number: usize| -> Outcome<Value> {
        let text = fs::read(dir.join(&ended(end)?[number]))?;
        let status: Value = serde_json::from_slice(&text)?;
        Ok(status["instances"][0]["priority"]["base"].clone())
    };
    // The third of the reloads, and the second that was in force.
    let (before, after) = (base(".before.json", 2)?, base(".after.json", 1)?);
    ensure!(before == 140 && after == 130, "states: {before}, {after}");
    let read = fs::read_to_string(dir.join(&ended(".conf")?[1]))?;
    ensure!(read.contains("priority x"), "what was refused:\n{read}");
    Ok(())
}
