//! Programs that cannot be run, or must not be: they are left out of the configuration, and it is said why.
//!
//! As in keepalived whoever tracks such a script goes on as if it did not: a script that was never there
//! must not keep a node out of the election.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::model::{CheckerKind, Run, ScriptUser};
use super::source::Span;
use super::{Audit, Config, Files, Origins};

/// Asks about every program, says what is wrong, and leaves out what cannot or must not be run.
pub(super) fn disable(
    config: &mut Config,
    origins: &Origins,
    files: &dyn Files,
    diagnostics: &mut Diagnostics,
) {
    let mut judge = Judge {
        files,
        diagnostics,
        secure: config.globals.enable_script_security,
        default_user: config.globals.script_user.clone(),
        asked: BTreeMap::new(),
    };
    judge.tracked(config, origins);
    judge.servers(config, origins);
    for instance in config.instances.iter_mut().map(Arc::make_mut) {
        let span = origins.instances.get(&instance.name).copied();
        let s = &mut instance.more.settings;
        judge.runs(
            [
                &mut s.notify_master,
                &mut s.notify_backup,
                &mut s.notify_fault,
                &mut s.notify_stop,
                &mut s.notify_deleted,
                &mut s.notify_master_rx_lower_pri,
                &mut s.notify,
            ],
            span,
        );
    }
    for group in &mut config.sync_groups {
        let span = origins.sync_groups.get(&group.name).copied();
        let s = &mut group.settings;
        judge.runs(
            [
                &mut s.notify_master,
                &mut s.notify_backup,
                &mut s.notify_fault,
                &mut s.notify_stop,
                &mut s.notify,
            ],
            span,
        );
    }
    let s = &mut config.globals.scripts;
    judge.runs(
        [
            &mut s.startup_script,
            &mut s.shutdown_script,
            &mut s.notify_fifo_script,
            &mut s.vrrp_notify_fifo_script,
            &mut s.lvs_notify_fifo_script,
        ],
        None,
    );
}

/// Program and user.
type Asked = (String, Option<(String, Option<String>)>);

struct Judge<'a> {
    files: &'a dyn Files,
    diagnostics: &'a mut Diagnostics,
    secure: bool,
    default_user: Option<ScriptUser>,
    /// What was asked about already, and whether it may run.
    asked: BTreeMap<Asked, bool>,
}

impl Judge<'_> {
    fn tracked(&mut self, config: &mut Config, origins: &Origins) {
        let mut gone = BTreeSet::new();
        config.scripts.retain(|name, script| {
            let span = origins.scripts.get(name).copied();
            let keep = self.may_run(&script.argv, script.user.as_ref(), span, "nobody tracks it");
            if !keep {
                gone.insert(name.clone());
            }
            keep
        });
        if gone.is_empty() {
            return;
        }
        for instance in config.instances.iter_mut().map(Arc::make_mut) {
            instance
                .more
                .track_scripts
                .retain(|t| !gone.contains(&t.script));
        }
        for group in &mut config.sync_groups {
            group.track_scripts.retain(|t| !gone.contains(&t.script));
        }
    }

    fn servers(&mut self, config: &mut Config, origins: &Origins) {
        for server in &mut config.virtual_servers {
            let span = origins.virtual_servers.get(&server.address).copied();
            for real in &mut server.real_servers {
                real.checkers.retain(|checker| match &checker.kind {
                    CheckerKind::Misc(misc) => {
                        let then = "its server is not checked by it";
                        self.may_run(&misc.argv, misc.user.as_ref(), span, then)
                    }
                    _ => true,
                });
                // Most share these with others: who writes has a copy of its own from then on.
                if self.refuses(real.more.notify_up.as_ref(), span) {
                    real.more.notify_up = None;
                }
                if self.refuses(real.more.notify_down.as_ref(), span) {
                    real.more.notify_down = None;
                }
            }
            if self.refuses(server.pool.quorum_up.as_ref(), span) {
                server.pool.quorum_up = None;
            }
            if self.refuses(server.pool.quorum_down.as_ref(), span) {
                server.pool.quorum_down = None;
            }
        }
    }

    fn refuses(&mut self, run: Option<&Run>, span: Option<Span>) -> bool {
        run.is_some_and(|run| !self.may_run(&run.argv, run.user.as_ref(), span, "it is not run"))
    }

    fn runs<const N: usize>(&mut self, runs: [&mut Option<Run>; N], span: Option<Span>) {
        for slot in runs {
            if self.refuses(slot.as_ref(), span) {
                *slot = None;
            }
        }
    }

    /// Whether a command may run; what is wrong with its program is said once. `then`: what follows if it
    /// may not.
    fn may_run(
        &mut self,
        argv: &[String],
        user: Option<&ScriptUser>,
        span: Option<Span>,
        then: &str,
    ) -> bool {
        let Some(program) = argv.first() else {
            return true;
        };
        let user = user.or(self.default_user.as_ref());
        let key = (
            program.clone(),
            user.map(|user| (user.user.clone(), user.group.clone())),
        );
        if let Some(may) = self.asked.get(&key) {
            return *may;
        }
        let Audit {
            broken,
            replaceable,
        } = self.files.audit(program, user);
        let may = broken.is_none() && !(self.secure && replaceable.is_some());
        if let Some(why) = broken {
            let message = format!("`{program}` cannot be run: {why}");
            self.diagnostics.push(
                Diagnostic::warning(Code::Script, span, message)
                    .label(format!("left out: {then}"))
                    .note("keepalived does the same, as far as it sees it at the start")
                    .hint("correct it and reload".to_owned()),
            );
        } else if let Some((why, hint)) = replaceable {
            let message = format!("`{program}` is run by root, and others may replace it: {why}");
            let unsafe_script = Diagnostic::warning(Code::ScriptSecurity, span, message);
            let said = match self.secure {
                true => unsafe_script.label(format!("left out (enable_script_security): {then}")),
                false => unsafe_script.note("with `enable_script_security` it is not run"),
            };
            self.diagnostics.push(said.hint(hint));
        }
        self.asked.insert(key, may);
        may
    }
}

#[cfg(test)]
mod tests;
