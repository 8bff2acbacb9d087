//! What an account allows, out of `[providers.NAME]`; when slow calls are doubled, out of
//! `[policy]`.

use super::{
    faults::Faults,
    table::{Shape, Table},
};
use crate::AccountSettings;
use baton_workflow::{
    AccountTerms, BREAKER_MS_MAX, BreakerTerms, CALLS_AT_A_TIME_MAX, HedgeTerms,
    REQUESTS_PER_MINUTE_MAX, TOKENS_PER_MINUTE_MAX,
};

/// The keys of `[providers.NAME]` that are read here.
const ACCOUNT_KEYS: [&str; 4] =
    ["requests_per_minute", "tokens_per_minute", "concurrency", "breaker"];
const BREAKER: Shape = Shape {
    required: &[],
    optional: &["enabled", "failure_percent", "calls_min", "window_ms", "open_ms"],
};
const HEDGE: Shape =
    Shape { required: &[], optional: &["percentile", "share_percent", "calls_min"] };

/// The account of a provider. With any of its keys it is one for all processes.
pub(super) fn account(provider: Table<'_>, faults: &mut Faults<'_>) -> AccountSettings {
    let terms = AccountTerms {
        requests_per_minute: provider.whole(
            "requests_per_minute",
            1..=REQUESTS_PER_MINUTE_MAX,
            faults,
        ),
        tokens_per_minute: provider.whole("tokens_per_minute", 1..=TOKENS_PER_MINUTE_MAX, faults),
        concurrency: provider.whole("concurrency", 1..=CALLS_AT_A_TIME_MAX, faults),
        breaker: breaker(provider, faults),
    };
    AccountSettings { terms, shared: ACCOUNT_KEYS.iter().any(|key| provider.has(key)) }
}

fn breaker(provider: Table<'_>, faults: &mut Faults<'_>) -> Option<BreakerTerms> {
    let usual = BreakerTerms::default();
    let Some((at, entries)) = provider.table("breaker", faults) else { return Some(usual) };
    let path = provider.name("breaker");
    let table = Table::open(&path, at, entries, &BREAKER, faults);
    let terms = BreakerTerms {
        failure_percent: table
            .whole("failure_percent", 1..=100, faults)
            .unwrap_or(usual.failure_percent),
        calls_min: table.whole("calls_min", 1..=10_000, faults).unwrap_or(usual.calls_min),
        window_ms: table
            .whole("window_ms", 100..=BREAKER_MS_MAX, faults)
            .unwrap_or(usual.window_ms),
        open_ms: table.whole("open_ms", 1..=BREAKER_MS_MAX, faults).unwrap_or(usual.open_ms),
    };
    table.flag("enabled", faults).unwrap_or(true).then_some(terms)
}

/// When slow calls are doubled, if they are.
pub(super) fn hedge(policy: Table<'_>, faults: &mut Faults<'_>) -> Option<HedgeTerms> {
    let (at, entries) = policy.table("hedge", faults)?;
    let path = policy.name("hedge");
    let table = Table::open(&path, at, entries, &HEDGE, faults);
    let usual = HedgeTerms::default();
    Some(HedgeTerms {
        percentile: table.whole("percentile", 50..=99, faults).unwrap_or(usual.percentile),
        share_percent: table.whole("share_percent", 1..=100, faults).unwrap_or(usual.share_percent),
        calls_min: table.whole("calls_min", 10..=10_000, faults).unwrap_or(usual.calls_min),
    })
}
