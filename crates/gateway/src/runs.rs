//! Runs as such: `GET /v1/runs` and what is below it.

use crate::{
    edge::{Caller, Id, event_stream, read_body},
    error::ApiError,
    gateway::Shared,
    limits::{CALL_TIMEOUT, KEEP_ALIVE_EVERY, PAGE_RUNS, PAGE_RUNS_MAX, REASON_CHARS_MAX},
    peers::Conductor,
    reply::{Report, comment, report},
    request::object,
    run::{Follow, Seen},
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use baton_proto::v1::{CancelRequest, GetRequest, ListRequest, cancel_reply::State as CancelState};
use baton_workflow::RunId;
use bytes::Bytes;
use futures::Stream;
use serde::Serialize;
use serde_json::{Value, json};
use std::{str::FromStr, sync::Arc};

#[derive(Serialize)]
struct Page {
    object: &'static str,
    data: Vec<Report>,
    has_more: bool,
}

/// `GET /v1/runs?limit=&before=`: newest first.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::of(query.as_deref(), &["limit", "before"])?;
    let limit = match query.number::<u32>("limit")? {
        Some(limit) if (1..=PAGE_RUNS_MAX).contains(&limit) => limit,
        Some(limit) => {
            let message = format!("limit is {limit}: expected 1 to {PAGE_RUNS_MAX}");
            return Err(ApiError::invalid(message).param("limit"));
        }
        None => PAGE_RUNS,
    };
    let before = query.text("before").map(|id| run_id(id, "before")).transpose()?;
    let request = ListRequest {
        tenant: caller.tenant.to_string(),
        // One more tells whether there is more.
        limit: limit + 1,
        before: before.map(|run| run.to_string()),
    };
    let list = |mut conductor: Conductor| {
        let request = request.clone();
        async move { conductor.list(request).await }
    };
    let reply = shared.peers.ask(CALL_TIMEOUT, list).await?;
    let limit = limit as usize;
    let has_more = reply.runs_json.len() > limit;
    let data = reply.runs_json.iter().take(limit).filter_map(|json| report(json)).collect();
    Ok(Json(Page { object: "list", data, has_more }).into_response())
}

/// `GET /v1/runs/{id}`: the report as the Conductor wrote it.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Id(run): Id,
) -> Result<Response, ApiError> {
    let run = run_id(&run, "id")?;
    let request = GetRequest { tenant: caller.tenant.to_string(), run: run.to_string() };
    let get = |mut conductor: Conductor| {
        let request = request.clone();
        async move { conductor.get(request).await }
    };
    let reply = shared.peers.ask(CALL_TIMEOUT, get).await?;
    Ok(json_response(reply.report_json))
}

/// A JSON document as another service wrote it.
pub(crate) fn json_response(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// `POST /v1/runs/{id}/cancel`, with or without `{"reason": "…"}`.
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Id(run): Id,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    // First of all: a refusal is read by whoever has sent everything.
    let body = read_body(body).await?;
    let run = run_id(&run, "id")?;
    let reason = reason(&body)?;
    let request = CancelRequest { tenant: caller.tenant.to_string(), run: run.to_string(), reason };
    let cancel = |mut conductor: Conductor| {
        let request = request.clone();
        async move { conductor.cancel(request).await }
    };
    let reply = shared.peers.ask(CALL_TIMEOUT, cancel).await?;
    let state = match reply.state() {
        CancelState::Asked | CancelState::Unspecified => "asked",
        CancelState::AlreadyAsked => "already_asked",
        CancelState::AlreadyEnded => "already_ended",
    };
    Ok(Json(json!({ "id": run, "object": "run.cancellation", "state": state })))
}

fn reason(body: &[u8]) -> Result<String, ApiError> {
    if body.is_empty() {
        return Ok("asked for over HTTP".into());
    }
    let mut map = object(body)?;
    let reason = map.remove("reason");
    if let Some(other) = map.keys().next() {
        let message = format!("unknown parameter {other}: there is reason");
        return Err(ApiError::invalid(message).param(other));
    }
    match reason {
        None | Some(Value::Null) => Ok("asked for over HTTP".into()),
        Some(Value::String(text)) if text.chars().count() <= REASON_CHARS_MAX => Ok(text),
        Some(_) => {
            let message =
                format!("reason must be a string of at most {REASON_CHARS_MAX} characters");
            Err(ApiError::invalid(message).param("reason"))
        }
    }
}

/// `GET /v1/runs/{id}/events`: the journal and what is observed, live, resumable.
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Id(run): Id,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let run = run_id(&run, "id")?;
    let query = Query::of(query.as_deref(), &["from"])?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let from = match resumed {
        // What a browser sends by itself is newer than the URL it was given.
        Some(id) => Some(parse(id, "Last-Event-ID")?),
        None => query.number("from")?,
    };
    let mut follow =
        Follow::new(shared.peers.clone(), &caller.tenant, run.as_str(), from.unwrap_or(0));
    follow.open().await?;
    Ok(event_stream(feed(shared, follow)))
}

fn feed(shared: Arc<Shared>, mut follow: Follow) -> impl Stream<Item = Bytes> + Send {
    async_stream::stream! {
        loop {
            let seen = tokio::select! {
                seen = tokio::time::timeout(KEEP_ALIVE_EVERY, follow.next()) => seen,
                // Clients come again by themselves, with the last id they saw.
                () = shared.closing.cancelled() => return,
            };
            match seen {
                Ok(Ok(Seen::Ended(_))) => {
                    yield event("end", None, &json!({}));
                    return;
                }
                Ok(Ok(seen)) => yield told(seen),
                Ok(Err(error)) => {
                    yield event("error", None, &error.envelope());
                    return;
                }
                Err(_quiet) => yield comment("waiting"),
            }
        }
    }
}

fn told(seen: Seen) -> Bytes {
    match seen {
        Seen::Entry(entry) => {
            // Not JSON is nothing that the Conductor writes.
            let inner: Value = serde_json::from_slice(&entry.event_json).unwrap_or_default();
            let json = json!({ "seq": entry.seq, "at_ms": entry.at_ms, "entry": inner });
            event("entry", Some(entry.seq), &json)
        }
        Seen::Leased(leased) => {
            let json = json!({
                "task": leased.task,
                "attempt": leased.attempt,
                "holder": leased.holder,
                "class": leased.class,
            });
            event("leased", None, &json)
        }
        Seen::Expired(expired) => {
            event("expired", None, &json!({ "task": expired.task, "attempt": expired.attempt }))
        }
        Seen::Ended(_) => event("end", None, &json!({})),
    }
}

fn event(name: &str, id: Option<u64>, json: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {json}\n\n").into()
}

fn run_id(text: &str, param: &str) -> Result<RunId, ApiError> {
    RunId::new(text).map_err(|error| ApiError::invalid(error.to_string()).param(param))
}

fn parse<T: FromStr>(text: &str, param: &str) -> Result<T, ApiError> {
    text.trim().parse().map_err(|_| {
        let message = format!("{param} is {text:.64?}: expected a whole number of at least 0");
        ApiError::invalid(message).param(param)
    })
}

/// The parameters of a URL. None of ours has a character that must be escaped.
pub(crate) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(crate) fn of(query: Option<&'a str>, known: &[&str]) -> Result<Self, ApiError> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(name)) {
            let there = known.join(", ");
            let message = format!("unknown parameter {name:.64}: there are {there}");
            return Err(ApiError::invalid(message).param(*name));
        }
        Ok(Self(pairs))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| parse(text, name)).transpose()
    }
}
