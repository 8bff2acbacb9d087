//! `[tenants.NAME]`: what a tenant is entitled to.

use super::{
    faults::Faults,
    table::{Shape, Table},
};
use crate::TenantSettings;
use baton_workflow::{TenantId, Usd};
use std::collections::BTreeMap;

/// Largest weight: the ledger's.
const WEIGHT_MAX: u32 = 1000;
/// Most tasks at a time, and most runs, that can be configured: far past any cluster.
const COUNT_MAX: u32 = 1_000_000;

const TENANT: Shape =
    Shape { required: &[], optional: &["weight", "leased_max", "runs_max", "worth_usd"] };

/// All tenants of whom something is said.
pub(super) fn tenants(
    root: Table<'_>,
    faults: &mut Faults<'_>,
) -> BTreeMap<TenantId, TenantSettings> {
    let mut tenants = BTreeMap::new();
    let Some((_, named)) = root.table("tenants", faults) else { return tenants };
    for (name, value) in named {
        let path = format!("tenants.{}", name.get_ref());
        let (at, id) = (value.span().start, TenantId::new(name.get_ref()));
        let id = id.map_err(|error| faults.at(name.span().start, format!("{path}: {error}")));
        match value.get_ref().as_table() {
            Some(entries) => {
                let table = Table::open(&path, at, entries, &TENANT, faults);
                let terms = terms(table, faults);
                tenants.extend(id.ok().map(|id| (id, terms)));
            }
            None => faults.at(at, format!("{path} is not a table: write [{path}]")),
        }
    }
    tenants
}

fn terms(table: Table<'_>, faults: &mut Faults<'_>) -> TenantSettings {
    let default = TenantSettings::default();
    let worth = table.number("worth_usd", faults).map(Usd::from_dollars);
    let worth = match worth {
        Some(Ok(worth)) if worth > Usd::ZERO => Some(worth),
        Some(Ok(_)) => {
            table.wrong("worth_usd", "dollars, a number above 0", faults);
            None
        }
        Some(Err(error)) => {
            faults.at(table.at("worth_usd"), format!("{}: {error}", table.name("worth_usd")));
            None
        }
        None => None,
    };
    let mut count = |key, max, default| table.whole(key, 1..=max, faults).unwrap_or(default);
    TenantSettings {
        weight: count("weight", WEIGHT_MAX, default.weight),
        leased_max: count("leased_max", COUNT_MAX, default.leased_max),
        runs_max: table
            .whole("runs_max", 1..=u64::from(COUNT_MAX), faults)
            .unwrap_or(default.runs_max),
        worth,
    }
}
