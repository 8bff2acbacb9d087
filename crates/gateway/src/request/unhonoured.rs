//! Parameters of OpenAI's that a run cannot honour: refused, or known to change nothing.

use super::fields::Fields;
use crate::limits::{METADATA_ENTRIES_MAX, METADATA_KEY_CHARS_MAX, METADATA_VALUE_CHARS_MAX};
use serde_json::Value;

/// Texts that are accepted and change nothing: they speak of OpenAI's own accounts,
/// caches and models.
const IGNORED_TEXTS: [&str; 6] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "verbosity",
];
/// Flags of the same kind.
const IGNORED_FLAGS: [&str; 1] = ["store"];

/// Refused whenever they are given.
const REFUSED: [(&str, &str); 7] = [
    ("functions", "it is the older name: offer each function in tools"),
    ("function_call", "it is the older name: use tool_choice"),
    ("top_logprobs", NO_LOGPROBS),
    ("audio", TEXT_ONLY),
    ("prediction", "steps are planned anew for every request"),
    ("web_search_options", "nothing searches here: offer a function of your own in tools"),
    ("moderation", "nothing moderates a run"),
];
const NO_LOGPROBS: &str = "an answer made by several agents has no probabilities: leave it out";
const TEXT_ONLY: &str = "answers are text: leave it out";

/// Takes all of them out of the request.
pub(super) fn take(fields: &mut Fields<'_>) {
    for name in IGNORED_TEXTS {
        fields.text(name);
    }
    for name in IGNORED_FLAGS {
        fields.flag(name);
    }
    metadata(fields);
    for (name, why) in REFUSED {
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if fields.take(name).is_some_and(|value| !empty(&value)) {
            fields.faults.unsupported(name, why);
        }
    }
    unless(fields, "logprobs", NO_LOGPROBS, |value| value == &Value::Bool(false));
    unless(fields, "n", "send the request once for each answer", |value| value.as_u64() == Some(1));
    for name in ["presence_penalty", "frequency_penalty"] {
        unless(fields, name, "agents do not share a way to do it: leave it out", |value| {
            value.as_f64() == Some(0.0)
        });
    }
    unless(fields, "logit_bias", "agents do not share their tokens: leave it out", |value| {
        value.as_object().is_some_and(serde_json::Map::is_empty)
    });
    unless(fields, "modalities", TEXT_ONLY, |value| *value == serde_json::json!(["text"]));
}

/// Refuses a parameter unless it says what happens anyway.
fn unless(fields: &mut Fields<'_>, name: &str, why: &str, same: impl Fn(&Value) -> bool) {
    if fields.take(name).is_some_and(|value| !same(&value)) {
        fields.faults.unsupported(name, why);
    }
}

fn metadata(fields: &mut Fields<'_>) {
    let Some(map) = fields.object("metadata") else { return };
    if map.len() > METADATA_ENTRIES_MAX {
        let message =
            format!("metadata has {} entries: expected at most {METADATA_ENTRIES_MAX}", map.len());
        fields.faults.invalid("metadata", message);
    }
    for (key, value) in map.iter().take(METADATA_ENTRIES_MAX) {
        let key_fits = key.chars().count() <= METADATA_KEY_CHARS_MAX;
        let value_fits =
            value.as_str().is_some_and(|text| text.chars().count() <= METADATA_VALUE_CHARS_MAX);
        if !key_fits || !value_fits {
            let message = format!(
                "metadata entry {key:.64?}: expected a key of at most {METADATA_KEY_CHARS_MAX} \
                 characters and a string of at most {METADATA_VALUE_CHARS_MAX}"
            );
            fields.faults.invalid("metadata", message);
        }
    }
}
