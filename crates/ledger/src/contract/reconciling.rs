//! Runs that wait for nothing.

use super::given::*;
use crate::{Class, Commit, Submission};

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
