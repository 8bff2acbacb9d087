//! A named strategy in the configuration.

use super::{faults::Faults, table::Table};
use crate::StrategySettings;
use baton_planner::Strategy;
use baton_workflow::{Limits, Pool};
use serde_json::{Map, Value};

/// The strategy under these two keys, if there is one. The pool is nothing where it
/// could not be read; then the agents that the strategy names are not checked.
pub(super) fn strategy(
    table: Table<'_>,
    [name, parameters]: [&str; 2],
    pool: Option<&Pool>,
    limits: &Limits,
    faults: &mut Faults<'_>,
) -> Option<StrategySettings> {
    if !table.has(name) {
        if table.has(parameters) {
            let reason =
                format!("{} is given without {}: add it", table.name(parameters), table.name(name));
            faults.at(table.at(parameters), reason);
        }
        return None;
    }
    let given = table.json(parameters, faults);
    let strategy = table.text(name, faults)?;
    let parsed = match &given {
        None => Strategy::parse(strategy, &Value::Null),
        Some(given) => Strategy::parse(strategy, given),
    };
    let checked = parsed.and_then(|strategy| match pool {
        Some(pool) => strategy.workflow(pool, limits).map(drop),
        None => Ok(()),
    });
    let known = Strategy::NAMES.contains(&strategy);
    let key = if known && table.has(parameters) { parameters } else { name };
    for reason in checked.err().into_iter().flatten() {
        faults.at(table.at(key), format!("{}: {reason}", table.name(key)));
    }
    let parameters = given.unwrap_or_else(|| Value::Object(Map::new()));
    Some(StrategySettings { name: strategy.to_owned(), parameters })
}
