//! Schemas as they were written, beside the request as it was read.
//!
//! A model writes the properties of an object in the order in which its schema has them,
//! so that order must survive; the JSON values that the rest of the request is read from
//! do not keep it.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// The schemas of a request, where they are in their places.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Schemas<'a> {
    #[serde(borrow, default)]
    tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow, default)]
    response_format: Option<Format<'a>>,
}

#[derive(Debug, Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    json_schema: Option<Schema<'a>>,
}

#[derive(Debug, Deserialize)]
struct Schema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

impl<'a> Schemas<'a> {
    /// Of a body. Whatever does not fit is complained of where the body is read.
    pub(super) fn of(body: &'a [u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The parameters of a tool, which were read as `value`.
    pub(super) fn parameters(&self, place: usize, value: &Value) -> String {
        let tool = self.tools.as_ref().and_then(|tools| tools.get(place));
        text(tool.and_then(|tool| tool.function.as_ref()?.parameters), value)
    }

    /// The schema of the answer, which was read as `value`.
    pub(super) fn answer(&self, value: &Value) -> String {
        let schema = self.response_format.as_ref().and_then(|format| format.json_schema.as_ref());
        text(schema.and_then(|schema| schema.schema), value)
    }
}

fn text(raw: Option<&RawValue>, value: &Value) -> String {
    raw.map_or_else(|| value.to_string(), |raw| raw.get().to_owned())
}
