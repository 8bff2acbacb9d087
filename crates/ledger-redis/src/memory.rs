//! Room in the server's memory: new runs are refused while there is enough left for those
//! under way.

use crate::store::Store;
use baton_ledger::LedgerError;
use redis::from_redis_value;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one look at the server's memory holds.
const LOOK_EACH: Duration = Duration::from_millis(500);
/// What whoever finds no room is told to wait, in milliseconds: runs end meanwhile, and
/// finished ones are removed.
const RETRY_AFTER_MS: u64 = 5_000;

/// What was seen last, and when.
pub(crate) struct Memory {
    percent_max: u8,
    seen: Mutex<Option<(Instant, Seen)>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    used: u64,
    /// 0 where there is no limit.
    max: u64,
}

impl Memory {
    pub(crate) fn new(percent_max: u8) -> Self {
        Self { percent_max, seen: Mutex::default() }
    }

    /// Whether a new run may come in.
    pub(crate) async fn admit(&self, store: &Store) -> Result<(), LedgerError> {
        let seen = match self.seen_lately() {
            Some(seen) => seen,
            None => {
                let info = store.command(redis::cmd("INFO").arg("memory")).await?;
                let seen = read(&from_redis_value::<String>(info).unwrap_or_default());
                let now = Some((Instant::now(), seen));
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
                seen
            }
        };
        seen.admit(self.percent_max)
    }

    fn seen_lately(&self) -> Option<Seen> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(at, _)| at.elapsed() < LOOK_EACH).map(|(_, seen)| seen)
    }
}

impl Seen {
    fn admit(self, percent_max: u8) -> Result<(), LedgerError> {
        let used_percent = self.used.saturating_mul(100).checked_div(self.max);
        match used_percent.filter(|used| *used >= u64::from(percent_max)) {
            Some(used_percent) => {
                Err(LedgerError::MemoryFull { used_percent, retry_after_ms: RETRY_AFTER_MS })
            }
            None => Ok(()),
        }
    }
}

fn read(info: &str) -> Seen {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Seen { used: field("used_memory:"), max: field("maxmemory:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_runs_under_way_is_not_given_away() {
        let seen = read("# Memory\r\nused_memory:79\r\nused_memory_rss:999\r\nmaxmemory:100\r\n");
        assert_eq!(seen, Seen { used: 79, max: 100 });
        assert_eq!(seen.admit(80), Ok(()));
        let full = Seen { used: 80, max: 100 }.admit(80);
        let expected = LedgerError::MemoryFull { used_percent: 80, retry_after_ms: RETRY_AFTER_MS };
        assert_eq!(full, Err(expected));
        assert_eq!(Seen { used: 81, max: 0 }.admit(80), Ok(()), "no limit");
    }
}
