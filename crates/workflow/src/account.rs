//! What an account at a provider allows: quotas, and when it is left alone.

use serde::{Deserialize, Serialize};

/// Most requests a minute that can be configured.
pub const REQUESTS_PER_MINUTE_MAX: u64 = 1_000_000;
/// Most tokens a minute that can be configured.
pub const TOKENS_PER_MINUTE_MAX: u64 = 1_000_000_000;
/// Most calls at the same time that can be configured.
pub const CALLS_AT_A_TIME_MAX: u32 = 100_000;
/// Longest window, and longest pause, of a breaker, in milliseconds: an hour.
pub const BREAKER_MS_MAX: u64 = 3_600_000;

/// What one account allows. Whatever is `None` is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTerms {
    /// Calls that may begin in any 60 seconds, 1 to [`REQUESTS_PER_MINUTE_MAX`].
    pub requests_per_minute: Option<u64>,
    /// Tokens that may be asked for in any 60 seconds, 1 to [`TOKENS_PER_MINUTE_MAX`].
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at the same time, 1 to [`CALLS_AT_A_TIME_MAX`].
    pub concurrency: Option<u32>,
    /// When to leave an account alone that fails.
    pub breaker: Option<BreakerTerms>,
}

/// When an account counts as broken, and for how long it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerTerms {
    /// Share of failed calls that opens the breaker, in percent, 1 to 100.
    pub failure_percent: u32,
    /// Calls in the window below which nothing is concluded, 1 to 10000.
    pub calls_min: u32,
    /// How far back calls count, in milliseconds, 100 to [`BREAKER_MS_MAX`]: all of the
    /// last half of it, and between none and all of the half before.
    pub window_ms: u64,
    /// How long no call is made, in milliseconds, 1 to [`BREAKER_MS_MAX`]; then one call
    /// at a time tries whether the account works again.
    pub open_ms: u64,
}

impl Default for BreakerTerms {
    /// Half of at least 20 calls within half a minute: far from bad luck, soon enough to
    /// spare the next hundred calls their time-outs.
    fn default() -> Self {
        Self { failure_percent: 50, calls_min: 20, window_ms: 30_000, open_ms: 5_000 }
    }
}

impl AccountTerms {
    /// What is out of range, with its value and what was expected.
    pub fn check(&self) -> Result<(), String> {
        let Self { requests_per_minute, tokens_per_minute, concurrency, breaker } = *self;
        let mut ranges = vec![
            ("requests_per_minute", requests_per_minute, 1, REQUESTS_PER_MINUTE_MAX),
            ("tokens_per_minute", tokens_per_minute, 1, TOKENS_PER_MINUTE_MAX),
            ("concurrency", concurrency.map(u64::from), 1, CALLS_AT_A_TIME_MAX.into()),
        ];
        if let Some(breaker) = breaker {
            ranges.extend([
                ("failure_percent", Some(breaker.failure_percent.into()), 1, 100),
                ("calls_min", Some(breaker.calls_min.into()), 1, 10_000),
                ("window_ms", Some(breaker.window_ms), 100, BREAKER_MS_MAX),
                ("open_ms", Some(breaker.open_ms), 1, BREAKER_MS_MAX),
            ]);
        }
        for (name, value, least, most) in ranges {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(format!("{name} is {value}: expected {least} to {most}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_bounds() {
        assert_eq!(AccountTerms::default().check(), Ok(()));
        let breaker = Some(BreakerTerms::default());
        assert_eq!(AccountTerms { breaker, ..AccountTerms::default() }.check(), Ok(()));
        let none = AccountTerms { requests_per_minute: Some(0), ..AccountTerms::default() };
        let said = none.check().unwrap_err();
        assert_eq!(said, "requests_per_minute is 0: expected 1 to 1000000");
        let breaker = Some(BreakerTerms { failure_percent: 101, ..BreakerTerms::default() });
        let said = AccountTerms { breaker, ..AccountTerms::default() }.check().unwrap_err();
        assert_eq!(said, "failure_percent is 101: expected 1 to 100");
    }
}
