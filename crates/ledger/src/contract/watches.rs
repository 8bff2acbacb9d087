//! Looking on.

use super::{given::*, submissions::long_journal};
use crate::{BATCH_MAX, Class, Commit, END, Ledger, LedgerError, Observation, Watched};
use baton_workflow::Spend;
use futures::StreamExt;
use futures_core::stream::BoxStream;
use std::time::Duration;

type Stream = BoxStream<'static, Result<Watched, LedgerError>>;

/// How long something that must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn watch(l: &L, from: u64) -> Stream {
    Ledger::watch(&**l, &run("a"), from).await.unwrap()
}

async fn next(stream: &mut Stream) -> Option<Result<Watched, LedgerError>> {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("the watch says nothing")
}

async fn entry(stream: &mut Stream) -> (u64, bytes::Bytes) {
    match next(stream).await {
        Some(Ok(Watched::Entry(entry))) => (entry.seq, entry.event),
        other => panic!("{other:?} is no entry"),
    }
}

async fn observed(stream: &mut Stream) -> Observation {
    match next(stream).await {
        Some(Ok(Watched::Observed(observation))) => observation,
        other => panic!("{other:?} is no observation"),
    }
}

fn leased(task: u32, class: Class, attempt: u32) -> Observation {
    Observation::Leased { task, class, attempt, holder: "holder".into() }
}

pub async fn a_watch_shows_past_present_and_future(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let mut stream = watch(&l, 0).await;
    assert_eq!(entry(&mut stream).await, (1, text("submitted")));
    assert_eq!(observed(&mut stream).await, leased(decide.task.number, Class::decide(), 1));
    let commit = Commit {
        events: vec![text("two"), text("three")],
        tasks: vec![task(1)],
        ..seen(&l, &decide).await
    };
    l.commit(commit).await.unwrap();
    assert_eq!(entry(&mut stream).await, (2, text("two")));
    assert_eq!(entry(&mut stream).await, (3, text("three")));
    let worker = lease_work(&l).await;
    assert_eq!(observed(&mut stream).await, leased(1, work(), 1));
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    assert_eq!(observed(&mut stream).await, leased(decide.task.number, Class::decide(), 1));
    let last =
        Commit { events: vec![text("four")], end: Some(text("done")), ..seen(&l, &decide).await };
    l.commit(last).await.unwrap();
    assert_eq!(entry(&mut stream).await, (4, text("four")));
    assert_eq!(next(&mut stream).await, Some(Ok(Watched::Ended(text("done")))));
    assert_eq!(next(&mut stream).await, None);
}

pub async fn a_watch_starts_where_it_is_told(l: L) {
    let events = ["one", "two", "three"].map(text).to_vec();
    submit(&l, crate::Submission { events, ..submission("a") }).await;
    let mut stream = watch(&l, 2).await;
    assert_eq!(entry(&mut stream).await, (3, text("three")));
    let decide = lease_decide(&l).await;
    assert_eq!(observed(&mut stream).await, leased(decide.task.number, Class::decide(), 1));
    let last = Commit { end: Some(text("done")), ..seen(&l, &decide).await };
    l.commit(last).await.unwrap();
    assert_eq!(next(&mut stream).await, Some(Ok(Watched::Ended(text("done")))));
}

pub async fn a_watch_shows_who_holds_what(l: L) {
    submit(&l, with_tasks("a", 1..=3)).await;
    lease_many(&l, work(), 2).await;
    let mut stream = watch(&l, 0).await;
    assert_eq!(entry(&mut stream).await.0, 1);
    let mut both = [observed(&mut stream).await, observed(&mut stream).await];
    both.sort_by_key(|observation| format!("{observation:?}"));
    assert_eq!(both, [leased(1, work(), 1), leased(2, work(), 1)]);
}

pub async fn a_watch_shows_an_expiry(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let mut stream = watch(&l, 1).await;
    lease_and_lose(&l, work()).await;
    assert_eq!(observed(&mut stream).await, leased(1, work(), 1));
    assert_eq!(observed(&mut stream).await, Observation::Expired { task: 1, attempt: 1 });
    lease_work(&l).await;
    assert_eq!(observed(&mut stream).await, leased(1, work(), 2));
}

pub async fn an_ended_run_is_watched_to_its_end(l: L) {
    submit(&l, submission("a")).await;
    end(&l, &run("a"), "done").await;
    for from in [0, 1] {
        let mut stream = watch(&l, from).await;
        if from == 0 {
            assert_eq!(entry(&mut stream).await.0, 1);
        }
        assert_eq!(next(&mut stream).await, Some(Ok(Watched::Ended(text("done")))));
        assert_eq!(next(&mut stream).await, None);
    }
}

pub async fn a_long_journal_is_watched_whole(l: L) {
    let len = long_journal(&l).await;
    let mut stream = watch(&l, 0).await;
    for seq in 1..=len {
        assert_eq!(entry(&mut stream).await.0, seq);
    }
}

pub async fn a_slow_watcher_misses_nothing_unknowingly(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let mut stream = watch(&l, 0).await;
    let mut written = 1;
    for number in 1..=12 {
        let worker = lease_work(&l).await;
        l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
        let decide = lease_decide(&l).await;
        let events = vec![text("e"); BATCH_MAX];
        let commit = Commit { events, tasks: vec![task(number + 1)], ..seen(&l, &decide).await };
        l.commit(commit).await.unwrap();
        written += BATCH_MAX as u64;
    }
    let mut seen = 0;
    while seen < written {
        match next(&mut stream).await {
            Some(Ok(Watched::Entry(entry))) => {
                seen += 1;
                assert_eq!(entry.seq, seen);
            }
            Some(Ok(Watched::Observed(_))) => {}
            Some(Err(LedgerError::Unavailable(_))) => {
                assert_eq!(next(&mut stream).await, None);
                stream = watch(&l, seen).await;
            }
            other => panic!("{other:?} in the middle of the journal"),
        }
    }
}

pub async fn a_watch_from_the_end_shows_the_end_alone(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = lease_work(&l).await;
    let mut stream = watch(&l, END).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    end(&l, &run("a"), "the end").await;
    assert_eq!(next(&mut stream).await, Some(Ok(Watched::Ended(text("the end")))));
    assert_eq!(next(&mut stream).await, None);
    let mut late = watch(&l, END).await;
    assert_eq!(next(&mut late).await, Some(Ok(Watched::Ended(text("the end")))));
}
