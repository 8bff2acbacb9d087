//! The call itself.

use baton_ledger::{Held, Leased, Ledger, LedgerError};
use baton_provider::{
    ChatEvent, ChatRequest, Content, Finish, Message, Part, Provider, ProviderError, RetryPolicy,
    Usage,
};
use baton_workflow::{AgentCard, Resource, Spend};
use futures::StreamExt as _;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tokens that a message's frame may take.
const MESSAGE_FRAME_TOKENS: u64 = 16;
/// Tokens that one image can take at most with the usual tilings.
const IMAGE_TOKENS: u64 = 16_384;

/// Makes calls to the models of all configured providers.
#[derive(Clone)]
pub struct Caller {
    providers: Arc<BTreeMap<String, Arc<dyn Provider>>>,
    retry: RetryPolicy,
}

/// What to ask of whom.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Whom: provider, model, price and limits are taken from the card.
    pub card: &'a AgentCard,
    /// What.
    pub request: ChatRequest,
    /// No call goes on longer than this.
    pub deadline: Option<Instant>,
}

/// What pays for a call.
#[derive(Clone)]
pub enum Purse {
    /// The budget of the run whose task is held.
    Lease {
        /// Where it is kept.
        ledger: Arc<dyn Ledger>,
        /// The task.
        held: Held,
        /// What the lease has set aside for the first call, until that is made; or what
        /// did not hold it.
        set_aside: Arc<Mutex<Result<Spend, Resource>>>,
    },
    /// Nothing is reserved: the caller answers for the spend.
    Open,
}

impl Purse {
    /// What pays for the calls of a leased task.
    pub fn of(ledger: Arc<dyn Ledger>, leased: &Leased) -> Self {
        let held = Held { task: leased.task.clone(), token: leased.token };
        Self::Lease { ledger, held, set_aside: Arc::new(Mutex::new(leased.reserved)) }
    }

    /// What is set aside already, given out once.
    fn set_aside(&self) -> Result<Spend, Resource> {
        match self {
            Self::Lease { set_aside, .. } => {
                // Whoever panicked, an amount is whole.
                let mut rest = set_aside.lock().unwrap_or_else(PoisonError::into_inner);
                (*rest)?;
                std::mem::replace(&mut *rest, Ok(Spend::ZERO))
            }
            Self::Open => Ok(Spend::ZERO),
        }
    }
}

/// More of a reply, while it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta<'a> {
    /// A call begins; what an earlier one gave is withdrawn.
    Begin {
        /// Counts the calls of one [`Caller::make`], from 1.
        call: u32,
    },
    /// Text.
    Text(&'a str),
    /// Reasoning.
    Reasoning(&'a str),
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The text; never empty.
    pub text: String,
    /// Why the model stopped.
    pub finish: Finish,
    /// Tokens, as the provider said, or as estimated.
    pub usage: Usage,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// The provider's fault, after all retries.
    Provider(ProviderError),
    /// The budget does not hold the call.
    BudgetSpent(Resource),
    /// The caller was told to stop, or lost the lease under which it asked.
    Stopped,
    /// The card names a provider that is not configured here.
    UnknownProvider(String),
}

impl CallFailure {
    /// A stable name for metrics and events.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Provider(error) => error.code(),
            Self::BudgetSpent(_) => "budget_spent",
            Self::Stopped => "stopped",
            Self::UnknownProvider(_) => "unknown_provider",
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(error) => fmt::Display::fmt(error, f),
            Self::BudgetSpent(resource) => {
                write!(f, "the budget of {resource} holds no further call")
            }
            Self::Stopped => f.write_str("the call was told to stop"),
            Self::UnknownProvider(name) => {
                write!(f, "provider {name} is not configured in this process")
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The reply.
    pub result: Result<Reply, CallFailure>,
    /// What all calls made consumed.
    pub spend: Spend,
    /// Whether a part of `spend` is an upper bound.
    pub estimated: bool,
}

impl Caller {
    /// Over these providers, by the names that cards refer to.
    pub fn new(providers: BTreeMap<String, Arc<dyn Provider>>, retry: RetryPolicy) -> Self {
        Self { providers: Arc::new(providers), retry }
    }

    /// Asks, and asks again where that may help, as long as budget, deadline and `stop`
    /// allow. `deltas` is told what comes in. Cancelling `stop` ends the call.
    pub async fn make(
        &self,
        call: Call<'_>,
        purse: &Purse,
        stop: &CancellationToken,
        mut deltas: impl FnMut(Delta<'_>) + Send,
    ) -> Called {
        let mut called =
            Called { result: Err(CallFailure::Stopped), spend: Spend::ZERO, estimated: false };
        let Some(provider) = self.providers.get(&call.card.provider).cloned() else {
            called.result = Err(CallFailure::UnknownProvider(call.card.provider.clone()));
            return called;
        };
        let tokens_in = tokens_in_max(&call.request.messages);
        let bound = call.card.upper_bound(tokens_in, call.request.output_tokens_max);
        let set_aside = match purse.set_aside() {
            Ok(amount) => amount,
            Err(resource) => {
                called.result = Err(CallFailure::BudgetSpent(resource));
                return called;
            }
        };
        // The first call needs only what goes beyond what is set aside; one that failed
        // for nothing leaves its reservation to the next one.
        let mut wanted = bound.minus(set_aside);
        for attempt in 1_u32.. {
            if wanted != Spend::ZERO
                && let Err(failure) = reserve(purse, wanted, stop).await
            {
                called.result = Err(failure);
                return called;
            }
            deltas(Delta::Begin { call: attempt });
            let one = one_call(provider.as_ref(), &call, &mut deltas);
            let Some(outcome) = stop.run_until_cancelled(one).await else {
                // It had begun, and nobody will know what it used.
                called.spend = called.spend.plus(bound);
                called.estimated = true;
                return called;
            };
            let error = match outcome {
                Ok((reply, known)) => {
                    called.spend = called.spend.plus(reply.usage.spend(call.card.price));
                    called.estimated |= !known;
                    called.result = Ok(reply);
                    return called;
                }
                Err(error) => error,
            };
            wanted = if error.may_have_cost() { bound } else { Spend::ZERO };
            if error.may_have_cost() {
                called.spend = called.spend.plus(bound);
                called.estimated = true;
            }
            let pause = self.retry.delay_ms(attempt, &error, rand::random());
            let pause = pause.map(Duration::from_millis).filter(|pause| {
                call.deadline.is_none_or(|deadline| Instant::now() + *pause < deadline)
            });
            let Some(pause) = pause else {
                called.result = Err(CallFailure::Provider(error));
                return called;
            };
            tracing::info!(agent = %call.card.id, %error, attempt, ?pause, "call failed, trying again");
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return called;
            }
        }
        called
    }
}

async fn reserve(purse: &Purse, bound: Spend, stop: &CancellationToken) -> Result<(), CallFailure> {
    let Purse::Lease { ledger, held, .. } = purse else { return Ok(()) };
    match baton_ledger::persist(stop, || ledger.reserve(held, bound)).await {
        Ok(()) => Ok(()),
        Err(LedgerError::BudgetSpent(resource)) => Err(CallFailure::BudgetSpent(resource)),
        Err(error) => {
            tracing::info!(%error, task = %held.task, "no reservation");
            Err(CallFailure::Stopped)
        }
    }
}

/// One call; whether the provider said what it used comes with the reply.
async fn one_call(
    provider: &dyn Provider,
    call: &Call<'_>,
    deltas: &mut (impl FnMut(Delta<'_>) + Send),
) -> Result<(Reply, bool), ProviderError> {
    let run = async {
        let mut stream = provider.chat(call.request.clone()).await?;
        let mut text = String::new();
        while let Some(event) = stream.next().await {
            match event? {
                ChatEvent::Text(more) => {
                    text.push_str(&more);
                    deltas(Delta::Text(&more));
                }
                ChatEvent::Reasoning(more) => deltas(Delta::Reasoning(&more)),
                ChatEvent::Finished(finished) => {
                    if text.trim().is_empty() {
                        return Err(ProviderError::Empty);
                    }
                    let known = finished.usage.is_some();
                    let usage = finished.usage.unwrap_or_else(|| estimate(&call.request, &text));
                    return Ok((Reply { text, finish: finished.finish, usage }, known));
                }
            }
        }
        let reason = "the stream ended without a finish".to_owned();
        Err(ProviderError::Cut { received: text.len(), reason })
    };
    let Some(deadline) = call.deadline else { return run.await };
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, run).await.unwrap_or_else(|_| {
        let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Err(ProviderError::Timeout { phase: baton_provider::Phase::Total, ms })
    })
}

/// No tokenizer in use makes more tokens than bytes.
fn tokens_in_max(messages: &[Message]) -> u64 {
    messages.iter().map(|message| content_tokens(&message.content) + MESSAGE_FRAME_TOKENS).sum()
}

fn content_tokens(content: &Content) -> u64 {
    match content {
        Content::Text(text) => text.len() as u64,
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text { text } => text.len() as u64,
                Part::ImageUrl { .. } => IMAGE_TOKENS,
            })
            .sum(),
    }
}

/// What a reply used at most, when the provider does not say.
fn estimate(request: &ChatRequest, text: &str) -> Usage {
    let tokens_out = (text.len() as u64).min(u64::from(request.output_tokens_max));
    Usage { tokens_in: tokens_in_max(&request.messages), tokens_out, ..Usage::default() }
}
