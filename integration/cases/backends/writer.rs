//! A pool with one writer beside one of readers, on servers whose agents say how they are.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::agent::agent;
use super::{SETTLED, Site, pools_of, service};
use crate::lab::Lab;
use crate::lab::check::{Doing, Failure, Outcome, ensure, ensure_eq, wait_until};

const SERVERS: [u16; 3] = [9001, 9002, 9003];

type Line = Arc<Mutex<&'static str>>;

fn conf(failback: &str) -> String {
    let check = "@vipd HAPROXY_CHECK {\n@vipd }";
    let with = |port: u16, line: &str| {
        let service = service(port, &SERVERS, check);
        service.replacen("delay_loop", &format!("{line} delay_loop"), 1)
    };
    let writer = format!("@vipd one_writer order\n{failback}@vipd on_down kill\n");
    with(3306, &writer) + &with(3307, "@vipd readers_of 192.0.2.200 3306\n")
}

/// Waits for pools, and looks at every table on the way: whoever writes does so alone.
fn wait(lab: &Lab, site: &Site<'_>, what: &str, expected: &[&str]) -> Outcome {
    let so = || {
        let pools = pools_of(&site.host)?;
        let writers = pools
            .iter()
            .filter(|p| p.starts_with("3306>") && !p.ends_with("*0"));
        let writers = writers.count();
        if writers > 1 {
            return Err(Failure::failed(format!(
                "{what}: {writers} write: {pools:?}"
            )));
        }
        Ok(pools == expected)
    };
    let took = wait_until(format!("{what}: {expected:?}"), SETTLED, so)?;
    lab.note(format!("{what}: {expected:?} after {took:.1?}"));
    Ok(())
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let mut lines: Vec<Line> = Vec::new();
    for port in SERVERS {
        let address = format!("192.0.2.1:{port}");
        let listener = site.host.within(|| TcpListener::bind(&address))?;
        let line = Arc::new(Mutex::new("up\n"));
        agent(listener.doing(&address)?, Arc::clone(&line));
        lines.push(line);
    }
    let say = |server: usize, what: &'static str| {
        if let Some(mut line) = lines.get(server).and_then(|line| line.lock().ok()) {
            *line = what;
        }
    };
    let mut daemon = site.start(lab, &conf(""))?;
    let readers =
        |writer: u16| SERVERS.map(|n| format!("3307>{n}*{}", if n == writer { 0 } else { 100 }));
    let with = |writer: u16| {
        let mut all = vec![format!("3306>{writer}*100")];
        all.extend(readers(writer));
        all
    };
    let is = |what: &str, expected: &[String]| {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        wait(lab, &site, what, &expected)
    };
    is("the first of the file", &with(9001))?;
    say(0, "down # no disk\n");
    // Where somebody asks for on_down kill, the servers of others keep their places.
    let mut expected = with(9002);
    "3307>9001*0".clone_into(&mut expected[1]);
    is("it is down", &expected)?;
    say(0, "up\n");
    is("it is well again, and the writer stays", &with(9002))?;
    daemon.reload(&conf("@vipd writer_failback\n"))?;
    is("it fails back once that is wanted", &with(9001))?;
    // Nobody else is left: the writer reads as well.
    say(1, "down\n");
    say(2, "maint\n");
    let alone = [
        "3306>9001*100",
        "3307>9001*100",
        "3307>9002*0",
        "3307>9003*0",
    ];
    is("nobody else is up", &alone.map(str::to_owned))?;
    say(1, "up\n");
    say(2, "up\n");
    is("they are again", &with(9001))?;
    daemon.kill()?;
    ensure_eq!(pools_of(&site.host)?, with(9001), "what a crash leaves");
    say(0, "down\n");
    daemon.start_again()?;
    let mut expected = with(9002);
    "3307>9001*0".clone_into(&mut expected[1]);
    is("it went down while nobody looked", &expected)?;
    let log = daemon.log();
    let said = "[192.0.2.1]:tcp:9002 is the writer of VS [192.0.2.200]:tcp:3306 in place of \
                [192.0.2.1]:tcp:9001";
    ensure!(log.contains(said), "the log says {said:?}: {log}");
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
