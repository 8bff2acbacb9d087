//! Conversations, into the wire and out of it.

use crate::{tools, v1};
use baton_workflow::{Content, Conversation, ImageUrl, Message, Part, Role, Tools};

/// What came over the wire is not what its `.proto` promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message that nobody said.
    #[error("message {0} has no role")]
    NoRole(usize),
}

impl TryFrom<v1::Conversation> for Conversation {
    type Error = WireError;

    fn try_from(wire: v1::Conversation) -> Result<Self, WireError> {
        let messages = wire.messages.into_iter().enumerate();
        let tools = Tools {
            offered: wire.tools.into_iter().map(Into::into).collect(),
            choice: wire.tool_choice.and_then(tools::choice),
            parallel: wire.parallel_tool_calls,
        };
        Ok(Self {
            messages: messages.map(|(n, wire)| message(n, wire)).collect::<Result<_, _>>()?,
            temperature: wire.temperature,
            top_p: wire.top_p,
            stop: wire.stop,
            seed: wire.seed,
            output_tokens_max: wire.output_tokens_max,
            tools,
            form: wire.form.and_then(tools::form),
        })
    }
}

fn message(place: usize, wire: v1::Message) -> Result<Message, WireError> {
    let role = match wire.role() {
        v1::message::Role::System => Role::System,
        v1::message::Role::User => Role::User,
        v1::message::Role::Assistant => Role::Assistant,
        v1::message::Role::Tool => Role::Tool,
        v1::message::Role::Unspecified => return Err(WireError::NoRole(place)),
    };
    let parts = wire.parts.into_iter().filter_map(|part| part.part);
    let mut parts: Vec<_> = parts
        .map(|part| match part {
            v1::part::Part::Text(text) => Part::Text { text },
            v1::part::Part::Image(v1::Image { url, detail }) => {
                Part::ImageUrl { image_url: ImageUrl { url, detail } }
            }
        })
        .collect();
    let content = match parts.as_mut_slice() {
        [] => Content::Text(String::new()),
        [Part::Text { text }] => Content::Text(std::mem::take(text)),
        [_, ..] => Content::Parts(parts),
    };
    let tool_calls = wire.tool_calls.into_iter().map(Into::into).collect();
    Ok(Message { role, content, tool_calls, tool_call_id: wire.tool_call_id })
}

impl From<Conversation> for v1::Conversation {
    fn from(said: Conversation) -> Self {
        Self {
            messages: said.messages.into_iter().map(wire_message).collect(),
            temperature: said.temperature,
            top_p: said.top_p,
            stop: said.stop,
            seed: said.seed,
            output_tokens_max: said.output_tokens_max,
            tools: said.tools.offered.into_iter().map(Into::into).collect(),
            tool_choice: said.tools.choice.map(Into::into),
            parallel_tool_calls: said.tools.parallel,
            form: said.form.map(Into::into),
        }
    }
}

fn wire_message(message: Message) -> v1::Message {
    let Message { role, content, tool_calls, tool_call_id } = message;
    let role = match role {
        Role::System => v1::message::Role::System,
        Role::User => v1::message::Role::User,
        Role::Assistant => v1::message::Role::Assistant,
        Role::Tool => v1::message::Role::Tool,
    };
    let parts = match content {
        Content::Text(text) => vec![v1::part::Part::Text(text)],
        Content::Parts(parts) => parts
            .into_iter()
            .map(|part| match part {
                Part::Text { text } => v1::part::Part::Text(text),
                Part::ImageUrl { image_url: ImageUrl { url, detail } } => {
                    v1::part::Part::Image(v1::Image { url, detail })
                }
            })
            .collect(),
    };
    let parts = parts.into_iter().map(|part| v1::Part { part: Some(part) }).collect();
    let tool_calls = tool_calls.into_iter().map(Into::into).collect();
    v1::Message { role: role.into(), parts, tool_calls, tool_call_id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::{AnswerForm, Tool, ToolCall, ToolChoice};

    #[test]
    fn a_conversation_survives_the_wire() {
        let image = ImageUrl { url: "data:image/png;base64,AA==".into(), detail: None };
        let text = Part::Text { text: "what is this?".into() };
        let (id, name, arguments) = ("c1".into(), "weather".into(), "{}".into());
        let call = ToolCall { id, name, arguments };
        let (name, description) = ("weather".into(), Some("tells it".into()));
        let parameters = Some("{}".into());
        let tool = Tool { name, description, parameters, strict: Some(true) };
        let (name, schema) = ("n".into(), "{}".into());
        let form = AnswerForm::JsonSchema { name, description: None, schema, strict: None };
        let said = Conversation {
            messages: vec![
                Message::text(Role::System, "Be brief."),
                Message::new(
                    Role::User,
                    Content::Parts(vec![text, Part::ImageUrl { image_url: image }]),
                ),
                Message { tool_calls: vec![call], ..Message::text(Role::Assistant, "") },
                Message { tool_call_id: Some("c1".into()), ..Message::text(Role::Tool, "18") },
            ],
            temperature: Some(0.5),
            top_p: None,
            stop: vec!["END".into()],
            seed: Some(-1),
            output_tokens_max: Some(10),
            tools: Tools {
                offered: vec![tool],
                choice: Some(ToolChoice::Named("weather".into())),
                parallel: Some(false),
            },
            form: Some(form),
        };
        assert_eq!(Conversation::try_from(v1::Conversation::from(said.clone())), Ok(said));
        let nobody =
            v1::Conversation { messages: vec![v1::Message::default()], ..Default::default() };
        assert_eq!(Conversation::try_from(nobody), Err(WireError::NoRole(0)));
    }
}
