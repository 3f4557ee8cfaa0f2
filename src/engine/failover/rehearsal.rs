//! What a reload would do, found out by doing it on a copy: the same code decides, nobody carries it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::net::{AddressKey, NetCommand};
use crate::time::Time;

use super::{Action, Failover, Input};

/// What a reload would do to addresses, routes and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// At once, in the order in which the kernel would get them.
    pub commands: Vec<NetCommand>,
    /// What goes as soon as it answers elsewhere: addresses of instances that leave as master.
    pub leaving: BTreeSet<AddressKey>,
}

impl Failover {
    /// What a reload of `config` would do. Of a copy: it is of no use afterwards.
    pub fn rehearse(mut self, config: Arc<Config>, now: Time) -> Rehearsal {
        let actions = self.handle(Input::Reload(config), now);
        let commands = actions.into_iter().filter_map(|action| match action {
            Action::Net(commands) => Some(commands),
            _ => None,
        });
        let commands: Vec<NetCommand> = commands.flatten().collect();
        let departed = self.slots.iter().filter(|slot| slot.departed);
        let leaving = departed.flat_map(|slot| slot.keys(&self.kernel));
        let leaving = leaving.map(|(key, _)| key).filter(|key| {
            let others = self.slots.iter().filter(|slot| !slot.departed);
            let mut others = others.filter(|slot| slot.machine.holds_addresses());
            self.kernel.has(key)
                && !others.any(|slot| slot.keys(&self.kernel).any(|(other, _)| other == *key))
        });
        Rehearsal {
            leaving: leaving.collect(),
            commands,
        }
    }
}
