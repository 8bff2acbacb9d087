//! The JSON that is sent to whoever speaks Messages.

use super::turns::{Turns, turns};
use baton_provider::{AnswerForm, ChatRequest, Tool, ToolChoice, Tools, in_words};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

/// What is told to a model that has to answer with a JSON object: the API knows only
/// schemas, and a schema of any object allows none but the empty one.
const JSON_OBJECT: &str = "Answer with one JSON object and nothing else: no words around it.";
/// Randomness goes up to here.
const TEMPERATURE_MAX: f64 = 1.0;

/// What is sent.
#[derive(Debug, Serialize)]
pub(crate) struct RequestBody<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "is_empty")]
    stop_sequences: &'a [String],
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Debug, Serialize)]
struct OutputConfig<'a> {
    format: FormatBody<'a>,
}

#[derive(Debug, Serialize)]
struct FormatBody<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

fn is_empty(texts: &&[String]) -> bool {
    texts.is_empty()
}

impl<'a> RequestBody<'a> {
    pub(crate) fn new(request: &'a ChatRequest, stream: bool) -> Self {
        // Who is offered no tools may not be shown their calls and results as such.
        let Turns { system, turns } = match request.tools.is_empty() {
            true => turns(&in_words(&request.messages)),
            false => turns(&request.messages),
        };
        Self {
            model: &request.model,
            max_tokens: request.output_tokens_max,
            system: with_form(system, request.form.as_ref()),
            messages: turns,
            temperature: request.temperature.map(|t| t.min(TEMPERATURE_MAX)),
            // Newer models take one of the two, and temperature is what people think of.
            top_p: request.top_p.filter(|_| request.temperature.is_none()),
            stop_sequences: &request.stop,
            stream,
            tools: request.tools.offered.iter().map(ToolBody::from).collect(),
            tool_choice: choice(&request.tools),
            output_config: request.form.as_ref().and_then(output_config),
        }
    }
}

impl<'a> From<&'a Tool> for ToolBody<'a> {
    fn from(tool: &'a Tool) -> Self {
        let schema = tool.parameters.as_deref().and_then(raw);
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: schema.unwrap_or_else(no_arguments),
            strict: tool.strict.filter(|strict| *strict),
        }
    }
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// The schema of a tool that takes nothing; the field must be there.
fn no_arguments<'a>() -> &'a RawValue {
    raw(r#"{"type":"object","properties":{}}"#).unwrap_or(RawValue::NULL)
}

fn choice(tools: &Tools) -> Option<Value> {
    if tools.is_empty() {
        return None;
    }
    let mut body = match tools.choice.as_ref() {
        None if tools.parallel.is_none() => return None,
        None | Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        // It knows nothing of parallel calls: there are none.
        Some(ToolChoice::None) => return Some(json!({ "type": "none" })),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": name }),
    };
    if let Some(parallel) = tools.parallel {
        body["disable_parallel_tool_use"] = Value::Bool(!parallel);
    }
    Some(body)
}

fn output_config(form: &AnswerForm) -> Option<OutputConfig<'_>> {
    match form {
        AnswerForm::JsonObject => None,
        AnswerForm::JsonSchema { schema, .. } => {
            let format = FormatBody { r#type: "json_schema", schema: raw(schema)? };
            Some(OutputConfig { format })
        }
    }
}

fn with_form(system: Option<String>, form: Option<&AnswerForm>) -> Option<String> {
    match form {
        Some(AnswerForm::JsonObject) => Some(match system {
            Some(system) => format!("{system}\n\n{JSON_OBJECT}"),
            None => JSON_OBJECT.to_owned(),
        }),
        Some(AnswerForm::JsonSchema { .. }) | None => system,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_provider::{Message, Role, ToolCall};

    fn json(request: &ChatRequest) -> String {
        serde_json::to_string(&RequestBody::new(request, true)).unwrap()
    }

    fn request() -> ChatRequest {
        ChatRequest {
            model: "m".into(),
            messages: vec![Message::text(Role::User, "hi")],
            output_tokens_max: 7,
            ..ChatRequest::default()
        }
    }

    fn weather() -> Tool {
        Tool {
            name: "weather".into(),
            description: Some("tells it".into()),
            parameters: Some(r#"{"z":1,"a":2}"#.into()),
            strict: None,
        }
    }

    #[test]
    fn a_request_says_only_what_was_asked() {
        let head = r#"{"model":"m","max_tokens":7,"messages":[{"content":[{"text":"hi","type":"text"}],"role":"user"}]"#;
        assert_eq!(json(&request()), format!(r#"{head},"stream":true}}"#));
        let hot = ChatRequest {
            temperature: Some(1.7),
            top_p: Some(0.5),
            stop: vec!["END".into()],
            seed: Some(1),
            ..request()
        };
        let rest = r#","temperature":1.0,"stop_sequences":["END"],"stream":true}"#;
        assert_eq!(json(&hot), format!("{head}{rest}"));
        let cold = ChatRequest { top_p: Some(0.5), ..request() };
        assert_eq!(json(&cold), format!(r#"{head},"top_p":0.5,"stream":true}}"#));
    }

    #[test]
    fn tools_and_forms_have_their_own_fields() {
        let with = |choice, parallel| {
            let tools = Tools { offered: vec![weather()], choice, parallel };
            let body = json(&ChatRequest { tools, ..request() });
            body.split_once(r#""tools":"#).unwrap().1.to_owned()
        };
        let tool = r#"[{"name":"weather","description":"tells it","input_schema":{"z":1,"a":2}}]"#;
        assert_eq!(with(None, None), format!("{tool}}}"));
        for (choice, parallel, expected) in [
            (ToolChoice::Auto, None, r#"{"type":"auto"}"#),
            (ToolChoice::None, Some(false), r#"{"type":"none"}"#),
            (
                ToolChoice::Required,
                Some(false),
                r#"{"disable_parallel_tool_use":true,"type":"any"}"#,
            ),
            (ToolChoice::Named("weather".into()), None, r#"{"name":"weather","type":"tool"}"#),
        ] {
            let expected = format!(r#"{tool},"tool_choice":{expected}}}"#);
            assert_eq!(with(Some(choice), parallel), expected);
        }
        let form = AnswerForm::JsonSchema {
            name: "n".into(),
            description: None,
            schema: r#"{"b":1,"a":2}"#.into(),
            strict: Some(true),
        };
        let formed = json(&ChatRequest { form: Some(form), ..request() });
        let field = r#""output_config":{"format":{"type":"json_schema","schema":{"b":1,"a":2}}}"#;
        assert!(formed.contains(field), "{formed}");
        let object = json(&ChatRequest { form: Some(AnswerForm::JsonObject), ..request() });
        assert!(object.contains(r#""system":"Answer with one JSON object"#), "{object}");
    }

    #[test]
    fn who_is_offered_no_tools_is_told_of_calls_in_words() {
        let call = ToolCall { id: "1".into(), name: "weather".into(), arguments: "{}".into() };
        let messages = vec![
            Message::text(Role::User, "How warm?"),
            Message { tool_calls: vec![call], ..Message::text(Role::Assistant, "") },
            Message { tool_call_id: Some("1".into()), ..Message::text(Role::Tool, "18") },
        ];
        let asked = ChatRequest { messages, ..request() };
        assert!(!json(&asked).contains("tool_use"));
        let tools = Tools { offered: vec![weather()], ..Tools::default() };
        assert!(json(&ChatRequest { tools, ..asked }).contains("tool_use"));
    }
}
