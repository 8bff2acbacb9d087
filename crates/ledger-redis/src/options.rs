//! Where the store is and what is expected of it.

use baton_ledger::{LeaseTerms, LedgerError};
use std::str::FromStr;

/// Longest prefix of keys, in bytes.
const PREFIX_BYTES_MAX: usize = 64;

/// What an acknowledged write survives. Only checked at the start: the server is
/// configured by whoever runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process, and a loss of power: the append-only file is synced
    /// before the answer (`appendfsync always`).
    #[default]
    Always,
    /// The death of any process, but a loss of power may take the last second
    /// (`appendfsync everysec`).
    EverySecond,
}

/// How to reach the store.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Such as `redis://127.0.0.1:6379`.
    pub url: String,
    /// Put before every key, so that several ledgers can share a server: 1 to 64
    /// characters out of a-z, A-Z, 0-9, `.`, `_`, `-`.
    pub prefix: String,
    /// What the server must be configured for.
    pub durability: Durability,
    /// How long a call may take, reconnecting included, before it answers
    /// [`LedgerError::Unavailable`], in milliseconds.
    pub timeout_ms: u64,
    /// How long leases last.
    pub lease: LeaseTerms,
    /// What is taken out, to see that a checker notices. Not there in release builds.
    #[cfg(debug_assertions)]
    pub sabotage: Option<Sabotage>,
}

/// A safeguard that is taken out: a negative control for the checkers of `baton chaos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Any write about a task is taken, whoever holds it.
    Tokens,
    /// A server that keeps nothing is used all the same.
    Durability,
    /// Idempotency keys of submissions are ignored.
    Keys,
}

impl Sabotage {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Durability => "durability",
            Self::Keys => "keys",
        }
    }
}

impl FromStr for Sabotage {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Tokens, Self::Durability, Self::Keys];
        let named = all.into_iter().find(|one| one.name() == text);
        named
            .ok_or_else(|| format!("{text:?} is no safeguard: expected tokens, durability or keys"))
    }
}

impl RedisOptions {
    /// The usual settings: prefix `baton`, [`Durability::Always`], five seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "baton".into(),
            durability: Durability::Always,
            timeout_ms: 5_000,
            lease: LeaseTerms::USUAL,
            #[cfg(debug_assertions)]
            sabotage: None,
        }
    }

    /// Whether this safeguard is taken out; never in a release build.
    pub(crate) fn lacks(&self, safeguard: Sabotage) -> bool {
        #[cfg(debug_assertions)]
        return self.sabotage == Some(safeguard);
        #[cfg(not(debug_assertions))]
        {
            let _present = safeguard;
            false
        }
    }

    /// What every key of shard `shard` begins with. The part in braces is what Redis
    /// Cluster places keys by: all keys of a shard are on one node.
    pub(crate) fn base(&self, shard: u16) -> Result<String, LedgerError> {
        let fits = (1..=PREFIX_BYTES_MAX).contains(&self.prefix.len())
            && self.prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !fits {
            return Err(LedgerError::Unusable(format!(
                "prefix {:?} cannot begin keys: expected 1 to {PREFIX_BYTES_MAX} characters \
                 out of a-z, A-Z, 0-9, '.', '_', '-'",
                self.prefix
            )));
        }
        Ok(format!("{}:{{s{shard}}}:", self.prefix))
    }
}
