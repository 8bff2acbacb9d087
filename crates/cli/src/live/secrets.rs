//! Whether keys have changed, without keeping them.

use baton_registry::{Auth, SecretRef, Settings};
use std::{collections::BTreeMap, path::PathBuf};

/// The keys of a configuration as hashes, by the place where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    hashes: BTreeMap<SecretRef, blake3::Hash>,
}

impl Secrets {
    /// Reads what all places hold at the moment; one that cannot be read holds nothing.
    pub(crate) fn of(settings: &Settings) -> Self {
        let hash = |place: SecretRef| {
            let text = match &place {
                SecretRef::Env(name) => std::env::var(name).ok(),
                SecretRef::File(path) => std::fs::read_to_string(path).ok(),
            };
            let hash = blake3::hash(text.unwrap_or_default().trim().as_bytes());
            (place, hash)
        };
        Self { hashes: places(settings).into_iter().map(hash).collect() }
    }

    /// The places that hold another key than before; new places are no change of a key.
    pub(crate) fn changed(&self, before: &Self) -> Vec<String> {
        let other = |(place, hash): &(&SecretRef, &blake3::Hash)| {
            before.hashes.get(*place).is_some_and(|old| old != *hash)
        };
        let name = |(place, _): (&SecretRef, &blake3::Hash)| match place {
            SecretRef::Env(name) => name.clone(),
            SecretRef::File(path) => path.display().to_string(),
        };
        self.hashes.iter().filter(other).map(name).collect()
    }
}

/// The files that hold keys.
pub(super) fn files(settings: &Settings) -> Vec<PathBuf> {
    let file = |place: SecretRef| match place {
        SecretRef::File(path) => Some(path),
        SecretRef::Env(_) => None,
    };
    places(settings).into_iter().filter_map(file).collect()
}

fn places(settings: &Settings) -> Vec<SecretRef> {
    let providers = settings.providers.values().filter_map(|provider| provider.key.clone());
    let keys = match &settings.auth {
        Auth::Open(_) => &[][..],
        Auth::Keys(keys) => keys,
    };
    providers.chain(keys.iter().map(|key| key.key.clone())).collect()
}
