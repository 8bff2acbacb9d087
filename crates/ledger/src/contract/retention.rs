//! Deleting finished runs.

use super::given::*;
use crate::{
    BATCH_MAX, Body, Commit, LedgerError, Retained, Retention, Submission, Submitted, Token,
};

/// Whatever has ended goes.
const AT_ONCE: Retention = Retention { finished_ms: Some(0), runs_max: None, keys_ms: 0 };

fn body(of: &str) -> Body {
    Body::new(text(of))
}

async fn is_gone(l: &L, id: &str) -> bool {
    match l.read(&run(id), 0).await {
        Ok(_) => false,
        Err(LedgerError::NoSuchRun(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

async fn finished(l: &L, submission: Submission) {
    let id = submit(l, submission).await;
    end(l, &id, "done").await;
}

async fn retain(l: &L, rules: &Retention) -> usize {
    let done = l.retain(rules, BATCH_MAX).await.unwrap();
    assert!(!done.more, "{done:?}");
    done.deleted
}

pub async fn for_ever_deletes_nothing(l: L) {
    finished(&l, submission("a")).await;
    assert_eq!(retain(&l, &Retention::FOR_EVER).await, 0);
    let later = Retention { finished_ms: Some(LONG_MS), runs_max: Some(1), keys_ms: 0 };
    assert_eq!(retain(&l, &later).await, 0);
    assert!(!is_gone(&l, "a").await);
}

pub async fn a_deleted_run_is_gone_as_a_whole(l: L) {
    let empty = l.stats().await.unwrap();
    let key = Some("k".to_owned());
    let bodies = vec![body("one"), body("two")];
    let timers = vec![timer("t", LONG_MS)];
    submit(&l, Submission { key, bodies, timers, ..with_tasks("a", [1, 2]) }).await;
    let worker = lease_work(&l).await;
    let mut done = completion("o", tokens(1));
    done.bodies = vec![body("three")];
    l.complete(&held(&worker), done.clone()).await.unwrap();
    let decide = lease_decide(&l).await;
    let children = vec![child(1), child(2)];
    l.commit(Commit { children, ..seen(&l, &decide).await }).await.unwrap();
    for _ in 0..2 {
        let child = lease_decide(&l).await;
        let end = Some(text("child's end"));
        l.commit(Commit { end, ..seen(&l, &child).await }).await.unwrap();
    }
    end(&l, &run("a"), "done").await;
    // Not one of its own, whatever it is called.
    finished(&l, submission("a-7")).await;

    let rules = Retention { runs_max: Some(1), ..Retention::FOR_EVER };
    assert_eq!(retain(&l, &rules).await, 1);
    for id in ["a", "a-1", "a-2"] {
        assert!(is_gone(&l, id).await, "{id}");
    }
    assert!(!is_gone(&l, "a-7").await);
    for of in ["one", "two", "three"] {
        let gone = l.body(&tenant("t"), &body(of).name).await;
        assert!(matches!(gone, Err(LedgerError::NoSuchBody(_))), "{of}");
    }
    let list = l.list(&tenant("t"), 10, None).await.unwrap();
    assert_eq!(list.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [run("a-7")]);
    assert_eq!(l.complete(&held(&worker), done).await, Err(LedgerError::LeaseLost));
    let no_such = Err(LedgerError::NoSuchRun(run("a")));
    assert_eq!(l.cancel(&run("a"), "why").await, no_such);
    assert!(l.watch(&run("a"), 0).await.is_err());

    assert_eq!(retain(&l, &AT_ONCE).await, 1);
    let stats = l.stats().await.unwrap();
    assert_eq!(
        (stats.unfinished, stats.finished, stats.bodies, stats.body_bytes),
        (empty.unfinished, empty.finished, empty.bodies, empty.body_bytes)
    );
    assert_eq!(retain(&l, &AT_ONCE).await, 0);
}

pub async fn what_is_under_way_is_kept(l: L) {
    submit(&l, submission("decides")).await;
    submit(&l, with_tasks("works", [1])).await;
    let worker = lease_work(&l).await;
    l.cancel(&run("works"), "why").await.unwrap();
    end(&l, &run("works"), "done").await;
    let most = Retention { runs_max: Some(0), ..AT_ONCE };
    assert_eq!(retain(&l, &most).await, 0, "one has not ended, of one a task is still held");
    l.complete(&held(&worker), completion("o", tokens(1))).await.unwrap();
    assert_eq!(retain(&l, &most).await, 1);
    assert!(is_gone(&l, "works").await && !is_gone(&l, "decides").await);
}

pub async fn the_oldest_go_when_there_are_too_many(l: L) {
    for id in ["a", "b", "c", "d"] {
        finished(&l, submission(id)).await;
    }
    finished(&l, Submission { tenant: tenant("u"), ..submission("e") }).await;
    let rules = Retention { runs_max: Some(2), ..Retention::FOR_EVER };
    assert_eq!(retain(&l, &rules).await, 2);
    for (id, gone) in [("a", true), ("b", true), ("c", false), ("d", false), ("e", false)] {
        assert_eq!(is_gone(&l, id).await, gone, "{id}");
    }
    assert_eq!(retain(&l, &rules).await, 0);
}

pub async fn a_key_keeps_its_run_for_a_while(l: L) {
    let key = |key: &str| Some(key.to_owned());
    finished(&l, Submission { key: key("k"), ..submission("a") }).await;
    finished(&l, submission("b")).await;
    let young = Retention { runs_max: Some(0), keys_ms: LONG_MS, ..AT_ONCE };
    assert_eq!(retain(&l, &young).await, 1);
    assert!(!is_gone(&l, "a").await && is_gone(&l, "b").await);
    let again = l.submit(Submission { key: key("k"), ..submission("c") }).await;
    assert_eq!(again, Ok(Submitted::Known(run("a"))));
}

pub async fn a_shared_body_stays_with_its_last_run(l: L) {
    let both = || vec![body("shared"), body("shared")];
    finished(&l, Submission { bodies: both(), ..submission("a") }).await;
    finished(&l, Submission { bodies: both(), ..submission("b") }).await;
    let theirs = Submission { tenant: tenant("u"), bodies: both(), ..submission("d") };
    finished(&l, theirs).await;
    submit(&l, Submission { bodies: both(), ..submission("c") }).await;
    assert_eq!(retain(&l, &AT_ONCE).await, 3);
    let name = body("shared").name;
    assert_eq!(l.body(&tenant("t"), &name).await, Ok(text("shared")));
    assert!(l.body(&tenant("u"), &name).await.is_err());
    end(&l, &run("c"), "done").await;
    assert_eq!(retain(&l, &AT_ONCE).await, 1);
    assert!(l.body(&tenant("t"), &name).await.is_err());
}

pub async fn a_deleted_key_and_body_can_be_used_again(l: L) {
    let asked = |id: &str| Submission {
        key: Some("k".to_owned()),
        bodies: vec![body("text")],
        ..submission(id)
    };
    finished(&l, asked("a")).await;
    // At the same time, as far as the ledger is concerned.
    let (deleted, again) = tokio::join!(l.retain(&AT_ONCE, BATCH_MAX), l.submit(asked("b")));
    assert_eq!(deleted, Ok(Retained { deleted: 1, more: false }));
    match again.unwrap() {
        Submitted::New(id) => assert_eq!(id, run("b")),
        Submitted::Known(id) => {
            assert_eq!(id, run("a"));
            submit(&l, asked("b")).await;
        }
    }
    assert_eq!(l.body(&tenant("t"), &body("text").name).await, Ok(text("text")));
    // A run of the same name starts from nothing.
    end(&l, &run("b"), "done").await;
    let token = Token { epoch: 0, attempt: 0, nonce: 0 };
    let task = baton_workflow::TaskId { run: run("a"), number: 0 };
    assert_eq!(l.commit(commit(&task, token)).await, Err(LedgerError::LeaseLost));
}

pub async fn deletions_are_bounded(l: L) {
    for id in ["a", "b", "c"] {
        finished(&l, submission(id)).await;
    }
    assert_eq!(l.retain(&AT_ONCE, 0).await, Ok(Retained::default()));
    assert_eq!(l.retain(&AT_ONCE, 2).await, Ok(Retained { deleted: 2, more: true }));
    assert_eq!(l.retain(&AT_ONCE, 2).await, Ok(Retained { deleted: 1, more: false }));
}
