//! Holds what a program answered against what was expected, outside of its sandbox.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

/// What counts as equal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparator {
    /// LiveCodeBench's rule. Texts: the same lines but for space around them, or lines of the
    /// same exact decimals (`7.0` is `7`; there is no tolerance). Values: Python's `==`, a tuple
    /// being a list.
    Lcb,
    /// Texts: the same but for a line end at the end. Values: the same JSON, where `1`, `1.0`
    /// and `true` are three.
    Exact,
    /// Numbers within either distance, everything else as `lcb`. What is not a number is near
    /// nothing.
    Float {
        /// Of the numbers.
        absolute: f64,
        /// Of the expected number's size.
        relative: f64,
    },
}

/// Where an answer first differs. It never quotes what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `line 3`, or a path into a value: `$[2].name`; empty for all of it.
    pub place: String,
    /// What is there, in short.
    pub got: String,
}

/// Layers of a value; each takes stack.
const DEPTH_MAX: usize = 128;
/// Characters of an answer that a difference shows.
const SHOWN_CHARS: usize = 200;

impl Difference {
    fn at(place: impl Into<String>, got: &str) -> Self {
        Self { place: place.into(), got: got.chars().take(SHOWN_CHARS).collect() }
    }

    /// Of an answer as a whole.
    pub(crate) fn whole(what: &str) -> Self {
        Self::at("", what)
    }
}

impl Comparator {
    /// Compares texts; nothing when they are equal.
    pub fn text(self, got: &str, expected: &str) -> Option<Difference> {
        let (got, expected) = match self {
            Self::Exact => (without_line_end(got), without_line_end(expected)),
            Self::Lcb | Self::Float { .. } => (got.trim(), expected.trim()),
        };
        let mut wanted = expected.split('\n');
        let mut lines = 0;
        for line in got.split('\n') {
            lines += 1;
            if !wanted.next().is_some_and(|wanted| self.line(line, wanted)) {
                return Some(Difference::at(format!("line {lines}"), line));
            }
        }
        wanted.next().map(|_| Difference::at(format!("line {}", lines + 1), "the end"))
    }

    fn line(self, got: &str, expected: &str) -> bool {
        if self == Self::Exact {
            return got == expected;
        }
        if got.trim() == expected.trim() {
            return true;
        }
        let (mut got, mut expected) = (got.split_whitespace(), expected.split_whitespace());
        loop {
            match (got.next(), expected.next()) {
                (None, None) => return true,
                (Some(got), Some(expected)) if self.token(got, expected) => {}
                _ => return false,
            }
        }
    }

    fn token(self, got: &str, expected: &str) -> bool {
        match self {
            Self::Exact => got == expected,
            Self::Lcb => match (Decimal::read(got), Decimal::read(expected)) {
                (Some(got), Some(expected)) => got == expected,
                _ => false,
            },
            Self::Float { absolute, relative } => {
                got == expected || near(got, expected, absolute, relative)
            }
        }
    }

    /// Compares JSON values; nothing when they are equal.
    ///
    /// # Errors
    /// When the expected one cannot be read.
    pub fn value(self, got: &str, expected: &str) -> Result<Option<Difference>, String> {
        let wanted = Value::read(expected)?;
        let Ok(value) = Value::read(got) else { return Ok(Some(Difference::whole(got))) };
        self.values(&value, &wanted, "$", 0)
    }

    fn values(
        self,
        got: &Value<'_>,
        expected: &Value<'_>,
        place: &str,
        depth: usize,
    ) -> Result<Option<Difference>, String> {
        let differs = |what: &str| Ok(Some(Difference::at(place, what)));
        match (got, expected) {
            (Value::List(got), Value::List(expected)) => {
                if got.len() != expected.len() {
                    return differs(&format!("a list of {}", got.len()));
                }
                for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
                    let place = format!("{place}[{at}]");
                    let difference = self.inner(got, expected, &place, depth + 1)?;
                    if difference.is_some() {
                        return Ok(difference);
                    }
                }
                Ok(None)
            }
            (Value::Map(got), Value::Map(expected)) => {
                if !got.keys().eq(expected.keys()) {
                    return differs(&format!("an object of {} other keys", got.len()));
                }
                for (key, expected) in expected {
                    let Some(got) = got.get(key) else { continue };
                    let difference =
                        self.inner(got, expected, &format!("{place}.{key}"), depth + 1)?;
                    if difference.is_some() {
                        return Ok(difference);
                    }
                }
                Ok(None)
            }
            (Value::Text(got), Value::Text(expected)) if got == expected => Ok(None),
            (Value::Null, Value::Null) => Ok(None),
            (Value::Bool(got), Value::Bool(expected)) if got == expected => Ok(None),
            (got, expected) if self.numbers(got, expected) => Ok(None),
            (got, _) => differs(&got.short()),
        }
    }

    fn inner(
        self,
        got: &RawValue,
        wanted: &RawValue,
        place: &str,
        depth: usize,
    ) -> Result<Option<Difference>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX} layers"));
        }
        let wanted = Value::read(wanted.get())?;
        let Ok(got) = Value::read(got.get()) else {
            return Ok(Some(Difference::at(place, got.get())));
        };
        self.values(&got, &wanted, place, depth)
    }

    fn numbers(self, got: &Value<'_>, expected: &Value<'_>) -> bool {
        let is_number = |value: &Value<'_>| matches!(value, Value::Number(_));
        if self == Self::Exact && !(is_number(got) && is_number(expected)) {
            return false;
        }
        let (Some(got), Some(expected)) = (got.number(), expected.number()) else { return false };
        let whole = |text: &str| !text.contains(['.', 'e', 'E']);
        if self == Self::Exact && whole(got) != whole(expected) {
            return false;
        }
        if let Self::Float { absolute, relative } = self
            && near(got, expected, absolute, relative)
        {
            return true;
        }
        // Two floats are equal when their doubles are, however they are written.
        if !whole(got) && !whole(expected) {
            return got.parse::<f64>().is_ok_and(|got| expected.parse() == Ok(got));
        }
        Decimal::read(got) == Decimal::read(expected)
    }
}

fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn near(got: &str, expected: &str, absolute: f64, relative: f64) -> bool {
    let (Ok(got), Ok(expected)) = (got.parse::<f64>(), expected.parse::<f64>()) else {
        return false;
    };
    // Not for what is not a number, whose distance is not less than any.
    got == expected || (got - expected).abs() <= absolute.max(relative * expected.abs())
}

/// What Python's `Decimal` reads, exactly: equal values are equal.
#[derive(Debug, PartialEq, Eq)]
enum Decimal {
    Finite { negative: bool, digits: String, exponent: i64 },
    Infinite { negative: bool },
}

impl Decimal {
    /// Nothing for what is no number, among them NaN, which equals nothing.
    fn read(text: &str) -> Option<Self> {
        let text = text.replace('_', "");
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, &text[..]),
        };
        if ["inf", "infinity"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(Self::Infinite { negative });
        }
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let all = [whole, part].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0').trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self::Finite { negative: false, digits: String::new(), exponent: 0 });
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(i64::try_from(part.len()).ok()?)?
            .checked_add(i64::try_from(zeros).ok()?)?;
        Some(Self::Finite { negative, digits: digits.into(), exponent })
    }
}

/// A JSON value of which one layer has been read. Numbers stay texts: none is rounded.
enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<&'a RawValue>),
    Map(BTreeMap<Cow<'a, str>, &'a RawValue>),
}

impl<'a> Value<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let text = text.trim();
        let read = match text.as_bytes().first() {
            Some(b'[') => serde_json::from_str(text).map(Self::List),
            Some(b'{') => serde_json::from_str(text).map(Self::Map),
            Some(b'"') => serde_json::from_str(text).map(Self::Text),
            Some(b't' | b'f') => serde_json::from_str(text).map(Self::Bool),
            Some(b'n') => serde_json::from_str::<()>(text).map(|()| Self::Null),
            _ => serde_json::from_str::<&RawValue>(text).map(|raw| Self::Number(raw.get())),
        };
        read.map_err(|error| error.to_string())
    }

    /// As Python sees it: truth is one.
    const fn number(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            Self::Bool(true) => Some("1"),
            Self::Bool(false) => Some("0"),
            Self::Null | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => (*text).into(),
            Self::Text(text) => format!("\"{text}\""),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(pairs) => format!("an object of {}", pairs.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: Comparator = Comparator::Float { absolute: 1e-6, relative: 1e-6 };

    fn text(comparator: Comparator, got: &str, expected: &str, place: &str) {
        let difference = comparator.text(got, expected);
        let place_found = difference.map(|difference| difference.place).unwrap_or_default();
        assert_eq!(place_found, place, "{comparator:?}: {got:?} for {expected:?}");
    }

    fn value(comparator: Comparator, got: &str, expected: &str, place: &str) {
        let difference = comparator.value(got, expected).unwrap();
        let place_found = difference.map(|difference| difference.place).unwrap_or_default();
        assert_eq!(place_found, place, "{comparator:?}: {got} for {expected}");
    }

    #[test]
    fn lcb_compares_lines_and_decimals() {
        let lcb = |got, expected, place| text(Comparator::Lcb, got, expected, place);
        lcb("  a b \n c\n\n", "a b\nc", "");
        lcb("7.0 1e1", "7 10", "");
        lcb("-0", "0.000", "");
        lcb("1_000 +.5 2.", "1000 0.5 2", "");
        lcb("Infinity", "inf", "");
        lcb("100000000000000000001", "100000000000000000002", "line 1");
        lcb("0.1", "0.10000000000000001", "line 1");
        lcb("NaN 1", "NaN 1.0", "line 1");
        lcb("NaN 1", "NaN 1", "");
        lcb("a  b", "a b", "line 1");
        lcb("1\n2\n3", "1\n2", "line 3");
        lcb("1", "1\n2", "line 2");
        lcb("", "1", "line 1");
        lcb("YES", "yes", "line 1");
        lcb("1e9999999999999999999999", "1", "line 1");
        lcb("1e9223372036854775807", "0.0", "line 1");
    }

    #[test]
    fn exact_forgives_a_line_end() {
        text(Comparator::Exact, "a b\n", "a b", "");
        text(Comparator::Exact, "a b \n", "a b", "line 1");
        text(Comparator::Exact, "7.0", "7", "line 1");
        text(Comparator::Exact, "a\n\n", "a", "line 2");
    }

    #[test]
    fn float_is_near_and_never_not_a_number() {
        text(NEAR, "0.3333333", "0.33333333", "");
        text(NEAR, "1000000.5", "1000000", "");
        text(NEAR, "0.34", "0.33", "line 1");
        text(NEAR, "nan", "0.33", "line 1");
        text(NEAR, "nan", "inf", "line 1");
        text(NEAR, "a 1.0000001", "a 1", "");
        value(NEAR, "[0.30000000000000004, {\"a\": 1}]", "[0.3, {\"a\": 1.0}]", "");
        value(NEAR, "[0.31]", "[0.3]", "$[0]");
    }

    #[test]
    fn values_are_compared_as_python_does_or_exactly() {
        let lcb = |got, expected, place| value(Comparator::Lcb, got, expected, place);
        lcb("[1, 2.0, true]", "[1.0, 2, 1]", "");
        lcb("1180591620717411303424", "1180591620717411303425", "$");
        lcb("0.30000000000000004", "0.300000000000000044", "");
        lcb("1e22", "10000000000000000000000", "");
        lcb("{\"a\": [1, \"x\"], \"b\": null}", "{\"b\": null, \"a\": [1, \"x\"]}", "");
        lcb("{\"a\": [1, \"y\"]}", "{\"a\": [1, \"x\"]}", "$.a[1]");
        lcb("{\"b\": 1}", "{\"a\": 1}", "$");
        lcb("[1]", "[1, 2]", "$");
        lcb("\"1\"", "1", "$");
        lcb("null", "0", "$");
        lcb("\"\\u00e9\"", "\"é\"", "");
        let exact = |got, expected, place| value(Comparator::Exact, got, expected, place);
        exact("[1, true]", "[1, true]", "");
        exact("1.0", "1", "$");
        exact("true", "1", "$");
        assert!(Comparator::Lcb.value("1", "not json").is_err());
    }

    #[test]
    fn depth_is_a_difference_and_no_crash() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(Comparator::Lcb.value(&deep, "[]").unwrap().is_some());
        assert!(Comparator::Lcb.value("[]", &deep).unwrap().is_some());
        assert!(Comparator::Lcb.value(&deep, &deep).is_err());
    }
}
