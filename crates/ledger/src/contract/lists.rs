//! A tenant's runs.

use super::given::*;
use crate::{Class, Commit, LedgerError, Submission};
use baton_workflow::RunId;

async fn ids(l: &L, limit: usize, before: Option<&str>) -> Vec<RunId> {
    let before = before.map(run);
    let list = l.list(&tenant("t"), limit, before.as_ref()).await.unwrap();
    list.into_iter().map(|summary| summary.run).collect()
}

async fn five(l: &L) {
    // The names say nothing of the order.
    for id in ["c", "a", "e", "b", "d"] {
        submit(l, submission(id)).await;
    }
}

pub async fn newest_first_and_bounded(l: L) {
    five(&l).await;
    assert_eq!(ids(&l, 10, None).await, ["d", "b", "e", "a", "c"].map(run));
    assert_eq!(ids(&l, 2, None).await, ["d", "b"].map(run));
    for limit in [0, 1001] {
        let refused = l.list(&tenant("t"), limit, None).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))));
    }
}

pub async fn a_list_goes_on_from_a_run(l: L) {
    five(&l).await;
    for decide in lease_many(&l, Class::decide(), 10).await {
        if [run("e"), run("b")].contains(&decide.task.run) {
            let last = Commit { end: Some(text("done")), ..seen(&l, &decide).await };
            l.commit(last).await.unwrap();
        }
    }
    assert_eq!(ids(&l, 2, Some("b")).await, ["e", "a"].map(run));
    assert_eq!(ids(&l, 2, Some("e")).await, ["a", "c"].map(run));
    assert_eq!(ids(&l, 10, Some("c")).await, []);
    assert_eq!(ids(&l, 10, None).await, ["d", "b", "e", "a", "c"].map(run));
}

pub async fn a_list_is_one_tenants(l: L) {
    submit(&l, submission("a")).await;
    submit(&l, Submission { tenant: tenant("u"), ..submission("b") }).await;
    submit(&l, Submission { tenant: tenant("tt"), ..submission("c") }).await;
    assert_eq!(ids(&l, 10, None).await, [run("a")]);
    let theirs = l.list(&tenant("u"), 10, None).await.unwrap();
    assert_eq!(theirs.len(), 1);
}

pub async fn a_list_shows_how_runs_ended(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", tokens(3))).await.unwrap();
    let list = l.list(&tenant("t"), 1, None).await.unwrap();
    assert_eq!((list[0].end.clone(), list[0].ended_at), (None, None));
    assert_eq!((list[0].spent, list[0].label.clone()), (tokens(3), text("label-a")));
    let decide = lease_decide(&l).await;
    let last = Commit { end: Some(text("done")), ..seen(&l, &decide).await };
    l.commit(Commit { children: vec![child(1)], ..last }).await.unwrap();
    let list = l.list(&tenant("t"), 10, None).await.unwrap();
    assert_eq!(list.len(), 1, "children are in no list");
    assert_eq!((list[0].end.clone(), list[0].spent), (Some(text("done")), tokens(3)));
    assert!(list[0].ended_at.is_some_and(|at| at >= list[0].submitted_at));
}
