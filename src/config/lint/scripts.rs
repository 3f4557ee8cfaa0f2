//! Scripts: whether the kernel can run them, and whether they can end in time.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::config::diagnostic::Diagnostics;
use crate::config::model::{CheckerKind, Run};
use crate::config::source::Span;
use crate::config::{Config, Files, Origins, ScriptFile};

use super::risk;

/// How long a command may run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Limit {
    timeout: Duration,
    linger: Duration,
}

pub(super) fn lint(
    config: &Config,
    origins: &Origins,
    files: &dyn Files,
    diagnostics: &mut Diagnostics,
) {
    let mut check = Check {
        files,
        diagnostics,
        seen: BTreeSet::new(),
    };
    for script in config.scripts.values() {
        let span = origins.scripts.get(&script.name).copied();
        let limit = Limit {
            timeout: script.timeout,
            linger: script.linger,
        };
        check.command(&script.argv, Some(limit), span);
    }
    for server in &config.virtual_servers {
        let span = origins.virtual_servers.get(&server.address).copied();
        let checkers = server.real_servers.iter().flat_map(|real| &real.checkers);
        for checker in checkers {
            if let CheckerKind::Misc(misc) = &checker.kind {
                let limit = Limit {
                    timeout: misc.timeout,
                    linger: Duration::ZERO,
                };
                check.command(&misc.argv, Some(limit), span);
            }
        }
        let settings = server.real_servers.iter().map(|real| &real.more);
        let notify = settings.flat_map(|more| more.notify_up.iter().chain(&more.notify_down));
        let quorum = server.pool.quorum_up.iter().chain(&server.pool.quorum_down);
        check.runs(notify.chain(quorum), span);
    }
    for instance in &config.instances {
        let span = origins.instances.get(&instance.name).copied();
        let settings = &instance.more.settings;
        let notify = [
            &settings.notify_master,
            &settings.notify_backup,
            &settings.notify_fault,
            &settings.notify_stop,
            &settings.notify_deleted,
            &settings.notify_master_rx_lower_pri,
            &settings.notify,
        ];
        check.runs(notify.into_iter().flatten(), span);
    }
    for group in &config.sync_groups {
        let span = origins.sync_groups.get(&group.name).copied();
        let settings = &group.settings;
        let notify = [
            &settings.notify_master,
            &settings.notify_backup,
            &settings.notify_fault,
            &settings.notify_stop,
            &settings.notify,
        ];
        check.runs(notify.into_iter().flatten(), span);
    }
}

struct Check<'a> {
    files: &'a dyn Files,
    diagnostics: &'a mut Diagnostics,
    /// Commands that were looked at, with their timeout.
    seen: BTreeSet<(Vec<String>, Option<Limit>)>,
}

impl Check<'_> {
    fn runs<'r>(&mut self, runs: impl Iterator<Item = &'r Run>, span: Option<Span>) {
        for run in runs {
            self.command(&run.argv, None, span);
        }
    }

    fn command(&mut self, argv: &[String], limit: Option<Limit>, span: Option<Span>) {
        let Some((program, arguments)) = argv.split_first() else {
            return;
        };
        if !self.seen.insert((argv.to_vec(), limit)) {
            return;
        }
        let shell = program.ends_with("sh");
        // A shell reads the file behind it whether or not the kernel could run it.
        let mut files = Vec::new();
        if let Some(file) = self.file(program) {
            self.shebang(program, &file, span);
            files.push((program, file));
        }
        if let Some(script) = arguments.first().filter(|_| shell)
            && let Some(file) = self.file(script)
        {
            files.push((script, file));
        }
        for (path, file) in &files {
            self.writable(path, file, span);
        }
        let texts = files
            .iter()
            .map(|(_, file)| String::from_utf8_lossy(&file.head).into_owned());
        let inline = arguments.iter().filter(|_| shell).cloned();
        let slept = texts.chain(inline).filter_map(|text| longest_sleep(&text));
        if let (Some(slept), Some(limit)) = (slept.max(), limit)
            && slept >= limit.timeout
        {
            self.sleeps(argv, slept, limit, span);
        }
    }

    fn sleeps(&mut self, argv: &[String], slept: Duration, limit: Limit, span: Option<Span>) {
        let command = argv.join(" ");
        let (timeout, longest) = (limit.timeout, limit.timeout + limit.linger);
        let (slept_s, timeout_s) = (slept.as_secs_f64(), timeout.as_secs_f64());
        let warning = if slept < longest {
            let message = format!(
                "`{command}` sleeps {slept_s} s and counts as failed after {timeout_s} s; it is left to end \
                 within {} s",
                longest.as_secs_f64()
            );
            risk(span, message).note("keepalived ends it: what follows the sleep never runs")
        } else {
            let killed_s = longest.as_secs_f64();
            let message = format!(
                "`{command}` sleeps {slept_s} s and is killed after {killed_s} s: it fails"
            );
            risk(span, message).note("keepalived does the same")
        };
        let hint = "raise `timeout`, or let it not sleep".to_owned();
        self.diagnostics.push(warning.hint(hint));
    }

    fn file(&self, path: &str) -> Option<ScriptFile> {
        let path = Path::new(path);
        path.is_absolute().then(|| self.files.script(path))?
    }

    fn shebang(&mut self, path: &str, file: &ScriptFile, span: Option<Span>) {
        let head = &file.head;
        if head.starts_with(b"#!") || head.is_empty() || head.contains(&0) {
            return;
        }
        let lines = head
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii_start);
        let late = lines
            .zip(1..)
            .find(|(line, _)| line.starts_with(b"#!") || line.starts_with(b"\xef\xbb\xbf#!"));
        let message = match late {
            Some((_, 1)) => format!("`{path}` does not begin with `#!` but with something unseen"),
            Some((_, line)) => format!("`#!` of `{path}` stands on line {line}, not on the first"),
            None => format!("`{path}` has no `#!` line"),
        };
        self.diagnostics.push(
            risk(span, message)
                .label("the kernel cannot run it: /bin/sh does")
                .note("keepalived takes it for a success each time")
                .hint("begin the file with `#!/bin/sh`".to_owned()),
        );
    }

    fn writable(&mut self, path: &str, file: &ScriptFile, span: Option<Span>) {
        // What is said of it as root's script says more.
        let said = self.files.audit(path, None).replaceable.is_some();
        if file.writable_by_all && !said {
            let message = format!("everybody may write to `{path}`");
            self.diagnostics.push(
                risk(span, message)
                    .label("and so run what they like as the user who runs it")
                    .note("keepalived does not run it with `enable_script_security`")
                    .hint(format!("chmod o-w {path}")),
            );
        }
    }
}

/// The longest `sleep N` of a shell script, comments left out.
fn longest_sleep(text: &str) -> Option<Duration> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let sleeps = lines.filter_map(|line| {
        let mut words = line.split([' ', '\t', ';', '&', '|', '(', ')', '`', '\'', '"']);
        let mut longest = None;
        while let Some(word) = words.next() {
            if matches!(word, "sleep" | "/bin/sleep" | "/usr/bin/sleep") {
                let slept = words.find(|word| !word.is_empty()).and_then(duration);
                longest = longest.max(slept);
            }
        }
        longest
    });
    sleeps.max()
}

/// `sleep`'s argument: a number with s, m, h or d.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (text.get(..at)?, 1.0),
        (at, 'm') => (text.get(..at)?, 60.0),
        (at, 'h') => (text.get(..at)?, 3600.0),
        (at, 'd') => (text.get(..at)?, 86400.0),
        _ => (text, 1.0),
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok()
}
