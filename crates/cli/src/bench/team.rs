//! Runs without a wire: the real conductor over the embedded ledger on disk, in this
//! process, and steps that are done at once.

use crate::exit::Failure;
use async_trait::async_trait;
use baton_call::Caller;
use baton_conductor::Conductor;
use baton_engine::Outcome;
use baton_ledger::{
    Body, Class, Completion, DiskTerms, DiskUse, EmbeddedLedger, Handler, Held, JournalEntry,
    Leased, Ledger, Lessee, Remembered, Room, persist,
};
use baton_proto::v1::{self, conductor_server::Conductor as _};
use baton_provider::{
    ChatEvent, ChatRequest, ChatStream, Finish, Finished, Provider, ProviderError, RetryPolicy,
    Usage,
};
use baton_registry::{InProcess, Registry, Settings, read_settings};
use baton_worker_agent::WorkerAgent;
use baton_workflow::{AgentId, RunId, Spend, Usd};
use futures::{StreamExt as _, stream};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Request;

/// The one agent's name.
const AGENT: &str = "null";
/// Tokens that a step's prompt may have, as far as a reservation is concerned.
const TOKENS_IN: u64 = 600;
/// Tokens that a step may write.
const TOKENS_OUT: u64 = 1_024;

/// Three steps by an agent that answers at once, as a strategy: nothing but Baton itself.
pub(super) fn configuration(provider: &str) -> String {
    format!(
        r#"
[providers.sim]
base_url = "{provider}"
[[agents]]
id = "{AGENT}"
provider = "sim"
model = "sim-null"
strengths = "answers at once"
price = {{ input = 0.1, output = 0.1 }}
context_tokens = 32768
output_tokens = {TOKENS_OUT}
concurrency = 256
[policy]
strategy = "plan_execute_verify"
[limits]
steps_max = 9
"#
    )
}

/// What makes `baton/reflect` a workflow of nine steps, one after the other: an answer, and
/// four times a critique and a correction.
pub(super) fn steps_of_nine() -> &'static str {
    r#""baton":{"strategy_parameters":{"rounds":4}},"#
}

/// Who carries out the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// Nobody but the ledger's own operations: lease, reserve, complete.
    Bare,
    /// Nobody: the runs stay queued.
    Nobody,
    /// The worker-agent, with a model in this process that answers at once.
    Services,
}

/// A conductor and a worker over one ledger.
pub(super) struct Team {
    port: Arc<dyn Ledger>,
    /// None where it is another one than the embedded ledger.
    embedded: Option<EmbeddedLedger>,
    conductor: Conductor,
    /// Runs asked for so far: no two ask the same.
    asked: AtomicU64,
    stop: CancellationToken,
    services: TaskTracker,
}

impl Team {
    /// On the embedded ledger in this folder.
    pub(super) fn start(folder: &Path, steps: Steps) -> Result<Self, Failure> {
        Self::start_slowed(folder, steps, Duration::ZERO)
    }

    /// The same, where each sync takes at least so long.
    pub(super) fn start_slowed(
        folder: &Path,
        steps: Steps,
        sync_min: Duration,
    ) -> Result<Self, Failure> {
        let terms = DiskTerms { sync_min, ..DiskTerms::default() };
        let ledger = EmbeddedLedger::open_with(folder.join("ledger.redb"), terms);
        let ledger = ledger.map_err(|error| Failure::other(error.to_string()))?;
        let team = Self::over(ledger.clone(), steps)?;
        Ok(Self { embedded: Some(ledger), ..team })
    }

    /// On any ledger.
    pub(super) fn over(ledger: impl Ledger, steps: Steps) -> Result<Self, Failure> {
        let registry: Arc<dyn Registry> = Arc::new(InProcess::new(settings()?));
        let provider: Arc<dyn Provider> = Arc::new(AtOnce);
        let providers = BTreeMap::from([("sim".to_owned(), provider)]);
        let caller = Caller::new(providers, RetryPolicy::default());
        let port: Arc<dyn Ledger> = Arc::new(Remembered::new(ledger));
        let (stop, services) = (CancellationToken::new(), TaskTracker::new());
        let conductor =
            Conductor::new("conductor".into(), port.clone(), registry.clone(), caller.clone());
        let (deciding, stopped) = (conductor.clone(), stop.clone());
        services.spawn(async move { deciding.run(stopped).await });
        match steps {
            Steps::Bare => {
                let agent = AgentId::new(AGENT).map_err(|e| Failure::other(e.to_string()))?;
                let lessee = Lessee {
                    holder: "worker-agent".into(),
                    classes: vec![Class::work(&agent)],
                    room: Room::new(256),
                };
                services.spawn(lessee.run(
                    port.clone(),
                    Arc::new(Bare(port.clone())),
                    stop.clone(),
                ));
            }
            Steps::Nobody => {}
            Steps::Services => {
                let holder = "worker-agent".into();
                let worker = WorkerAgent::new(holder, port.clone(), registry, caller);
                let stopped = stop.clone();
                services.spawn(async move { worker.run(stopped).await });
            }
        }
        services.close();
        let asked = AtomicU64::new(0);
        Ok(Self { port, embedded: None, conductor, asked, stop, services })
    }

    /// What the embedded ledger has asked of its disk.
    pub(super) fn disk_use(&self) -> DiskUse {
        self.embedded.as_ref().map(EmbeddedLedger::disk_use).unwrap_or_default()
    }

    /// Carries out `count` runs of `model`, `in_flight` at a time; how long each took.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        model: &'static str,
        count: u32,
        in_flight: u32,
    ) -> Result<Vec<Duration>, Failure> {
        self.repeat(count, in_flight, move |team| async move {
            let run = team.submit_one(model).await?;
            team.wait(run).await
        })
        .await
    }

    /// Submits `count` runs of `model`, `in_flight` at a time, and waits for none.
    pub(super) async fn submit(
        self: &Arc<Self>,
        model: &'static str,
        count: u32,
        in_flight: u32,
    ) -> Result<(), Failure> {
        let submitted = self.repeat(count, in_flight, move |team| async move {
            team.submit_one(model).await.map(|_| ())
        });
        submitted.await.map(|_| ())
    }

    /// Carries out one run of `model` and gives its journal.
    pub(super) async fn journal(&self, model: &str) -> Result<Vec<JournalEntry>, Failure> {
        let run = self.submit_one(model).await?;
        self.wait(run.clone()).await?;
        let run = RunId::new(run).map_err(|error| Failure::other(error.to_string()))?;
        let view = self.port.read(&run, 0).await;
        Ok(view.map_err(|error| Failure::other(error.to_string()))?.entries)
    }

    /// Does one thing `count` times, `in_flight` at a time; how long each took.
    async fn repeat<W>(
        self: &Arc<Self>,
        count: u32,
        in_flight: u32,
        one: impl Fn(Arc<Self>) -> W + Copy + Send + 'static,
    ) -> Result<Vec<Duration>, Failure>
    where
        W: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let left = Arc::new(AtomicU64::new(count.into()));
        let clients = (0..in_flight).map(|_| {
            let (team, left) = (self.clone(), left.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                let less = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                    let began = Instant::now();
                    one(team.clone()).await?;
                    took.push(began.elapsed());
                }
                Ok::<_, Failure>(took)
            })
        });
        let mut all = Vec::new();
        for client in futures::future::join_all(clients).await {
            all.extend(client.map_err(|error| Failure::other(error.to_string()))??);
        }
        Ok(all)
    }

    async fn submit_one(&self, model: &str) -> Result<String, Failure> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let submitted = self.conductor.submit(Request::new(question(model, number))).await;
        Ok(submitted.map_err(refused)?.into_inner().run)
    }

    /// Waits until a run's end is known, as the gateway does.
    async fn wait(&self, run: String) -> Result<(), Failure> {
        let (tenant, end_only) = (TENANT.into(), true);
        let watch = v1::WatchRequest { tenant, run, end_only, from: 0, turn: None };
        let watched = self.conductor.watch(Request::new(watch)).await;
        let mut watched = watched.map_err(refused)?.into_inner();
        while let Some(reply) = watched.next().await {
            if let Some(v1::watch_reply::What::Ended(_)) = reply.map_err(refused)?.what {
                return Ok(());
            }
        }
        Err(Failure::other("a run was watched, and no end came"))
    }

    /// Stops everything and lets go of the folder.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.services.wait().await;
        if let Some(ledger) = &self.embedded {
            ledger.close().await;
        }
    }
}

/// The tenant of whoever needs no key, so that `baton up` finds these runs as its own.
const TENANT: &str = "default";

fn refused(status: tonic::Status) -> Failure {
    Failure::other(status.message())
}

fn settings() -> Result<Settings, Failure> {
    let text = configuration("http://in.process.invalid/v1");
    let settings = read_settings(&text, Path::new("bench.toml"), &|_| None);
    settings.map_err(|faults| Failure::other(faults.to_string()))
}

fn question(model: &str, number: u64) -> v1::SubmitRequest {
    let text = format!("Say that you are there, for the {number}th time.");
    let part = v1::Part { part: Some(v1::part::Part::Text(text)) };
    let message = v1::Message {
        role: v1::message::Role::User.into(),
        parts: vec![part],
        ..v1::Message::default()
    };
    let conversation = v1::Conversation { messages: vec![message], ..v1::Conversation::default() };
    v1::SubmitRequest {
        tenant: TENANT.into(),
        model: model.into(),
        conversation: Some(conversation),
        ..v1::SubmitRequest::default()
    }
}

/// Does nothing with a step but what the ledger has to be told.
struct Bare(Arc<dyn Ledger>);

#[async_trait]
impl Handler for Bare {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        let held = Held { task: leased.task, token: leased.token };
        // As a rule the lease has set aside what the call may cost.
        let reserved = match leased.reserved {
            Ok(aside) if aside != Spend::ZERO => Ok(()),
            Ok(_) | Err(_) => {
                let bound = spend(TOKENS_IN, TOKENS_OUT);
                persist(&stop, || self.0.reserve(&held, 1, bound)).await
            }
        };
        let output = Body::new(format!("I am there: {}.", held.task));
        let name = output.name.clone();
        let outcome = Outcome::Worked {
            output: name,
            truncated: false,
            ms: 0,
            tool_calls: None,
            replan: None,
        };
        let completion = Completion {
            outcome: serde_json::to_vec(&outcome).unwrap_or_default().into(),
            spend: spend(TOKENS_IN / 4, 8),
            estimated: false,
            bodies: vec![output],
        };
        let recorded = persist(&stop, || self.0.complete(&held, completion.clone())).await;
        if let Err(error) = reserved.and(recorded.map(|_| ())) {
            tracing::error!(%error, task = %held.task, "a step was not recorded");
        }
    }
}

fn spend(tokens_in: u64, tokens_out: u64) -> Spend {
    Spend {
        usd: Usd::from_pico((tokens_in + tokens_out) * 100_000),
        tokens_in,
        tokens_out,
        calls: 1,
    }
}

/// A model that answers at once.
struct AtOnce;

#[async_trait]
impl Provider for AtOnce {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let key = request.idempotency_key.unwrap_or_default();
        let usage = Usage { tokens_in: TOKENS_IN / 4, tokens_out: 8, ..Usage::default() };
        let (model, id) = (request.model, String::new());
        let finished = Finished { finish: Finish::Stop, usage: Some(usage), model, id };
        let events =
            [ChatEvent::Text(format!("I am there: {key}.")), ChatEvent::Finished(finished)];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}
