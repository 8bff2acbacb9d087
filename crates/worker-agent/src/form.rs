//! Whether an answer has the form that was asked for.

use baton_checks::Schema;
use baton_workflow::AnswerForm;
use serde_json::Value;

/// What is wrong with the form of `text`, if anything is.
pub(crate) fn fault(form: &AnswerForm, text: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(text.trim()) {
        Ok(value) => value,
        Err(error) => return Some(format!("it is not JSON: {error}")),
    };
    match form {
        AnswerForm::JsonObject if value.is_object() => None,
        AnswerForm::JsonObject => Some("it is JSON, but not an object".into()),
        AnswerForm::JsonSchema { schema, .. } => {
            compiled(schema)?.faults(&value)?.into_iter().next()
        }
    }
}

/// Nothing where the schema cannot be used here (it may refer to others elsewhere): then
/// the provider's word that the answer follows it has to do.
fn compiled(schema: &str) -> Option<Schema> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    Schema::compile(&schema)
        .inspect_err(|error| tracing::info!(%error, "an answer's schema cannot be checked"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: &AnswerForm, text: &str, expected: Option<&str>) {
        let found = fault(form, text);
        let same = match (&found, expected) {
            (Some(found), Some(expected)) => found.contains(expected),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        assert!(same, "{text}: {found:?}");
    }

    #[test]
    fn an_object_is_an_object() {
        let form = AnswerForm::JsonObject;
        check(&form, " {\"a\": 1}\n", None);
        check(&form, "[1]", Some("not an object"));
        check(&form, "```json\n{}\n```", Some("not JSON"));
        check(&form, "", Some("not JSON"));
    }

    #[test]
    fn a_schema_is_followed_or_not() {
        let schema = r#"{"type":"object","required":["n"],"additionalProperties":false,
            "properties":{"n":{"type":"integer"},"s":{"type":"string","pattern":"^(a+)+$"}}}"#;
        let (name, schema) = ("n".into(), schema.into());
        let form = AnswerForm::JsonSchema { name, description: None, schema, strict: None };
        check(&form, r#"{"n": 1}"#, None);
        check(&form, r#"{"n": "one"}"#, Some("/n"));
        check(&form, "{}", Some("n"));
        check(&form, r#"{"n": 1, "m": 2}"#, Some("m"));
        let long = format!(r#"{{"n": 1, "s": "{}b"}}"#, "a".repeat(5_000));
        check(&form, &long, Some("/s"));
    }

    #[test]
    fn a_schema_that_cannot_be_used_complains_of_nothing_but_json() {
        let schema = r#"{"$ref": "https://x.test/schema.json"}"#.into();
        let form =
            AnswerForm::JsonSchema { name: "n".into(), description: None, schema, strict: None };
        check(&form, "{}", None);
        check(&form, "so", Some("not JSON"));
    }
}
