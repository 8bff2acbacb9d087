//! The span of one call to a provider, in the terms of OpenTelemetry's GenAI conventions
//! (v1.41, <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>).
//!
//! Usage stands on these spans alone: whoever sums up a trace counts nothing twice.
//! Nothing of the trace is sent to the provider.

use crate::race::{Race, Whole};
use baton_provider::{ChatRequest, Content, Finish, Message, Part, ProviderError, Role};
use baton_telemetry::{Parent, Span, SpanKind, names};
use baton_workflow::{AnswerForm, ToolCall};
use serde_json::{Value, json};
use std::time::Duration;

/// A call begins; `number` counts the calls of its task, from 1.
pub(crate) fn open(race: &Race<'_>, request: &ChatRequest, number: u32) -> Span {
    let (parent, card) = (&race.caller.parent, race.call.card);
    if !parent.is_open() {
        return Span::default();
    }
    let mut span = parent.child(format!("chat {}", request.model), SpanKind::Client);
    span.set(names::OPERATION, names::CHAT);
    span.set(names::KIND, names::LLM);
    span.set(names::PROVIDER, card.provider.as_str());
    if let Some((host, port)) = race.provider.server() {
        span.set(names::SERVER_ADDRESS, host);
        span.set(names::SERVER_PORT, port);
    }
    span.set_some(names::CONVERSATION, parent.conversation());
    span.set(names::REQUEST_MODEL, request.model.as_str());
    span.set(names::REQUEST_STREAM, true);
    span.set(names::REQUEST_MAX_TOKENS, request.output_tokens_max);
    span.set_some(names::REQUEST_TEMPERATURE, request.temperature);
    span.set_some(names::REQUEST_TOP_P, request.top_p);
    span.set_some(names::REQUEST_SEED, request.seed);
    if !request.stop.is_empty() {
        span.set(names::REQUEST_STOP, request.stop.clone());
    }
    span.set(
        names::OUTPUT_TYPE,
        match &request.form {
            None => "text",
            Some(AnswerForm::JsonObject | AnswerForm::JsonSchema { .. }) => "json",
        },
    );
    span.set(names::AGENT, card.id.as_str());
    span.set(names::CALL, number);
    if parent.wants_contents() {
        let (system, said): (Vec<_>, Vec<_>) =
            request.messages.iter().partition(|message| message.role == Role::System);
        let system: Vec<_> = system.into_iter().flat_map(parts).collect();
        if !system.is_empty() {
            span.set(names::SYSTEM_INSTRUCTIONS, Value::from(system).to_string());
        }
        let said: Vec<_> = said.into_iter().map(message).collect();
        span.set(names::INPUT_MESSAGES, Value::from(said).to_string());
    }
    span
}

/// The first thing has come in.
pub(crate) fn first(span: &mut Span, after: Duration) {
    span.set(names::TIME_TO_FIRST_CHUNK, after.as_secs_f64());
}

/// The call failed.
pub(crate) fn fail(span: &mut Span, error: &ProviderError) {
    if span.is_open() {
        span.fail(error.code(), error.to_string());
    }
}

/// The call is over.
pub(crate) fn finish(mut span: Span, parent: &Parent, whole: &Whole) {
    if !span.is_open() {
        return;
    }
    let Whole { reply, known, named } = whole;
    let finish = match reply.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
        Finish::ToolCalls => "tool_call",
    };
    span.set(names::FINISH_REASONS, vec![finish.to_owned()]);
    for (name, said) in [(names::RESPONSE_MODEL, &named.model), (names::RESPONSE_ID, &named.id)] {
        if !said.is_empty() {
            span.set(name, said.as_str());
        }
    }
    let usage = reply.usage;
    span.set(names::INPUT_TOKENS, usage.tokens_in);
    span.set(names::OUTPUT_TOKENS, usage.tokens_out);
    if usage.cached_in > 0 {
        span.set(names::CACHE_READ_TOKENS, usage.cached_in);
    }
    if usage.cache_written_in > 0 {
        // The first is the new name, the second the one that readers know.
        span.set(names::CACHE_WRITE_TOKENS, usage.cache_written_in);
        span.set(names::CACHE_CREATION_TOKENS, usage.cache_written_in);
    }
    if usage.reasoning_out > 0 {
        span.set(names::REASONING_TOKENS, usage.reasoning_out);
    }
    if !known {
        span.set(names::ESTIMATED, true);
    }
    if parent.wants_contents() {
        let mut parts = Vec::new();
        for text in [&reply.text, &reply.refusal] {
            if !text.is_empty() {
                parts.push(json!({ "type": "text", "content": text }));
            }
        }
        parts.extend(reply.tool_calls.iter().map(tool_call));
        let said = json!([{ "role": "assistant", "parts": parts, "finish_reason": finish }]);
        span.set(names::OUTPUT_MESSAGES, said.to_string());
    }
    span.finish();
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let parts = match &message.tool_call_id {
        Some(id) => {
            let result = message.plain();
            vec![json!({ "type": "tool_call_response", "id": id, "response": result })]
        }
        None => parts(message),
    };
    json!({ "role": role, "parts": parts })
}

/// What a message says. Images are named, not copied.
fn parts(message: &Message) -> Vec<Value> {
    let text = |text: &str| json!({ "type": "text", "content": text });
    let mut parts: Vec<_> = match &message.content {
        Content::Text(said) if said.is_empty() => Vec::new(),
        Content::Text(said) => vec![text(said)],
        Content::Parts(parts) => {
            let part = |part: &Part| match part {
                Part::Text { text: said } => text(said),
                Part::ImageUrl { .. } => json!({ "type": "image" }),
            };
            parts.iter().map(part).collect()
        }
    };
    parts.extend(message.tool_calls.iter().map(tool_call));
    parts
}

fn tool_call(call: &ToolCall) -> Value {
    let ToolCall { id, name, arguments } = call;
    json!({ "type": "tool_call", "id": id, "name": name, "arguments": arguments })
}
