//! Words from outside, and waits for them.

use super::given::*;
use crate::{
    BATCH_MAX, Body, Commit, LedgerError, Mail, NewTimer, SIGNALS_MAX, Signal, Signalled,
    Submission,
};

fn word(id: &str, key: &str, event: &str) -> Signal {
    Signal { run: run(id), key: key.into(), event: text(event), bodies: Vec::new() }
}

fn told(key: &str, event: Option<&str>) -> Mail {
    Mail::Signal { key: key.into(), event: event.map(text) }
}

pub async fn a_signal_becomes_mail_and_a_decision(l: L) {
    submit(&l, submission("a")).await;
    note_all(&l).await;
    waits_nothing(&l, crate::Class::decide()).await;
    let answer = word("a", "question 1\nof 2", "yes");
    assert_eq!(l.signal(answer).await, Ok(Signalled::Delivered));
    assert_eq!(mails(&l, &run("a")).await, [told("question 1\nof 2", Some("yes"))]);
    note_all(&l).await;
}

pub async fn a_signal_is_delivered_once(l: L) {
    submit(&l, submission("a")).await;
    submit(&l, submission("b")).await;
    assert_eq!(l.signal(word("a", "k", "one")).await, Ok(Signalled::Delivered));
    assert_eq!(l.signal(word("a", "k", "two")).await, Ok(Signalled::AlreadyDelivered));
    assert_eq!(l.signal(word("b", "k", "for b")).await, Ok(Signalled::Delivered));
    assert_eq!(l.signal(word("a", "other", "three")).await, Ok(Signalled::Delivered));
    let all = [told("k", Some("one")), told("other", Some("three"))];
    assert_eq!(mails(&l, &run("a")).await, all);
    let decide = lease_decide_of(&l, &run("a")).await;
    l.commit(seen(&l, &decide).await).await.unwrap();
    let late = l.signal(word("a", "k", "again")).await;
    assert_eq!(late, Ok(Signalled::AlreadyDelivered), "also when it was read long ago");
    assert_eq!(mails(&l, &run("a")).await, []);
}

pub async fn a_word_takes_the_end_of_its_wait_away(l: L) {
    let timers = vec![NewTimer::awaiting("k", SHORT_MS), timer("other", SHORT_MS)];
    submit(&l, Submission { timers, ..submission("a") }).await;
    l.signal(word("a", "k", "yes")).await.unwrap();
    tick_until(&l, |sum| sum.timers == 1).await;
    assert_eq!(l.tick(BATCH_MAX).await.unwrap().next_ms, None);
    let all = [told("k", Some("yes")), Mail::Timer { name: "other".into() }];
    assert_eq!(mails(&l, &run("a")).await, all);
}

pub async fn a_wait_that_is_over_refuses_the_word(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let timers = vec![NewTimer::awaiting("k", 0)];
    l.commit(Commit { timers, ..seen(&l, &decide).await }).await.unwrap();
    tick_until(&l, |sum| sum.timers == 1).await;
    assert_eq!(mails(&l, &run("a")).await, [told("k", None)]);
    assert_eq!(l.signal(word("a", "k", "late")).await, Ok(Signalled::Expired));
    note_all(&l).await;
    assert_eq!(l.signal(word("a", "k", "late")).await, Ok(Signalled::Expired));
    assert_eq!(mails(&l, &run("a")).await, []);
}

pub async fn a_word_may_come_before_its_wait(l: L) {
    submit(&l, submission("a")).await;
    l.signal(word("a", "k", "early")).await.unwrap();
    let decide = lease_decide(&l).await;
    let timers = vec![NewTimer::awaiting("k", 0)];
    l.commit(Commit { timers, ..seen(&l, &decide).await }).await.unwrap();
    let nothing = l.tick(BATCH_MAX).await.unwrap();
    assert_eq!((nothing.timers, nothing.next_ms), (0, None));
}

pub async fn a_signal_brings_its_bodies(l: L) {
    submit(&l, submission("a")).await;
    let body = Body::new("the client's answer");
    let answer = Signal { bodies: vec![body.clone()], ..word("a", "k", "see the body") };
    l.signal(answer).await.unwrap();
    assert_eq!(l.body(&tenant("t"), &body.name).await, Ok(body.bytes));
}

pub async fn only_runs_under_way_are_told(l: L) {
    let unknown = l.signal(word("a", "k", "yes")).await;
    assert_eq!(unknown, Err(LedgerError::NoSuchRun(run("a"))));
    submit(&l, submission("a")).await;
    end(&l, &run("a"), "over").await;
    assert_eq!(l.signal(word("a", "k", "yes")).await, Ok(Signalled::AlreadyEnded));
}

pub async fn signals_have_bounds(l: L) {
    submit(&l, submission("a")).await;
    let long = "k".repeat(crate::NAME_BYTES_MAX);
    let huge = "e".repeat(crate::PAYLOAD_BYTES_MAX + 1);
    for bad in [word("a", "", "yes"), word("a", &long, "yes"), word("a", "k", &huge)] {
        assert!(matches!(l.signal(bad).await, Err(LedgerError::Invalid(_))));
    }
    for n in 0..SIGNALS_MAX {
        l.signal(word("a", &n.to_string(), "")).await.unwrap();
    }
    let more = l.signal(word("a", "one more", "")).await;
    assert!(matches!(more, Err(LedgerError::Invalid(_))), "{more:?}");
    assert_eq!(l.signal(word("a", "0", "")).await, Ok(Signalled::AlreadyDelivered));
}
