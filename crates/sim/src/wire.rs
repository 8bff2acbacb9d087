//! The JSON of Chat Completions, as a server reads and writes it.

use crate::{
    reading::{Said, Speaker},
    simulator::{Ask, Stop, Told},
};
use axum::{
    Json,
    http::StatusCode,
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
    #[serde(default)]
    tools: Vec<Value>,
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
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[serde(alias = "developer")]
    System,
    #[serde(alias = "tool", alias = "function")]
    User,
    Assistant,
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
    fn said(self) -> Said {
        let speaker = match self.role {
            Role::System => Speaker::System,
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
        };
        let text = match self.content {
            None => String::new(),
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
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(body).map_err(|error| {
            Refusal::bad(format!("the body is no request for a chat completion: {error}"), None)
        })?;
        if request.n.is_some_and(|n| n != 1) {
            return Err(Refusal::unsupported("n", "only n = 1 is supported"));
        }
        if !request.tools.is_empty() {
            return Err(Refusal::unsupported("tools", "simulated models call no tools"));
        }
        Ok(request)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
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
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) kind: &'static str,
    pub(crate) param: Option<&'static str>,
    pub(crate) code: Option<&'static str>,
    /// When to come again, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(crate) fn bad(message: String, param: Option<&'static str>) -> Self {
        let (status, kind) = (StatusCode::BAD_REQUEST, "invalid_request_error");
        Self { status, message, kind, param, code: None, retry_after_ms: None }
    }

    fn unsupported(param: &'static str, message: &str) -> Self {
        let refusal = Self::bad(format!("{param}: {message}"), Some(param));
        Self { code: Some("unsupported_parameter"), ..refusal }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, message, kind, param, code, retry_after_ms } = self;
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

pub(crate) fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::Done => "stop",
        Stop::Length => "length",
    }
}

pub(crate) fn usage(told: &Told) -> Value {
    json!({
        "prompt_tokens": told.tokens_in,
        "completion_tokens": told.tokens_out,
        "total_tokens": told.tokens_in + told.tokens_out,
    })
}

impl Header {
    /// A reply that comes whole.
    pub(crate) fn whole(&self, told: &Told) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": told.text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish(told.stop),
            }],
            "usage": usage(told),
        })
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
