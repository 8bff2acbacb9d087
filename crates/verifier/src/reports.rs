//! Reports that were given before, by what they are about.

use crate::{Verifier, verify::Checked};
use baton_sandbox::judge::Finding;
use baton_workflow::{Verdict, VerdictKind};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// Reports that are kept, of a few kilobytes each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// What a report is about: the same content has the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(blake3::Hash);

impl Key {
    /// Of everything that the report depends on, in order: who checks and how, on what.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            // With its length, so that no two lists are one text.
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        Self(hasher.finalize())
    }
}

/// The last reports.
#[derive(Clone)]
pub(crate) struct Reports(Arc<Mutex<LruCache<Key, Verdict>>>);

impl Default for Reports {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(KEPT_MAX))))
    }
}

impl Reports {
    fn get(&self, key: Key) -> Option<Verdict> {
        // Whoever panicked, a report is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn keep(&self, key: Key, verdict: &Verdict) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, verdict.clone());
    }
}

impl Verifier {
    /// The report that was given before, which costs nothing, or else a new one. It is kept
    /// if it says something of the content: not if the verifier could not be asked, or a
    /// judge said nothing.
    pub(crate) async fn once<E>(
        &self,
        key: Key,
        check: impl Future<Output = Result<Checked, E>>,
    ) -> Result<Checked, E> {
        if let Some(verdict) = self.reports.get(key) {
            self.metrics.looked_up("hit");
            return Ok(Checked { cached: true, ..verdict.into() });
        }
        self.metrics.looked_up("miss");
        let checked = check.await?;
        if is_lasting(&checked.verdict) {
            self.reports.keep(key, &checked.verdict);
        }
        Ok(checked)
    }
}

/// Whether the same content would be found the same again: not where nobody looked, where a
/// judge did not say what it finds, or where a program ran out of time, which may be the load's
/// doing.
fn is_lasting(verdict: &Verdict) -> bool {
    let passing = [crate::judge::NO_VERDICT, crate::code::name(Finding::Time)];
    verdict.kind != VerdictKind::Unavailable && !passing.contains(&verdict.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_found_otherwise_is_not_kept() {
        let lasting = |kind, code| is_lasting(&Verdict::new("t/1", kind, code));
        assert!(lasting(VerdictKind::Pass, "accepted"));
        assert!(lasting(VerdictKind::Fail, "wrong_answer"));
        assert!(lasting(VerdictKind::Abstain, "undecided"));
        assert!(!lasting(VerdictKind::Abstain, "no_verdict"));
        assert!(!lasting(VerdictKind::Fail, "time"));
        assert!(!lasting(VerdictKind::Unavailable, "sandbox_failed"));
    }

    #[test]
    fn content_of_another_cut_is_other_content() {
        assert_eq!(Key::of(["ab", "c"]), Key::of(["ab", "c"]));
        assert_ne!(Key::of(["ab", "c"]), Key::of(["a", "bc"]));
        assert_ne!(Key::of(["ab", "c"]), Key::of(["abc"]));
        assert_ne!(Key::of(["ab"]), Key::of(["ab", ""]));
    }
}
