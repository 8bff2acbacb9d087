//! One call, or two where the first is slow: whoever is there first is taken.

use crate::{
    Call, Caller, Delta, Purse, Reply,
    caller::millis,
    chat_span,
    gate::{Pass, health},
    latency::Mark,
    reply::{Gathered, Named},
    tries::Tries,
};
use baton_ledger::Health;
use baton_provider::{ChatEvent, ChatRequest, ChatStream, Phase, Provider, ProviderError, Usage};
use baton_telemetry::Span;
use baton_workflow::Incident;
use futures::{StreamExt as _, future::BoxFuture};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a race is run with.
pub(crate) struct Race<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) provider: &'a dyn Provider,
    pub(crate) call: &'a Call<'a>,
    pub(crate) purse: &'a Purse,
    pub(crate) stop: &'a CancellationToken,
}

/// What came of it.
pub(crate) struct Raced {
    /// Which call said so.
    pub(crate) call: u32,
    pub(crate) result: Result<Reply, ProviderError>,
}

/// A call that is as far as it has to be to win: at its first event where somebody
/// follows it, else at its end.
enum Ahead {
    Begun { stream: ChatStream, first: ChatEvent, span: Span },
    Done(Whole, Span),
}

/// A reply, and whether the provider said what it used.
pub(crate) struct Whole {
    pub(crate) reply: Reply,
    pub(crate) known: bool,
    pub(crate) named: Named,
}

type Runner<'a> = BoxFuture<'a, Result<Ahead, ProviderError>>;

impl Race<'_> {
    /// Runs it. Everything that the calls consumed is noted in `tries`, at the latest when
    /// this is dropped and they are counted as given up.
    pub(crate) async fn run(
        &mut self,
        pass: Pass,
        tries: &mut Tries,
        deltas: &mut (impl FnMut(Delta<'_>) + Send),
    ) -> Raced {
        let began = Instant::now();
        tries.begin();
        let left = self.call.deadline.map(|deadline| deadline.saturating_duration_since(began));
        let running = self.both(pass, began, tries, deltas);
        let Some(left) = left else { return running.await };
        if let Ok(raced) = tokio::time::timeout(left, running).await {
            return raced;
        }
        while tries.open > 0 {
            tries.given_up();
        }
        let timeout = ProviderError::Timeout { phase: Phase::Total, ms: millis(left) };
        Raced { call: tries.calls, result: Err(timeout) }
    }

    async fn both(
        &self,
        pass: Pass,
        began: Instant,
        tries: &mut Tries,
        deltas: &mut (impl FnMut(Delta<'_>) + Send),
    ) -> Raced {
        let first_call = tries.calls;
        let mut first = self.runner(self.call.request.clone(), first_call);
        let slow_after = self.slow_after();
        let early = match slow_after {
            None => Some(pass.during(&mut first).await),
            Some(after) => tokio::time::timeout(after, pass.during(&mut first)).await.ok(),
        };
        if let Some(ahead) = early {
            let result = self.finish(ahead, pass, began, tries, deltas).await;
            return Raced { call: first_call, result };
        }
        let second = self.caller.second(self.call, self.purse, self.stop, tries).await;
        let Some(second_pass) = second else {
            let ahead = pass.during(&mut first).await;
            let result = self.finish(ahead, pass, began, tries, deltas).await;
            return Raced { call: first_call, result };
        };
        tries.calls += 1;
        tries.begin();
        let (call, after_ms, second_began) = (tries.calls, millis(began.elapsed()), Instant::now());
        tracing::info!(agent = %self.call.card.id, after_ms, "slow call, making a second one");
        let mut request = self.call.request.clone();
        // Under its own name: the same one would be answered with the same slow reply.
        request.idempotency_key = request.idempotency_key.map(|key| format!("{key}/{call}"));
        let mut second = self.runner(request, call);
        let (first_pass, mut won) = (pass, false);
        let (ahead, pass, began) = {
            tokio::select! {
                biased;
                ahead = first_pass.during(&mut first) => match ahead {
                    Ok(ahead) => {
                        give_up(second_pass, tries).await;
                        (Ok(ahead), first_pass, began)
                    }
                    Err(error) => {
                        self.note_failure(first_call, &error, began, first_pass, tries).await;
                        won = true;
                        (second_pass.during(&mut second).await, second_pass, second_began)
                    }
                },
                ahead = second_pass.during(&mut second) => match ahead {
                    Ok(ahead) => {
                        give_up(first_pass, tries).await;
                        won = true;
                        (Ok(ahead), second_pass, second_began)
                    }
                    Err(error) => {
                        self.note_failure(call, &error, second_began, second_pass, tries).await;
                        (first_pass.during(&mut first).await, first_pass, began)
                    }
                },
            }
        };
        drop((first, second));
        tries.incidents.push(Incident::Hedged { call, after_ms, won: won && ahead.is_ok() });
        if won {
            deltas(Delta::Begin { call });
        }
        let result = self.finish(ahead, pass, began, tries, deltas).await;
        Raced { call: if won { call } else { first_call }, result }
    }

    /// After how long a second call is made, if one is.
    fn slow_after(&self) -> Option<Duration> {
        let terms = self.caller.hedge(self.call)?;
        self.caller.latencies.save(terms);
        self.caller.latencies.slow_after(&self.call.card.id, self.mark(), terms)
    }

    fn mark(&self) -> Mark {
        if self.call.followed { Mark::FirstToken } else { Mark::End }
    }

    /// A call, up to where it wins.
    fn runner(&self, request: ChatRequest, number: u32) -> Runner<'_> {
        Box::pin(async move {
            let began = Instant::now();
            let mut span = chat_span::open(self, &request, number);
            let begun = self.begun(request).await;
            let (stream, first) = begun.inspect_err(|error| chat_span::fail(&mut span, error))?;
            chat_span::first(&mut span, began.elapsed());
            if self.call.followed {
                return Ok(Ahead::Begun { stream, first, span });
            }
            let whole = self.rest(stream, first, &mut |_: Delta<'_>| {}).await;
            let whole = whole.inspect_err(|error| chat_span::fail(&mut span, error))?;
            Ok(Ahead::Done(whole, span))
        })
    }

    async fn begun(&self, request: ChatRequest) -> Result<(ChatStream, ChatEvent), ProviderError> {
        let mut stream = self.provider.chat(request).await?;
        let first = stream.next().await.unwrap_or_else(|| Err(unfinished(0)))?;
        Ok((stream, first))
    }

    /// The rest of a call that is in the lead, and its bill.
    async fn finish(
        &self,
        ahead: Result<Ahead, ProviderError>,
        pass: Pass,
        began: Instant,
        tries: &mut Tries,
        deltas: &mut (impl FnMut(Delta<'_>) + Send),
    ) -> Result<Reply, ProviderError> {
        let took = began.elapsed();
        let result = match ahead {
            Ok(Ahead::Begun { stream, first, mut span }) => {
                let whole = pass.during(self.rest(stream, first, deltas)).await;
                let whole = whole.inspect_err(|error| chat_span::fail(&mut span, error));
                whole.map(|whole| (whole, span))
            }
            Ok(Ahead::Done(whole, span)) => Ok((whole, span)),
            Err(error) => Err(error),
        };
        match result {
            Ok((whole, span)) => {
                chat_span::finish(span, &self.caller.parent, &whole);
                let Whole { reply, known, .. } = whole;
                self.caller.latencies.record(&self.call.card.id, self.mark(), took);
                let Usage { tokens_in, tokens_out, .. } = reply.usage;
                pass.leave(Some(tokens_in + tokens_out), Health::Well).await;
                tries.paid(reply.usage.spend(self.call.card.price), known);
                Ok(reply)
            }
            Err(error) => {
                pass.leave(unused(&error), health(&error)).await;
                tries.failed(&error);
                Err(error)
            }
        }
    }

    /// One of two calls has failed; the other goes on.
    async fn note_failure(
        &self,
        call: u32,
        error: &ProviderError,
        began: Instant,
        pass: Pass,
        tries: &mut Tries,
    ) {
        pass.leave(unused(error), health(error)).await;
        tries.failed(error);
        let (code, ms) = (error.code().to_owned(), millis(began.elapsed()));
        tries.incidents.push(Incident::Failed { call, code, ms, retry_ms: None });
    }

    async fn rest(
        &self,
        mut stream: ChatStream,
        first: ChatEvent,
        deltas: &mut (impl FnMut(Delta<'_>) + Send),
    ) -> Result<Whole, ProviderError> {
        let mut gathered = Gathered::default();
        let mut event = Some(Ok(first));
        while let Some(now) = event {
            if let Some((reply, known)) = gathered.take(now?, &self.call.request, deltas)? {
                return Ok(Whole { reply, known, named: gathered.named() });
            }
            event = stream.next().await;
        }
        Err(unfinished(gathered.text_bytes()))
    }
}

async fn give_up(pass: Pass, tries: &mut Tries) {
    pass.leave(None, Health::Unknown).await;
    tries.given_up();
}

/// What a failed call surely used: none of its tokens, where it cost nothing.
fn unused(error: &ProviderError) -> Option<u64> {
    (!error.may_have_cost()).then_some(0)
}

fn unfinished(received: usize) -> ProviderError {
    let reason = "the stream ended without a finish".to_owned();
    ProviderError::Cut { received, reason }
}
