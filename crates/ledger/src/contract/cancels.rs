//! Asking runs to end.

use super::given::*;
use crate::{Cancelled, Class, Commit, Heard, Mail};
use baton_workflow::Spend;

pub async fn a_cancel_becomes_mail_and_a_decision(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    assert_eq!(l.cancel(&run("a"), "enough").await, Ok(Cancelled::Asked));
    assert_eq!(mails(&l, &run("a")).await, [Mail::Cancel { reason: "enough".into() }]);
    let view = l.read(&run("a"), 0).await.unwrap();
    assert!(view.cancelled && view.end.is_none());
    let decide = lease_decide(&l).await;
    assert!(decide.cancelled);
    assert_eq!(l.heartbeat(&[held(&decide)], LONG_MS).await.unwrap().len(), 1);
    let last = Commit { end: Some(text("cancelled")), ..seen(&l, &decide).await };
    l.commit(last).await.unwrap();
    assert_eq!(l.read(&run("a"), 0).await.unwrap().end, Some(text("cancelled")));
}

pub async fn a_cancel_is_asked_for_once(l: L) {
    submit(&l, submission("a")).await;
    assert_eq!(l.cancel(&run("a"), "one").await, Ok(Cancelled::Asked));
    assert_eq!(l.cancel(&run("a"), "two").await, Ok(Cancelled::AlreadyAsked));
    assert_eq!(mails(&l, &run("a")).await, [Mail::Cancel { reason: "one".into() }]);
    end(&l, &run("a"), "done").await;
    assert_eq!(l.cancel(&run("a"), "three").await, Ok(Cancelled::AlreadyEnded));
}

pub async fn holders_are_told_to_abandon(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = lease_work(&l).await;
    assert_eq!(l.heartbeat(&[held(&worker)], LONG_MS).await, Ok(vec![Heard::Extended]));
    l.cancel(&run("a"), "why").await.unwrap();
    assert_eq!(l.heartbeat(&[held(&worker)], LONG_MS).await, Ok(vec![Heard::Abandon]));
    l.complete(&held(&worker), completion("partial", tokens(1))).await.unwrap();
    let arrived = mails(&l, &run("a")).await;
    assert!(matches!(arrived[..], [Mail::Cancel { .. }, Mail::Outcome { task: 1, .. }]));
}

pub async fn queued_tasks_are_dropped(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    submit(&l, with_tasks("b", [1])).await;
    l.cancel(&run("a"), "why").await.unwrap();
    let leased = lease_many(&l, work(), 10).await;
    assert_eq!(leased.iter().map(|t| t.task.run.clone()).collect::<Vec<_>>(), [run("b")]);
    let lost = |task| Mail::Lost { task, dropped: true, spend: Spend::ZERO };
    let arrived = mails(&l, &run("a")).await;
    assert!(arrived.contains(&lost(1)) && arrived.contains(&lost(2)), "{arrived:?}");
    assert_eq!(arrived.len(), 3);
    assert_eq!(lease_many(&l, Class::decide(), 10).await.len(), 1);
}

pub async fn a_tree_is_cancelled_at_once(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let children = vec![child(1), child(2)];
    l.commit(Commit { children, ..seen(&l, &decide).await }).await.unwrap();
    let (first, second) = (run("a").child(1).unwrap(), run("a").child(2).unwrap());
    for decide in lease_many(&l, Class::decide(), 10).await {
        let tasks = if decide.task.run == first { vec![task(1)] } else { vec![task(1), task(2)] };
        l.commit(Commit { tasks, ..seen(&l, &decide).await }).await.unwrap();
    }
    let worker = lease_work(&l).await;
    assert_eq!(l.cancel(&run("a"), "why").await, Ok(Cancelled::Asked));
    for id in [run("a"), first.clone(), second.clone()] {
        assert!(l.read(&id, 0).await.unwrap().cancelled, "{id}");
    }
    assert_eq!(l.heartbeat(&[held(&worker)], LONG_MS).await, Ok(vec![Heard::Abandon]));
    waits_nothing(&l, work()).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decides = lease_many(&l, Class::decide(), 10).await;
    assert!(decides.iter().all(|leased| leased.cancelled));
    assert_eq!(decides.len(), 3, "each of them decides");
    assert_eq!(l.cancel(&run("a"), "again").await, Ok(Cancelled::AlreadyAsked));
}

/// A decision that is under way when a run above is cancelled knows nothing of it, and
/// might wait for what never comes.
pub async fn a_decision_that_missed_a_cancel_is_made_again(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    l.commit(Commit { children: vec![child(1)], ..seen(&l, &decide).await }).await.unwrap();
    let below = run("a").child(1).unwrap();
    let decide = lease_decide(&l).await;
    assert!(decide.task.run == below && !decide.cancelled);
    l.cancel(&run("a"), "why").await.unwrap();
    let waits = Commit { timers: vec![timer("far", LONG_MS)], ..seen(&l, &decide).await };
    l.commit(waits).await.unwrap();
    let again = lease_decide_of(&l, &below).await;
    assert!(again.cancelled);
    l.commit(seen(&l, &again).await).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
}
