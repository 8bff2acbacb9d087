//! What a simulated model does with tools and with forms of answers.
//!
//! It asks for the tool that the prompt names (of a prompt with `then`, for those of its next
//! part, once the tools of the part before have answered), with arguments that fit the tool's schema
//! and are taken out of the prompt where they can be; shown a result, it tells the result;
//! asked for a form, it puts its answer into that form. It never asks for a tool that it
//! was not offered.

use crate::{
    reading::Speaker,
    simulator::{Ask, Stop, Told},
    tokens,
};
use serde_json::{Map, Value, json};

/// How far a schema is followed into itself.
const DEPTH_MAX: usize = 16;
/// Most characters of a schema's property that a string is filled with.
const FILL_CHARS_MAX: usize = 256;

/// What a request wants beside text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants {
    /// The tools on offer.
    pub(crate) tools: Vec<Offer>,
    /// Whether and what to call.
    pub(crate) choice: Choice,
    /// Whether only one call may be made at once.
    pub(crate) one_call: bool,
    /// The schema of the answer, if it must have a form.
    pub(crate) form: Option<Value>,
    /// What the tools said, where that is what was said last.
    pub(crate) results: Vec<String>,
    /// What is to be done with them, where the prompt says so.
    pub(crate) then: Option<String>,
}

/// What parts a prompt that asks for one thing after the other.
const THEN: &str = " then ";

/// What a prompt asks for once the tools have answered so often.
pub(crate) fn then(prompt: &str, answered: usize) -> Option<String> {
    let part = prompt.split(THEN).nth(answered).filter(|_| answered > 0);
    part.map(str::to_owned)
}

/// A tool on offer.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Whether and what to call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// What the prompt names.
    #[default]
    Auto,
    Never,
    /// The first one, if the prompt names none.
    Required,
    Named(String),
}

/// A call that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) arguments: Value,
}

impl Wants {
    /// Makes of an answer what is wanted: gives the calls that stand in its place, else
    /// changes its text. An answer that was cut off stays as it is.
    pub(crate) fn apply(&self, ask: &Ask, told: &mut Told, lots: &str) -> Vec<ToolCall> {
        let users = ask.messages.iter().rev().find(|said| said.speaker == Speaker::User);
        let calls = self.calls(users.map_or("", |said| &said.text), lots);
        if !calls.is_empty() {
            let words = calls.iter().map(|call| format!("{} {}", call.name, call.arguments));
            told.tokens_out = words.map(|words| tokens::of(&words)).sum();
            (told.text, told.stop) = (String::new(), Stop::Done);
        } else if told.stop == Stop::Done && (self.form.is_some() || !self.results.is_empty()) {
            told.text = self.answer(std::mem::take(&mut told.text));
            told.tokens_out = tokens::of(&told.text);
        }
        calls
    }

    /// The calls that are made instead of an answer to `prompt`; `lots` is what their ids
    /// hang on.
    pub(crate) fn calls(&self, prompt: &str, lots: &str) -> Vec<ToolCall> {
        let first = prompt.split(THEN).next().unwrap_or(prompt);
        let prompt = self.then.as_deref().unwrap_or(first);
        let named = |offer: &&Offer| names(prompt, &offer.name);
        let mut wanted: Vec<&Offer> = match &self.choice {
            Choice::Never => Vec::new(),
            Choice::Named(name) => self.tools.iter().filter(|o| o.name == *name).collect(),
            // Whoever has the results does not ask again.
            Choice::Auto if !self.results.is_empty() && self.then.is_none() => Vec::new(),
            Choice::Auto => self.tools.iter().filter(named).collect(),
            Choice::Required => self.tools.iter().filter(named).collect(),
        };
        if wanted.is_empty() && self.choice == Choice::Required {
            wanted.extend(self.tools.first());
        }
        if self.one_call {
            wanted.truncate(1);
        }
        let hints = Hints::of_prompt(prompt);
        let call = |(place, offer): (usize, &&Offer)| {
            let id = blake3::hash(format!("{lots}\n{place}").as_bytes()).to_hex();
            ToolCall {
                id: format!("call_{}", &id.as_str()[..24]),
                name: offer.name.clone(),
                arguments: Filler { root: &offer.schema, hints: &hints }.object(&offer.schema),
            }
        };
        wanted.iter().enumerate().map(call).collect()
    }

    /// The answer that `text` becomes: told from the results, put into the form.
    pub(crate) fn answer(&self, text: String) -> String {
        let text = match self.results.as_slice() {
            [] => text,
            results => format!("The tools say:\n{0}\nAnswer: {0}", results.join("\n")),
        };
        let Some(schema) = &self.form else { return text };
        let hints = Hints::of_answer(&text);
        Filler { root: schema, hints: &hints }.fill("answer", schema, 0).to_string()
    }
}

/// Whether a text names a tool, as it is spelt or in words.
fn names(text: &str, tool: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], " ");
    plain(text).contains(&plain(tool))
}

/// What values are made of.
struct Hints {
    texts: Vec<String>,
    numbers: Vec<f64>,
    /// All of it, to find a value that is one of several.
    whole: String,
}

impl Hints {
    /// What stands in quotes, then words with a capital letter, but the first.
    fn of_prompt(prompt: &str) -> Self {
        let quoted = prompt.split('"').skip(1).step_by(2).map(str::to_owned);
        let capital = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
        let words = prompt.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words = words.skip(1).filter(capital).map(str::to_owned);
        Self { texts: quoted.chain(words).collect(), ..Self::numbers_of(prompt) }
    }

    /// What stands behind the last `Answer:`, else all of it.
    fn of_answer(text: &str) -> Self {
        let answer = text.rsplit_once("Answer:").map_or(text, |(_, answer)| answer).trim();
        Self { texts: vec![answer.to_owned()], ..Self::numbers_of(answer) }
    }

    fn numbers_of(text: &str) -> Self {
        let words = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-')));
        let numbers = words.filter_map(|word| word.trim_end_matches('.').parse().ok()).collect();
        Self { texts: Vec::new(), numbers, whole: text.to_lowercase() }
    }
}

/// Makes values that fit a schema.
struct Filler<'a> {
    /// Where references begin.
    root: &'a Value,
    hints: &'a Hints,
}

impl Filler<'_> {
    /// Arguments are an object, whatever the schema says.
    fn object(&self, schema: &Value) -> Value {
        match self.fill("", schema, 0) {
            Value::Object(fields) => Value::Object(fields),
            _ => json!({}),
        }
    }

    fn fill(&self, key: &str, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return found.map_or(Value::Null, |found| self.fill(key, found, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.one_of(values);
        }
        for either in ["anyOf", "oneOf", "allOf"] {
            let first = schema.get(either).and_then(|all| all.as_array()?.first());
            if let Some(first) = first {
                return self.fill(key, first, depth + 1);
            }
        }
        match kind(schema) {
            "object" => Value::Object(self.fields(schema, depth)),
            "array" => {
                let item = schema.get("items").map(|items| self.fill(key, items, depth + 1));
                Value::Array(item.into_iter().collect())
            }
            "integer" => json!(self.number(schema).trunc() as i64),
            "number" => json!(self.number(schema)),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.text(key)),
        }
    }

    /// What is required; all there is where nothing is said to be.
    fn fields(&self, schema: &Value, depth: usize) -> Map<String, Value> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Map::new();
        };
        let required = schema.get("required").and_then(Value::as_array);
        let wanted = |name: &str| required.is_none_or(|all| all.iter().any(|one| one == name));
        let wanted = properties.iter().filter(|(name, _)| wanted(name));
        wanted.map(|(name, schema)| (name.clone(), self.fill(name, schema, depth + 1))).collect()
    }

    /// The one that is spoken of, else the first.
    fn one_of(&self, values: &[Value]) -> Value {
        let spoken = |value: &&Value| {
            value.as_str().is_some_and(|text| self.hints.whole.contains(&text.to_lowercase()))
        };
        values.iter().find(spoken).or(values.first()).cloned().unwrap_or_default()
    }

    fn number(&self, schema: &Value) -> f64 {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let number = self.hints.numbers.first().copied().unwrap_or(0.0);
        let number = number.max(bound("minimum").unwrap_or(f64::MIN));
        number.min(bound("maximum").unwrap_or(f64::MAX))
    }

    fn text(&self, key: &str) -> String {
        let text = self.hints.texts.first().map_or(key, String::as_str);
        text.chars().take(FILL_CHARS_MAX).collect()
    }
}

/// The type, or the first of several that is not null.
fn kind(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null"),
        other => other,
    };
    let implied = if schema.get("properties").is_some() { "object" } else { "string" };
    named.and_then(Value::as_str).unwrap_or(implied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather() -> Offer {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["city", "unit", "days", "where"],
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "where": {"$ref": "#/$defs/place"},
                "note": {"type": ["null", "string"]},
            },
            "$defs": {"place": {"type": "array", "items": {"type": "number"}}},
        });
        Offer { name: "get_weather".into(), schema }
    }

    fn clock() -> Offer {
        Offer { name: "clock".into(), schema: json!({}) }
    }

    fn wants(choice: Choice) -> Wants {
        Wants { tools: vec![weather(), clock()], choice, ..Wants::default() }
    }

    fn called(wants: &Wants, prompt: &str) -> Vec<String> {
        wants.calls(prompt, "lots").into_iter().map(|call| call.name).collect()
    }

    #[test]
    fn a_tool_is_called_where_the_prompt_names_it() {
        let auto = wants(Choice::Auto);
        assert_eq!(called(&auto, "Please get weather for Rome."), ["get_weather"]);
        assert_eq!(called(&auto, "Use get_weather and the clock."), ["get_weather", "clock"]);
        assert!(called(&auto, "What is 2 + 2?").is_empty());
        assert!(called(&wants(Choice::Never), "Use the clock.").is_empty());
        assert_eq!(called(&wants(Choice::Required), "What is 2 + 2?"), ["get_weather"]);
        assert_eq!(called(&wants(Choice::Named("clock".into())), "get_weather"), ["clock"]);
        let one = Wants { one_call: true, ..wants(Choice::Auto) };
        assert_eq!(called(&one, "Use get_weather and the clock."), ["get_weather"]);
        let told = Wants { results: vec!["18".into()], ..wants(Choice::Auto) };
        assert!(called(&told, "Use the clock.").is_empty());
        let two = "First get weather, then ask the clock.";
        assert_eq!(called(&auto, two), ["get_weather"]);
        let next = Wants { then: then(two, 1), ..told.clone() };
        assert_eq!(called(&next, "18"), ["clock"]);
        assert_eq!((then(two, 0), then(two, 2)), (None, None));
        assert_eq!(told.answer("unused".into()), "The tools say:\n18\nAnswer: 18");
    }

    #[test]
    fn arguments_are_taken_from_the_prompt_and_fit_the_schema() {
        let [call] =
            &wants(Choice::Auto).calls("Get weather for Rome, 9 days, in Fahrenheit.", "x")[..]
        else {
            panic!("one call")
        };
        let expected = json!({"city": "Rome", "unit": "fahrenheit", "days": 7, "where": [9.0]});
        assert_eq!(call.arguments, expected);
        let quoted = &wants(Choice::Auto).calls("Now get weather for \"New York\".", "x")[0];
        assert_eq!(quoted.arguments["city"], "New York");
        assert_eq!(quoted.arguments["days"], 1);
        assert_ne!(call.id, wants(Choice::Auto).calls("clock", "y")[0].id);
    }

    #[test]
    fn an_answer_is_put_into_its_form() {
        let form = Some(json!({
            "type": "object",
            "required": ["answer", "sure", "parts"],
            "properties": {
                "answer": {"type": "number"},
                "sure": {"type": "boolean"},
                "parts": {"type": "array", "items": {"type": "string"}},
            },
        }));
        let wants = Wants { form, ..Wants::default() };
        let answer = wants.answer("3 + 4 = 7\nAnswer: 35".into());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer, json!({"answer": 35.0, "sure": true, "parts": ["35"]}));
        assert_eq!(Wants::default().answer("so".into()), "so");
    }

    #[test]
    fn a_schema_that_refers_to_itself_has_an_end() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        let offer = Offer { name: "list".into(), schema };
        let wants = Wants { tools: vec![offer], ..Wants::default() };
        assert_eq!(wants.calls("list", "x").len(), 1);
    }
}
