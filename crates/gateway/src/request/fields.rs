//! Takes values out of a JSON object, noting everything that is wrong with them.

use crate::{
    error::ApiError,
    limits::{FAULTS_TOLD_MAX, VALUE_CHARS_TOLD_MAX},
};
use axum::http::StatusCode;
use baton_codes::ApiCode;
use serde_json::{Map, Value};
use std::{fmt::Display, ops::RangeInclusive};

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    code: ApiCode,
    param: String,
    message: String,
}

/// All that is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, code: ApiCode, param: &str, message: impl Into<String>) {
        self.0.push(Fault { code, param: param.into(), message: message.into() });
    }

    pub(crate) fn invalid(&mut self, param: &str, message: impl Into<String>) {
        self.add(ApiCode::InvalidValue, param, message);
    }

    pub(crate) fn wrong(&mut self, param: &str, found: &Value, expected: impl Display) {
        self.invalid(param, format!("{param} is {}: expected {expected}", shown(found)));
    }

    pub(crate) fn unsupported(&mut self, param: &str, why: &str) {
        self.add(ApiCode::UnsupportedParameter, param, format!("{param} is not supported: {why}"));
    }

    /// One error for all of them; the first one gives code and param.
    pub(crate) fn into_error(self) -> Option<ApiError> {
        let first = self.0.first()?.clone();
        let told = self.0.iter().take(FAULTS_TOLD_MAX).map(|fault| fault.message.as_str());
        let mut message = told.collect::<Vec<_>>().join("; ");
        if let Some(more) = self.0.len().checked_sub(FAULTS_TOLD_MAX).filter(|more| *more > 0) {
            message.push_str(&format!("; and {more} more"));
        }
        // A model that does not exist is "not found" only where nothing else is wrong.
        let only_the_model = first.code == ApiCode::ModelNotFound && self.0.len() == 1;
        let status = if only_the_model { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        Some(ApiError::new(status, first.code, message).param(first.param))
    }
}

/// A value, short enough for a message; texts are shown by their length alone when long.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".into(),
        Value::String(text) if text.chars().count() > VALUE_CHARS_TOLD_MAX => {
            format!("a text of {} characters", text.chars().count())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// An object whose fields are taken one by one. `null` counts as absent.
pub(crate) struct Fields<'a> {
    map: Map<String, Value>,
    path: String,
    pub(crate) faults: &'a mut Faults,
}

impl<'a> Fields<'a> {
    /// `path` stands before the names in messages: empty, or such as `baton.`.
    pub(crate) fn new(map: Map<String, Value>, path: &str, faults: &'a mut Faults) -> Self {
        Self { map, path: path.into(), faults }
    }

    /// The field's full name.
    pub(crate) fn name(&self, field: &str) -> String {
        format!("{}{field}", self.path)
    }

    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field through `read`; a value that it refuses is noted as not `expected`.
    pub(crate) fn read<T>(
        &mut self,
        field: &str,
        expected: impl Display,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(field)?;
        let taken = read(&value);
        if taken.is_none() {
            self.faults.wrong(&self.name(field), &value, expected);
        }
        taken
    }

    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => {
                self.faults.wrong(&self.name(field), &other, "a string");
                None
            }
        }
    }

    pub(crate) fn flag(&mut self, field: &str) -> Option<bool> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(crate) fn number(&mut self, field: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.read(field, expected, |value| value.as_f64().filter(|n| range.contains(n)))
    }

    /// A whole number from `min` to what `T` holds.
    pub(crate) fn count<T: TryFrom<u64>>(&mut self, field: &str, min: u64) -> Option<T> {
        let expected = format!("a whole number of at least {min} (and of sensible size)");
        self.read(field, expected, |value| {
            value.as_u64().filter(|n| *n >= min).and_then(|n| T::try_from(n).ok())
        })
    }

    pub(crate) fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.take(field)? {
            Value::Object(map) => Some(map),
            other => {
                self.faults.wrong(&self.name(field), &other, "an object");
                None
            }
        }
    }

    pub(crate) fn texts(&mut self, field: &str, max: usize) -> Option<Vec<String>> {
        let expected = format!("an array of at most {max} strings");
        self.read(field, expected, |value| {
            let items = value.as_array().filter(|items| items.len() <= max)?;
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// Notes every field that nobody took.
    pub(crate) fn refuse_rest(self, known: &[&str]) {
        for field in self.map.keys() {
            let name = format!("{}{field}", self.path);
            let message = if known.is_empty() {
                format!("unknown parameter {name}")
            } else {
                format!("unknown parameter {name}: there are {}", known.join(", "))
            };
            self.faults.add(ApiCode::UnknownParameter, &name, message);
        }
    }
}
