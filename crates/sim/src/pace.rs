//! When the tokens of a reply come.

use crate::{draw::Draws, parameters::Model};
use std::time::Duration;
use tokio::time::Instant;

/// Tokens in one chunk when nothing is waited for.
const BURST_TOKENS: usize = 8;

/// When tokens come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) token: Duration,
}

impl Pace {
    /// The pace of one call: both waits are lognormal around the model's medians, so that
    /// most calls are near them and a few are many times slower.
    pub(crate) fn draw(model: &Model, time_scale: f64, draws: &mut Draws) -> Self {
        let scaled =
            |seconds: f64| Duration::try_from_secs_f64(seconds * time_scale).unwrap_or_default();
        let first = f64::from(model.first_token_ms) / 1000.0
            * (model.first_token_spread * draws.normal()).exp();
        let slower = (model.token_spread * draws.normal()).exp();
        let rate = f64::from(model.tokens_per_second);
        Self {
            first: scaled(first),
            token: if rate > 0.0 { scaled(slower / rate) } else { Duration::ZERO },
        }
    }

    /// When so many tokens have been written.
    pub(crate) fn at(self, started: Instant, tokens: u64) -> Instant {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        started + self.first + self.token.saturating_mul(tokens)
    }

    pub(crate) fn is_none(self) -> bool {
        self.first.is_zero() && self.token.is_zero()
    }

    /// Tokens in one chunk.
    pub(crate) fn burst(self) -> usize {
        if self.is_none() { BURST_TOKENS } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parameters;

    const CALLS: usize = 4_000;

    /// Quantiles of the wait for the first token, in milliseconds.
    fn waits(name: &str, time_scale: f64, quantiles: &[f64]) -> Vec<f64> {
        let parameters = Parameters::built_in();
        let model = parameters.model(name).unwrap();
        let mut waits: Vec<f64> = (0..CALLS)
            .map(|call| {
                let mut draws = Draws::of(&["pace", &call.to_string()]);
                Pace::draw(model, time_scale, &mut draws).first.as_secs_f64() * 1000.0
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        quantiles.iter().map(|q| waits[(q * CALLS as f64) as usize]).collect()
    }

    #[test]
    fn waits_have_the_median_that_is_written_and_a_long_tail() {
        let parameters = Parameters::built_in();
        for name in ["sim-swift", "sim-sage"] {
            let median = f64::from(parameters.model(name).unwrap().first_token_ms);
            let [half, late, latest] = waits(name, 1.0, &[0.5, 0.95, 0.999])[..] else {
                panic!("three were asked for")
            };
            assert!((0.95..1.05).contains(&(half / median)), "{name}: {half} of {median}");
            // A constant wait has 1 for both.
            assert!(late / half > 1.5, "{name}: {late} of {half}");
            assert!(latest / half > 2.5, "{name}: {latest} of {half}");
        }
        assert_eq!(waits("sim-sage", 0.0, &[0.999]), [0.0]);
        let (whole, tenth) = (waits("sim-sage", 1.0, &[0.5]), waits("sim-sage", 0.1, &[0.5]));
        assert!((whole[0] / tenth[0] - 10.0).abs() < 0.01);
        assert_eq!(waits("sim-null", 1.0, &[0.999]), [0.0]);
    }
}
