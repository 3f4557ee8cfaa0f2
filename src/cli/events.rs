//! `vipd events`: what happened.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::control::model::{Event, Missing};
use crate::kernel::clock;

use super::client::Whom;

/// Show what happened, the newest last
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The last 1024 events are kept. Each has a number; where some are missing, it says how many.

Examples:
  vipd events                  what is kept
  vipd events --follow         the same, and everything that happens from now on
  vipd events --after 1200     what happened behind number 1200
  vipd events --json           for programs, one object in each line")]
pub struct EventsArgs {
    /// Go on with what happens
    #[arg(short, long)]
    follow: bool,

    /// Only those with a higher number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,

    /// One JSON object for each
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    whom: Whom,
}

/// Runs the command.
pub(super) fn run(args: &EventsArgs) -> Result<ExitCode, String> {
    let path = format!("/v1/events?after={}&follow={}", args.after, args.follow);
    let mut out = io::stdout().lock();
    args.whom.follow(&path, |line| {
        let written = match args.json {
            true => out.write_all(line).and_then(|()| out.write_all(b"\n")),
            false => writeln!(out, "{}", words(line)),
        };
        // Whoever reads may have enough.
        written.and_then(|()| out.flush()).is_ok()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A line for people.
fn words(line: &[u8]) -> String {
    if let Ok(event) = serde_json::from_slice::<Event>(line) {
        let at = clock::local_words(&event.time);
        let level = match event.level.as_str() {
            "info" => String::new(),
            level => format!("{level}: "),
        };
        return format!("{:>6} {at} {level}{}", event.number, event.text);
    }
    match serde_json::from_slice::<Missing>(line) {
        Ok(missing) => format!("       {} events are missing", missing.missing),
        Err(_) => String::from_utf8_lossy(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_what_is_missing_is_said() {
        let line =
            br#"{"number":7,"time":"2001-09-09T01:46:40.000Z","level":"warning","kind":"vrrp",
            "name":"V","text":"(V) Entering FAULT STATE: interface eth0 is down"}"#;
        let text = words(line);
        assert!(text.starts_with("     7 2001-09-0"), "{text}");
        assert!(
            text.ends_with(" warning: (V) Entering FAULT STATE: interface eth0 is down"),
            "{text}"
        );
        assert_eq!(words(br#"{"missing":3}"#), "       3 events are missing");
        assert_eq!(words(b"what"), "what");
    }
}
