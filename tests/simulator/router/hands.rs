//! What a router does with what its engine says.

use std::net::IpAddr;
use std::sync::Arc;

use vipd::engine::failover::{Action, Input, Packet};
use vipd::net::{ADDRESS_PROTOCOL, AddressCommand, NetCommand, NetPicture};
use vipd::time::Time;

use super::{Router, channel, observed};
use crate::news::{Datagram, News};

impl Router {
    pub(super) fn hear(&mut self, datagram: &Datagram, now: Time) {
        let packet = Packet {
            channel: channel(),
            source: datagram.source.into(),
            destination: datagram.destination.into(),
            ttl: datagram.ttl,
            header: &[],
            payload: &datagram.payload,
        };
        self.listens_since = None;
        if datagram.instance() == 0 {
            self.notes.heard.push((now, datagram.priority()));
        }
        self.handle(Input::Packet(packet), now);
        if datagram.priority() != 0 && datagram.ttl == 255 && !self.plan.grouped {
            self.keeps = false;
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>, now: Time) {
        let was_master = self.is_master(0);
        let local = self.local(now);
        if let Some(engine) = &mut self.engine {
            let actions = engine.handle(input, local);
            self.carry_out(was_master, actions, now);
        }
    }

    pub(super) fn carry_out(&mut self, was_master: bool, actions: Vec<Action>, now: Time) {
        let announced = self.notes.announced;
        let mut released = false;
        for action in actions {
            match action {
                Action::Send {
                    beat,
                    payload,
                    destination,
                    ttl,
                    ..
                } if self.link_up => {
                    self.record = beat.alive.then_some(self.local(now));
                    self.send(destination, ttl, payload, now);
                }
                Action::Ended(_) => self.record = None,
                Action::Net(commands) => {
                    commands.into_iter().for_each(|command| self.apply(command))
                }
                Action::Announce { address, mac, .. } => {
                    self.notes.announced += 1;
                    self.sent.push(News::Announced(address, mac));
                }
                Action::WatchAnnouncements(on) => self.watches = on,
                Action::LookAgain => {
                    let links = vec![self.link()];
                    let addresses = self.addresses.values().cloned().collect();
                    self.handle(
                        Input::Kernel(NetPicture {
                            links,
                            addresses,
                            ..NetPicture::default()
                        }),
                        now,
                    );
                }
                Action::Event(event) => {
                    self.log.push(format!("{now} {} {event}", self.source));
                }
                Action::Released => released = true,
                _ => {}
            }
        }
        let is_master = self.is_master(0);
        if is_master && !was_master {
            self.notes.became.push(now);
            if self.link_up && self.notes.announced == announced {
                self.wrong = Some("became master and told nobody where the addresses are".into());
            }
        }
        if was_master && !is_master {
            self.notes.left.push(now);
        }
        if released {
            self.crash();
        }
    }

    fn send(&mut self, destination: IpAddr, ttl: u8, payload: Arc<[u8]>, now: Time) {
        let IpAddr::V4(destination) = destination else {
            return;
        };
        let datagram = Datagram {
            source: self.source,
            destination,
            ttl,
            payload,
        };
        if datagram.priority() != 0
            && self
                .listens_since
                .is_some_and(|at| now.since(at) < self.node.interval)
        {
            self.wrong = Some("stood still, and spoke before it had listened".into());
        }
        if datagram.instance() == 0 {
            self.notes.sent.push((now, datagram.priority()));
        }
        self.sent.push(News::Packet(datagram));
    }

    /// The kernel does it and says so.
    fn apply(&mut self, command: NetCommand) {
        self.notes.commands += 1;
        match command {
            NetCommand::Address(AddressCommand::Add(key, spec)) => {
                let address = observed(key, spec, ADDRESS_PROTOCOL);
                self.addresses.insert(key, address);
                self.news.push_back(News::Seen(key));
            }
            // The one address of each network here is its first.
            NetCommand::Link(_) | NetCommand::Route(_) | NetCommand::Rule(_) => {}
            NetCommand::Address(AddressCommand::Delete(key)) => {
                if self.addresses.remove(&key).is_some() {
                    self.news.push_back(News::Gone(key));
                }
            }
        }
    }
}
