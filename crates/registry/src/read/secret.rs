//! Where secrets are, and whether they are there.

use super::{Context, faults::Faults, table::Table};
use crate::SecretRef;

impl Context<'_> {
    /// The secret that the table names under `env` or `file`, if it names one. Complains
    /// if it cannot be read now; its text is looked at, never kept and never shown.
    pub(super) fn secret(
        &self,
        table: Table<'_>,
        [env, file]: [&str; 2],
        faults: &mut Faults<'_>,
    ) -> Option<SecretRef> {
        if table.has(env) && table.has(file) {
            let (first, second) = (table.name(env), table.name(file));
            faults.at(table.at(file), format!("{first} and {second} are both given: remove one"));
        }
        if table.has(env) {
            return self.variable(table, env, faults);
        }
        let given = table.text(file, faults)?;
        // Beside the configuration, so that it does not matter where Baton is started.
        let path = self.folder.join(given);
        let name = table.name(file);
        if self.elsewhere {
            if !path.is_absolute() {
                let reason = format!(
                    "{name} is {given:?}: expected a full path, because each process that \
                     shares this configuration starts in a folder of its own"
                );
                faults.at(table.at(file), reason);
            }
            return Some(SecretRef::File(path));
        }
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                faults.at(
                    table.at(file),
                    format!("{name}: {} is empty: expected a key", path.display()),
                );
            }
            Ok(_) => {}
            Err(error) => {
                let path = path.display();
                let reason =
                    format!("{name}: {path} cannot be read ({error}): expected a file with a key");
                faults.at(table.at(file), reason);
            }
        }
        Some(SecretRef::File(path))
    }

    fn variable(&self, table: Table<'_>, key: &str, faults: &mut Faults<'_>) -> Option<SecretRef> {
        let variable = table.text(key, faults)?;
        let name = table.name(key);
        if !is_variable(variable) {
            // Not quoted: what is no name of a variable may well be the key itself.
            let reason = format!(
                "{name} is not the name of an environment variable: \
                 expected letters, digits and '_', and never the key itself"
            );
            faults.at(table.at(key), reason);
            return None;
        }
        let value = (self.env)(variable).filter(|value| !value.trim().is_empty());
        if value.is_none() && !self.elsewhere {
            let reason = format!(
                "{name}: the environment variable {variable} is not set: set it to the key"
            );
            faults.at(table.at(key), reason);
        }
        Some(SecretRef::Env(variable.to_owned()))
    }
}

fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit())
}
