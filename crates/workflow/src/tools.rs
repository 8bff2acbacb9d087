//! Tools of the user's: what an agent may ask to be called, and what it asked for.
//!
//! Baton calls no tool. It passes offers to the agent that writes the answer, and its
//! calls back to whoever asked.

use serde::{Deserialize, Serialize};

/// What an agent is offered, and how it may use it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The tools; none where there is nothing to call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<Tool>,
    /// Whether and what to call; the model's own choice where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<ToolChoice>,
    /// Whether several may be called at once; the provider's default where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<bool>,
}

impl Tools {
    /// Whether nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.offered.is_empty()
    }
}

/// A function that the user can call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of its arguments, as the user wrote it: models write properties in
    /// the order in which they stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
    /// Whether the provider must hold the model to the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether and what to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As the model sees fit.
    Auto,
    /// Nothing.
    None,
    /// At least one tool, whichever.
    Required,
    /// The tool of this name.
    Named(String),
}

/// A call that a model asks for; in JSON as OpenAI writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CallForm", into = "CallForm")]
pub struct ToolCall {
    /// Names the call, so that its result can be told from others'.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON, as the model wrote it: nobody promises that it can be read.
    pub arguments: String,
}

impl ToolCall {
    /// The call in words, for whoever is shown a conversation without being offered tools.
    pub fn words(&self) -> String {
        format!("[called {} with {}]", self.name, self.arguments)
    }
}

#[derive(Serialize, Deserialize)]
struct CallForm {
    id: String,
    #[serde(rename = "type", default = "function")]
    kind: String,
    function: FunctionForm,
}

#[derive(Serialize, Deserialize)]
struct FunctionForm {
    name: String,
    arguments: String,
}

fn function() -> String {
    "function".into()
}

impl From<CallForm> for ToolCall {
    fn from(form: CallForm) -> Self {
        let CallForm { id, function: FunctionForm { name, arguments }, .. } = form;
        Self { id, name, arguments }
    }
}

impl From<ToolCall> for CallForm {
    fn from(call: ToolCall) -> Self {
        let ToolCall { id, name, arguments } = call;
        Self { id, kind: function(), function: FunctionForm { name, arguments } }
    }
}

/// The form that an answer must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AnswerForm {
    /// A JSON object.
    JsonObject,
    /// JSON that a schema describes.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The JSON Schema, as the user wrote it.
        schema: String,
        /// Whether the provider must hold the model to the schema.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

/// What an agent can do beside writing text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// Ask for tools to be called.
    pub tools: bool,
    /// Write an answer in a form that is asked for.
    pub structured_output: bool,
}

impl Default for Abilities {
    /// Everything: the providers' own complaints tell of exceptions.
    fn default() -> Self {
        Self { tools: true, structured_output: true }
    }
}

impl Abilities {
    /// Nothing but text: what most steps need.
    pub const NONE: Self = Self { tools: false, structured_output: false };

    /// Whether nothing is missing.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is nothing but text.
    pub fn is_nothing(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether whoever can do this can do all that is needed.
    pub fn cover(self, needed: Self) -> bool {
        (self.tools || !needed.tools) && (self.structured_output || !needed.structured_output)
    }
}
