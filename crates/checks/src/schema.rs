//! Whether an answer is JSON that follows a schema.

use crate::{Code, Report, SpecError};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::collections::HashMap;

pub(crate) const JSON: &str = "json.schema/1";

/// Bytes of a schema, and of an answer that is validated.
const SCHEMA_BYTES_MAX: usize = 64 << 10;
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Subschemas that one value may have to meet, references followed.
const WEIGHT_MAX: u64 = 10_000;
/// How often one value may be validated: references per level, to the power of the levels.
const VISITS_MAX: u64 = 1_000_000;
/// Complaints that feedback tells, and characters of each: validators quote the answer.
const FAULTS_TOLD_MAX: usize = 3;
const FAULT_CHARS_MAX: usize = 300;
/// Keywords whose subschemas look at the same value.
const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// A schema, ready to validate.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    references: u64,
}

impl Schema {
    /// Prepares a schema. Nothing is ever fetched: references lead to places within it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, SpecError> {
        let wrong = |message: String| SpecError::new("schema", message);
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(wrong(format!(
                "it has {bytes} bytes: expected at most {SCHEMA_BYTES_MAX}"
            )));
        }
        let references = Walk::of(schema).map_err(wrong)?;
        // Patterns come from users: only matching in linear time is safe.
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(schema).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            wrong(format!("it is no JSON schema: {place}{}", cut(&error.to_string())))
        })?;
        Ok(Self { validator, references })
    }

    /// What is wrong with a value: each complaint with its place. Empty if nothing is, and
    /// none if finding out would be too much work.
    pub fn faults(&self, value: &Value) -> Option<Vec<String>> {
        let visits = self.references.max(1).checked_pow(depth(value));
        visits.filter(|visits| *visits <= VISITS_MAX)?;
        let errors = self.validator.iter_errors(value).take(FAULTS_TOLD_MAX);
        Some(
            errors
                .map(|error| {
                    let place = error.instance_path().to_string();
                    let place = if place.is_empty() { "the whole" } else { place.as_str() };
                    cut(&format!("{place}: {error}"))
                })
                .collect(),
        )
    }
}

fn cut(text: &str) -> String {
    text.chars().take(FAULT_CHARS_MAX).collect()
}

/// Values within values; the parser allows 128 of them.
fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The answer is JSON as it stands, or its only fenced block is; nothing is repaired.
pub(crate) fn follows(schema: &Schema, candidate: &str) -> Report {
    let text = candidate.trim();
    if text.len() > ANSWER_BYTES_MAX {
        return Report::abstain(JSON, Code::TooMuch).saying(format!(
            "the answer has {} bytes: at most {ANSWER_BYTES_MAX} are validated",
            text.len()
        ));
    }
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) => match only_block(text).map(serde_json::from_str::<Value>) {
            Some(Ok(value)) => value,
            Some(Err(error)) => return not_json(&format!("the fenced block is not JSON: {error}")),
            None => return not_json(&format!("the answer is not JSON: {error}")),
        },
    };
    match schema.faults(&value) {
        None => Report::abstain(JSON, Code::TooMuch)
            .saying("the answer is nested deeper than this schema can be validated"),
        Some(faults) if faults.is_empty() => Report::pass(JSON),
        Some(faults) => Report::fail(JSON, Code::NotValid).saying(faults.join("; ")),
    }
}

fn not_json(feedback: &str) -> Report {
    Report::fail(JSON, Code::NotJson).saying(cut(feedback))
}

/// What stands between the only two fences.
fn only_block(text: &str) -> Option<&str> {
    let (_, behind) = text.split_once("```")?;
    let (inside, rest) = behind.split_once("```")?;
    if rest.contains("```") {
        return None;
    }
    // The first line names the language.
    inside.split_once('\n').map(|(_, block)| block.trim())
}

/// Follows what looks at the same value, through references.
struct Walk<'a> {
    root: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    /// By address: weight and references, or nothing while being looked at.
    seen: HashMap<*const Value, Option<(u64, u64)>>,
}

impl<'a> Walk<'a> {
    /// The most references that one value may have to follow.
    fn of(root: &'a Value) -> Result<u64, String> {
        let mut walk = Self { root, anchors: HashMap::new(), seen: HashMap::new() };
        let mut nodes = Vec::new();
        all(root, &mut nodes);
        for node in &nodes {
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = node.get(keyword).and_then(Value::as_str) {
                    walk.anchors.insert(name, node);
                }
            }
        }
        let mut most = 0;
        for node in nodes {
            most = most.max(walk.weigh(node)?.1);
        }
        Ok(most)
    }

    fn weigh(&mut self, node: &'a Value) -> Result<(u64, u64), String> {
        match self.seen.get(&std::ptr::from_ref(node)) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => {
                return Err("it refers to itself without going deeper into the value".into());
            }
            None => {}
        }
        let Value::Object(keywords) = node else { return Ok((1, 0)) };
        self.seen.insert(std::ptr::from_ref(node), None);
        let (mut weight, mut references) = (1_u64, 0_u64);
        let mut parts = Vec::new();
        for keyword in IN_PLACE {
            match keywords.get(keyword) {
                Some(Value::Array(items)) => parts.extend(items),
                Some(Value::Object(named)) if keyword.starts_with("depend") => {
                    parts.extend(named.values());
                }
                Some(other) => parts.push(other),
                None => {}
            }
        }
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(target) = keywords.get(keyword).and_then(Value::as_str) {
                parts.push(self.target(target)?);
                references += 1;
            }
        }
        for part in parts {
            let (more, further) = self.weigh(part)?;
            weight = weight.saturating_add(more);
            references = references.saturating_add(further);
        }
        if weight > WEIGHT_MAX {
            return Err(format!("one value would have to meet more than {WEIGHT_MAX} subschemas"));
        }
        self.seen.insert(std::ptr::from_ref(node), Some((weight, references)));
        Ok((weight, references))
    }

    fn target(&self, reference: &str) -> Result<&'a Value, String> {
        let shown: String = reference.chars().take(100).collect();
        let behind = reference.strip_prefix('#').ok_or_else(|| {
            format!(
                "it refers to {shown:?}: only references within the schema (`#...`) are followed"
            )
        })?;
        let found = match behind {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => {
                self.root.pointer(&pointer.replace("%25", "%").replace("%24", "$"))
            }
            anchor => self.anchors.get(anchor).copied(),
        };
        found.ok_or_else(|| format!("it refers to {shown:?}, which is not there"))
    }
}

/// Every value within a value, itself first.
fn all<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| all(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, answer: &str, expected: &str) {
        let report = follows(&Schema::compile(schema).unwrap(), answer);
        let told = format!("{} {}", report.code.name(), report.feedback);
        assert!(told.starts_with(expected), "{answer}: {told}");
    }

    #[test]
    fn an_answer_follows_its_schema_or_is_told_where_it_does_not() {
        let schema = json!({
            "type": "object", "required": ["items"], "additionalProperties": false,
            "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
            "$defs": {"item": {"properties": {"price": {"type": "number", "minimum": 0}}}},
        });
        check(&schema, r#"{"items": [{"price": 3}]}"#, "accepted");
        check(&schema, "Here:\n```json\n{\"items\": []}\n```\nDone.", "accepted");
        check(&schema, r#"{"items": [{"price": "3"}]}"#, "not_valid /items/0/price: \"3\" is not");
        check(&schema, "{}", "not_valid the whole: \"items\" is a required property");
        check(&schema, "{\"items\": [],}", "not_json the answer is not JSON: trailing comma");
        check(&schema, "{'items': []}", "not_json");
        check(&schema, "```\n{}\n```\n```\n{}\n```", "not_json the answer is not JSON");
        check(&schema, "```\n{\n```", "not_json the fenced block is not JSON");
        check(&schema, "", "not_json");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused() {
        for (schema, part) in [
            (json!({"type": "text"}), "it is no JSON schema"),
            (json!({"pattern": "(a"}), "it is no JSON schema"),
            (json!({"$ref": "https://x.test/s.json"}), "only references within"),
            (json!({"$ref": "file:///etc/passwd"}), "only references within"),
            (json!({"$ref": "#/$defs/none"}), "which is not there"),
            (json!({"$ref": "#"}), "refers to itself"),
            (json!({"allOf": [{"anyOf": [{"$ref": "#"}]}]}), "refers to itself"),
            (json!({"description": "a".repeat(70_000)}), "bytes"),
            (json!([]), "it is no JSON schema"),
        ] {
            let error = Schema::compile(&schema).unwrap_err();
            assert_eq!(error.field, "schema");
            assert!(error.message.contains(part), "{schema}: {}", error.message);
        }
    }

    #[test]
    fn hostile_schemas_are_refused_or_cheap() {
        // Two to the thirtieth subschemas for one value.
        let mut definitions = serde_json::Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            definitions.insert(format!("d{level}"), json!({"allOf": [next.clone(), next]}));
        }
        definitions.insert("d30".into(), json!({"type": "object"}));
        let bomb = json!({"$ref": "#/$defs/d0", "$defs": definitions});
        assert!(Schema::compile(&bomb).unwrap_err().message.contains("more than"));
        // Twice as many for each level of the answer.
        let twice = json!({"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
        let deep = |levels: usize| "{\"x\":".repeat(levels) + "{}" + &"}".repeat(levels);
        check(&twice, &deep(5), "accepted");
        check(&twice, &deep(100), "too_much");
        // A list is as deep as it is long.
        let list = json!({"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}});
        let deep = |levels: usize| "{\"next\":".repeat(levels) + "{\"n\":0}" + &"}".repeat(levels);
        check(&list, &deep(100), "accepted");
        let slow = json!({"type": "string", "pattern": "^(a+)+$"});
        check(&slow, &format!("\"{}b\"", "a".repeat(50_000)), "not_valid");
    }
}
