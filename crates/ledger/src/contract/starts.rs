//! Work that must not be done twice.

use super::given::*;
use crate::{Class, Heard, Held, LedgerError, Mail, Observation, Recorded, Watched};
use baton_workflow::Spend;
use futures::StreamExt;

pub async fn begun_work_is_not_given_again(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let leased = l.lease(request(work(), 2, SHORT_MS)).await.unwrap();
    let (first, second) = (held(&leased[0]), held(&leased[1]));
    l.reserve(&first, next_call(), tokens(7)).await.unwrap();
    assert_eq!(l.start(&first).await, Ok(Recorded::Now));
    tick_until(&l, |sum| sum.leases == 2).await;
    let told = Mail::Interrupted { task: 1, spend: tokens(7) };
    assert_eq!(mails(&l, &run("a")).await, [told]);
    let again = lease_many(&l, work(), 2).await;
    assert_eq!(again.iter().map(|t| &t.task).collect::<Vec<_>>(), [&second.task]);
    let late = l.complete(&first, completion("late", Spend::ZERO)).await;
    assert_eq!(late, Err(LedgerError::LeaseLost));
    lease_decide(&l).await;
}

pub async fn a_start_can_be_repeated(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let task = held(&lease_work(&l).await);
    assert_eq!(l.start(&task).await, Ok(Recorded::Now));
    assert_eq!(l.start(&task).await, Ok(Recorded::AlreadyDone));
    assert_eq!(l.heartbeat(std::slice::from_ref(&task), LONG_MS).await, Ok(vec![Heard::Extended]));
    l.reserve(&task, next_call(), tokens(5)).await.unwrap();
    l.settle(&task, next_call(), tokens(5), tokens(3)).await.unwrap();
    assert_eq!(l.start(&task).await, Ok(Recorded::AlreadyDone));
    assert_eq!(l.complete(&task, completion("o", tokens(1))).await, Ok(Recorded::Now));
    assert_eq!(l.complete(&task, completion("o", tokens(1))).await, Ok(Recorded::AlreadyDone));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().spent, tokens(3).plus(tokens(1)));
    assert_eq!(l.start(&task).await, Err(LedgerError::LeaseLost));
}

pub async fn only_holders_start(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    submit(&l, submission("b")).await;
    let stale = held(&lease_and_lose(&l, work()).await);
    assert_eq!(l.start(&stale).await, Err(LedgerError::LeaseLost));
    let present = held(&lease_work(&l).await);
    assert_eq!(l.start(&stale).await, Err(LedgerError::LeaseLost));
    assert_eq!(l.start(&present).await, Ok(Recorded::Now));
    let decide = held(&lease_decide(&l).await);
    assert!(matches!(l.start(&decide).await, Err(LedgerError::Invalid(_))));
    let unknown = Held { task: baton_workflow::TaskId { run: run("x"), number: 1 }, ..present };
    assert_eq!(l.start(&unknown).await, Err(LedgerError::LeaseLost));
}

pub async fn begun_work_of_an_ended_run_is_forgotten(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let leased = lease_many(&l, work(), 2).await;
    l.start(&held(&leased[0])).await.unwrap();
    l.complete(&held(&leased[1]), completion("o", Spend::ZERO)).await.unwrap();
    end(&l, &run("a"), "over").await;
    let heard = l.heartbeat(&[held(&leased[0])], 0).await;
    assert_eq!(heard, Ok(vec![Heard::Abandon]));
    tick_until(&l, |sum| sum.leases == 1).await;
    assert_eq!(l.read(&run("a"), 0).await.unwrap().mails, []);
    waits_nothing(&l, Class::decide()).await;
}

pub async fn a_silent_holder_is_reaped(l: L) {
    submit(&l, with_tasks("a", 1..=4)).await;
    let of =
        |holder: &str| crate::LeaseRequest { holder: holder.into(), ..request(work(), 2, LONG_MS) };
    let dead = l.lease(of("dead")).await.unwrap();
    let other = l.lease(of("other")).await.unwrap();
    let mut watch = l.watch(&run("a"), 0).await.unwrap();
    assert_eq!(l.reap("dead", LONG_MS).await.unwrap().leases, 0, "it was heard just now");
    assert_eq!(l.reap("nobody", 0).await.unwrap().leases, 0);
    l.start(&held(&dead[1])).await.unwrap();
    let reaped = l.reap("dead", 0).await.unwrap();
    assert_eq!((reaped.leases, reaped.more), (2, false));
    assert_eq!(l.reap("dead", 0).await.unwrap().leases, 0);
    let again = lease_many(&l, work(), 4).await;
    assert_eq!(again.iter().map(|t| &t.task).collect::<Vec<_>>(), [&dead[0].task]);
    assert_eq!(again[0].token.attempt, 2);
    assert_eq!(mails(&l, &run("a")).await, [Mail::Interrupted { task: 2, spend: Spend::ZERO }]);
    let heard = l.heartbeat(&[held(&dead[0]), held(&other[0])], LONG_MS).await;
    assert_eq!(heard, Ok(vec![Heard::Lost, Heard::Extended]));
    let mut expired = Vec::new();
    while expired.len() < 2 {
        if let Watched::Observed(Observation::Expired { task, .. }) =
            watch.next().await.unwrap().unwrap()
        {
            expired.push(task);
        }
    }
    assert_eq!(expired, [1, 2]);
}

pub async fn a_living_holder_is_not_reaped(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    submit(&l, submission("b")).await;
    let task = l.lease(request(work(), 1, LONG_MS)).await.unwrap().pop().unwrap();
    let decide = lease_decide(&l).await;
    // Silent for longer than is asked for, until it speaks again.
    tokio::time::sleep(std::time::Duration::from_millis(2 * SHORT_MS)).await;
    l.heartbeat(&[held(&task), held(&decide)], LONG_MS).await.unwrap();
    let asked_ms = 2 * SHORT_MS - 5;
    let at = std::time::Instant::now();
    let reaped = l.reap("holder", asked_ms).await.unwrap();
    // A machine that stood still in between proves nothing.
    if at.elapsed().as_millis() < u128::from(asked_ms) {
        assert_eq!(reaped.leases, 0);
    }
    assert_eq!(l.reap("holder", 0).await.unwrap().leases, 2, "decisions, too");
    lease_decide(&l).await;
}

pub async fn reaping_is_bounded(l: L) {
    let max = crate::BATCH_MAX as u32;
    submit(&l, with_tasks("a", 1..=max)).await;
    submit(&l, with_tasks("b", [1])).await;
    lease_many(&l, work(), 256).await;
    lease_many(&l, work(), 1).await;
    let first = l.reap("holder", 0).await.unwrap();
    assert_eq!((first.leases, first.more), (crate::BATCH_MAX, true));
    let second = l.reap("holder", 0).await.unwrap();
    assert_eq!((second.leases, second.more), (1, false));
    assert!(matches!(
        l.reap(&"h".repeat(crate::NAME_BYTES_MAX + 1), 0).await,
        Err(LedgerError::Invalid(_))
    ));
}
