//! What happens next in a run, as a function of its state and the time.

use crate::{Assignment, ChildAssignment, End, Event, Reason, Run, Stage};
use baton_workflow::Timestamp;

/// What a Conductor commits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// For the journal.
    pub events: Vec<Event>,
    /// Tasks to create, with their numbers.
    pub tasks: Vec<(u32, Assignment)>,
    /// Child runs to begin, with their numbers.
    pub children: Vec<(u32, ChildAssignment)>,
    /// Numbers of tasks no longer wanted.
    pub withdraw: Vec<u32>,
    /// Numbers of child runs no longer wanted.
    pub withdraw_children: Vec<u32>,
    /// The run's end, if this is it; also the last of `events`.
    pub end: Option<End>,
}

impl Run {
    /// What to do now. Empty when there is nothing to do but wait.
    pub fn decide(&self, now: Timestamp) -> Decision {
        let mut run = self.clone();
        let mut decision = Decision::default();
        while let Some(event) = run.next(now) {
            if let Some(task) = run.assignment(&event) {
                decision.tasks.push(task);
            }
            decision.children.extend(run.child(&event));
            if let Event::Withdrawn { tasks, children } = &event {
                decision.withdraw.extend(tasks);
                decision.withdraw_children.extend(children);
            }
            if let Event::Ended { end } = &event {
                // The ledger stops the runs below a run that ends.
                let tasks = run.open.iter().filter(|(_, open)| !open.work.is_child());
                decision.withdraw.extend(tasks.map(|(number, _)| *number));
                decision.end = Some(end.clone());
            }
            run.apply(&event);
            decision.events.push(event);
        }
        decision
    }

    /// The next single decision, if one is due.
    fn next(&self, now: Timestamp) -> Option<Event> {
        if self.end.is_some() {
            return None;
        }
        if let Some(reason) = &self.cancel {
            return Some(self.close_with_best(Reason::Cancelled { reason: reason.clone() }));
        }
        if let Stage::Over(closing) = &self.stage {
            return Some(self.close(closing.clone()));
        }
        if self.late || now >= self.deadline() {
            return Some(self.close_with_best(Reason::DeadlinePassed));
        }
        if let Some(resource) = self.broke {
            return Some(self.close_with_best(Reason::BudgetSpent { resource }));
        }
        match &self.stage {
            Stage::Planning(state) => self.next_planning(state),
            Stage::Working => self.next_working(now),
            Stage::Voting(_) | Stage::Over(_) => None,
            Stage::Awaiting(answer) => self.next_awaiting(answer),
            Stage::Checking(answer) => self.next_checking(answer.step),
        }
    }
}
