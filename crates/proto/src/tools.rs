//! Tools and forms of answers, into the wire and out of it.

use crate::v1;
use baton_workflow::{AnswerForm, Tool, ToolCall, ToolChoice};
use v1::{answer_form::Form, tool_choice::Choice, tool_choice::Mode};

impl From<v1::Tool> for Tool {
    fn from(wire: v1::Tool) -> Self {
        let v1::Tool { name, description, parameters_json: parameters, strict } = wire;
        Self { name, description, parameters, strict }
    }
}

impl From<Tool> for v1::Tool {
    fn from(tool: Tool) -> Self {
        let Tool { name, description, parameters: parameters_json, strict } = tool;
        Self { name, description, parameters_json, strict }
    }
}

impl From<v1::ToolCall> for ToolCall {
    fn from(wire: v1::ToolCall) -> Self {
        let v1::ToolCall { id, name, arguments } = wire;
        Self { id, name, arguments }
    }
}

impl From<ToolCall> for v1::ToolCall {
    fn from(call: ToolCall) -> Self {
        let ToolCall { id, name, arguments } = call;
        Self { id, name, arguments }
    }
}

/// Nothing where nothing is said: the model's own choice.
pub(crate) fn choice(wire: v1::ToolChoice) -> Option<ToolChoice> {
    Some(match wire.choice? {
        Choice::Name(name) => ToolChoice::Named(name),
        Choice::Mode(mode) => match Mode::try_from(mode).ok()? {
            Mode::Unspecified => return None,
            Mode::Auto => ToolChoice::Auto,
            Mode::None => ToolChoice::None,
            Mode::Required => ToolChoice::Required,
        },
    })
}

impl From<ToolChoice> for v1::ToolChoice {
    fn from(choice: ToolChoice) -> Self {
        let choice = match choice {
            ToolChoice::Auto => Choice::Mode(Mode::Auto.into()),
            ToolChoice::None => Choice::Mode(Mode::None.into()),
            ToolChoice::Required => Choice::Mode(Mode::Required.into()),
            ToolChoice::Named(name) => Choice::Name(name),
        };
        Self { choice: Some(choice) }
    }
}

/// Nothing where nothing is said: text.
pub(crate) fn form(wire: v1::AnswerForm) -> Option<AnswerForm> {
    Some(match wire.form? {
        Form::Object(v1::JsonObject {}) => AnswerForm::JsonObject,
        Form::Schema(v1::JsonSchema { name, description, schema_json: schema, strict }) => {
            AnswerForm::JsonSchema { name, description, schema, strict }
        }
    })
}

impl From<AnswerForm> for v1::AnswerForm {
    fn from(form: AnswerForm) -> Self {
        let form = match form {
            AnswerForm::JsonObject => Form::Object(v1::JsonObject {}),
            AnswerForm::JsonSchema { name, description, schema: schema_json, strict } => {
                Form::Schema(v1::JsonSchema { name, description, schema_json, strict })
            }
        };
        Self { form: Some(form) }
    }
}
