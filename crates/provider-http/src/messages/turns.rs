//! A conversation in the order and the form that the Messages API insists on.

use baton_provider::{Content, ImageUrl, Message, Part, Role, ToolCall};
use serde_json::{Value, json};

/// The system's words, apart, and the turns that user and assistant take.
pub(super) struct Turns {
    pub(super) system: Option<String>,
    pub(super) turns: Vec<Value>,
}

/// Rearranges messages: the system prompt is no turn, results of tools are the user's, and
/// whoever speaks twice in a row speaks once, results first.
pub(super) fn turns(messages: &[Message]) -> Turns {
    let is_system = |message: &&Message| message.role == Role::System;
    let mut system: Vec<String> = messages.iter().filter(is_system).map(Message::plain).collect();
    system.retain(|text| !text.trim().is_empty());
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages.iter().filter(|message| !is_system(message)) {
        let (by_user, blocks) = match message.role {
            Role::User | Role::System => (true, content(&message.content)),
            Role::Tool => (true, vec![result(message)]),
            Role::Assistant => {
                let mut blocks = content(&message.content);
                blocks.extend(message.tool_calls.iter().map(call));
                (false, blocks)
            }
        };
        match turns.last_mut().filter(|last| last.by_user == by_user) {
            Some(last) => last.blocks.extend(blocks),
            None => turns.push(Turn { by_user, blocks }),
        }
    }
    // A conversation may be nothing but instructions: somebody has to speak.
    if turns.is_empty() && !system.is_empty() {
        let blocks = vec![text(&system.join("\n\n"))];
        system.clear();
        turns.push(Turn { by_user: true, blocks });
    }
    let turns = turns.into_iter().filter(|turn| !turn.blocks.is_empty()).map(Turn::json);
    Turns { system: (!system.is_empty()).then(|| system.join("\n\n")), turns: turns.collect() }
}

struct Turn {
    by_user: bool,
    blocks: Vec<Value>,
}

impl Turn {
    fn json(mut self) -> Value {
        let is_result = |block: &Value| block["type"] == "tool_result";
        self.blocks.sort_by_key(|block| !is_result(block));
        let role = if self.by_user { "user" } else { "assistant" };
        json!({ "role": role, "content": self.blocks })
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// Blocks of what is said; empty texts are not allowed as blocks.
fn content(content: &Content) -> Vec<Value> {
    let filled = |said: &str| (!said.trim().is_empty()).then(|| text(said));
    match content {
        Content::Text(said) => filled(said).into_iter().collect(),
        Content::Parts(parts) => {
            let block = |part: &Part| match part {
                Part::Text { text } => filled(text),
                Part::ImageUrl { image_url } => Some(image(image_url)),
            };
            parts.iter().filter_map(block).collect()
        }
    }
}

fn image(ImageUrl { url, .. }: &ImageUrl) -> Value {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let source = match inline {
        Some((kind, data)) => json!({ "type": "base64", "media_type": kind, "data": data }),
        None => json!({ "type": "url", "url": url }),
    };
    json!({ "type": "image", "source": source })
}

fn result(message: &Message) -> Value {
    let id = message.tool_call_id.as_deref().unwrap_or_default();
    json!({ "type": "tool_result", "tool_use_id": call_id(id), "content": message.plain() })
}

/// Arguments have to be an object; what is none travels inside of one.
fn call(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    let input = match serde_json::from_str(arguments) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        Ok(_) | Err(_) if arguments.trim().is_empty() => json!({}),
        Ok(_) | Err(_) => json!({ "arguments": arguments }),
    };
    json!({ "type": "tool_use", "id": call_id(id), "name": name, "input": input })
}

/// Ids of other providers may hold what this one refuses.
fn call_id(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(messages: &[Message], system: Option<&str>, expected: &str) {
        let told = turns(messages);
        assert_eq!(told.system.as_deref(), system);
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(Value::from(told.turns), expected);
    }

    #[test]
    fn instructions_are_no_turn_and_nobody_speaks_twice() {
        check(
            &[
                Message::text(Role::System, "Be brief."),
                Message::text(Role::User, "Hi"),
                Message::text(Role::User, "there"),
                Message::text(Role::Assistant, " "),
                Message::text(Role::System, "In German."),
            ],
            Some("Be brief.\n\nIn German."),
            r#"[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"text","text":"there"}]}]"#,
        );
        check(
            &[Message::text(Role::System, "Sing.")],
            None,
            r#"[{"role":"user","content":[{"type":"text","text":"Sing."}]}]"#,
        );
    }

    #[test]
    fn calls_and_their_results_are_blocks() {
        let call = |id: &str, arguments: &str| ToolCall {
            id: id.into(),
            name: "weather".into(),
            arguments: arguments.into(),
        };
        check(
            &[
                Message {
                    tool_calls: vec![
                        call("call:1", r#"{"city":"Rome"}"#),
                        call("2", ""),
                        call("3", "Rome"),
                    ],
                    ..Message::text(Role::Assistant, "Let me see.")
                },
                Message::text(Role::User, "Hurry."),
                Message { tool_call_id: Some("call:1".into()), ..Message::text(Role::Tool, "18") },
            ],
            None,
            r#"[
                {"role":"assistant","content":[
                    {"type":"text","text":"Let me see."},
                    {"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Rome"}},
                    {"type":"tool_use","id":"2","name":"weather","input":{}},
                    {"type":"tool_use","id":"3","name":"weather","input":{"arguments":"Rome"}}]},
                {"role":"user","content":[
                    {"type":"tool_result","tool_use_id":"call_1","content":"18"},
                    {"type":"text","text":"Hurry."}]}
            ]"#,
        );
    }

    #[test]
    fn images_come_inline_or_by_address() {
        let image =
            |url: &str| Part::ImageUrl { image_url: ImageUrl { url: url.into(), detail: None } };
        let parts = vec![image("data:image/png;base64,AA=="), image("https://x.test/a.png")];
        check(
            &[Message::new(Role::User, Content::Parts(parts))],
            None,
            r#"[{"role":"user","content":[
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
                {"type":"image","source":{"type":"url","url":"https://x.test/a.png"}}]}]"#,
        );
    }
}
