//! What a decision writes.

use super::given::*;
use crate::{BATCH_MAX, Class, Commit, Heard, LedgerError, Mail, PAYLOAD_BYTES_MAX, Recorded};
use baton_workflow::{RunId, Spend};
use bytes::Bytes;

pub async fn a_journal_has_no_gaps(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    for round in 0..3 {
        let worker = lease_work(&l).await;
        l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
        let decide = lease_decide(&l).await;
        let events = (0..round).map(|i| text(&format!("{round}.{i}"))).collect();
        let tasks = vec![task(round + 2)];
        l.commit(Commit { events, tasks, ..seen(&l, &decide).await }).await.unwrap();
    }
    let view = l.read(&run("a"), 0).await.unwrap();
    let journal: Vec<_> = view.entries.iter().map(|e| (e.seq, e.event.clone())).collect();
    let events = ["submitted", "1.0", "2.0", "2.1"].map(text);
    assert_eq!(journal, (1..).zip(events).collect::<Vec<_>>());
    assert!(view.entries.is_sorted_by_key(|entry| entry.at));
    assert_eq!(view.journal_len, 4);
}

pub async fn a_moved_journal_refuses(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let good = Commit { events: vec![text("e")], ..seen(&l, &decide).await };
    for expected in [0, 2] {
        let refused = l.commit(Commit { journal_len: expected, ..good.clone() }).await;
        let moved = LedgerError::JournalMoved { run: run("a"), expected, found: 1 };
        assert_eq!(refused, Err(moved));
    }
    assert_eq!(l.read(&run("a"), 0).await.unwrap().journal_len, 1);
    assert_eq!(l.commit(good).await, Ok(Recorded::Now));
}

pub async fn a_repeated_commit_stands(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let first = Commit { events: vec![text("e")], tasks: vec![task(1)], ..seen(&l, &decide).await };
    l.commit(first.clone()).await.unwrap();
    assert_eq!(l.commit(first.clone()).await, Ok(Recorded::AlreadyDone));
    let other = Commit { events: vec![text("other")], end: Some(text("x")), ..first.clone() };
    assert_eq!(l.commit(other).await, Ok(Recorded::AlreadyDone));
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    for _ in ["while the next decision waits", "while it is made"] {
        assert_eq!(l.commit(first.clone()).await, Ok(Recorded::AlreadyDone));
        lease_many(&l, Class::decide(), 1).await;
    }
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.journal_len, view.end), (2, None));
    waits_nothing(&l, work()).await;
}

pub async fn a_decision_is_finished_for_good(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    assert_eq!(l.heartbeat(&[held(&decide)], LONG_MS).await, Ok(vec![Heard::Extended]));
    l.commit(seen(&l, &decide).await).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(l.heartbeat(&[held(&decide)], LONG_MS).await, Ok(vec![Heard::Lost]));
}

/// A run with two outcomes in its box, and its decision leased.
async fn two_mails(l: &L) -> crate::Leased {
    submit(l, with_tasks("a", [1, 2])).await;
    for leased in lease_many(l, work(), 2).await {
        l.complete(&held(&leased), completion("o", Spend::ZERO)).await.unwrap();
    }
    lease_decide(l).await
}

pub async fn unseen_mail_calls_for_another_decision(l: L) {
    let decide = two_mails(&l).await;
    l.commit(Commit { mail_seen: 1, ..seen(&l, &decide).await }).await.unwrap();
    let rest = l.read(&run("a"), 0).await.unwrap().mails;
    assert_eq!(rest.iter().map(|mail| mail.number).collect::<Vec<_>>(), [2]);
    let decide = lease_decide(&l).await;
    let beyond = Commit { mail_seen: 3, ..seen(&l, &decide).await };
    assert!(matches!(l.commit(beyond).await, Err(LedgerError::Invalid(_))));
    l.commit(seen(&l, &decide).await).await.unwrap();
    assert_eq!(mails(&l, &run("a")).await, []);
    waits_nothing(&l, Class::decide()).await;
}

pub async fn mail_during_a_decision_waits_for_it(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let workers = lease_many(&l, work(), 2).await;
    l.complete(&held(&workers[0]), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    let commit = seen(&l, &decide).await;
    l.complete(&held(&workers[1]), completion("o", Spend::ZERO)).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
    l.commit(commit).await.unwrap();
    note_all(&l).await;
    waits_nothing(&l, Class::decide()).await;
}

async fn nothing_written(l: &L, id: &RunId) {
    let view = l.read(id, 0).await.unwrap();
    assert_eq!((view.journal_len, view.mails.len(), view.end), (1, 2, None));
    waits_nothing(l, work()).await;
    assert_eq!(l.tick(10).await.unwrap().timers, 0);
}

pub async fn an_invalid_part_leaves_nothing(l: L) {
    let decide = two_mails(&l).await;
    let id = &run("a");
    let good = Commit {
        events: vec![text("e")],
        tasks: vec![task(3)],
        timers: vec![timer("now", 0)],
        children: vec![child(1)],
        ..seen(&l, &decide).await
    };
    let large = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    for bad in [
        Commit { tasks: vec![task(3), task(2)], ..good.clone() },
        Commit { tasks: vec![task(3), task(3)], ..good.clone() },
        Commit { events: vec![text("e"), large.clone()], ..good.clone() },
        Commit { children: vec![child(1), child(1)], ..good.clone() },
        Commit { end: Some(large), ..good.clone() },
    ] {
        assert!(matches!(l.commit(bad).await, Err(LedgerError::Invalid(_))));
        nothing_written(&l, id).await;
        let child = id.child(1).unwrap();
        assert_eq!(l.read(&child, 0).await, Err(LedgerError::NoSuchRun(child)));
    }
    assert_eq!(l.commit(good).await, Ok(Recorded::Now), "the lease goes on");
    assert_eq!(lease_work(&l).await.task.number, 3);
}

pub async fn task_numbers_rise(l: L) {
    submit(&l, with_tasks("a", [5])).await;
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    for number in [4, 5] {
        let commit = Commit { tasks: vec![task(number)], ..seen(&l, &decide).await };
        assert!(matches!(l.commit(commit).await, Err(LedgerError::Invalid(_))));
    }
    let commit = Commit { tasks: vec![task(9), task(7)], ..seen(&l, &decide).await };
    assert_eq!(l.commit(commit).await, Ok(Recorded::Now));
    assert_eq!(lease_many(&l, work(), 10).await.len(), 2);
}

pub async fn commits_have_bounds(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let good = seen(&l, &decide).await;
    let many = u32::try_from(BATCH_MAX).unwrap() + 1;
    for bad in [
        Commit { events: vec![text("e"); BATCH_MAX + 1], ..good.clone() },
        Commit { tasks: (1..=many).map(task).collect(), ..good.clone() },
        Commit { timers: vec![timer("t", 1); BATCH_MAX + 1], ..good.clone() },
        Commit { children: (1..=many).map(child).collect(), ..good.clone() },
    ] {
        assert!(matches!(l.commit(bad).await, Err(LedgerError::Invalid(_))));
    }
    let most =
        Commit { events: vec![text("e"); BATCH_MAX], tasks: (1..many).map(task).collect(), ..good };
    assert_eq!(l.commit(most).await, Ok(Recorded::Now));
    assert_eq!(lease_many(&l, work(), BATCH_MAX).await.len(), BATCH_MAX);
}

/// Task 1 is completed, task 2 is the case's; a decision about it is leased.
async fn with_second(l: &L, lose: bool) -> crate::Leased {
    submit(l, with_tasks("a", [1])).await;
    let worker = lease_work(l).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(l).await;
    l.commit(Commit { tasks: vec![task(2)], ..seen(l, &decide).await }).await.unwrap();
    if lose {
        let leased = l.lease(request(work(), 1, SHORT_MS)).await.unwrap().pop().unwrap();
        l.reserve(&held(&leased), next_call(), tokens(5)).await.unwrap();
        tick_until(l, |sum| sum.leases == 1).await;
    }
    l.cancel(&run("a"), "so that there is something to decide").await.unwrap();
    lease_decide(l).await
}

pub async fn a_queued_task_is_withdrawn(l: L) {
    let decide = with_second(&l, true).await;
    let commit = Commit { withdraw: vec![2], ..seen(&l, &decide).await };
    assert_eq!(l.commit(commit).await, Ok(Recorded::Now));
    waits_nothing(&l, work()).await;
    let lost = Mail::Lost { task: 2, dropped: true, spend: tokens(5) };
    assert_eq!(mails(&l, &run("a")).await, [lost]);
    note_all(&l).await;
}

/// Two tasks, both leased; the second one is withdrawn, the first one completed.
async fn withdrawn(l: &L, ttl_ms: u64) -> crate::Leased {
    submit(l, with_tasks("a", [1, 2])).await;
    let worker = lease_work(l).await;
    let unwanted = l.lease(request(work(), 1, ttl_ms)).await.unwrap().pop().unwrap();
    l.reserve(&held(&unwanted), next_call(), tokens(5)).await.unwrap();
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(l).await;
    let commit = Commit { withdraw: vec![2], ..seen(l, &decide).await };
    l.commit(commit).await.unwrap();
    unwanted
}

pub async fn a_leased_task_is_withdrawn(l: L) {
    let unwanted = withdrawn(&l, LONG_MS).await;
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(l.heartbeat(&[held(&unwanted)], LONG_MS).await, Ok(vec![Heard::Abandon]));
    let done = l.complete(&held(&unwanted), completion("late", tokens(3))).await;
    assert_eq!(done, Ok(Recorded::Now));
    let (outcome, spend) = (text("late"), tokens(3));
    let arrived = Mail::Outcome { task: 2, outcome, spend, estimated: false };
    assert_eq!(mails(&l, &run("a")).await, [arrived]);
    note_all(&l).await;
}

pub async fn a_withdrawn_task_is_not_leased_again(l: L) {
    withdrawn(&l, SHORT_MS).await;
    tick_until(&l, |sum| sum.leases == 1).await;
    waits_nothing(&l, work()).await;
    let lost = Mail::Lost { task: 2, dropped: true, spend: tokens(5) };
    assert_eq!(mails(&l, &run("a")).await, [lost]);
    note_all(&l).await;
}

pub async fn withdrawing_what_is_done_does_nothing(l: L) {
    let decide = two_mails(&l).await;
    let commit = Commit { withdraw: vec![1, 2], ..seen(&l, &decide).await };
    assert_eq!(l.commit(commit).await, Ok(Recorded::Now));
    assert_eq!(mails(&l, &run("a")).await, []);
    waits_nothing(&l, Class::decide()).await;
}

pub async fn the_end_ends_everything(l: L) {
    submit(&l, with_tasks("a", [1, 2, 3])).await;
    let workers = lease_many(&l, work(), 2).await;
    l.complete(&held(&workers[0]), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    let last =
        Commit { events: vec![text("last")], end: Some(text("done")), ..seen(&l, &decide).await };
    assert_eq!(l.commit(last).await, Ok(Recorded::Now));
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.end, view.journal_len), (Some(text("done")), 2));
    assert_eq!((view.entries[1].event.clone(), view.mails), (text("last"), Vec::new()));
    waits_nothing(&l, work()).await;
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(l.heartbeat(&[held(&workers[1])], SHORT_MS).await, Ok(vec![Heard::Abandon]));
    tick_until(&l, |sum| sum.leases == 1).await;
    waits_nothing(&l, work()).await;
    assert_eq!(l.read(&run("a"), 0).await.unwrap().mails, []);
}

pub async fn an_ending_commit_can_be_repeated(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let last = Commit { end: Some(text("done")), ..seen(&l, &decide).await };
    assert_eq!(l.commit(last.clone()).await, Ok(Recorded::Now));
    let other = Commit { end: Some(text("other")), ..last.clone() };
    assert_eq!(l.commit(last).await, Ok(Recorded::AlreadyDone));
    assert_eq!(l.commit(other).await, Ok(Recorded::AlreadyDone));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().end, Some(text("done")));
}
