//! Streams a run's answer: its own tokens while they are written, where nothing can
//! replace them any more; else the accepted answer, once there is one.

use super::{
    attendance::Attendee,
    end::{self, Ended},
    goes_on,
    live::{Live, Told},
};
use crate::{
    edge::{Caller, event_stream},
    error::ApiError,
    gateway::Shared,
    limits::PIECE_CHARS,
    reply::{DONE, Delta, Head, comment, data, with_report},
    request::ChatCall,
};
use axum::{http::StatusCode, response::Response};
use baton_codes::ApiCode;
use baton_proto::v1::ToolPiece;
use bytes::Bytes;
use futures::Stream;
use std::sync::Arc;

pub(super) fn respond(
    shared: Arc<Shared>,
    caller: Caller,
    attendee: Attendee,
    call: ChatCall,
    head: Head,
) -> Response {
    event_stream(answer(shared, caller, attendee, call, head))
}

fn answer(
    shared: Arc<Shared>,
    caller: Caller,
    mut attendee: Attendee,
    call: ChatCall,
    head: Head,
) -> impl Stream<Item = Bytes> + Send {
    async_stream::stream! {
        let run = attendee.run().to_owned();
        let turn = call.awaits().then_some(attendee.turn());
        let chunk = |delta: Delta<'_>| data(&head.chunk(delta, call.include_usage));
        yield chunk(Delta::Role);
        let mut live = Live::new(shared.clone(), &caller.tenant, &run, turn);
        let mut doing = String::from("waiting");
        let ended = loop {
            match live.next().await {
                Ok(Told::Text(text)) => yield chunk(Delta::Text(&text)),
                Ok(Told::Reasoning(text)) => {
                    if call.progress {
                        yield chunk(Delta::Reasoning(&text));
                    }
                }
                Ok(Told::Note(words)) => {
                    if call.progress {
                        yield chunk(Delta::Reasoning(&format!("{words}\n")));
                    }
                    doing = words;
                }
                Ok(Told::Quiet) => yield comment(&doing),
                Ok(Told::Ended(reply)) => break end::judge(*reply),
                Ok(Told::Contradiction) => break Err(interrupted(&run)),
                Ok(Told::Stopping) => break Err(goes_on(&run)),
                Err(error) => break Err(error),
            }
        };
        // Told its end, by us or by the run: what follows is no leaving.
        attendee.release();
        match ended.and_then(|ended| rest(&run, &live, &ended).map(|rest| (rest, ended))) {
            Ok((rest, ended)) => {
                for piece in pieces(&rest) {
                    yield chunk(Delta::Text(piece));
                }
                for delta in rest_of_calls(&ended) {
                    yield chunk(Delta::Tool(&delta));
                }
                if !ended.answer.refusal.is_empty() {
                    yield chunk(Delta::Refusal(&ended.answer.refusal));
                }
                for bytes in last_chunks(&head, &call, &ended) {
                    yield bytes;
                }
            }
            Err(error) => {
                tracing::info!(run, code = %error.code, "stream ended without an answer");
                yield data(&error.envelope());
            }
        }
    }
}

/// What the client lacks of the answer.
fn rest(run: &str, live: &Live, ended: &Ended) -> Result<String, ApiError> {
    match live.sent.rest(&ended.answer.text) {
        Some(rest) => Ok(rest.to_owned()),
        None => Err(interrupted(run)),
    }
}

/// Calls of tools come when the run has ended, each at once named and then piece by piece:
/// what an agent began to ask for is worth nothing if another takes over.
fn rest_of_calls(ended: &Ended) -> Vec<ToolPiece> {
    let mut all = Vec::new();
    for (index, call) in (0_u32..).zip(&ended.answer.tool_calls) {
        let (id, name) = (Some(call.id.clone()), Some(call.name.clone()));
        all.push(ToolPiece { index, id, name, arguments: String::new() });
        all.extend(pieces(&call.arguments).map(|piece| {
            let arguments = piece.to_owned();
            ToolPiece { index, arguments, ..ToolPiece::default() }
        }));
    }
    all
}

fn last_chunks(head: &Head, call: &ChatCall, ended: &Ended) -> Vec<Bytes> {
    let finish = head.chunk(Delta::Finish(ended.answer.finish), call.include_usage);
    let report = ended.report.clone();
    if call.include_usage {
        return vec![data(&finish), data(&head.usage_chunk(&ended.usage, report)), DONE];
    }
    vec![data(&with_report(finish, report)), DONE]
}

/// Text was sent that is not the answer's: it cannot be taken back.
fn interrupted(run: &str) -> ApiError {
    let message = format!(
        "the agent that wrote this text failed and another one answers in its place; \
         the text so far is void: GET /v1/runs/{run} has the answer once it is there"
    );
    ApiError::new(StatusCode::BAD_GATEWAY, ApiCode::StreamInterrupted, message)
}

/// A text in parts of a readable size.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(place, _)| place);
        let (piece, more) = rest.split_at(end);
        rest = more;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_text() {
        for text in ["", "ü", &"ü".repeat(PIECE_CHARS * 2 + 1)] {
            assert_eq!(pieces(text).collect::<String>(), *text);
            assert!(pieces(text).all(|piece| piece.chars().count() <= PIECE_CHARS));
        }
    }
}
