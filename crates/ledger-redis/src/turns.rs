//! Which shard is asked for tasks next: in proportion to the weight of its active tenants.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a shard that did not answer is asked last.
const AWAY: Duration = Duration::from_secs(1);
/// What one task costs a shard of weight 1.
const STRIDE: f64 = 1000.0;
/// Requests of which it is not known whether a shard gave them tasks; the oldest are
/// forgotten, and their leases, if there are any, end by themselves.
const DOUBTS_MAX: usize = 1024;

/// Stride scheduling over shards, in this process alone: each process visits them fairly,
/// so all together do.
pub(crate) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passes: Vec<f64>,
    now: f64,
    away: Vec<Option<Instant>>,
    /// By request, and in the order in which they came up: the shard that may have answered.
    doubts: BTreeMap<u64, (u64, usize)>,
    counter: u64,
}

impl Turns {
    pub(crate) fn new(shards: usize) -> Self {
        let state =
            State { passes: vec![0.0; shards], away: vec![None; shards], ..State::default() };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers are whole between any two operations, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards in the order in which this request asks them: the one that may have given
    /// it tasks already, then those whose turn it is, then those that were away just now.
    pub(crate) fn order(&self, request: u64) -> Vec<usize> {
        let state = self.lock();
        let doubted = state.doubts.get(&request).map(|(_, shard)| *shard);
        let away = |shard: usize| {
            state.away.get(shard).copied().flatten().is_some_and(|since| since.elapsed() < AWAY)
        };
        let pass = |shard: usize| state.passes.get(shard).copied().unwrap_or(0.0);
        let mut order: Vec<usize> = (0..state.passes.len()).collect();
        order.sort_by(|one, other| {
            let key = |shard: usize| (Some(shard) != doubted, away(shard));
            key(*one).cmp(&key(*other)).then(pass(*one).total_cmp(&pass(*other)))
        });
        order
    }

    /// A shard gave so many tasks; the tenants that wait there have this weight together.
    pub(crate) fn gave(&self, shard: usize, request: u64, tasks: usize, weight: f64) {
        let mut state = self.lock();
        state.doubts.remove(&request);
        let now = state.now;
        if let Some(away) = state.away.get_mut(shard) {
            *away = None;
        }
        // Nothing is banked while there was nothing to give.
        let Some(pass) = state.passes.get_mut(shard) else { return };
        let from = pass.max(now);
        *pass = from + tasks as f64 * STRIDE / weight.max(1.0);
        if tasks > 0 {
            state.now = from;
        }
    }

    /// A shard did not answer: whether it gave anything is not known.
    pub(crate) fn is_away(&self, shard: usize, request: u64) {
        let mut state = self.lock();
        if let Some(away) = state.away.get_mut(shard) {
            *away = Some(Instant::now());
        }
        state.counter += 1;
        let place = state.counter;
        state.doubts.insert(request, (place, shard));
        if state.doubts.len() > DOUBTS_MAX {
            let oldest = state.doubts.iter().min_by_key(|(_, (place, _))| *place);
            if let Some(oldest) = oldest.map(|(request, _)| *request) {
                state.doubts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_visited_by_their_weight() {
        let turns = Turns::new(3);
        let weights = [100.0, 200.0, 400.0];
        let mut visits = [0; 3];
        for request in 0..700 {
            let shard = turns.order(request)[0];
            visits[shard] += 1;
            turns.gave(shard, request, 1, weights[shard]);
        }
        assert_eq!(visits.map(|visits: i32| visits / 10), [10, 20, 40]);
    }

    #[test]
    fn a_shard_that_may_have_answered_is_asked_first_and_by_others_last() {
        let turns = Turns::new(3);
        turns.is_away(1, 7);
        assert_eq!(turns.order(7)[0], 1);
        assert_eq!(turns.order(8)[2], 1);
        turns.gave(1, 7, 0, 1.0);
        assert_eq!(turns.order(7), [0, 1, 2]);
        for request in 0..2 * DOUBTS_MAX as u64 {
            turns.is_away(2, request);
        }
        assert_eq!(turns.lock().doubts.len(), DOUBTS_MAX);
    }

    #[test]
    fn an_idle_shard_banks_no_turns() {
        let turns = Turns::new(2);
        for request in 0..100 {
            turns.gave(0, request, 1, 1.0);
        }
        turns.gave(1, 100, 0, 1.0);
        turns.gave(1, 101, 1, 1.0);
        turns.gave(1, 102, 1, 1.0);
        assert_eq!(turns.order(103)[0], 0, "one turn, and then the other again");
    }
}
