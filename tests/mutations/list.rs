//! The mistakes. A text must stand exactly once in its file; where the code changes, it follows.

/// One mistake.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    pub(crate) means: &'static str,
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
    pub(crate) instead: &'static str,
}

const MACHINE: &str = "src/vrrp/machine.rs";
const HEARING: &str = "src/vrrp/machine/hearing.rs";
const LEAVING: &str = "src/vrrp/machine/leaving.rs";
const CLAIMING: &str = "src/vrrp/machine/claiming.rs";
const TIMERS: &str = "src/vrrp/timers.rs";
const RECEIVE: &str = "src/vrrp/receive.rs";
const ADVERTS: &str = "src/engine/failover/adverts.rs";
const ADDRESSES: &str = "src/engine/failover/addresses.rs";

pub(crate) const ALL: &[Mutation] = &[
    Mutation {
        name: "skew-dropped",
        means: "every backup waits equally long",
        file: TIMERS,
        text: "    unit * (256 - u32::from(priority.get())) / 256\n",
        instead: "    unit * (u32::from(priority.get()) / 256)\n",
    },
    Mutation {
        name: "skew-turned-round",
        means: "the lowest priority is first",
        file: TIMERS,
        text: "    unit * (256 - u32::from(priority.get())) / 256\n",
        instead: "    unit * u32::from(priority.get()) / 256\n",
    },
    Mutation {
        name: "down-timer-adverts-ignored",
        means: "always three adverts",
        file: TIMERS,
        text: "    master_interval * u32::from(down_timer_adverts) + ",
        instead: "    master_interval * u32::from(down_timer_adverts).max(3) + ",
    },
    Mutation {
        name: "priority-0-ignored",
        means: "a goodbye is taken for silence",
        file: HEARING,
        text: "            self.timers.set(Timer::MasterDown, now + skew);\n            return;",
        instead: "            let _ = skew;\n            return;",
    },
    Mutation {
        name: "goodbye-not-said",
        means: "a master that stops falls silent",
        file: LEAVING,
        text: "            out.push(Action::SendAdvert { priority: 0 });\n            self.hold_on(",
        instead: "            self.hold_on(",
    },
    Mutation {
        name: "equal-priority-preempts",
        means: "a backup takes over from its equal",
        file: HEARING,
        text: "        theirs < self.priority.get()\n",
        instead: "        theirs <= self.priority.get()\n",
    },
    Mutation {
        name: "tie-broken-by-nothing",
        means: "two masters of one priority stay",
        file: HEARING,
        text: "heard.priority == ours && self.source.is_some_and(|source| heard.source > source);",
        instead: "heard.priority == ours && self.source.is_none();",
    },
    Mutation {
        name: "tie-to-the-lower-address",
        means: "of two equal masters the lower address stays",
        file: HEARING,
        text: "self.source.is_some_and(|source| heard.source > source);",
        instead: "self.source.is_some_and(|source| heard.source < source);",
    },
    Mutation {
        name: "stall-guard-off",
        means: "who stood still goes on as if nothing was",
        file: MACHINE,
        text: "        if late <= self.master_down() {",
        instead: "        if late <= self.master_down() || self.may_claim {",
    },
    Mutation {
        name: "stalled-backup-too-eager",
        means: "a backup listens no longer than a master that stood still beside it",
        file: MACHINE,
        text: "            listen_until + self.master_down()\n",
        instead: "            listen_until\n",
    },
    Mutation {
        name: "stalled-master-insists",
        means: "with nopreempt, it takes back what another took over while it stood still",
        file: HEARING,
        text: "        if self.listens && self.config.preempt != Preempt::After(Duration::ZERO) {",
        instead: "        if self.listens && self.config.preempt != Preempt::After(Duration::ZERO) && false {",
    },
    Mutation {
        name: "preempt-delay-ignored",
        means: "it preempts at once",
        file: HEARING,
        text: "                if now < preempt_at {",
        instead: "                if now < preempt_at && false {",
    },
    Mutation {
        name: "nopreempt-ignored",
        means: "it preempts all the same",
        file: HEARING,
        text: "            Preempt::Never => self.follow(heard, now),",
        instead: "            Preempt::Never => {}",
    },
    Mutation {
        name: "never-preempts",
        means: "a lower master is followed for ever",
        file: HEARING,
        text: "                } else if !self.preempt_noted {",
        instead: "                } else if { self.follow(heard, now); !self.preempt_noted } {",
    },
    Mutation {
        name: "higher-master-ignored",
        means: "a master does not yield to a higher one",
        file: HEARING,
        text: "        if heard.priority > ours || tie_lost {",
        instead: "        if tie_lost {",
    },
    Mutation {
        name: "kept-addresses-kept",
        means: "addresses of a predecessor are never given up",
        file: HEARING,
        text: "        if self.keeps_addresses && heard.priority != 0 {",
        instead: "        if self.keeps_addresses && heard.priority == 0 {",
    },
    Mutation {
        name: "hold-not-begun",
        means: "a master that stops lets go of its addresses at once",
        file: LEAVING,
        text: "            Leaving::Alone(_) => hold_time(self.config.version, self.config.advert_int.get()),\n            Leaving::F",
        instead: "            Leaving::Alone(_) => Duration::ZERO,\n            Leaving::F",
    },
    Mutation {
        name: "hold-not-ended",
        means: "a master that was beaten keeps its addresses for a long time",
        file: LEAVING,
        text: "            Leaving::Followed | Leaving::Beaten => ANNOUNCED_WITHIN,",
        instead: "            Leaving::Followed | Leaving::Beaten => HOLD_MAX,",
    },
    Mutation {
        name: "stands-by-in-vain",
        means: "a node that was told to stand by takes over all the same",
        file: CLAIMING,
        text: "        if self.standby {\n            out.push(Action::Note(Note::StandsBy));",
        instead: "        if self.standby && false {\n            out.push(Action::Note(Note::StandsBy));",
    },
    Mutation {
        name: "hand-over-taken-back",
        means: "who handed over preempts whoever took over",
        file: LEAVING,
        text: "        if self.lets_be {",
        instead: "        if self.lets_be && false {",
    },
    Mutation {
        name: "advert-timer-drifts",
        means: "the interval counts from when the last advert went out",
        file: MACHINE,
        text: "                let next = due + interval;",
        instead: "                let next = now.max(due) + interval;",
    },
    Mutation {
        name: "flood-answered",
        means: "every lower advert is answered",
        file: HEARING,
        text: "        let pause = self.config.advert_int.get() / ANSWERS_PER_INTERVAL;",
        instead: "        let pause = self.config.advert_int.get() / ANSWERS_PER_INTERVAL / 1000;",
    },
    Mutation {
        name: "lower-master-not-answered",
        means: "two masters that hear each other wait for the next advert, and nobody is told again",
        file: HEARING,
        text: "        if !self.may_answer(now) {\n            return;\n        }\n        // RFC 9568",
        instead: "        if self.may_answer(now) || true {\n            return;\n        }\n        // RFC 9568",
    },
    Mutation {
        name: "claims-before-ipvs",
        means: "what stands behind the addresses is not waited for",
        file: CLAIMING,
        text: "        if self.may_claim && !self.in_group {\n",
        instead: "        if !self.in_group {\n",
    },
    Mutation {
        name: "addresses-not-released",
        means: "a master that yields keeps the addresses",
        file: LEAVING,
        text: "        self.timers.clear(Timer::HoldOver);\n        out.push(Action::Release);",
        instead: "        self.timers.clear(Timer::HoldOver);\n        let _ = out;",
    },
    Mutation {
        name: "nobody-told",
        means: "a new master does not announce the addresses",
        file: CLAIMING,
        text: "        if repeat == 0 {\n            return;\n        }",
        instead: "        if repeat > 0 {\n            return;\n        }",
    },
    Mutation {
        name: "weights-ignored",
        means: "a tracked process has no effect",
        file: MACHINE,
        text: "self.set_priority(self.config.priority.weighted(sum), out);",
        instead: "self.set_priority(self.config.priority.weighted(sum * 0), out);",
    },
    Mutation {
        name: "timers-of-a-reload",
        means: "a reload starts the timers again",
        file: MACHINE,
        text: "        if timing_changed {",
        instead: "        if timing_changed || true {",
    },
    Mutation {
        name: "ttl-not-looked-at",
        means: "adverts from behind a router are taken",
        file: RECEIVE,
        text: "Transport::Multicast(_) if ttl != 255 =>",
        instead: "Transport::Multicast(_) if ttl == 0 =>",
    },
    Mutation {
        name: "password-not-looked-at",
        means: "any password is right",
        file: RECEIVE,
        text: "(Some(Auth::Pass(ours)), AuthField::Pass(theirs)) if ours == theirs => Ok(()),",
        instead: "(Some(Auth::Pass(ours)), AuthField::Pass(theirs)) if ours == theirs || true => Ok(()),",
    },
    Mutation {
        name: "own-advert-taken",
        means: "an advert of our own that came back is somebody else's",
        file: ADVERTS,
        text: "        if self.kernel.source_of(slot.config()) == Some(",
        instead: "        if self.kernel.source_of(slot.config()).is_none() && None == Some(",
    },
    Mutation {
        name: "advert-stale",
        means: "the first advert that was built is sent for ever, whatever the priority",
        file: ADVERTS,
        text: "        if self.priority != priority {\n",
        instead: "        if self.priority == 0 || priority == 0 {\n",
    },
    Mutation {
        name: "addresses-not-defended",
        means: "an address that somebody removed stays away",
        file: ADDRESSES,
        text: "            self.restore_at.get_or_insert(now + RESTORE_AFTER);",
        instead: "            let _ = (now, RESTORE_AFTER);",
    },
];
