//! What runs may spend, and did.

use super::given::*;
use crate::{Commit, Completion, Held, LedgerError, Mail, Submission};
use baton_workflow::{Budget, Resource, Spend, Usd};

/// A run that may read 100 tokens in 5 calls, with so many tasks.
fn small(id: &str, tasks: u32) -> Submission {
    let budget = Budget { tokens: 100, calls: 5, ..submission(id).budget };
    Submission { budget, ..with_tasks(id, 1..=tasks) }
}

async fn sums(l: &L) -> (Spend, Spend) {
    let view = l.read(&run("a"), 0).await.unwrap();
    assert_eq!(view.spent, view.root_spent);
    (view.root_spent, view.root_reserved)
}

async fn holder(l: &L) -> Held {
    held(&lease_work(l).await)
}

const ZERO: Spend = Spend::ZERO;
const OVER: LedgerError = LedgerError::BudgetSpent(Resource::Tokens);

pub async fn reservations_add_up(l: L) {
    submit(&l, small("a", 2)).await;
    let (one, two) = (holder(&l).await, holder(&l).await);
    l.reserve(&one, next_call(), tokens(10)).await.unwrap();
    l.reserve(&one, next_call(), tokens(20)).await.unwrap();
    l.reserve(&two, next_call(), tokens(30)).await.unwrap();
    let all = tokens(10).plus(tokens(20)).plus(tokens(30));
    assert_eq!(sums(&l).await, (ZERO, all));
}

pub async fn a_budget_is_not_exceeded(l: L) {
    submit(&l, small("a", 3)).await;
    let (one, two) = (holder(&l).await, holder(&l).await);
    l.reserve(&one, next_call(), tokens(60)).await.unwrap();
    assert_eq!(l.reserve(&two, next_call(), tokens(41)).await, Err(OVER));
    assert_eq!(sums(&l).await, (ZERO, tokens(60)), "a refused call sets nothing aside");
    l.reserve(&two, next_call(), tokens(40)).await.unwrap();
    l.complete(&one, completion("o", tokens(10))).await.unwrap();
    let three = holder(&l).await;
    assert_eq!(l.reserve(&three, next_call(), tokens(51)).await, Err(OVER));
    assert_eq!(l.reserve(&three, next_call(), tokens(50)).await, Ok(()));
}

pub async fn each_resource_has_its_bound(l: L) {
    let budget =
        Budget { usd: Usd::from_pico(100), tokens: 100, calls: 1, ..submission("a").budget };
    submit(&l, Submission { budget, ..with_tasks("a", [1]) }).await;
    let one = holder(&l).await;
    let dear = Spend { usd: Usd::from_pico(101), ..ZERO };
    let long = Spend { tokens_in: 60, tokens_out: 41, ..ZERO };
    let often = Spend { calls: 2, ..ZERO };
    for (spend, resource) in
        [(dear, Resource::Usd), (long, Resource::Tokens), (often, Resource::Calls)]
    {
        assert_eq!(
            l.reserve(&one, next_call(), spend).await,
            Err(LedgerError::BudgetSpent(resource))
        );
    }
    let all = Spend { usd: Usd::from_pico(100), tokens_in: 60, tokens_out: 40, calls: 1 };
    assert_eq!(l.reserve(&one, next_call(), all).await, Ok(()));
}

pub async fn settling_turns_reserved_into_spent(l: L) {
    submit(&l, small("a", 1)).await;
    let one = holder(&l).await;
    l.reserve(&one, next_call(), tokens(10)).await.unwrap();
    l.reserve(&one, next_call(), tokens(20)).await.unwrap();
    l.settle(&one, next_call(), tokens(10), tokens(4)).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(4), tokens(20)));
    l.settle(&one, next_call(), tokens(20), ZERO).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(4), ZERO));
}

pub async fn completing_settles_the_rest(l: L) {
    submit(&l, small("a", 1)).await;
    let one = holder(&l).await;
    l.reserve(&one, next_call(), tokens(10)).await.unwrap();
    l.reserve(&one, next_call(), tokens(20)).await.unwrap();
    l.settle(&one, next_call(), tokens(10), tokens(4)).await.unwrap();
    l.complete(&one, completion("o", tokens(5))).await.unwrap();
    let spend = tokens(4).plus(tokens(5));
    assert_eq!(sums(&l).await, (spend, ZERO));
    let outcome = Mail::Outcome { task: 1, outcome: text("o"), spend, estimated: false };
    assert_eq!(mails(&l, &run("a")).await, [outcome]);
}

pub async fn a_lost_attempt_is_booked_in_full(l: L) {
    submit(&l, small("a", 1)).await;
    let lost = held(&l.lease(request(work(), 1, SHORT_MS)).await.unwrap().pop().unwrap());
    l.reserve(&lost, next_call(), tokens(10)).await.unwrap();
    l.reserve(&lost, next_call(), tokens(20)).await.unwrap();
    l.settle(&lost, next_call(), tokens(10), tokens(4)).await.unwrap();
    tick_until(&l, |sum| sum.leases == 1).await;
    let before = tokens(4).plus(tokens(20));
    assert_eq!(sums(&l).await, (before, ZERO));
    let again = holder(&l).await;
    l.complete(&again, completion("o", tokens(5))).await.unwrap();
    let spend = before.plus(tokens(5));
    assert_eq!(sums(&l).await, (spend, ZERO));
    let outcome = Mail::Outcome { task: 1, outcome: text("o"), spend, estimated: true };
    assert_eq!(mails(&l, &run("a")).await, [outcome]);
}

pub async fn a_repeated_booking_counts_once(l: L) {
    submit(&l, small("a", 1)).await;
    let one = holder(&l).await;
    for _ in 0..3 {
        l.reserve(&one, 1, tokens(40)).await.unwrap();
    }
    assert_eq!(l.reserve(&one, 2, tokens(61)).await, Err(OVER));
    // What was refused was not made: its number is free.
    l.reserve(&one, 2, tokens(30)).await.unwrap();
    l.reserve(&one, 1, tokens(1)).await.unwrap();
    assert_eq!(sums(&l).await, (ZERO, tokens(40).plus(tokens(30))));
    for _ in 0..3 {
        l.settle(&one, 1, tokens(40), tokens(10)).await.unwrap();
    }
    assert_eq!(sums(&l).await, (tokens(10), tokens(30)));
    l.settle(&one, u64::MAX, tokens(30), tokens(20)).await.unwrap();
    l.settle(&one, 2, ZERO, tokens(20)).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(10).plus(tokens(20)), ZERO));
}

pub async fn the_next_attempt_counts_its_calls_anew(l: L) {
    submit(&l, small("a", 1)).await;
    let lost = held(&l.lease(request(work(), 1, SHORT_MS)).await.unwrap().pop().unwrap());
    l.reserve(&lost, 9, tokens(10)).await.unwrap();
    tick_until(&l, |sum| sum.leases == 1).await;
    let again = holder(&l).await;
    l.reserve(&again, 1, tokens(20)).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(10), tokens(20)));
}

pub async fn a_stale_holder_books_nothing(l: L) {
    submit(&l, small("a", 1)).await;
    let one = holder(&l).await;
    l.complete(&one, completion("o", ZERO)).await.unwrap();
    assert_eq!(l.reserve(&one, next_call(), tokens(1)).await, Err(LedgerError::LeaseLost));
    assert_eq!(l.settle(&one, next_call(), ZERO, tokens(1)).await, Err(LedgerError::LeaseLost));
    assert_eq!(sums(&l).await, (ZERO, ZERO));
}

pub async fn a_tree_has_one_budget(l: L) {
    let root = small("a", 0);
    submit(&l, root).await;
    let decide = lease_decide(&l).await;
    let below = crate::NewChild { tasks: vec![task(1)], ..child(1) };
    let commit = Commit { tasks: vec![task(1)], children: vec![below], ..seen(&l, &decide).await };
    l.commit(commit).await.unwrap();
    let both = lease_many(&l, work(), 2).await;
    let (one, two) = (held(&both[0]), held(&both[1]));
    l.reserve(&one, next_call(), tokens(60)).await.unwrap();
    assert_eq!(l.reserve(&two, next_call(), tokens(41)).await, Err(OVER));
    l.reserve(&two, next_call(), tokens(40)).await.unwrap();
    l.complete(&two, completion("o", tokens(30))).await.unwrap();
    assert_eq!(l.reserve(&one, next_call(), tokens(11)).await, Err(OVER));
    assert_eq!(l.reserve(&one, next_call(), tokens(10)).await, Ok(()));
    let reserved = tokens(60).plus(tokens(10));
    let view = l.read(&run("a").child(1).unwrap(), 0).await.unwrap();
    assert_eq!((view.root_spent, view.root_reserved), (tokens(30), reserved));
}

pub async fn more_spent_than_reserved_is_recorded(l: L) {
    submit(&l, small("a", 2)).await;
    let (one, two) = (holder(&l).await, holder(&l).await);
    l.reserve(&one, next_call(), tokens(10)).await.unwrap();
    l.reserve(&two, next_call(), tokens(20)).await.unwrap();
    l.settle(&one, next_call(), tokens(10), tokens(200)).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(200), tokens(20)));
    assert_eq!(l.reserve(&two, next_call(), tokens(1)).await, Err(OVER));
    let estimate = Completion { estimated: true, ..completion("o", tokens(300)) };
    l.complete(&two, estimate).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(200).plus(tokens(300)), ZERO));
}

pub async fn a_lease_sets_aside_what_its_task_asks_for(l: L) {
    let asks = |number, amount| crate::NewTask { reserve: tokens(amount), ..task(number) };
    submit(&l, Submission { tasks: vec![asks(1, 60), asks(2, 50)], ..small("a", 0) }).await;
    let first = lease_work(&l).await;
    assert_eq!((first.reserved, sums(&l).await), (Ok(tokens(60)), (ZERO, tokens(60))));
    let second = lease_work(&l).await;
    assert_eq!(second.reserved, Err(Resource::Tokens));
    assert_eq!(sums(&l).await, (ZERO, tokens(60)), "what is not held sets nothing aside");
    l.reserve(&held(&second), next_call(), tokens(40)).await.unwrap();
    l.complete(&held(&first), completion("o", tokens(20))).await.unwrap();
    assert_eq!(sums(&l).await, (tokens(20), tokens(40)), "completing gives back the rest");
}

pub async fn a_lost_lease_is_booked_with_what_it_set_aside(l: L) {
    let asks = crate::NewTask { reserve: tokens(30), ..task(1) };
    submit(&l, Submission { tasks: vec![asks], ..small("a", 0) }).await;
    lease_and_lose(&l, work()).await;
    assert_eq!(sums(&l).await, (tokens(30), ZERO));
    let again = lease_work(&l).await;
    assert_eq!((again.reserved, sums(&l).await), (Ok(tokens(30)), (tokens(30), tokens(30))));
    lease_lost(&l, &again).await;
}

/// The third lease is beyond the budget: it says so, and books nothing when it is lost.
async fn lease_lost(l: &L, again: &crate::Leased) {
    l.complete(&held(again), completion("o", tokens(50))).await.unwrap();
    let decide = lease_decide(l).await;
    let asks = crate::NewTask { reserve: tokens(30), ..task(2) };
    let commit = Commit { tasks: vec![asks], ..seen(l, &decide).await };
    l.commit(commit).await.unwrap();
    let third = lease_and_lose(l, work()).await;
    let spent = tokens(30).plus(tokens(50));
    assert_eq!((third.reserved, sums(l).await), (Err(Resource::Tokens), (spent, ZERO)));
}
