//! One HTTP client a provider, kept for as long as the provider's settings stay the same.

use baton_call::{AccountLimits, CallLimits, Providers};
use baton_provider::Provider;
use baton_provider_http::{
    HttpProvider, HttpProviderOptions, Protocol, Secret, SecretError, Timeouts,
};
use baton_registry::{AccountSettings, ProviderKind, ProviderSettings, SecretRef, Settings};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// What a configuration bounds calls by.
pub(crate) fn call_limits(settings: &Settings) -> CallLimits {
    let accounts = settings.providers.iter().map(|(name, provider)| {
        let AccountSettings { terms, shared } = provider.account;
        (name.clone(), AccountLimits { terms, shared })
    });
    CallLimits { accounts: accounts.collect(), hedge: settings.hedge }
}

/// The clients of a configuration.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    made: BTreeMap<String, Made>,
}

#[derive(Clone)]
struct Made {
    settings: ProviderSettings,
    key: Option<Secret>,
    provider: Arc<dyn Provider>,
}

impl Connections {
    /// Those of other settings. A client whose settings and key are the same is kept, with
    /// its open connections.
    ///
    /// # Errors
    /// The providers that cannot be had, by name, with the reason.
    pub(crate) fn of(&self, settings: &Settings) -> Result<Self, Vec<(String, String)>> {
        let (mut made, mut wrong) = (BTreeMap::new(), Vec::new());
        for (name, provider) in &settings.providers {
            match self.one(name, provider) {
                Ok(one) => drop(made.insert(name.clone(), one)),
                Err(reason) => wrong.push((name.clone(), reason)),
            }
        }
        if wrong.is_empty() { Ok(Self { made }) } else { Err(wrong) }
    }

    fn one(&self, name: &str, settings: &ProviderSettings) -> Result<Made, String> {
        let key = settings.key.as_ref().map(secret).transpose();
        let key = key.map_err(|error| error.to_string())?;
        let same = |made: &&Made| made.settings == *settings && made.key == key;
        if let Some(made) = self.made.get(name).filter(same) {
            return Ok(made.clone());
        }
        let provider = HttpProvider::new(options(name, settings, key.clone()));
        let provider = Arc::new(provider.map_err(|error| error.to_string())?);
        Ok(Made { settings: settings.clone(), key, provider })
    }

    /// For the next calls: these, and those of `before` that are not among them. A task that
    /// was taken a moment ago may still name one.
    pub(crate) fn providers(&self, before: &Self) -> Providers {
        let all = before.made.iter().chain(&self.made);
        all.map(|(name, made)| (name.clone(), made.provider.clone())).collect()
    }

    /// The providers that had to be connected anew.
    pub(crate) fn anew(&self, before: &Self) -> Vec<&str> {
        let kept = |name: &str, made: &Made| {
            let old = before.made.get(name);
            old.is_some_and(|old| Arc::ptr_eq(&old.provider, &made.provider))
        };
        let anew = self.made.iter().filter(|(name, made)| !kept(name, made));
        anew.map(|(name, _)| name.as_str()).collect()
    }
}

/// Whether every provider's key can be read.
pub(crate) fn keys_are_readable(settings: &Settings) -> bool {
    settings.providers.values().flat_map(|provider| &provider.key).all(|key| secret(key).is_ok())
}

fn options(name: &str, settings: &ProviderSettings, key: Option<Secret>) -> HttpProviderOptions {
    let mut options = HttpProviderOptions::new(name, &settings.base_url);
    options.protocol = match settings.kind {
        ProviderKind::OpenAi => Protocol::ChatCompletions,
        ProviderKind::Anthropic => Protocol::Messages,
    };
    options.key = key;
    options.stream = settings.stream;
    let timeouts = settings.timeouts;
    options.timeouts = Timeouts {
        connect_ms: timeouts.connect_ms,
        first_token_ms: timeouts.first_token_ms,
        between_tokens_ms: timeouts.between_tokens_ms,
        total_ms: timeouts.total_ms,
    };
    options
}

fn secret(place: &SecretRef) -> Result<Secret, SecretError> {
    match place {
        SecretRef::Env(name) => Secret::from_env(name),
        SecretRef::File(file) => Secret::from_file(Path::new(file)),
    }
}
