//! How tasks are handed out, kept and taken back.

use super::given::*;
use crate::{
    ATTEMPTS_MAX, BATCH_MAX, Class, Commit, Heard, Held, LeaseRequest, LedgerError, Mail, NewTask,
    Recorded, RunView, Submission, Token,
};
use baton_workflow::Spend;

pub async fn priority_comes_before_age(l: L) {
    let with = |number, priority| NewTask { priority, ..task(number) };
    let tasks = vec![with(1, 5), with(2, 5), with(3, 0), with(4, 9), with(5, 0)];
    submit(&l, Submission { tasks, ..submission("a") }).await;
    submit(&l, Submission { tasks: vec![with(1, 5)], ..submission("b") }).await;
    let order: Vec<_> = lease_many(&l, work(), 10).await.into_iter().map(|t| t.task).collect();
    let order: Vec<_> = order.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["a:3", "a:5", "a:1", "a:2", "b:1", "a:4"]);
}

pub async fn nothing_waiting_gives_nothing(l: L) {
    waits_nothing(&l, work()).await;
    submit(&l, with_tasks("a", [1])).await;
    waits_nothing(&l, Class::plan()).await;
    assert_eq!(lease_many(&l, work(), 10).await.len(), 1);
    waits_nothing(&l, work()).await;
}

pub async fn a_wait_for_nothing_ends(l: L) {
    let wait = LeaseRequest { wait_ms: SHORT_MS, ..request(work(), 1, LONG_MS) };
    let start = std::time::Instant::now();
    assert_eq!(l.lease(wait).await, Ok(Vec::new()));
    assert!(start.elapsed().as_millis() >= u128::from(SHORT_MS / 2));
}

/// Waits for a task while something happens that makes one.
pub(super) async fn wait_while(
    l: &L,
    class: Class,
    happens: impl Future<Output = ()>,
) -> Vec<crate::Leased> {
    let wait = LeaseRequest { wait_ms: LONG_MS, ..request(class, 10, LONG_MS) };
    let (leased, ()) = tokio::join!(biased; async { l.lease(wait).await.unwrap() }, happens);
    leased
}

pub async fn a_wait_ends_with_a_submission(l: L) {
    let leased = wait_while(&l, work(), async {
        submit(&l, with_tasks("a", [1, 2])).await;
    });
    assert_eq!(leased.await.len(), 2);
}

pub async fn a_wait_ends_with_mail(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let task = lease_work(&l).await;
    let leased = wait_while(&l, Class::decide(), async {
        l.complete(&held(&task), completion("o", Spend::ZERO)).await.unwrap();
    });
    assert_eq!(leased.await.len(), 1);
}

pub async fn a_repeated_request_gets_the_same_tasks(l: L) {
    submit(&l, with_tasks("a", 1..=6)).await;
    let once = request(work(), 2, LONG_MS);
    let first = l.lease(once.clone()).await.unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(l.lease(once.clone()).await.unwrap(), first);
    l.complete(&held(&first[0]), completion("o", Spend::ZERO)).await.unwrap();
    assert_eq!(l.lease(once).await.unwrap(), first[1..]);
    assert_eq!(lease_many(&l, work(), 10).await.len(), 4);
}

pub async fn several_classes_are_served(l: L) {
    let plan = NewTask { class: Class::plan(), ..task(2) };
    submit(&l, Submission { tasks: vec![task(1), plan], ..submission("a") }).await;
    let both =
        LeaseRequest { classes: vec![Class::plan(), work()], ..request(work(), 10, LONG_MS) };
    assert_eq!(l.lease(both).await.unwrap().len(), 2);
}

pub async fn requests_have_bounds(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let good = || request(work(), 1, LONG_MS);
    let held = Held {
        task: baton_workflow::TaskId { run: run("a"), number: 1 },
        token: Token { epoch: 0, attempt: 0, nonce: 0 },
    };
    for bad in [
        LeaseRequest { max: 0, ..good() },
        LeaseRequest { max: BATCH_MAX + 1, ..good() },
        LeaseRequest { classes: Vec::new(), ..good() },
    ] {
        assert!(matches!(l.lease(bad).await, Err(LedgerError::Invalid(_))));
    }
    let many = vec![held; BATCH_MAX + 1];
    assert!(matches!(l.heartbeat(&many, 1).await, Err(LedgerError::Invalid(_))));
}

pub async fn heartbeats_answer_in_order(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let leased = lease_many(&l, work(), 2).await;
    let (first, second) = (held(&leased[0]), held(&leased[1]));
    let token = second.token;
    let stale = |token| Held { token, ..second.clone() };
    let all = [
        stale(Token { nonce: token.nonce.wrapping_add(7), ..token }),
        second.clone(),
        stale(Token { attempt: token.attempt + 1, ..token }),
        stale(Token { epoch: token.epoch + 1, ..token }),
        first,
    ];
    let heard = l.heartbeat(&all, LONG_MS).await.unwrap();
    assert_eq!(heard, [Heard::Lost, Heard::Extended, Heard::Lost, Heard::Lost, Heard::Extended]);
    assert_eq!(l.heartbeat(&[], LONG_MS).await, Ok(Vec::new()));
}

pub async fn a_heartbeat_keeps_the_lease(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let leased = l.lease(request(work(), 2, SHORT_MS)).await.unwrap();
    let kept = held(&leased[0]);
    assert_eq!(l.heartbeat(std::slice::from_ref(&kept), LONG_MS).await, Ok(vec![Heard::Extended]));
    tick_until(&l, |sum| sum.leases == 1).await;
    assert_eq!(lease_work(&l).await.task, leased[1].task);
    let done = l.complete(&kept, completion("o", Spend::ZERO)).await;
    assert_eq!(done, Ok(Recorded::Now));
}

pub async fn an_expired_task_is_leased_again(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let first = lease_and_lose(&l, work()).await;
    let again = lease_work(&l).await;
    assert_eq!(again.task, first.task, "it has kept its place");
    assert_eq!((first.token.attempt, again.token.attempt), (1, 2));
    assert_eq!((&again.payload, again.class), (&first.payload, first.class));
    assert_ne!(first.token.nonce, again.token.nonce);
}

pub async fn a_zombie_changes_nothing(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    submit(&l, submission("b")).await;
    let zombie = held(&lease_and_lose(&l, work()).await);
    let lost = Err(LedgerError::LeaseLost);
    for _ in ["while the task waits", "while another holds it"] {
        assert_eq!(l.complete(&zombie, completion("z", tokens(1))).await, lost);
        assert_eq!(l.reserve(&zombie, next_call(), tokens(1)).await, Err(LedgerError::LeaseLost));
        assert_eq!(
            l.settle(&zombie, next_call(), tokens(1), tokens(1)).await,
            Err(LedgerError::LeaseLost)
        );
        assert_eq!(l.heartbeat(std::slice::from_ref(&zombie), 1).await, Ok(vec![Heard::Lost]));
        lease_many(&l, work(), 1).await;
    }
    let decide = lease_and_lose(&l, Class::decide()).await;
    for _ in ["while the decision waits", "while another holds it"] {
        let commit = crate::Commit { end: Some(text("z")), ..seen(&l, &decide).await };
        assert_eq!(l.commit(commit).await, lost);
        lease_many(&l, Class::decide(), 1).await;
    }
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.mails, view.spent, view.root_reserved), Default::default());
    assert_eq!(l.read(&run("b"), 0).await.unwrap().end, None);
}

pub async fn a_task_is_lost_after_its_attempts(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let mut last = None;
    for attempt in 1..=ATTEMPTS_MAX {
        let leased = l.lease(request(work(), 1, SHORT_MS)).await.unwrap().pop().unwrap();
        assert_eq!(leased.token.attempt, attempt);
        l.reserve(&held(&leased), next_call(), tokens(10)).await.unwrap();
        tick_until(&l, |sum| sum.leases == 1).await;
        last = Some(leased);
    }
    waits_nothing(&l, work()).await;
    let spend = (0..ATTEMPTS_MAX).map(|_| tokens(10)).sum();
    assert_eq!(mails(&l, &run("a")).await, [Mail::Lost { task: 1, dropped: false, spend }]);
    assert_eq!(l.read(&run("a"), 0).await.unwrap().spent, spend);
    let zombie = held(&last.unwrap());
    let refused = l.complete(&zombie, completion("z", Spend::ZERO)).await;
    assert_eq!(refused, Err(LedgerError::LeaseLost));
    lease_decide(&l).await;
}

pub async fn a_lost_decision_is_made_again(l: L) {
    submit(&l, submission("a")).await;
    for _ in 0..=ATTEMPTS_MAX {
        lease_and_lose(&l, Class::decide()).await;
    }
    let decide = lease_decide(&l).await;
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(l.commit(seen(&l, &decide).await).await, Ok(Recorded::Now));
    waits_nothing(&l, Class::decide()).await;
}

pub async fn ticks_are_bounded(l: L) {
    submit(&l, with_tasks("a", 1..=3)).await;
    l.lease(request(work(), 3, SHORT_MS)).await.unwrap();
    let waits = l.tick(0).await.unwrap();
    assert_eq!((waits.leases, waits.timers), (0, 0));
    assert!(waits.next_ms.is_some_and(|ms| ms <= SHORT_MS));
    until_due(&l).await;
    let one = l.tick(1).await.unwrap();
    assert_eq!((one.leases, one.next_ms), (1, Some(0)));
    let rest = l.tick(2).await.unwrap();
    assert_eq!((rest.leases, rest.next_ms), (2, None));
    assert_eq!(lease_many(&l, work(), 10).await.len(), 3);
}

pub async fn a_decision_brings_its_reading(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = lease_work(&l).await;
    assert_eq!(worker.reading, None);
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    let read = l.read(&run("a"), crate::END).await.unwrap();
    let brought = *decide.reading.clone().unwrap();
    assert_eq!(brought.mails.len(), 1);
    assert_eq!(RunView { now: read.now, ..brought }, read);
    let mail_seen = read.mails[0].number;
    let commit = Commit { journal_len: read.journal_len, mail_seen, ..seen(&l, &decide).await };
    l.commit(commit).await.unwrap();
}
