//! The JSON of Chat Completions: strict in what is sent, liberal in what is read.

use crate::MaxTokensField;
use baton_provider::{AnswerForm, ChatRequest, Message, Tool, ToolChoice, ToolPiece, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

/// What is sent.
#[derive(Debug, Serialize)]
pub(crate) struct RequestBody<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<FormBody<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolBody<'a> {
    r#type: &'static str,
    function: FunctionBody<'a>,
}

#[derive(Debug, Serialize)]
struct FunctionBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FormBody<'a> {
    JsonObject,
    JsonSchema { json_schema: SchemaBody<'a> },
}

#[derive(Debug, Serialize)]
struct SchemaBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> From<&'a Tool> for ToolBody<'a> {
    fn from(tool: &'a Tool) -> Self {
        let function = FunctionBody {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_deref().and_then(raw),
            strict: tool.strict,
        };
        Self { r#type: "function", function }
    }
}

impl<'a> From<&'a AnswerForm> for FormBody<'a> {
    fn from(form: &'a AnswerForm) -> Self {
        match form {
            AnswerForm::JsonObject => Self::JsonObject,
            AnswerForm::JsonSchema { name, description, schema, strict } => {
                let (description, schema) = (description.as_deref(), raw(schema));
                let json_schema = SchemaBody { name, description, schema, strict: *strict };
                Self::JsonSchema { json_schema }
            }
        }
    }
}

/// JSON as it was written; it was checked where it came in.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

fn is_empty(texts: &&[String]) -> bool {
    texts.is_empty()
}

impl<'a> RequestBody<'a> {
    pub(crate) fn new(request: &'a ChatRequest, stream: bool, field: MaxTokensField) -> Self {
        let max = request.output_tokens_max;
        let (max_tokens, max_completion_tokens) = match field {
            MaxTokensField::MaxTokens => (Some(max), None),
            MaxTokensField::MaxCompletionTokens => (None, Some(max)),
        };
        Self {
            model: &request.model,
            messages: &request.messages,
            max_tokens,
            max_completion_tokens,
            temperature: request.temperature,
            top_p: request.top_p,
            stop: &request.stop,
            seed: request.seed,
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
            tools: request.tools.offered.iter().map(ToolBody::from).collect(),
            tool_choice: request.tools.choice.as_ref().map(choice),
            parallel_tool_calls: request.tools.parallel,
            response_format: request.form.as_ref().map(FormBody::from),
        }
    }
}

/// A chunk of a stream, or a whole reply: they differ only in `delta` and `message`.
/// Every field may be missing, because some server leaves out each of them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) choices: Option<Vec<Choice>>,
    pub(crate) usage: Option<Value>,
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    #[serde(default)]
    pub(crate) index: u32,
    #[serde(alias = "message")]
    pub(crate) delta: Option<Delta>,
    pub(crate) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delta {
    content: Option<Value>,
    pub(crate) refusal: Option<String>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Deserialize)]
struct CallDelta {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Debug, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<Value>,
}

impl Delta {
    /// Text of the answer.
    pub(crate) fn text(&self) -> String {
        self.content.as_ref().map(plain).unwrap_or_default()
    }

    /// Pieces of calls. Servers leave out the index, repeat an empty name, and write the
    /// arguments as an object instead of its text.
    pub(crate) fn tools(self) -> impl Iterator<Item = ToolPiece> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let calls = self.tool_calls.unwrap_or_default().into_iter().enumerate();
        calls.map(move |(place, call)| {
            let (name, arguments) = call.function.map_or((None, None), |f| (f.name, f.arguments));
            ToolPiece {
                index: call.index.unwrap_or(place as u32),
                id: filled(call.id),
                name: filled(name),
                arguments: match arguments {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text,
                    Some(other) => other.to_string(),
                },
            }
        })
    }

    /// Text of the reasoning, under either of its names; some servers send both.
    pub(crate) fn reasoning(&self) -> String {
        let named = self.reasoning_content.as_ref().or(self.reasoning.as_ref());
        named.map(plain).unwrap_or_default()
    }
}

/// A string, or the text parts of a list.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// Usage, if both counts are there.
pub(crate) fn usage(value: &Value) -> Option<Usage> {
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    Some(Usage {
        tokens_in: count("/prompt_tokens")?,
        tokens_out: count("/completion_tokens")?,
        cached_in: count("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        cache_written_in: count("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
        reasoning_out: count("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_provider::Role;

    #[test]
    fn a_request_says_only_what_was_asked() {
        let mut request = ChatRequest {
            model: "m".into(),
            messages: vec![Message::text(Role::User, "hi")],
            output_tokens_max: 7,
            idempotency_key: Some("k".into()),
            ..ChatRequest::default()
        };
        let json = |request: &ChatRequest, stream, field| {
            serde_json::to_string(&RequestBody::new(request, stream, field)).unwrap()
        };
        assert_eq!(
            json(&request, false, MaxTokensField::MaxTokens),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"stream":false}"#
        );
        request.stop = vec!["END".into()];
        request.seed = Some(-1);
        assert_eq!(
            json(&request, true, MaxTokensField::MaxCompletionTokens),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":7,"stop":["END"],"seed":-1,"stream":true,"stream_options":{"include_usage":true}}"#
        );
    }

    #[test]
    fn schemas_travel_as_they_were_written() {
        let schema = r#"{"z":1, "a":[ ]}"#;
        let tool = Tool {
            name: "weather".into(),
            description: None,
            parameters: Some(schema.into()),
            strict: Some(true),
        };
        let request = ChatRequest {
            tools: baton_provider::Tools {
                offered: vec![tool],
                choice: Some(ToolChoice::Named("weather".into())),
                parallel: Some(false),
            },
            form: Some(AnswerForm::JsonSchema {
                name: "w".into(),
                description: None,
                schema: schema.into(),
                strict: None,
            }),
            ..ChatRequest::default()
        };
        let body = RequestBody::new(&request, false, MaxTokensField::MaxTokens);
        assert_eq!(
            serde_json::to_string(&body).unwrap().split_once("false,").unwrap().1,
            r#""tools":[{"type":"function","function":{"name":"weather","parameters":{"z":1, "a":[ ]},"strict":true}}],"tool_choice":{"function":{"name":"weather"},"type":"function"},"parallel_tool_calls":false,"response_format":{"type":"json_schema","json_schema":{"name":"w","schema":{"z":1, "a":[ ]}}}}"#
        );
    }
}
