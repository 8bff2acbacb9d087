//! The gRPC surface: tokens of steps in work, and calls that are not part of a run.

use crate::{WorkerAgent, form};
use baton_call::{AgentFigures, Call, CallFailure, Called, Delta, Purse};
use baton_codes::ApiCode;
use baton_ledger::Bound;
use baton_proto::{status, v1};
use baton_provider::{AnswerForm, ChatRequest, Conversation, Finish, Message, ProviderError};
use baton_telemetry::{Span, SpanKind, TraceParent, names};
use baton_workflow::{AgentCard, AgentId, RunId, TaskId, TenantId};
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

/// Parts of a direct reply that may wait for a slow reader before the call is slowed down.
const DIRECT_PARTS_MAX: usize = 4096;

type Stream<T> = Pin<Box<dyn futures_core::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::worker_agent_server::WorkerAgent for WorkerAgent {
    type WatchStream = Stream<v1::Delta>;
    type ChatStream = Stream<v1::DirectChatReply>;

    async fn watch(
        &self,
        request: Request<v1::WatchStepRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.into_inner();
        let run = RunId::new(&asked.run).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let task = TaskId { run, number: asked.task };
        let stream = self
            .streams
            .get(&task)
            .ok_or_else(|| Status::not_found(format!("task {task} is not in work here")))?;
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            let (mut call, mut text_at, mut reasoning_at) = (0, 0, 0);
            loop {
                let (now, mut more) = stream.read();
                if now.call != call {
                    (call, text_at, reasoning_at) = (now.call, 0, 0);
                }
                let text = now.text.get(text_at..).unwrap_or_default();
                let reasoning = now.reasoning.get(reasoning_at..).unwrap_or_default();
                if !text.is_empty() || !reasoning.is_empty() || now.done {
                    yield v1::Delta {
                        call,
                        offset: text_at as u64,
                        text: text.to_owned(),
                        reasoning: reasoning.to_owned(),
                        last: now.done,
                        attempt: stream.attempt,
                        task: asked.task,
                    };
                }
                (text_at, reasoning_at) = (now.text.len(), now.reasoning.len());
                if now.done || more.changed().await.is_err() {
                    return;
                }
            }
        })))
    }

    async fn chat(
        &self,
        request: Request<v1::DirectChatRequest>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let trace = baton_proto::traceparent_of(&request);
        let trace = trace.and_then(|text| TraceParent::parse(text).ok());
        let asked = request.into_inner();
        let settings = self.registry.settings();
        let id = AgentId::new(&asked.agent).ok();
        let card = id.and_then(|id| settings.pool.get(&id).cloned());
        let card = card.ok_or_else(|| {
            let message = format!("there is no agent {:?}", asked.agent);
            status(Code::NotFound, message, detail(ApiCode::ModelNotFound, Some("model")))
        })?;
        let conversation = Conversation::try_from(asked.conversation.unwrap_or_default())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if conversation.messages.iter().any(Message::has_image) && !card.images {
            let message = format!("agent {} takes no images", card.id);
            let detail = detail(ApiCode::ImagesNotSupported, Some("messages"));
            return Err(status(Code::InvalidArgument, message, detail));
        }
        unable(&card, &conversation).map_or(Ok(()), Err)?;
        let tenant = TenantId::new(&asked.tenant)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(self.direct(&tenant, card, conversation, trace)))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeReply>, Status> {
        let settings = self.registry.settings();
        let agents = settings.pool.agents().iter().map(|card| card.id.to_string()).collect();
        let tenant = request.into_inner().tenant.map(TenantId::new).transpose();
        let tenant = tenant.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let figures = self.caller.figures(tenant.as_ref()).into_iter().map(figures).collect();
        Ok(Response::new(v1::DescribeReply { agents, holder: self.holder.clone(), figures }))
    }
}

impl WorkerAgent {
    /// The span of an agent that is called directly.
    fn asked(&self, tenant: &TenantId, agent: &AgentId, trace: Option<TraceParent>) -> Span {
        if !self.tracer.is_on() {
            return Span::default();
        }
        let name = format!("{} {agent}", names::INVOKE_AGENT);
        let mut span = self.tracer.request(name, SpanKind::Internal, trace);
        span.set(names::OPERATION, names::INVOKE_AGENT);
        span.set(names::KIND, names::AGENT_KIND);
        span.set(names::AGENT, agent.as_str());
        span.set(names::TENANT, tenant.as_str());
        span
    }

    /// One call, streamed. It ends when the reader goes away. Retries end with the first
    /// text: what was sent cannot be taken back.
    fn direct(
        &self,
        tenant: &TenantId,
        card: AgentCard,
        conversation: Conversation,
        trace: Option<TraceParent>,
    ) -> Stream<v1::DirectChatReply> {
        let (sender, mut parts) = mpsc::channel::<v1::DirectChatReply>(DIRECT_PARTS_MAX);
        let mut span = self.asked(tenant, &card.id, trace);
        let caller = self.caller.on_behalf_of(tenant).under(span.as_parent());
        let output_tokens_max =
            conversation.output_tokens_max.unwrap_or(u32::MAX).min(card.output_tokens);
        Box::pin(async_stream::try_stream! {
            let expected = conversation.form.clone();
            let request = ChatRequest {
                model: card.model.clone(),
                messages: conversation.messages,
                output_tokens_max,
                temperature: conversation.temperature,
                top_p: conversation.top_p,
                stop: conversation.stop,
                seed: conversation.seed,
                idempotency_key: None,
                tools: conversation.tools,
                form: conversation.form,
            };
            let stop = CancellationToken::new();
            let torn = stop.clone();
            let call =
                Call { card: &card, request, deadline: None, followed: true, elsewhere: true };
            let mut sent = false;
            let calling = caller.make(call, &Purse::Open, &stop, move |delta| {
                let what = match delta {
                    Delta::Begin { .. } => {
                        if sent {
                            torn.cancel();
                        }
                        return;
                    }
                    Delta::Text(more) => v1::direct_chat_reply::What::Text(more.to_owned()),
                    Delta::Reasoning(more) => {
                        v1::direct_chat_reply::What::Reasoning(more.to_owned())
                    }
                    Delta::Refusal(more) => {
                        v1::direct_chat_reply::What::Refusal(more.to_owned())
                    }
                    Delta::Tool(piece) => v1::direct_chat_reply::What::Tool(v1::ToolPiece {
                        index: piece.index,
                        id: piece.id.clone(),
                        name: piece.name.clone(),
                        arguments: piece.arguments.clone(),
                    }),
                };
                sent = true;
                if sender.try_send(v1::DirectChatReply { what: Some(what) }).is_err() {
                    torn.cancel();
                }
            });
            tokio::pin!(calling);
            let called = loop {
                tokio::select! {
                    biased;
                    Some(part) = parts.recv() => yield part,
                    called = &mut calling => break called,
                }
            };
            while let Ok(part) = parts.try_recv() {
                yield part;
            }
            if let Err(failure) = &called.result {
                span.fail(failure.code(), failure.to_string());
            }
            span.finish();
            yield end_of(called, expected.as_ref())?;
        })
    }
}

fn figures((agent, figures): (AgentId, AgentFigures)) -> v1::AgentFigures {
    v1::AgentFigures {
        agent: agent.to_string(),
        in_flight: figures.in_flight,
        calls: figures.calls,
        errors: figures.errors,
        tokens_in: figures.tokens_in,
        tokens_out: figures.tokens_out,
        usd_pico: figures.usd_pico,
        tokens_a_second: figures.tokens_a_second,
        latencies_ms: figures.latencies_ms,
    }
}

/// What the agent cannot do although it is asked for.
fn unable(card: &AgentCard, conversation: &Conversation) -> Option<Status> {
    let (can, needs) = (card.abilities, conversation.needs());
    let (what, code, param) = if needs.tools && !can.tools {
        ("calls no tools", ApiCode::ToolsNotSupported, "tools")
    } else if needs.structured_output && !can.structured_output {
        ("takes no response_format", ApiCode::StructuredOutputNotSupported, "response_format")
    } else {
        return None;
    };
    let message = format!("agent {} {what}: leave {param} out, or ask another agent", card.id);
    Some(status(Code::InvalidArgument, message, detail(code, Some(param))))
}

fn end_of(called: Called, expected: Option<&AnswerForm>) -> Result<v1::DirectChatReply, Status> {
    let Called { result, spend, estimated, incidents: _ } = called;
    let reply = result.map_err(|failure| status_of(&failure))?;
    let finish = match reply.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal => "refusal",
    };
    let form_fault = expected
        .filter(|_| reply.finish == Finish::Stop)
        .and_then(|form| form::fault(form, &reply.text));
    let usage = v1::Usage {
        tokens_in: spend.tokens_in,
        tokens_out: spend.tokens_out,
        calls: spend.calls,
        usd_pico: spend.usd.pico(),
        orchestration_tokens_in: 0,
        orchestration_tokens_out: 0,
        cached_tokens_in: reply.usage.cached_in,
        reasoning_tokens_out: reply.usage.reasoning_out,
    };
    let end =
        v1::DirectChatEnd { finish: finish.into(), usage: Some(usage), estimated, form_fault };
    Ok(v1::DirectChatReply { what: Some(v1::direct_chat_reply::What::End(end)) })
}

fn detail(code: ApiCode, param: Option<&str>) -> v1::ErrorDetail {
    v1::ErrorDetail { code: code.into(), param: param.map(Into::into), retry_after_ms: None }
}

fn status_of(failure: &CallFailure) -> Status {
    match failure {
        CallFailure::Provider(error) => {
            let code = match error {
                ProviderError::RateLimited { .. } => Code::ResourceExhausted,
                ProviderError::Timeout { .. } => Code::DeadlineExceeded,
                ProviderError::Refused { .. } => Code::InvalidArgument,
                ProviderError::Connect { .. }
                | ProviderError::Server { .. }
                | ProviderError::Cut { .. }
                | ProviderError::Malformed(_)
                | ProviderError::Empty
                | ProviderError::Auth { .. } => Code::Unavailable,
            };
            let mut detail = detail(ApiCode::of_provider(error.code()), None);
            detail.retry_after_ms = error.retry_after_ms();
            status(code, error.to_string(), detail)
        }
        CallFailure::Stopped => {
            let message = "the call broke off after text had been sent: send the request again";
            status(Code::Aborted, message, detail(ApiCode::StreamInterrupted, None))
        }
        CallFailure::NoRoom { bound, ms, .. } => {
            let code = match bound {
                Bound::Breaker => ApiCode::BreakerOpen,
                Bound::Pause => ApiCode::ProviderPaused,
                Bound::Concurrency | Bound::AgentConcurrency => ApiCode::TooManyCalls,
                Bound::Requests | Bound::Tokens => ApiCode::QuotaSpent,
            };
            let mut detail = detail(code, None);
            detail.retry_after_ms = Some(*ms);
            status(Code::ResourceExhausted, failure.to_string(), detail)
        }
        CallFailure::UnknownProvider(_) | CallFailure::BudgetSpent(_) | CallFailure::NotSaid(_) => {
            status(Code::Internal, failure.to_string(), detail(ApiCode::InternalError, None))
        }
    }
}
