//! Money as integers, so that the parts of a bill add up to its sum.

use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, ops::Add};

/// An amount in picodollars (10^-12 USD). A token at a price of one micro-dollar
/// per million tokens costs exactly one of them, so no product is ever rounded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(u64);

/// Why a number is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not an amount in dollars: expected a finite number from 0 to 1000000")]
pub struct UsdError(pub f64);

const PICO: f64 = 1e12;
const USD_MAX: f64 = 1e6;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From picodollars.
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// In picodollars.
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// From dollars, rounded to the nearest picodollar; 0 to 1,000,000.
    pub fn from_dollars(dollars: f64) -> Result<Self, UsdError> {
        if !dollars.is_finite() || !(0.0..=USD_MAX).contains(&dollars) {
            return Err(UsdError(dollars));
        }
        Ok(Self((dollars * PICO).round() as u64))
    }

    /// In dollars, for people and JSON.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICO
    }

    /// The sum; stops at the largest amount.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; stops at nothing.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.plus(other)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.6}", self.dollars())
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an agent's tokens cost, in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Per million tokens read.
    pub input: u64,
    /// Per million tokens written.
    pub output: u64,
    /// Per million tokens that the provider had in its cache; as `input` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
    /// Per million tokens that the provider put into its cache; as `input` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

/// Tokens that a call read, by what each of them costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokensIn {
    /// All of them.
    pub all: u64,
    /// Of those, read from the provider's cache.
    pub cached: u64,
    /// Of those, put into the provider's cache.
    pub written: u64,
}

fn micro(dollars: f64) -> Result<u64, UsdError> {
    Usd::from_dollars(dollars).map(|usd| usd.pico() / 1_000_000)
}

impl Price {
    /// From dollars per million tokens, as providers print them.
    pub fn from_dollars(input: f64, output: f64) -> Result<Self, UsdError> {
        Ok(Self { input: micro(input)?, output: micro(output)?, ..Self::default() })
    }

    /// The same with prices of what the provider caches, in dollars per million tokens.
    pub fn with_cache(self, read: Option<f64>, write: Option<f64>) -> Result<Self, UsdError> {
        let (cached_input, cache_write) = (read.map(micro), write.map(micro));
        Ok(Self {
            cached_input: cached_input.transpose()?,
            cache_write: cache_write.transpose()?,
            ..self
        })
    }

    /// The most that so many tokens cost, whatever the provider's cache does.
    pub fn cost(self, tokens_in: u64, tokens_out: u64) -> Usd {
        let cache = self.cached_input.max(self.cache_write);
        let dearest = cache.map_or(self.input, |cache| cache.max(self.input));
        let input = dearest.saturating_mul(tokens_in);
        Usd(input.saturating_add(self.output.saturating_mul(tokens_out)))
    }

    /// What a call cost. Of parts that exceed the whole, only as much as it has counts.
    pub fn cost_of(self, tokens_in: TokensIn, tokens_out: u64) -> Usd {
        let TokensIn { all, cached, written } = tokens_in;
        let cached = cached.min(all);
        let written = written.min(all - cached);
        let cost =
            |price: Option<u64>, tokens: u64| price.unwrap_or(self.input).saturating_mul(tokens);
        let input = cost(None, all - cached - written)
            .saturating_add(cost(self.cached_input, cached))
            .saturating_add(cost(self.cache_write, written));
        Usd(input.saturating_add(self.output.saturating_mul(tokens_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_cost_the_list_price() {
        let price = Price::from_dollars(0.15, 0.6).unwrap();
        assert_eq!(price.cost(1_000_000, 0), Usd::from_dollars(0.15).unwrap());
        assert_eq!(price.cost(0, 1_000_000), Usd::from_dollars(0.60).unwrap());
        assert_eq!(price.cost(1, 0).pico(), 150_000);
    }

    #[test]
    fn cached_tokens_have_prices_of_their_own() {
        let plain = Price::from_dollars(1.0, 5.0).unwrap();
        let price = plain.with_cache(Some(0.1), Some(1.25)).unwrap();
        let read = TokensIn { all: 1_000_000, cached: 600_000, written: 200_000 };
        let dollars = |usd: f64| Usd::from_dollars(usd).unwrap();
        assert_eq!(price.cost_of(read, 0), dollars(0.2 + 0.06 + 0.25));
        assert_eq!(plain.cost_of(read, 1_000_000), dollars(6.0));
        assert_eq!(price.cost(1_000_000, 0), dollars(1.25), "a bound holds for the dearest");
        // A provider that counts wrongly cannot make a call cost more than its tokens.
        let wrong = TokensIn { all: 10, cached: 20, written: 20 };
        assert_eq!(
            price.cost_of(wrong, 0),
            price.cost_of(TokensIn { cached: 10, written: 0, ..wrong }, 0)
        );
        assert!(plain.with_cache(Some(-1.0), None).is_err());
    }

    #[test]
    fn no_amount_of_nonsense_is_money() {
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(Usd::from_dollars(bad).is_err(), "{bad}");
        }
    }
}
