//! A Conductor and a worker-agent on the wire, which say what a test tells them to say.

use baton_engine::{Answer, Check, End, Event, Input, Outcome, Plan, PlanSource, Planning};
use baton_engine::{Reason, RunSpec, Status as RunStatus, StepShape};
use baton_proto::v1::{self as pb, conductor_server, watch_reply::What, worker_agent_server};
use baton_workflow::{AgentId, BodyRef, Selection, Spend, StepId};
use futures::{Stream, StreamExt, stream::BoxStream};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the peer is told to say, and what it was asked.
#[derive(Default)]
pub(crate) struct Peer {
    state: Mutex<State>,
    /// Rises with every change, so that tests and streams wait instead of polling.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    /// For every run the same.
    pub(crate) journal: Vec<pb::WatchReply>,
    pub(crate) get: pb::GetReply,
    pub(crate) deltas: HashMap<u32, Vec<pb::Delta>>,
    pub(crate) direct: Vec<pb::DirectChatReply>,
    /// How often `Submit` is carried out, but its reply lost.
    pub(crate) lose_replies: usize,
    /// How often a watch breaks before its next entry.
    pub(crate) break_watches: usize,
    /// What `Submit` is refused with.
    pub(crate) refusal: Option<Status>,
    pub(crate) submits: Vec<(pb::SubmitRequest, Option<String>)>,
    pub(crate) cancels: Vec<pb::CancelRequest>,
    pub(crate) watches: Vec<pb::WatchRequest>,
    pub(crate) step_watches: Vec<u32>,
    pub(crate) lists: Vec<pb::ListRequest>,
    /// Direct calls that are over, or were left.
    pub(crate) direct_ended: usize,
}

impl Peer {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changes.send_modify(|n| *n += 1);
        result
    }

    pub(crate) async fn until<T>(&self, mut ready: impl FnMut(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                if let Some(result) = ready(&self.state.lock().unwrap()) {
                    return result;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("what a test waits for must come")
    }

    pub(crate) fn say(&self, what: What) {
        self.with(|state| state.journal.push(pb::WatchReply { what: Some(what) }));
    }

    pub(crate) fn journal(&self, event: &Event) {
        let event_json = baton_engine::version::write(event).into();
        self.with(|state| {
            let entries = state.journal.iter();
            let seq = 1 + entries.filter(|r| matches!(r.what, Some(What::Entry(_)))).count() as u64;
            let entry = pb::JournalEntry { seq, at_ms: 1000 + seq, event_json };
            state.journal.push(pb::WatchReply { what: Some(What::Entry(entry)) });
        });
    }

    pub(crate) fn delta(&self, task: u32, call: u32, offset: u64, text: &str, last: bool) {
        let reasoning = String::new();
        let delta =
            pb::Delta { call, offset, text: text.into(), reasoning, last, ..pb::Delta::default() };
        self.with(|state| state.deltas.entry(task).or_default().push(delta));
    }

    /// A run of `steps` steps that has got so far that its last one is leased as task 1.
    pub(crate) fn up_to_last_step(&self, steps: u16, check: Option<Check>, selection: Selection) {
        self.journal(&submitted(steps, check, selection));
        self.journal(&Event::Adopted {
            round: 0,
            plan: plan(steps, selection),
            source: PlanSource::Strategy("direct".into()),
        });
        self.dispatch(1, steps - 1);
        self.lease(1, 1);
    }

    pub(crate) fn dispatch(&self, task: u32, step: u16) {
        self.journal(&Event::StepDispatched {
            task,
            round: 0,
            step: StepId(step),
            agent: AgentId::new("small").unwrap(),
            output_tokens_max: 10,
            bound: Spend::ZERO,
        });
    }

    pub(crate) fn lease(&self, task: u32, attempt: u32) {
        let (holder, class) = ("peer".into(), "work/small".into());
        self.say(What::Leased(pb::Leased { task, attempt, holder, class }));
    }

    pub(crate) fn fail(&self, task: u32) {
        let outcome = Outcome::Failed { code: "overloaded".into(), message: "busy".into() };
        let input = Input::Outcome {
            task,
            outcome,
            spend: Spend::ZERO,
            estimated: false,
            incidents: Vec::new(),
        };
        self.journal(&Event::Heard { input });
    }

    /// Ends the run with this answer.
    pub(crate) fn end(&self, text: &str) {
        self.with(|state| {
            state.get.answer = Some(text.into());
            state.get.status = "completed".into();
        });
        self.close(RunStatus::Completed);
    }

    pub(crate) fn close(&self, status: RunStatus) {
        let answer = Answer {
            output: body(),
            round: 0,
            step: StepId(0),
            agent: AgentId::new("small").unwrap(),
            truncated: false,
            tool_calls: None,
            shortfall: None,
            partial: false,
            score: None,
        };
        let (reason, spend) = (Reason::Unchecked, Spend::ZERO);
        let end = End { status, reason, answer: Some(answer), spend, rounds: 1 };
        self.journal(&Event::Ended { end });
        self.say(What::Ended(pb::Ended::default()));
    }
}

fn body() -> BodyRef {
    BodyRef { hash: "00".into(), len: 2 }
}

fn plan(steps: u16, selection: Selection) -> Plan {
    let step = StepShape {
        agent: AgentId::new("small").unwrap(),
        sees: vec![],
        sees_rounds: false,
        kept: None,
        verifies: None,
    };
    let steps = vec![step; steps.into()];
    Plan { workflow: body(), pool_version: "pool-1".into(), steps, selection }
}

fn submitted(steps: u16, check: Option<Check>, selection: Selection) -> Event {
    let settings = crate::sample::settings(&["small"]);
    let spec = RunSpec {
        request: body(),
        budget: settings.budget,
        limits: settings.limits,
        agents: vec![],
        planning: Planning::Strategy { name: "direct".into(), plan: plan(steps, selection) },
        check,
        images: false,
        needs: baton_workflow::Abilities::NONE,
        recursion: false,
        awaits: false,
        review: false,
        worth: None,
        verifier: None,
    };
    Event::Submitted { spec: Box::new(spec) }
}

type Reply<T> = Result<Response<T>, Status>;
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Everything that `items` gives, now and later, from the given place on.
fn growing<T: Send + 'static>(
    peer: Arc<Peer>,
    mut items: impl FnMut(&mut State, usize) -> Option<Result<T, Status>> + Send + 'static,
    is_last: impl Fn(&T) -> bool + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    async_stream::stream! {
        let mut changes = peer.changes.subscribe();
        let mut place = 0;
        loop {
            changes.borrow_and_update();
            let next = items(&mut peer.state.lock().unwrap(), place);
            match next {
                Some(Ok(item)) => {
                    place += 1;
                    let last = is_last(&item);
                    yield Ok(item);
                    if last {
                        return;
                    }
                }
                Some(Err(status)) => {
                    yield Err(status);
                    return;
                }
                None => changes.changed().await.unwrap(),
            }
        }
    }
    .boxed()
}

pub(crate) struct Wire(pub(crate) Arc<Peer>);

#[tonic::async_trait]
impl conductor_server::Conductor for Wire {
    type WatchStream = Replies<pb::WatchReply>;

    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Reply<pb::SubmitReply> {
        let parent = request.metadata().get("traceparent").map(|v| v.to_str().unwrap().to_owned());
        self.0.with(|state| {
            if let Some(refusal) = state.refusal.clone() {
                return Err(refusal);
            }
            let request = request.into_inner();
            let same =
                |(old, _): &(pb::SubmitRequest, _)| old.idempotency_key == request.idempotency_key;
            let known = state.submits.iter().position(same);
            let number = known.unwrap_or(state.submits.len()) + 1;
            if known.is_none() {
                state.submits.push((request, parent));
            }
            if state.lose_replies > 0 {
                state.lose_replies -= 1;
                return Err(Status::unavailable("lost"));
            }
            let run = format!("run_{number}");
            state.get.run = run.clone();
            Ok(Response::new(pb::SubmitReply { run, known: known.is_some(), turn: 0 }))
        })
    }

    async fn plan(&self, request: Request<pb::SubmitRequest>) -> Reply<pb::PlanReply> {
        let plan = serde_json::json!({ "model": request.into_inner().model });
        Ok(Response::new(pb::PlanReply { plan_json: plan.to_string().into() }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Reply<pb::GetReply> {
        let run = request.into_inner().run;
        if !run.starts_with("run_") {
            return Err(Status::not_found(format!("no run {run}")));
        }
        Ok(Response::new(self.0.with(|state| state.get.clone())))
    }

    async fn list(&self, request: Request<pb::ListRequest>) -> Reply<pb::ListReply> {
        let request = request.into_inner();
        let run = |n: u32| serde_json::json!({ "id": format!("run_{n}") }).to_string().into();
        let runs_json = (0..request.limit).map(run).collect();
        self.0.with(|state| state.lists.push(request));
        Ok(Response::new(pb::ListReply { runs_json }))
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Reply<Self::WatchStream> {
        let request = request.into_inner();
        if !request.run.starts_with("run_") {
            return Err(Status::not_found(format!("no run {}", request.run)));
        }
        let from = request.from;
        self.0.with(|state| state.watches.push(request));
        let behind = move |reply: &&pb::WatchReply| match &reply.what {
            Some(What::Entry(entry)) => entry.seq > from,
            Some(What::Leased(_) | What::Expired(_) | What::Awaiting(_) | What::Ended(_))
            | None => true,
        };
        let items = move |state: &mut State, place: usize| {
            let mut item = state.journal.iter().filter(behind).nth(place).cloned()?;
            if let Some(What::Ended(ended)) = &mut item.what {
                ended.run = Some(state.get.clone());
            }
            if place == 1 && state.break_watches > 0 {
                state.break_watches -= 1;
                return Some(Err(Status::unavailable("restarting")));
            }
            Some(Ok(item))
        };
        let last = |reply: &pb::WatchReply| matches!(reply.what, Some(What::Ended(_)));
        Ok(Response::new(growing(self.0.clone(), items, last)))
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Reply<pb::StatusReply> {
        let asked = request.into_inner();
        let status = serde_json::json!({
            "runs": [],
            "queues": [{ "tenant": asked.tenant, "runs": asked.runs }],
            "all": asked.everything,
        });
        Ok(Response::new(pb::StatusReply { status_json: status.to_string().into() }))
    }

    async fn cancel(&self, request: Request<pb::CancelRequest>) -> Reply<pb::CancelReply> {
        self.0.with(|state| state.cancels.push(request.into_inner()));
        let state = pb::cancel_reply::State::Asked.into();
        Ok(Response::new(pb::CancelReply { state }))
    }
}

#[tonic::async_trait]
impl worker_agent_server::WorkerAgent for Wire {
    type WatchStream = Replies<pb::Delta>;
    type ChatStream = Replies<pb::DirectChatReply>;

    async fn watch(&self, request: Request<pb::WatchStepRequest>) -> Reply<Self::WatchStream> {
        let task = request.into_inner().task;
        self.0.with(|state| state.step_watches.push(task));
        let items = move |state: &mut State, place: usize| {
            state.deltas.get(&task)?.get(place).cloned().map(Ok)
        };
        Ok(Response::new(growing(self.0.clone(), items, |delta: &pb::Delta| delta.last)))
    }

    async fn chat(&self, _request: Request<pb::DirectChatRequest>) -> Reply<Self::ChatStream> {
        struct Left(Arc<Peer>);
        impl Drop for Left {
            fn drop(&mut self) {
                self.0.with(|state| state.direct_ended += 1);
            }
        }
        let left = Left(self.0.clone());
        let items = move |state: &mut State, place: usize| {
            let _held = &left;
            state.direct.get(place).cloned().map(Ok)
        };
        let last = |reply: &pb::DirectChatReply| {
            matches!(reply.what, Some(pb::direct_chat_reply::What::End(_)))
        };
        Ok(Response::new(growing(self.0.clone(), items, last)))
    }

    async fn describe(&self, request: Request<pb::DescribeRequest>) -> Reply<pb::DescribeReply> {
        let calls = if request.into_inner().tenant.is_some() { 1 } else { 9 };
        let figures = pb::AgentFigures { agent: "small".into(), calls, ..Default::default() };
        Ok(Response::new(pb::DescribeReply { figures: vec![figures], ..Default::default() }))
    }
}
