//! The ledger in numbers.

use super::given::*;
use crate::{Body, Class, QueueSums, STATS_QUEUES_MAX, Submission, TenantTerms};

/// Class, tenant, waiting and held tasks of each queue, in the order given.
async fn queues(l: &L) -> Vec<(String, String, u64, u64)> {
    let queues = l.stats().await.unwrap().queues.into_iter();
    let row = |queue: crate::QueueStats| {
        (queue.class.as_str().into(), queue.tenant.to_string(), queue.queued, queue.leased)
    };
    queues.map(row).collect()
}

fn queue(class: &str, tenant: &str, queued: u64, leased: u64) -> (String, String, u64, u64) {
    (class.into(), tenant.into(), queued, leased)
}

pub async fn what_waits_and_what_is_held_is_counted(l: L) {
    assert_eq!(queues(&l).await, []);
    submit(&l, with_tasks("a", [1, 2, 3])).await;
    submit(&l, Submission { tenant: tenant("u"), ..with_tasks("b", [1]) }).await;
    submit(&l, submission("c")).await;
    let waiting = [
        queue("work/agent", "t", 3, 0),
        queue("decide", "t", 1, 0),
        queue("work/agent", "u", 1, 0),
    ];
    assert_eq!(queues(&l).await, waiting);

    let worker = l.lease(request(work(), 2, LONG_MS)).await.unwrap().remove(0);
    assert_eq!(worker.tenant, tenant("t"));
    let one_each = [
        queue("work/agent", "t", 2, 1),
        queue("decide", "t", 1, 0),
        queue("work/agent", "u", 0, 1),
    ];
    assert_eq!(queues(&l).await, one_each);

    l.complete(&held(&worker), completion("o", tokens(1))).await.unwrap();
    let decided = [
        queue("decide", "t", 2, 0),
        queue("work/agent", "t", 2, 0),
        queue("work/agent", "u", 0, 1),
    ];
    assert_eq!(queues(&l).await, decided);

    // At its cap a tenant's tasks wait all the same, and one that is lost waits again.
    l.set_tenant(&tenant("t"), TenantTerms { leased_max: 1, ..TenantTerms::default() })
        .await
        .unwrap();
    lease_and_lose(&l, work()).await;
    assert_eq!(queues(&l).await, decided);
    end(&l, &run("a"), "done").await;
    waits_nothing(&l, Class::decide()).await;
    assert_eq!(queues(&l).await, [queue("decide", "t", 0, 1), queue("work/agent", "u", 0, 1)]);
    let oldest = l.stats().await.unwrap().queues.iter().map(|queue| queue.oldest_ms).max();
    assert_eq!(oldest, Some(0), "nothing waits");

    submit(&l, with_tasks("d", [1])).await;
    let mut old = 0;
    while old == 0 {
        old = l.stats().await.unwrap().queues.iter().map(|queue| queue.oldest_ms).max().unwrap();
    }
}

pub async fn many_queues_are_summed(l: L) {
    let more = 3;
    for number in 0..STATS_QUEUES_MAX + more {
        let id = format!("run-{number}");
        submit(&l, Submission { tenant: tenant(&id), ..with_tasks(&id, [1]) }).await;
    }
    submit(&l, with_tasks("large", 1..=5)).await;
    let stats = l.stats().await.unwrap();
    assert_eq!(stats.queues.len(), STATS_QUEUES_MAX);
    assert_eq!((stats.queues[0].tenant.clone(), stats.queues[0].queued), (tenant("t"), 5));
    let queues = more as u64 + 1;
    assert_eq!(stats.other_queues, QueueSums { queues, queued: queues, leased: 0 });
}

pub async fn runs_timers_and_bodies_are_counted(l: L) {
    let text_of = |of: &str| Body::new(text(of));
    let bodies = vec![text_of("one"), text_of("two"), text_of("one")];
    let timers = vec![timer("t", LONG_MS), timer("u", LONG_MS)];
    submit(&l, Submission { bodies, timers, ..submission("a") }).await;
    let bodies = vec![text_of("two"), text_of("three")];
    submit(&l, Submission { bodies, ..submission("b") }).await;
    let stats = l.stats().await.unwrap();
    assert_eq!((stats.unfinished, stats.finished, stats.timers), (2, 0, 2));
    assert_eq!((stats.bodies, stats.body_bytes), (3, 11));
    end(&l, &run("a"), "done").await;
    let after = l.stats().await.unwrap();
    assert_eq!((after.unfinished, after.finished, after.timers), (1, 1, 0));
    assert!(after.now >= stats.now && after.epoch == stats.epoch && after.epoch > 0);
}
