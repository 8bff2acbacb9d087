//! What comes of tasks.

use super::given::*;
use crate::{Class, Completion, Held, LedgerError, Mail, PAYLOAD_BYTES_MAX, Recorded};
use baton_workflow::Spend;
use bytes::Bytes;

pub async fn an_outcome_becomes_mail_and_a_decision(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let leased = lease_work(&l).await;
    let done = Completion { estimated: true, ..completion("out", tokens(7)) };
    assert_eq!(l.complete(&held(&leased), done).await, Ok(Recorded::Now));
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.spent, view.root_spent, view.journal_len), (tokens(7), tokens(7), 1));
    assert_eq!(view.mails.len(), 1);
    assert!(view.mails[0].number == 1 && view.mails[0].at >= view.submitted_at);
    let outcome =
        Mail::Outcome { task: 1, outcome: text("out"), spend: tokens(7), estimated: true };
    assert_eq!(view.mails[0].mail, outcome);
    assert_eq!(lease_decide(&l).await.task.run, run("a"));
    waits_nothing(&l, work()).await;
}

pub async fn an_outcome_is_recorded_once(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let holder = held(&lease_work(&l).await);
    l.complete(&holder, completion("first", tokens(7))).await.unwrap();
    for outcome in ["first", "second"] {
        let again = l.complete(&holder, completion(outcome, tokens(9))).await;
        assert_eq!(again, Ok(Recorded::AlreadyDone));
    }
    let token = crate::Token { nonce: holder.token.nonce.wrapping_add(1), ..holder.token };
    let other = Held { token, ..holder.clone() };
    assert_eq!(l.complete(&other, completion("x", Spend::ZERO)).await, Err(LedgerError::LeaseLost));
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.mails.len(), view.spent), (1, tokens(7)));
    end(&l, &run("a"), "done").await;
    let again = l.complete(&holder, completion("third", tokens(9))).await;
    assert_eq!(again, Ok(Recorded::AlreadyDone), "even after the run's end");
}

pub async fn outcomes_share_one_decision(l: L) {
    submit(&l, with_tasks("a", 1..=3)).await;
    for leased in lease_many(&l, work(), 2).await {
        l.complete(&held(&leased), completion("o", Spend::ZERO)).await.unwrap();
    }
    lease_decide(&l).await;
    waits_nothing(&l, Class::decide()).await;
    let third = lease_work(&l).await;
    l.complete(&held(&third), completion("o", Spend::ZERO)).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
    let numbers: Vec<_> =
        l.read(&run("a"), 0).await.unwrap().mails.iter().map(|mail| mail.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

pub async fn after_the_end_only_the_spend_counts(l: L) {
    submit(&l, with_tasks("a", [1, 2])).await;
    let leased = lease_many(&l, work(), 2).await;
    l.complete(&held(&leased[0]), completion("o", tokens(1))).await.unwrap();
    end(&l, &run("a"), "done").await;
    let late = l.complete(&held(&leased[1]), completion("late", tokens(2))).await;
    assert_eq!(late, Ok(Recorded::Now));
    let again = l.complete(&held(&leased[1]), completion("late", tokens(2))).await;
    assert_eq!(again, Ok(Recorded::AlreadyDone));
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!((view.spent, view.mails), (tokens(1).plus(tokens(2)), Vec::new()));
    waits_nothing(&l, Class::decide()).await;
}

pub async fn completions_have_bounds(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = held(&lease_work(&l).await);
    let outcome = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    let large = Completion { outcome, ..completion("", tokens(1)) };
    assert!(matches!(l.complete(&worker, large).await, Err(LedgerError::Invalid(_))));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().spent, Spend::ZERO);
    submit(&l, submission("b")).await;
    let decide = held(&lease_decide(&l).await);
    let wrong = l.complete(&decide, completion("o", Spend::ZERO)).await;
    assert!(matches!(wrong, Err(LedgerError::Invalid(_))), "a decision ends by commit");
    let wrong = l.commit(commit(&worker.task, worker.token)).await;
    assert!(matches!(wrong, Err(LedgerError::Invalid(_))), "a task ends by completion");
}
