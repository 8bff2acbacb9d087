//! `[retention]`: how long finished runs are kept.

use super::{
    faults::Faults,
    table::{Shape, Table},
};
use crate::RetentionSettings;

/// Ten years: what is to be kept longer is to be kept for ever.
const DAYS_MAX: u32 = 3650;
const RUNS_MAX: u32 = 1_000_000_000;
const KEYS_HOURS_MAX: u32 = 24 * 365;

const RETENTION: Shape = Shape { required: &[], optional: &["days", "runs_max", "keys_hours"] };

/// What `[retention]` says; where it says nothing, the defaults. 0 stands for no bound.
pub(super) fn retention(root: Table<'_>, faults: &mut Faults<'_>) -> RetentionSettings {
    let default = RetentionSettings::default();
    let Some((at, entries)) = root.table("retention", faults) else { return default };
    let table = Table::open("retention", at, entries, &RETENTION, faults);
    let mut whole = |key, range| table.whole(key, range, faults);
    let days: Option<u32> = whole("days", 0..=DAYS_MAX);
    let runs_max: Option<u32> = whole("runs_max", 0..=RUNS_MAX);
    let keys_hours: Option<u32> = whole("keys_hours", 1..=KEYS_HOURS_MAX);
    RetentionSettings {
        days: days.map_or(default.days, |days| Some(days).filter(|days| *days > 0)),
        runs_max: runs_max.map_or(default.runs_max, |runs| Some(runs.into()).filter(|_| runs > 0)),
        keys_hours: keys_hours.unwrap_or(default.keys_hours),
    }
}
