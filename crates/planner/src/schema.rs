//! The published JSON schema of a plan.

use serde_json::{Value, json};

/// The JSON forms of a plan that [`read`](crate::read) takes, as JSON Schema (draft
/// 2020-12). What depends on the pool and the limits, such as which agents there are,
/// is left to `read`.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Plan",
        "description": "A workflow for a team of agents. No step at all means that the earlier answer stands.",
        "anyOf": [{ "$ref": "#/$defs/steps" }, { "$ref": "#/$defs/lists" }],
        "$defs": {
            "steps": {
                "type": "object",
                "properties": {
                    "reasoning": { "$ref": "#/$defs/reasoning" },
                    "steps": {
                        "type": "array",
                        "items": { "anyOf": [
                            {
                                "type": "object",
                                "properties": {
                                    "agent": { "$ref": "#/$defs/agent" },
                                    "subtask": { "$ref": "#/$defs/subtask" },
                                    "access": { "$ref": "#/$defs/access" }
                                },
                                "required": ["agent", "subtask", "access"],
                                "additionalProperties": false
                            },
                            { "$ref": "#/$defs/verified" },
                            { "$ref": "#/$defs/kept" }
                        ] }
                    },
                    "selection": { "$ref": "#/$defs/selection" }
                },
                "required": ["steps"],
                "additionalProperties": false
            },
            "lists": {
                "description": "The same as three lists with one entry for each step.",
                "type": "object",
                "properties": {
                    "reasoning": { "$ref": "#/$defs/reasoning" },
                    "model_id": { "type": "array", "items": { "$ref": "#/$defs/agent" } },
                    "subtasks": { "type": "array", "items": { "$ref": "#/$defs/subtask" } },
                    "access_list": { "type": "array", "items": { "$ref": "#/$defs/access" } },
                    "selection": { "$ref": "#/$defs/selection" }
                },
                "required": ["model_id", "subtasks", "access_list"],
                "additionalProperties": false
            },
            "verified": {
                "description": "The verifier checks what it sees with the run's own check; several are put to the vote.",
                "type": "object",
                "properties": {
                    "agent": { "const": "verifier" },
                    "subtask": { "const": "" },
                    "access": { "$ref": "#/$defs/access" }
                },
                "required": ["agent", "subtask", "access"],
                "additionalProperties": false
            },
            "kept": {
                "description": "A step of the round before, by its position there: it is not done again, and its output is the one it had.",
                "type": "object",
                "properties": { "keep": { "type": "integer", "minimum": 0 } },
                "required": ["keep"],
                "additionalProperties": false
            },
            "reasoning": {
                "description": "Thoughts on the way to the plan; not part of it.",
                "type": "string"
            },
            "agent": {
                "description": "An agent, by its number in the pool or by its id.",
                "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "minLength": 1 }]
            },
            "subtask": {
                "description": "The instruction for that agent.",
                "type": "string",
                "minLength": 1
            },
            "access": {
                "description": "Which earlier steps the agent sees: none, all, or those at these positions, counted from 0.",
                "anyOf": [
                    { "const": "all" },
                    { "const": ["all"] },
                    { "type": "array", "items": { "type": "integer", "minimum": 0 } }
                ]
            },
            "selection": {
                "description": "The answer is the last step's output, or the majority among the outputs that no other step sees.",
                "enum": ["last", "majority"],
                "default": "last"
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool;
    use crate::{Strategy, read, write_json};
    use baton_workflow::Limits;

    const PUBLISHED: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/plan.schema.json");

    /// To publish a change, run this test with `UPDATE_SCHEMA=1` set.
    #[test]
    fn the_published_schema_is_this_one() {
        let ours = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(PUBLISHED, &ours).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PUBLISHED).unwrap(), ours);
    }

    /// Whatever the schema takes or refuses, `read` takes or refuses for the same form.
    fn check(plan: &str, good: bool) {
        let value: Value = serde_json::from_str(plan).unwrap();
        let validator = jsonschema::validator_for(&schema()).unwrap();
        assert_eq!(validator.is_valid(&value), good, "schema: {plan}");
        let read = read(plan, &pool(3), &Limits::default());
        assert_eq!(read.is_ok(), good, "read: {plan}: {read:?}");
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        for name in Strategy::NAMES {
            let strategy = Strategy::parse(name, &Value::Null).unwrap();
            let flow = strategy.workflow(&pool(3), &Limits::default()).unwrap();
            check(&write_json(&flow), true);
        }
        check(r#"{"steps": []}"#, true);
        check(r#"{"model_id": [], "subtasks": [], "access_list": []}"#, true);
        check(
            r#"{"reasoning": "x", "model_id": [0], "subtasks": ["a"], "access_list": ["all"]}"#,
            true,
        );
        check(r#"{"steps": [{"agent": 0, "subtask": "a", "access": "all"}]}"#, true);
        check(r#"{"steps": [{"agent": "large", "subtask": "a", "access": []}]}"#, true);
        check(r#"{"steps": [{"agent": 0, "subtask": "a"}]}"#, false);
        check(r#"{"steps": [{"agent": 0.5, "subtask": "a", "access": []}]}"#, false);
        check(r#"{"steps": [{"agent": 0, "subtask": "", "access": []}]}"#, false);
        check(r#"{"steps": [{"agent": 0, "subtask": "a", "access": ["0"]}]}"#, false);
        check(r#"{"steps": [{"agent": 0, "subtask": "a", "access": [], "why": "x"}]}"#, false);
        check(r#"{"steps": [], "selection": "best"}"#, false);
        check(r#"{"steps": [], "title": "x"}"#, false);
        check(r#"{"model_id": [0], "subtasks": ["a"]}"#, false);
    }
}
