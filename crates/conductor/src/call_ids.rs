//! The ids under which clients know calls of tools: they say which run made the call, in
//! which turn, at which place, and nobody but Baton can make one.
//!
//! `call_RUN_TURN_PLACE_MAC`. The key is the run's own, drawn at its submission and kept
//! with it, so that whoever reads the run can tell; the tenant goes into the hash.

use baton_workflow::{Message, RunId, TenantId};

/// What every id begins with.
const PREFIX: &str = "call_";
/// Characters of the hash that an id ends with: 64 bits, for guesses that each take a
/// request.
const MAC_CHARS: usize = 16;
/// Longest id that every provider takes: OpenAI's limit.
const PLAIN_CHARS_MAX: usize = 40;

/// What an id says, true or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(crate) run: RunId,
    pub(crate) turn: u32,
    pub(crate) place: usize,
}

impl CallId {
    /// Reads an id; none where it does not have the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.rsplitn(4, '_');
        let mac = parts.next()?;
        let (place, turn) = (parts.next()?, parts.next()?);
        let run = RunId::new(parts.next()?).ok()?;
        let fits = mac.len() == MAC_CHARS && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (turn, place) = (turn.parse().ok()?, place.parse().ok()?);
        fits.then_some(Self { run, turn, place })
    }
}

/// A run's key.
#[derive(Debug, Clone)]
pub(crate) struct CallKey([u8; 32]);

impl CallKey {
    pub(crate) fn of(secret: &str) -> Self {
        Self(blake3::derive_key("baton 2026-11 ids of tool calls", secret.as_bytes()))
    }

    /// The id of a call.
    pub(crate) fn id(&self, tenant: &TenantId, call: &CallId) -> String {
        let CallId { run, turn, place } = call;
        let body = format!("{run}_{turn}_{place}");
        // No tenant's id holds a zero.
        let said = format!("{tenant}\0{body}");
        let mac = blake3::keyed_hash(&self.0, said.as_bytes()).to_hex();
        let mac = mac.get(..MAC_CHARS).unwrap_or_default();
        format!("{PREFIX}{body}_{mac}")
    }

    /// The ids of all calls of a turn.
    pub(crate) fn ids(
        &self,
        tenant: &TenantId,
        run: &RunId,
        turn: u32,
        calls: usize,
    ) -> Vec<String> {
        let call = |place| CallId { run: run.clone(), turn, place };
        (0..calls).map(|place| self.id(tenant, &call(place))).collect()
    }

    /// Whether this key made an id, for this tenant.
    pub(crate) fn made(&self, tenant: &TenantId, text: &str) -> bool {
        let Some(call) = CallId::parse(text) else { return false };
        // Hashes compare in constant time.
        blake3::hash(self.id(tenant, &call).as_bytes()) == blake3::hash(text.as_bytes())
    }
}

/// Shortens ids of this form, which are longer than providers take: in a conversation that
/// goes on in another run than the one that made them.
pub(crate) fn plain(messages: &mut [Message]) {
    let plain = |id: &mut String| {
        if id.len() > PLAIN_CHARS_MAX && CallId::parse(id).is_some() {
            let hash = blake3::hash(id.as_bytes()).to_hex();
            *id = format!("{PREFIX}{}", hash.get(..24).unwrap_or_default());
        }
    };
    for message in messages {
        message.tool_calls.iter_mut().for_each(|call| plain(&mut call.id));
        message.tool_call_id.as_mut().into_iter().for_each(plain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn call(run: &str) -> CallId {
        CallId { run: RunId::new(run).unwrap(), turn: 3, place: 1 }
    }

    #[test]
    fn an_id_says_where_its_call_was_made_and_who_made_it() {
        let key = CallKey::of("secret");
        for run in ["run_0192f0c1", "run_x.s3", "a-1_b"] {
            let id = key.id(&tenant("ann"), &call(run));
            assert_eq!(CallId::parse(&id), Some(call(run)), "{id}");
            assert!(key.made(&tenant("ann"), &id));
            assert!(!key.made(&tenant("bob"), &id), "another tenant's");
            assert!(!CallKey::of("another").made(&tenant("ann"), &id), "another run's");
            let other = id.replacen("_3_1_", "_3_0_", 1);
            assert!(!key.made(&tenant("ann"), &other), "another call's");
            for cut in 0..id.len() {
                assert!(!key.made(&tenant("ann"), &id[..cut]), "{}", &id[..cut]);
            }
        }
    }

    #[test]
    fn what_is_no_id_of_ours_is_none() {
        let hex = "0".repeat(MAC_CHARS);
        for text in ["", "call_", "call_abc", "call_run_1_2_3_xyz", "toolu_01", "x_1_1_0"] {
            assert_eq!(CallId::parse(text), None, "{text}");
        }
        assert_eq!(CallId::parse(&format!("call_run_9999999999999_1_{hex}")), None);
        assert!(CallId::parse(&format!("call_run_1_1_{hex}")).is_some());
    }

    #[test]
    fn ids_are_shortened_alike_where_providers_are_shown_them() {
        let id = CallKey::of("secret").id(&tenant("ann"), &call("run_0192f0c17d3e7000"));
        let called = baton_workflow::ToolCall {
            id: id.clone(),
            name: "clock".into(),
            arguments: "{}".into(),
        };
        let role = baton_workflow::Role::Tool;
        let mut messages = [
            Message { tool_calls: vec![called], ..Message::text(role, "") },
            Message { tool_call_id: Some(id), ..Message::text(role, "noon") },
            Message { tool_call_id: Some("x".repeat(60)), ..Message::text(role, "noon") },
        ];
        plain(&mut messages);
        let short = messages[0].tool_calls[0].id.clone();
        assert!(short.len() <= PLAIN_CHARS_MAX, "{short}");
        assert_eq!(messages[1].tool_call_id.as_ref(), Some(&short));
        assert_eq!(messages[2].tool_call_id, Some("x".repeat(60)), "not ours to change");
    }
}
