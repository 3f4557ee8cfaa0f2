//! The kernel beside the engine, which does what it is told.

use super::*;

impl Bench {
    pub(super) fn shown_routes(&self) -> Vec<ObservedRoute> {
        let routes = self.routes.clone().into_iter();
        routes
            .map(|(key, spec)| ObservedRoute { key, spec })
            .collect()
    }

    pub(super) fn obey(&mut self, command: NetCommand) {
        match command {
            NetCommand::Address(AddressCommand::Add(key, spec)) => {
                self.changes.push(format!("+address {}", key.cidr));
                self.set(key, spec);
            }
            NetCommand::Address(AddressCommand::Delete(key)) => {
                self.changes.push(format!("-address {}", key.cidr));
                self.delete(&key);
            }
            NetCommand::Link(LinkCommand::PromoteSecondaries { on, .. }) => self.promotes = on,
            NetCommand::Route(RouteCommand::Add(key, spec)) => {
                self.changes.push(format!("+route {key}"));
                self.routes.insert(key, spec);
            }
            NetCommand::Route(RouteCommand::Delete(key)) => {
                self.changes.push(format!("-route {key}"));
                self.routes.remove(&key);
            }
            NetCommand::Rule(RuleCommand::Add(rule)) => {
                self.changes.push(format!("+rule {}", rule.preference));
                self.rules.insert(rule);
            }
            NetCommand::Rule(RuleCommand::Delete(rule)) => {
                self.changes.push(format!("-rule {}", rule.preference));
                self.rules.remove(&rule);
            }
        }
    }

    /// As the kernel does: the first address of a network is its primary.
    fn set(&mut self, key: AddressKey, spec: AddressSpec) {
        let others = self.kernel.values().filter(|a| same_network(&a.key, &key));
        let secondary = others.filter(|a| a.key != key).any(|a| !a.secondary);
        let protocol = crate::net::ADDRESS_PROTOCOL;
        self.kernel.insert(
            key,
            ObservedAddress {
                key,
                spec,
                protocol,
                secondary,
            },
        );
    }

    /// As the kernel does: a primary takes its secondaries along, or leaves its place to one.
    fn delete(&mut self, key: &AddressKey) {
        let gone = self.kernel.remove(key);
        if gone.is_none_or(|address| address.secondary) {
            return;
        }
        if !self.promotes {
            self.kernel.retain(|other, _| !same_network(other, key));
        } else if let Some(next) = self.kernel.values_mut().find(|a| same_network(&a.key, key)) {
            next.secondary = false;
        }
    }
}
