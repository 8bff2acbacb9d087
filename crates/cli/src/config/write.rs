//! A document of settings as TOML, with a remark beside each value.

use baton_registry::step;
use serde_json::{Map, Value};

/// The tables of the file in the order of the guide; what is not among them comes last.
const ORDER: [&str; 8] =
    ["server", "providers", "agents", "policy", "limits", "budget", "tenants", "keys"];
/// What comes first in a table, because it names it.
const FIRST: [&str; 3] = ["id", "env", "file"];
/// Remarks stand in one column, unless a value is longer.
const COLUMN: usize = 56;

/// The document; `remark` is asked about each value by its path.
pub(super) fn toml(document: &Value, remark: &dyn Fn(&str) -> Option<String>) -> String {
    let mut lines = Lines { text: String::new(), remark };
    let empty = Map::new();
    let mut sections: Vec<_> = document.as_object().unwrap_or(&empty).iter().collect();
    let place = |name: &str| ORDER.iter().position(|other| *other == name).unwrap_or(ORDER.len());
    sections.sort_by_key(|(name, _)| place(name));
    for (name, section) in sections {
        lines.section(name, section);
    }
    lines.text.trim_start().to_owned()
}

struct Lines<'a> {
    text: String,
    remark: &'a dyn Fn(&str) -> Option<String>,
}

impl Lines<'_> {
    fn section(&mut self, name: &str, section: &Value) {
        let path = step("", name);
        match section {
            Value::Object(tables) if tables.values().all(Value::is_object) => {
                for (name, table) in tables {
                    let path = step(&path, name);
                    self.head(&format!("[{path}]"));
                    self.fields(&path, "", table);
                }
            }
            Value::Object(_) => {
                self.head(&format!("[{path}]"));
                self.fields(&path, "", section);
            }
            Value::Array(entries) => {
                for (number, entry) in entries.iter().enumerate() {
                    let name = FIRST.iter().find_map(|key| entry.get(*key)?.as_str());
                    let name = name.map_or_else(|| number.to_string(), str::to_owned);
                    self.head(&format!("[[{path}]]"));
                    self.fields(&step(&path, &name), "", entry);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.field(&path, &path, section);
            }
        }
    }

    fn head(&mut self, head: &str) {
        self.text.push_str(&format!("\n{head}\n"));
    }

    /// The fields of a table, those of tables inside it with dotted keys.
    fn fields(&mut self, path: &str, dotted: &str, table: &Value) {
        let empty = Map::new();
        let mut fields: Vec<_> = table.as_object().unwrap_or(&empty).iter().collect();
        fields.sort_by_key(|(name, _)| !FIRST.contains(&name.as_str()));
        for (name, value) in fields {
            let (path, dotted) = (step(path, name), step(dotted, name));
            match value.as_object().filter(|inner| !inner.is_empty()) {
                Some(_) => self.fields(&path, &dotted, value),
                None => self.field(&path, &dotted, value),
            }
        }
    }

    fn field(&mut self, path: &str, dotted: &str, value: &Value) {
        let line = format!("{dotted} = {}", inline(value));
        match (self.remark)(path) {
            Some(remark) => self.text.push_str(&format!("{line:COLUMN$} # {remark}\n")),
            None => self.text.push_str(&format!("{line}\n")),
        }
    }
}

/// A value on one line. JSON's texts and numbers are TOML's.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(entries) => {
            let entries: Vec<_> = entries.iter().map(inline).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, v)| format!("{} = {}", step("", key), inline(v)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_becomes_a_file_in_the_order_of_the_guide() {
        let document = json!({
            "limits": { "steps_max": 5 },
            "agents": [{ "concurrency": 8, "id": "a", "price": { "input": 0.25 }, "tags": ["x"] }],
            "policy": { "parameters": {}, "strategy": "direct" },
            "providers": { "p.q": { "base_url": "http://x/v1" } },
        });
        let remark = |path: &str| (path == "agents.a.price.input").then(|| "line 7".to_owned());
        let expected = "[providers.\"p.q\"]\nbase_url = \"http://x/v1\"\n\n\
            [[agents]]\nid = \"a\"\nconcurrency = 8\n\
            price.input = 0.25                                       # line 7\n\
            tags = [\"x\"]\n\n[policy]\nparameters = {}\nstrategy = \"direct\"\n\n\
            [limits]\nsteps_max = 5\n";
        assert_eq!(toml(&document, &remark), expected);
    }
}
