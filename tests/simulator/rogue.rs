//! Packets that nobody of the group sent: none of them may change the election, and a flood of them may
//! not become one of ours.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use vipd::net::Family;
use vipd::units::{Version, Vrid};
use vipd::wire::vrrp::{self as wire, Advert, AuthField, Cover};

use crate::news::{Datagram, GROUP, News};
use crate::plan::{VRID, vip};
use crate::world::World;

/// Who sends them.
const ROGUE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
/// Adverts of the flood.
const FLOOD: u32 = 60;
/// Answers to it, of which one is for all: four in an interval, the regular advert, and one at each end.
const ANSWERS_MAX: usize = 7;

impl World {
    /// Adverts that are wrong in one way each, and would win.
    pub(crate) fn rogue(&mut self, master: usize) -> Result<(), String> {
        let right = self.rogue_advert(254);
        let mut wrong = vec![
            Datagram {
                ttl: 254,
                ..right.clone()
            },
            Datagram {
                destination: self.routers[master].source,
                ..right.clone()
            },
        ];
        let mut torn = right.payload.to_vec();
        torn.truncate(torn.len() - 3);
        wrong.push(Datagram {
            payload: Arc::from(torn),
            ..right.clone()
        });
        let mut damaged = right.payload.to_vec();
        damaged[8] ^= 1;
        wrong.push(Datagram {
            payload: Arc::from(damaged),
            ..right.clone()
        });
        if self.plan.version == Version::V2 {
            // Without a password, or with another one.
            let none = self.plan.auth.is_some().then_some(AuthField::None);
            for auth in [Some(AuthField::Pass(*b"another\0")), none]
                .into_iter()
                .flatten()
            {
                let payload = self.rogue_payload(254, auth, self.plan.interval);
                wrong.push(Datagram {
                    payload,
                    ..right.clone()
                });
            }
            let auth = self.rogue_auth();
            let payload =
                self.rogue_payload(254, auth, self.plan.interval + Duration::from_secs(1));
            wrong.push(Datagram {
                payload,
                ..right.clone()
            });
        }
        self.tell_story("wrong adverts".to_owned());
        for datagram in &wrong {
            self.send(None, master, &News::Packet(datagram.clone()));
        }
        self.pass(self.plan.interval * 5)?;
        let notes = &self.routers[master].notes;
        if !notes.left.is_empty() || self.masters() != [master] {
            return Err(self.failed(&format!("a wrong advert took the addresses from {master}")));
        }
        if notes.sent.len() > 6 {
            return Err(self.failed(&format!("{master} answered a wrong advert")));
        }
        self.own_words(master)?;
        self.flood(master)
    }

    /// What the master says comes back to it, again and again: nothing to answer.
    fn own_words(&mut self, master: usize) -> Result<(), String> {
        let datagram = Datagram {
            source: self.routers[master].source,
            ..self.rogue_advert(self.routers[master].priority())
        };
        let before = self.routers[master].notes.sent.len();
        for _ in 0..6 {
            self.send(None, master, &News::Packet(datagram.clone()));
            self.pass(self.routers[master].node.interval / 2)?;
        }
        let sent = self.routers[master].notes.sent.len() - before;
        if sent > 4 || self.masters() != [master] {
            return Err(self.failed(&format!("{master} answered itself")));
        }
        Ok(())
    }

    /// Somebody of the lowest priority speaks, fast.
    fn flood(&mut self, master: usize) -> Result<(), String> {
        if self.routers[master].priority() <= 1 {
            return Ok(());
        }
        let datagram = self.rogue_advert(1);
        self.tell_story("a flood".to_owned());
        let before = self.routers[master].notes.sent.len();
        let interval = self.routers[master].node.interval;
        for _ in 0..FLOOD {
            self.send(None, master, &News::Packet(datagram.clone()));
            self.pass(interval / FLOOD)?;
        }
        let sent = self.routers[master].notes.sent.len() - before;
        if self.masters() != [master] || !(2..=ANSWERS_MAX).contains(&sent) {
            return Err(self.failed(&format!("{master} answered a flood {sent} times")));
        }
        Ok(())
    }

    fn rogue_auth(&self) -> AuthField {
        match self.plan.auth {
            Some(vipd::config::model::Auth::Pass(password)) => AuthField::Pass(password),
            _ => AuthField::None,
        }
    }

    /// Right in every way.
    fn rogue_advert(&self, priority: u8) -> Datagram {
        Datagram {
            source: ROGUE,
            destination: GROUP,
            ttl: 255,
            payload: self.rogue_payload(priority, self.rogue_auth(), self.plan.interval),
        }
    }

    fn rogue_payload(&self, priority: u8, auth: AuthField, interval: Duration) -> Arc<[u8]> {
        let advert = Advert {
            version: self.plan.version,
            vrid: Vrid::new(VRID).expect("a VRID"),
            priority,
            interval,
            addresses: vec![vip(0, 0).addr()],
            auth,
        };
        let mut bytes = Vec::new();
        let cover = Cover::of(self.plan.version, ROGUE.into(), GROUP.into());
        wire::encode(&advert, Family::V4, cover, &mut bytes).expect("an advert");
        bytes.into()
    }
}
