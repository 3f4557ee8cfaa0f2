//! The terminal: the command line, its help, and what is printed. Nothing that runs.

pub mod args;
mod check;
mod config_test;
mod plan;

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::daemon;

/// What `main` does.
pub fn run() -> ExitCode {
    let args = args::Args::parse();
    match &args.command {
        Some(args::Command::Check(args)) => return check::run(args),
        Some(args::Command::Plan(args)) => return plan::run(args),
        None => {}
    }
    if let Some(log) = &args.config_test {
        return config_test::run(&args, log);
    }
    match daemon::run(&args.options()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.text);
            ExitCode::from(failure.status as u8)
        }
    }
}

/// Prints to standard error, where nobody may be listening.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "vipd: {text}");
}

/// Whether colours are welcome on a stream (<https://no-color.org>).
fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
