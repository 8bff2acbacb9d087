//! Decisions: what is committed, and what the model makes of it.

use super::{Driver, ops::Act, task};
use crate::{
    Commit, Held, LedgerError, Recorded, Token,
    contract::{
        given::{self, child, text},
        model::Task,
    },
};
use baton_workflow::RunId;

impl Driver {
    pub(super) async fn commit(&mut self, pick: u8, stale: bool, act: Act, told: &str) {
        let Some(held) = self.held(pick, stale, true) else { return };
        let id = held.task.run.clone();
        let (holder, finished) = self.standing(&held);
        let commit = self.commit_of(&held, &act);
        let result = self.l.commit(commit.clone()).await;
        if matches!((&act, &result), (Act::Invalid, Err(LedgerError::Invalid(_)))) {
            // What is wrong in itself may be refused before the token is looked at.
            return;
        }
        if finished == Some(held.token) {
            assert_eq!(result, Ok(Recorded::AlreadyDone), "{told}");
            return;
        }
        if holder != Some(held.token) {
            // An older commit than the latest may be remembered, or not any more.
            let refused = matches!(result, Err(LedgerError::LeaseLost) | Ok(Recorded::AlreadyDone));
            assert!(refused, "{told}: {result:?}");
            return;
        }
        match act {
            Act::Moved => {
                assert!(matches!(result, Err(LedgerError::JournalMoved { .. })), "{told}");
                return;
            }
            Act::Invalid => panic!("{told}: {result:?}"),
            Act::Nothing
            | Act::Half
            | Act::Tasks(_)
            | Act::Child(_)
            | Act::Withdraw
            | Act::WithdrawChild
            | Act::End => assert_eq!(result, Ok(Recorded::Now), "{told}"),
        }
        self.committed(&id, held.token, commit);
        self.follow_drops().await;
    }

    /// A commit that the model says is right, but for what `act` makes wrong.
    fn commit_of(&self, held: &Held, act: &Act) -> Commit {
        let run = &self.model.runs[&held.task.run];
        let last = run.tasks.keys().next_back().copied().unwrap_or(0);
        let next_child = run.children.keys().next_back().copied().unwrap_or(0) + 1;
        let event = text(&format!("e{}", run.journal.len() + 1));
        let mut commit = Commit {
            journal_len: run.journal.len() as u64,
            mail_seen: run.mails.len() as u64,
            events: vec![event],
            ..given::commit(&held.task, held.token)
        };
        match act {
            Act::Nothing => commit.events.clear(),
            Act::Half => commit.mail_seen = (run.seen + run.mails.len()).div_ceil(2) as u64,
            Act::Tasks(count) => commit.tasks = (last + 1..=last + count).map(task).collect(),
            Act::Child(tasks) => {
                // Deeper names grow; two levels say all there is to say.
                if run.parent.is_none() {
                    let tasks = (1..=*tasks).map(task).collect();
                    let events = vec![text("created")];
                    commit.children = vec![crate::NewChild { tasks, events, ..child(next_child) }];
                }
            }
            Act::Withdraw => commit.withdraw = run.tasks.keys().copied().step_by(2).collect(),
            Act::WithdrawChild => commit.withdraw_children = run.children.keys().copied().collect(),
            Act::End => commit.end = Some(text("end")),
            Act::Moved => commit.journal_len += 1,
            Act::Invalid => commit.tasks = vec![task(last + 1), task(last + 1)],
        }
        commit
    }

    /// The model's account of a commit that was accepted.
    fn committed(&mut self, id: &RunId, token: Token, commit: Commit) {
        let run = self.model.run(id);
        run.committed = Some(token);
        run.seen = run.seen.max(usize::try_from(commit.mail_seen).unwrap());
        let events = commit.events.iter().map(|event| String::from_utf8_lossy(event).into_owned());
        run.journal.extend(events);
        for number in commit.withdraw {
            let task = self.model.task(id, number);
            if task.holder.is_some() {
                task.withdrawn = true;
            } else if !task.over && task.finished.is_none() {
                self.model.drop_task(id, number);
            }
        }
        let run = self.model.run(id);
        run.tasks.extend(commit.tasks.iter().map(|task| (task.number, Task::default())));
        let budget = run.budget;
        for child in commit.withdraw_children {
            let child = self.model.run(id).children[&child].clone();
            let below = self.model.run(&child);
            if below.end.is_none() && !below.cancelled {
                // What the child is told is the ledger's own wording; see `compare`.
                self.model.cancel(&child, "");
            }
        }
        for child in commit.children {
            let tasks = u32::try_from(child.tasks.len()).unwrap();
            let name = id.child(child.number).unwrap();
            self.model.create(name, Some((id.clone(), child.number)), budget, tasks);
        }
        let run = self.model.run(id);
        run.decide = None;
        match commit.end {
            Some(end) => self.model.end(id, &String::from_utf8_lossy(&end)),
            None => {
                let told = run.told_to_stop;
                let unseen = run.mails.len() > run.seen;
                if unseen || (self.model.is_cancelled(id) && !told) {
                    self.model.run(id).decide = Some(Task::default());
                }
            }
        }
    }
}
