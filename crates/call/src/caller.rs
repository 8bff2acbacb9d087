//! The call itself.

use crate::{
    Purse,
    gate::{AccountLimits, Entered, Gate, NoRoom, Pass, Visit},
    latency::Latencies,
    race::{Race, Raced},
    tries::Tries,
};
use baton_ledger::{Bound, Ledger};
use baton_provider::{
    ChatRequest, Content, Finish, Message, Part, Provider, ProviderError, RetryPolicy, Usage,
};
use baton_workflow::{AccountTerms, AgentCard, HedgeTerms, Incident, Resource, Spend};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
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
    gate: Gate,
    limits: Arc<RwLock<CallLimits>>,
    pub(crate) latencies: Arc<Latencies>,
}

/// What bounds calls besides the budgets of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// By the name of the provider. One that is not named here has no limits and the usual
    /// breaker.
    pub accounts: BTreeMap<String, AccountLimits>,
    /// When slow calls get a second one beside them, if they do.
    pub hedge: Option<HedgeTerms>,
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
    /// Whether somebody follows the reply while it comes in: then no second call is made
    /// once there is text.
    pub followed: bool,
    /// Whether an agent at another provider may do it instead: then an account that fails,
    /// or has no room for long, is not waited for.
    pub elsewhere: bool,
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
    /// The provider's account has no room for the call within reason.
    NoRoom {
        /// What there is no room in.
        bound: Bound,
        /// When there may be, in milliseconds.
        ms: u64,
    },
}

impl From<NoRoom> for CallFailure {
    fn from(NoRoom { bound, ms }: NoRoom) -> Self {
        Self::NoRoom { bound, ms }
    }
}

impl CallFailure {
    /// A stable name for metrics and events.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Provider(error) => error.code(),
            Self::BudgetSpent(_) => "budget_spent",
            Self::Stopped => "stopped",
            Self::UnknownProvider(_) => "unknown_provider",
            Self::NoRoom { bound, .. } => match bound {
                Bound::Breaker => "breaker_open",
                Bound::Pause => "provider_paused",
                Bound::Concurrency | Bound::AgentConcurrency => "too_many_calls",
                Bound::Requests | Bound::Tokens => "quota_spent",
            },
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
            Self::NoRoom { bound, ms } => {
                let bound = bound.name();
                write!(f, "the provider's account has no room for {ms} ms more: {bound}")
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
    /// What happened on the way; nothing where the first call succeeded at once.
    pub incidents: Vec<Incident>,
}

impl Caller {
    /// Over these providers, by the names that cards refer to.
    pub fn new(providers: BTreeMap<String, Arc<dyn Provider>>, retry: RetryPolicy) -> Self {
        Self {
            providers: Arc::new(providers),
            retry,
            gate: Gate::new(None),
            limits: Arc::default(),
            latencies: Arc::default(),
        }
    }

    /// The same, with the ledger that keeps the accounts which all processes share.
    /// Without one, every account is kept in this process.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<dyn Ledger>) -> Self {
        Self { gate: Gate::new(Some(ledger)), ..self }
    }

    /// Takes other limits from the next call on.
    pub fn set_limits(&self, limits: CallLimits) {
        // It is only ever replaced as a whole, whoever panicked.
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits_of(&self, provider: &str) -> (AccountLimits, Option<HedgeTerms>) {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let account = limits.accounts.get(provider).copied();
        (account.unwrap_or_else(AccountLimits::usual), limits.hedge)
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
        let Some(provider) = self.providers.get(&call.card.provider).cloned() else {
            let failure = CallFailure::UnknownProvider(call.card.provider.clone());
            return Tries::new(Spend::ZERO).ended(Err(failure));
        };
        let tokens_in = tokens_in_max(&call.request.messages);
        let mut tries =
            Tries::new(call.card.upper_bound(tokens_in, call.request.output_tokens_max));
        for attempt in 1_u32.. {
            let pass = match self.prepare(&call, purse, stop, &mut tries).await {
                Ok(pass) => pass,
                Err(failure) => return tries.ended(Err(failure)),
            };
            deltas(Delta::Begin { call: tries.calls });
            let began = Instant::now();
            let mut race = Race { caller: self, provider: &*provider, call: &call, purse, stop };
            let racing = race.run(pass, &mut tries, &mut deltas);
            let Some(Raced { call: number, result }) = stop.run_until_cancelled(racing).await
            else {
                // What had begun goes on the bill: nobody will know what it used.
                tries.settle_open();
                return tries.ended(Err(CallFailure::Stopped));
            };
            let error = match result {
                Ok(reply) => return tries.ended(Ok(reply)),
                Err(error) => error,
            };
            let pause = self.retry.delay_ms(attempt, &error, rand::random());
            let pause = pause.map(Duration::from_millis).filter(|pause| {
                call.deadline.is_none_or(|deadline| Instant::now() + *pause < deadline)
            });
            tries.incidents.push(Incident::Failed {
                call: number,
                code: error.code().to_owned(),
                ms: millis(began.elapsed()),
                retry_ms: pause.map(millis),
            });
            let Some(pause) = pause else {
                return tries.ended(Err(CallFailure::Provider(error)));
            };
            tracing::info!(agent = %call.card.id, %error, attempt, ?pause, "call failed, trying again");
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        tries.ended(Err(CallFailure::Stopped))
    }

    /// Money and room for another call.
    async fn prepare(
        &self,
        call: &Call<'_>,
        purse: &Purse,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<Pass, CallFailure> {
        tries.calls += 1;
        tries.fund(purse, stop).await?;
        let visit = self.visit(call);
        let entering = stop.run_until_cancelled(self.gate.enter(&visit));
        let Entered { pass, waited } = match entering.await {
            None => return Err(CallFailure::Stopped),
            Some(Ok(entered)) => entered,
            Some(Err(no_room)) => {
                let NoRoom { bound, ms } = no_room;
                let (call, cause) = (tries.calls, bound.name().to_owned());
                tries.incidents.push(Incident::Refused { call, cause, ms });
                return Err(no_room.into());
            }
        };
        if let Some((bound, waited)) = waited {
            let (call, cause) = (tries.calls, bound.name().to_owned());
            tries.incidents.push(Incident::Waited { call, cause, ms: millis(waited) });
        }
        Ok(pass)
    }

    fn visit<'a>(&self, call: &Call<'a>) -> Visit<'a> {
        let (limits, _) = self.limits_of(&call.card.provider);
        Visit {
            card: call.card,
            limits,
            tokens: tokens_expected(&call.request),
            deadline: call.deadline,
            elsewhere: call.elsewhere,
        }
    }

    /// Room and money for a second call, if both are there at once.
    pub(crate) async fn second(
        &self,
        call: &Call<'_>,
        purse: &Purse,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Option<Pass> {
        if !self.latencies.spend() {
            return None;
        }
        let pass = self.gate.try_enter(&self.visit(call)).await?;
        tries.fund(purse, stop).await.ok()?;
        Some(pass)
    }

    pub(crate) fn hedge(&self, call: &Call<'_>) -> Option<HedgeTerms> {
        self.limits_of(&call.card.provider).1
    }
}

impl AccountLimits {
    /// Of an account that nothing is configured for.
    pub fn usual() -> Self {
        let breaker = Some(baton_workflow::BreakerTerms::default());
        Self { terms: AccountTerms { breaker, ..AccountTerms::default() }, shared: false }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a call will use, as an account's quota is counted by providers: four bytes of text
/// for a token, and all that may be written.
fn tokens_expected(request: &ChatRequest) -> u64 {
    tokens_in_max(&request.messages) / 4 + u64::from(request.output_tokens_max)
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
pub(crate) fn estimate(request: &ChatRequest, text: &str) -> Usage {
    let tokens_out = (text.len() as u64).min(u64::from(request.output_tokens_max));
    Usage { tokens_in: tokens_in_max(&request.messages), tokens_out, ..Usage::default() }
}
