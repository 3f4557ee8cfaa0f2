//! `vipd -t`: what is wrong with a configuration, with keepalived's exit statuses where they make sense.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{Code, Diagnostic, Style};
use crate::daemon::prepare;

use super::args::RunArgs;

/// It would not run.
const ERRORS: u8 = 4;
/// It would run, and somebody should look at it.
const WARNINGS: u8 = 5;
/// It would run, and as root what others may replace.
const SECURITY: u8 = 6;

/// Reads the file, prints every problem to standard error, or to `log` unless that is `-`.
pub(super) fn run(args: &RunArgs, log: &Path) -> ExitCode {
    let options = args.options();
    let file = match prepare::config_file(options.file.as_deref()).and_then(|file| {
        prepare::readable(&file)?;
        Ok(file)
    }) {
        Ok(file) => file,
        Err(failure) => {
            super::say(&failure.text);
            return ExitCode::from(ERRORS);
        }
    };
    let loaded = prepare::load(&file, &options.reading);
    let to_log = log != Path::new("-");
    let style = if super::wants_colour(&std::io::stderr()) && !to_log {
        Style::Colour
    } else {
        Style::Plain
    };
    let text = loaded.render(style);
    if to_log {
        if let Err(error) = std::fs::write(log, &text) {
            super::say(&format!("write {}: {error}", log.display()));
            return ExitCode::from(ERRORS);
        }
    } else if !text.is_empty() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
    let unsafe_script = |d: &Diagnostic| d.code == Code::ScriptSecurity;
    match (loaded.has_errors(), text.is_empty()) {
        (true, _) => ExitCode::from(ERRORS),
        (false, false) if loaded.diagnostics.iter().any(unsafe_script) => ExitCode::from(SECURITY),
        (false, false) => ExitCode::from(WARNINGS),
        (false, true) => ExitCode::SUCCESS,
    }
}
