//! Numbers in texts, exactly: `1,234.50`, `-3`, `2e5`, `3/4`, `10 %`.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero, pow};

/// Digits of a number that is read. Longer ones are not numbers that anybody means.
const DIGITS_MAX: usize = 1_000;
/// The exponent of ten, either way.
const EXPONENT_MAX: i64 = 1_000;
/// Numbers looked at in one text.
const NUMBERS_MAX: usize = 64;

/// How far a number may be from the expected one: `absolute`, or `relative` times the
/// expected number's size, whichever is more. Both zero: equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tolerance {
    pub(crate) absolute: BigRational,
    pub(crate) relative: BigRational,
}

impl Tolerance {
    pub(crate) fn accepts(&self, expected: &BigRational, found: &BigRational) -> bool {
        let off = (expected - found).abs();
        off <= self.absolute || off <= &self.relative * expected.abs()
    }
}

/// What numbers a text has to offer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Exactly one, or one many times.
    One(BigRational),
    /// Several that differ.
    Several,
    /// The text says of a number what it is not.
    Denied,
    /// None.
    None,
}

/// The number that an answer is, or names beside words: `x = -3`, `about 7 apples`. Of
/// several, only one behind the last `=` counts.
pub(crate) fn offered(answer: &str) -> Offered {
    let denies = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        ["not", "never", "neither", "except"].contains(&word.as_str()) || word.ends_with("n't")
    };
    let one = |text: &str| {
        let mut numbers = numbers(text);
        numbers.dedup();
        match (numbers.pop(), numbers.is_empty()) {
            (None, _) => Offered::None,
            (Some(_), true) if text.split_whitespace().any(denies) => Offered::Denied,
            (Some(number), true) => Offered::One(number),
            (Some(_), false) => Offered::Several,
        }
    };
    match answer.rsplit_once(['=', '≈']) {
        Some((_, behind)) => match one(behind) {
            Offered::None => one(answer),
            found => found,
        },
        None => one(answer),
    }
}

/// The whole text as one number, if it is one.
pub(crate) fn number(text: &str) -> Option<BigRational> {
    let text = text.trim().trim_matches('$').trim().trim_end_matches('.').replace('−', "-");
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let (start, value) = reader.next_number()?;
    let unsigned = text[..start].trim_end().trim_start_matches('$');
    (["", "-"].contains(&unsigned) && reader.at == text.len()).then_some(value)
}

fn numbers(text: &str) -> Vec<BigRational> {
    let text = text.replace('−', "-").replace("\\%", "%").replace("{,}", ",");
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let found = std::iter::from_fn(|| reader.next_number());
    found.take(NUMBERS_MAX).map(|(_, value)| value).collect()
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn digits(&self, at: usize) -> usize {
        self.text
            .get(at..)
            .map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
    }

    /// Where its digits begin, and its value.
    fn next_number(&mut self) -> Option<(usize, BigRational)> {
        loop {
            let start = self.at;
            let point = self.byte(start)? == b'.' && self.digits(start + 1) > 0;
            if !point && self.digits(start) == 0 {
                self.at += 1;
                continue;
            }
            let before = start.checked_sub(1).and_then(|at| self.byte(at));
            let negative = self.is_negative();
            let value = self.unsigned();
            // `x1`, `H2O` and `1.2.3` are names.
            let in_name = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                || (self.byte(self.at) == Some(b'.') && self.digits(self.at + 1) > 0);
            match value {
                Some(value) if !in_name => {
                    return Some((start, if negative { -value } else { value }));
                }
                // The rest of the name, digit by digit.
                Some(_) | None => self.at = self.at.max(start + 1),
            }
            while in_name && self.byte(self.at).is_some_and(|b| b == b'.' || b.is_ascii_digit()) {
                self.at += 1;
            }
        }
    }

    /// Whether a minus before it is its sign, and no operator or hyphen.
    fn is_negative(&self) -> bool {
        let head = &self.text[..self.at];
        let head = head.strip_suffix(b"$").unwrap_or(head).trim_ascii_end();
        let Some(before) = head.strip_suffix(b"-") else { return false };
        let before = before.trim_ascii_end().last();
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b")]}%".contains(byte))
    }

    /// Digits, thousands, a point, an exponent, a denominator, a percent sign.
    fn unsigned(&mut self) -> Option<BigRational> {
        let mut digits = self.whole();
        let mut places = 0_i64;
        if self.byte(self.at) == Some(b'.') && self.digits(self.at + 1) > 0 {
            let end = self.at + 1 + self.digits(self.at + 1);
            digits.extend_from_slice(&self.text[self.at + 1..end]);
            places = (end - self.at - 1) as i64;
            self.at = end;
        }
        let exponent = self.exponent()?;
        let mut value = decimal(&digits, exponent.checked_sub(places)?)?;
        if self.byte(self.at) == Some(b'/') && self.digits(self.at + 1) > 0 && exponent == 0 {
            self.at += 1;
            let below = decimal(&self.whole(), 0)?;
            if below.is_zero() {
                return None;
            }
            value /= below;
        }
        let spaces = self.text[self.at..].iter().take_while(|byte| **byte == b' ').count();
        if self.byte(self.at + spaces) == Some(b'%') {
            self.at += spaces + 1;
            value /= BigRational::from_integer(100.into());
        }
        Some(value)
    }

    /// Digits, with commas before each three of them.
    fn whole(&mut self) -> Vec<u8> {
        let first = self.digits(self.at);
        let mut digits = self.text[self.at..self.at + first].to_vec();
        self.at += first;
        while (1..=3).contains(&first)
            && self.byte(self.at) == Some(b',')
            && self.digits(self.at + 1) == 3
        {
            digits.extend_from_slice(&self.text[self.at + 1..self.at + 4]);
            self.at += 4;
        }
        digits
    }

    fn exponent(&mut self) -> Option<i64> {
        if !matches!(self.byte(self.at), Some(b'e' | b'E')) {
            return Some(0);
        }
        let signed = usize::from(matches!(self.byte(self.at + 1), Some(b'-' | b'+')));
        let digits = self.digits(self.at + 1 + signed);
        if digits == 0 {
            return Some(0);
        }
        let end = self.at + 1 + signed + digits;
        let text = std::str::from_utf8(&self.text[self.at + 1..end]).ok()?;
        self.at = end;
        text.parse().ok()
    }
}

/// Digits times a power of ten.
pub(crate) fn decimal(digits: &[u8], exponent: i64) -> Option<BigRational> {
    if digits.len() > DIGITS_MAX || exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let digits = if digits.is_empty() { b"0" } else { digits };
    let whole = BigInt::parse_bytes(digits, 10)?;
    let power = pow(BigInt::from(10), usize::try_from(exponent.unsigned_abs()).ok()?);
    Some(if exponent < 0 {
        BigRational::new(whole, power)
    } else {
        BigRational::new(whole * power, BigInt::one())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let found = match offered(text) {
            Offered::One(number) => number.to_string(),
            Offered::Several => "several".into(),
            Offered::Denied => "denied".into(),
            Offered::None => "none".into(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        check("1,234.50", "2469/2");
        check("x = -3.", "-3");
        check("about 7 apples", "7");
        check("2e5", "200000");
        check("2.5E-1", "1/4");
        check("−0.5", "-1/2");
        check("$-1,234.0$", "-1234");
        check("10 %", "1/10");
        check("10\\%", "1/10");
        check("3/4", "3/4");
        check("6 * 7 = 42", "42");
        check(".5", "1/2");
        check("1{,}000", "1000");
        check("x1 = 5 and x2 = 5", "5");
        check("none", "none");
        check("not 42", "denied");
        check("it isn't 42", "denied");
        check("10-3", "several");
        check("3-5", "several");
        check("between 3 and 7 apples", "several");
        check("41 or 42", "several");
        check("1,23", "several");
        check("1.234,5", "several");
        check("1/0", "none");
        check("1e9999999999", "none");
        check("version 1.2.3", "none");
    }

    #[test]
    fn the_whole_text_is_a_number_or_none() {
        for (text, whole) in [
            ("42", true),
            (" 1,000. ", true),
            ("$-5$", true),
            ("50%", true),
            ("3 apples", false),
            ("about 3", false),
            ("", false),
        ] {
            assert_eq!(number(text).is_some(), whole, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[0-9.,eE/%$+=−-]*|.*") {
            offered(&text);
            number(&text);
        }

        #[test]
        fn every_integer_is_read(n in any::<i64>()) {
            prop_assert_eq!(number(&n.to_string()), Some(BigRational::from_integer(n.into())));
        }
    }
}
