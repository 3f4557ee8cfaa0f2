//! Another configuration: what is known of servers that stay is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::lvs::{self, Owned};
use crate::time::Time;

use super::checks::Standing;
use super::work::Cause;
use super::{Action, Balancer, Phase, READY_LIMIT, ServerKey, notices};

impl Balancer {
    pub(super) fn on_reload(&mut self, config: Arc<Config>, now: Time, out: &mut Vec<Action>) {
        if self.is_running() {
            self.tell_gone(&config, out);
        }
        let old = std::mem::replace(&mut self.config, config);
        let moved = notices::moved_groups(&old, &self.config);
        self.pools.rename(&moved);
        let rename = |server: &ServerKey| {
            let service = *moved.get(&server.service)?;
            Some(ServerKey { service, ..*server })
        };
        if !moved.is_empty() {
            self.monitor.rename(rename);
        }
        // Mostly none is.
        if !self.returning.is_empty() {
            let named = notices::servers(&self.config);
            let named: BTreeSet<ServerKey> = named.map(|(key, ..)| key).collect();
            self.returning.rename(|server| {
                let key = rename(server).unwrap_or(*server);
                named.contains(&key).then_some(key)
            });
        }
        if self.reverts() {
            self.pools.forget_by_hand();
        }
        if self.phase == Phase::New {
            self.owned = Arc::new(self.record.clone());
        }
        let more = !self.owned.lists_all_of(&self.config);
        if more {
            Arc::make_mut(&mut self.owned).extend(&Owned::named_by(&self.config));
        }
        if !self.is_running() {
            return;
        }
        if more {
            out.push(Action::Owned(Arc::clone(&self.owned)));
        }
        self.backoff.clear();
        if let Phase::Running { ready_by } = &mut self.phase {
            ready_by.get_or_insert(now + READY_LIMIT);
        }
        self.configure(Some(&old), now, out);
        self.dirty.everything(Cause::Reload);
        // What it changes need not wait until tens of thousands of lines are read again.
        self.dirty.before_looking = !self.look_again && self.seen.is_some();
        self.look_again = true;
    }

    /// Checks and pools for the configuration as it is now; `before`: the one before it.
    pub(super) fn configure(&mut self, before: Option<&Config>, now: Time, out: &mut Vec<Action>) {
        let servers = self.config.virtual_servers.iter().flat_map(|vs| {
            let service = lvs::service_key(&vs.address);
            vs.real_servers.iter().map(move |rs| {
                let endpoint = rs.endpoint;
                (ServerKey { service, endpoint }, rs.checkers.as_slice())
            })
        });
        let outputs = self.monitor.configure(servers, now);
        self.set_all_pauses(now);
        self.on_checks(outputs, out);
        self.tell_new(before, out);
        let standing = Standing {
            monitor: &self.monitor,
            returning: &self.returning,
            overrides: &self.overrides,
            now,
        };
        let rebuilt = self.pools.rebuild(&self.config, &standing);
        self.tell_draining(&rebuilt.draining, out);
        for news in rebuilt.quorums {
            self.on_quorum(news, out);
        }
        for news in rebuilt.writers {
            self.tell_writer(news, out);
        }
        self.tell_checks(out);
    }
}
