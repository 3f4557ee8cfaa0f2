//! What comes in: facts, news of the kernel, packets, the ends of scripts. Each source has a budget, so that
//! none keeps the others waiting.

use tracing::{debug, error, warn};

use crate::config::model::ScriptUser;
use crate::engine::failover::{Input, Packet, SessionPacket};
use crate::kernel::clock;
use crate::kernel::route::Event;
use crate::kernel::spawner::{AtEnd, Finished, Outcome, Request};
use crate::track::ScriptEnd;

use super::super::sessions;
use super::{BUDGET, SESSION_BUDGET, Thread};

impl Thread {
    pub(super) fn take_facts(&mut self) {
        for (name, value) in self.facts.take() {
            self.feed(Input::Fact { name, value }, clock::now());
        }
    }

    /// Hears of routes and rules as long as the configuration has some.
    pub(super) fn listen_to_routes(&mut self) {
        let interest = self.engine.interest();
        if *self.monitor.listens_to() == interest {
            return;
        }
        if let Err(error) = self.monitor.listen_to(&interest) {
            warn!("watching routes and rules: {error}");
        }
        // What happened before is not told.
        if interest.routes || interest.rules {
            self.look_again();
        }
    }

    pub(super) fn take_kernel_events(&mut self) {
        for _ in 0..BUDGET {
            let now = clock::now();
            let event = match self.monitor.next() {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    warn!("watching links and addresses: {error}");
                    return;
                }
            };
            match event {
                Event::Link(link) => self.feed(Input::Link(link), now),
                Event::LinkGone(index, _) => self.feed(Input::LinkGone(index), now),
                Event::AddressAdded(address) => self.feed(Input::AddressSeen(address), now),
                Event::AddressRemoved(key) => self.feed(Input::AddressGone(key), now),
                Event::RouteAdded(route) => self.feed(Input::RouteSeen(route), now),
                Event::RouteRemoved(key) => self.feed(Input::RouteGone(key), now),
                Event::RuleAdded(rule) => self.feed(Input::RuleSeen(rule), now),
                Event::RuleRemoved(rule) => self.feed(Input::RuleGone(rule), now),
                Event::Overrun => self.look_again(),
            }
        }
    }

    pub(super) fn take_packets(&mut self) {
        for channel in self.channels.keys() {
            for _ in 0..BUDGET {
                let Some(socket) = self.channels.get(channel) else {
                    break;
                };
                // An error here is the link's: that it is down or gone comes as an event of its own.
                let Ok(Some(received)) = socket.recv(&mut self.packet) else {
                    break;
                };
                let Some((header, payload)) = received.split(&self.packet) else {
                    break;
                };
                let actions = self.engine.handle(
                    Input::Packet(Packet {
                        channel,
                        source: received.source,
                        destination: received.destination,
                        ttl: received.ttl,
                        header,
                        payload,
                    }),
                    clock::now(),
                );
                self.carry_out(actions);
            }
        }
    }

    pub(super) fn take_announcements(&mut self) {
        for _ in 0..BUDGET {
            // An error here is a link's: that it is down or gone comes as an event of its own.
            let Ok(Some(said)) = self.watch.next() else {
                return;
            };
            let input = Input::AnnouncementSeen {
                interface: said.interface,
                address: said.address,
                mac: said.mac,
            };
            self.feed(input, clock::now());
            if !self.watching {
                return;
            }
        }
    }

    pub(super) fn take_session_packets(&mut self) {
        for arrival in sessions::ARRIVALS {
            for _ in 0..SESSION_BUDGET {
                let Some(received) = self.sessions.recv(arrival, &mut self.packet) else {
                    break;
                };
                let packet = SessionPacket {
                    multihop: arrival.multihop,
                    source: received.source,
                    destination: received.destination,
                    hops: received.hops,
                    payload: self.packet.get(..received.len).unwrap_or_default(),
                };
                let input = Input::SessionPacket(packet);
                let actions = self.engine.handle(input, clock::now());
                self.carry_out(actions);
            }
        }
    }

    pub(super) fn watch_announcements(&mut self, on: bool) {
        self.watching = on;
        if let Err(error) = self.watch.listen(on) {
            // What is waited for is then waited out.
            debug!("listen to the announcements of others: {error}");
        }
    }

    pub(super) fn take_script_ends(&mut self) {
        for _ in 0..BUDGET {
            if self.spawner_gone {
                return;
            }
            match self.spawner.try_recv() {
                Ok(Some(finished)) => self.script_ended(finished),
                Ok(None) => return,
                Err(error) => {
                    error!("no script can be run any more: {error}");
                    self.spawner_gone = true;
                    // It can be forked while there is one thread only: by a process that starts again.
                    self.ended |= !self.runs.is_empty();
                }
            }
        }
    }

    pub(super) fn script_ended(&mut self, finished: Finished) {
        let Some(name) = self.runs.remove(&finished.id) else {
            return;
        };
        let end = match finished.outcome {
            Outcome::Exited(status) => ScriptEnd::Exited(i32::from(status)),
            Outcome::Signaled(signal) => ScriptEnd::Signaled(signal),
            Outcome::TimedOut => ScriptEnd::TimedOut,
            Outcome::NotStarted { what, .. } => ScriptEnd::NotStarted(what),
        };
        self.feed(Input::ScriptEnded { name, end }, clock::now());
    }

    pub(super) fn fail_script(&mut self, name: String, why: String) {
        let end = ScriptEnd::NotStarted(why);
        self.feed(Input::ScriptEnded { name, end }, clock::now());
    }

    pub(super) fn run_script(
        &mut self,
        name: String,
        argv: Vec<String>,
        user: Option<ScriptUser>,
        timeout: std::time::Duration,
    ) {
        if self.spawner_gone {
            self.ended = true;
            return;
        }
        let id = self.next_run;
        self.next_run += 1;
        let user = user.or_else(|| self.script_defaults.user.clone());
        let request = Request {
            id,
            argv,
            user,
            caps: self.script_defaults.caps,
            timeout: Some(timeout),
            at_end: AtEnd::Kill,
        };
        match self.spawner.send(&request) {
            Ok(()) => drop(self.runs.insert(id, name)),
            Err(error) => self.fail_script(name, error.to_string()),
        }
    }
}
