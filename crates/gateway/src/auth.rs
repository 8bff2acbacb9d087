//! Whose request it is, by the key it shows.

use axum::http::{HeaderMap, StatusCode, header};
use baton_codes::ApiCode;
use baton_registry::{Auth, Configuration, SecretRef};
use baton_workflow::TenantId;

use crate::error::ApiError;
use std::sync::{Arc, Mutex, PoisonError};

/// Who may call, with keys as hashes: a key is read once and kept nowhere.
#[derive(Debug)]
pub(crate) enum Doors {
    /// Anybody, as this tenant.
    Open(TenantId),
    /// Whoever shows a key of this hash.
    Keyed(Vec<(blake3::Hash, Visitor)>),
}

/// Who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) tenant: TenantId,
    /// Whether what concerns all tenants is open to them.
    pub(crate) operator: bool,
}

/// Keeps the doors of the configuration in force.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    /// With the version of the configuration that they are of.
    doors: Mutex<(u64, Arc<Doors>)>,
}

impl Doorkeeper {
    /// Reads every key; tells of all that are wrong.
    pub(crate) fn new(configuration: &Configuration) -> Result<Self, Vec<KeyError>> {
        let doors = Arc::new(Doors::of(&configuration.settings.auth)?);
        Ok(Self { doors: Mutex::new((configuration.version, doors)) })
    }

    /// The doors of this configuration. Its keys are read with its first request. Should
    /// one of them be gone since it was checked, the doors stay as they were.
    pub(crate) fn doors(&self, configuration: &Configuration) -> Arc<Doors> {
        // A pair is only ever replaced as a whole, whoever panicked.
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.0 != configuration.version {
            doors.0 = configuration.version;
            match Doors::of(&configuration.settings.auth) {
                Ok(new) => doors.1 = Arc::new(new),
                Err(errors) => {
                    errors.iter().for_each(|error| tracing::error!(%error, "a key is not read"));
                }
            }
        }
        doors.1.clone()
    }
}

/// Whether every key can be used; else what is wrong with each that cannot.
///
/// # Errors
/// All that is wrong.
pub fn check_keys(auth: &Auth) -> Result<(), Vec<KeyError>> {
    Doors::of(auth).map(drop)
}

/// Why a configured key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The variable is not there, or is no text.
    #[error(
        "environment variable {name} (a key of tenant {tenant}) is not set: set it, or remove the key from the configuration"
    )]
    NoVariable {
        /// The variable.
        name: String,
        /// Whose key it holds.
        tenant: TenantId,
    },
    /// The file cannot be read.
    #[error("file {path} (a key of tenant {tenant}) cannot be read: {reason}")]
    NoFile {
        /// The file.
        path: String,
        /// Whose key it holds.
        tenant: TenantId,
        /// The system's words.
        reason: std::io::Error,
    },
    /// There is nothing in it.
    #[error("a key of tenant {tenant} is empty: expected at least one character")]
    Empty {
        /// Whose key it is.
        tenant: TenantId,
    },
    /// One key cannot stand for two tenants.
    #[error("tenants {first} and {second} have the same key: give each its own")]
    Shared {
        /// One tenant.
        first: TenantId,
        /// The other.
        second: TenantId,
    },
}

impl Doors {
    /// Reads every key; tells of all that are wrong.
    pub(crate) fn of(auth: &Auth) -> Result<Self, Vec<KeyError>> {
        let keys = match auth {
            Auth::Open(tenant) => return Ok(Self::Open(tenant.clone())),
            Auth::Keys(keys) => keys,
        };
        let mut known: Vec<(blake3::Hash, Visitor)> = Vec::new();
        let mut wrong = Vec::new();
        for key in keys {
            let hash = match hash_of(&key.key, &key.tenant) {
                Ok(hash) => hash,
                Err(error) => {
                    wrong.push(error);
                    continue;
                }
            };
            match known.iter().find(|(other, _)| *other == hash) {
                Some((_, first)) if first.tenant != key.tenant => {
                    let (first, second) = (first.tenant.clone(), key.tenant.clone());
                    wrong.push(KeyError::Shared { first, second });
                }
                Some(_) => {}
                None => {
                    let (tenant, operator) = (key.tenant.clone(), key.operator);
                    known.push((hash, Visitor { tenant, operator }));
                }
            }
        }
        if wrong.is_empty() { Ok(Self::Keyed(known)) } else { Err(wrong) }
    }

    /// Whom the headers speak for. Where the doors are open, everybody is the operator.
    pub(crate) fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, ApiError> {
        let known = match self {
            Self::Open(tenant) => return Ok(Visitor { tenant: tenant.clone(), operator: true }),
            Self::Keyed(known) => known,
        };
        let refused =
            |message| Err(ApiError::new(StatusCode::UNAUTHORIZED, ApiCode::InvalidApiKey, message));
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(key) = shown.and_then(bearer) else {
            return refused("no API key: send it as `Authorization: Bearer KEY`");
        };
        // Hashes compare in constant time, and no key is compared with another.
        let hash = blake3::hash(key.as_bytes());
        match known.iter().find(|(other, _)| *other == hash) {
            Some((_, visitor)) => Ok(visitor.clone()),
            None => refused("this API key is not known: check it, or ask the operator for one"),
        }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

fn hash_of(key: &SecretRef, tenant: &TenantId) -> Result<blake3::Hash, KeyError> {
    let tenant = tenant.clone();
    let text = match key {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(text) => text,
            Err(_) => return Err(KeyError::NoVariable { name: name.clone(), tenant }),
        },
        SecretRef::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(reason) => {
                return Err(KeyError::NoFile { path: path.display().to_string(), tenant, reason });
            }
        },
    };
    match text.trim() {
        "" => Err(KeyError::Empty { tenant }),
        text => Ok(blake3::hash(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use baton_registry::KeySettings;

    fn key(file: &std::path::Path, tenant: &str) -> KeySettings {
        KeySettings {
            key: SecretRef::File(file.into()),
            tenant: TenantId::new(tenant).unwrap(),
            operator: false,
        }
    }

    #[test]
    fn a_key_opens_its_tenants_door_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "sk-a\n").unwrap();
        std::fs::write(&b, "sk-b\n").unwrap();
        let doors = Doors::of(&Auth::Keys(vec![key(&a, "ann"), key(&b, "bob")])).unwrap();
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_str(value).unwrap());
            doors.visitor(&headers).map(|visitor| visitor.tenant)
        };
        assert_eq!(shown("Bearer sk-b").unwrap().as_str(), "bob");
        assert_eq!(shown("bearer  sk-a ").unwrap().as_str(), "ann");
        for wrong in ["Bearer sk-c", "Basic sk-a", "sk-a", "Bearer ", "Bearer sk-a\n".trim_end()] {
            let answer = shown(wrong);
            assert_eq!(answer.is_ok(), wrong == "Bearer sk-a", "{wrong:?}");
        }
        assert_eq!(doors.visitor(&HeaderMap::new()).unwrap_err().code, "invalid_api_key");
        assert!(!format!("{doors:?}").contains("sk-"));
    }

    #[test]
    fn every_unusable_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, one) = (dir.path().join("empty"), dir.path().join("one"));
        std::fs::write(&empty, " \n").unwrap();
        std::fs::write(&one, "sk").unwrap();
        let none = dir.path().join("none");
        let keys = vec![key(&empty, "a"), key(&none, "b"), key(&one, "c"), key(&one, "d")];
        assert_eq!(Doors::of(&Auth::Keys(keys)).unwrap_err().len(), 3);
    }
}
