//! What a reload would do, found out by doing it on a copy: the same code decides, nobody carries it out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::ipvs::{Command, DestinationKey, ServiceKey};
use crate::lvs::Observation;
use crate::time::Time;

use super::work::Doing;
use super::{Action, Balancer, BalancerEvent, Input, KernelEvent};

/// Batches of commands that one reload may take.
const ROUNDS: usize = 8;

/// What a reload would do to IPVS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// In the order in which the kernel would get them.
    pub commands: Vec<Command>,
    /// Destinations that would be drained, and for how long at most.
    pub draining: BTreeMap<(ServiceKey, DestinationKey), Duration>,
}

impl Balancer {
    /// What a reload of `config` would do, with the kernel's table as it is `found`. Of a copy: it is of no
    /// use afterwards.
    pub fn rehearse(mut self, config: Arc<Config>, found: Observation, now: Time) -> Rehearsal {
        let mut rehearsal = Rehearsal::default();
        self.doing = Doing::Idle;
        // Compared with what was found, not with the picture that it had.
        self.look_again = true;
        let mut actions = self.handle(Input::Reload(config), now);
        if actions.contains(&Action::Observe) {
            actions.extend(self.handle(Input::Observed(Ok(found)), now));
        }
        // What waits for other commands comes when they have been carried out.
        for _ in 0..ROUNDS {
            let mut applied = false;
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Apply(commands) => {
                        rehearsal.commands.extend_from_slice(&commands);
                        applied = true;
                    }
                    Action::Event(BalancerEvent::Kernel(KernelEvent::Draining {
                        service,
                        destination,
                        limit,
                    })) => {
                        rehearsal.draining.insert((service, destination), limit);
                    }
                    _ => {}
                }
            }
            if !applied {
                break;
            }
            actions = self.handle(Input::Applied(Vec::new()), now);
        }
        rehearsal
    }
}
