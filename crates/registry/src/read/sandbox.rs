//! `[sandbox]`: where programs out of answers are run.

use super::{
    faults::Faults,
    table::{Shape, Table},
};
use crate::{IsolationLevel, SandboxSettings};
use std::path::PathBuf;

/// Programs at the same time: far past any machine's processors.
const SLOTS_MAX: u32 = 1024;

const SANDBOX: Shape = Shape {
    required: &[],
    optional: &[
        "at_least",
        "at_most",
        "python",
        "libraries",
        "folder",
        "uid",
        "control_groups",
        "slots",
    ],
};

/// What `[sandbox]` says; where it says nothing, the defaults.
pub(super) fn sandbox(root: Table<'_>, faults: &mut Faults<'_>) -> SandboxSettings {
    let default = SandboxSettings::default();
    let Some((at, entries)) = root.table("sandbox", faults) else { return default };
    let table = Table::open("sandbox", at, entries, &SANDBOX, faults);
    let at_least = level(&table, "at_least", faults).unwrap_or(default.at_least);
    let at_most = level(&table, "at_most", faults).unwrap_or(default.at_most);
    if at_most < at_least {
        table.wrong(
            "at_most",
            &format!("at_least, which is {}, or above", at_least.name()),
            faults,
        );
    }
    SandboxSettings {
        at_least,
        at_most,
        python: absolute(&table, "python", faults),
        libraries: libraries(&table, faults),
        folder: absolute(&table, "folder", faults),
        // 0 is root, whom nothing holds.
        uid: table.whole("uid", 1..=u32::MAX - 1, faults).unwrap_or(default.uid),
        control_groups: table.flag("control_groups", faults).unwrap_or(default.control_groups),
        slots: table.whole("slots", 1..=SLOTS_MAX, faults),
    }
}

/// Every process that reads it means the same place.
fn absolute(table: &Table<'_>, key: &'static str, faults: &mut Faults<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(table.text(key, faults)?);
    if !path.is_absolute() {
        table.wrong(key, "an absolute path", faults);
    }
    Some(path)
}

fn libraries(table: &Table<'_>, faults: &mut Faults<'_>) -> Vec<PathBuf> {
    let paths: Vec<_> = table.texts("libraries", faults).into_iter().map(PathBuf::from).collect();
    if !paths.iter().all(|path| path.is_absolute()) {
        table.wrong("libraries", "absolute paths", faults);
    }
    paths
}

fn level(table: &Table<'_>, key: &'static str, faults: &mut Faults<'_>) -> Option<IsolationLevel> {
    let name = table.text(key, faults)?;
    let level = IsolationLevel::ALL.into_iter().find(|level| level.name() == name);
    if level.is_none() {
        table.wrong(key, "lsm or ns; there is no way to run programs without a sandbox", faults);
    }
    level
}
