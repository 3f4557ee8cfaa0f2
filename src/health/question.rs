//! Questions that several checks have in common: they are asked once, and each takes the answer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, Shared};
use crate::time::Time;

use super::ProbeId;
use super::few::Few;
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
    groups: Slab<Group>,
    /// All of them, by what they ask.
    order: Vec<QuestionId>,
    running: BTreeMap<ProbeId, QuestionId>,
    next_probe: u64,
}

#[derive(Clone, Debug)]
struct Group {
    question: Question,
    /// When the first of them asks first.
    first_due: Option<Time>,
    /// Everybody who asks this.
    readers: Few,
    probe: Option<ProbeId>,
    /// How many take the answer of that probe.
    waiting: u32,
}

impl Questions {
    fn find(&self, question: &Question) -> Result<usize, usize> {
        self.order.binary_search_by(|id| {
            let group = self.groups.get(id.0);
            group.map_or(Ordering::Less, |group| group.question.cmp(question))
        })
    }

    /// A reader asks this from now on; `due`: when it does so first.
    pub(super) fn join(
        &mut self,
        question: Question,
        reader: ReaderId,
        due: Option<Time>,
    ) -> QuestionId {
        let place = self.find(&question);
        if let Ok(at) = place
            && let Some(&id) = self.order.get(at)
            && let Some(group) = self.groups.get_mut(id.0)
        {
            group.readers.push(reader);
            return id;
        }
        let id = QuestionId(self.groups.insert(Group {
            question,
            first_due: due,
            readers: Few::One(reader),
            probe: None,
            waiting: 0,
        }));
        self.order.insert(place.unwrap_or_else(|at| at), id);
        id
    }

    /// Those who ask this already, and when the first of them asked first.
    pub(super) fn askers(&self, question: &Question) -> (&[ReaderId], Option<Time>) {
        let id = self.find(question).ok().and_then(|at| self.order.get(at));
        let group = id.and_then(|id| self.groups.get(id.0));
        group.map_or((&[], None), |group| {
            (group.readers.as_slice(), group.first_due)
        })
    }

    /// A reader asks this no more; the probe that nobody waits for any longer. `waits`: it does.
    pub(super) fn leave(
        &mut self,
        id: QuestionId,
        reader: ReaderId,
        waits: bool,
    ) -> Option<ProbeId> {
        let group = self.groups.get_mut(id.0)?;
        group.readers.remove(reader);
        group.waiting = group.waiting.saturating_sub(waits.into());
        let unwanted = match group.waiting {
            0 => group.probe.take(),
            _ => None,
        };
        if let Some(probe) = unwanted {
            self.running.remove(&probe);
        }
        if group.readers.as_slice().is_empty() {
            let question = group.question.clone();
            if let Ok(at) = self.find(&question) {
                self.order.remove(at);
            }
            self.groups.remove(id.0);
        }
        unwanted
    }

    /// Those who ask this.
    pub(super) fn readers(&self, id: QuestionId) -> &[ReaderId] {
        let group = self.groups.get(id.0);
        group.map_or(&[], |group| group.readers.as_slice())
    }

    /// A reader wants an answer; the probe to start, unless one is under way.
    pub(super) fn ask(&mut self, id: QuestionId) -> Option<(ProbeId, Question)> {
        let group = self.groups.get_mut(id.0)?;
        group.waiting += 1;
        if group.probe.is_some() {
            return None;
        }
        let probe = ProbeId(self.next_probe);
        self.next_probe += 1;
        group.probe = Some(probe);
        self.running.insert(probe, id);
        Some((probe, group.question.clone()))
    }

    /// A probe has ended; those who may wait for its answer, which is everybody who asks and has begun to.
    pub(super) fn answered(&mut self, probe: ProbeId) -> Few {
        let id = self.running.remove(&probe);
        let Some(group) = id.and_then(|id| self.groups.get_mut(id.0)) else {
            return Few::default();
        };
        group.probe = None;
        group.waiting = 0;
        group.readers.clone()
    }
}
