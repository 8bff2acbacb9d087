//! The call itself.

use crate::{
    Delta, Purse, Reply,
    bound::tokens_in_max,
    figures::{AgentFigures, Figures},
    gate::{AccountLimits, Entered, Gate, NoRoom, Pass, Visit},
    latency::Latencies,
    metrics::CallMetrics,
    race::{Race, Raced},
    tries::Tries,
};
use baton_codes::FailureCode;
use baton_ledger::{Bound, Ledger};
use baton_provider::{ChatRequest, Finish, Provider, ProviderError, RetryPolicy};
use baton_telemetry::{Metrics, Parent};
use baton_workflow::{
    AccountTerms, AgentCard, AgentId, HedgeTerms, Incident, Resource, Spend, TenantId,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Providers by the names that cards refer to.
pub type Providers = BTreeMap<String, Arc<dyn Provider>>;

/// Makes calls to the models of all configured providers. Clones share the providers.
#[derive(Clone)]
pub struct Caller {
    providers: Arc<RwLock<Providers>>,
    retry: RetryPolicy,
    figures: Figures,
    tenant: Option<TenantId>,
    gate: Gate,
    limits: Arc<RwLock<CallLimits>>,
    pub(crate) latencies: Arc<Latencies>,
    /// What its calls are made for, in traces.
    pub(crate) parent: Parent,
    metrics: CallMetrics,
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
    /// The call went well and gave no text, for this reason.
    NotSaid(Finish),
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
        let code = match self {
            Self::Provider(error) => return error.code(),
            Self::BudgetSpent(_) => FailureCode::BudgetSpent,
            Self::Stopped => FailureCode::Stopped,
            Self::UnknownProvider(_) => FailureCode::UnknownProvider,
            Self::NotSaid(Finish::Refusal) => FailureCode::Refused,
            Self::NotSaid(Finish::ContentFilter) => FailureCode::Filtered,
            Self::NotSaid(Finish::Stop | Finish::Length | Finish::ToolCalls) => FailureCode::NoText,
            Self::NoRoom { bound, .. } => match bound {
                Bound::Breaker => FailureCode::BreakerOpen,
                Bound::Pause => FailureCode::ProviderPaused,
                Bound::Concurrency | Bound::AgentConcurrency => FailureCode::TooManyCalls,
                Bound::Requests | Bound::Tokens => FailureCode::QuotaSpent,
            },
        };
        code.as_str()
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
            Self::NotSaid(finish) => f.write_str(match finish {
                Finish::Refusal => "the model refused to answer",
                Finish::ContentFilter => "the provider's filter stopped the answer",
                Finish::Length => "the model wrote no text within its limit of tokens",
                Finish::Stop | Finish::ToolCalls => "the model wrote no text",
            }),
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
    pub fn new(providers: Providers, retry: RetryPolicy) -> Self {
        Self {
            providers: Arc::new(RwLock::new(providers)),
            retry,
            figures: Figures::default(),
            tenant: None,
            gate: Gate::new(None),
            limits: Arc::default(),
            latencies: Arc::default(),
            parent: Parent::default(),
            metrics: CallMetrics::of(&Metrics::default()),
        }
    }

    /// The same, with all calls counted as this tenant's.
    #[must_use]
    pub fn on_behalf_of(&self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self.clone() }
    }

    /// The same, with its calls counted among the metrics of the process.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: CallMetrics::of(metrics), ..self }
    }

    /// Counts an asking that another task's same call answered.
    pub fn count_shared(&self) {
        self.metrics.shared();
    }

    /// The same, with a span under this one for each call to a provider.
    #[must_use]
    pub fn under(&self, parent: Parent) -> Self {
        Self { parent, ..self.clone() }
    }

    /// What the calls of this process came to, agent by agent: those for one tenant, or
    /// all.
    pub fn figures(&self, tenant: Option<&TenantId>) -> BTreeMap<AgentId, AgentFigures> {
        self.figures.read(tenant)
    }

    /// The same, with the ledger that keeps the accounts which all processes share.
    /// Without one, every account is kept in this process.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<dyn Ledger>) -> Self {
        Self { gate: Gate::new(Some(ledger)), ..self }
    }

    /// Takes other providers from the next call on. Calls under way end with the provider
    /// that they began with.
    pub fn set_providers(&self, providers: Providers) {
        // A map is whole whoever panicked: it is only ever replaced.
        *self.providers.write().unwrap_or_else(PoisonError::into_inner) = providers;
    }

    fn provider(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.providers.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
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
        deltas: impl FnMut(Delta<'_>) + Send,
    ) -> Called {
        let begun = self.figures.begin(&call.card.id, self.tenant.as_ref());
        let (agent, at) = (&call.card.id, Instant::now());
        let called = self.make_uncounted(call, purse, stop, deltas).await;
        purse.settle(called.spend);
        self.metrics.called(agent, self.tenant.as_ref(), &called, at.elapsed());
        begun.end(&called);
        called
    }

    async fn make_uncounted(
        &self,
        call: Call<'_>,
        purse: &Purse,
        stop: &CancellationToken,
        mut deltas: impl FnMut(Delta<'_>) + Send,
    ) -> Called {
        let Some(provider) = self.provider(&call.card.provider) else {
            let failure = CallFailure::UnknownProvider(call.card.provider.clone());
            return Tries::new(Spend::ZERO).ended(Err(failure));
        };
        let tokens_in = tokens_in_max(&call.request);
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
    tokens_in_max(request) / 4 + u64::from(request.output_tokens_max)
}
