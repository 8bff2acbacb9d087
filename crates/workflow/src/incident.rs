//! What happened on the way to an outcome, besides the call that gave it.

use serde::{Deserialize, Serialize};

/// Something that a reader of a run's events should know of the calls behind an outcome.
/// A first call that simply succeeds leaves none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "incident", rename_all = "snake_case")]
pub enum Incident {
    /// A call failed.
    Failed {
        /// Which of the calls, from 1.
        call: u32,
        /// The failure's stable name, such as `rate_limited`.
        code: String,
        /// From its beginning, in milliseconds.
        ms: u64,
        /// How long was waited before the next one, in milliseconds; none if there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
    /// The provider's account had no room, so the call waited.
    Waited {
        /// Which of the calls, from 1.
        call: u32,
        /// Which bound it waited for, such as `requests_per_minute`.
        cause: String,
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The call was not made, because the account had no room for longer than is sensible.
    Refused {
        /// Which of the calls, from 1.
        call: u32,
        /// Which bound refused it, such as `breaker`.
        cause: String,
        /// When there may be room, in milliseconds.
        ms: u64,
    },
    /// A call took longer than usual, so a second one was made beside it.
    Hedged {
        /// The second one, from 1.
        call: u32,
        /// How long the first had taken by then, in milliseconds.
        after_ms: u64,
        /// Whether the second one's reply was taken.
        won: bool,
    },
    /// The reply is that of the same call, made for another task at the same time, which
    /// also pays for it.
    Shared,
}
