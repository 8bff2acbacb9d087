//! Runs below runs.

use super::given::*;
use crate::{Class, Commit, Heard, Leased, LedgerError, Mail, NewChild, Recorded, TenantTerms};
use baton_workflow::{RunId, Spend};

/// A root with one child, whose decision waits. Gives the child's id.
async fn family(l: &L) -> RunId {
    submit(l, submission("a")).await;
    let decide = lease_decide(l).await;
    l.commit(Commit { children: vec![child(1)], ..seen(l, &decide).await }).await.unwrap();
    run("a").child(1).unwrap()
}

/// Gives the waiting decision of a run some tasks, and leases them.
async fn give_tasks(l: &L, id: &RunId, numbers: &[u32]) -> Vec<Leased> {
    let decide = lease_decide_of(l, id).await;
    let tasks = numbers.iter().copied().map(task).collect();
    l.commit(Commit { tasks, ..seen(l, &decide).await }).await.unwrap();
    lease_many(l, work(), numbers.len()).await
}

pub async fn a_child_is_a_run_of_its_tree(l: L) {
    let child = family(&l).await;
    let (view, above) = (l.read(&child, 0).await.unwrap(), l.read(&run("a"), 0).await.unwrap());
    assert_eq!((view.root, view.tenant, view.budget), (run("a"), tenant("t"), above.budget));
    assert_eq!(view.traceparent, Some("trace-a".into()));
    assert_eq!((view.journal_len, view.entries[0].event.clone()), (1, text("born")));
    let decide = lease_decide(&l).await;
    assert_eq!((decide.task.run, decide.root, decide.tenant), (child, run("a"), tenant("t")));
    assert_eq!((decide.traceparent, decide.cancelled), (Some("trace-a".into()), false));
    waits_nothing(&l, Class::decide()).await;
}

pub async fn a_child_may_start_with_tasks(l: L) {
    submit(&l, submission("a")).await;
    let decide = lease_decide(&l).await;
    let child = NewChild { tasks: vec![task(1)], timers: vec![timer("t", 0)], ..child(7) };
    l.commit(Commit { children: vec![child], ..seen(&l, &decide).await }).await.unwrap();
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(lease_work(&l).await.task.run, run("a").child(7).unwrap());
    tick_until(&l, |sum| sum.timers == 1).await;
    assert_eq!(lease_decide(&l).await.task.run, run("a").child(7).unwrap());
}

pub async fn a_child_ends_into_its_parents_mail(l: L) {
    let child = family(&l).await;
    let worker = give_tasks(&l, &child, &[1]).await;
    l.complete(&held(&worker[0]), completion("o", tokens(3))).await.unwrap();
    waits_nothing(&l, work()).await;
    end(&l, &child, "child's end").await;
    let (end, spend) = (text("child's end"), tokens(3));
    assert_eq!(mails(&l, &run("a")).await, [Mail::ChildEnded { child: 1, end, spend }]);
    assert_eq!(lease_decide(&l).await.task.run, run("a"));
    let view = l.read(&child, 0).await.unwrap();
    assert_eq!((view.end, view.spent), (Some(text("child's end")), tokens(3)));
}

pub async fn a_child_counts_against_no_cap(l: L) {
    let terms = TenantTerms { runs_max: 2, ..TenantTerms::default() };
    l.set_tenant(&tenant("t"), terms).await.unwrap();
    family(&l).await;
    submit(&l, submission("b")).await;
    let full = l.submit(submission("c")).await;
    assert!(matches!(full, Err(LedgerError::QueueFull { queued: 2, .. })), "{full:?}");
}

pub async fn a_child_number_is_used_once(l: L) {
    let child_id = family(&l).await;
    l.cancel(&run("a"), "so that there is something to decide").await.unwrap();
    let decide = lease_decide_of(&l, &run("a")).await;
    let twice = Commit {
        events: vec![text("e")],
        children: vec![child(2), child(1)],
        ..seen(&l, &decide).await
    };
    assert!(matches!(l.commit(twice).await, Err(LedgerError::Invalid(_))));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().journal_len, 1);
    assert_eq!(l.read(&child_id, 0).await.unwrap().journal_len, 1);
    let other = run("a").child(2).unwrap();
    assert_eq!(l.read(&other, 0).await, Err(LedgerError::NoSuchRun(other)));
}

pub async fn spend_rolls_up_to_the_root(l: L) {
    let middle = family(&l).await;
    let decide = lease_decide_of(&l, &middle).await;
    let commit =
        Commit { children: vec![child(1)], tasks: vec![task(1)], ..seen(&l, &decide).await };
    l.commit(commit).await.unwrap();
    let leaf = middle.child(1).unwrap();
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", tokens(1))).await.unwrap();
    let worker = give_tasks(&l, &leaf, &[1]).await;
    l.complete(&held(&worker[0]), completion("o", tokens(2))).await.unwrap();
    let spent = async |id: &RunId| l.read(id, 0).await.unwrap().spent;
    let all = tokens(1).plus(tokens(2));
    assert_eq!((spent(&leaf).await, spent(&middle).await), (tokens(2), all));
    assert_eq!(spent(&run("a")).await, all);
    assert_eq!(l.read(&leaf, 0).await.unwrap().root_spent, all);
}

pub async fn a_withdrawn_child_is_cancelled(l: L) {
    submit(&l, with_tasks("a", [1])).await;
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide(&l).await;
    let children = vec![child(1), child(2)];
    let commit = Commit { children, tasks: vec![task(2)], ..seen(&l, &decide).await };
    l.commit(commit).await.unwrap();
    let (first, second) = (run("a").child(1).unwrap(), run("a").child(2).unwrap());
    let worker = lease_work(&l).await;
    l.complete(&held(&worker), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide_of(&l, &run("a")).await;
    let commit = Commit { withdraw_children: vec![1], ..seen(&l, &decide).await };
    assert_eq!(l.commit(commit).await, Ok(Recorded::Now));
    assert!(l.read(&first, 0).await.unwrap().cancelled);
    assert!(matches!(mails(&l, &first).await[..], [Mail::Cancel { .. }]));
    let view = l.read(&second, 0).await.unwrap();
    assert!(!view.cancelled && !l.read(&run("a"), 0).await.unwrap().cancelled);
}

pub async fn an_ended_parent_stops_its_children(l: L) {
    let child = family(&l).await;
    let workers = give_tasks(&l, &child, &[1, 2]).await;
    l.complete(&held(&workers[0]), completion("o", Spend::ZERO)).await.unwrap();
    let decide = lease_decide_of(&l, &child).await;
    l.commit(Commit { tasks: vec![task(3)], ..seen(&l, &decide).await }).await.unwrap();
    l.cancel(&run("a"), "so that there is something to decide").await.unwrap();
    end(&l, &run("a"), "done").await;
    assert!(l.read(&child, 0).await.unwrap().cancelled);
    assert_eq!(l.heartbeat(&[held(&workers[1])], LONG_MS).await, Ok(vec![Heard::Abandon]));
    waits_nothing(&l, work()).await;
    let dropped = Mail::Lost { task: 3, dropped: true, spend: Spend::ZERO };
    assert!(mails(&l, &child).await.contains(&dropped));
}

pub async fn a_child_may_end_after_its_parent(l: L) {
    let child = family(&l).await;
    let decide = lease_decide_of(&l, &child).await;
    let commit = Commit { tasks: vec![task(1)], ..seen(&l, &decide).await };
    l.commit(commit).await.unwrap();
    l.cancel(&run("a"), "so that there is something to decide").await.unwrap();
    let decide = lease_many(&l, Class::decide(), 10).await;
    let above = decide.iter().find(|leased| leased.task.run == run("a")).unwrap();
    let last = Commit { end: Some(text("done")), ..seen(&l, above).await };
    l.commit(last).await.unwrap();
    // Whoever asks for work has the child's task dropped, which makes it decide.
    waits_nothing(&l, work()).await;
    let below = match decide.iter().find(|leased| leased.task.run == child) {
        Some(leased) => leased.clone(),
        None => lease_decide_of(&l, &child).await,
    };
    assert!(below.cancelled);
    let last = Commit { end: Some(text("stopped")), ..seen(&l, &below).await };
    assert_eq!(l.commit(last).await, Ok(Recorded::Now));
    assert_eq!(l.read(&child, 0).await.unwrap().end, Some(text("stopped")));
    assert_eq!(l.read(&run("a"), 0).await.unwrap().mails, []);
    waits_nothing(&l, Class::decide()).await;
}
