//! The terminal: the command line, its help, and what is printed. Nothing that runs.

pub mod args;
mod check;
mod client;
mod config_test;
mod doctor;
mod events;
mod genhash;
mod import;
mod init;
mod manual;
mod orders;
mod overrides;
mod plan;
mod standby;
mod status;
mod top;
mod why;

use std::ffi::OsString;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::control::keepalived::SIGNUMS;
use crate::daemon;

/// What `main` does.
pub fn run() -> ExitCode {
    if let Some(args) = as_genhash(std::env::args_os()) {
        return genhash::run(&genhash::Genhash::parse_from(args).args);
    }
    let line: Vec<OsString> = std::env::args_os().collect();
    let args::Args { mut run, command } = args::Args::of(&line);
    run.called_by(line.into_iter().next());
    let run = run;
    match &command {
        Some(args::Command::Genhash(args)) => return genhash::run(args),
        Some(args::Command::Check(args)) => return check::run(args),
        Some(args::Command::Plan(args)) => return plan::run(args),
        Some(args::Command::Doctor(args)) => return doctor::run(args),
        Some(args::Command::Init(args)) => return init::run(args),
        Some(args::Command::Import(args)) => return import::run(args),
        Some(args::Command::Manual(args)) => return manual::run(args),
        Some(args::Command::Standby(args)) => return standby::run(args),
        Some(command) => return asked(command),
        None => {}
    }
    if let Some(function) = &run.signum {
        return signum(function);
    }
    if let Some(log) = &run.config_test {
        return config_test::run(&run, log);
    }
    match daemon::run(&run.options()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.text);
            ExitCode::from(failure.status as u8)
        }
    }
}

/// Called by the name `genhash`, or as keepalived with `--genhash` first: the command line without that.
fn as_genhash(args: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut args: Vec<OsString> = args.collect();
    let name = Path::new(args.first()?).file_name();
    if name.is_some_and(|name| name == "genhash") {
        return Some(args);
    }
    let first = args.get(1)?;
    (first == "--genhash" || first == "-T").then(|| {
        args.remove(1);
        args
    })
}

/// `--signum`: which signal asks for something, for programs that send them.
fn signum(function: &str) -> ExitCode {
    let known = SIGNUMS.iter().find(|(name, _)| *name == function);
    if let Some((_, number)) = known {
        let _ = writeln!(std::io::stdout(), "{number}");
        return ExitCode::SUCCESS;
    }
    say(&format!("--signum: there is no signal for {function}"));
    ExitCode::FAILURE
}

/// Commands that ask the vipd that runs.
fn asked(command: &args::Command) -> ExitCode {
    let done = match command {
        args::Command::Status(args) => status::run(args),
        args::Command::Top(args) => top::run(args),
        args::Command::Why(args) => why::run(args),
        args::Command::Events(args) => events::run(args),
        args::Command::Reload(args) => orders::reload(args),
        args::Command::Stop(args) => orders::stop(args),
        args::Command::Failover(args) => orders::failover(args),
        args::Command::Announce(args) => orders::announce(args),
        args::Command::Drain(args) => overrides::drain(args),
        args::Command::Undrain(args) => overrides::undrain(args),
        args::Command::Weight(args) => overrides::weight(args),
        args::Command::Pause(args) => overrides::pause(args),
        args::Command::Resume(args) => overrides::resume(args),
        args::Command::Check(_)
        | args::Command::Plan(_)
        | args::Command::Doctor(_)
        | args::Command::Init(_)
        | args::Command::Import(_)
        | args::Command::Manual(_)
        | args::Command::Genhash(_)
        | args::Command::Standby(_) => {
            return ExitCode::FAILURE;
        }
    };
    done.unwrap_or_else(|error| {
        say(&error);
        ExitCode::FAILURE
    })
}

/// Prints to standard error, where nobody may be listening.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "vipd: {text}");
}

/// Whether colours are welcome on a stream (<https://no-color.org>).
fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genhash_is_what_it_is_called() {
        let asked =
            |line: &str| as_genhash(line.split(' ').map(OsString::from)).map(|args| args.len());
        assert_eq!(asked("/usr/bin/genhash -S"), Some(2));
        assert_eq!(asked("vipd --genhash -S"), Some(2));
        assert_eq!(asked("vipd -T -S"), Some(2));
        assert_eq!(asked("vipd -n --genhash"), None);
        assert_eq!(asked("vipd"), None);
    }
}
