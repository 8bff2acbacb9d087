//! A provider whose calls do what a test says.

use async_trait::async_trait;
use baton_call::{Call, CallLimits, Called, Caller, Purse};
use baton_provider::{
    ChatEvent, ChatRequest, ChatStream, Finish, Finished, Message, Provider, ProviderError,
    RetryPolicy, Role, Usage,
};
use baton_workflow::{AgentCard, AgentId, Price};
use futures::StreamExt as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// What one call does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says this after so many milliseconds.
    Says(&'static str, u64),
    /// Fails after so many milliseconds, without having begun.
    Fails(ProviderError, u64),
    /// Says this after so many milliseconds, and breaks off.
    Breaks(&'static str, u64),
}

/// The acts of the calls to come; then the last one again and again.
#[derive(Default)]
pub(crate) struct Scripted {
    acts: Mutex<Vec<Act>>,
    pub(crate) asked: Mutex<Vec<ChatRequest>>,
}

impl Scripted {
    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(crate) fn will(&self, acts: &[Act]) {
        *self.acts.lock().unwrap() = acts.iter().rev().cloned().collect();
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        self.asked.lock().unwrap().push(request);
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 { acts.pop() } else { acts.last().cloned() }
        };
        let said = |text: &str| Ok(ChatEvent::Text(text.into()));
        let (ms, events) = match act.expect("nothing to do") {
            Act::Fails(error, ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                return Err(error);
            }
            Act::Says(text, ms) => {
                let usage = Usage { tokens_in: 10, tokens_out: 5, ..Usage::default() };
                let (finish, model, id) = (Finish::Stop, "m".to_owned(), "a".to_owned());
                let finished = Finished { finish, usage: Some(usage), model, id };
                (ms, vec![said(text), Ok(ChatEvent::Finished(finished))])
            }
            Act::Breaks(text, ms) => {
                let cut = ProviderError::Cut { received: text.len(), reason: "cut".into() };
                (ms, vec![said(text), Err(cut)])
            }
        };
        let late = futures::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            futures::stream::iter(events)
        });
        Ok(late.flatten().boxed())
    }
}

pub(crate) fn card() -> AgentCard {
    AgentCard {
        id: AgentId::new("agent").unwrap(),
        provider: "p".into(),
        model: "m".into(),
        strengths: String::new(),
        price: Price::from_dollars(1.0, 2.0).unwrap(),
        context_tokens: 1_000,
        output_tokens: 100,
        concurrency: 8,
        images: false,
        abilities: Default::default(),
        tags: [].into(),
    }
}

pub(crate) fn request(text: &str) -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message::text(Role::User, text)],
        output_tokens_max: 100,
        idempotency_key: Some("task".into()),
        ..ChatRequest::default()
    }
}

pub(crate) fn caller(provider: &Arc<Scripted>, limits: CallLimits) -> Caller {
    let provider: Arc<dyn Provider> = provider.clone();
    let retry = RetryPolicy { attempts_max: 3, base_ms: 10, cap_ms: 100 };
    let caller = Caller::new(BTreeMap::from([("p".to_owned(), provider)]), retry);
    caller.set_limits(limits);
    caller
}

/// A call that nobody follows and that could be made elsewhere.
pub(crate) async fn make(caller: &Caller, text: &str) -> Called {
    make_of(caller, &card(), text, false).await
}

pub(crate) async fn make_of(
    caller: &Caller,
    card: &AgentCard,
    text: &str,
    followed: bool,
) -> Called {
    let request = request(text);
    let call = Call { card, request, deadline: None, followed, elsewhere: true };
    caller.make(call, &Purse::Open, &CancellationToken::new(), |_| {}).await
}

pub(crate) fn limited(retry_after_ms: u64) -> ProviderError {
    let retry_after_ms = Some(retry_after_ms);
    ProviderError::RateLimited { retry_after_ms, message: "slow down".into() }
}

pub(crate) fn broken() -> ProviderError {
    ProviderError::Server { status: 503, retry_after_ms: None, message: "down".into() }
}
