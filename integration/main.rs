//! The integration tests: vipd beside the real keepalived on a real kernel with IPVS.
//!
//! One binary plays every part. On this machine it boots a guest (Debian's user-mode-linux) and
//! reports what happens there; inside the guest it is the init process, then one process for each
//! case. It is no unit test: it needs the packages that `scripts/lib/install` installs.
//!
//! `cargo test --release --test integration -- [--list] [--daemon vipd|keepalived] [NAME...]`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a test harness: it has a clock, sleeps, prints its report and ends with its verdict"
)]

mod bench;
mod cases;
mod demo;
mod lab;
#[path = "../tests/control/schema.rs"]
mod schema;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if lab::guest::is_init() {
        return lab::guest::init();
    }
    match args.first().map(String::as_str) {
        Some("--role=beside") => lab::guest::run_beside(),
        Some("--role=guest") => lab::guest::run_cases(),
        Some("--role=case") => lab::guest::run_one_case(args.get(1).map_or("", String::as_str)),
        Some("bench") => bench::main(args.get(1..).unwrap_or_default()),
        Some("demo") => demo::main(args.get(1..).unwrap_or_default()),
        _ => lab::host::main(&args),
    }
}
