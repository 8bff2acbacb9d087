//! What differs between two documents of settings, by the names of the file.

use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// What tells the entries of a list of tables apart.
pub(crate) const NAMES: [&str; 3] = ["id", "env", "file"];

/// One difference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Where: `agents.gpt.price.input`.
    pub path: String,
    /// What stands in the first document; nothing where the second has more.
    pub from: Option<Value>,
    /// What stands in the second one; nothing where the first has more.
    pub to: Option<Value>,
}

impl fmt::Display for Difference {
    /// As a person would say it: `limits.steps_max 5 -> 4`, `agents.gpt added`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "{path} {from} -> {to}"),
            (None, Some(to)) if !to.is_object() => write!(f, "{path} set to {to}"),
            (None, _) => write!(f, "{path} added"),
            (Some(_), None) => write!(f, "{path} removed"),
        }
    }
}

/// Everything that `to` says otherwise than `from`. Tables that only one of them has are
/// one difference; lists of tables are compared by what names their entries.
pub fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(from), Some(to), &mut found);
    found
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    if let (Some(Value::Object(from)), Some(Value::Object(to))) = (from, to) {
        return compare_tables(path, from, to, found);
    }
    // A table of tables that is missing has none of them.
    let none = Map::new();
    match (from.and_then(tables), to.and_then(tables)) {
        (Some(from), None) if to.is_none() => return compare_tables(path, from, &none, found),
        (None, Some(to)) if from.is_none() => return compare_tables(path, &none, to, found),
        (None | Some(_), None | Some(_)) => {}
    }
    let (named_from, named_to) = (from.and_then(by_name), to.and_then(by_name));
    // A list that is missing has no entries.
    let (named_from, named_to) = match (named_from, named_to) {
        (Some(from), Some(to)) => (from, to),
        (Some(named), None) if to.is_none() => (named, Vec::new()),
        (None, Some(named)) if from.is_none() => (Vec::new(), named),
        (None | Some(_), None | Some(_)) => {
            let (path, from, to) = (path.to_owned(), from.cloned(), to.cloned());
            return found.push(Difference { path, from, to });
        }
    };
    let order = |named: &[(String, &Value)]| -> Vec<String> {
        named.iter().map(|(name, _)| name.clone()).collect()
    };
    let (order_from, order_to) = (order(&named_from), order(&named_to));
    let table = |named: Vec<(String, &Value)>| -> Map<String, Value> {
        named.into_iter().map(|(name, entry)| (name, entry.clone())).collect()
    };
    compare_tables(path, &table(named_from), &table(named_to), found);
    let both = |order: &[String], other: &[String]| -> Vec<String> {
        order.iter().filter(|name| other.contains(name)).cloned().collect()
    };
    if both(&order_from, &order_to) != both(&order_to, &order_from) {
        let (from, to) = (Some(Value::from(order_from)), Some(Value::from(order_to)));
        found.push(Difference { path: format!("{path} (order)"), from, to });
    }
}

/// The fields of a table that has only tables in it.
fn tables(value: &Value) -> Option<&Map<String, Value>> {
    let fields = value.as_object().filter(|fields| !fields.is_empty())?;
    fields.values().all(Value::is_object).then_some(fields)
}

fn compare_tables(
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    found: &mut Vec<Difference>,
) {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for key in keys {
        compare(&step(path, key), from.get(key), to.get(key), found);
    }
}

/// The entries of a list of tables with their names; nothing if it is not such a list.
pub(crate) fn by_name(list: &Value) -> Option<Vec<(String, &Value)>> {
    let entries = list.as_array().filter(|entries| !entries.is_empty())?;
    let mut named = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let entry_of = |key: &&str| entry.get(*key).and_then(Value::as_str);
        entry.as_object()?;
        let name = NAMES.iter().find_map(entry_of);
        named.push((name.map_or_else(|| number.to_string(), str::to_owned), entry));
    }
    Some(named)
}

/// One level further down, quoted where TOML would quote it.
pub fn step(path: &str, key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let plain = !key.is_empty() && key.bytes().all(bare);
    let key = if plain { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(from: Value, to: Value, expected: &[&str]) {
        let said: Vec<_> = differences(&from, &to).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn what_differs_is_named_as_in_the_file() {
        check(json!({ "a": 1 }), json!({ "a": 1 }), &[]);
        check(
            json!({ "limits": { "steps_max": 5 }, "budget": { "usd": 1.0 } }),
            json!({ "limits": { "steps_max": 4 }, "budget": { "usd": 1.0, "calls": 2 } }),
            &["budget.calls set to 2", "limits.steps_max 5 -> 4"],
        );
        check(json!({ "tags": ["a"] }), json!({ "tags": ["b"] }), &[r#"tags ["a"] -> ["b"]"#]);
    }

    #[test]
    fn entries_of_lists_are_told_apart_by_name() {
        let agent = |id: &str, price: f64| json!({ "id": id, "price": { "input": price } });
        check(
            json!({ "agents": [agent("a", 1.0), agent("b:8", 1.0), agent("c", 1.0)] }),
            json!({ "agents": [agent("b:8", 2.5), agent("a", 1.0), agent("d", 1.0)] }),
            &[
                "agents.\"b:8\".price.input 1.0 -> 2.5",
                "agents.c removed",
                "agents.d added",
                r#"agents (order) ["a","b:8","c"] -> ["b:8","a","d"]"#,
            ],
        );
        check(
            json!({}),
            json!({ "keys": [{ "env": "K", "tenant": "t" }], "tenants": { "t": { "weight": 1 } } }),
            &["keys.K added", "tenants.t added"],
        );
    }
}
