//! The terminal: the command line, its help, and what is printed. Nothing that runs.

pub mod args;
mod config_test;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::daemon;

/// What `main` does.
pub fn run() -> ExitCode {
    let args = args::Args::parse();
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

/// Whether colours are welcome on standard error.
fn wants_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
