//! How a child ends badly, and what its supervisor makes of it.

use std::{any::Any, error::Error};

/// How a child ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It returned an error.
    #[error(transparent)]
    Error(Box<dyn Error + Send + Sync>),
    /// It panicked, with this message.
    #[error("panicked: {0}")]
    Panic(String),
}

impl Failure {
    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(message) => (*message).to_owned(),
                Err(_) => "with a value that is no text".to_owned(),
            },
        };
        Self::Panic(message)
    }
}

/// A supervisor gave up: its restart budget is spent and every child has been stopped.
/// Whoever ran it should end the process, so that what runs processes starts a fresh one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{supervisor} gave up on {child}: a failure after {restarts_max} restarts within {window_ms} ms"
)]
pub struct Escalation {
    /// The supervisor that gave up.
    pub supervisor: String,
    /// The child whose failure was one too many.
    pub child: String,
    /// Restarts the budget allowed.
    pub restarts_max: u32,
    /// Within how many milliseconds.
    pub window_ms: u64,
    /// The child's last failure.
    #[source]
    pub failure: Failure,
}
