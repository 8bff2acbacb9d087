//! Brings a request to a Conductor: recorded once, whoever loses a reply.

use super::attendance::{Attendee, Fingerprint};
use crate::{
    edge::Caller,
    error::ApiError,
    gateway::Shared,
    limits::{
        CALL_TIMEOUT, IDEMPOTENCY_KEY_CHARS_MAX, KEYED_LEAVE_GRACE, LEAVE_GRACE, RETRY_PAUSE,
        RETRY_PAUSE_MAX,
    },
    outgoing::{SUBMIT, keep_origin, outgoing},
    peers::Conductor,
    request::ChatCall,
};
use axum::http::HeaderMap;
use baton_proto::v1::SubmitRequest;
use std::{sync::Arc, time::Duration};

/// What the headers say about trying again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tries {
    /// The client's own key.
    key: Option<String>,
    /// Which try this is, from 0, where the client counts them.
    count: Option<u32>,
}

impl Tries {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let count = headers.get("x-stainless-retry-count").and_then(|v| v.to_str().ok());
        let count = count.and_then(|text| text.parse().ok());
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(Self { key: None, count });
        };
        let fits = |text: &&str| {
            let length = text.chars().count();
            (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&length)
        };
        match value.to_str().ok().filter(fits) {
            Some(key) => Ok(Self { key: Some(key.to_owned()), count }),
            None => {
                let message = format!(
                    "Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} ASCII characters"
                );
                Err(ApiError::invalid(message).param("Idempotency-Key"))
            }
        }
    }
}

/// The run for a call: a new one, or the one that the same client was given before.
///
/// A client that leaves while this is under way is noticed: the attendee is dropped
/// unseen then, and the run cancelled.
pub(crate) async fn submit(
    shared: &Arc<Shared>,
    caller: &Caller,
    tries: Tries,
    body: &[u8],
    call: &ChatCall,
) -> Result<Attendee, ApiError> {
    let comes_again = tries.count.is_some() && tries.key.is_none();
    let print = comes_again.then(|| fingerprint(caller, body));
    let grace = grace(&tries, call.stream);
    let background = call.options.background;
    let on_leaving = move |mut attendee: Attendee| {
        if background {
            attendee.release()
        } else {
            attendee.grace(grace)
        }
        attendee
    };
    if let Some(print) = print.as_ref().filter(|_| tries.count > Some(0))
        && let Some(attendee) = shared.attendance.rejoin(&caller.tenant, print)
    {
        tracing::info!(run = attendee.run(), "a client came again for its run");
        return Ok(on_leaving(attendee));
    }
    // Whoever gives a key may have a run already.
    if tries.key.is_none()
        && let Some(refusal) = shared.full.refusal(&caller.tenant)
    {
        return Err(refusal);
    }
    // Unique where the client gives no key, so that a lost reply is no second run.
    let key = tries.key.unwrap_or_else(|| caller.request.clone());
    let request = request_of(caller, Some(key), call);
    let (shared, caller) = (shared.clone(), caller.clone());
    let tasks = shared.tasks.clone();
    let submitted = tasks.spawn(async move {
        let ask = |mut conductor: Conductor, address: &str| {
            let (mut request, call) = outgoing(request.clone(), &caller, SUBMIT, address);
            keep_origin(&mut request, &caller);
            async move { call.over(conductor.submit(request).await) }
        };
        let reply = shared.peers.ask_at(CALL_TIMEOUT, ask).await;
        let reply = reply.inspect_err(|error| shared.full.note(&caller.tenant, error))?;
        Ok(on_leaving(shared.attendance.join(&caller.tenant, reply.run, reply.turn, print)))
    });
    submitted.await.unwrap_or_else(|_panicked| Err(ApiError::internal()))
}

/// How long the run outlives its client.
fn grace(tries: &Tries, stream: bool) -> Duration {
    match tries {
        Tries { key: Some(_), .. } => KEYED_LEAVE_GRACE,
        // No client comes again by itself for a stream it has read a part of.
        Tries { count: Some(count), .. } if !stream => {
            let pause = RETRY_PAUSE.saturating_mul(2_u32.saturating_pow(*count));
            LEAVE_GRACE + pause.min(RETRY_PAUSE_MAX)
        }
        Tries { .. } => Duration::ZERO,
    }
}

/// A call, as the Conductor takes it.
pub(crate) fn request_of(
    caller: &Caller,
    idempotency_key: Option<String>,
    call: &ChatCall,
) -> SubmitRequest {
    SubmitRequest {
        tenant: caller.tenant.to_string(),
        idempotency_key,
        model: call.model_name.clone(),
        conversation: Some(call.conversation.clone()),
        options: Some(call.options.clone()),
        awaits: call.awaits(),
    }
}

fn fingerprint(caller: &Caller, body: &[u8]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    // No tenant's id holds a zero, so the two cannot be mistaken for each other.
    hasher.update(caller.tenant.as_str().as_bytes()).update(&[0]).update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_outlive_the_pauses_of_clients_that_come_again() {
        let after = |count| grace(&Tries { key: None, count }, false).as_millis();
        assert_eq!([0, 1, 2, 3].map(|count| after(Some(count))), [2_500, 3_000, 4_000, 6_000]);
        assert_eq!([4, u32::MAX].map(|count| after(Some(count))), [10_000, 10_000]);
        assert_eq!(after(None), 0);
        assert_eq!(grace(&Tries { key: None, count: Some(0) }, true), Duration::ZERO);
    }
}
