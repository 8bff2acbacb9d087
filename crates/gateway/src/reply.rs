//! Writes answers as OpenAI's clients read them.

use baton_proto::v1::{ToolPiece, Usage};
use baton_registry::{PolicySettings, Settings};
use baton_workflow::ToolCall;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::time::{SystemTime, UNIX_EPOCH};

/// Dollars in a picodollar.
const DOLLARS_PER_PICO: f64 = 1e-12;

/// What stands the same in every chunk of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
}

impl Finish {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// What a whole answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// The words in which the agent refuses; empty unless it does.
    pub(crate) refusal: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: Finish,
}

/// What stands in a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delta<'a> {
    /// The first one.
    Role,
    Text(&'a str),
    /// Under both names that clients know it by.
    Reasoning(&'a str),
    Refusal(&'a str),
    Tool(&'a ToolPiece),
    /// The last one.
    Finish(Finish),
}

/// A report on a run or a call, already JSON.
pub(crate) type Report = Box<RawValue>;

/// A JSON document of another service; nothing where it is none.
pub(crate) fn report(json: &[u8]) -> Option<Report> {
    let text = std::str::from_utf8(json).ok()?;
    RawValue::from_string(text.to_owned()).ok()
}

impl Head {
    /// `request` is the run's id, or the call's.
    pub(crate) fn new(request: &str, model: &str, settings: &Settings) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("chatcmpl-{request}"),
            created: now.as_secs(),
            model: model.to_owned(),
            fingerprint: fingerprint(settings),
        }
    }

    /// A whole answer.
    pub(crate) fn completion(
        &self,
        answer: &Answer,
        usage: &Usage,
        report: Option<Report>,
    ) -> Document {
        let Answer { text, reasoning, refusal, tool_calls, finish } = answer;
        let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
        if !refusal.is_empty() {
            message["refusal"] = refusal.as_str().into();
        }
        // Nothing said is not the same as an empty text; and what was begun before a
        // refusal is not to be used.
        if !refusal.is_empty() || (text.is_empty() && !tool_calls.is_empty()) {
            message["content"] = Value::Null;
        }
        // An empty list makes clients wait for calls: there is a list only if there are any.
        if !tool_calls.is_empty() {
            message["tool_calls"] = json!(tool_calls);
        }
        if !reasoning.is_empty() {
            message["reasoning_content"] = reasoning.as_str().into();
            message["reasoning"] = reasoning.as_str().into();
        }
        let body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": finish.name(),
            }],
            "usage": usage_json(usage),
        });
        with_report(body, report)
    }

    /// A part of an answer. `null_usage` where a chunk of usage was asked for.
    pub(crate) fn chunk(&self, delta: Delta<'_>, null_usage: bool) -> Value {
        let (content, finish) = match delta {
            Delta::Role => (json!({ "role": "assistant", "content": "" }), None),
            Delta::Text(text) => (json!({ "content": text }), None),
            Delta::Reasoning(text) => {
                (json!({ "reasoning_content": text, "reasoning": text }), None)
            }
            Delta::Refusal(text) => (json!({ "refusal": text }), None),
            Delta::Tool(piece) => (json!({ "tool_calls": [tool_delta(piece)] }), None),
            Delta::Finish(finish) => (json!({}), Some(finish.name())),
        };
        let choice =
            json!({ "index": 0, "delta": content, "logprobs": null, "finish_reason": finish });
        let mut chunk = self.bare_chunk(vec![choice]);
        if null_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// The chunk of usage, which has no choices; only for clients that asked for it.
    pub(crate) fn usage_chunk(&self, usage: &Usage, report: Option<Report>) -> Document {
        let mut chunk = self.bare_chunk(Vec::new());
        chunk["usage"] = usage_json(usage);
        with_report(chunk, report)
    }

    fn bare_chunk(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        })
    }
}

/// A piece of a call: its first piece says what it is, the others add to its arguments.
fn tool_delta(piece: &ToolPiece) -> Value {
    let mut delta = json!({ "index": piece.index, "function": { "arguments": piece.arguments } });
    if let Some(id) = &piece.id {
        delta["id"] = id.as_str().into();
        delta["type"] = "function".into();
    }
    if let Some(name) = &piece.name {
        delta["function"]["name"] = name.as_str().into();
    }
    delta
}

/// A body with the report under a name that OpenAI does not use.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    #[serde(flatten)]
    body: Value,
    /// Written as it came: it was JSON before.
    #[serde(skip_serializing_if = "Option::is_none")]
    baton: Option<Report>,
}

pub(crate) fn with_report(body: Value, baton: Option<Report>) -> Document {
    Document { body, baton }
}

/// Usage with OpenAI's invariant: details are parts, the total is what is billed.
fn usage_json(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in.saturating_add(usage.tokens_out),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens_in,
            "orchestration_tokens": usage.orchestration_tokens_in,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens_out,
            "orchestration_tokens": usage.orchestration_tokens_out,
        },
        "calls": usage.calls,
        "cost": usage.usd_pico as f64 * DOLLARS_PER_PICO,
    })
}

/// Changes when policy or pool change.
fn fingerprint(settings: &Settings) -> String {
    let policy = match &settings.policy {
        PolicySettings::Model(card) => card.id.as_str(),
        PolicySettings::Strategy(strategy) => &strategy.name,
    };
    let hash = blake3::hash(format!("{policy}\n{}", settings.pool.version()).as_bytes());
    let hex = hash.to_hex();
    format!("fp_{}", &hex.as_str()[..12])
}

/// One event of a stream that OpenAI's clients read.
pub(crate) fn data(json: &impl Serialize) -> Bytes {
    // Values made here have string keys alone: writing them cannot fail.
    let text = serde_json::to_string(json).unwrap_or_default();
    format!("data: {text}\n\n").into()
}

/// A line of a stream that clients leave out.
pub(crate) fn comment(words: &str) -> Bytes {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!(": baton {line}\n\n").into()
}

/// The end of a stream that OpenAI's clients read.
pub(crate) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_adds_up() {
        let usage = Usage {
            tokens_in: 10,
            tokens_out: 5,
            calls: 2,
            usd_pico: 1_500_000_000_000,
            orchestration_tokens_in: 4,
            ..Usage::default()
        };
        let json = usage_json(&usage);
        assert_eq!(json["total_tokens"], 15);
        assert_eq!(json["prompt_tokens_details"]["orchestration_tokens"], 4);
        assert_eq!(json["cost"], 1.5);
    }

    #[test]
    fn a_comment_stays_one_line() {
        assert_eq!(comment("a\ndata: x"), ": baton a data: x\n\n");
    }
}
