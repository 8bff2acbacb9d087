//! The JSON of Chat Completions, as a server reads and writes it.

use crate::{
    answering::{End, Usage},
    reading::{Said, Speaker},
    refused::{Reason, Refused},
    simulator::{Ask, Stop},
    tooling::{Wants, then},
    wire_tools::{Called, Wanted, called},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// A request. Parameters that change nothing for a simulated model are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    pub(crate) stream: bool,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    stop: Option<OneOrMany>,
    seed: Option<i64>,
    n: Option<u32>,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Message {
    role: Role,
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Vec<Called>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[serde(alias = "developer")]
    System,
    User,
    Assistant,
    #[serde(alias = "function")]
    Tool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part that is no text is not read: simulated models are blind.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

impl Message {
    fn words(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn said(self) -> Said {
        let speaker = match self.role {
            Role::System => Speaker::System,
            Role::User | Role::Tool => Speaker::User,
            Role::Assistant => Speaker::Assistant,
        };
        let calls: String = self.tool_calls.iter().map(Called::words).collect();
        let text = match self.content {
            None => calls,
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                parts.into_iter().map(|part| part.text).collect::<Vec<_>>().join("\n")
            }
        };
        Said { speaker, text }
    }
}

impl Request {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refused> {
        let request: Self = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body is no request for a chat completion: {error}");
            Refused::new(Reason::Invalid, message)
        })?;
        let unsupported = |param: &'static str, message: &str| {
            Refused::new(Reason::Unsupported, format!("{param}: {message}")).of(param)
        };
        if request.n.is_some_and(|n| n != 1) {
            return Err(unsupported("n", "only n = 1 is supported"));
        }
        Ok(request)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    pub(crate) fn wants(&self) -> Wants {
        // The user may have said something after the tools.
        let last = self.messages.iter().rev().take_while(|said| said.role != Role::Assistant);
        let results = last.filter(|said| said.role == Role::Tool);
        let mut results: Vec<_> = results.map(Message::words).collect();
        results.reverse();
        let prompt = self.messages.iter().rposition(|said| said.role == Role::User);
        let (before, after) = self.messages.split_at(prompt.map_or(0, |place| place + 1));
        let answered = after.iter().filter(|said| !said.tool_calls.is_empty()).count();
        let prompt = before.last().map(Message::words).unwrap_or_default();
        let then = then(&prompt, answered).filter(|_| !results.is_empty());
        self.wanted.wants(results, then)
    }

    pub(crate) fn ask(self) -> Ask {
        let stop = match self.stop {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stop)) => stop,
        };
        Ask {
            model: self.model,
            messages: self.messages.into_iter().map(Message::said).collect(),
            output_tokens_max: self.max_completion_tokens.or(self.max_tokens),
            stop,
            seed: self.seed,
        }
    }
}

/// A refusal in OpenAI's form.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Refused);

/// OpenAI's type and code for a reason.
fn kind(reason: Reason) -> (&'static str, Option<&'static str>) {
    const BAD: &str = "invalid_request_error";
    match reason {
        Reason::Invalid | Reason::Nowhere => (BAD, None),
        Reason::Unsupported => (BAD, Some("unsupported_parameter")),
        Reason::UnknownModel => (BAD, Some("model_not_found")),
        Reason::TooLong => (BAD, Some("context_length_exceeded")),
        Reason::RateLimited => ("rate_limit_exceeded", Some("rate_limit_exceeded")),
        Reason::Internal | Reason::Unavailable => ("server_error", None),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refused { reason, message, param, retry_after_ms } = self.0;
        let (status, (kind, code)) = (reason.status(), kind(reason));
        let error = json!({"message": message, "type": kind, "param": param, "code": code});
        let body = Json(json!({"error": error}));
        match retry_after_ms {
            None => (status, body).into_response(),
            Some(ms) => {
                let headers = [
                    ("retry-after", ms.div_ceil(1000).to_string()),
                    ("retry-after-ms", ms.to_string()),
                ];
                (status, headers, body).into_response()
            }
        }
    }
}

/// What all parts of one reply have in common.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

pub(crate) fn finish(end: &End) -> &'static str {
    match end.stop {
        Stop::Done if !end.calls.is_empty() => "tool_calls",
        Stop::Done | Stop::Refused => "stop",
        Stop::Length => "length",
        Stop::Filtered => "content_filter",
    }
}

pub(crate) fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in.saturating_add(usage.tokens_out),
        "prompt_tokens_details": {"cached_tokens": usage.cached_in},
    })
}

impl Header {
    /// A reply that comes whole.
    pub(crate) fn whole(&self, text: &str, end: End) -> Value {
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if end.stop == Stop::Refused {
            (message["content"], message["refusal"]) = (Value::Null, text.into());
        }
        if !end.calls.is_empty() {
            message["content"] = Value::Null;
            message["tool_calls"] = end.calls.iter().map(called).collect();
        }
        let mut reply = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": finish(&end),
            }],
        });
        if let Some(found) = end.usage {
            reply["usage"] = usage(&found);
        }
        reply
    }

    /// A chunk of a stream. `usage` is a field only where it was asked for.
    pub(crate) fn chunk(&self, choices: Value, usage: Option<Value>) -> Value {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        chunk
    }
}

/// The one choice of a chunk.
pub(crate) fn choice(delta: Value, finish_reason: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}])
}
