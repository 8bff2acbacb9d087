//! The most tokens that a call can read and write.

use baton_provider::{AnswerForm, ChatRequest, Content, Message, Part, Tool, ToolCall, Usage};

/// Tokens that a message's, a tool's or a schema's frame may take.
const FRAME_TOKENS: u64 = 16;
/// Tokens that one image can take at most with the usual tilings.
const IMAGE_TOKENS: u64 = 16_384;
/// Tokens that providers add to a request as soon as it has tools: the most that one of
/// them documents.
const TOOLS_TOKENS: u64 = 1_024;

/// No tokenizer in use makes more tokens than bytes.
pub(crate) fn tokens_in_max(request: &ChatRequest) -> u64 {
    let messages: u64 = request.messages.iter().map(message_tokens).sum();
    let tools: u64 = request.tools.offered.iter().map(tool_tokens).sum();
    let preamble = if request.tools.is_empty() { 0 } else { TOOLS_TOKENS };
    let form = match &request.form {
        None => 0,
        Some(AnswerForm::JsonObject) => FRAME_TOKENS * 8,
        Some(AnswerForm::JsonSchema { name, description, schema, .. }) => {
            let words = description.as_ref().map_or(0, String::len);
            (name.len() + words + schema.len()) as u64 + FRAME_TOKENS * 8
        }
    };
    messages + tools + preamble + form
}

fn message_tokens(message: &Message) -> u64 {
    let calls = message.tool_calls.iter().map(|ToolCall { id, name, arguments }| {
        (id.len() + name.len() + arguments.len()) as u64 + FRAME_TOKENS
    });
    let id = message.tool_call_id.as_ref().map_or(0, String::len) as u64;
    content_tokens(&message.content) + FRAME_TOKENS + calls.sum::<u64>() + id
}

fn content_tokens(content: &Content) -> u64 {
    match content {
        Content::Text(text) => text.len() as u64,
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text { text } => text.len() as u64,
                Part::ImageUrl { .. } => IMAGE_TOKENS,
            })
            .sum(),
    }
}

fn tool_tokens(tool: &Tool) -> u64 {
    let Tool { name, description, parameters, .. } = tool;
    let texts = [description.as_ref(), parameters.as_ref()];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    (name.len() + texts) as u64 + FRAME_TOKENS
}

/// What a reply of so many bytes used at most, when the provider does not say.
pub(crate) fn estimate(request: &ChatRequest, written_bytes: usize) -> Usage {
    let tokens_out = (written_bytes as u64).min(u64::from(request.output_tokens_max));
    Usage { tokens_in: tokens_in_max(request), tokens_out, ..Usage::default() }
}
