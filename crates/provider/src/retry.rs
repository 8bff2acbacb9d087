//! When to make a failed call again.

use crate::ProviderError;

/// A provider that asks to wait longer than this is not waited for: another agent is asked.
const RETRY_AFTER_MS_MAX: u64 = 20_000;

/// Exponential pauses with full jitter, as the cloud providers recommend them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls in all, the first one included.
    pub attempts_max: u32,
    /// The most that the first pause can last, in milliseconds; doubles with each call.
    pub base_ms: u64,
    /// The most that any pause can last, in milliseconds.
    pub cap_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 3, base_ms: 250, cap_ms: 8_000 }
    }
}

impl RetryPolicy {
    /// How long to pause after the `attempt`-th call (from 1) failed with `error`; none if
    /// it should not be made again. `jitter` is a random number from 0 to 1. A provider's
    /// own word on when to come again is heeded, unless it is too far away.
    pub fn delay_ms(&self, attempt: u32, error: &ProviderError, jitter: f64) -> Option<u64> {
        if attempt >= self.attempts_max || !error.is_retryable() {
            return None;
        }
        let doubled = self.base_ms.saturating_mul(1 << attempt.saturating_sub(1).min(32));
        let spread = (doubled.min(self.cap_ms) as f64 * jitter.clamp(0.0, 1.0)) as u64;
        match error.retry_after_ms() {
            Some(after) if after > RETRY_AFTER_MS_MAX => None,
            // Not all at the same moment.
            Some(after) => Some(after.saturating_add(spread / 4)),
            None => Some(spread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(retry_after_ms: Option<u64>) -> ProviderError {
        ProviderError::RateLimited { retry_after_ms, message: String::new() }
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let policy = RetryPolicy { attempts_max: 9, base_ms: 100, cap_ms: 500 };
        let pauses: Vec<_> = (1..=8).map(|n| policy.delay_ms(n, &limited(None), 1.0)).collect();
        let expected = [100, 200, 400, 500, 500, 500, 500, 500].map(Some);
        assert_eq!(pauses, expected);
        assert_eq!(policy.delay_ms(9, &limited(None), 1.0), None);
    }

    #[test]
    fn the_providers_word_is_heeded_within_reason() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay_ms(1, &limited(Some(1_500)), 0.0), Some(1_500));
        assert_eq!(policy.delay_ms(1, &limited(Some(3_600_000)), 0.0), None);
    }

    #[test]
    fn what_cannot_get_better_is_not_repeated() {
        let refused = ProviderError::Refused { status: 400, message: String::new() };
        assert_eq!(RetryPolicy::default().delay_ms(1, &refused, 0.5), None);
    }
}
