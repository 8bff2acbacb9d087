//! Tools and forms in the JSON of Chat Completions, as a server reads and writes them.

use crate::tooling::{Choice, Offer, ToolCall, Wants};
use serde::Deserialize;
use serde_json::{Value, json};

/// The fields of a request that ask for more than text.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    tools: Vec<Tool>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Value,
}

/// A call in a conversation.
#[derive(Debug, Deserialize)]
pub(crate) struct Called {
    function: CalledFunction,
}

#[derive(Debug, Deserialize)]
struct CalledFunction {
    name: String,
    #[serde(default)]
    arguments: String,
}

impl Called {
    pub(crate) fn words(&self) -> String {
        let CalledFunction { name, arguments } = &self.function;
        format!("[called {name} with {arguments}]")
    }
}

impl Wanted {
    /// With what the tools said last, and what is to be done then.
    pub(crate) fn wants(&self, results: Vec<String>, then: Option<String>) -> Wants {
        let offers = self.tools.iter().map(|tool| Offer {
            name: tool.function.name.clone(),
            schema: tool.function.parameters.clone(),
        });
        Wants {
            tools: offers.collect(),
            choice: self.choice(),
            one_call: self.parallel_tool_calls == Some(false),
            form: self.form(),
            results,
            then,
        }
    }

    fn choice(&self) -> Choice {
        let Some(choice) = &self.tool_choice else { return Choice::Auto };
        match (choice.as_str(), choice.pointer("/function/name").and_then(Value::as_str)) {
            (Some("none"), _) => Choice::Never,
            (Some("required"), _) => Choice::Required,
            (_, Some(name)) => Choice::Named(name.to_owned()),
            (_, None) => Choice::Auto,
        }
    }

    fn form(&self) -> Option<Value> {
        let format = self.response_format.as_ref()?;
        match format.get("type").and_then(Value::as_str)? {
            "json_schema" => format.pointer("/json_schema/schema").cloned(),
            "json_object" => {
                Some(json!({"type": "object", "properties": {"answer": {"type": "string"}}}))
            }
            _ => None,
        }
    }
}

/// A call as a whole reply has it.
pub(crate) fn called(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    let function = json!({"name": name, "arguments": arguments.to_string()});
    json!({"id": id, "type": "function", "function": function})
}

/// Calls as a stream has them: each named first, its arguments in two pieces.
pub(crate) fn call_deltas(calls: &[ToolCall]) -> Vec<Value> {
    let mut deltas = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut begun = called(call);
        begun["index"] = index.into();
        begun["function"]["arguments"] = "".into();
        deltas.push(json!({"tool_calls": [begun]}));
        let arguments = call.arguments.to_string();
        let half = arguments.char_indices().nth(arguments.chars().count() / 2);
        let (begin, rest) = arguments.split_at(half.map_or(0, |(at, _)| at));
        for piece in [begin, rest] {
            let more = json!({"index": index, "function": {"arguments": piece}});
            deltas.push(json!({"tool_calls": [more]}));
        }
    }
    deltas
}
