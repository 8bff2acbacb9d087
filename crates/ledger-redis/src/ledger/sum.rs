//! What several shards tell of themselves, together.

use baton_ledger::{Class, QueueStats, QueueSums, STATS_QUEUES_MAX, Stats};
use baton_workflow::TenantId;
use std::collections::BTreeMap;

/// Adds what one more shard tells.
pub(super) fn add(sum: &mut Stats, one: Stats) {
    sum.now = sum.now.max(one.now);
    sum.epoch = sum.epoch.max(one.epoch);
    sum.unfinished += one.unfinished;
    sum.finished += one.finished;
    sum.bodies += one.bodies;
    sum.body_bytes += one.body_bytes;
    sum.timers += one.timers;
    let QueueSums { queues, queued, leased } = one.other_queues;
    sum.other_queues.queues += queues;
    sum.other_queues.queued += queued;
    sum.other_queues.leased += leased;
    let mut queues = BTreeMap::<(Class, TenantId), QueueStats>::new();
    for queue in sum.queues.drain(..).chain(one.queues) {
        let key = (queue.class.clone(), queue.tenant.clone());
        queues
            .entry(key)
            .and_modify(|known| {
                known.queued += queue.queued;
                known.leased += queue.leased;
                known.oldest_ms = known.oldest_ms.max(queue.oldest_ms);
            })
            .or_insert(queue);
    }
    let mut queues: Vec<QueueStats> = queues.into_values().collect();
    queues.sort_by_key(|queue| std::cmp::Reverse(queue.queued + queue.leased));
    for queue in queues.split_off(queues.len().min(STATS_QUEUES_MAX)) {
        sum.other_queues.queues += 1;
        sum.other_queues.queued += queue.queued;
        sum.other_queues.leased += queue.leased;
    }
    sum.queues = queues;
}
