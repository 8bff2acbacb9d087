//! Chat completions by one agent: one call, metered, neither planned nor a run.

use crate::{
    edge::{Caller, event_stream},
    error::{ApiError, Retry},
    gateway::Shared,
    limits::KEEP_ALIVE_EVERY,
    peers::{is_away, plain},
    reply::{DONE, Delta, Finish, Head, Report, comment, data, report, with_report},
    request::ChatCall,
    run::traced,
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use baton_proto::v1::{DirectChatEnd, DirectChatReply, DirectChatRequest, direct_chat_reply::What};
use baton_workflow::AgentId;
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
    let replies = open(&shared, caller, agent, &call).await?;
    let agent = agent.clone();
    let mut talk = Talk { shared, agent, replies };
    if call.stream {
        return Ok(event_stream(stream(talk, head, call.include_usage)));
    }
    let (mut text, mut reasoning) = (String::new(), String::new());
    let end = loop {
        match talk.next().await? {
            What::Text(more) => text.push_str(&more),
            What::Reasoning(more) => reasoning.push_str(&more),
            What::End(end) => break end,
        }
    };
    let report = talk.report(&end);
    let usage = end.usage.unwrap_or_default();
    let finish = finish_of(&end.finish);
    Ok(Json(head.completion(&text, &reasoning, finish, &usage, report)).into_response())
}

/// Begins the call at a worker-agent that hosts the agent; the next one where it is away.
async fn open(
    shared: &Shared,
    caller: &Caller,
    agent: &AgentId,
    call: &ChatCall,
) -> Result<Streaming<DirectChatReply>, ApiError> {
    let message = format!("no worker-agent that hosts {agent} is running: try again");
    let mut last = ApiError::unavailable(message);
    for mut worker in shared.peers.hosting(agent) {
        let request = DirectChatRequest {
            tenant: caller.tenant.to_string(),
            agent: agent.to_string(),
            conversation: Some(call.conversation.clone()),
        };
        match worker.chat(traced(request, caller)).await {
            Ok(replies) => return Ok(replies.into_inner()),
            Err(status) if is_away(&status) => last = plain(status).into(),
            Err(status) => return Err(status.into()),
        }
    }
    Err(last)
}

/// A call under way.
struct Talk {
    shared: Arc<Shared>,
    agent: AgentId,
    replies: Streaming<DirectChatReply>,
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
                Ok(Some(DirectChatReply { what: Some(what) })) => return Ok(what),
                Ok(Some(DirectChatReply { what: None })) => {}
                Ok(None) => return Err(self.broken()),
                Err(status) => return Err(self.failed(status)),
            }
        }
    }

    fn failed(&self, status: Status) -> ApiError {
        // With a detail it is the worker-agent that speaks: of the agent, or of a reply torn
        // off. Without one it is the transport.
        match baton_proto::detail_of(&status) {
            None if is_away(&status) => self.broken(),
            Some(detail) if matches!(status.code(), Code::Unavailable | Code::Aborted) => {
                tracing::warn!(agent = %self.agent, code = detail.code, "an agent failed");
                ApiError::new(StatusCode::BAD_GATEWAY, detail.code, status.message())
                    .retry(Retry::Perhaps)
            }
            None | Some(_) => status.into(),
        }
    }

    /// A part may have been paid for: whether to pay again is the client's decision.
    fn broken(&self) -> ApiError {
        let message = format!("the call to {} broke off: send the request again", self.agent);
        ApiError::new(StatusCode::BAD_GATEWAY, "agent_failed", message).retry(Retry::Perhaps)
    }

    fn report(&self, end: &DirectChatEnd) -> Option<Report> {
        let json = serde_json::json!({ "agent": self.agent, "estimated": end.estimated });
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
        _another_way_to_be_done => Finish::Stop,
    }
}
