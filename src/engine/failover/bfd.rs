//! BFD sessions in the engine: which packet is whose, their timers, and what follows from their state.

mod event;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::bfd::{Action as Wanted, Input as Event, Reason, Rejection, Session, Timer};
use crate::bfd::{check_hops, hops_sent};
use crate::config::model::BfdInstance;
use crate::engine::shared::SessionFacts;
use crate::fact::{FactKind, FactName, FactValue};
use crate::net::BfdPath;
use crate::time::Time;
use crate::wire::bfd::{Packet, State, encode, parse};

use super::{Action, Failover, SessionView, TimerOf, Why};

pub use event::{SessionChange, SessionEvent};

/// How soon sockets that could not be opened are tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Names a session between the engine and its thread: its discriminator, which is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub NonZeroU32);

/// A packet on the port of BFD.
#[derive(Clone, Copy, Debug)]
pub struct SessionPacket<'a> {
    /// It came in on the port of RFC 5883.
    pub multihop: bool,
    /// Who sent it.
    pub source: IpAddr,
    /// The address of this node that it was sent to.
    pub destination: IpAddr,
    /// TTL or hop limit as it came in.
    pub hops: u8,
    /// The payload of the datagram.
    pub payload: &'a [u8],
}

/// All sessions of the node.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    entries: Vec<Entry>,
    by_discriminator: BTreeMap<NonZeroU32, usize>,
    by_name: BTreeMap<String, usize>,
    seed: u64,
    /// What others were told last.
    facts: SessionFacts,
}

#[derive(Clone, Debug)]
struct Entry {
    session: Session,
    path: BfdPath,
    /// It has been Up, or is: from then on its being down means something to a check.
    was_up: bool,
    /// The deadline under which it stands in the engine's timers.
    timer: Option<Time>,
    reopen_at: Option<Time>,
    /// Why it has no socket, as it was told.
    socket_error: Option<String>,
    /// Packets dropped.
    dropped: u64,
    /// One was told of in this state.
    told: bool,
    /// The last change of its state, and why.
    entered: Option<(Time, Reason)>,
}

impl Entry {
    fn id(&self) -> SessionId {
        SessionId(self.session.discriminator())
    }

    fn event(&self, what: SessionChange) -> Action {
        Action::Event(super::Event::Session(SessionEvent {
            session: self.session.config().name.clone(),
            what,
        }))
    }

    fn next_deadline(&self) -> Option<(Time, Option<Timer>)> {
        let session = self.session.next_deadline();
        let session = session.map(|(at, timer)| (at, Some(timer)));
        let reopen = self.reopen_at.map(|at| (at, None));
        session.into_iter().chain(reopen).min()
    }

    fn is_between(&self, packet: &SessionPacket<'_>) -> bool {
        let path = &self.path;
        path.neighbor == packet.source
            && path.multihop == packet.multihop
            && path
                .source
                .is_none_or(|source| source == packet.destination)
    }

    fn fact(&self) -> FactValue {
        match (self.session.is_up(), self.was_up) {
            (true, _) => FactValue::Up,
            (false, true) => FactValue::Down,
            (false, false) => FactValue::Unknown,
        }
    }
}

fn path(config: &BfdInstance) -> BfdPath {
    BfdPath {
        neighbor: config.neighbor,
        source: config.source,
        multihop: config.multihop,
        hops: hops_sent(config),
    }
}

/// What makes two sessions the same: who speaks to whom, and how.
fn identity(config: &BfdInstance) -> (IpAddr, Option<IpAddr>, bool) {
    (config.neighbor, config.source, config.multihop)
}

impl Sessions {
    pub(super) fn new(seed: u64) -> Sessions {
        Sessions {
            entries: Vec::new(),
            by_discriminator: BTreeMap::new(),
            by_name: BTreeMap::new(),
            seed,
            facts: SessionFacts::new(),
        }
    }

    /// All of them, for whoever asks.
    pub(super) fn view(&self) -> Vec<SessionView> {
        let view = |entry: &Entry| SessionView {
            config: Arc::clone(entry.session.config()),
            state: entry.session.state(),
            since: entry.entered.map(|(at, _)| at),
            reason: entry.entered.map(|(_, reason)| reason),
            detection_time: entry.session.detection_time(),
            socket_error: entry.socket_error.clone(),
            packets_dropped: entry.dropped,
        };
        self.entries.iter().map(view).collect()
    }

    /// Whether the session of this name is up. keepalived: one that never was counts as down.
    pub(super) fn value(&self, name: &str) -> FactValue {
        let entry = self.by_name.get(name).and_then(|i| self.entries.get(*i));
        FactValue::of(entry.is_some_and(|entry| entry.session.is_up()))
    }

    pub(super) fn why(&self, index: usize) -> Option<Why> {
        let (_, timer) = self.entries.get(index)?.next_deadline()?;
        Some(timer.map_or(Why::BfdSocket, Why::Bfd))
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A name on the wire that no session has.
    fn discriminator(&mut self) -> NonZeroU32 {
        loop {
            let [_, _, _, _, word @ ..] = self.random().to_be_bytes();
            if let Some(new) = NonZeroU32::new(u32::from_be_bytes(word))
                && !self.by_discriminator.contains_key(&new)
            {
                return new;
            }
        }
    }

    fn fresh(&mut self, config: Arc<BfdInstance>, now: Time) -> Entry {
        let discriminator = self.discriminator();
        let seed = self.random();
        Entry {
            path: path(&config),
            session: Session::new(config, discriminator, seed, now),
            was_up: false,
            timer: None,
            reopen_at: None,
            socket_error: None,
            dropped: 0,
            told: false,
            entered: None,
        }
    }

    /// Whose packet it is; or whom it concerns, and why it is dropped; or nobody.
    fn sort(
        &self,
        packet: &SessionPacket<'_>,
    ) -> Result<(usize, Packet), Option<(usize, Rejection)>> {
        let between = || self.entries.iter().position(|e| e.is_between(packet));
        let parsed = parse(packet.payload).map_err(|error| {
            let concerns = between();
            concerns.map(|index| (index, Rejection::Malformed(error)))
        })?;
        let named = NonZeroU32::new(parsed.your_discriminator);
        let index = match named {
            None => between().ok_or(None)?,
            Some(named) => match self.by_discriminator.get(&named) {
                Some(index) => *index,
                None => {
                    let unknown = Rejection::UnknownSession(named.get());
                    return Err(between().map(|index| (index, unknown)));
                }
            },
        };
        let entry = self.entries.get(index).ok_or(None)?;
        if !entry.is_between(packet) {
            return Err(Some((index, Rejection::Stranger(packet.source))));
        }
        check_hops(entry.session.config(), packet.hops)
            .map_err(|rejection| Some((index, rejection)))?;
        Ok((index, parsed))
    }
}

impl Failover {
    /// Sessions for everything that is configured: those between the same addresses go on, whatever they
    /// are called now, and tell their neighbors of changed times; the others take their leave.
    pub(super) fn adopt_sessions(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut old: BTreeMap<_, Entry> = std::mem::take(&mut self.bfd.entries)
            .into_iter()
            .map(|entry| (identity(entry.session.config()), entry))
            .collect();
        let configs: Vec<Arc<BfdInstance>> = self
            .config
            .bfd_instances
            .values()
            .map(|config| Arc::new(config.clone()))
            .collect();
        let kept: Vec<Option<Entry>> = configs.iter().map(|c| old.remove(&identity(c))).collect();
        for mut entry in old.into_values() {
            leave(&mut entry, now, out);
        }
        self.bfd.by_discriminator = BTreeMap::new();
        let kept_names = kept.iter().flatten().map(|e| e.session.discriminator());
        // What is taken must be known before a new name is made up.
        self.bfd
            .by_discriminator
            .extend(kept_names.map(|name| (name, 0)));
        self.bfd.by_name = BTreeMap::new();
        for (config, kept) in configs.into_iter().zip(kept) {
            let index = self.bfd.entries.len();
            let entry = match kept {
                Some(mut entry) => {
                    change(&mut entry, config, now, out);
                    entry
                }
                None => {
                    let entry = self.bfd.fresh(config, now);
                    open(&entry, out);
                    entry
                }
            };
            self.bfd
                .by_discriminator
                .insert(entry.session.discriminator(), index);
            self.bfd
                .by_name
                .insert(entry.session.config().name.clone(), index);
            self.bfd.entries.push(entry);
            self.retime_session(index);
        }
        self.publish_sessions(out);
    }

    /// All take their leave of their neighbors.
    pub(super) fn end_sessions(&mut self, now: Time, out: &mut Vec<Action>) {
        self.bfd.by_discriminator.clear();
        self.bfd.by_name.clear();
        for mut entry in std::mem::take(&mut self.bfd.entries) {
            leave(&mut entry, now, out);
        }
    }

    pub(super) fn on_session_timer(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        let Some(entry) = self.bfd.entries.get_mut(index) else {
            return;
        };
        if entry.reopen_at.is_some_and(|at| at <= now) {
            entry.reopen_at = None;
            open(entry, out);
        }
        if entry
            .session
            .next_deadline()
            .is_some_and(|(at, _)| at <= now)
        {
            self.drive_session(index, Event::Timer, now, out);
        }
        self.retime_session(index);
    }

    pub(super) fn on_session_packet(
        &mut self,
        packet: &SessionPacket<'_>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        match self.bfd.sort(packet) {
            Ok((index, parsed)) => self.drive_session(index, Event::Received(parsed), now, out),
            Err(None) => {}
            Err(Some((index, rejection))) => {
                let Some(entry) = self.bfd.entries.get_mut(index) else {
                    return;
                };
                entry.dropped += 1;
                // After a start of ours the neighbor does not know better yet.
                let expected = matches!(rejection, Rejection::UnknownSession(_));
                if !expected && !std::mem::replace(&mut entry.told, true) {
                    let source = packet.source;
                    out.push(entry.event(SessionChange::Rejected { source, rejection }));
                }
            }
        }
    }

    pub(super) fn on_session_socket_failed(
        &mut self,
        id: SessionId,
        error: String,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let Some(&index) = self.bfd.by_discriminator.get(&id.0) else {
            return;
        };
        if let Some(entry) = self.bfd.entries.get_mut(index) {
            entry.reopen_at = Some(now + REOPEN_AFTER);
            if entry.socket_error.as_ref() != Some(&error) {
                entry.socket_error = Some(error.clone());
                out.push(entry.event(SessionChange::NoSocket { error }));
            }
        }
        self.retime_session(index);
    }

    /// How many packets were dropped that concerned this session.
    pub fn session_packets_dropped(&self, name: &str) -> Option<u64> {
        let index = self.bfd.by_name.get(name)?;
        Some(self.bfd.entries.get(*index)?.dropped)
    }

    fn drive_session(&mut self, index: usize, event: Event, now: Time, out: &mut Vec<Action>) {
        let Some(entry) = self.bfd.entries.get_mut(index) else {
            return;
        };
        let was_up = entry.session.is_up();
        let mut wanted = Vec::new();
        entry.session.handle(event, now, &mut wanted);
        carry_out(entry, wanted, now, out);
        let changed = was_up != entry.session.is_up();
        self.retime_session(index);
        if changed {
            self.on_session_changed(index, now, out);
        }
    }

    /// It came up, or went down.
    fn on_session_changed(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        if let Some(entry) = self.bfd.entries.get(index) {
            let fact = FactName::new(FactKind::Bfd, entry.session.config().name.clone());
            self.refresh_standings_of(&fact, now, out);
        }
        self.publish_sessions(out);
    }

    fn retime_session(&mut self, index: usize) {
        let Some(entry) = self.bfd.entries.get_mut(index) else {
            return;
        };
        let next = entry.next_deadline().map(|(at, _)| at);
        if let Some(old) = std::mem::replace(&mut entry.timer, next) {
            self.timers.remove(&(old, TimerOf::Bfd(index)));
        }
        if let Some(next) = next {
            self.timers.insert((next, TimerOf::Bfd(index)));
        }
    }

    /// Tells the checks, if something is another than they know.
    fn publish_sessions(&mut self, out: &mut Vec<Action>) {
        let entries = self.bfd.entries.iter();
        let facts: SessionFacts = entries
            .filter(|entry| entry.session.config().for_checker)
            .map(|entry| (entry.session.config().name.clone(), entry.fact()))
            .collect();
        if facts != self.bfd.facts {
            self.bfd.facts.clone_from(&facts);
            out.push(Action::Sessions(facts));
        }
    }
}

fn open(entry: &Entry, out: &mut Vec<Action>) {
    out.push(Action::OpenSession {
        session: entry.id(),
        path: entry.path,
    });
}

fn leave(entry: &mut Entry, now: Time, out: &mut Vec<Action>) {
    let mut wanted = Vec::new();
    entry.session.handle(Event::Stop, now, &mut wanted);
    carry_out(entry, wanted, now, out);
    out.push(Action::CloseSession(entry.id()));
}

fn change(entry: &mut Entry, config: Arc<BfdInstance>, now: Time, out: &mut Vec<Action>) {
    entry.timer = None;
    if **entry.session.config() == *config {
        return;
    }
    let path = path(&config);
    if path != entry.path {
        entry.path = path;
        out.push(Action::CloseSession(entry.id()));
        open(entry, out);
    }
    let mut wanted = Vec::new();
    entry.session.reconfigure(config, now, &mut wanted);
    carry_out(entry, wanted, now, out);
}

fn carry_out(entry: &mut Entry, wanted: Vec<Wanted>, now: Time, out: &mut Vec<Action>) {
    for action in wanted {
        match action {
            Wanted::Send(packet) => out.push(Action::SendSession {
                session: entry.id(),
                packet: encode(&packet),
            }),
            Wanted::Entered { to, reason, .. } => {
                entry.told = false;
                entry.entered = Some((now, reason));
                entry.was_up |= to == State::Up;
                out.push(entry.event(SessionChange::Entered { to, reason }));
            }
            Wanted::Note(note) => out.push(entry.event(SessionChange::Note(note))),
        }
    }
}
