//! Versions side by side: what the version before wrote is read by this one, what this one
//! writes has all that the version before reads, and either passes by what it does not know.
//!
//! Every type that one process writes and another reads is here, by the bytes that released
//! versions wrote (`tests/golden/VERSION/`): journals, and `messages.txt`, a line for each
//! kind of everything else. A required member, or one that is not written any more, is a
//! failure here; so is a reader that refuses members it does not know.

use baton_engine::{Assignment, End, Event, Reported};
use baton_workflow::{Conversation, ToolCall, Words};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};

/// Members whose object says by its only member which it is, or counts: it has no fields
/// that could be added.
const CLOSED: [&str; 5] = ["planning", "source", "access", "choice", "kept"];

/// With a member of a later version in every object.
fn of_later(value: &Value, is_closed: bool) -> Value {
    match value {
        Value::Object(members) => {
            let inner = |(name, value): (&String, &Value)| {
                (name.clone(), of_later(value, CLOSED.contains(&name.as_str())))
            };
            let more =
                (!is_closed).then(|| ("of_later".to_owned(), serde_json::json!({ "x": [1] })));
            Value::Object(members.iter().map(inner).chain(more).collect())
        }
        Value::Array(items) => items.iter().map(|item| of_later(item, false)).collect(),
        plain => plain.clone(),
    }
}

/// Where `written` lacks something of `golden`, or has it otherwise.
fn lacks(written: &Value, golden: &Value) -> Option<String> {
    match (written, golden) {
        (Value::Object(written), Value::Object(golden)) => golden.iter().find_map(|(name, old)| {
            let found = written.get(name).map_or(Some(String::new()), |new| lacks(new, old));
            found.map(|rest| format!(".{name}{rest}"))
        }),
        (Value::Array(written), Value::Array(golden)) if written.len() == golden.len() => {
            written.iter().zip(golden).find_map(|(new, old)| lacks(new, old))
        }
        (written, golden) => (written != golden).then(|| format!(": {written} for {golden}")),
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(line: &str) {
    let mut golden: Value = serde_json::from_str(line).unwrap();
    if let Value::Object(members) = &mut golden {
        members.remove("v");
    }
    let read = |value: Value, what: &str| -> T {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{what}: {error}: {line}"))
    };
    let known = read(golden.clone(), "what the version before wrote is not read");
    let lacking = lacks(&serde_json::to_value(&known).unwrap(), &golden);
    assert_eq!(lacking, None, "the version before would miss it: {line}");
    let later = read(of_later(&golden, false), "what a later version adds is not passed by");
    assert_eq!(later, known, "what a later version adds changes what is read: {line}");
}

#[test]
fn versions_work_side_by_side() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = BTreeSet::new();
    let versions = fs::read_dir(golden).unwrap().map(Result::unwrap);
    for folder in versions.filter(|entry| entry.file_type().unwrap().is_dir()) {
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            let text = fs::read_to_string(file.path()).unwrap();
            if file.path().extension().is_some_and(|extension| extension == "jsonl") {
                text.lines().for_each(check::<Event>);
            }
            if file.file_name() != "messages.txt" {
                continue;
            }
            for line in text.lines() {
                let (kind, json) = line.split_once(' ').unwrap();
                match kind {
                    "event" => check::<Event>(json),
                    "reported" => check::<Reported>(json),
                    "assignment" => check::<Assignment>(json),
                    "end" => check::<End>(json),
                    "conversation" => check::<Conversation>(json),
                    "words" => check::<Words>(json),
                    "calls" => check::<Vec<ToolCall>>(json),
                    unknown => panic!("nothing reads {unknown}"),
                }
                seen.insert(kind.to_owned());
            }
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}
