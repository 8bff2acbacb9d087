//! `[providers.NAME]`: where models are served.

use super::{
    Context, account,
    faults::Faults,
    table::{Shape, Table},
};
use crate::{ProviderKind, ProviderSettings, SecretRef, TimeoutSettings};
use http::Uri;
use std::collections::BTreeMap;

/// Longest wait that can be configured, in milliseconds: one day.
const TIMEOUT_MS_MAX: u64 = 86_400_000;

const PROVIDER: Shape = Shape {
    required: &[],
    optional: &[
        "kind",
        "base_url",
        "key_env",
        "key_file",
        "stream",
        "timeouts",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrency",
        "breaker",
    ],
};
/// Anthropic itself.
pub(crate) const ANTHROPIC_URL: &str = "https://api.anthropic.com/v1";
/// The variable that Anthropic's own clients read.
pub(crate) const ANTHROPIC_KEY: &str = "ANTHROPIC_API_KEY";
const TIMEOUTS: Shape = Shape {
    required: &[],
    optional: &["connect_ms", "first_token_ms", "between_tokens_ms", "total_ms"],
};

/// All providers by name. One that is not right is in it nevertheless, so that agents
/// that name it are not complained about as well.
pub(super) fn providers(
    root: Table<'_>,
    context: &Context<'_>,
    faults: &mut Faults<'_>,
) -> BTreeMap<String, ProviderSettings> {
    let mut providers = BTreeMap::new();
    let Some((_, named)) = root.table("providers", faults) else { return providers };
    for (name, value) in named {
        let (name, at) = (name.get_ref().to_string(), value.span().start);
        let path = format!("providers.{name}");
        match value.get_ref().as_table() {
            Some(entries) => {
                let table = Table::open(&path, at, entries, &PROVIDER, faults);
                providers.insert(name, provider(table, context, faults));
            }
            None => faults.at(at, format!("{path} is not a table: write [{path}]")),
        }
    }
    providers
}

fn provider(table: Table<'_>, context: &Context<'_>, faults: &mut Faults<'_>) -> ProviderSettings {
    let kind = kind(table, faults);
    let given = table.has("base_url");
    let mut key = context.secret(table, ["key_env", "key_file"], faults);
    let base_url = match kind {
        // Whoever names no address means Anthropic itself, which takes no call without a key.
        Some(ProviderKind::Anthropic) if !given => {
            if !table.has("key_env") && !table.has("key_file") {
                key = own_key(context, table, faults);
            }
            Some(ANTHROPIC_URL.to_owned())
        }
        Some(ProviderKind::OpenAi | ProviderKind::Anthropic) | None => {
            table.require("base_url", faults);
            base_url(table, faults)
        }
    };
    ProviderSettings {
        kind: kind.unwrap_or_default(),
        base_url: base_url.unwrap_or_default(),
        key,
        timeouts: timeouts(table, faults),
        stream: table.flag("stream", faults).unwrap_or(true),
        account: account::account(table, faults),
    }
}

/// The key under the name that Anthropic's own clients know it by.
fn own_key(context: &Context<'_>, table: Table<'_>, faults: &mut Faults<'_>) -> Option<SecretRef> {
    if (context.env)(ANTHROPIC_KEY).is_none_or(|value| value.trim().is_empty()) {
        let name = table.name("key_env");
        let reason = format!(
            "{name} is missing, and {ANTHROPIC_KEY} is not set: set it, or name where the key is"
        );
        faults.at(table.at("kind"), reason);
    }
    Some(SecretRef::Env(ANTHROPIC_KEY.to_owned()))
}

/// Nothing only after a complaint.
fn kind(table: Table<'_>, faults: &mut Faults<'_>) -> Option<ProviderKind> {
    if !table.has("kind") {
        return Some(ProviderKind::default());
    }
    match table.text("kind", faults)? {
        "openai" => Some(ProviderKind::OpenAi),
        "anthropic" => Some(ProviderKind::Anthropic),
        _ => {
            table.wrong("kind", "openai (what most servers speak) or anthropic", faults);
            None
        }
    }
}

fn base_url(table: Table<'_>, faults: &mut Faults<'_>) -> Option<String> {
    let url = table.text("base_url", faults)?;
    match check_base_url(url) {
        Ok(url) => Some(url),
        Err(reason) => {
            faults.at(table.at("base_url"), format!("{}{reason}", table.name("base_url")));
            None
        }
    }
}

/// A URL to which paths such as `/chat/completions` can be appended.
pub(crate) fn check_base_url(url: &str) -> Result<String, String> {
    // Not quoted where it may hold a password.
    if url.contains('@') {
        return Err(" holds '@': leave user name and password out, name a key instead".to_owned());
    }
    let parsed = url.parse::<Uri>().ok();
    let fits = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if !fits || url.contains('#') {
        let shown: String = url.chars().take(200).collect();
        return Err(format!(" is {shown:?}: expected a URL such as https://api.openai.com/v1"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn timeouts(provider: Table<'_>, faults: &mut Faults<'_>) -> TimeoutSettings {
    let default = TimeoutSettings::default();
    let Some((at, entries)) = provider.table("timeouts", faults) else { return default };
    let path = provider.name("timeouts");
    let table = Table::open(&path, at, entries, &TIMEOUTS, faults);
    let mut wait = |key, default| table.whole(key, 1..=TIMEOUT_MS_MAX, faults).unwrap_or(default);
    TimeoutSettings {
        connect_ms: wait("connect_ms", default.connect_ms),
        first_token_ms: wait("first_token_ms", default.first_token_ms),
        between_tokens_ms: wait("between_tokens_ms", default.between_tokens_ms),
        total_ms: wait("total_ms", default.total_ms),
    }
}
