//! When to make the same call again: a decision, not a loop. No clock, no randomness.

use crate::ProviderError;

/// Longest time, in milliseconds, that a provider may ask to be left alone for before its
/// call is better given to another agent.
pub const RETRY_AFTER_MS_MAX: u64 = 30_000;

/// How often and how late a failed call is made again at the same provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls in all, the first one included; 1 never retries.
    pub attempts_max: u32,
    /// Longest wait before the second call, in milliseconds; it doubles from call to call.
    pub base_ms: u64,
    /// Longest wait before any call, in milliseconds, unless the provider names one.
    pub cap_ms: u64,
}

impl Default for RetryPolicy {
    /// Three calls, half a second to eight: what OpenAI's own clients do.
    fn default() -> Self {
        Self { attempts_max: 3, base_ms: 500, cap_ms: 8_000 }
    }
}

impl RetryPolicy {
    /// How long to wait, in milliseconds, after the `attempt`-th call (from 1) has failed;
    /// `None` if it should not be made again here. `jitter01` is uniform from 0 to 1.
    ///
    /// Waits are exponential with full jitter ("Exponential Backoff And Jitter", AWS
    /// Architecture Blog, 2015): uniform between nothing and the longest wait, so that
    /// callers that failed together do not come back together. A wait that the provider
    /// names is kept and never shortened, with the first jitter on top for the same reason.
    pub fn delay_ms(&self, attempt: u32, error: &ProviderError, jitter01: f64) -> Option<u64> {
        if attempt >= self.attempts_max || !error.is_retryable() {
            return None;
        }
        let jitter = if jitter01.is_finite() { jitter01.clamp(0.0, 1.0) } else { 1.0 };
        let spread = |longest_ms: u64| (longest_ms as f64 * jitter) as u64;
        if let Some(asked_ms) = error.retry_after_ms() {
            let within = asked_ms <= RETRY_AFTER_MS_MAX;
            return within.then(|| asked_ms + spread(self.base_ms.min(self.cap_ms)));
        }
        let doubled = 2_u64.saturating_pow(attempt.saturating_sub(1));
        Some(spread(self.base_ms.saturating_mul(doubled).min(self.cap_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { attempts_max: 5, base_ms: 100, cap_ms: 350 };

    fn limited(retry_after_ms: Option<u64>) -> ProviderError {
        ProviderError::RateLimited { retry_after_ms, message: "slow down".into() }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let longest = |attempt| POLICY.delay_ms(attempt, &ProviderError::Empty, 1.0);
        let waits: Vec<_> = (1..=6).map(longest).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(350), Some(350), None, None]);
        let far = RetryPolicy { attempts_max: u32::MAX, ..POLICY };
        assert_eq!(far.delay_ms(1_000_000, &ProviderError::Empty, 1.0), Some(350));
    }

    #[test]
    fn jitter_is_full() {
        let wait = |jitter01| POLICY.delay_ms(2, &ProviderError::Empty, jitter01);
        assert_eq!([wait(0.0), wait(0.25), wait(1.0)], [Some(0), Some(50), Some(200)]);
        assert_eq!([wait(-1.0), wait(7.0), wait(f64::NAN)], [Some(0), Some(200), Some(200)]);
    }

    #[test]
    fn the_providers_wish_is_kept_or_the_call_goes_elsewhere() {
        let wait = |ms, jitter01| POLICY.delay_ms(1, &limited(Some(ms)), jitter01);
        assert_eq!(wait(2_000, 0.0), Some(2_000));
        assert_eq!(wait(2_000, 0.5), Some(2_050));
        assert_eq!(wait(RETRY_AFTER_MS_MAX, 0.0), Some(RETRY_AFTER_MS_MAX));
        assert_eq!(wait(RETRY_AFTER_MS_MAX + 1, 0.0), None);
        assert_eq!(POLICY.delay_ms(1, &limited(None), 1.0), Some(100));
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let refused = ProviderError::Refused { status: 404, message: "no such model".into() };
        let auth = ProviderError::Auth { status: 401, message: "no key".into() };
        assert_eq!(POLICY.delay_ms(1, &refused, 1.0), None);
        assert_eq!(POLICY.delay_ms(1, &auth, 1.0), None);
        let once = RetryPolicy { attempts_max: 1, ..POLICY };
        assert_eq!(once.delay_ms(1, &ProviderError::Empty, 1.0), None);
    }
}
