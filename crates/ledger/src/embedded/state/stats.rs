//! Counting: what is in memory by what keeps it, what is not by its totals.

use super::State;
use crate::{Class, QueueStats, STATS_QUEUES_MAX, Stats};
use baton_workflow::{TenantId, Timestamp};

impl State {
    /// See [`crate::Ledger::stats`]; without the files.
    pub(crate) fn stats(&self, now: Timestamp) -> Stats {
        let mut queues = self.queues.counts();
        queues.sort_by_cached_key(|queue| {
            (u64::MAX - queue.queued - queue.leased, queue.class.clone(), queue.tenant.clone())
        });
        let mut stats = Stats {
            now,
            epoch: self.epoch,
            queues: Vec::new(),
            other_queues: crate::QueueSums::default(),
            unfinished: 0,
            finished: self.finished.values().sum(),
            timers: self.timers.len() as u64,
            bodies: self.totals.bodies,
            body_bytes: self.totals.body_bytes,
            files: Vec::new(),
        };
        for queue in queues.drain(STATS_QUEUES_MAX.min(queues.len())..) {
            stats.other_queues.queues += 1;
            stats.other_queues.queued += queue.queued;
            stats.other_queues.leased += queue.leased;
        }
        for queue in &mut queues {
            queue.oldest_ms = self.oldest_ms(now, &queue.class, &queue.tenant);
        }
        stats.queues = queues;
        for roots in self.roots.values() {
            stats.unfinished += roots.unended;
            stats.finished += roots.ended();
        }
        stats
    }

    /// Within a priority, the first in the queue is the oldest.
    fn oldest_ms(&self, now: Timestamp, class: &Class, tenant: &TenantId) -> u64 {
        let firsts = self.queues.firsts(class, tenant);
        let made = firsts.filter_map(|id| Some(self.task(id)?.head.made_at));
        made.min().map_or(0, |made| now.since_ms(made))
    }
}

impl QueueStats {
    /// A queue of so many tasks, whose oldest is not known.
    pub(super) fn counted(class: &Class, tenant: &TenantId, queued: u64, leased: u64) -> Self {
        Self { class: class.clone(), tenant: tenant.clone(), queued, leased, oldest_ms: 0 }
    }
}
