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
}

impl Price {
    /// From dollars per million tokens, as providers print them.
    pub fn from_dollars(input: f64, output: f64) -> Result<Self, UsdError> {
        let micro = |d: f64| Usd::from_dollars(d).map(|usd| usd.pico() / 1_000_000);
        Ok(Self { input: micro(input)?, output: micro(output)? })
    }

    /// What so many tokens cost.
    pub fn cost(self, tokens_in: u64, tokens_out: u64) -> Usd {
        let input = self.input.saturating_mul(tokens_in);
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
    fn no_amount_of_nonsense_is_money() {
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(Usd::from_dollars(bad).is_err(), "{bad}");
        }
    }
}
