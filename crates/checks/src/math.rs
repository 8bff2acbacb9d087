//! Whether a mathematical answer is the expected one.
//!
//! Equality is exact for rational numbers, proven modulo primes for rational expressions,
//! and agreement to more than a hundred digits for the rest; "different" is proven in each
//! case. What cannot be told is said to be unclear, and a computer algebra system may
//! settle it. Work is limited, whatever the answer is.

mod ast;
mod compare;
mod lexer;
mod modular;
mod parse;
mod value;

use ast::Constant;
pub(crate) use ast::{Answer, Expr, Op};
use compare::Comparer;
pub use compare::Doubt;
pub(crate) use compare::Sameness;
pub(crate) use lexer::BYTES_MAX;
pub(crate) use parse::{Reading, parse};
use value::NoValue;

/// Why a text is no mathematics that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is longer than what is read")]
    TooLong,
    #[error("it is nested deeper than what is read")]
    TooDeep,
    #[error("it ends too early")]
    Ends,
    #[error("{0:?} has no place in it")]
    Character(char),
    #[error("{0:?} is not known")]
    Word(String),
    #[error("\\{0} is not known")]
    Command(String),
    #[error("it can be read in two ways: {0}")]
    Ambiguous(&'static str),
}

impl Unreadable {
    fn doubt(&self) -> Doubt {
        match self {
            Self::TooLong | Self::TooDeep => Doubt::TooMuch,
            Self::Ends | Self::Character(_) | Self::Word(_) => Doubt::Words,
            Self::Command(_) | Self::Ambiguous(_) => Doubt::Notation,
        }
    }
}

/// The work that a comparison may be; no input is slow.
#[derive(Debug)]
pub(crate) struct Fuel(u64);

impl Fuel {
    /// Some milliseconds.
    pub(crate) fn whole() -> Self {
        Self(30_000)
    }

    pub(crate) fn small() -> Self {
        Self(1_000)
    }

    pub(crate) fn burn(&mut self, units: u64) -> Result<(), NoValue> {
        self.0 = self.0.checked_sub(units).ok_or(NoValue::TooMuch)?;
        Ok(())
    }
}

/// Whether anything in a text says that it is mathematics. Without a sign, letters are
/// words: `no` is not `on`.
pub(crate) fn has_signs(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit() || "\\=+*/^<>|π√∞½".contains(c))
}

/// Whether two texts say the same in mathematics.
pub(crate) fn same(expected: &str, found: &str) -> Sameness {
    let sameness = same_as_written(expected, found);
    // `42!` may be a factorial, or glad to be 42.
    match found.strip_suffix('!') {
        Some(calm)
            if sameness == Sameness::Different
                && same_as_written(expected, calm) == Sameness::Same =>
        {
            Sameness::Unclear(Doubt::Notation)
        }
        Some(_) | None => sameness,
    }
}

fn same_as_written(expected: &str, found: &str) -> Sameness {
    if !has_signs(expected) && !has_signs(found) {
        return Sameness::Unclear(Doubt::Words);
    }
    let (expected, found) = match (parse(expected), parse(found)) {
        (Ok(expected), Ok(found)) => (expected, found),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Sameness::Unclear(error.doubt()),
        (Err(error), Err(other)) => {
            let doubts = [error.doubt(), other.doubt()];
            let words = doubts.contains(&Doubt::Words);
            return Sameness::Unclear(if words { Doubt::Words } else { doubts[0] });
        }
    };
    let Some(mut comparer) = Comparer::new() else { return Sameness::Unclear(Doubt::TooMuch) };
    // What is left out of one of them goes without saying.
    let unlike = !expected.units.is_empty() && !found.units.is_empty();
    if unlike && expected.units != found.units {
        return Sameness::Unclear(Doubt::Unit);
    }
    // Degrees against radians.
    let in_degrees = |reading: &Reading| reading.units.iter().any(|unit| unit == "degree");
    let sameness = comparer.answers(&expected.answer, &found.answer);
    let mixed =
        in_degrees(&expected) != in_degrees(&found) && (circular(&expected) || circular(&found));
    if mixed && sameness != Sameness::Same { Sameness::Unclear(Doubt::Unit) } else { sameness }
}

/// Whether an angle in it may be in radians.
fn circular(reading: &Reading) -> bool {
    matches!(&reading.answer, Answer::Scalar(expr) if expr.has(Constant::Pi))
}

/// A text that is the same for answers that are the same; nothing where that is not known.
pub(crate) fn key(text: &str) -> Option<String> {
    let Reading { answer, units } = parse(text).ok()?;
    let key = Comparer::new()?.key(&answer)?;
    Some(if units.is_empty() { key } else { format!("{key} {}", units.join(" ")) })
}

#[cfg(test)]
mod tests;
