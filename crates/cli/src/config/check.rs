//! `baton config check`.

use super::name;
use crate::{
    args::PoolArgs,
    connections::Connections,
    exit::Failure,
    live::check_exposure,
    output::{BAD, GOOD, PLAIN},
    settings::InForce,
};
use baton_gateway::check_keys;
use baton_registry::{Complaint, Settings, SettingsFaults};
use serde_json::json;
use std::process::ExitCode;

/// The configuration is wrong.
const WRONG: u8 = 2;

/// Checks what a start would check, without opening anything.
pub(super) fn check(pool: &PoolArgs, json: bool) -> Result<ExitCode, Failure> {
    let read = InForce::read(pool);
    let faults = read.and_then(|read| usable(&name(pool), &read.settings)).err();
    let source = faults.as_ref().map_or_else(|| name(pool), |faults| faults.source().to_owned());
    let complaints = faults.as_ref().map_or(&[][..], SettingsFaults::complaints);
    if json {
        let complaints = json!(complaints);
        let ok = faults.is_none();
        let document = json!({
            "object": "baton.config.check", "source": source, "ok": ok, "complaints": complaints,
        });
        anstream::println!("{document:#}");
    } else if complaints.is_empty() {
        anstream::println!("{GOOD}{source}{PLAIN}: nothing is wrong with it");
    } else {
        complaints.iter().for_each(|complaint| print(&source, complaint));
    }
    Ok(if faults.is_none() { ExitCode::SUCCESS } else { ExitCode::from(WRONG) })
}

fn print(source: &str, complaint: &Complaint) {
    let place = match (complaint.line, complaint.column) {
        (Some(line), Some(column)) => format!("{source}:{line}:{column}"),
        (Some(line), None) => format!("{source}:{line}"),
        (None, _) => source.to_owned(),
    };
    anstream::println!("{BAD}{place}{PLAIN}: {}", complaint.reason);
}

/// What reading alone does not find: keys, clients, exposure.
fn usable(source: &str, settings: &Settings) -> Result<(), SettingsFaults> {
    let keys = check_keys(&settings.auth).err().into_iter().flatten();
    let mut reasons: Vec<_> = keys.map(|error| error.to_string()).collect();
    let connections = Connections::default().of(settings).err().into_iter().flatten();
    reasons.extend(connections.map(|(_, reason)| reason));
    reasons.extend(check_exposure(settings.server.listen, settings).err());
    if reasons.is_empty() {
        return Ok(());
    }
    let complaint = |reason| Complaint { line: None, column: None, reason };
    Err(SettingsFaults::new(source, reasons.into_iter().map(complaint).collect()))
}
