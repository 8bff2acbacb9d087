//! A small model of a ledger: plain maps, no queues, no durability.
//!
//! It says what must be true after each operation, not in which order tasks are handed
//! out: where the ledger has a choice, the model follows it and checks that it was one.

use crate::{ATTEMPTS_MAX, Mail, Token};
use baton_workflow::{Budget, Resource, RunId, Spend};
use std::collections::{BTreeMap, BTreeSet};

/// What the model knows of a task.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    pub(super) attempt: u32,
    pub(super) holder: Option<Token>,
    pub(super) finished: Option<Token>,
    pub(super) withdrawn: bool,
    pub(super) over: bool,
    pub(super) reserved: Spend,
    pub(super) spent: Spend,
    pub(super) estimated: bool,
    /// Its present holder has begun what must not be done twice.
    pub(super) started: bool,
}

/// What the model knows of a run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) parent: Option<(RunId, u32)>,
    pub(super) root: RunId,
    pub(super) budget: Budget,
    pub(super) journal: Vec<String>,
    pub(super) mails: Vec<Mail>,
    pub(super) seen: usize,
    pub(super) tasks: BTreeMap<u32, Task>,
    pub(super) decide: Option<Task>,
    /// Under which the latest decision was committed.
    pub(super) committed: Option<Token>,
    pub(super) children: BTreeMap<u32, RunId>,
    pub(super) spent: Spend,
    /// Words that came, by their keys.
    pub(super) words: BTreeSet<String>,
    /// Whether the latest lease of its decision said that it is to stop.
    pub(super) told_to_stop: bool,
    pub(super) cancelled: bool,
    pub(super) end: Option<String>,
}

/// All runs.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) runs: BTreeMap<RunId, Run>,
}

impl Model {
    pub(super) fn create(
        &mut self,
        id: RunId,
        parent: Option<(RunId, u32)>,
        budget: Budget,
        tasks: u32,
    ) {
        let root = parent.as_ref().map_or(id.clone(), |(above, _)| self.runs[above].root.clone());
        let tasks: BTreeMap<_, _> = (1..=tasks).map(|number| (number, Task::default())).collect();
        let decide = tasks.is_empty().then(Task::default);
        if let Some((above, number)) = &parent {
            self.run(above).children.insert(*number, id.clone());
        }
        let run = Run {
            parent,
            root,
            budget,
            journal: vec!["created".into()],
            mails: Vec::new(),
            seen: 0,
            tasks,
            decide,
            committed: None,
            children: BTreeMap::new(),
            spent: Spend::ZERO,
            words: BTreeSet::new(),
            told_to_stop: false,
            cancelled: false,
            end: None,
        };
        self.runs.insert(id, run);
    }

    pub(super) fn run(&mut self, id: &RunId) -> &mut Run {
        self.runs.get_mut(id).expect("a run of the model")
    }

    pub(super) fn task(&mut self, id: &RunId, number: u32) -> &mut Task {
        self.run(id).tasks.get_mut(&number).expect("a task of the model")
    }

    /// Whether a run is told to stop.
    pub(super) fn is_cancelled(&self, id: &RunId) -> bool {
        let run = &self.runs[id];
        run.cancelled
            || run.parent.as_ref().is_some_and(|(above, _)| {
                self.runs[above].end.is_some() || self.is_cancelled(above)
            })
    }

    pub(super) fn mail(&mut self, id: &RunId, mail: Mail) {
        let run = self.run(id);
        if run.end.is_none() {
            run.mails.push(mail);
            run.decide.get_or_insert_default();
        }
    }

    pub(super) fn charge(&mut self, id: &RunId, spend: Spend) {
        let mut above = Some(id.clone());
        while let Some(id) = above {
            let run = self.run(&id);
            run.spent = run.spent.plus(spend);
            above = run.parent.clone().map(|(parent, _)| parent);
        }
    }

    /// What a root's tree has set aside.
    pub(super) fn reserved(&self, root: &RunId) -> Spend {
        let tree = self.runs.values().filter(|run| run.root == *root);
        tree.flat_map(|run| run.tasks.values().map(|task| task.reserved)).sum()
    }

    /// A lease sets aside what its task asks for, if the root's budget holds it.
    pub(super) fn set_aside(
        &mut self,
        id: &RunId,
        number: u32,
        amount: Spend,
    ) -> Result<Spend, Resource> {
        let root = self.runs[id].root.clone();
        let total = self.runs[&root].spent.plus(self.reserved(&root)).plus(amount);
        match self.runs[&root].budget.exceeded_by(&total).filter(|_| amount != Spend::ZERO) {
            Some(resource) => Err(resource),
            None => {
                self.task(id, number).reserved = amount;
                Ok(amount)
            }
        }
    }

    /// A queued task that nobody will get.
    pub(super) fn drop_task(&mut self, id: &RunId, number: u32) {
        let task = self.task(id, number);
        task.over = true;
        let (dropped, spend) = (true, task.spent);
        self.mail(id, Mail::Lost { task: number, dropped, spend });
    }

    pub(super) fn cancel(&mut self, id: &RunId, reason: &str) {
        self.run(id).cancelled = true;
        self.mail(id, Mail::Cancel { reason: reason.into() });
    }

    pub(super) fn end(&mut self, id: &RunId, end: &str) {
        let run = self.run(id);
        run.end = Some(end.into());
        run.decide = None;
        for task in run.tasks.values_mut().filter(|task| task.holder.is_none()) {
            task.over = true;
        }
        let (parent, spend) = (run.parent.clone(), run.spent);
        if let Some((above, child)) = parent {
            let end = bytes::Bytes::copy_from_slice(end.as_bytes());
            self.mail(&above, Mail::ChildEnded { child, end, spend });
        }
    }

    /// A lease that was not extended.
    pub(super) fn expire(&mut self, id: &RunId, number: u32) {
        if number == crate::DECIDE_TASK {
            let decide = self.run(id).decide.as_mut().expect("a decision that is held");
            decide.holder = None;
            if decide.attempt >= ATTEMPTS_MAX {
                self.run(id).decide = None;
                let (dropped, spend) = (false, Spend::ZERO);
                self.mail(id, Mail::Lost { task: number, dropped, spend });
            }
            return;
        }
        let task = self.task(id, number);
        task.holder = None;
        let reserved = std::mem::take(&mut task.reserved);
        task.spent = task.spent.plus(reserved);
        task.estimated |= reserved != Spend::ZERO;
        let (dropped, spend) = (task.withdrawn, task.spent);
        let interrupted = std::mem::take(&mut task.started);
        let lost = !interrupted && (task.withdrawn || task.attempt >= ATTEMPTS_MAX);
        self.charge(id, reserved);
        let ended = self.run(id).end.is_some();
        self.task(id, number).over = lost || interrupted || ended;
        if interrupted {
            self.mail(id, Mail::Interrupted { task: number, spend });
        }
        if lost {
            self.mail(id, Mail::Lost { task: number, dropped, spend });
        }
    }
}
