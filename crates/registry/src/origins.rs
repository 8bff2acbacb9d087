//! Where in a file the values of a configuration stand.

use crate::compare::step;
use std::collections::BTreeMap;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Lines of a file, by the names that [`crate::differences`] uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    lines: BTreeMap<String, usize>,
}

impl Origins {
    /// Of a configuration that was accepted; of any other text perhaps nothing.
    pub fn of(text: &str) -> Self {
        let mut origins = Self::default();
        let (document, _) = DeTable::parse_recoverable(text);
        origins.table("", document.get_ref(), text);
        origins
    }

    /// The line of this value, from 1; nothing if the file does not give it.
    pub fn line(&self, path: &str) -> Option<usize> {
        self.lines.get(path).copied()
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, text: &str) {
        for (key, value) in table {
            let path = step(path, key.get_ref());
            self.lines.insert(path.clone(), line(text, key.span().start));
            self.value(&path, value, text);
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, text: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table, text),
            DeValue::Array(entries) => {
                for (number, entry) in entries.iter().enumerate() {
                    let Some(table) = entry.get_ref().as_table() else { continue };
                    let name = name(table).unwrap_or_else(|| number.to_string());
                    let path = step(path, &name);
                    self.lines.insert(path.clone(), line(text, entry.span().start));
                    self.table(&path, table, text);
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

fn name(table: &DeTable<'_>) -> Option<String> {
    let find = |name: &str| {
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        value.get_ref().as_str().map(str::to_owned)
    };
    crate::compare::NAMES.iter().find_map(|name| find(name))
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let text = "[limits]\nsteps_max = 4\n\n[[agents]]\nid = \"a:1\"\nprice = { input = 1,\n  output = 2 }\n[providers.p]\nbase_url = \"http://x/v1\"\n";
        let origins = Origins::of(text);
        for (path, line) in [
            ("limits.steps_max", 2),
            ("agents.\"a:1\"", 4),
            ("agents.\"a:1\".id", 5),
            ("agents.\"a:1\".price.input", 6),
            ("agents.\"a:1\".price.output", 7),
            ("providers.p.base_url", 9),
        ] {
            assert_eq!(origins.line(path), Some(line), "{path}");
        }
        assert_eq!(origins.line("limits.rounds_max"), None);
    }
}
