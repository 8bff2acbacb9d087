//! `[limits]` and `[budget]`: how much is too much.

use super::{
    faults::Faults,
    table::{Shape, Table},
};
use crate::settings::BUDGET_DEFAULT;
use baton_workflow::{Budget, Limits, Resource, Usd};

// Ranges of the limits. Each upper end is far past any sensible setting and keeps a
// misprint from taking a cluster down.
const STEPS_MAX: u16 = 64;
const SUBTASK_BYTES_MAX: u32 = 1024 * 1024;
const ROUNDS_MAX: u16 = 16;
const REPAIRS_MAX: u16 = 16;
const FAILOVERS_MAX: u16 = 16;
const OUTPUT_TOKENS_MAX: u32 = 1_000_000;

const LIMITS: Shape = Shape {
    required: &[],
    optional: &[
        "steps_max",
        "subtask_bytes_max",
        "rounds_max",
        "repairs_max",
        "failovers_max",
        "output_tokens_max",
    ],
};
const BUDGET: Shape =
    Shape { required: &[], optional: &["usd", "tokens", "calls", "seconds", "depth"] };

/// What `[limits]` says; where it says nothing, the defaults.
pub(super) fn limits(root: Table<'_>, faults: &mut Faults<'_>) -> Limits {
    let default = Limits::default();
    let Some((at, entries)) = root.table("limits", faults) else { return default };
    let table = Table::open("limits", at, entries, &LIMITS, faults);
    let mut small = |key, range, default| table.whole(key, range, faults).unwrap_or(default);
    let steps_max = small("steps_max", 1..=STEPS_MAX, default.steps_max);
    let rounds_max = small("rounds_max", 1..=ROUNDS_MAX, default.rounds_max);
    // None of these two is a decision: the first reply, or the first agent, must do.
    let repairs_max = small("repairs_max", 0..=REPAIRS_MAX, default.repairs_max);
    let failovers_max = small("failovers_max", 0..=FAILOVERS_MAX, default.failovers_max);
    let mut large = |key, range, default| table.whole(key, range, faults).unwrap_or(default);
    Limits {
        steps_max,
        subtask_bytes_max: large(
            "subtask_bytes_max",
            1..=SUBTASK_BYTES_MAX,
            default.subtask_bytes_max,
        ),
        rounds_max,
        repairs_max,
        failovers_max,
        output_tokens_max: large(
            "output_tokens_max",
            1..=OUTPUT_TOKENS_MAX,
            default.output_tokens_max,
        ),
    }
}

/// What `[budget]` says; where it says nothing, the defaults.
pub(super) fn budget(root: Table<'_>, faults: &mut Faults<'_>) -> Budget {
    let default = BUDGET_DEFAULT;
    let Some((at, entries)) = root.table("budget", faults) else { return default };
    let table = Table::open("budget", at, entries, &BUDGET, faults);
    let usd = table.number("usd", faults).map(Usd::from_dollars);
    if let Some(Err(error)) = usd {
        faults.at(table.at("usd"), format!("budget.usd: {error}"));
    }
    let tokens = table.count("tokens", faults);
    // What does not fit the type is too much in any case, and the check says so.
    let mut count = |key| Some(u32::try_from(table.count(key, faults)?).unwrap_or(u32::MAX));
    let (calls, seconds) = (count("calls"), count("seconds"));
    let depth = count("depth").map(|depth| u8::try_from(depth).unwrap_or(u8::MAX));
    let budget = Budget {
        usd: usd.and_then(Result::ok).unwrap_or(default.usd),
        tokens: tokens.unwrap_or(default.tokens),
        calls: calls.unwrap_or(default.calls),
        seconds: seconds.unwrap_or(default.seconds),
        depth: depth.unwrap_or(default.depth),
    };
    for error in budget.check().err().into_iter().flatten() {
        let (key, least) = match error.resource {
            Resource::Usd => ("usd", "more than 0"),
            Resource::Tokens => ("tokens", "1 or more"),
            Resource::Calls => ("calls", "1 or more"),
            Resource::Seconds => ("seconds", "1 or more"),
            Resource::Depth => ("depth", "0 or more"),
        };
        table.wrong(key, &format!("{least}, at most {}", error.max), faults);
    }
    budget
}
