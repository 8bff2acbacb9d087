//! `[[keys]]`: who may call.

use super::{
    Context,
    faults::Faults,
    table::{Shape, Table},
};
use crate::{Auth, KeySettings, settings::open_auth};
use baton_workflow::TenantId;

const KEY: Shape = Shape { required: &["tenant"], optional: &["env", "file", "operator"] };

/// Whoever shows a key, or everybody where none is configured.
pub(super) fn auth(root: Table<'_>, context: &Context<'_>, faults: &mut Faults<'_>) -> Auth {
    if !root.has("keys") {
        return open_auth();
    }
    // An empty list is refused: it reads like "nobody may call".
    let tables = root.tables("keys", faults).unwrap_or_default();
    let mut keys: Vec<KeySettings> = Vec::new();
    for (number, (at, entries)) in tables.into_iter().enumerate() {
        let path = format!("keys[{number}]");
        let table = Table::open(&path, at, entries, &KEY, faults);
        if !table.has("env") && !table.has("file") {
            faults.at(at, format!("{path} names no key: add env or file"));
        }
        let key = context.secret(table, ["env", "file"], faults);
        let tenant = table.text("tenant", faults).map(TenantId::new);
        if let Some(Err(error)) = &tenant {
            faults.at(table.at("tenant"), format!("{}: {error}", table.name("tenant")));
        }
        let operator = table.flag("operator", faults).unwrap_or(false);
        let (Some(key), Some(Ok(tenant))) = (key, tenant) else { continue };
        if keys.iter().any(|known| known.key == key) {
            faults.at(at, format!("{path} names a key that is named before: remove one"));
        }
        keys.push(KeySettings { key, tenant, operator });
    }
    Auth::Keys(keys)
}
