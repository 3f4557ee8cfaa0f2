//! Questions that several checks have in common: they are asked once, and each takes the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::CheckerKind;
use crate::time::Time;

use super::ProbeId;

/// What is asked. Checks with equal questions share one probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Whom, and what.
    pub kind: CheckerKind,
    /// Which of the kind's questions ([`CheckerKind::stages`]), from 0.
    pub stage: usize,
    /// How often: what is asked in another rhythm is another question.
    pub delay_loop: Duration,
}

/// One checker of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(pub(super) u64);

/// Who asks what, and what is being asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    groups: BTreeMap<Question, Group>,
    running: BTreeMap<ProbeId, Question>,
    next_id: u64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// When the first of them asks first.
    first_due: Option<Time>,
    /// Everybody who asks this.
    readers: BTreeSet<ReaderId>,
    probe: Option<ProbeId>,
    /// Those who take the answer of that probe.
    waiting: BTreeSet<ReaderId>,
}

impl Questions {
    /// A reader asks this from now on.
    pub(super) fn join(&mut self, question: &Question, reader: ReaderId) {
        match self.groups.get_mut(question) {
            Some(group) => drop(group.readers.insert(reader)),
            None => {
                let group = self.groups.entry(question.clone()).or_default();
                group.readers.insert(reader);
            }
        }
    }

    /// When whoever asked this first asks first.
    pub(super) fn first_due(&self, question: &Question) -> Option<Time> {
        self.groups.get(question)?.first_due
    }

    /// Notes when whoever asks this first does so first.
    pub(super) fn found(&mut self, question: &Question, due: Time) {
        if self.groups.contains_key(question) {
            return;
        }
        let group = Group {
            first_due: Some(due),
            ..Group::default()
        };
        self.groups.insert(question.clone(), group);
    }

    /// A reader asks this no more; the probe that nobody waits for any longer.
    pub(super) fn leave(&mut self, question: &Question, reader: ReaderId) -> Option<ProbeId> {
        let group = self.groups.get_mut(question)?;
        group.readers.remove(&reader);
        let waited = group.waiting.remove(&reader);
        let unwanted = match waited && group.waiting.is_empty() {
            true => group.probe.take(),
            false => None,
        };
        if group.readers.is_empty() {
            self.groups.remove(question);
        }
        if let Some(probe) = unwanted {
            self.running.remove(&probe);
        }
        unwanted
    }

    /// The others who ask this.
    pub(super) fn others(&self, question: &Question, reader: ReaderId) -> Vec<ReaderId> {
        let readers = self.groups.get(question).map(|group| &group.readers);
        let others = readers.into_iter().flatten().copied();
        others.filter(|other| *other != reader).collect()
    }

    /// A reader wants an answer; the probe to start, unless one is under way.
    pub(super) fn ask(&mut self, question: &Question, reader: ReaderId) -> Option<ProbeId> {
        let group = self.groups.get_mut(question)?;
        group.waiting.insert(reader);
        if group.probe.is_some() {
            return None;
        }
        let probe = ProbeId(self.next_id);
        self.next_id += 1;
        group.probe = Some(probe);
        self.running.insert(probe, question.clone());
        Some(probe)
    }

    /// A probe has ended; those who wait for its answer.
    pub(super) fn answered(&mut self, probe: ProbeId) -> BTreeSet<ReaderId> {
        let Some(question) = self.running.remove(&probe) else {
            return BTreeSet::new();
        };
        let Some(group) = self.groups.get_mut(&question) else {
            return BTreeSet::new();
        };
        group.probe = None;
        std::mem::take(&mut group.waiting)
    }
}
