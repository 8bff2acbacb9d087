//! A call to a model, in the terms of OpenAI's Chat Completions.

use baton_workflow::{AnswerForm, Message, Price, Spend, TokensIn, Tools};
use serde::{Deserialize, Serialize};

/// One call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The model's name at the provider.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Most tokens to write.
    pub output_tokens_max: u32,
    /// Randomness, 0 to 2; the provider's default where not given.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// For providers that can repeat an answer.
    pub seed: Option<i64>,
    /// The same for every attempt at the same work, so that a provider can join them.
    pub idempotency_key: Option<String>,
    /// What the model may ask to be called.
    pub tools: Tools,
    /// The form that the answer must have; text where not given.
    pub form: Option<AnswerForm>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It reached its limit of tokens.
    Length,
    /// The provider's filter stopped it.
    ContentFilter,
    /// It asks for tools to be called.
    ToolCalls,
    /// It refused to answer.
    Refusal,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read, cached ones included.
    pub tokens_in: u64,
    /// Of those, read from the provider's cache.
    pub cached_in: u64,
    /// Of those, put into the provider's cache.
    #[serde(default)]
    pub cache_written_in: u64,
    /// Written, reasoning included.
    pub tokens_out: u64,
    /// Of those, reasoning.
    pub reasoning_out: u64,
}

impl Usage {
    /// What the call spent at this price.
    pub fn spend(&self, price: Price) -> Spend {
        let (tokens_in, tokens_out) = (self.tokens_in, self.tokens_out);
        let read =
            TokensIn { all: tokens_in, cached: self.cached_in, written: self.cache_written_in };
        Spend { usd: price.cost_of(read, tokens_out), tokens_in, tokens_out, calls: 1 }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Why.
    pub finish: Finish,
    /// Tokens, if the provider said.
    pub usage: Option<Usage>,
    /// The model that answered, in the provider's words.
    pub model: String,
    /// The provider's name for the answer; empty where it gave none.
    pub id: String,
}

/// More of a call that the model asks for. The first piece of each says all but the
/// arguments, which then come in pieces; calls do not come one inside the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolPiece {
    /// Which of the answer's calls, from 0.
    pub index: u32,
    /// Names the call; on the first piece.
    pub id: Option<String>,
    /// The tool; on the first piece.
    pub name: Option<String>,
    /// More of the arguments.
    pub arguments: String,
}

/// One thing that happens in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// More of the answer; never empty.
    Text(String),
    /// More of the reasoning; never empty.
    Reasoning(String),
    /// More of the words in which the model refuses; never empty.
    Refusal(String),
    /// More of a tool's call.
    Tool(ToolPiece),
    /// The end.
    Finished(Finished),
}
