//! The port to language models: one streamed call, its usage, its ways to fail.

mod chat;
mod error;
mod retry;

pub use baton_workflow::{
    AnswerForm, Content, Conversation, ImageUrl, Message, Part, Role, Tool, ToolCall, ToolChoice,
    Tools, in_words,
};
pub use chat::{ChatEvent, ChatRequest, Finish, Finished, ToolPiece, Usage};
pub use error::{Phase, ProviderError};
pub use retry::{RETRY_AFTER_MS_MAX, RetryPolicy};

use async_trait::async_trait;
use futures_core::stream::BoxStream;

/// The events of one call, in order: deltas, then exactly one [`ChatEvent::Finished`].
/// An error ends the stream. Dropping it ends the call.
pub type ChatStream = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// One account at one service that runs models.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Makes one call, without retries: who calls decides about those. Returns when the
    /// provider has accepted the call; what happens then comes in the stream.
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError>;

    /// The host and port that it calls, for traces; nothing where it calls nobody.
    fn server(&self) -> Option<(&str, u16)> {
        None
    }
}
