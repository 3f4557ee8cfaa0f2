//! The status page in a browser, and what a terminal shows of the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::scene::{Instance, Lan, Router, wait_owner};
use crate::lab::browser::Browser;
use crate::lab::check::{Outcome, ensure, ensure_eq};
use crate::lab::guest::{host_dir, vipd_path};
use crate::lab::terminal::Screen;
use crate::lab::traffic::Server;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "page.failover",
    proves: "a browser that has the status page open sees a failover without being told to look \
             again, with word and shape; by keyboard and on a phone; and says when vipd has gone; `vipd top` \
             shows the same in a terminal",
    limit: Duration::from_secs(120),
    run: failover,
}];

const PAGE: &str = "192.0.2.1:9165";
/// Between what happens and what the page shows: it asks every second.
const SHOWN: Duration = Duration::from_secs(10);
/// How long a browser may take to begin, in a guest that shares its CPU with others.
const BEGINS: Duration = Duration::from_secs(60);
const STATE: &str = "document.querySelector('#instance-list .badge')?.textContent";

/// Pictures for docs/pictures, in the run's directory, under the target directory. With VIPD_WRITE_DOCS set
/// they are copied there.
fn picture(name: &str) -> PathBuf {
    host_dir().join(format!("page-{name}.png"))
}

/// `vipd top` in a terminal, and its picture.
fn terminal(router: &mut Router) -> Outcome {
    let dir = router.daemon()?.file().with_file_name("run");
    let command = format!("{} top --run-dir {}", vipd_path(), dir.display());
    let screen = Screen::of(&router.host, &command, (124, 19), Duration::from_secs(4))?;
    let text = screen.text();
    for part in [
        "▲ MASTER",
        "  127.0.0.1:8081 ",
        "▼ down",
        "✔ TCP_CHECK: ",
        "Entering MASTER STATE",
        "q: end",
    ] {
        ensure!(text.contains(part), "the terminal has no {part:?}:\n{text}");
    }
    Ok(std::fs::write(
        host_dir().join("page-terminal.svg"),
        screen.svg("vipd top"),
    )?)
}

/// A service with one server that is up and one that is down.
const SERVICE: &str = "virtual_server 192.0.2.100 80 {\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n \
                       delay_loop 1\n real_server 127.0.0.1 8080 {\n weight 2\n TCP_CHECK {\n \
                       connect_timeout 1\n }\n }\n real_server 127.0.0.1 8081 {\n TCP_CHECK {\n \
                       connect_timeout 1\n }\n }\n}\n";

fn failover(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    let globals = format!("global_defs {{\n    @vipd page_listen {PAGE}\n}}\n");
    let script =
        "vrrp_script chk_nginx {\n    script \"/bin/true\"\n    interval 1\n    weight 10\n}\n";
    let tracks = Instance {
        priority: 150,
        lines: "track_script {\n        chk_nginx\n    }",
        unicast: None,
    };
    let _listens = Server::tcp(&high.host, "127.0.0.1:8080", "one")?;
    high.start(&format!("{globals}{script}{}{SERVICE}", tracks.text()))?;
    low.start(&Instance::plain(130))?;
    wait_owner(&high, &[&low])?;

    let began = Instant::now();
    let mut browser = Browser::start(&lan.client)?;
    browser.open(&format!("http://{PAGE}/"), (1100, 860))?;
    browser.wait(
        "the page is live",
        &format!("{STATE} === '▲ MASTER'"),
        BEGINS,
    )?;
    lab.note(format!(
        "it was shown after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    browser.wait(
        "it holds the address",
        "document.querySelector('#instance-list').innerText.includes('● here 192.0.2.100')",
        SHOWN,
    )?;
    browser.picture(&picture("master"))?;
    terminal(&mut high)?;

    // What a person types into stays what it is while the page changes.
    browser.press("/")?;
    ensure_eq!(
        browser.look("document.activeElement.id")?,
        "filter",
        "focus after /"
    );
    for key in ["V", "x"] {
        browser.press(key)?;
    }
    browser.wait(
        "nothing is called Vx",
        &format!("{STATE} === undefined"),
        SHOWN,
    )?;
    browser.look("document.querySelector('#filter').value = ''")?;
    browser.press("Escape")?;
    browser.press("4")?;
    ensure_eq!(
        browser.look("document.activeElement.id")?,
        "events",
        "focus after 4"
    );
    browser.press("1")?;
    browser.wait(
        "it is shown again",
        &format!("{STATE} === '▲ MASTER'"),
        SHOWN,
    )?;

    let dir = high
        .daemon()?
        .file()
        .with_file_name("run")
        .display()
        .to_string();
    high.host
        .run(&[&vipd_path(), "failover", "V", "--run-dir", &dir])?;
    let moved = Instant::now();
    browser.wait(
        "it is shown as backup",
        &format!("{STATE} === '▽ BACKUP'"),
        SHOWN,
    )?;
    lab.note(format!(
        "the failover was shown after {} ms",
        moved.elapsed().as_millis()
    ));
    for (what, expression) in [
        (
            "why",
            "document.querySelector('#instance-list .why').innerText.includes('192.0.2.2 advertises 130')",
        ),
        (
            "the address is not here",
            "document.querySelector('#instance-list').innerText.includes('○ not here 192.0.2.100')",
        ),
        (
            "who listens is told",
            "document.querySelector('#said').textContent === 'V is BACKUP'",
        ),
        (
            "the event",
            "document.querySelector('#event-list').innerText.includes('Entering BACKUP STATE')",
        ),
        ("the title", "document.title.startsWith('▽ 0/1 master')"),
        (
            "the tracker",
            "document.querySelector('#tracker-list').innerText.includes('▲ up script chk_nginx')",
        ),
    ] {
        browser.wait(what, expression, SHOWN)?;
    }
    browser.picture(&picture("backup"))?;
    browser.resize((360, 740))?;
    let wide = browser.look("document.documentElement.scrollWidth")?;
    ensure!(
        wide.as_u64().is_some_and(|wide| wide <= 360),
        "on a phone it is {wide} wide"
    );
    browser.picture(&picture("phone"))?;

    // Everything can be reached by the keyboard alone.
    browser.look("document.activeElement.blur(); window.scrollTo(0, 0)")?;
    let mut reached = Vec::new();
    for _ in 0..14 {
        browser.press("Tab")?;
        let at = browser.look("document.activeElement.id || document.activeElement.tagName")?;
        reached.push(at.as_str().unwrap_or_default().to_owned());
    }
    for part in ["filter", "pause", "SUMMARY", "level"] {
        ensure!(
            reached.iter().any(|at| at == part),
            "{part} is not among {reached:?}"
        );
    }
    ensure!(
        browser.faults().is_empty(),
        "the page failed: {:?}",
        browser.faults()
    );
    high.stop()?;
    browser.wait(
        "it says that nobody answers",
        "document.querySelector('#live').textContent.startsWith('✖ no answer')",
        Duration::from_secs(12),
    )?;
    browser.close()
}
