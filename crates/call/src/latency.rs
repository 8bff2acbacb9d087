//! How long the calls of each agent take, and when that justifies a second one.

use baton_workflow::{AgentId, HedgeTerms};
use hdrhistogram::Histogram;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Calls after which the older half of what is known of an agent is forgotten.
const HALF_CALLS: u64 = 1_000;
/// Longest latency told apart, in milliseconds: an hour.
const LATENCY_MS_MAX: u64 = 3_600_000;
/// Significant digits that are kept.
const DIGITS: u8 = 2;
/// Second calls that may be saved up.
const SAVED_MAX: u64 = 10;
/// What a second call costs, in hundredths of a call.
const WHOLE: u64 = 100;

/// Which time of a call is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// Until its first text.
    FirstToken,
    /// Until its end.
    End,
}

/// What this process has seen. Only calls that succeeded count: others say how long the
/// time-outs are.
#[derive(Default)]
pub(crate) struct Latencies {
    seen: Mutex<HashMap<(AgentId, Mark), Seen>>,
    /// Second calls that may be made now, in hundredths.
    saved: Mutex<u64>,
}

/// The last one to two times [`HALF_CALLS`] calls.
#[derive(Default)]
struct Seen {
    this: Option<Histogram<u32>>,
    last: Option<Histogram<u32>>,
}

impl Latencies {
    fn lock(&self) -> MutexGuard<'_, HashMap<(AgentId, Mark), Seen>> {
        // Counts: whoever panicked, they are no worse than missing.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call succeeded.
    pub(crate) fn record(&self, agent: &AgentId, mark: Mark, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).clamp(1, LATENCY_MS_MAX);
        let mut all = self.lock();
        let seen = all.entry((agent.clone(), mark)).or_default();
        if seen.this.as_ref().is_some_and(|this| this.len() >= HALF_CALLS) {
            seen.last = seen.this.take();
        }
        if seen.this.is_none() {
            seen.this = Histogram::new_with_bounds(1, LATENCY_MS_MAX, DIGITS).ok();
        }
        if let Some(this) = &mut seen.this {
            // Within the bounds, so it always fits.
            this.saturating_record(ms);
        }
    }

    /// After how long a call is slow; none while too little is known.
    pub(crate) fn slow_after(
        &self,
        agent: &AgentId,
        mark: Mark,
        terms: HedgeTerms,
    ) -> Option<Duration> {
        let all = self.lock();
        let seen = all.get(&(agent.clone(), mark))?;
        let both: Vec<_> = [&seen.this, &seen.last].into_iter().flatten().collect();
        let calls: u64 = both.iter().map(|half| half.len()).sum();
        let quantile = f64::from(terms.percentile) / 100.0;
        let ms = both.iter().map(|half| half.value_at_quantile(quantile)).max()?;
        (calls >= u64::from(terms.calls_min)).then(|| Duration::from_millis(ms))
    }

    /// A first call is made: it saves for second ones.
    pub(crate) fn save(&self, terms: HedgeTerms) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + u64::from(terms.share_percent)).min(SAVED_MAX * WHOLE);
    }

    /// Whether a second call may be made; it is then paid for.
    pub(crate) fn spend(&self) -> bool {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *saved >= WHOLE;
        if enough {
            *saved -= WHOLE;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: HedgeTerms = HedgeTerms { percentile: 90, share_percent: 5, calls_min: 50 };

    #[test]
    fn slow_is_what_most_calls_are_not() {
        let (latencies, agent) = (Latencies::default(), AgentId::new("a").unwrap());
        let slow = || latencies.slow_after(&agent, Mark::End, TERMS);
        for ms in 1..50 {
            latencies.record(&agent, Mark::End, Duration::from_millis(ms));
        }
        assert_eq!(slow(), None, "too few");
        for ms in 50..=100 {
            latencies.record(&agent, Mark::End, Duration::from_millis(ms));
        }
        assert_eq!(slow(), Some(Duration::from_millis(90)));
        assert_eq!(latencies.slow_after(&agent, Mark::FirstToken, TERMS), None);
        // A provider that has become quicker is believed in time.
        for _ in 0..2 * HALF_CALLS + 1 {
            latencies.record(&agent, Mark::End, Duration::from_millis(7));
        }
        assert_eq!(slow(), Some(Duration::from_millis(7)));
    }

    #[test]
    fn second_calls_are_a_share_of_first_ones() {
        let latencies = Latencies::default();
        let mut seconds = 0;
        for _ in 0..1_000 {
            latencies.save(TERMS);
            seconds += u32::from(latencies.spend());
        }
        assert_eq!(seconds, 50);
        // However many first calls there were, a burst of second ones is short.
        (0..10_000).for_each(|_| latencies.save(TERMS));
        let burst = std::iter::repeat_with(|| latencies.spend()).take_while(|may| *may).count();
        assert_eq!(burst, 10);
    }
}
