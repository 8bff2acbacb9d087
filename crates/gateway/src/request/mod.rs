//! Reads a Chat Completions request into types that cannot be wrong.
//!
//! What is wrong is told all at once. Nothing behind this folder looks at JSON that a
//! client sent.

mod calls;
mod fields;
mod messages;
mod model;
mod options;
mod raw;
#[cfg(test)]
mod tests;
mod tools;
mod unhonoured;

pub(crate) use model::{ALIASES, Model, Offer, STRATEGY_PREFIX};

use crate::{error::ApiError, limits::STOPS_MAX};
use baton_codes::ApiCode;
use baton_proto::v1::{Conversation, RunOptions};
use fields::{Faults, Fields};
use raw::Schemas;
use serde_json::{Map, Value};

/// A request that can be carried out.
#[derive(Debug, PartialEq)]
pub(crate) struct ChatCall {
    /// What answers.
    pub(crate) model: Model,
    /// What it was called in the request.
    pub(crate) model_name: String,
    pub(crate) conversation: Conversation,
    /// For runs; of a directly called agent they are the default.
    pub(crate) options: RunOptions,
    pub(crate) stream: bool,
    /// Whether a stream ends with a chunk of usage.
    pub(crate) include_usage: bool,
    /// Whether progress is told as reasoning.
    pub(crate) progress: bool,
}

impl ChatCall {
    /// Whether the client can be told that a run awaits results of tools.
    pub(crate) fn awaits(&self) -> bool {
        !self.conversation.tools.is_empty()
    }
}

/// Reads a body.
pub(crate) fn read(body: &[u8], offer: &Offer<'_>) -> Result<ChatCall, ApiError> {
    let map = object(body)?;
    let mut faults = Faults::default();
    let call = call(map, &Schemas::of(body), offer, &mut faults);
    match (faults.into_error(), call) {
        (Some(error), _) => Err(error),
        (None, Some(call)) => Ok(call),
        // Unreachable by construction: no call without a fault.
        (None, None) => Err(ApiError::invalid("the request cannot be read")),
    }
}

/// Any JSON object, with the place of what is wrong.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if let Err(error) = std::str::from_utf8(body) {
        let place = error.valid_up_to();
        let message = format!("the body is not UTF-8: byte {place} (from 0) is wrong");
        return Err(ApiError { code: ApiCode::InvalidUtf8, ..ApiError::invalid(message) });
    }
    let wrong = |message| ApiError { code: ApiCode::InvalidJson, ..ApiError::invalid(message) };
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => {
            Err(wrong(format!("the body is {}: expected a JSON object", fields::shown(&other))))
        }
        Err(error) => Err(wrong(format!("the body is not JSON: {error}"))),
    }
}

fn call(
    map: Map<String, Value>,
    schemas: &Schemas<'_>,
    offer: &Offer<'_>,
    faults: &mut Faults,
) -> Option<ChatCall> {
    let mut fields = Fields::new(map, "", faults);
    let model_name = model_name(&mut fields);
    let model = model_name.as_deref().and_then(|name| {
        let model = offer.find(name);
        if model.is_none() {
            fields.faults.add(ApiCode::ModelNotFound, "model", offer.no_model(name));
        }
        model
    });
    let messages = messages::read(fields.take("messages"), fields.faults);
    let offered = tools::read(&mut fields, schemas);
    let mut conversation = Conversation {
        messages,
        temperature: fields.number("temperature", 0.0..=2.0),
        top_p: fields.number("top_p", 0.0..=1.0),
        stop: stop(&mut fields),
        seed: fields.read("seed", "a whole number", Value::as_i64),
        output_tokens_max: output_tokens_max(&mut fields),
        tools: offered.tools,
        tool_choice: offered.choice,
        parallel_tool_calls: offered.parallel,
        form: tools::form(&mut fields, schemas),
    };
    let stream = fields.flag("stream").unwrap_or(false);
    let include_usage = stream_options(&mut fields, stream);
    unhonoured::take(&mut fields);
    let extras = extras(&mut fields, offer, model.as_ref(), model_name.as_deref().unwrap_or(""));
    if let (Some(outer), Some(inner)) = (conversation.seed, extras.seed)
        && outer != inner
    {
        let message = format!("baton.seed is {inner}, but seed is {outer}: give one of them");
        fields.faults.invalid("baton.seed", message);
    }
    conversation.seed = conversation.seed.or(extras.seed);
    let mut options = extras.options;
    options.effort = options::effort(&mut fields);
    fields.refuse_rest(&[]);
    Some(ChatCall {
        model: model?,
        model_name: model_name?,
        conversation,
        options,
        stream,
        include_usage,
        progress: extras.progress,
    })
}

fn model_name(fields: &mut Fields<'_>) -> Option<String> {
    match fields.take("model") {
        Some(Value::String(name)) => Some(name),
        Some(other) => {
            fields.faults.wrong("model", &other, "a string");
            None
        }
        None => {
            fields.faults.invalid("model", "model is missing: expected a model's name");
            None
        }
    }
}

fn extras(
    fields: &mut Fields<'_>,
    offer: &Offer<'_>,
    model: Option<&Model>,
    model_name: &str,
) -> options::Extras {
    let Some(map) = fields.object("baton") else { return options::Extras::default() };
    if let Some(Model::Agent(agent)) = model
        && !map.is_empty()
    {
        let why = format!("agent {agent} is called directly, which is no run");
        fields.faults.unsupported("baton", &why);
        return options::Extras::default();
    }
    options::read(Fields::new(map, "baton.", fields.faults), offer, model_name)
}

fn stop(fields: &mut Fields<'_>) -> Vec<String> {
    let expected = format!("a string, or an array of at most {STOPS_MAX} strings, none empty");
    let read = fields.read("stop", expected, |value| {
        let texts: Vec<String> = match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>()?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        };
        (texts.len() <= STOPS_MAX && texts.iter().all(|text| !text.is_empty())).then_some(texts)
    });
    read.unwrap_or_default()
}

fn output_tokens_max(fields: &mut Fields<'_>) -> Option<u32> {
    let old: Option<u32> = fields.count("max_tokens", 1);
    let new: Option<u32> = fields.count("max_completion_tokens", 1);
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        let message =
            format!("max_tokens is {old}, but max_completion_tokens is {new}: give one of them");
        fields.faults.invalid("max_tokens", message);
    }
    new.or(old)
}

fn stream_options(fields: &mut Fields<'_>, stream: bool) -> bool {
    let Some(map) = fields.object("stream_options") else { return false };
    if !stream {
        let message = "stream_options without stream: set stream to true, or leave it out";
        fields.faults.invalid("stream_options", message);
    }
    let mut part = Fields::new(map, "stream_options.", fields.faults);
    let include_usage = part.flag("include_usage").unwrap_or(false);
    // Padding against eavesdroppers who count bytes; nothing is padded here.
    part.flag("include_obfuscation");
    part.refuse_rest(&["include_usage", "include_obfuscation"]);
    include_usage
}
