//! One session's state: Down, Init, Up, AdminDown.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::BfdInstance;
use crate::time::Time;
use crate::wire::bfd::{Diagnostic, Packet, State};

use super::event::{Action, Input, Note, Reason, Timer};
use super::jitter::Jitter;

/// As long as the session is not Up nobody sends more often (RFC 5880 section 6.8.3).
pub const SLOW_TX_MIN: Duration = Duration::from_secs(1);

/// How often a stall is told of.
const OVERSLEPT_TOLD_EVERY: Duration = Duration::from_secs(10);

/// A session with one neighbor.
#[derive(Clone, Debug)]
pub struct Session {
    config: Arc<BfdInstance>,
    discriminator: NonZeroU32,
    jitter: Jitter,
    state: State,
    diagnostic: Diagnostic,
    neighbor: Neighbor,
    poll: Poll,
    /// What we send by: `min_tx` or `idle_tx`, or while the neighbor does not know of a longer one yet, the
    /// old one.
    tx: Duration,
    /// What the neighbor is judged by: `min_rx`, or the old one while it does not know of a shorter one.
    rx: Duration,
    /// When a packet was sent on time or with news; answers to polls do not count.
    sent_at: Option<Time>,
    send_at: Option<Time>,
    /// The interval that `send_at` was made of; `None`: nothing is sent by time.
    interval: Option<Duration>,
    heard_at: Option<Time>,
    expires_at: Option<Time>,
    /// The detection time that was told last.
    told: Option<Duration>,
    overslept_told_at: Option<Time>,
}

/// What is known of the other side; RFC 5880 section 6.8.1 gives the first values.
#[derive(Clone, Copy, Debug)]
struct Neighbor {
    state: State,
    discriminator: u32,
    min_tx: Duration,
    min_rx: Duration,
    multiplier: u8,
    demand: bool,
}

const UNKNOWN: Neighbor = Neighbor {
    state: State::Down,
    discriminator: 0,
    min_tx: Duration::ZERO,
    min_rx: Duration::from_micros(1),
    multiplier: 0,
    demand: false,
};

/// A Poll Sequence (RFC 5880 section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    Idle,
    /// P stands in our packets until F comes.
    Asking,
    /// The same, and something changed since: ask once more.
    AskingAgain,
}

impl Session {
    /// A session that is Down. `discriminator` names it at this node, `seed` spreads its packets in time;
    /// both should differ from session to session. Without `passive` it speaks at once.
    pub fn new(
        config: Arc<BfdInstance>,
        discriminator: NonZeroU32,
        seed: u64,
        now: Time,
    ) -> Session {
        let mut session = Session {
            discriminator,
            jitter: Jitter::new(seed),
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            neighbor: UNKNOWN,
            poll: Poll::Idle,
            tx: Duration::ZERO,
            rx: config.min_rx,
            sent_at: None,
            send_at: None,
            interval: None,
            heard_at: None,
            expires_at: None,
            told: None,
            overslept_told_at: None,
            config,
        };
        session.tx = session.desired_tx();
        session.retime(now);
        session
    }

    /// What it was configured as.
    pub fn config(&self) -> &Arc<BfdInstance> {
        &self.config
    }

    /// Its name on the wire.
    pub fn discriminator(&self) -> NonZeroU32 {
        self.discriminator
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the path to the neighbor works, both ways.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// After this long a silence the neighbor is taken for dead; `None` before it was heard.
    pub fn detection_time(&self) -> Option<Duration> {
        let neighbor = &self.neighbor;
        (neighbor.multiplier != 0)
            .then(|| self.rx.max(neighbor.min_tx) * u32::from(neighbor.multiplier))
    }

    /// When to call with [`Input::Timer`].
    pub fn next_deadline(&self) -> Option<(Time, Timer)> {
        let detect = self.expires_at.map(|at| (at, Timer::Detect));
        let transmit = self.send_at.map(|at| (at, Timer::Transmit));
        detect.into_iter().chain(transmit).min()
    }

    /// Handles one event; appends what to do.
    pub fn handle(&mut self, input: Input, now: Time, out: &mut Vec<Action>) {
        self.notice_stall(now, out);
        match input {
            Input::Timer => self.on_timer(now, out),
            Input::Received(packet) => self.on_received(packet, now, out),
            Input::Stop => self.on_stop(out),
        }
    }

    /// Takes over changed times of the same session. The state stays; while it is Up the neighbor is told
    /// by a Poll Sequence, and what would hurt before it knows waits for its answer (RFC 5880 section
    /// 6.8.3): sending less often, expecting more often.
    pub fn reconfigure(&mut self, config: Arc<BfdInstance>, now: Time, out: &mut Vec<Action>) {
        let old = std::mem::replace(&mut self.config, config);
        if self.state == State::AdminDown {
            return;
        }
        let polls = old.min_tx != self.config.min_tx || old.min_rx != self.config.min_rx;
        if self.is_up() {
            self.tx = self.tx.min(self.desired_tx());
            self.rx = self.rx.max(self.config.min_rx);
            if polls {
                self.ask();
            }
        } else {
            self.tx = self.desired_tx();
            self.rx = self.config.min_rx;
        }
        self.retime(now);
        if let (Some(heard_at), Some(time)) = (self.heard_at, self.detection_time()) {
            // Never earlier than it was: it may have been put off.
            self.expires_at = self.expires_at.map(|at| at.max(heard_at + time));
            self.tell_detection_time(out);
        }
        let news = polls || old.multiplier != self.config.multiplier;
        if self.is_up() && news && self.interval.is_some() {
            self.send(now, out);
        }
    }

    /// A stall is no failure of the neighbor. Whoever finds a deadline past by more than the detection
    /// time stood still (a stopped process, a paused guest): what the neighbor sent meanwhile may be lost,
    /// and it is given one more detection time.
    fn notice_stall(&mut self, now: Time, out: &mut Vec<Action>) {
        if !matches!(self.state, State::Init | State::Up) {
            return;
        }
        let (Some((due, _)), Some(detection)) = (self.next_deadline(), self.detection_time())
        else {
            return;
        };
        let late = now.since(due);
        if late <= detection {
            return;
        }
        let told = self.overslept_told_at;
        if told.is_none_or(|at| now.since(at) >= OVERSLEPT_TOLD_EVERY) {
            self.overslept_told_at = Some(now);
            out.push(Action::Note(Note::Overslept(late)));
        }
        self.expires_at = Some(now + detection);
        self.send_at = self.send_at.map(|at| at.max(now));
    }

    fn on_timer(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.expires_at.is_some_and(|at| at <= now) {
            self.expires_at = None;
            // RFC 5880 section 6.8.1: whoever is there next may be another.
            self.neighbor.discriminator = 0;
            if matches!(self.state, State::Init | State::Up) {
                let reason = Reason::Expired {
                    detection: self.detection_time().unwrap_or_default(),
                    silence: self.heard_at.map(|at| now.since(at)).unwrap_or_default(),
                };
                self.fall(Diagnostic::EXPIRED, reason, now, out);
            } else {
                self.retime(now);
            }
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send(now, out);
        }
    }

    /// RFC 5880 section 6.8.6, from "set bfd.RemoteDiscr" on.
    fn on_received(&mut self, packet: Packet, now: Time, out: &mut Vec<Action>) {
        if self.state == State::AdminDown {
            return;
        }
        let micros = |value: u32| Duration::from_micros(value.into());
        self.neighbor = Neighbor {
            state: packet.state,
            discriminator: packet.my_discriminator.get(),
            min_tx: micros(packet.desired_min_tx),
            min_rx: micros(packet.required_min_rx),
            multiplier: packet.detect_mult.get(),
            demand: packet.demand,
        };
        if packet.is_final {
            self.on_final();
        }
        let before = self.state;
        match (self.state, packet.state) {
            (State::Down, State::Down) => self.rise(State::Init, now, out),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.rise(State::Up, now, out);
            }
            (State::Up, State::Down) | (State::Init | State::Up, State::AdminDown) => {
                let reason = Reason::NeighborDown {
                    state: packet.state,
                    diagnostic: packet.diagnostic,
                };
                let diagnostic = Diagnostic::NEIGHBOR_SIGNALED_DOWN;
                self.fall(diagnostic, reason, now, out);
            }
            _ => {}
        }
        self.retime(now);
        self.heard_at = Some(now);
        self.expires_at = self.detection_time().map(|time| now + time);
        self.tell_detection_time(out);
        if packet.poll {
            // It carries the news as well.
            let answer = self.packet(true);
            out.push(Action::Send(answer));
        } else if self.state != before && self.interval.is_some() {
            self.send(now, out);
        }
    }

    fn on_stop(&mut self, out: &mut Vec<Action>) {
        let from = self.state;
        if from == State::AdminDown {
            return;
        }
        let speaks = self.may_speak();
        self.state = State::AdminDown;
        self.diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
        self.poll = Poll::Idle;
        (self.send_at, self.expires_at, self.interval) = (None, None, None);
        if speaks {
            let last = self.packet(false);
            out.push(Action::Send(last));
        }
        out.push(Action::Entered {
            from,
            to: State::AdminDown,
            reason: Reason::Stopped,
        });
    }

    /// The neighbor has answered a poll: it knows what our packets said.
    fn on_final(&mut self) {
        match self.poll {
            Poll::Idle => {}
            Poll::Asking => {
                self.poll = Poll::Idle;
                self.tx = self.desired_tx();
                self.rx = self.config.min_rx;
            }
            Poll::AskingAgain => self.poll = Poll::Asking,
        }
    }

    fn ask(&mut self) {
        self.poll = match self.poll {
            Poll::Idle => Poll::Asking,
            Poll::Asking | Poll::AskingAgain => Poll::AskingAgain,
        };
    }

    fn rise(&mut self, to: State, now: Time, out: &mut Vec<Action>) {
        self.diagnostic = Diagnostic::NONE;
        self.enter(to, Reason::Heard(self.neighbor.state), now, out);
    }

    fn fall(&mut self, diagnostic: Diagnostic, reason: Reason, now: Time, out: &mut Vec<Action>) {
        self.diagnostic = diagnostic;
        self.told = None;
        self.enter(State::Down, reason, now, out);
        if matches!(reason, Reason::Expired { .. }) && self.interval.is_some() {
            self.send(now, out);
        }
    }

    fn enter(&mut self, to: State, reason: Reason, now: Time, out: &mut Vec<Action>) {
        let from = std::mem::replace(&mut self.state, to);
        self.poll = Poll::Idle;
        self.rx = self.config.min_rx;
        let (slow, fast) = (self.tx, self.desired_tx());
        // Up: `min_tx` in place of `idle_tx`, which the neighbor has to be told.
        if to == State::Up && slow != fast {
            self.ask();
        }
        self.tx = fast;
        self.retime(now);
        out.push(Action::Entered { from, to, reason });
    }

    /// The interval that our packets ask for.
    fn desired_tx(&self) -> Duration {
        match self.state {
            State::Up => self.config.min_tx,
            _ => self.config.min_tx.max(self.config.idle_tx).max(SLOW_TX_MIN),
        }
    }

    /// Whether there is anybody to speak to: a passive side waits to be spoken to.
    fn may_speak(&self) -> bool {
        self.state != State::AdminDown && !(self.config.passive && self.neighbor.discriminator == 0)
    }

    /// Whether packets are sent by time (RFC 5880 section 6.8.7): not to one who wants none, nor, once both
    /// are Up and nothing is asked, to one in demand mode.
    fn sends_by_time(&self) -> bool {
        let neighbor = &self.neighbor;
        let spared = neighbor.demand
            && self.is_up()
            && neighbor.state == State::Up
            && self.poll == Poll::Idle;
        self.may_speak() && neighbor.min_rx != Duration::ZERO && !spared
    }

    /// Sets the time of the next packet anew if the interval is another one now.
    fn retime(&mut self, now: Time) {
        let interval = self
            .sends_by_time()
            .then(|| self.tx.max(self.neighbor.min_rx));
        if interval == self.interval {
            return;
        }
        self.interval = interval;
        self.send_at = interval.map(|interval| match self.sent_at {
            None => now,
            Some(at) => (at + self.shortened(interval)).max(now),
        });
    }

    fn shortened(&mut self, interval: Duration) -> Duration {
        self.jitter.shorten(interval, self.multiplier())
    }

    fn multiplier(&self) -> NonZeroU8 {
        NonZeroU8::new(self.config.multiplier).unwrap_or(NonZeroU8::MIN)
    }

    /// Sends now; the next packet by time is an interval away from here.
    fn send(&mut self, now: Time, out: &mut Vec<Action>) {
        let packet = self.packet(false);
        out.push(Action::Send(packet));
        self.sent_at = Some(now);
        self.send_at = self.interval.map(|interval| now + self.shortened(interval));
    }

    fn packet(&self, is_final: bool) -> Packet {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll != Poll::Idle && !is_final,
            is_final,
            control_plane_independent: false,
            demand: false,
            detect_mult: self.multiplier(),
            my_discriminator: self.discriminator,
            your_discriminator: self.neighbor.discriminator,
            desired_min_tx: micros(self.desired_tx()),
            required_min_rx: micros(self.config.min_rx),
            required_min_echo_rx: 0,
        }
    }

    fn tell_detection_time(&mut self, out: &mut Vec<Action>) {
        let time = self.detection_time();
        if !self.is_up() || self.told == time {
            return;
        }
        self.told = time;
        out.extend(time.map(|time| Action::Note(Note::DetectionTime(time))));
    }
}

#[cfg(test)]
mod tests;
