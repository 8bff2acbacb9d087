//! Reads the messages of a conversation.

use super::calls;
use super::fields::{Faults, Fields, shown};
use crate::limits::{MESSAGES_MAX, PARTS_MAX};
use baton_proto::v1::{Image, Message, Part, message, part};
use serde_json::Value;

/// Roles that can be said something with.
const ROLES: &str = "system, developer, user, assistant or tool";
/// Ways to look at an image.
const DETAILS: [&str; 3] = ["auto", "low", "high"];

/// Reads `messages`; an empty result goes with at least one fault.
pub(super) fn read(value: Option<Value>, faults: &mut Faults) -> Vec<Message> {
    let items = match value {
        None => {
            faults.invalid("messages", "messages is missing: expected an array of messages");
            return Vec::new();
        }
        Some(Value::Array(items)) => items,
        Some(other) => {
            faults.wrong("messages", &other, "an array of messages");
            return Vec::new();
        }
    };
    if items.is_empty() || items.len() > MESSAGES_MAX {
        let found = items.len();
        let message = format!("messages has {found} entries: expected 1 to {MESSAGES_MAX}");
        faults.invalid("messages", message);
        return Vec::new();
    }
    let read = |(place, item)| message(place, item, faults);
    let messages: Vec<_> = items.into_iter().enumerate().filter_map(read).collect();
    calls::match_up(&messages, faults);
    messages
}

fn message(place: usize, item: Value, faults: &mut Faults) -> Option<Message> {
    let path = format!("messages[{place}]");
    let Value::Object(map) = item else {
        faults.wrong(&path, &item, "an object with role and content");
        return None;
    };
    let mut fields = Fields::new(map, &format!("{path}."), faults);
    for other in ["function_call", "audio"] {
        let given = fields.take(other).is_some_and(|v| v.as_array().is_none_or(|a| !a.is_empty()));
        if given {
            let name = fields.name(other);
            let why = "a run carries text, images and tool_calls";
            fields.faults.unsupported(&name, why);
        }
    }
    let role = role(&mut fields);
    let tool_calls = calls::asked(&mut fields, role);
    let tool_call_id = calls::answered(&mut fields, role);
    let refusal = fields.take("refusal").and_then(|value| value.as_str().map(str::to_owned));
    let content = fields.take("content");
    let name = fields.name("content");
    // Other fields are what clients echo of an answer (`annotations`, `name`).
    let parts = match content {
        Some(Value::String(text)) => Some(vec![text_part(text)]),
        Some(Value::Array(items)) => parts(&name, items, role, fields.faults),
        Some(other) => {
            fields.faults.wrong(&name, &other, "a string or an array of parts");
            None
        }
        // What an assistant says may be nothing but calls, or a refusal.
        None if !tool_calls.is_empty() => Some(Vec::new()),
        None if role == Some(message::Role::Assistant) && refusal.is_some() => {
            refusal.map(|text| vec![text_part(text)])
        }
        None => {
            fields.faults.invalid(&name, format!("{name} is missing: expected a string or parts"));
            None
        }
    };
    Some(Message { role: role?.into(), parts: parts?, tool_calls, tool_call_id })
}

fn role(fields: &mut Fields<'_>) -> Option<message::Role> {
    let Some(value) = fields.take("role") else {
        let name = fields.name("role");
        fields.faults.invalid(&name, format!("{name} is missing: expected {ROLES}"));
        return None;
    };
    match value.as_str() {
        Some("system" | "developer") => Some(message::Role::System),
        Some("user") => Some(message::Role::User),
        Some("assistant") => Some(message::Role::Assistant),
        Some("tool") => Some(message::Role::Tool),
        Some("function") => {
            let name = fields.name("role");
            let why = "it is the older name: use tool, with the tool_call_id of the call";
            fields.faults.unsupported(&name, why);
            None
        }
        Some(_) | None => {
            let name = fields.name("role");
            fields.faults.wrong(&name, &value, ROLES);
            None
        }
    }
}

fn text_part(text: String) -> Part {
    Part { part: Some(part::Part::Text(text)) }
}

fn parts(
    name: &str,
    items: Vec<Value>,
    role: Option<message::Role>,
    faults: &mut Faults,
) -> Option<Vec<Part>> {
    if items.is_empty() || items.len() > PARTS_MAX {
        let found = items.len();
        faults.invalid(name, format!("{name} has {found} parts: expected 1 to {PARTS_MAX}"));
        return None;
    }
    let mut read = Vec::with_capacity(items.len());
    let count = items.len();
    for (place, item) in items.into_iter().enumerate() {
        read.extend(one_part(&format!("{name}[{place}]"), item, role, faults));
    }
    (read.len() == count).then_some(read)
}

fn one_part(
    path: &str,
    item: Value,
    role: Option<message::Role>,
    faults: &mut Faults,
) -> Option<Part> {
    let Value::Object(map) = item else {
        faults.wrong(path, &item, "an object with a type");
        return None;
    };
    let mut fields = Fields::new(map, &format!("{path}."), faults);
    let kind = fields.take("type").unwrap_or_default();
    match kind.as_str() {
        Some("text") => match fields.text("text") {
            Some(text) => Some(text_part(text)),
            None => {
                let name = fields.name("text");
                fields.faults.invalid(&name, format!("{name} must be a string"));
                None
            }
        },
        Some("image_url") => image(&mut fields, role),
        Some(_) | None => {
            let name = fields.name("type");
            let message = format!("{name} is {}: expected text or image_url", shown(&kind));
            fields.faults.invalid(&name, message);
            None
        }
    }
}

fn image(fields: &mut Fields<'_>, role: Option<message::Role>) -> Option<Part> {
    let name = fields.name("image_url");
    if role.is_some_and(|role| role != message::Role::User) {
        fields.faults.invalid(&name, format!("{name}: only the user can show images"));
        return None;
    }
    let Some(map) = fields.object("image_url") else {
        fields.faults.invalid(&name, format!("{name} must be an object with a url"));
        return None;
    };
    let mut image = Fields::new(map, &format!("{name}."), fields.faults);
    let detail = image.read("detail", "auto, low or high", |value| {
        value.as_str().filter(|text| DETAILS.contains(text)).map(str::to_owned)
    });
    let loads = |url: &&str| url.starts_with("https://") || url.starts_with("data:image/");
    let url = match image.take("url") {
        Some(Value::String(url)) if loads(&url.as_str()) => url,
        other => {
            let found = other.unwrap_or_default();
            let name = image.name("url");
            image.faults.wrong(&name, &found, "an https: URL or a data:image/ URL");
            return None;
        }
    };
    Some(Part { part: Some(part::Part::Image(Image { url, detail })) })
}
