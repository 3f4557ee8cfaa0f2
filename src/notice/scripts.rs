//! Which scripts a change runs, with which arguments, in which order.

use crate::config::model::Run;

use super::{Change, Kind, Notice, State};

impl Notice {
    /// The scripts, in order: the one for this change as it was written, then the one for every change
    /// with keepalived's four words behind its own (`INSTANCE|GROUP NAME STATE PRIORITY`).
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = self.written_runs();
        runs.retain(|run| !run.argv.is_empty());
        runs
    }

    fn written_runs(&self) -> Vec<Run> {
        match self {
            Notice::Instance {
                instance,
                change,
                priority,
            } => {
                let s = &instance.more.settings;
                let own = match change {
                    Change::Entered(State::Master) | Change::SplitHealed => &s.notify_master,
                    Change::Entered(State::Backup) => &s.notify_backup,
                    Change::Entered(State::Fault) => &s.notify_fault,
                    Change::Entered(State::Stop) => &s.notify_stop,
                    Change::Entered(State::Deleted) => &s.notify_deleted,
                    Change::LowerPriorityHeard => &s.notify_master_rx_lower_pri,
                    Change::Still(_) | Change::HeldElsewhere | Change::Priority { .. } => &None,
                };
                let every = every(&s.notify, *change, "INSTANCE", &instance.name, *priority);
                own.iter().cloned().chain(every).collect()
            }
            Notice::Group { group, change } => {
                let s = &group.settings;
                let own = match change {
                    Change::Entered(State::Master) | Change::SplitHealed => &s.notify_master,
                    Change::Entered(State::Backup) => &s.notify_backup,
                    Change::Entered(State::Fault) => &s.notify_fault,
                    Change::Entered(State::Stop) => &s.notify_stop,
                    _ => &None,
                };
                let every = every(&s.notify, *change, "GROUP", &group.name, 0);
                own.iter().cloned().chain(every).collect()
            }
            Notice::Server(notice) => notice.run.iter().cloned().collect(),
            Notice::Service(notice) => notice.run.iter().cloned().collect(),
            Notice::Check(_) => Vec::new(),
        }
    }

    /// What the scripts are about, in a word.
    pub fn what(&self) -> &'static str {
        match self {
            Notice::Instance { change, .. } | Notice::Group { change, .. } => change.as_str(),
            Notice::Server(notice) => up_or_down(notice.up),
            Notice::Service(notice) => up_or_down(notice.up),
            Notice::Check(notice) => up_or_down(notice.up),
        }
    }

    /// Whether a later one makes this one obsolete.
    pub fn kind(&self) -> Kind {
        match self {
            Notice::Instance { change, .. } | Notice::Group { change, .. } => match change {
                Change::Entered(_) | Change::Still(_) | Change::SplitHealed => Kind::State,
                Change::LowerPriorityHeard | Change::HeldElsewhere | Change::Priority { .. } => {
                    Kind::Event
                }
            },
            Notice::Server(_) | Notice::Check(_) | Notice::Service(_) => Kind::State,
        }
    }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn every(run: &Option<Run>, change: Change, kind: &str, name: &str, priority: u8) -> Option<Run> {
    let (Change::Entered(_) | Change::SplitHealed) = change else {
        return None;
    };
    let mut run = run.clone()?;
    let words = [kind, name, change.as_str(), &priority.to_string()];
    run.argv.extend(words.map(str::to_owned));
    Some(run)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::model::{Instance, ScriptUser, SyncGroup};
    use crate::notice::{Audience, ServerNotice};
    use crate::units::Vrid;

    fn run(words: &str) -> Option<Run> {
        Some(Run {
            argv: words.split(' ').map(str::to_owned).collect(),
            user: None,
        })
    }

    fn words(notice: &Notice) -> Vec<String> {
        notice.runs().iter().map(|r| r.argv.join(" ")).collect()
    }

    fn instance() -> Arc<Instance> {
        let mut instance = Instance::new("VI 1", "eth0".parse().unwrap(), Vrid::new(7).unwrap());
        let s = &mut instance.more.settings;
        s.notify_master = run("/m now");
        s.notify_master_rx_lower_pri = run("/lower");
        s.notify = run("/all x");
        Arc::new(instance)
    }

    fn of(change: Change) -> Notice {
        Notice::Instance {
            instance: instance(),
            change,
            priority: 101,
        }
    }

    #[test]
    fn the_script_of_the_state_comes_first_and_has_its_own_words_only() {
        let notice = of(Change::Entered(State::Master));
        assert_eq!(
            words(&notice),
            ["/m now", "/all x INSTANCE VI 1 MASTER 101"]
        );
        assert_eq!(notice.runs()[1].argv[3], "VI 1");
        assert_eq!(notice.line().unwrap(), "INSTANCE \"VI 1\" MASTER 101\n");
        let notice = of(Change::Entered(State::Stop));
        assert_eq!(words(&notice), ["/all x INSTANCE VI 1 STOP 101"]);
    }

    #[test]
    fn a_split_that_has_healed_is_told_as_becoming_master_is() {
        let (healed, master) = (of(Change::SplitHealed), of(Change::Entered(State::Master)));
        assert_eq!(words(&healed), words(&master));
        assert_eq!(healed.line(), master.line());
        assert!(master.is_keepalived_s() && !healed.is_keepalived_s());
    }

    #[test]
    fn what_is_no_state_is_not_told_to_the_script_of_every_state() {
        let notice = of(Change::LowerPriorityHeard);
        assert_eq!(words(&notice), ["/lower"]);
        assert_eq!(
            notice.line().unwrap(),
            "INSTANCE \"VI 1\" MASTER_RX_LOWER_PRI 101\n"
        );
        for (change, word) in [
            (Change::Priority { master: true }, "MASTER_PRIORITY"),
            (Change::Priority { master: false }, "BACKUP_PRIORITY"),
            (Change::Still(State::Backup), "BACKUP"),
        ] {
            let notice = of(change);
            assert_eq!(words(&notice), Vec::<String>::new());
            assert_eq!(
                notice.line().unwrap(),
                format!("INSTANCE \"VI 1\" {word} 101\n")
            );
        }
    }

    #[test]
    fn a_group_has_no_priority() {
        let mut group = SyncGroup {
            name: "G".to_owned(),
            ..SyncGroup::default()
        };
        group.settings.notify_fault = run("/f");
        group.settings.notify = Some(Run {
            argv: vec!["/g".to_owned()],
            user: Some(ScriptUser {
                user: "nobody".to_owned(),
                group: None,
            }),
        });
        let notice = Notice::Group {
            group: Arc::new(group),
            change: Change::Entered(State::Fault),
        };
        assert_eq!(words(&notice), ["/f", "/g GROUP G FAULT 0"]);
        assert!(notice.runs()[1].user.is_some());
        assert_eq!(notice.line().unwrap(), "GROUP \"G\" FAULT 0\n");
        assert_eq!(notice.audience(), Audience::Vrrp);
    }

    #[test]
    fn a_server_has_one_script_without_words_of_ours() {
        let notice = Notice::Server(Box::new(ServerNotice {
            server: "[10.1.0.1]:tcp:80".to_owned(),
            service: "[10.0.0.1]:tcp:80".to_owned(),
            up: false,
            run: run("/down 1"),
            smtp_alert: None,
            mail: None,
        }));
        assert_eq!(words(&notice), ["/down 1"]);
        assert_eq!(
            notice.line().unwrap(),
            "RS [10.1.0.1]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n"
        );
        assert_eq!(notice.audience(), Audience::Lvs);
    }
}
