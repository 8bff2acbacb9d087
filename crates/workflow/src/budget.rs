//! What a run may spend, next to what it has spent.

use crate::Usd;
use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum};

/// Most tokens a budget may name: far past any run, well within arithmetic.
const BUDGET_TOKENS_MAX: u64 = 1_000_000_000;
/// Most calls a budget may name.
const BUDGET_CALLS_MAX: u32 = 10_000;
/// Longest time a budget may give, in seconds: one day.
const BUDGET_SECONDS_MAX: u32 = 86_400;
/// Deepest recursion a budget may allow.
const BUDGET_DEPTH_MAX: u8 = 8;

/// The most that a run, with all its children, may consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Money.
    pub usd: Usd,
    /// Tokens read and written, planning included.
    pub tokens: u64,
    /// Calls to models, planning included.
    pub calls: u32,
    /// Wall time from submission, in seconds.
    pub seconds: u32,
    /// Levels of sub-workflows below the first; 0 forbids recursion.
    pub depth: u8,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Money.
    Usd,
    /// Tokens read and written.
    Tokens,
    /// Calls to models.
    Calls,
    /// Wall time.
    Seconds,
    /// Levels of recursion.
    Depth,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usd => "dollars",
            Self::Tokens => "tokens",
            Self::Calls => "calls",
            Self::Seconds => "seconds",
            Self::Depth => "depth",
        })
    }
}

/// Why a budget cannot be one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("budget of {found} {resource}: expected {least} to {max}")]
pub struct BudgetError {
    /// The resource with the impossible amount.
    pub resource: Resource,
    /// The amount that was given.
    pub found: String,
    /// The smallest amount allowed.
    pub least: String,
    /// The largest amount allowed.
    pub max: String,
}

impl Budget {
    /// Every amount must be above 0 (depth may be 0) and within its maximum.
    pub fn check(self) -> Result<Self, Vec<BudgetError>> {
        let mut wrong = Vec::new();
        let mut within = |resource, found: u64, max: u64, zero_allowed: bool| {
            if found > max || (found == 0 && !zero_allowed) {
                let (found, max) = (found.to_string(), max.to_string());
                let least = if zero_allowed { "0" } else { "1" }.into();
                wrong.push(BudgetError { resource, found, least, max });
            }
        };
        within(Resource::Tokens, self.tokens, BUDGET_TOKENS_MAX, false);
        within(Resource::Calls, self.calls.into(), BUDGET_CALLS_MAX.into(), false);
        within(Resource::Seconds, self.seconds.into(), BUDGET_SECONDS_MAX.into(), false);
        within(Resource::Depth, self.depth.into(), BUDGET_DEPTH_MAX.into(), true);
        if self.usd == Usd::ZERO {
            let (found, least, max) = ("0".into(), "more than 0".into(), "1000000".into());
            wrong.push(BudgetError { resource: Resource::Usd, found, least, max });
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    /// The first resource that `spend` would take beyond this budget, if any.
    /// Time and depth are not spent by calls; the engine guards them.
    pub fn exceeded_by(&self, spend: &Spend) -> Option<Resource> {
        if spend.usd > self.usd {
            Some(Resource::Usd)
        } else if spend.tokens() > self.tokens {
            Some(Resource::Tokens)
        } else if spend.calls > self.calls {
            Some(Resource::Calls)
        } else {
            None
        }
    }
}

/// What calls to models consumed, or may consume at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Money.
    pub usd: Usd,
    /// Tokens read, cached ones included.
    pub tokens_in: u64,
    /// Tokens written, reasoning included.
    pub tokens_out: u64,
    /// Calls made, without those that failed for nothing.
    pub calls: u32,
}

impl Spend {
    /// Nothing.
    pub const ZERO: Self = Self { usd: Usd::ZERO, tokens_in: 0, tokens_out: 0, calls: 0 };

    /// Tokens read and written.
    pub fn tokens(&self) -> u64 {
        self.tokens_in.saturating_add(self.tokens_out)
    }

    /// The sum; each part stops at its largest value.
    pub fn plus(self, other: Self) -> Self {
        Self {
            usd: self.usd.plus(other.usd),
            tokens_in: self.tokens_in.saturating_add(other.tokens_in),
            tokens_out: self.tokens_out.saturating_add(other.tokens_out),
            calls: self.calls.saturating_add(other.calls),
        }
    }

    /// Of each part the greater.
    pub fn or_more(self, other: Self) -> Self {
        Self {
            usd: self.usd.max(other.usd),
            tokens_in: self.tokens_in.max(other.tokens_in),
            tokens_out: self.tokens_out.max(other.tokens_out),
            calls: self.calls.max(other.calls),
        }
    }

    /// The difference; each part stops at nothing.
    pub fn minus(self, other: Self) -> Self {
        Self {
            usd: self.usd.minus(other.usd),
            tokens_in: self.tokens_in.saturating_sub(other.tokens_in),
            tokens_out: self.tokens_out.saturating_sub(other.tokens_out),
            calls: self.calls.saturating_sub(other.calls),
        }
    }
}

impl Sum for Spend {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget { usd: Usd::from_pico(10), tokens: 10, calls: 1, seconds: 1, depth: 0 }
    }

    #[test]
    fn a_budget_of_nothing_is_refused_part_by_part() {
        assert!(budget().check().is_ok());
        let none = Budget { usd: Usd::ZERO, tokens: 0, calls: 0, seconds: 0, depth: 99 };
        assert_eq!(none.check().unwrap_err().len(), 5);
    }

    #[test]
    fn the_limit_itself_may_be_spent() {
        let all = Spend { usd: Usd::from_pico(10), tokens_in: 4, tokens_out: 6, calls: 1 };
        assert_eq!(budget().exceeded_by(&all), None);
        let more = all.plus(Spend { tokens_in: 1, ..Spend::ZERO });
        assert_eq!(budget().exceeded_by(&more), Some(Resource::Tokens));
    }
}
