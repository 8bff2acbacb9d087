//! Why a call is not answered, in words that belong to no wire.

use crate::simulator::AskError;
use axum::http::StatusCode;

/// Why a call is refused, for the surface to say in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request cannot be meant.
    Invalid,
    /// It asks for what simulated models cannot do.
    Unsupported,
    /// There is nothing at this address.
    Nowhere,
    UnknownModel,
    TooLong,
    RateLimited,
    Internal,
    Unavailable,
}

impl Reason {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::Unsupported | Self::TooLong => StatusCode::BAD_REQUEST,
            Self::Nowhere | Self::UnknownModel => StatusCode::NOT_FOUND,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A call that is not answered.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The part of the request that is wrong.
    pub(crate) param: Option<&'static str>,
    /// When to come again, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refused {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), param: None, retry_after_ms: None }
    }

    pub(crate) fn of(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }
}

impl From<AskError> for Refused {
    fn from(error: AskError) -> Self {
        let (reason, param) = match &error {
            AskError::UnknownModel(_) => (Reason::UnknownModel, "model"),
            AskError::Nothing => (Reason::Invalid, "messages"),
            AskError::TooLong { .. } => (Reason::TooLong, "messages"),
        };
        Self::new(reason, error.to_string()).of(param)
    }
}
