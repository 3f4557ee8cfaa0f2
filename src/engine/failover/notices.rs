//! Which of a machine's actions somebody outside is told of, and when.

use std::sync::Arc;

use crate::config::model::{InitialState, SyncGroup};
use crate::notice::{Change, Notice, State as Told};
use crate::vrrp::{self, Note, State};

use super::slot::Slot;
use super::sync::Group;
use super::{Action, Failover};

/// What scripts, FIFOs and mails are told of these actions, in order; of priorities if they want to
/// hear of them.
pub(super) fn of(slot: &Slot, actions: &[vrrp::Action], of_priority: bool) -> Vec<Change> {
    let config = slot.config();
    let owner = config.priority.is_owner() && config.state == InitialState::Master;
    let change = |action: &vrrp::Action| match action {
        // keepalived: an owner begins as backup for a moment, and does not speak of it.
        vrrp::Action::Entered {
            from: State::Init,
            to: State::Backup,
            ..
        } if owner => None,
        vrrp::Action::Entered { to, .. } => Some(Change::Entered(told(*to)?)),
        vrrp::Action::Note(Note::SplitHealed(_)) => Some(Change::SplitHealed),
        vrrp::Action::Note(Note::LowerPriorityHeard { .. }) => Some(Change::LowerPriorityHeard),
        vrrp::Action::Note(Note::PriorityChanged { .. }) if of_priority => Some(Change::Priority {
            master: slot.state() == State::Master,
        }),
        _ => None,
    };
    actions.iter().filter_map(change).collect()
}

/// What is told of an instance that goes with a reload. As in keepalived it is a fault unless
/// `notify_deleted` asks for another word, and no news of one that was in fault.
pub(super) fn farewell(slot: &Slot) -> Option<Action> {
    let asked = slot.config().more.settings.notify_deleted.is_some();
    let told = match (asked, slot.state()) {
        (true, _) => Told::Deleted,
        (false, State::Fault) => return None,
        (false, _) => Told::Fault,
    };
    Some(notice(slot, Change::Entered(told)))
}

/// What is told of a group that is in this state now.
pub(super) fn of_group(group: &Arc<SyncGroup>, state: State) -> Option<Action> {
    Some(group_notice(group, Change::Entered(told(state)?)))
}

/// What is told of a group of masters when one of them heard another master.
pub(super) fn of_healed_group(group: &Arc<SyncGroup>) -> Action {
    group_notice(group, Change::SplitHealed)
}

fn group_notice(group: &Arc<SyncGroup>, change: Change) -> Action {
    Action::Notice(Notice::Group {
        group: Arc::clone(group),
        change,
    })
}

fn told(state: State) -> Option<Told> {
    match state {
        State::Init => None,
        State::Backup => Some(Told::Backup),
        State::Master => Some(Told::Master),
        State::Fault => Some(Told::Fault),
    }
}

fn notice(slot: &Slot, change: Change) -> Action {
    Action::Notice(Notice::Instance {
        instance: Arc::clone(slot.config()),
        change,
        priority: slot.machine.priority().get(),
    })
}

impl Failover {
    /// `notify_priority_changes` of an instance, else of its group, else of all.
    pub(super) fn tells_priority(&self, index: usize) -> bool {
        let slot = self.slots.get(index);
        let own = slot.and_then(|slot| slot.config().more.settings.notify_priority_changes);
        let group = slot.and_then(|slot| self.groups.get(slot.group?));
        let of_group = group.and_then(|group| group.config.settings.notify_priority_changes);
        let of_all = self.config.globals.scripts.vrrp_notify_priority_changes;
        own.or(of_group).or(of_all) == Some(true)
    }

    /// Tells of changes of one instance.
    pub(super) fn tell(&self, index: usize, changes: Vec<Change>, out: &mut Vec<Action>) {
        // One that departed has said its last word.
        if let Some(slot) = self.slots.get(index).filter(|slot| !slot.departed) {
            out.extend(changes.into_iter().map(|change| notice(slot, change)));
        }
    }

    /// Tells that every instance ends, and every group.
    pub(super) fn tell_stop(&self, out: &mut Vec<Action>) {
        let stop = |slot| notice(slot, Change::Entered(Told::Stop));
        let slots = self.slots.iter().filter(|slot| !slot.departed);
        out.extend(slots.map(stop));
        let of_group = |group: &Group| group_notice(&group.config, Change::Entered(Told::Stop));
        out.extend(self.groups.iter().map(of_group));
    }

    /// `fifo_write_vrrp_states_on_reload`: tells FIFOs of what a reload left as it was. `before`: the
    /// state of each instance then, `None` for a new one.
    pub(super) fn tell_again(&self, before: &[Option<State>], out: &mut Vec<Action>) {
        if !self.config.globals.scripts.fifo_write_vrrp_states_on_reload {
            return;
        }
        // Those that departed come last.
        for (slot, before) in self.slots.iter().zip(before) {
            if *before == Some(slot.state())
                && let Some(state) = told(slot.state())
            {
                out.push(notice(slot, Change::Still(state)));
            }
        }
    }
}
