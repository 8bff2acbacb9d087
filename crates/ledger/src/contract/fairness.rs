//! Who is served next.

use super::{
    backlog::{light_beside, share_by_weight},
    given::*,
    leases::wait_while,
};
use crate::{BURST_TASKS, Class, Inventory, LedgerError, NewTask, Submission, TenantTerms};
use baton_workflow::Spend;

fn weight(weight: u32) -> TenantTerms {
    TenantTerms { weight, ..TenantTerms::default() }
}

fn cap(leased_max: u32) -> TenantTerms {
    TenantTerms { leased_max, ..TenantTerms::default() }
}

/// A run of a tenant of the same name, with so many tasks of so much cost.
async fn fill(l: &L, name: &str, tasks: u32, cost: u64) {
    let tasks = (1..=tasks).map(|number| NewTask { cost, ..task(number) }).collect();
    submit(l, Submission { tenant: tenant(name), tasks, ..submission(name) }).await;
}

/// Of so many leases, one by one, how many each tenant got.
async fn shares<const N: usize>(l: &L, leases: usize, names: [&str; N]) -> [usize; N] {
    let mut got = [0; N];
    for _ in 0..leases {
        let leased = lease_work(l).await;
        let at = names.iter().position(|name| tenant(name) == leased.tenant).unwrap();
        got[at] += 1;
    }
    got
}

fn close(got: &[usize], wanted: &[usize]) {
    let near = got.iter().zip(wanted).all(|(got, wanted)| got.abs_diff(*wanted) <= 1);
    assert!(near, "{got:?} is not {wanted:?}");
}

pub async fn weights_divide_a_class(l: L) {
    for (name, share) in [("a", 1), ("b", 2), ("c", 4)] {
        l.set_tenant(&tenant(name), weight(share)).await.unwrap();
        fill(&l, name, 100, 10).await;
    }
    close(&shares(&l, 70, ["a", "b", "c"]).await, &[10, 20, 40]);
    let batch = lease_many(&l, work(), 70).await;
    let got = ["a", "b", "c"].map(|name| batch.iter().filter(|t| t.tenant == tenant(name)).count());
    close(&got, &[10, 20, 40]);
}

/// One who comes late with little does not stand behind them.
pub async fn many_tenants_share_whatever_they_bring(l: L) {
    let tenants = (0..200).map(|rank| tenant(&format!("tenant-{rank:03}"))).collect();
    share_by_weight(&[l], tenants).await;
}

pub async fn a_light_tenant_waits_for_nobodys_backlog(l: L) {
    let others = (0..20).map(|number| tenant(&format!("other-{number:02}"))).collect();
    light_beside(&[l], tenant("x-light"), others, async || {}).await;
}

pub async fn costs_are_counted(l: L) {
    fill(&l, "a", 60, 10).await;
    fill(&l, "b", 60, 30).await;
    close(&shares(&l, 40, ["a", "b"]).await, &[30, 10]);
}

/// A few of its tasks go first; then turns are as if it had never been away.
pub async fn staying_away_earns_a_few_tasks(l: L) {
    fill(&l, "b", 1, 10).await;
    fill(&l, "a", 60, 10).await;
    assert_eq!(shares(&l, 31, ["a", "b"]).await, [30, 1]);
    let more = (2..=30).map(task).collect();
    submit(&l, Submission { tenant: tenant("b"), tasks: more, ..submission("b2") }).await;
    let burst = BURST_TASKS as usize;
    close(&shares(&l, burst, ["a", "b"]).await, &[0, burst]);
    close(&shares(&l, 20, ["a", "b"]).await, &[10, 10]);
}

pub async fn a_tenant_at_its_cap_is_passed_over(l: L) {
    l.set_tenant(&tenant("a"), cap(2)).await.unwrap();
    fill(&l, "a", 5, 1).await;
    fill(&l, "b", 5, 1).await;
    let leased = lease_many(&l, work(), 10).await;
    let (mine, others): (Vec<_>, Vec<_>) =
        leased.into_iter().partition(|leased| leased.tenant == tenant("a"));
    assert_eq!((mine.len(), others.len()), (2, 5));
    waits_nothing(&l, work()).await;
    l.complete(&held(&mine[0]), completion("o", Spend::ZERO)).await.unwrap();
    assert_eq!(lease_many(&l, work(), 10).await.len(), 1);
    l.set_tenant(&tenant("a"), cap(3)).await.unwrap();
    assert_eq!(lease_many(&l, work(), 10).await.len(), 1);
    waits_nothing(&l, work()).await;
}

pub async fn decisions_do_not_count_against_the_cap(l: L) {
    l.set_tenant(&tenant("t"), cap(1)).await.unwrap();
    for id in ["a", "b", "c"] {
        submit(&l, submission(id)).await;
    }
    submit(&l, with_tasks("d", [1, 2])).await;
    assert_eq!(lease_many(&l, Class::decide(), 10).await.len(), 3);
    assert_eq!(lease_many(&l, work(), 10).await.len(), 1);
}

pub async fn a_wait_ends_when_a_cap_is_lifted(l: L) {
    l.set_tenant(&tenant("t"), cap(1)).await.unwrap();
    submit(&l, with_tasks("a", 1..=3)).await;
    let first = lease_work(&l).await;
    let second = wait_while(&l, work(), async {
        l.complete(&held(&first), completion("o", Spend::ZERO)).await.unwrap();
    });
    assert_eq!(second.await.len(), 1);
    let third = wait_while(&l, work(), async {
        l.set_tenant(&tenant("t"), cap(2)).await.unwrap();
    });
    assert_eq!(third.await.len(), 1);
}

pub async fn terms_have_bounds(l: L) {
    for bad in [0, 1001] {
        let refused = l.set_tenant(&tenant("a"), weight(bad)).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))));
    }
    for good in [1, 1000] {
        assert_eq!(l.set_tenant(&tenant("a"), weight(good)).await, Ok(()));
    }
}

pub async fn what_stands_is_told(l: L) {
    assert_eq!(l.inventory().await.unwrap(), Inventory::default());
    fill(&l, "a", 2, 10).await;
    l.set_tenant(&tenant("b"), weight(7)).await.unwrap();
    l.set_tenant(&tenant("a"), weight(3)).await.unwrap();
    let inventory = l.inventory().await.unwrap();
    assert_eq!(inventory.waiting, [work()]);
    assert_eq!(inventory.terms, [(tenant("a"), weight(3)), (tenant("b"), weight(7))]);
    lease_many(&l, work(), 2).await;
    let waiting = l.inventory().await.unwrap().waiting;
    assert!(!waiting.contains(&work()), "what is leased waits no more: {waiting:?}");
}
