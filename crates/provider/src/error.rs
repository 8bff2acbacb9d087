//! How a call to a model can fail without being an answer.

use baton_codes::FailureCode;

/// Which wait ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// For the connection.
    Connect,
    /// For the first token.
    FirstToken,
    /// For another token.
    BetweenTokens,
    /// For the whole call.
    Total,
}

/// An infrastructure event: says nothing about the question, and is never an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No connection; the call did not begin.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// Where to.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A wait ran out after `ms` milliseconds.
    #[error("timed out after {ms} ms waiting for {phase:?}")]
    Timeout {
        /// Which wait.
        phase: Phase,
        /// How long it was.
        ms: u64,
    },
    /// The provider asks for fewer calls (429).
    #[error("rate limited by the provider: {message}")]
    RateLimited {
        /// When to come again, in milliseconds, if the provider said so.
        retry_after_ms: Option<u64>,
        /// In the provider's words.
        message: String,
    },
    /// The provider is in trouble (5xx, 408, 529).
    #[error("the provider answered {status}: {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// When to come again, in milliseconds, if the provider said so.
        retry_after_ms: Option<u64>,
        /// In the provider's words.
        message: String,
    },
    /// The stream ended before it was finished.
    #[error("the stream was cut after {received} bytes of text: {reason}")]
    Cut {
        /// Bytes of text received before.
        received: usize,
        /// What went wrong.
        reason: String,
    },
    /// The reply is not what the protocol promises.
    #[error("the provider's reply is malformed: {0}")]
    Malformed(String),
    /// The reply has no text although it claims to be finished.
    #[error("the provider's reply is empty")]
    Empty,
    /// The key is missing, wrong or not allowed to (401, 403).
    #[error("the provider refuses the key ({status}): {message}")]
    Auth {
        /// The HTTP status.
        status: u16,
        /// In the provider's words.
        message: String,
    },
    /// The request cannot be served as it is (other 4xx): wrong model, too long.
    #[error("the provider refuses the request ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// In the provider's words.
        message: String,
    },
}

impl ProviderError {
    /// Whether the same call to the same provider may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Cut { .. }
            | Self::Malformed(_)
            | Self::Empty => true,
            Self::Auth { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether the provider may have charged for the call: its usage is unknown then.
    pub fn may_have_cost(&self) -> bool {
        match self {
            Self::Timeout { phase, .. } => *phase != Phase::Connect,
            Self::Cut { .. } | Self::Malformed(_) | Self::Empty => true,
            Self::Connect { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Auth { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// When to come again, in milliseconds, if the provider said so.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms, .. } | Self::Server { retry_after_ms, .. } => {
                *retry_after_ms
            }
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Cut { .. }
            | Self::Malformed(_)
            | Self::Empty
            | Self::Auth { .. }
            | Self::Refused { .. } => None,
        }
    }

    /// A stable name for metrics and events.
    pub fn code(&self) -> &'static str {
        let code = match self {
            Self::Connect { .. } => FailureCode::Connect,
            Self::Timeout { phase, .. } => match phase {
                Phase::Connect => FailureCode::TimeoutConnect,
                Phase::FirstToken => FailureCode::TimeoutFirstToken,
                Phase::BetweenTokens => FailureCode::TimeoutBetweenTokens,
                Phase::Total => FailureCode::TimeoutTotal,
            },
            Self::RateLimited { .. } => FailureCode::RateLimited,
            Self::Server { .. } => FailureCode::ServerError,
            Self::Cut { .. } => FailureCode::CutStream,
            Self::Malformed(_) => FailureCode::Malformed,
            Self::Empty => FailureCode::Empty,
            Self::Auth { .. } => FailureCode::Auth,
            Self::Refused { .. } => FailureCode::Refused,
        };
        code.as_str()
    }
}
