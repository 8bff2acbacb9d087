//! Number theory: divisors, digits, primes and remainders of a number, one after another.

use super::chain::Link;
use crate::{Check, draw::Draws, tasks::Difficulty};

/// Largest number on the way: its divisors are found by trying.
const NUMBER_MAX: i64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    DigitSum,
    DivisorCount,
    DivisorSum,
    LargestPrime,
    Gcd(i64),
    Lcm(i64),
    Totient,
    TimesPlus(i64, i64),
    PowerMod(u32, i64),
}

use Number::*;

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn divisors(n: i64) -> impl Iterator<Item = i64> {
    let small = (1..).take_while(move |d| d * d <= n).filter(move |d| n % d == 0);
    small.flat_map(move |d| if d * d == n { vec![d] } else { vec![d, n / d] })
}

/// The primes of a number above 1, each once.
fn primes(n: i64) -> Vec<i64> {
    let (mut rest, mut found, mut d) = (n, Vec::new(), 2);
    while d * d <= rest {
        if rest % d == 0 {
            found.push(d);
            while rest % d == 0 {
                rest /= d;
            }
        }
        d += 1;
    }
    if rest > 1 {
        found.push(rest);
    }
    found
}

/// `a` to the power `k`, modulo `m` below a million.
fn power_mod(a: i64, k: u32, m: i64) -> i64 {
    (0..k).fold(1 % m, |product, _| product * (a % m) % m)
}

/// What a phrase says around its numbers.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

fn small(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| (1..=9_999).contains(number))
}

impl Link for Number {
    type Value = i64;
    const STEPS: [usize; 5] = [1, 2, 3, 4, 6];
    const ANCHOR: &'static str = "Start with the number n = ";
    const ASKED: &'static str =
        "What is n at the end? End with a line `Answer: <number>`, the number as digits.";

    fn draw_value(difficulty: Difficulty, draws: &mut Draws) -> i64 {
        draws.between(12, 90 * i64::from(difficulty.level()))
    }

    fn draw(draws: &mut Draws) -> Self {
        match draws.below(11) {
            0 => DigitSum,
            1 => DivisorCount,
            2 => DivisorSum,
            3 => LargestPrime,
            4 => Gcd(draws.between(4, 36) * 6),
            5 => Lcm(draws.between(4, 30)),
            6 => Totient,
            7 | 8 => TimesPlus(draws.between(3, 19), draws.between(1, 40)),
            _ => PowerMod(draws.between(3, 6) as u32, draws.between(30, 300)),
        }
    }

    fn phrase(self) -> String {
        match self {
            DigitSum => "replace n by the sum of its decimal digits".into(),
            DivisorCount => "replace n by how many positive divisors it has".into(),
            DivisorSum => "replace n by the sum of all its positive divisors".into(),
            LargestPrime => "replace n by the largest prime number that divides it".into(),
            Gcd(by) => format!("replace n by the greatest common divisor of n and {by}"),
            Lcm(by) => format!("replace n by the least common multiple of n and {by}"),
            Totient => "replace n by how many of the numbers from 1 to n have no common divisor with n but 1".into(),
            TimesPlus(by, plus) => format!("replace n by {by} times n plus {plus}"),
            PowerMod(power, by) => {
                format!("replace n by the remainder of n to the power {power} after division by {by}")
            }
        }
    }

    fn read(phrase: &str) -> Option<Self> {
        let plain = [DigitSum, DivisorCount, DivisorSum, LargestPrime, Totient];
        let gcd = || between(phrase, "replace n by the greatest common divisor of n and ", "");
        let lcm = || between(phrase, "replace n by the least common multiple of n and ", "");
        let times = || {
            let (by, plus) = between(phrase, "replace n by ", "")?.split_once(" times n plus ")?;
            Some(TimesPlus(small(by)?, small(plus)?))
        };
        let power = || {
            let rest = between(phrase, "replace n by the remainder of n to the power ", "")?;
            let (power, by) = rest.split_once(" after division by ")?;
            let power = power.parse().ok().filter(|power| (1..=64).contains(power))?;
            Some(PowerMod(power, small(by)?))
        };
        plain
            .into_iter()
            .find(|kind| kind.phrase() == phrase)
            .or_else(|| gcd().and_then(small).map(Gcd))
            .or_else(|| lcm().and_then(small).map(Lcm))
            .or_else(times)
            .or_else(power)
    }

    fn apply(self, value: &i64) -> Option<i64> {
        let n = *value;
        if !(1..=NUMBER_MAX).contains(&n) {
            return None;
        }
        let after = match self {
            DigitSum => n.to_string().bytes().map(|digit| i64::from(digit - b'0')).sum(),
            DivisorCount => divisors(n).count() as i64,
            DivisorSum => divisors(n).sum(),
            // 1 has no prime: the step cannot be done.
            LargestPrime => primes(n).last().copied()?,
            Gcd(by) => gcd(n, by),
            Lcm(by) => n / gcd(n, by) * by,
            Totient => primes(n).into_iter().fold(n, |left, prime| left / prime * (prime - 1)),
            TimesPlus(by, plus) => by * n + plus,
            PowerMod(power, by) => power_mod(n, power, by),
        };
        (1..=NUMBER_MAX).contains(&after).then_some(after)
    }

    fn slipped(self, draws: &mut Draws) -> Option<Self> {
        let off = if draws.chance(0.5) { 1 } else { -1 };
        Some(match self {
            DigitSum => Gcd(9),
            DivisorCount => Totient,
            DivisorSum => TimesPlus(1, 1),
            LargestPrime => DivisorCount,
            Gcd(by) => Gcd(by / 2),
            Lcm(by) => TimesPlus(by, 0),
            Totient => TimesPlus(1, 0),
            TimesPlus(by, plus) if draws.chance(0.5) => TimesPlus(by + off, plus),
            TimesPlus(by, plus) => TimesPlus(by, plus + off),
            PowerMod(power, by) if draws.chance(0.5) => {
                PowerMod(power.saturating_add_signed(off as i32), by)
            }
            PowerMod(power, by) => PowerMod(power, by + off),
        })
    }

    fn show(value: &i64) -> String {
        value.to_string()
    }

    fn read_value(text: &str) -> Option<i64> {
        text.trim_end_matches('.').parse().ok()
    }

    fn spoilt(value: &i64) -> i64 {
        value + 1
    }

    fn check(value: i64) -> Check {
        Check::Number { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_theory_is_that_of_the_books() {
        for (step, n, after) in [
            (DigitSum, 9_472, Some(22)),
            (DivisorCount, 360, Some(24)),
            (DivisorCount, 49, Some(3)),
            (DivisorSum, 28, Some(56)),
            (LargestPrime, 1_001, Some(13)),
            (LargestPrime, 97, Some(97)),
            (LargestPrime, 1, None),
            (Gcd(84), 360, Some(12)),
            (Lcm(18), 24, Some(72)),
            (Totient, 36, Some(12)),
            (Totient, 97, Some(96)),
            (TimesPlus(7, 3), 10, Some(73)),
            (PowerMod(4, 13), 5, Some(1)),
            // 0 is no number that the other steps can go on from.
            (PowerMod(3, 30), 30, None),
            (TimesPlus(19, 1), NUMBER_MAX, None),
        ] {
            assert_eq!(step.apply(&n), after, "{step:?} {n}");
            assert_eq!(Number::read(&step.phrase()), Some(step));
        }
    }
}
