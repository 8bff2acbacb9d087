//! A table of the configuration, read key by key; whatever does not fit is complained about.

use super::faults::Faults;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// Longest value that a complaint repeats, in characters.
const SHOWN_CHARS_MAX: usize = 60;
/// Edits between an unknown key and the known one that was probably meant.
const TYPO_EDITS_MAX: usize = 3;

/// The keys that a table may have.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

/// One table. Reading a key that is missing or wrong gives nothing; if it is wrong,
/// after a complaint. Missing keys are complained about once, when the table is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    path: &'a str,
    at: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Opens a table that is called `path` in messages and stands `at` this byte.
    pub(super) fn open(
        path: &'a str,
        at: usize,
        entries: &'a DeTable<'a>,
        shape: &Shape,
        faults: &mut Faults<'_>,
    ) -> Self {
        let table = Self { path, at, entries };
        for (key, _) in entries {
            let name: &str = key.get_ref();
            if !shape.required.contains(&name) && !shape.optional.contains(&name) {
                faults.at(key.span().start, unknown(path, name, shape));
            }
        }
        for key in shape.required {
            table.require(key, faults);
        }
        table
    }

    /// Complains if the key is missing.
    pub(super) fn require(&self, key: &str, faults: &mut Faults<'_>) {
        if self.get(key).is_none() {
            faults.at(self.at, format!("{} is missing: add it", self.name(key)));
        }
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the key's value stands, or the table if there is none.
    pub(super) fn at(&self, key: &str) -> usize {
        self.get(key).map_or(self.at, |value| value.span().start)
    }

    /// The key's full name.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Complains about the key's value.
    pub(super) fn wrong(&self, key: &str, expected: &str, faults: &mut Faults<'_>) {
        let found = self.get(key).map_or_else(|| "missing".to_owned(), |v| shown(v.get_ref()));
        faults.at(self.at(key), format!("{} is {found}: expected {expected}", self.name(key)));
    }

    /// A text with something in it.
    pub(super) fn text(&self, key: &str, faults: &mut Faults<'_>) -> Option<&'a str> {
        let text = self.get(key)?.get_ref().as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.wrong(key, "a text that is not empty", faults);
        }
        text
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, faults: &mut Faults<'_>) -> Option<bool> {
        let flag = self.get(key)?.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(key, "true or false", faults);
        }
        flag
    }

    /// A whole number in this range.
    pub(super) fn whole<N>(
        &self,
        key: &str,
        range: RangeInclusive<N>,
        faults: &mut Faults<'_>,
    ) -> Option<N>
    where
        N: TryFrom<u64> + PartialOrd + std::fmt::Display,
    {
        let number = whole(self.get(key)?.get_ref()).and_then(|number| N::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.wrong(key, &format!("a whole number from {least} to {most}"), faults);
        }
        number
    }

    /// A whole number of any size: the caller knows the range.
    pub(super) fn count(&self, key: &str, faults: &mut Faults<'_>) -> Option<u64> {
        let value = self.get(key)?.get_ref();
        let number = whole(value);
        if number.is_none() {
            self.wrong(key, "a whole number", faults);
        }
        number
    }

    /// A number, whole or not.
    pub(super) fn number(&self, key: &str, faults: &mut Faults<'_>) -> Option<f64> {
        let number = match self.get(key)?.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            value @ DeValue::Integer(_) => integer(value).map(|number| number as f64),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if number.is_none() {
            self.wrong(key, "a number", faults);
        }
        number
    }

    /// A table.
    pub(super) fn table(
        &self,
        key: &str,
        faults: &mut Faults<'_>,
    ) -> Option<(usize, &'a DeTable<'a>)> {
        let value = self.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(key, "a table", faults);
        }
        Some((value.span().start, table?))
    }

    /// The tables of a list, at least one. Nothing if the key is missing or no list.
    pub(super) fn tables(
        &self,
        key: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Vec<(usize, &'a DeTable<'a>)>> {
        let list = self.list(key, "a list of tables", faults)?;
        if list.is_empty() {
            self.wrong(key, "at least one table", faults);
        }
        let mut tables = Vec::new();
        for value in list {
            match value.get_ref().as_table() {
                Some(table) => tables.push((value.span().start, table)),
                None => self.wrong_entry(key, value, "a table", faults),
            }
        }
        Some(tables)
    }

    /// The texts of a list.
    pub(super) fn texts(&self, key: &str, faults: &mut Faults<'_>) -> Vec<&'a str> {
        let mut texts = Vec::new();
        for value in self.list(key, "a list of texts", faults).into_iter().flatten() {
            match value.get_ref().as_str().filter(|text| !text.trim().is_empty()) {
                Some(text) => texts.push(text),
                None => self.wrong_entry(key, value, "a text that is not empty", faults),
            }
        }
        texts
    }

    /// A table as JSON.
    pub(super) fn json(&self, key: &str, faults: &mut Faults<'_>) -> Option<Value> {
        let (_, table) = self.table(key, faults)?;
        let fields =
            table.iter().map(|(name, value)| Some((name.get_ref().to_string(), json(value)?)));
        let object = fields.collect::<Option<Map<_, _>>>().map(Value::Object);
        if object.is_none() {
            let name = self.name(key);
            let reason = format!(
                "{name} has a number that is not finite or not within 64 bits: expected one that is"
            );
            faults.at(self.at(key), reason);
        }
        object
    }

    fn wrong_entry(
        &self,
        key: &str,
        entry: &Spanned<DeValue<'_>>,
        expected: &str,
        faults: &mut Faults<'_>,
    ) {
        let (name, found) = (self.name(key), shown(entry.get_ref()));
        let reason = format!("{name} has the entry {found}: expected {expected}");
        faults.at(entry.span().start, reason);
    }

    fn list(&self, key: &str, expected: &str, faults: &mut Faults<'_>) -> Option<&'a DeArray<'a>> {
        let list = self.get(key)?.get_ref().as_array();
        if list.is_none() {
            self.wrong(key, expected, faults);
        }
        list
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }
}

fn unknown(path: &str, name: &str, shape: &Shape) -> String {
    let known = || shape.required.iter().chain(shape.optional);
    let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
    let place =
        format!("unknown key {:?}{place}", name.chars().take(SHOWN_CHARS_MAX).collect::<String>());
    match nearest(name, known().copied()) {
        Some(near) => format!("{place}: did you mean {near}?"),
        None => {
            let known: Vec<_> = known().copied().collect();
            format!("{place}: expected one of {}", known.join(", "))
        }
    }
}

/// The known name that was probably meant, if one is close.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A prefix is a name that was cut short, however long the rest.
    let edits = |near: &str| match near.starts_with(name) && name.len() > 2 {
        true => 1,
        false => strsim::damerau_levenshtein(name, near),
    };
    // Longer names would cost more to compare than an answer is worth.
    let short = name.len() <= SHOWN_CHARS_MAX;
    let near = known.filter(|_| short).map(|near| (edits(near), near)).min()?;
    let allowed = TYPO_EDITS_MAX.min(name.chars().count() / 2);
    (near.0 <= allowed).then_some(near.1)
}

/// A value as a person would name it. Never a whole text file by accident.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > SHOWN_CHARS_MAX => {
            format!("a text of {} bytes", text.len())
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => short(number.to_string()),
        DeValue::Float(number) => short(number.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn short(digits: String) -> String {
    if digits.len() > SHOWN_CHARS_MAX {
        format!("a number of {} digits", digits.len())
    } else {
        digits
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn json(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    Some(match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        number @ DeValue::Integer(_) => Value::from(integer(number)?),
        DeValue::Float(float) => serde_json::Number::from_f64(float.as_str().parse().ok()?)?.into(),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(values) => Value::Array(values.iter().map(json).collect::<Option<_>>()?),
        DeValue::Table(fields) => {
            let fields =
                fields.iter().map(|(name, value)| Some((name.get_ref().to_string(), json(value)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
    })
}
