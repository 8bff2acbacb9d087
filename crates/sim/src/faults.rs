//! Faults that the simulated provider commits on purpose, as real ones do by accident.

use crate::draw::Draws;
use std::{fmt, str::FromStr};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Refused with 429 and a `Retry-After`.
    RateLimited,
    /// Refused with 500.
    Internal,
    /// Refused with 503.
    Unavailable,
    /// The call is taken, and nothing ever comes.
    StallFirst,
    /// Half the answer comes, and then nothing.
    Stall,
    /// Half the answer comes, and the connection breaks.
    Cut,
    /// A reply without a text.
    Empty,
    /// The answer is no completion.
    Garbage,
    /// The text is right, and the tokens counted for it are not.
    WrongUsage,
    /// The model refuses to answer.
    Refusal,
    /// Half the answer comes, and a filter stops it.
    Filter,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 11] = [
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::StallFirst,
        Self::Stall,
        Self::Cut,
        Self::Empty,
        Self::Garbage,
        Self::WrongUsage,
        Self::Refusal,
        Self::Filter,
    ];

    /// Its name, as on the command line and in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "429",
            Self::Internal => "500",
            Self::Unavailable => "503",
            Self::StallFirst => "stall-first",
            Self::Stall => "stall",
            Self::Cut => "cut",
            Self::Empty => "empty",
            Self::Garbage => "garbage",
            Self::WrongUsage => "usage",
            Self::Refusal => "refusal",
            Self::Filter => "filter",
        }
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// Share of calls that go wrong in each way, 0 to 1, in sum at most 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults(Vec<(Fault, f64)>);

/// Why a text does not describe faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} describes no faults: {reason}; expected a list such as 429=0.02,cut=0.01 with shares that sum to at most 1, of {}",
    names()
)]
pub struct FaultsError {
    text: String,
    reason: String,
}

/// Most characters of a wrong description that are quoted.
const QUOTED_CHARS_MAX: usize = 128;

/// The names of all faults, for messages.
pub(crate) fn names() -> String {
    Fault::ALL.map(Fault::name).join(", ")
}

impl Faults {
    /// What goes wrong when these lots are drawn, if anything does.
    pub(crate) fn draw(&self, mut draws: Draws) -> Option<Fault> {
        let mut left = draws.unit();
        let found = self.0.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        found.map(|(fault, _)| *fault)
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut faults: Vec<(Fault, f64)> = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, share) =
                entry.split_once('=').ok_or_else(|| format!("{entry:?} has no share"))?;
            let fault = Fault::named(name.trim()).ok_or_else(|| format!("no fault is {name:?}"))?;
            if faults.iter().any(|(known, _)| *known == fault) {
                return Err(format!("{} is there twice", fault.name()));
            }
            let number: Option<f64> = share.trim().parse().ok();
            let share = number.filter(|share| (0.0..=1.0).contains(share));
            faults
                .push((fault, share.ok_or_else(|| format!("{entry:?} has no share from 0 to 1"))?));
        }
        let sum: f64 = faults.iter().map(|(_, share)| share).sum();
        // A sum of shares that people write as 1 may be a hair above it.
        if sum > 1.0 + 1e-9 {
            return Err(format!("the shares sum to {sum}"));
        }
        Ok(Self(faults))
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let quoted = || text.chars().take(QUOTED_CHARS_MAX).collect();
        Self::read(text).map_err(|reason| FaultsError { text: quoted(), reason })
    }
}

/// As it is read, such as `429=0.02,cut=0.01`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> =
            self.0.iter().map(|(fault, share)| format!("{}={share}", fault.name())).collect();
        f.write_str(&entries.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_they_are_asked_for() {
        let faults: Faults = "429=0.1, cut=0.2".parse().unwrap();
        assert_eq!(faults.to_string(), "429=0.1,cut=0.2");
        let draw = |number: u32| faults.draw(Draws::of(&["test", &number.to_string()]));
        let count = |wanted| (0..2_000).filter(|number| draw(*number) == Some(wanted)).count();
        assert!((150..250).contains(&count(Fault::RateLimited)));
        assert!((330..470).contains(&count(Fault::Cut)));
        assert_eq!(count(Fault::Stall), 0);
        assert_eq!(Faults::default().draw(Draws::of(&["test"])), None);
    }

    #[test]
    fn what_describes_no_faults_is_refused() {
        assert_eq!("".parse(), Ok(Faults::default()));
        for bad in
            ["429", "429=x", "fire=0.1", "cut=-0.1", "cut=0.6,stall=0.6", "cut=NaN", "cut=0,cut=0"]
        {
            assert!(bad.parse::<Faults>().is_err(), "{bad}");
        }
        let error = "fire=0.1".parse::<Faults>().unwrap_err().to_string();
        assert!(error.contains("no fault is \"fire\"") && error.contains("stall-first"), "{error}");
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }
}
