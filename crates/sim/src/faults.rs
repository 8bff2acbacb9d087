//! Faults that the simulated provider commits on purpose, as real ones do by accident.

use crate::draw::Draws;
use std::str::FromStr;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    RateLimited,
    ServerError,
    Stall,
    Cut,
    Garbage,
}

/// Share of calls that go wrong in each way, 0 to 1. They are drawn by the number of the
/// call and not by its content, so that a call made again can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// Refused with 429 and a `Retry-After`.
    pub rate_limited: f64,
    /// Refused with 503.
    pub server_error: f64,
    /// Half the answer comes, and then nothing.
    pub stall: f64,
    /// Half the answer comes, and the connection breaks.
    pub cut: f64,
    /// The answer is no completion.
    pub garbage: f64,
}

/// Why a text does not describe faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} describes no faults: expected a list such as 429=0.02,503=0.01,stall=0.01,cut=0.01,garbage=0.01 with shares that sum to at most 1"
)]
pub struct FaultsError(String);

/// Most characters of a wrong description that are quoted.
const QUOTED_CHARS_MAX: usize = 128;

impl Faults {
    fn shares(&self) -> [(Fault, f64); 5] {
        [
            (Fault::RateLimited, self.rate_limited),
            (Fault::ServerError, self.server_error),
            (Fault::Stall, self.stall),
            (Fault::Cut, self.cut),
            (Fault::Garbage, self.garbage),
        ]
    }

    /// What goes wrong with the `number`-th call, if anything does.
    pub(crate) fn draw(&self, seed: &str, number: u64) -> Option<Fault> {
        let mut left = Draws::of(&["fault", seed, &number.to_string()]).unit();
        let found = self.shares().into_iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        found.map(|(fault, _)| fault)
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let wrong = || FaultsError(text.chars().take(QUOTED_CHARS_MAX).collect());
        let mut faults = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, share) = entry.split_once('=').ok_or_else(wrong)?;
            let share: f64 = share.trim().parse().map_err(|_| wrong())?;
            let place = match name.trim() {
                "429" => &mut faults.rate_limited,
                "503" => &mut faults.server_error,
                "stall" => &mut faults.stall,
                "cut" => &mut faults.cut,
                "garbage" => &mut faults.garbage,
                _ => return Err(wrong()),
            };
            *place = share;
        }
        let shares = faults.shares().map(|(_, share)| share);
        let possible = shares.iter().all(|share| (0.0..=1.0).contains(share));
        // A sum of shares that people write as 1 may be a hair above it.
        if possible && shares.iter().sum::<f64>() <= 1.0 + 1e-9 { Ok(faults) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_they_are_asked_for() {
        let faults: Faults = "429=0.1, cut=0.2".parse().unwrap();
        let count =
            |wanted| (0..2_000).filter(|number| faults.draw("0", *number) == Some(wanted)).count();
        assert!((150..250).contains(&count(Fault::RateLimited)));
        assert!((330..470).contains(&count(Fault::Cut)));
        assert_eq!(count(Fault::Stall), 0);
        assert!((0..2_000).all(|number| Faults::default().draw("0", number).is_none()));
    }

    #[test]
    fn what_describes_no_faults_is_refused() {
        assert_eq!("".parse(), Ok(Faults::default()));
        for bad in ["429", "429=x", "fire=0.1", "cut=-0.1", "cut=0.6,stall=0.6", "cut=NaN"] {
            assert!(bad.parse::<Faults>().is_err(), "{bad}");
        }
    }
}
