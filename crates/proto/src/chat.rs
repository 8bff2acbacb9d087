//! Conversations, into the wire and out of it.

use crate::v1;
use baton_workflow::{Content, Conversation, ImageUrl, Message, Part, Role};

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
        Ok(Self {
            messages: messages.map(|(n, wire)| message(n, wire)).collect::<Result<_, _>>()?,
            temperature: wire.temperature,
            top_p: wire.top_p,
            stop: wire.stop,
            seed: wire.seed,
            output_tokens_max: wire.output_tokens_max,
        })
    }
}

fn message(place: usize, wire: v1::Message) -> Result<Message, WireError> {
    let role = match wire.role() {
        v1::message::Role::System => Role::System,
        v1::message::Role::User => Role::User,
        v1::message::Role::Assistant => Role::Assistant,
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
    Ok(Message { role, content })
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
        }
    }
}

fn wire_message(Message { role, content }: Message) -> v1::Message {
    let role = match role {
        Role::System => v1::message::Role::System,
        Role::User => v1::message::Role::User,
        Role::Assistant => v1::message::Role::Assistant,
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
    v1::Message { role: role.into(), parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_survives_the_wire() {
        let image = ImageUrl { url: "data:image/png;base64,AA==".into(), detail: None };
        let text = Part::Text { text: "what is this?".into() };
        let said = Conversation {
            messages: vec![
                Message::text(Role::System, "Be brief."),
                Message {
                    role: Role::User,
                    content: Content::Parts(vec![text, Part::ImageUrl { image_url: image }]),
                },
            ],
            temperature: Some(0.5),
            top_p: None,
            stop: vec!["END".into()],
            seed: Some(-1),
            output_tokens_max: Some(10),
        };
        assert_eq!(Conversation::try_from(v1::Conversation::from(said.clone())), Ok(said));
        let nobody =
            v1::Conversation { messages: vec![v1::Message::default()], ..Default::default() };
        assert_eq!(Conversation::try_from(nobody), Err(WireError::NoRole(0)));
    }
}
