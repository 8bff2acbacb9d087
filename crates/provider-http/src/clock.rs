//! The four waits of a call, as deadlines.

use crate::Timeouts;
use baton_provider::{Phase, ProviderError};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, timeout_at};

/// What a call waits for now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// The first text, counted from the start of the call.
    FirstToken,
    /// More text, counted from the last event.
    NextToken(Instant),
    /// The rest of the reply, counted from the start of the call.
    Rest,
}

/// When a call began and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    timeouts: Timeouts,
}

impl Clock {
    pub(crate) fn start(timeouts: Timeouts) -> Self {
        Self { started: Instant::now(), timeouts }
    }

    /// The earlier of this wait's deadline and the whole call's.
    fn deadline(&self, wait: Wait) -> (Instant, Phase, u64) {
        let (from, phase, ms) = match wait {
            Wait::FirstToken => (self.started, Phase::FirstToken, self.timeouts.first_token_ms),
            Wait::NextToken(last) => (last, Phase::BetweenTokens, self.timeouts.between_tokens_ms),
            Wait::Rest => (self.started, Phase::Total, self.timeouts.total_ms),
        };
        let own = from + Duration::from_millis(ms);
        let total = self.started + Duration::from_millis(self.timeouts.total_ms);
        if own < total { (own, phase, ms) } else { (total, Phase::Total, self.timeouts.total_ms) }
    }

    /// What `future` gives, or the wait that ran out before.
    pub(crate) async fn within<F: Future>(
        &self,
        wait: Wait,
        future: F,
    ) -> Result<F::Output, ProviderError> {
        let (at, phase, ms) = self.deadline(wait);
        timeout_at(at, future).await.map_err(|_| ProviderError::Timeout { phase, ms })
    }
}
