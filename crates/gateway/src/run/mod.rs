//! Chat completions that are runs: submitted, followed, answered.

mod attendance;
mod end;
mod follow;
mod full;
mod level;
mod live;
mod progress;
mod sent;
mod stream;
mod submit;
mod tokens;

pub(crate) use attendance::Attendance;
pub(crate) use follow::{Follow, Seen};
pub(crate) use full::Full;
pub(crate) use submit::{Tries, request_of};

use crate::{
    edge::Caller,
    error::{ApiError, Retry},
    gateway::Shared,
    reply::Head,
    request::ChatCall,
    span::RunOf,
};
use attendance::Attendee;
use axum::{
    Json,
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Answers a call by a run.
pub(crate) async fn chat(
    shared: Arc<Shared>,
    caller: Caller,
    headers: &HeaderMap,
    body: &[u8],
    mut call: ChatCall,
) -> Result<Response, ApiError> {
    call.progress |= headers.get("x-baton-progress").is_some_and(|value| value == "true");
    let tries = Tries::of(headers)?;
    let attendee = submit::submit(&shared, &caller, tries, body, &call).await?;
    let run = attendee.run().to_owned();
    tracing::Span::current().record("run", run.as_str());
    // Each answer of a run has an id of its own.
    let id = match attendee.turn() {
        0 => run.clone(),
        turn => format!("{run}-turn{turn}"),
    };
    let head = Head::new(&id, &call.model_name, &shared.registry.settings());
    let mut response = if call.stream {
        stream::respond(shared, caller, attendee, call, head)
    } else {
        whole(&shared, &caller, attendee, &call, &head).await.map_err(|error| error.about(&run))?
    };
    response.extensions_mut().insert(RunOf(run.clone()));
    if let Ok(id) = HeaderValue::try_from(run) {
        response.headers_mut().insert("x-request-id", id);
    }
    Ok(response)
}

/// The whole answer at once.
async fn whole(
    shared: &Arc<Shared>,
    caller: &Caller,
    mut attendee: Attendee,
    call: &ChatCall,
    head: &Head,
) -> Result<Response, ApiError> {
    let run = attendee.run().to_owned();
    let turn = call.awaits().then_some(attendee.turn());
    let follow = Follow::new(shared.peers.clone(), &caller.tenant, &run, 0);
    let mut follow = follow.until_turn(turn).ending();
    let ended = async {
        loop {
            if let Seen::Ended(reply) = follow.next().await? {
                return end::judge(*reply);
            }
        }
    };
    let ended = tokio::select! {
        ended = ended => ended,
        () = shared.closing.cancelled() => Err(goes_on(&run)),
    };
    // From here on the run has ended, or shall go on.
    attendee.release();
    let end::Ended { answer, usage, report } = ended?;
    Ok(Json(head.completion(&answer, &usage, report)).into_response())
}

/// Said by a gateway that stops: the run is somebody else's to finish.
fn goes_on(run: &str) -> ApiError {
    let message = format!("this gateway is stopping; run {run} goes on: GET /v1/runs/{run}");
    ApiError { message, ..ApiError::stopping() }.retry(Retry::Never)
}
