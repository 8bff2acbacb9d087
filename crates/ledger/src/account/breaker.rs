//! A circuit breaker: an account that fails is left alone, then tried with one call.
//!
//! Closed, it counts calls in two halves of a window. With enough failures among them it
//! opens, for a while; then the next call is the probe, one at a time, and what comes of
//! it closes the breaker or opens it again.

use super::{Health, PERMIT_WAIT_MS};
use baton_workflow::BreakerTerms;

/// Calls that have ended, in half a window.
#[derive(Debug, Clone, Copy, Default)]
struct Half {
    calls: u64,
    failed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Which half of which window is being counted.
    half: u64,
    this: Half,
    last: Half,
    /// When the pause ends; 0 when the breaker is closed.
    open_until: u64,
    /// The call that tries the account out; 0 when there is none.
    probe: u64,
}

impl Breaker {
    /// How long to wait, in milliseconds; none if a call may begin.
    pub(super) fn wait_ms(&self, now: u64) -> Option<u64> {
        if self.open_until > now {
            return Some(self.open_until - now);
        }
        (self.probe != 0).then_some(PERMIT_WAIT_MS)
    }

    /// A call begins, after `wait_ms` said that it may.
    pub(super) fn admitted(&mut self, permit: u64) {
        if self.open_until != 0 {
            self.probe = permit;
        }
    }

    /// A call was never released.
    pub(super) fn vanished(&mut self, permit: u64) {
        if self.probe == permit {
            self.probe = 0;
        }
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, now: u64, permit: u64, health: Health, terms: BreakerTerms) {
        let failed = match health {
            Health::Well => false,
            Health::Failed => true,
            Health::Limited { .. } | Health::Unknown => return self.vanished(permit),
        };
        if self.open_until != 0 {
            // Only the probe counts: others began before the pause.
            if self.probe == permit {
                let open_until = if failed { now + terms.open_ms } else { 0 };
                *self = Self { open_until, ..Self::default() };
            }
            return;
        }
        self.turn(now / (terms.window_ms / 2));
        self.this.calls += 1;
        self.this.failed += u64::from(failed);
        let (calls, failures) =
            (self.this.calls + self.last.calls, self.this.failed + self.last.failed);
        let enough = calls >= u64::from(terms.calls_min);
        if enough && failures * 100 >= calls * u64::from(terms.failure_percent) {
            *self = Self { open_until: now + terms.open_ms, ..Self::default() };
        }
    }

    fn turn(&mut self, half: u64) {
        if half == self.half {
            return;
        }
        self.last = if half == self.half + 1 { self.this } else { Half::default() };
        self.this = Half::default();
        self.half = half;
    }
}
