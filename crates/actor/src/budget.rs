//! How often children may fail before failing is the supervisor's own problem.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Wait before the first restart; each further failure within the window doubles it.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// Longest wait before a restart: what is away this long should be seen as away.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(10);

/// The restarts that all children of one supervisor may use up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartBudget {
    /// Restarts within one window; one failure more escalates. 0 escalates the first.
    pub restarts_max: u32,
    /// Length of the sliding window, in milliseconds.
    pub window_ms: u64,
}

impl Default for RestartBudget {
    fn default() -> Self {
        // Rides out a dependency that restarts; a defect shows within seconds.
        Self { restarts_max: 5, window_ms: 60_000 }
    }
}

impl RestartBudget {
    /// Waits stay so short that a child that fails at once, every time, always spends
    /// the budget: otherwise backing off would hide it for ever.
    fn delay_max(&self) -> Duration {
        let share = self.window_ms / (u64::from(self.restarts_max) + 1);
        RESTART_DELAY_MAX.min(Duration::from_millis(share))
    }
}

/// The failures that still count.
#[derive(Debug)]
pub(crate) struct Failures {
    budget: RestartBudget,
    recent: VecDeque<Instant>,
}

impl Failures {
    pub(crate) fn new(budget: RestartBudget) -> Self {
        Self { budget, recent: VecDeque::new() }
    }

    /// Counts a failure: the wait before the restart, or nothing once the budget is spent.
    pub(crate) fn count(&mut self, now: Instant) -> Option<Duration> {
        let window = Duration::from_millis(self.budget.window_ms);
        while self.recent.front().is_some_and(|then| now.duration_since(*then) > window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= usize::try_from(self.budget.restarts_max).unwrap_or(usize::MAX) {
            return None;
        }
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        self.recent.push_back(now);
        let delay = RESTART_DELAY.saturating_mul(2u32.saturating_pow(doublings));
        Some(delay.min(self.budget.delay_max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_the_budget_is_spent() {
        let mut failures = Failures::new(RestartBudget { restarts_max: 3, window_ms: 60_000 });
        let now = Instant::now();
        let waits: Vec<_> = (0..4).map(|_| failures.count(now).map(|d| d.as_millis())).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(400), None]);
    }

    #[test]
    fn a_failure_outside_the_window_is_forgiven() {
        let mut failures = Failures::new(RestartBudget { restarts_max: 1, window_ms: 1_000 });
        let now = Instant::now();
        assert!(failures.count(now).is_some());
        assert!(failures.count(now + Duration::from_millis(1_000)).is_none());
        assert!(failures.count(now + Duration::from_millis(1_001)).is_some());
    }

    #[test]
    fn a_child_that_always_fails_at_once_escalates_under_any_budget() {
        for (restarts_max, window_ms) in [(0, 0), (1, 10), (30, 1_000), (1_000, 60_000)] {
            let mut failures = Failures::new(RestartBudget { restarts_max, window_ms });
            let mut now = Instant::now();
            let restarts = std::iter::from_fn(|| {
                let wait = failures.count(now)?;
                now += wait;
                Some(wait)
            });
            assert_eq!(restarts.take(5_000).count(), restarts_max as usize);
        }
    }
}
