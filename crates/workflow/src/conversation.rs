//! What a user and an assistant said to each other, in the terms of OpenAI's Chat
//! Completions.

use crate::{Abilities, AnswerForm, ToolCall, Tools};
use serde::{Deserialize, Serialize};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Standing instructions; `developer` is its newer name.
    #[serde(alias = "developer")]
    System,
    /// The user.
    User,
    /// A model.
    Assistant,
    /// A tool that a model asked for.
    Tool,
}

/// What is said: plain text, or parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and images, in order.
    Parts(Vec<Part>),
}

/// A part of what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
    },
}

/// Where an image is: an `https:` or a `data:` URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUrl {
    /// The URL.
    pub url: String,
    /// `auto`, `low` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What; empty where a model only asks for tools.
    pub content: Content,
    /// The tools that a model asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which of those calls this is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::new(role, Content::Text(text.into()))
    }

    /// A message that has nothing to do with tools.
    pub fn new(role: Role, content: Content) -> Self {
        Self { role, content, tool_calls: Vec::new(), tool_call_id: None }
    }

    /// Its text, images left out.
    pub fn plain(&self) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => {
                let texts = parts.iter().filter_map(|part| match part {
                    Part::Text { text } => Some(text.as_str()),
                    Part::ImageUrl { .. } => None,
                });
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Whether an image is part of it.
    pub fn has_image(&self) -> bool {
        match &self.content {
            Content::Text(_) => false,
            Content::Parts(parts) => parts.iter().any(|p| matches!(p, Part::ImageUrl { .. })),
        }
    }
}

/// A conversation to be continued, as a run's request stores it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// What was said.
    pub messages: Vec<Message>,
    /// Randomness, 0 to 2; the provider's default where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// For providers that can repeat an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Most tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u32>,
    /// What the answer's agent may ask to be called.
    #[serde(default, skip_serializing_if = "Tools::is_empty")]
    pub tools: Tools,
    /// The form that the answer must have; text where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<AnswerForm>,
}

impl Conversation {
    /// What the agent that answers must be able to do.
    pub fn needs(&self) -> Abilities {
        let tools = !self.tools.is_empty();
        Abilities { tools, structured_output: self.form.is_some() }
    }

    /// What is asked now: from the last message of the user's on, in words.
    pub fn question(&self) -> String {
        let users = self.messages.iter().rposition(|message| message.role == Role::User);
        let now = self.messages.get(users.unwrap_or(0)..).unwrap_or_default();
        let words = in_words(now);
        words.iter().map(Message::plain).collect::<Vec<_>>().join("\n")
    }
}

/// The same messages with calls of tools and their results told in words: for whoever is
/// offered no tools, since providers and models then know no such messages. Results that
/// follow each other become one message, because some models refuse two in a row.
pub fn in_words(messages: &[Message]) -> Vec<Message> {
    let mut told: Vec<Message> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for message in messages {
        let result = message.role == Role::Tool;
        if !result && message.tool_calls.is_empty() {
            told.push(message.clone());
            after_result = false;
            continue;
        }
        let mut words: Vec<_> =
            vec![message.plain()].into_iter().filter(|t| !t.is_empty()).collect();
        words.extend(message.tool_calls.iter().map(ToolCall::words));
        let words = words.join("\n");
        match told.last_mut().filter(|_| result && after_result) {
            Some(Message { content: Content::Text(text), .. }) => {
                text.push('\n');
                text.push_str(&result_words(messages, message));
            }
            Some(Message { content: Content::Parts(_), .. }) | None => {
                let (role, words) = match result {
                    true => (Role::User, result_words(messages, message)),
                    false => (message.role, words),
                };
                told.push(Message::text(role, words));
            }
        }
        after_result = result;
    }
    told
}

fn result_words(messages: &[Message], result: &Message) -> String {
    let mut calls = messages.iter().flat_map(|message| &message.tool_calls);
    let call = calls.find(|call| Some(&call.id) == result.tool_call_id.as_ref());
    let name = call.map_or("a tool", |call| call.name.as_str());
    format!("[result of {name}] {}", result.plain())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_results_can_be_told_in_words() {
        let call = |id: &str, name: &str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: "{}".into(),
        };
        let result = |id: &str, text: &str| Message {
            tool_call_id: Some(id.into()),
            ..Message::text(Role::Tool, text)
        };
        let messages = [
            Message::text(Role::User, "How warm, how late?"),
            Message {
                tool_calls: vec![call("1", "weather"), call("2", "time")],
                ..Message::text(Role::Assistant, "")
            },
            result("1", "18"),
            result("2", "noon"),
            Message::text(Role::User, "Thanks. And?"),
        ];
        let told: Vec<_> = in_words(&messages).iter().map(|m| (m.role, m.plain())).collect();
        let expected = [
            (Role::User, "How warm, how late?"),
            (Role::Assistant, "[called weather with {}]\n[called time with {}]"),
            (Role::User, "[result of weather] 18\n[result of time] noon"),
            (Role::User, "Thanks. And?"),
        ];
        assert_eq!(told, expected.map(|(role, text)| (role, text.to_owned())));
        let asked = Conversation { messages: messages[..4].to_vec(), ..Conversation::default() };
        assert!(asked.question().starts_with("How warm, how late?\n[called weather"));
    }

    #[test]
    fn what_was_stored_before_there_were_tools_is_read() {
        let stored = r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#;
        let read: Conversation = serde_json::from_str(stored).unwrap();
        assert_eq!(read.messages, [Message::text(Role::User, "hi")]);
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
    }
}
