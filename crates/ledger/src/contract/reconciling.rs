//! Runs that wait for nothing.

use super::given::*;
use crate::{Class, Commit, LedgerError, Recorded, Submission};
use baton_workflow::Spend;

/// Looks until all unfinished runs were looked at; how many were revived.
async fn reconcile_all(l: &L) -> usize {
    let mut revived = 0;
    loop {
        let done = l.reconcile(256).await.unwrap();
        revived += done.revived;
        if done.looked < 256 {
            return revived;
        }
    }
}

pub async fn a_run_that_waits_for_nothing_decides_again(l: L) {
    submit(&l, submission("a")).await;
    note_all(&l).await;
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(reconcile_all(&l).await, 1);
    end(&l, &run("a"), "done").await;
    assert_eq!(reconcile_all(&l).await, 0);
}

pub async fn a_run_that_waits_is_left_alone(l: L) {
    submit(&l, submission("decision")).await;
    submit(&l, Submission { timers: vec![timer("t", LONG_MS)], ..submission("timer") }).await;
    let mut parent = None;
    for decide in lease_many(&l, Class::decide(), 2).await {
        if decide.task.run == run("timer") {
            l.commit(seen(&l, &decide).await).await.unwrap();
        } else {
            parent = Some(decide);
        }
    }
    assert_eq!(reconcile_all(&l).await, 0, "one is held, one has a timer");
    let parent = parent.unwrap();
    let commit = Commit { children: vec![child(1)], ..seen(&l, &parent).await };
    l.commit(commit).await.unwrap();
    submit(&l, with_tasks("task", [1])).await;
    assert_eq!(reconcile_all(&l).await, 0, "one has a child, which decides; one has a task");
    lease_work(&l).await;
    assert_eq!(reconcile_all(&l).await, 0);
    waits_for_decision_of_child(&l).await;
}

async fn waits_for_decision_of_child(l: &L) {
    let waiting = lease_many(l, Class::decide(), 256).await;
    let runs: Vec<_> = waiting.iter().map(|leased| leased.task.run.clone()).collect();
    assert_eq!(runs, [run("decision").child(1).unwrap()]);
}

pub async fn looks_are_bounded(l: L) {
    for id in ["a", "b", "c"] {
        submit(&l, submission(id)).await;
        note_all(&l).await;
    }
    let mut revived = 0;
    for _ in 0..4 {
        let done = l.reconcile(2).await.unwrap();
        assert!(done.looked <= 2, "{done:?}");
        revived += done.revived;
    }
    assert_eq!(revived, 3, "every call goes on where the last one stopped");
    assert_eq!(l.reconcile(0).await.unwrap().looked, 0);
}

pub async fn a_parked_run_keeps_its_mail_and_nobody_else(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    submit(&l, submission("b")).await;
    let works = lease_many(&l, work(), 2).await;
    l.complete(&held(&works[0]), completion("one", Spend::ZERO)).await.unwrap();
    let decide = lease_decide_of(&l, &run("a")).await;
    assert_eq!(l.park(&held(&decide)).await, Ok(Recorded::Now));
    assert_eq!(l.park(&held(&decide)).await, Ok(Recorded::AlreadyDone));
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(reconcile_all(&l).await, 0, "it is tried again later");
    assert_eq!(mails(&l, &run("a")).await.len(), 1, "nothing is lost");
    let stale = l.commit(commit(&decide.task, decide.token)).await;
    assert_eq!(stale, Ok(Recorded::AlreadyDone));
    l.complete(&held(&works[1]), completion("two", Spend::ZERO)).await.unwrap();
    let again = lease_decide(&l).await;
    assert_eq!(again.reading.as_deref().map(|view| view.mails.len()), Some(2));
    l.commit(seen(&l, &again).await).await.unwrap();
    assert_eq!(l.park(&held(&again)).await, Ok(Recorded::AlreadyDone));
    assert!(matches!(l.park(&held(&works[0])).await, Err(LedgerError::Invalid(_))));
}
