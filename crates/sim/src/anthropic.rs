//! The surface in Anthropic's form: Messages, whole or streamed.

use crate::{
    answering::{Answering, End, Event, Usage, Whole, broken_off},
    call::{Call, Service},
    reading::{Said, Speaker},
    refused::{Reason, Refused},
    simulator::{Ask, Stop},
    tooling::{Choice, Offer, ToolCall, Wants, then},
    words::REFUSAL,
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::{
        Html, IntoResponse, Response,
        sse::{Event as Line, Sse},
    },
    routing::post,
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{io, pin::Pin, sync::Arc};

/// Its name in the record of calls.
const SURFACE: &str = "anthropic";

/// What it serves.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/messages", post(message))
}

/// A request. Parameters that change nothing for a simulated model are ignored.
#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    max_tokens: u32,
    messages: Vec<Turn>,
    system: Option<Content>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stop_sequences: Vec<String>,
    #[serde(default)]
    tools: Vec<Tool>,
    tool_choice: Option<ToolChoice>,
    output_config: Option<OutputConfig>,
}

#[derive(Debug, Deserialize)]
struct Turn {
    role: Role,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

/// A part of what is said. What is neither text, nor a call, nor its result is not read:
/// simulated models are blind.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        name: String,
        input: Value,
    },
    ToolResult {
        content: Option<Box<Content>>,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Tool {
    name: String,
    input_schema: Value,
}

#[derive(Debug, Deserialize)]
struct ToolChoice {
    r#type: String,
    name: Option<String>,
    #[serde(default)]
    disable_parallel_tool_use: bool,
}

#[derive(Debug, Deserialize)]
struct OutputConfig {
    format: Option<Format>,
}

#[derive(Debug, Deserialize)]
struct Format {
    schema: Value,
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Blocks(blocks) => blocks.iter().map(Block::text).collect::<Vec<_>>().join("\n"),
        }
    }

    /// What the tools said, where this is their turn.
    fn results(&self) -> Vec<String> {
        let Self::Blocks(blocks) = self else { return Vec::new() };
        let results = blocks.iter().filter(|block| matches!(block, Block::ToolResult { .. }));
        results.map(Block::text).collect()
    }
}

impl Block {
    fn text(&self) -> String {
        match self {
            Self::Text { text } => text.clone(),
            Self::ToolUse { name, input } => format!("[called {name} with {input}]"),
            Self::ToolResult { content } => {
                content.as_ref().map(|content| content.text()).unwrap_or_default()
            }
            Self::Other => String::new(),
        }
    }
}

impl Request {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let request: Self = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body is no request for a message: {error}");
            Refused::new(Reason::Invalid, message)
        })?;
        if request.messages.first().is_none_or(|turn| turn.role != Role::User) {
            let message = "messages: the first message must be the user's";
            return Err(Refused::new(Reason::Invalid, message).of("messages"));
        }
        Ok(request)
    }

    fn wants(&self) -> Wants {
        let choice = self.tool_choice.as_ref();
        let offers = self
            .tools
            .iter()
            .map(|tool| Offer { name: tool.name.clone(), schema: tool.input_schema.clone() });
        Wants {
            tools: offers.collect(),
            choice: match choice.map(|choice| (choice.r#type.as_str(), &choice.name)) {
                Some(("none", _)) => Choice::Never,
                Some(("any", _)) => Choice::Required,
                Some(("tool", Some(name))) => Choice::Named(name.clone()),
                Some(_) | None => Choice::Auto,
            },
            one_call: choice.is_some_and(|choice| choice.disable_parallel_tool_use),
            form: self.output_config.as_ref().and_then(|c| Some(c.format.as_ref()?.schema.clone())),
            results: self.messages.last().map(|turn| turn.content.results()).unwrap_or_default(),
            then: self.then(),
        }
    }

    /// What the last prompt asks for, now that its first tools have answered.
    fn then(&self) -> Option<String> {
        let prompts = |turn: &Turn| turn.role == Role::User && turn.content.results().is_empty();
        let place = self.messages.iter().rposition(prompts)?;
        let answered = self.messages.len() - place - 1;
        then(&self.messages.get(place)?.content.text(), answered / 2)
    }

    fn call(self) -> Call {
        let wants = self.wants();
        let system = self.system.map(|said| Said { speaker: Speaker::System, text: said.text() });
        let turns = self.messages.into_iter().map(|turn| Said {
            speaker: match turn.role {
                Role::User => Speaker::User,
                Role::Assistant => Speaker::Assistant,
            },
            text: turn.content.text(),
        });
        let ask = Ask {
            model: self.model,
            messages: system.into_iter().chain(turns).collect(),
            output_tokens_max: Some(self.max_tokens),
            stop: self.stop_sequences,
            seed: None,
        };
        Call { surface: SURFACE, ask, stream: self.stream, wants }
    }
}

/// A refusal in Anthropic's form.
struct Refusal(Refused);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refused { reason, message, retry_after_ms, .. } = self.0;
        let kind = match reason {
            Reason::Invalid | Reason::Unsupported | Reason::TooLong => "invalid_request_error",
            Reason::Nowhere | Reason::UnknownModel => "not_found_error",
            Reason::RateLimited => "rate_limit_error",
            Reason::Internal => "api_error",
            Reason::Unavailable => "overloaded_error",
        };
        let error = json!({"type": kind, "message": message});
        let body = Json(json!({"type": "error", "error": error, "request_id": null}));
        match retry_after_ms {
            None => (reason.status(), body).into_response(),
            Some(ms) => {
                let headers = [("retry-after", ms.div_ceil(1000).to_string())];
                (reason.status(), headers, body).into_response()
            }
        }
    }
}

async fn message(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request = Request::read(&body)
        .map_err(|refused| Refusal(service.unread(SURFACE, &headers, refused)))?;
    let call = request.call();
    let hash = blake3::hash(&body).to_hex();
    let (id, model, streams) =
        (format!("msg_{}", &hash[..24]), call.ask.model.clone(), call.stream);
    let name = [("request-id", id.replace("msg", "req"))];
    let answering = service.take(call, &headers).await.map_err(Refusal)?;
    let response = if streams {
        Sse::new(streamed(id, model, answering)).into_response()
    } else {
        whole(&id, &model, answering).await
    };
    Ok((name, response).into_response())
}

async fn whole(id: &str, model: &str, answering: Answering) -> Response {
    match answering.whole().await {
        Whole::Done(text, end) => Json(body(id, model, &text, &end)).into_response(),
        Whole::Garbage(text) => Html(text).into_response(),
        Whole::Cut(text, end) => {
            let mut half = body(id, model, &text, &end).to_string().into_bytes();
            half.truncate(half.len() / 2);
            let parts = [Ok(Bytes::from(half)), Err(broken_off())];
            let body = Body::from_stream(stream::iter(parts));
            ([("content-type", "application/json")], body).into_response()
        }
    }
}

fn body(id: &str, model: &str, text: &str, end: &End) -> Value {
    let spoken = !text.is_empty() && end.stop != Stop::Refused;
    let said = spoken.then(|| json!({"type": "text", "text": text}));
    let content: Vec<_> = said.into_iter().chain(end.calls.iter().map(tool_use)).collect();
    let mut body = head(id, model);
    body["content"] = content.into();
    body["stop_reason"] = stop_reason(end).into();
    body["stop_details"] = stop_details(end);
    body["usage"] = end.usage.map_or_else(|| json!({}), |used| usage(&used));
    body
}

fn head(id: &str, model: &str) -> Value {
    json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    })
}

fn tool_use(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
}

fn stop_reason(end: &End) -> &'static str {
    match end.stop {
        Stop::Length => "max_tokens",
        Stop::Done if !end.calls.is_empty() => "tool_use",
        Stop::Done => "end_turn",
        // It knows no other word for what a filter stops.
        Stop::Refused | Stop::Filtered => "refusal",
    }
}

/// Why a model refuses, in words; a filter says none.
fn stop_details(end: &End) -> Value {
    match end.stop {
        Stop::Refused => json!({"type": "refusal", "category": null, "explanation": REFUSAL}),
        Stop::Done | Stop::Length | Stop::Filtered => Value::Null,
    }
}

/// Tokens read are told without those from the cache.
fn usage(used: &Usage) -> Value {
    json!({
        "input_tokens": used.tokens_in - used.cached_in,
        "cache_read_input_tokens": used.cached_in,
        "cache_creation_input_tokens": 0,
        "output_tokens": used.tokens_out,
    })
}

type Lines = Pin<Box<dyn Stream<Item = io::Result<Line>> + Send>>;

fn streamed(id: String, model: String, answering: Answering) -> Lines {
    let line = |event: Value| {
        let name = event["type"].as_str().unwrap_or_default().to_owned();
        Line::default().event(name).data(event.to_string())
    };
    Box::pin(async_stream::stream! {
        let refused = answering.told.stop == Stop::Refused;
        let mut events = std::pin::pin!(answering.events());
        let (mut begun, mut text_open) = (false, false);
        while let Some(event) = events.next().await {
            let garbage = matches!(event, Ok(Event::Garbage(_)));
            if !begun && !garbage {
                begun = true;
                yield Ok(line(json!({"type": "message_start", "message": head(&id, &model)})));
                yield Ok(line(json!({"type": "ping"})));
            }
            match event {
                Err(error) => yield Err(error),
                Ok(Event::Garbage(text)) => yield Ok(Line::default().data(text)),
                // The words of a refusal stand at the end.
                Ok(Event::Text(_)) if refused => {}
                Ok(Event::Text(text)) => {
                    if !text_open {
                        text_open = true;
                        yield Ok(line(block_start(0, json!({"type": "text", "text": ""}))));
                    }
                    yield Ok(line(block_delta(0, json!({"type": "text_delta", "text": text}))));
                }
                Ok(Event::End(end)) => {
                    if text_open {
                        yield Ok(line(block_stop(0)));
                    }
                    for event in calls(&end.calls, usize::from(text_open)) {
                        yield Ok(line(event));
                    }
                    yield Ok(line(json!({
                        "type": "message_delta",
                        "delta": {
                            "stop_reason": stop_reason(&end),
                            "stop_sequence": null,
                            "stop_details": stop_details(&end),
                        },
                        "usage": end.usage.map_or_else(|| json!({}), |used| usage(&used)),
                    })));
                    yield Ok(line(json!({"type": "message_stop"})));
                }
            }
        }
    })
}

/// Calls as blocks from this place on, their arguments in two pieces.
fn calls(calls: &[ToolCall], first: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for (place, call) in (first..).zip(calls) {
        let mut begun = tool_use(call);
        begun["input"] = json!({});
        events.push(block_start(place, begun));
        let arguments = call.arguments.to_string();
        let half = arguments.char_indices().nth(arguments.chars().count() / 2);
        let (begin, rest) = arguments.split_at(half.map_or(0, |(at, _)| at));
        for piece in [begin, rest] {
            let delta = json!({"type": "input_json_delta", "partial_json": piece});
            events.push(block_delta(place, delta));
        }
        events.push(block_stop(place));
    }
    events
}

fn block_start(index: usize, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn block_delta(index: usize, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn block_stop(index: usize) -> Value {
    json!({"type": "content_block_stop", "index": index})
}
