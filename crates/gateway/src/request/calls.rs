//! Reads the calls of tools that stand in a conversation, and their results.

use super::fields::{Faults, Fields};
use crate::limits::TOOLS_MAX;
use baton_proto::v1::{Message, ToolCall, message::Role};
use serde_json::Value;

/// The `tool_calls` of a message.
pub(super) fn asked(fields: &mut Fields<'_>, role: Option<Role>) -> Vec<ToolCall> {
    let expected = format!("an array of at most {TOOLS_MAX} calls");
    let items = fields.read("tool_calls", expected, |value| {
        value.as_array().filter(|items| items.len() <= TOOLS_MAX).cloned()
    });
    let items = items.unwrap_or_default();
    let name = fields.name("tool_calls");
    if !items.is_empty() && role.is_some_and(|role| role != Role::Assistant) {
        let message = format!("{name}: only an assistant calls tools");
        fields.faults.invalid(&name, message);
    }
    let count = items.len();
    let mut calls = Vec::with_capacity(count);
    for (place, item) in items.into_iter().enumerate() {
        calls.extend(call(&format!("{name}[{place}]"), item, fields.faults));
    }
    calls
}

fn call(path: &str, item: Value, faults: &mut Faults) -> Option<ToolCall> {
    let Value::Object(map) = item else {
        faults.wrong(path, &item, "an object with id, type and function");
        return None;
    };
    let mut fields = Fields::new(map, &format!("{path}."), faults);
    let kind = fields.text("type");
    if kind.as_deref().is_some_and(|kind| kind != "function") {
        let name = fields.name("type");
        fields.faults.unsupported(&name, "only functions can be called");
        return None;
    }
    let id = required(&mut fields, "id");
    let path = fields.name("function.");
    let function = fields.object("function").unwrap_or_default();
    let mut function = Fields::new(function, &path, fields.faults);
    let name = required(&mut function, "name");
    // Some clients leave the arguments out where there are none.
    let arguments = function.text("arguments").unwrap_or_default();
    Some(ToolCall { id: id?, name: name?, arguments })
}

/// The `tool_call_id` of a message that a tool says.
pub(super) fn answered(fields: &mut Fields<'_>, role: Option<Role>) -> Option<String> {
    if role == Some(Role::Tool) { required(fields, "tool_call_id") } else { None }
}

fn required(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    let name = fields.name(field);
    match fields.take(field) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        other => {
            let found = other.unwrap_or_default();
            fields.faults.wrong(&name, &found, "a string that is not empty");
            None
        }
    }
}

/// Every result belongs to a call before it: agents refuse the others, in worse words.
pub(super) fn match_up(messages: &[Message], faults: &mut Faults) {
    for (place, message) in messages.iter().enumerate() {
        let Some(id) = &message.tool_call_id else { continue };
        let before = messages.get(..place).unwrap_or_default();
        if !before.iter().flat_map(|message| &message.tool_calls).any(|call| call.id == *id) {
            let shown: String = id.chars().take(64).collect();
            let message = format!(
                "messages[{place}].tool_call_id is {shown:?}: expected the id of a call in an \
                 assistant's tool_calls before it"
            );
            faults.invalid(&format!("messages[{place}].tool_call_id"), message);
        }
    }
}
