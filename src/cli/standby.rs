//! `vipd standby`: this node yields, and stays yielded.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::ValueEnum;

use crate::daemon::options::STATE_DIR;
use crate::daemon::standby::{self, Standby};
use crate::errno::Words;

/// Have this node yield all its addresses, and stay so over restarts and reboots until told otherwise
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
`on` hands every address over at once, without a gap, and from then on this node claims none, even if
no other router is left. `off` lets it take part again: it preempts, unless nopreempt. Without either
word it prints what holds. It is kept in a file of the state directory, which a running vipd watches,
and one that starts reads before it does anything.

Exit status: 0, or 1 when the file cannot be written.

Example:
  vipd standby on --reason 'new memory, ask Ann'")]
pub struct StandbyArgs {
    /// Stand by, or take part again [default: say what holds]
    #[arg(value_enum, value_name = "on|off")]
    what: Option<Switch>,

    /// Why, for the log and for whoever looks
    #[arg(long, value_name = "TEXT", requires = "what")]
    reason: Option<String>,

    /// What the daemon was given as --state-dir
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    state_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Yield, and stay so
    On,
    /// Take part again
    Off,
}

/// Runs the command.
pub(super) fn run(args: &StandbyArgs) -> ExitCode {
    let dir = &args.state_dir;
    let wanted = match args.what {
        None => {
            let text = match standby::read(dir) {
                Some(standby) => standby.to_string(),
                None => "this node takes part".to_owned(),
            };
            let _ = writeln!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Some(Switch::On) => Some(Standby {
            since: now(),
            reason: args.reason.clone(),
        }),
        Some(Switch::Off) => None,
    };
    if let Err(error) = standby::write(dir, wanted.as_ref()) {
        super::say(&format!("write to {}: {}", dir.display(), Words(&error)));
        return ExitCode::FAILURE;
    }
    let text = match wanted {
        Some(_) => "this node stands by: it yields what it has, and claims nothing",
        None => "this node takes part again",
    };
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "for people to read, nothing else"
)]
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
