//! What time it is in this process.

use baton_workflow::Timestamp;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A process's clock: for what the ledger corrects, and for the ledger of a process itself.
/// A simulation brings another one, which moves with tokio's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// One that says this.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time, in milliseconds of Unix time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// A time of the ledger's on tokio's clock: close enough for deadlines, because the
    /// ledger ends a run itself when its time is over.
    pub fn instant_of(&self, time: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_millis(time.since_ms(self.now()))
    }
}

impl Default for Clock {
    /// The system's.
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now().0)
    }
}
