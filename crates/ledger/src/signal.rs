//! Words from outside that a run waits for: each is delivered once, or its wait ends.

use crate::{Body, LedgerError, NAME_BYTES_MAX, NewTimer};
use baton_workflow::RunId;
use bytes::Bytes;

/// Most words, delivered or waited for in vain, that one run is told in its life.
pub const SIGNALS_MAX: usize = 1024;
/// What the name of a timer begins with that ends the wait for a word.
const AWAITS: &str = "await ";

/// A word for a run, from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// For whom.
    pub run: RunId,
    /// What it answers: unique within the run, so that repeating the word is harmless.
    pub key: String,
    /// What is said; its texts are bodies. Becomes [`crate::Mail::Signal`].
    pub event: Bytes,
    /// Texts that `event` refers to.
    pub bodies: Vec<Body>,
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// It is in the run's mail.
    Delivered,
    /// A word under this key was delivered before: that one stands.
    AlreadyDelivered,
    /// The run has waited long enough and was told so; the word comes too late.
    Expired,
    /// The run had ended.
    AlreadyEnded,
}

impl NewTimer {
    /// The end of the wait for a word under `key`, so long from now. Of the word and the end
    /// of its wait the run gets exactly one, as [`crate::Mail::Signal`]: the word takes the
    /// timer away, a word behind the end is refused as [`Signalled::Expired`], and setting
    /// the timer once either has come does nothing.
    pub fn awaiting(key: &str, after_ms: u64) -> Self {
        Self { name: format!("{AWAITS}{key}"), after_ms }
    }

    /// What a timer of this name waits for; nothing where it is only a reminder.
    pub fn awaited(name: &str) -> Option<&str> {
        name.strip_prefix(AWAITS)
    }
}

impl Signal {
    /// Whether the word keeps to every limit.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`], with what does not.
    pub fn check(&self) -> Result<(), LedgerError> {
        let longest = NAME_BYTES_MAX - AWAITS.len();
        let found = self.key.len();
        if !(1..=longest).contains(&found) {
            return Err(LedgerError::Invalid(format!(
                "a signal's key of {found} bytes: expected 1 to {longest}"
            )));
        }
        crate::check::signal(&self.event, &self.bodies)
    }
}

/// The run has been told as many words as it may be.
pub fn too_many_signals(run: &RunId) -> LedgerError {
    LedgerError::Invalid(format!(
        "{run} has been told {SIGNALS_MAX} words, the most a run may be: start another run"
    ))
}
