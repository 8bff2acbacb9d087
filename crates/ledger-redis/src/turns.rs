//! Which shard is asked for tasks next: in proportion to the weight of its active tenants.
//!
//! Stride scheduling over shards, in this process alone: each process visits them fairly,
//! so all together do. A shard moves on by `cost * 1000 / weight` of what it gave, where
//! the weight is that of all tenants that wait there: as each of them would among all
//! tenants of one shard.

use crate::shard::Found;
use baton_ledger::{BURST_TASKS, Class, LeaseRequest};
use std::{
    collections::{BTreeMap, HashMap},
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
/// Lists of classes that a process asks for; where there are more, turns begin anew.
const LISTS_MAX: usize = 1024;

/// See the module.
pub(crate) struct Turns {
    shards: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the classes that are asked for: each is divided for itself.
    rings: HashMap<Vec<Class>, Ring>,
    away: Vec<Option<Instant>>,
    /// By request, and in the order in which they came up: the shard that may have answered.
    doubts: BTreeMap<u64, (u64, usize)>,
    counter: u64,
}

#[derive(Clone)]
struct Ring {
    now: f64,
    seats: Vec<Seat>,
}

#[derive(Clone, Copy, Default)]
struct Seat {
    pass: f64,
    /// How far a usual task moves it on.
    stride: f64,
    /// Somebody waits there who has had little.
    calls: bool,
}

impl Seat {
    /// One that calls is asked before its turn, by a few tasks and no more.
    fn turn(&self) -> f64 {
        if self.calls { self.pass - BURST_TASKS as f64 * self.stride } else { self.pass }
    }
}

impl Turns {
    pub(crate) fn new(shards: usize) -> Self {
        let state = State { away: vec![None; shards], ..State::default() };
        Self { shards, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers are whole between any two operations, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards in the order in which this request asks them: the one that may have given
    /// it tasks already, then those whose turn it is, then those that were away just now.
    /// Of equal ones another is first each time, so that not all processes begin with one.
    pub(crate) fn order(&self, request: &LeaseRequest) -> Vec<usize> {
        let state = self.lock();
        let doubted = state.doubts.get(&request.request).map(|(_, shard)| *shard);
        let away = |shard: usize| {
            state.away.get(shard).copied().flatten().is_some_and(|since| since.elapsed() < AWAY)
        };
        let seats = state.rings.get(&request.classes).map(|ring| ring.seats.as_slice());
        let turn =
            |shard: usize| seats.and_then(|seats| seats.get(shard)).map_or(0.0, |seat| seat.turn());
        let mut order: Vec<usize> = (0..self.shards).collect();
        let first = request.request % order.len().max(1) as u64;
        order.rotate_left(usize::try_from(first).unwrap_or(0));
        order.sort_by(|one, other| {
            let key = |shard: usize| (Some(shard) != doubted, away(shard));
            key(*one).cmp(&key(*other)).then(turn(*one).total_cmp(&turn(*other)))
        });
        order
    }

    /// A shard gave this; perhaps nothing.
    pub(crate) fn gave(&self, shard: usize, request: &LeaseRequest, found: &Found) {
        let Found { tasks, cost, weight, .. } = found;
        let gave = (!tasks.is_empty()).then_some((tasks.len(), *cost, *weight));
        self.moves(shard, request, gave);
    }

    /// A shard answered: with so many tasks of this cost, by tenants of this weight.
    fn moves(&self, shard: usize, request: &LeaseRequest, gave: Option<(usize, f64, f64)>) {
        let mut state = self.lock();
        state.doubts.remove(&request.request);
        if let Some(away) = state.away.get_mut(shard) {
            *away = None;
        }
        if !state.rings.contains_key(&request.classes) && state.rings.len() >= LISTS_MAX {
            state.rings.clear();
        }
        let fresh = || Ring { now: 0.0, seats: vec![Seat::default(); self.shards] };
        let Ring { now, seats } = state.rings.entry(request.classes.clone()).or_insert_with(fresh);
        let Some(seat) = seats.get_mut(shard) else { return };
        let called = std::mem::take(&mut seat.calls);
        let Some((tasks, cost, weight)) = gave else { return };
        let moved = cost * STRIDE / weight.max(1.0);
        seat.stride = moved / tasks as f64;
        // Nothing but a few tasks is banked while there was nothing to give.
        let from = seat.pass.max(*now - BURST_TASKS as f64 * seat.stride);
        seat.pass = from + moved;
        // Before its turn, it says nothing about the others'.
        if !called {
            *now = now.max(from);
        }
    }

    /// Nothing waits on any shard: all that come from now on start alike.
    pub(crate) fn rest(&self, request: &LeaseRequest) {
        self.lock().rings.remove(&request.classes);
    }

    /// A tenant that has had less than its share has come to a shard.
    pub(crate) fn calls(&self, shard: usize, class: &Class) {
        let mut state = self.lock();
        for (classes, ring) in &mut state.rings {
            if classes.contains(class)
                && let Some(seat) = ring.seats.get_mut(shard)
            {
                seat.calls = true;
            }
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

    fn request(request: u64) -> LeaseRequest {
        let classes = vec![Class::plan()];
        LeaseRequest { holder: String::new(), classes, max: 1, ttl_ms: 1, wait_ms: 0, request }
    }

    /// Visits as many times as said, each of a task of cost 1, and gives how often each
    /// shard was first.
    fn visits<const N: usize>(turns: &Turns, count: u64, weights: [f64; N]) -> [u64; N] {
        let mut visits = [0; N];
        for number in 0..count {
            let shard = turns.order(&request(number))[0];
            visits[shard] += 1;
            turns.moves(shard, &request(number), Some((1, 1.0, weights[shard])));
        }
        visits
    }

    #[test]
    fn shards_are_visited_by_their_weight() {
        let turns = Turns::new(3);
        let visits = visits(&turns, 7000, [100.0, 200.0, 400.0]);
        assert_eq!(visits.map(|visits| visits / 100), [10, 20, 40]);
    }

    #[test]
    fn what_a_visit_gave_is_counted_by_its_cost() {
        let turns = Turns::new(2);
        for number in 0..400 {
            let shard = turns.order(&request(number))[0];
            let cost = [10.0, 30.0][shard];
            turns.moves(shard, &request(number), Some((1, cost, 100.0)));
        }
        let state = turns.lock();
        let [one, other] = state.rings.values().next().unwrap().seats[..] else { panic!() };
        assert!((one.pass - other.pass).abs() <= 300.0, "{} {}", one.pass, other.pass);
    }

    #[test]
    fn a_shard_that_may_have_answered_is_asked_first_and_by_others_last() {
        let turns = Turns::new(3);
        turns.is_away(1, 7);
        assert_eq!(turns.order(&request(7))[0], 1);
        assert_eq!(turns.order(&request(8))[2], 1);
        turns.moves(1, &request(7), None);
        assert_eq!(turns.order(&request(7)), [1, 2, 0], "begins with another each time");
        assert_eq!(turns.order(&request(9)), [0, 1, 2]);
        for request in 0..2 * DOUBTS_MAX as u64 {
            turns.is_away(2, request);
        }
        assert_eq!(turns.lock().doubts.len(), DOUBTS_MAX);
    }

    #[test]
    fn an_idle_shard_banks_a_few_turns() {
        let turns = Turns::new(2);
        for number in 0..100 {
            turns.moves(0, &request(number), Some((1, 1.0, 1.0)));
        }
        let [_, idle] = visits(&turns, 28, [1.0, 1.0]);
        assert!(idle.abs_diff(18) <= 1, "eight turns and every other of the rest, not {idle}");
    }

    #[test]
    fn a_shard_that_calls_is_asked_before_its_turn_and_pays_for_it() {
        let turns = Turns::new(2);
        let weights = [1000.0, 10.0];
        visits(&turns, 101, weights);
        turns.moves(1, &request(0), Some((1, 1.0, weights[1])));
        assert_eq!(turns.order(&request(0))[0], 0);
        turns.calls(1, &Class::verify());
        assert_eq!(turns.order(&request(0))[0], 0, "of a class that is not asked for");
        let mut first = 0;
        for number in 0..20 {
            turns.calls(1, &Class::plan());
            let shard = turns.order(&request(number))[0];
            first += u64::from(shard == 1);
            turns.moves(shard, &request(number), Some((1, 1.0, weights[shard])));
        }
        assert!((6..=8).contains(&first), "before its turn {first} times");
        turns.rest(&request(0));
        assert_eq!(visits(&turns, 2, weights), [1, 1]);
    }
}
