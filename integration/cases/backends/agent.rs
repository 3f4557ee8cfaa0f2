//! An agent that a real HAProxy asks as well.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{SETTLED, Site, service};
use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, ensure, wait_until};

/// What the agent says, and the weight that follows; `None`: out.
const LINES: &[(&str, Option<u32>)] = &[
    ("up\n", Some(100)),
    ("50%\n", Some(50)),
    ("ready 75% # busy\n", Some(75)),
    ("drain\n", Some(0)),
    ("ready 100%\n", Some(100)),
    ("down # no disk\n", None),
    ("up 20%\r\n", Some(20)),
    ("maint\n", None),
    ("ready up 100%\n", Some(100)),
    ("stopped\n", None),
    ("up,30%\n", Some(30)),
];

const AGENT: &str = "192.0.2.1:9001";

/// Says its line to everybody, until the process of the case ends.
pub(super) fn agent(listener: TcpListener, line: Arc<Mutex<&'static str>>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let said = line.lock().map_or("", |line| *line);
            let _ = stream.write_all(said.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
}

/// Weight of the server in HAProxy; `None`: it is down or in maintenance.
fn haproxy_weight(socket: &str) -> Outcome<Option<u32>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"show stat\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let line = text.lines().find(|line| line.starts_with("b,s,"));
    let fields: Vec<&str> = line.unwrap_or_default().split(',').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    // The manual, "CSV format": 17 is the status, 18 the weight.
    let out = field(17).starts_with("DOWN") || field(17).starts_with("MAINT");
    match field(17).starts_with("DRAIN") {
        true => Ok(Some(0)),
        false => Ok(field(18).parse().ok().filter(|_| !out)),
    }
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.host;
    let line = Arc::new(Mutex::new(LINES[0].0));
    let listener = host.within(|| TcpListener::bind(AGENT))?.doing(AGENT)?;
    agent(listener, Arc::clone(&line));
    let socket = format!("/tmp/haproxy-{}.sock", std::process::id());
    let file = host.dir().join("haproxy.cfg");
    fs::write(
        &file,
        format!(
            "global\n stats socket {socket}\ndefaults\n mode tcp\n timeout connect 1s\n timeout client 1s\n \
             timeout server 1s\nbackend b\n balance roundrobin\n server s 192.0.2.1:8001 weight 100 agent-check \
             agent-port 9001 agent-inter 500ms\n"
        ),
    )?;
    let file = file.display().to_string();
    let haproxy = host.spawn("haproxy", &["haproxy", "-db", "-f", &file])?;
    let check = "@vipd HAPROXY_CHECK {\n@vipd connect_port 9001\n@vipd }";
    let mut daemon = site.start(lab, &service(8001, &[80], check))?;
    for (says, weight) in LINES {
        if let Ok(mut line) = line.lock() {
            *line = *says;
        }
        let same = || Ok(haproxy_weight(&socket)? == *weight);
        wait_until(
            format!("HAProxy has {weight:?} for {says:?}"),
            SETTLED,
            same,
        )?;
        let expected = weight.map(|weight| format!("8001>80*{weight}"));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        site.wait_pools(lab, &format!("{says:?}"), &expected)?;
    }
    let log = daemon.log();
    for said in [
        "its agent says `down`: no disk",
        "its agent says `75%`: busy",
    ] {
        ensure!(log.contains(said), "the log says {said:?}: {log}");
    }
    drop(haproxy);
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
