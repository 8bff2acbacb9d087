//! How runs come into being.

use super::given::*;
use crate::{
    BATCH_MAX, Class, LedgerError, NewTask, PAYLOAD_BYTES_MAX, READ_MAX, Submission, Submitted,
    TenantTerms,
};
use baton_workflow::{Spend, TaskId};
use bytes::Bytes;

pub async fn a_submission_is_recorded_as_it_came(l: L) {
    let submission = Submission { events: vec![text("one"), text("two")], ..submission("a") };
    assert_eq!(l.submit(submission.clone()).await, Ok(Submitted::New(run("a"))));
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.tenant, view.root), (tenant("t"), run("a")));
    assert_eq!((view.label, view.traceparent), (text("label-a"), Some("trace-a".into())));
    assert_eq!((view.budget, view.journal_len), (submission.budget, 2));
    assert_eq!((view.spent, view.root_spent, view.root_reserved), Default::default());
    assert!(!view.cancelled && view.end.is_none() && view.mails.is_empty());
    assert!(view.submitted_at.0 > 0 && view.now >= view.submitted_at);
    let entries: Vec<_> = view.entries.into_iter().map(|e| (e.seq, e.event)).collect();
    assert_eq!(entries, [(1, text("one")), (2, text("two"))]);
    let rest = l.read(&run("a"), 1).await.unwrap();
    assert_eq!((rest.entries.len(), rest.entries[0].seq, rest.journal_len), (1, 2, 2));
    assert_eq!(l.read(&run("a"), 2).await.unwrap().entries, []);
}

pub async fn a_run_without_tasks_is_decided(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    assert_eq!((decide.task.run.clone(), decide.root), (run("a"), run("a")));
    assert_eq!((decide.class, decide.tenant), (Class::decide(), tenant("t")));
    assert_eq!((decide.payload, decide.traceparent), (Bytes::new(), Some("trace-a".into())));
    assert_eq!((decide.token.attempt, decide.cancelled), (1, false));
    assert!(decide.token.epoch > 0);
    waits_nothing(&l, Class::decide()).await;
}

pub async fn first_tasks_need_no_decision(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    waits_nothing(&l, Class::decide()).await;
    let leased = lease_many(&l, work(), 10).await;
    let tasks: Vec<_> = leased.iter().map(|t| t.task.number).collect();
    assert_eq!(tasks, [1, 2]);
    assert_eq!(leased[0].payload, text("payload-1"));
    assert_eq!(leased[1].traceparent, Some("trace-a".into()));
    assert_ne!(leased[0].token.nonce, leased[1].token.nonce);
}

fn keyed(id: &str, key: &str) -> Submission {
    Submission { key: Some(key.into()), ..submission(id) }
}

pub async fn the_same_key_gives_the_same_run(l: L) {
    submit(&l, keyed("a", "k")).await;
    assert_eq!(l.submit(keyed("b", "k")).await, Ok(Submitted::Known(run("a"))));
    assert_eq!(l.submit(keyed("a", "k")).await, Ok(Submitted::Known(run("a"))));
    assert_eq!(l.read(&run("b"), 0).await, Err(LedgerError::NoSuchRun(run("b"))));
    assert_eq!(lease_many(&l, Class::decide(), 10).await.len(), 1);
}

pub async fn a_key_with_another_digest_is_refused(l: L) {
    submit(&l, keyed("a", "k")).await;
    let other = Submission { digest: "other".into(), ..keyed("b", "k") };
    assert_eq!(l.submit(other).await, Err(LedgerError::KeyReused(run("a"))));
    assert_eq!(l.read(&run("b"), 0).await, Err(LedgerError::NoSuchRun(run("b"))));
}

pub async fn a_key_belongs_to_its_tenant(l: L) {
    submit(&l, keyed("a", "k")).await;
    let other = Submission { tenant: tenant("u"), ..keyed("b", "k") };
    assert_eq!(l.submit(other).await, Ok(Submitted::New(run("b"))));
}

pub async fn a_key_outlives_its_run(l: L) {
    submit(&l, keyed("a", "k")).await;
    end(&l, &run("a"), "done").await;
    assert_eq!(l.submit(keyed("b", "k")).await, Ok(Submitted::Known(run("a"))));
}

pub async fn a_run_id_is_used_once(l: L) {
    submit(&l, submission("a")).await;
    assert!(matches!(l.submit(submission("a")).await, Err(LedgerError::Invalid(_))));
    end(&l, &run("a"), "done").await;
    assert!(matches!(l.submit(submission("a")).await, Err(LedgerError::Invalid(_))));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().end, Some(text("done")));
}

pub async fn malformed_submissions_leave_nothing(l: L) {
    let tasks = |task: NewTask| Submission { tasks: vec![task], ..submission("a") };
    let large = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    let many = u32::try_from(BATCH_MAX).unwrap() + 1;
    let malformed = [
        Submission { events: Vec::new(), ..submission("a") },
        Submission { events: vec![text("e"); BATCH_MAX + 1], ..submission("a") },
        Submission { events: vec![large.clone()], ..submission("a") },
        Submission { label: large.clone(), ..submission("a") },
        with_tasks("a", [1, 1]),
        with_tasks("a", 1..=many),
        tasks(NewTask { number: 0, ..task(1) }),
        tasks(NewTask { class: Class::decide(), ..task(1) }),
        tasks(NewTask { priority: 10, ..task(1) }),
        tasks(NewTask { cost: 0, ..task(1) }),
        tasks(NewTask { payload: large, ..task(1) }),
        Submission { timers: vec![timer("t", 1); BATCH_MAX + 1], ..submission("a") },
    ];
    for submission in malformed {
        let refused = l.submit(Submission { key: Some("k".into()), ..submission.clone() }).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(l.read(&run("a"), 0).await, Err(LedgerError::NoSuchRun(run("a"))));
    waits_nothing(&l, work()).await;
    let largest = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX]);
    let fits = Submission { events: vec![largest.clone()], ..with_tasks("a", 1..many) };
    assert_eq!(
        l.submit(Submission { key: Some("k".into()), ..fits }).await,
        Ok(Submitted::New(run("a")))
    );
    assert_eq!(l.read(&run("a"), 0).await.unwrap().entries[0].event, largest);
}

pub async fn a_full_tenant_is_told_to_come_again(l: L) {
    let terms = TenantTerms { runs_max: 2, ..TenantTerms::default() };
    l.set_tenant(&tenant("t"), terms).await.unwrap();
    submit(&l, keyed("a", "k")).await;
    submit(&l, submission("b")).await;
    let refused = l.submit(submission("c")).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::QueueFull { queued: 2, retry_after_ms: 1.. }),
        "{refused:?}"
    );
    assert!(refused.is_retryable());
    assert_eq!(l.submit(keyed("c", "k")).await, Ok(Submitted::Known(run("a"))));
    let other = Submission { tenant: tenant("u"), ..submission("d") };
    assert_eq!(l.submit(other).await, Ok(Submitted::New(run("d"))));
    end(&l, &run("a"), "done").await;
    assert_eq!(l.submit(submission("c")).await, Ok(Submitted::New(run("c"))));
}

pub async fn an_unknown_run_is_no_run(l: L) {
    let no_such = LedgerError::NoSuchRun(run("a"));
    assert_eq!(l.read(&run("a"), 0).await, Err(no_such.clone()));
    assert_eq!(l.cancel(&run("a"), "why").await, Err(no_such.clone()));
    assert_eq!(l.watch(&run("a"), 0).await.err(), Some(no_such));
    assert_eq!(l.list(&tenant("t"), 10, None).await, Ok(Vec::new()));
    let task = TaskId { run: run("a"), number: 1 };
    let token = crate::Token { epoch: 1, attempt: 1, nonce: 1 };
    let held = crate::Held { task, token };
    assert!(l.complete(&held, completion("o", Spend::ZERO)).await.is_err());
    assert_eq!(l.heartbeat(&[held], 1).await, Ok(vec![crate::Heard::Lost]));
}

/// A run whose journal needs more than one reading.
pub(super) async fn long_journal(l: &L) -> u64 {
    submit(l, with_tasks("a", [1])).await;
    let mut len = 1;
    while len <= u64::try_from(READ_MAX).unwrap() {
        let task = lease_work(l).await;
        l.complete(&held(&task), completion("o", Spend::ZERO)).await.unwrap();
        let decide = lease_decide(l).await;
        let next = super::given::task(task.task.number + 1);
        let events = (0..BATCH_MAX).map(|i| text(&format!("{}", len + i as u64 + 1))).collect();
        let commit = crate::Commit { events, tasks: vec![next], ..seen(l, &decide).await };
        l.commit(commit).await.unwrap();
        len += BATCH_MAX as u64;
    }
    len
}

pub async fn a_long_journal_is_read_in_parts(l: L) {
    let len = long_journal(&l).await;
    let mut seen = 0;
    while seen < len {
        let view = l.read(&run("a"), seen).await.unwrap();
        assert!(view.entries.len() <= READ_MAX && view.journal_len == len);
        for entry in view.entries {
            seen += 1;
            assert_eq!(entry.seq, seen);
            assert!(seen == 1 || entry.event == text(&seen.to_string()));
        }
    }
}
