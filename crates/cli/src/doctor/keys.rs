//! Are the providers there, and do they take the keys? Only a call can tell.

use super::check::Check;
use crate::{
    node,
    output::dollars,
    settings::{self, SIM_PROVIDER},
};
use baton_call::{Call, CallFailure, Caller, Purse};
use baton_provider::{ChatRequest, ProviderError, RetryPolicy};
use baton_registry::{PolicySettings, Settings};
use baton_workflow::{AgentCard, Message, Role};
use futures::future::join_all;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longest wait for a provider.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A check for each provider, and what all calls cost in dollars.
pub(crate) async fn try_all(settings: &Settings, calls: bool) -> (Vec<Check>, f64) {
    let names = settings.providers.keys();
    let tried = join_all(names.map(|name| try_one(settings, name, calls))).await;
    let usd = tried.iter().map(|(_, usd)| usd).sum();
    (tried.into_iter().map(|(check, _)| check).collect(), usd)
}

async fn try_one(settings: &Settings, name: &str, calls: bool) -> (Check, f64) {
    let check = Check::ok(format!("provider {name}"));
    if name == SIM_PROVIDER && settings::is_simulated(settings) {
        return (check.found("SIMULATED models, started with `baton up`: no key"), 0.0);
    }
    let mut alone = settings.clone();
    alone.providers.retain(|other, _| other == name);
    // The key is read here, whether it is tried or not.
    let caller = match node::connections(&alone) {
        Ok(made) => Caller::new(made.providers(&made), RetryPolicy::default()),
        Err(failure) => {
            let advice = failure.name().map(|name| format!("see `baton explain {name}`"));
            let check = check.fail(failure.to_string());
            return (check.advise(advice.unwrap_or_else(|| "correct the provider".into())), 0.0);
        }
    };
    let Some(card) = cheapest(settings, name) else {
        return (check.warn("no agent uses it").advise("remove it, or add an agent"), 0.0);
    };
    if !calls {
        return (check.found("its key can be read; not tried (--no-calls)"), 0.0);
    }
    let request = ChatRequest {
        model: card.model.clone(),
        messages: vec![Message::text(Role::User, "Say yes.")],
        output_tokens_max: 1,
        ..ChatRequest::default()
    };
    let began = Instant::now();
    let deadline = Some(tokio::time::Instant::now() + CALL_LIMIT);
    let call = Call { card, request, deadline, followed: false, elsewhere: false };
    let called = caller.make(call, &Purse::Open, &CancellationToken::new(), |_| {}).await;
    let usd = called.spend.usd.dollars();
    let ms = began.elapsed().as_millis();
    let (model, cost) = (&card.model, dollars(usd));
    let check = match called.result {
        Ok(_) => check.found(format!("{model} answers in {ms} ms, one token, {cost}")),
        // A single token may be one of reasoning: the key was taken all the same.
        Err(CallFailure::Provider(ProviderError::Empty)) => {
            check.found(format!("{model} takes the key; one token held no text, {cost}"))
        }
        Err(failure) => failed(check, model, &failure),
    };
    (check, usd)
}

fn failed(check: Check, model: &str, failure: &CallFailure) -> Check {
    let found = format!("{model}: {failure}");
    let advice = format!("see `baton explain {}`", failure.code());
    let keyed = matches!(
        failure,
        CallFailure::Provider(ProviderError::Refused { .. } | ProviderError::RateLimited { .. })
    );
    // Whoever refuses the request, or asks for patience, has taken the key.
    if keyed { check.warn(found).advise(advice) } else { check.fail(found).advise(advice) }
}

/// The provider's model whose token costs least.
fn cheapest<'a>(settings: &'a Settings, provider: &str) -> Option<&'a AgentCard> {
    let policy = match &settings.policy {
        PolicySettings::Model(card) => Some(card),
        PolicySettings::Strategy(_) => None,
    };
    let cards = settings.pool.agents().iter().chain(policy);
    let cards = cards.filter(|card| card.provider == provider);
    cards.min_by_key(|card| card.price.output + card.price.input)
}
