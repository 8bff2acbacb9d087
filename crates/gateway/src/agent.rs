//! Chat completions by one agent: one call, metered, neither planned nor a run.

use crate::{
    edge::{Caller, event_stream},
    error::{ApiError, Retry},
    gateway::Shared,
    limits::{CALL_RETRY_PAUSE, CALL_TRIES_MAX, KEEP_ALIVE_EVERY},
    outgoing::{CHAT, Outgoing, outgoing},
    peers::{WorkerAgent, is_away, plain},
    reply::{Answer, DONE, Delta, Finish, Head, Report, comment, data, report, with_report},
    request::ChatCall,
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use baton_codes::ApiCode;
use baton_proto::v1::{
    DirectChatEnd, DirectChatReply, DirectChatRequest, ToolPiece, direct_chat_reply::What,
};
use baton_workflow::{AgentId, ToolCall};
use bytes::Bytes;
use futures::Stream;
use std::sync::Arc;
use tonic::{Code, Status, Streaming};

/// Answers a call by the agent alone. A client that leaves ends the call.
pub(crate) async fn chat(
    shared: Arc<Shared>,
    caller: &Caller,
    agent: &AgentId,
    call: ChatCall,
) -> Result<Response, ApiError> {
    let head = Head::new(&caller.request, &call.model_name, &shared.registry.settings());
    let (replies, outgoing) = open(&shared, caller, agent, &call).await?;
    let (agent, outgoing) = (agent.clone(), Some(outgoing));
    let mut talk = Talk { shared, agent, replies, outgoing, end: None };
    if call.stream {
        return Ok(event_stream(stream(talk, head, call.include_usage)));
    }
    let mut answer = Answer {
        text: String::new(),
        reasoning: String::new(),
        refusal: String::new(),
        tool_calls: Vec::new(),
        finish: Finish::Stop,
    };
    let end = loop {
        match talk.next().await? {
            What::Text(more) => answer.text.push_str(&more),
            What::Reasoning(more) => answer.reasoning.push_str(&more),
            What::Refusal(more) => answer.refusal.push_str(&more),
            What::Tool(piece) => add(&mut answer.tool_calls, piece),
            What::End(end) => break end,
        }
    };
    let report = talk.report(&end);
    let usage = end.usage.unwrap_or_default();
    answer.finish = finish_of(&end.finish);
    Ok(Json(head.completion(&answer, &usage, report)).into_response())
}

/// Adds a piece to its call; the first piece of a call names it.
fn add(calls: &mut Vec<ToolCall>, piece: ToolPiece) {
    let ToolPiece { id, name, arguments, .. } = piece;
    match (id, name, calls.last_mut()) {
        (Some(id), Some(name), _) => calls.push(ToolCall { id, name, arguments }),
        (_, _, Some(last)) => last.arguments.push_str(&arguments),
        (_, _, None) => {}
    }
}

/// Begins the call at a worker-agent that hosts the agent; the next one where it is away.
async fn open(
    shared: &Shared,
    caller: &Caller,
    agent: &AgentId,
    call: &ChatCall,
) -> Result<(Streaming<DirectChatReply>, Outgoing), ApiError> {
    let message = format!("no worker-agent that hosts {agent} is running: try again");
    let mut last = ApiError::unavailable(message);
    for (address, mut worker) in hosting(shared, agent).await {
        let request = DirectChatRequest {
            tenant: caller.tenant.to_string(),
            agent: agent.to_string(),
            conversation: Some(call.conversation.clone()),
        };
        let (request, outgoing) = outgoing(request, caller, CHAT, &address);
        let status = match worker.chat(request).await {
            Ok(replies) => return Ok((replies.into_inner(), outgoing)),
            Err(status) => status,
        };
        outgoing.ended(Some(&status));
        if !is_away(&status) {
            return Err(status.into());
        }
        last = plain(status).into();
    }
    Err(last)
}

/// Who hosts the agent. One that was configured a moment ago is hosted a moment later.
async fn hosting(shared: &Shared, agent: &AgentId) -> Vec<(String, WorkerAgent)> {
    for _ in 1..CALL_TRIES_MAX {
        let workers = shared.peers.hosting(agent);
        if !workers.is_empty() {
            return workers;
        }
        tokio::time::sleep(CALL_RETRY_PAUSE).await;
    }
    shared.peers.hosting(agent)
}

/// A call under way.
struct Talk {
    shared: Arc<Shared>,
    agent: AgentId,
    replies: Streaming<DirectChatReply>,
    /// Until the call is over.
    outgoing: Option<Outgoing>,
    /// The last thing said, while the call's status is read.
    end: Option<DirectChatEnd>,
}

impl Talk {
    /// The next thing said. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<What, ApiError> {
        loop {
            let reply = tokio::select! {
                reply = self.replies.message() => reply,
                () = self.shared.closing.cancelled() => return Err(ApiError::stopping()),
            };
            match reply {
                Ok(Some(DirectChatReply { what: Some(What::End(end)) })) => {
                    self.end = Some(end);
                    continue;
                }
                Ok(Some(DirectChatReply { what: Some(what) })) => return Ok(what),
                Ok(Some(DirectChatReply { what: None })) => continue,
                Ok(None) | Err(_) => {}
            }
            if let Some(outgoing) = self.outgoing.take() {
                outgoing.ended(reply.as_ref().err());
            }
            return match (self.end.take(), reply) {
                (Some(end), _) => Ok(What::End(end)),
                (None, Err(status)) => Err(self.failed(status)),
                (None, Ok(_)) => Err(self.broken()),
            };
        }
    }

    fn failed(&self, status: Status) -> ApiError {
        // With a detail it is the worker-agent that speaks: of the agent, or of a reply torn
        // off. Without one it is the transport.
        match baton_proto::detail_of(&status) {
            None if is_away(&status) => self.broken(),
            Some(detail) if matches!(status.code(), Code::Unavailable | Code::Aborted) => {
                tracing::warn!(agent = %self.agent, code = detail.code, "an agent failed");
                let code = ApiCode::parse(&detail.code).unwrap_or(ApiCode::AgentFailed);
                ApiError::new(StatusCode::BAD_GATEWAY, code, status.message()).retry(Retry::Perhaps)
            }
            None | Some(_) => status.into(),
        }
    }

    /// A part may have been paid for: whether to pay again is the client's decision.
    fn broken(&self) -> ApiError {
        let message = format!("the call to {} broke off: send the request again", self.agent);
        ApiError::new(StatusCode::BAD_GATEWAY, ApiCode::AgentFailed, message).retry(Retry::Perhaps)
    }

    fn report(&self, end: &DirectChatEnd) -> Option<Report> {
        let mut json = serde_json::json!({ "agent": self.agent, "estimated": end.estimated });
        if let Some(fault) = &end.form_fault {
            json["form_fault"] = fault.as_str().into();
        }
        report(json.to_string().as_bytes())
    }
}

fn stream(mut talk: Talk, head: Head, include_usage: bool) -> impl Stream<Item = Bytes> + Send {
    async_stream::stream! {
        let chunk = |delta: Delta<'_>| data(&head.chunk(delta, include_usage));
        yield chunk(Delta::Role);
        loop {
            let Ok(said) = tokio::time::timeout(KEEP_ALIVE_EVERY, talk.next()).await else {
                yield comment("waiting");
                continue;
            };
            match said {
                Ok(What::Text(text)) => yield chunk(Delta::Text(&text)),
                Ok(What::Reasoning(text)) => yield chunk(Delta::Reasoning(&text)),
                Ok(What::Refusal(text)) => yield chunk(Delta::Refusal(&text)),
                Ok(What::Tool(piece)) => yield chunk(Delta::Tool(&piece)),
                Ok(What::End(end)) => {
                    let report = talk.report(&end);
                    let usage = end.usage.unwrap_or_default();
                    let last =
                        head.chunk(Delta::Finish(finish_of(&end.finish)), include_usage);
                    if include_usage {
                        yield data(&last);
                        yield data(&head.usage_chunk(&usage, report));
                    } else {
                        yield data(&with_report(last, report));
                    }
                    yield DONE;
                    return;
                }
                Err(error) => {
                    yield data(&error.envelope());
                    return;
                }
            }
        }
    }
}

fn finish_of(name: &str) -> Finish {
    match name {
        "length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "tool_calls" => Finish::ToolCalls,
        // A refusal is a normal end that has words of its own.
        _another_way_to_be_done => Finish::Stop,
    }
}
