//! Reads what the answer's agent may call, and the form that its answer must have.

use super::{fields::Fields, raw::Schemas};
use crate::limits::{SCHEMA_BYTES_MAX, TOOL_NAME_CHARS_MAX, TOOLS_MAX};
use baton_proto::v1::{
    AnswerForm, JsonObject, JsonSchema, Tool, ToolChoice,
    answer_form::Form,
    tool_choice::{Choice, Mode},
};
use serde_json::{Map, Value};

const CUSTOM: &str = "only functions can be called: describe the input with a JSON Schema";
const CHOICES: &str = "auto, none, required, or an object that names a function";

/// What the request says of tools.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Offered {
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Option<ToolChoice>,
    pub(super) parallel: Option<bool>,
}

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn read(fields: &mut Fields<'_>, schemas: &Schemas<'_>) -> Offered {
    let mut tools = offered(fields, schemas);
    let parallel = fields.flag("parallel_tool_calls");
    let choice = fields.take("tool_choice");
    if tools.is_empty() {
        if choice.is_some_and(|choice| !matches!(choice.as_str(), Some("none" | "auto"))) {
            let message = "tool_choice without tools: offer tools, or leave it out";
            fields.faults.invalid("tool_choice", message);
        }
        return Offered::default();
    }
    let choice = choice.and_then(|choice| chosen(fields, choice, &mut tools));
    Offered { tools, choice: choice.map(|choice| ToolChoice { choice: Some(choice) }), parallel }
}

fn offered(fields: &mut Fields<'_>, schemas: &Schemas<'_>) -> Vec<Tool> {
    let expected = format!("an array of at most {TOOLS_MAX} tools");
    let items = fields.read("tools", expected, |value| {
        value.as_array().filter(|items| items.len() <= TOOLS_MAX).cloned()
    });
    let mut tools: Vec<Tool> = Vec::new();
    for (place, item) in items.unwrap_or_default().into_iter().enumerate() {
        let path = format!("tools[{place}]");
        let Some(tool) = tool(fields, &path, item, |value| schemas.parameters(place, value)) else {
            continue;
        };
        if tools.iter().any(|other| other.name == tool.name) {
            let message = format!("{path} is named {:?} as one before it: rename it", tool.name);
            fields.faults.invalid(&format!("{path}.function.name"), message);
        }
        tools.push(tool);
    }
    tools
}

fn tool(
    fields: &mut Fields<'_>,
    path: &str,
    item: Value,
    raw: impl FnOnce(&Value) -> String,
) -> Option<Tool> {
    let Value::Object(map) = item else {
        fields.faults.wrong(path, &item, "an object with type and function");
        return None;
    };
    let mut part = Fields::new(map, &format!("{path}."), fields.faults);
    let kind = part.text("type").unwrap_or_default();
    if kind != "function" {
        let name = part.name("type");
        part.faults.unsupported(&name, CUSTOM);
        return None;
    }
    let name = part.name("function.");
    let Some(function) = part.object("function") else {
        let of = part.name("function");
        part.faults.invalid(&of, format!("{of} is missing: expected an object with a name"));
        return None;
    };
    let mut function = Fields::new(function, &name, part.faults);
    let name = tool_name(&mut function);
    let description = function.text("description");
    let strict = function.flag("strict");
    let parameters_json = schema(&mut function, "parameters", raw);
    Some(Tool { name: name?, description, parameters_json, strict })
}

fn tool_name(function: &mut Fields<'_>) -> Option<String> {
    let expected = format!(
        "a name of 1 to {TOOL_NAME_CHARS_MAX} letters, digits, '_' and '-', as agents take it"
    );
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let fits =
        |name: &&str| (1..=TOOL_NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(allowed);
    let given = function.name("name");
    let name = function.take("name").unwrap_or_default();
    let read = name.as_str().filter(fits).map(str::to_owned);
    if read.is_none() {
        function.faults.wrong(&given, &name, expected);
    }
    read
}

/// A JSON Schema, as it was written.
fn schema(
    fields: &mut Fields<'_>,
    field: &str,
    raw: impl FnOnce(&Value) -> String,
) -> Option<String> {
    let name = fields.name(field);
    let value = fields.take(field)?;
    if !value.is_object() {
        fields.faults.wrong(&name, &value, "an object that is a JSON Schema");
        return None;
    }
    let text = raw(&value);
    if text.len() > SCHEMA_BYTES_MAX {
        let bytes = text.len();
        let message = format!("{name} has {bytes} bytes: expected at most {SCHEMA_BYTES_MAX}");
        fields.faults.invalid(&name, message);
    }
    Some(text)
}

/// Reads the choice; one that allows some tools alone takes the others out of the offer.
fn chosen(fields: &mut Fields<'_>, choice: Value, tools: &mut Vec<Tool>) -> Option<Choice> {
    match &choice {
        Value::String(text) => {
            let mode = mode(text);
            if mode.is_none() {
                fields.faults.wrong("tool_choice", &choice, CHOICES);
            }
            mode.map(|mode| Choice::Mode(mode.into()))
        }
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "function") => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            let name = name.filter(|name| tools.iter().any(|tool| tool.name == *name));
            if name.is_none() {
                let message = "tool_choice.function.name must be the name of one of the tools";
                fields.faults.invalid("tool_choice", message);
            }
            name.map(|name| Choice::Name(name.to_owned()))
        }
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "allowed_tools") => {
            allowed(fields, map, tools)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            fields.faults.wrong("tool_choice", &choice, CHOICES);
            None
        }
    }
}

fn mode(text: &str) -> Option<Mode> {
    match text {
        "auto" => Some(Mode::Auto),
        "none" => Some(Mode::None),
        "required" => Some(Mode::Required),
        _ => None,
    }
}

fn allowed(
    fields: &mut Fields<'_>,
    map: &Map<String, Value>,
    tools: &mut Vec<Tool>,
) -> Option<Choice> {
    let said = map.get("allowed_tools").and_then(Value::as_object);
    let mode = said.and_then(|said| said.get("mode")?.as_str()).and_then(mode);
    let names: Option<Vec<&str>> = said.and_then(|said| {
        let items = said.get("tools")?.as_array()?;
        items.iter().map(|item| item.pointer("/function/name")?.as_str()).collect()
    });
    let known = |name: &&str| tools.iter().any(|tool| tool.name == **name);
    let (Some(mode), Some(names)) = (mode, names.filter(|names| names.iter().all(known))) else {
        let message = "tool_choice.allowed_tools must have a mode (auto or required) and tools, \
                       each a function that is offered";
        fields.faults.invalid("tool_choice", message);
        return None;
    };
    tools.retain(|tool| names.contains(&tool.name.as_str()));
    Some(Choice::Mode(mode.into()))
}

/// Reads `response_format`; nothing where text is asked for.
pub(super) fn form(fields: &mut Fields<'_>, schemas: &Schemas<'_>) -> Option<AnswerForm> {
    let map = fields.object("response_format")?;
    let mut part = Fields::new(map, "response_format.", fields.faults);
    let form = match part.text("type").unwrap_or_default().as_str() {
        "text" => return None,
        "json_object" => Form::Object(JsonObject {}),
        "json_schema" => {
            let Some(map) = part.object("json_schema") else {
                let name = part.name("json_schema");
                let message = format!("{name} is missing: expected a name and a schema");
                part.faults.invalid(&name, message);
                return None;
            };
            let path = part.name("json_schema.");
            let mut inner = Fields::new(map, &path, part.faults);
            let name = tool_name(&mut inner);
            let description = inner.text("description");
            let strict = inner.flag("strict");
            let schema_json = schema(&mut inner, "schema", |value| schemas.answer(value));
            if schema_json.is_none() {
                let name = inner.name("schema");
                inner.faults.invalid(&name, format!("{name} must be a JSON Schema"));
            }
            Form::Schema(JsonSchema { name: name?, description, schema_json: schema_json?, strict })
        }
        _ => {
            let name = part.name("type");
            part.faults
                .invalid(&name, format!("{name}: expected text, json_object or json_schema"));
            return None;
        }
    };
    Some(AnswerForm { form: Some(form) })
}
