//! What time brings.

use super::given::*;
use crate::{Class, Commit, Mail, Submission};

fn fired(name: &str) -> Mail {
    Mail::Timer { name: name.into() }
}

pub async fn a_timer_becomes_mail_and_a_decision(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let timers = vec![timer("soon", SHORT_MS), timer("late", LONG_MS)];
    l.commit(Commit { timers, ..seen(&l, &decide).await }).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
    let sum = tick_until(&l, |sum| sum.timers == 1).await;
    assert!(sum.next_ms.is_some_and(|ms| ms > SHORT_MS && ms <= LONG_MS), "{sum:?}");
    assert_eq!(mails(&l, &run("a")).await, [fired("soon")]);
    note_all(&l).await;
    assert_eq!(l.tick(10).await.unwrap().timers, 0, "it is delivered once");
}

pub async fn setting_a_timer_again_moves_it(l: L) {
    let timers = vec![timer("t", LONG_MS), timer("u", 0)];
    submit(&l, Submission { timers, ..submission("a") }).await;
    let decide = lease_decide(&l).await;
    let timers = vec![timer("t", 0), timer("u", LONG_MS)];
    l.commit(Commit { timers, ..seen(&l, &decide).await }).await.unwrap();
    tick_until(&l, |sum| sum.timers == 1).await;
    assert_eq!(mails(&l, &run("a")).await, [fired("t")]);
}

pub async fn timers_vanish_at_the_end(l: L) {
    let timers = vec![timer("t", SHORT_MS), timer("u", LONG_MS)];
    submit(&l, Submission { timers, ..submission("a") }).await;
    end(&l, &run("a"), "done").await;
    let done = l.tick(10).await.unwrap();
    assert_eq!((done.timers, done.next_ms), (0, None));
}

pub async fn a_run_may_start_with_timers(l: L) {
    submit(&l, Submission { timers: vec![timer("t", 0)], ..with_tasks("a", [1]) }).await;
    waits_nothing(&l, Class::decide()).await;
    tick_until(&l, |sum| sum.timers == 1).await;
    assert_eq!(mails(&l, &run("a")).await, [fired("t")]);
    note_all(&l).await;
    let decided = lease_work(&l).await;
    assert_eq!(decided.task.number, 1);
}

pub async fn ticks_deliver_a_bounded_number(l: L) {
    let timers = ["t", "u", "v"].map(|name| timer(name, 0)).into();
    submit(&l, Submission { timers, ..submission("a") }).await;
    until_due(&l).await;
    let two = l.tick(2).await.unwrap();
    assert_eq!((two.timers, two.next_ms), (2, Some(0)));
    let one = l.tick(2).await.unwrap();
    assert_eq!((one.timers, one.next_ms), (1, None));
    assert_eq!(mails(&l, &run("a")).await.len(), 3);
}

pub async fn nothing_due_waits_for_nothing(l: L) {
    assert_eq!(l.tick(10).await.unwrap(), crate::Ticked::default());
    submit(&l, with_tasks("a", [1])).await;
    assert_eq!(l.tick(10).await.unwrap().next_ms, None);
    lease_work(&l).await;
    let next = l.tick(10).await.unwrap().next_ms.unwrap();
    assert!(next > 0 && next <= LONG_MS);
}
