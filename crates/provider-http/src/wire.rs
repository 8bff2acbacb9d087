//! The JSON of Chat Completions: strict in what is sent, liberal in what is read.

use crate::MaxTokensField;
use baton_provider::{ChatRequest, Message, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is sent.
#[derive(Debug, Serialize)]
pub(crate) struct RequestBody<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

fn is_empty(texts: &&[String]) -> bool {
    texts.is_empty()
}

impl<'a> RequestBody<'a> {
    pub(crate) fn new(request: &'a ChatRequest, stream: bool, field: MaxTokensField) -> Self {
        let max = request.output_tokens_max;
        let (max_tokens, max_completion_tokens) = match field {
            MaxTokensField::MaxTokens => (Some(max), None),
            MaxTokensField::MaxCompletionTokens => (None, Some(max)),
        };
        Self {
            model: &request.model,
            messages: &request.messages,
            max_tokens,
            max_completion_tokens,
            temperature: request.temperature,
            top_p: request.top_p,
            stop: &request.stop,
            seed: request.seed,
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// A chunk of a stream, or a whole reply: they differ only in `delta` and `message`.
/// Every field may be missing, because some server leaves out each of them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) model: Option<String>,
    pub(crate) choices: Option<Vec<Choice>>,
    pub(crate) usage: Option<Value>,
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    #[serde(default)]
    pub(crate) index: u32,
    #[serde(alias = "message")]
    pub(crate) delta: Option<Delta>,
    pub(crate) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delta {
    content: Option<Value>,
    refusal: Option<String>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
}

impl Delta {
    /// Text of the answer; a refusal is one.
    pub(crate) fn text(&self) -> String {
        let mut text = self.content.as_ref().map(plain).unwrap_or_default();
        text.push_str(self.refusal.as_deref().unwrap_or_default());
        text
    }

    /// Text of the reasoning, under either of its names; some servers send both.
    pub(crate) fn reasoning(&self) -> String {
        let named = self.reasoning_content.as_ref().or(self.reasoning.as_ref());
        named.map(plain).unwrap_or_default()
    }
}

/// A string, or the text parts of a list.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// Usage, if both counts are there.
pub(crate) fn usage(value: &Value) -> Option<Usage> {
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    Some(Usage {
        tokens_in: count("/prompt_tokens")?,
        tokens_out: count("/completion_tokens")?,
        cached_in: count("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        reasoning_out: count("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_provider::Role;

    #[test]
    fn a_request_says_only_what_was_asked() {
        let mut request = ChatRequest {
            model: "m".into(),
            messages: vec![Message::text(Role::User, "hi")],
            output_tokens_max: 7,
            temperature: None,
            top_p: None,
            stop: vec![],
            seed: None,
            idempotency_key: Some("k".into()),
        };
        let json = |request: &ChatRequest, stream, field| {
            serde_json::to_string(&RequestBody::new(request, stream, field)).unwrap()
        };
        assert_eq!(
            json(&request, false, MaxTokensField::MaxTokens),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"stream":false}"#
        );
        request.stop = vec!["END".into()];
        request.seed = Some(-1);
        assert_eq!(
            json(&request, true, MaxTokensField::MaxCompletionTokens),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":7,"stop":["END"],"seed":-1,"stream":true,"stream_options":{"include_usage":true}}"#
        );
    }
}
