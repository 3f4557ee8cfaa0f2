//! Questions that several checks have in common: they are asked once, and each takes the answer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, Shared};
use crate::time::Time;

use super::ProbeId;
use super::slab::Slab;

/// What is asked. Checks with equal questions share one probe.
///
/// Equal are those of one kind and stage with the same `delay_loop`: what is asked in another rhythm is
/// another question.
#[derive(Clone, Debug)]
pub struct Question {
    /// One of those who ask. It is not copied: there are thousands.
    checker: Shared<Checker>,
    stage: usize,
}

impl Question {
    /// What a checker asks at a stage.
    pub(super) fn new(checker: Shared<Checker>, stage: usize) -> Question {
        Question { checker, stage }
    }

    /// Whom, and what.
    pub fn kind(&self) -> &CheckerKind {
        &self.checker.kind
    }

    /// Which of the kind's questions ([`CheckerKind::stages`]), from 0.
    pub fn stage(&self) -> usize {
        self.stage
    }

    fn key(&self) -> (&CheckerKind, usize, Duration) {
        (&self.checker.kind, self.stage, self.checker.delay_loop)
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Question) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Question {}

impl PartialOrd for Question {
    fn partial_cmp(&self, other: &Question) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Question {
    fn cmp(&self, other: &Question) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// One checker of one server: its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(pub(super) u32);

/// A question that somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QuestionId(u32);

/// Who asks what, and what is being asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    known: BTreeMap<Question, QuestionId>,
    groups: Slab<Group>,
    running: BTreeMap<ProbeId, QuestionId>,
    next_probe: u64,
}

#[derive(Clone, Debug)]
struct Group {
    question: Question,
    /// When the first of them asks first.
    first_due: Option<Time>,
    /// Everybody who asks this.
    readers: Vec<ReaderId>,
    probe: Option<ProbeId>,
    /// Those who take the answer of that probe.
    waiting: Vec<ReaderId>,
}

impl Questions {
    /// A reader asks this from now on; `due`: when it does so first.
    pub(super) fn join(
        &mut self,
        question: Question,
        reader: ReaderId,
        due: Option<Time>,
    ) -> QuestionId {
        match self.known.entry(question) {
            Entry::Occupied(known) => {
                let id = *known.get();
                if let Some(group) = self.groups.get_mut(id.0) {
                    group.readers.push(reader);
                }
                id
            }
            Entry::Vacant(place) => {
                let group = Group {
                    question: place.key().clone(),
                    first_due: due,
                    readers: vec![reader],
                    probe: None,
                    waiting: Vec::new(),
                };
                *place.insert(QuestionId(self.groups.insert(group)))
            }
        }
    }

    /// Those who ask this already, and when the first of them asked first.
    pub(super) fn askers(&self, question: &Question) -> (&[ReaderId], Option<Time>) {
        let id = self.known.get(question);
        let group = id.and_then(|id| self.groups.get(id.0));
        group.map_or((&[], None), |group| (&group.readers, group.first_due))
    }

    /// A reader asks this no more; the probe that nobody waits for any longer.
    pub(super) fn leave(&mut self, id: QuestionId, reader: ReaderId) -> Option<ProbeId> {
        let group = self.groups.get_mut(id.0)?;
        group.readers.retain(|other| *other != reader);
        let before = group.waiting.len();
        group.waiting.retain(|other| *other != reader);
        let waited = group.waiting.len() < before;
        let unwanted = match waited && group.waiting.is_empty() {
            true => group.probe.take(),
            false => None,
        };
        if let Some(probe) = unwanted {
            self.running.remove(&probe);
        }
        if group.readers.is_empty() {
            self.known.remove(&group.question);
            self.groups.remove(id.0);
        }
        unwanted
    }

    /// The others who ask this.
    pub(super) fn others(&self, id: QuestionId, reader: ReaderId) -> Vec<ReaderId> {
        let readers = self.groups.get(id.0).map(|group| &group.readers);
        let others = readers.into_iter().flatten().copied();
        others.filter(|other| *other != reader).collect()
    }

    /// A reader wants an answer; the probe to start, unless one is under way.
    pub(super) fn ask(&mut self, id: QuestionId, reader: ReaderId) -> Option<(ProbeId, Question)> {
        let group = self.groups.get_mut(id.0)?;
        group.waiting.push(reader);
        if group.probe.is_some() {
            return None;
        }
        let probe = ProbeId(self.next_probe);
        self.next_probe += 1;
        group.probe = Some(probe);
        self.running.insert(probe, id);
        Some((probe, group.question.clone()))
    }

    /// A probe has ended; those who wait for its answer.
    pub(super) fn answered(&mut self, probe: ProbeId) -> Vec<ReaderId> {
        let id = self.running.remove(&probe);
        let Some(group) = id.and_then(|id| self.groups.get_mut(id.0)) else {
            return Vec::new();
        };
        group.probe = None;
        let mut waiting = std::mem::take(&mut group.waiting);
        // In the order of their places, as ever.
        waiting.sort_unstable();
        waiting
    }
}
