//! How long a large configuration takes to be read and checked, beside `keepalived -t` on the same file
//! in the same run: 2277 virtual servers with 16 real servers each, and their checks; and 65,025 instances
//! that two loops make, which keepalived is given a limit for.
//!
//! `cargo bench --bench parse [-- ROUNDS] [--into FILE]`. Programs take turns, so that what else the machine
//! does falls on both; only the ratio means something. Without a keepalived it stands alone. `scripts/bench`
//! makes a table of the values that go into the file.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark: it has a clock, prints, and ends when it cannot work"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VIRTUAL_SERVERS: usize = 2277;
const REAL_SERVERS: usize = 16;
const ROUNDS: usize = 9;
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// For one run. keepalived looks through all instances for each one, and takes minutes for these.
const LIMIT: Duration = Duration::from_secs(300);

/// One file, and how often it is read.
struct Work {
    row: String,
    text: String,
    rounds: usize,
}

fn main() {
    // cargo passes --bench; a number is the rounds.
    let rounds: usize = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(ROUNDS);
    let works = [
        Work {
            row: format!("{VIRTUAL_SERVERS} x {REAL_SERVERS}: -t"),
            text: virtual_servers(),
            rounds: rounds.max(1),
        },
        Work {
            row: "65,025 instances by ~SEQ: -t".to_owned(),
            text: INSTANCES.to_owned(),
            rounds: 1,
        },
    ];
    let mut values = String::new();
    for work in &works {
        values += &compare(work);
    }
    if let Some(into) = std::env::args().skip_while(|arg| arg != "--into").nth(1) {
        std::fs::write(into, values).expect("the values are kept");
    }
}

fn compare(work: &Work) -> String {
    let file = std::env::temp_dir().join(format!("vipd-bench-{}.conf", std::process::id()));
    std::fs::write(&file, &work.text).expect("a scratch file");
    let vipd = Path::new(env!("CARGO_BIN_EXE_vipd"));
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..work.rounds {
        ours.extend(run(vipd, &file));
        theirs.extend(run(Path::new("keepalived"), &file));
    }
    let _ = std::fs::remove_file(&file);
    println!("{}, rounds: {}", work.row, work.rounds);
    let values = lines(&work.row, &[("vipd", &ours), ("keepalived", &theirs)]);
    let ours = report("vipd -t", &mut ours).expect("vipd reads the file");
    match report("keepalived -t", &mut theirs) {
        Some(theirs) => println!("ratio of the medians: {:.3}", ours.div_duration_f64(theirs)),
        None => println!("keepalived is not installed: nothing to compare with"),
    }
    values
}

/// One value each: what, who, unit, value, with tabs between.
fn lines(row: &str, both: &[(&str, &Vec<Duration>)]) -> String {
    let mut text = String::new();
    for (who, times) in both {
        for time in *times {
            let ms = time.as_secs_f64() * 1e3;
            let _ = writeln!(text, "{row}\t{who}\tms\t{ms:.3}");
        }
    }
    text
}

/// Wall time of one run, [`LIMIT`] for one that took longer; `None` where the program is missing.
fn run(program: &Path, file: &Path) -> Option<Duration> {
    let began = Instant::now();
    let mut child = Command::new(program)
        .arg("-t")
        .arg("-f")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let ended = loop {
        if let Some(ended) = child.try_wait().ok()? {
            break ended;
        }
        if began.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            println!("{} was ended after {LIMIT:?}", program.display());
            return Some(LIMIT);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    // keepalived ends with 5 where it has something to say; a run that fails at once is no time.
    matches!(ended.code(), Some(0 | 5)).then(|| began.elapsed())
}

fn report(name: &str, times: &mut [Duration]) -> Option<Duration> {
    times.sort();
    let median = *times.get(times.len() / 2)?;
    let (least, most) = (times.first()?, times.last()?);
    println!("{name:14} median {median:.1?}, {least:.1?} to {most:.1?}");
    Some(median)
}

fn virtual_servers() -> String {
    let mut text = String::new();
    for service in 0..VIRTUAL_SERVERS {
        let (high, low) = (service / 256, service % 256);
        let _ = writeln!(
            text,
            "virtual_server 10.{high}.{low}.1 80 {{\n    delay_loop 5\n    lb_algo wrr\n    \
             lb_kind NAT\n    protocol TCP"
        );
        for server in 1..=REAL_SERVERS {
            let _ = writeln!(
                text,
                "    real_server 172.{}.{low}.{server} 80 {{\n        weight 1\n        TCP_CHECK \
                 {{\n            connect_timeout 3\n        }}\n    }}",
                16 + high
            );
        }
        text.push_str("}\n");
    }
    text
}

/// In the way of the example in keepalived.conf(5).
const INSTANCES: &str = r"global_defs {
    dynamic_interfaces
}
$INSTANCE= \
vrrp_instance V${IF}_${ID} { \
    interface eth${IF} \
    virtual_router_id ${ID} \
    priority 100 \
    advert_int 1 \
    virtual_ipaddress { \
        10.${IF}.${ID}.1/24 \
    } \
}
~SEQ(IF, 0, 254) ~SEQ(ID, 1, 255) $INSTANCE
";
