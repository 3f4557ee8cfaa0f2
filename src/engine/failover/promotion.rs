//! `promote_secondaries`: the setting of links that lets an address inherit its network instead of going
//! with the first one, whoever removes that.

use std::collections::BTreeSet;

use crate::net::{InterfaceIndex, LinkCommand, NetCommand};

use super::slot::device;
use super::{Action, Failover};

impl Failover {
    /// Sets it on the links of the instances that ask for it, and puts it back where nobody does any
    /// more. A link that has it anyway is left alone.
    pub(super) fn sync_promotion(&mut self, out: &mut Vec<Action>) {
        let asks = self
            .config
            .instances
            .iter()
            .filter(|instance| instance.more.settings.promote_secondaries);
        let wanted: BTreeSet<InterfaceIndex> = asks
            .flat_map(|instance| {
                let vips = instance.all_vips().filter_map(|vip| device(instance, vip));
                vips.chain(&instance.interface)
            })
            .filter_map(|name| self.kernel.index_of(name))
            .collect();
        self.promote(&wanted, out);
    }

    /// Puts everything back as it was.
    pub(super) fn end_promotion(&mut self, out: &mut Vec<Action>) {
        self.promote(&BTreeSet::new(), out);
    }

    fn promote(&mut self, wanted: &BTreeSet<InterfaceIndex>, out: &mut Vec<Action>) {
        let mut batch: Vec<NetCommand> = Vec::new();
        for interface in wanted.iter().copied() {
            if self.kernel.set_promotes(interface, true) {
                self.promoted.insert(interface);
                batch.push(
                    LinkCommand::PromoteSecondaries {
                        interface,
                        on: true,
                    }
                    .into(),
                );
            }
        }
        let over: Vec<_> = self.promoted.difference(wanted).copied().collect();
        for interface in over {
            self.promoted.remove(&interface);
            if self.kernel.set_promotes(interface, false) {
                batch.push(
                    LinkCommand::PromoteSecondaries {
                        interface,
                        on: false,
                    }
                    .into(),
                );
            }
        }
        if !batch.is_empty() {
            out.push(Action::Net(batch));
        }
    }
}
