//! Results of tools that come back: the run that awaits them is found by the ids of the
//! calls, and told. A conversation that no run awaits is answered as any other.

use crate::{
    Conductor,
    ask::{Label, asked_for},
    call_ids::{CallId, CallKey, plain},
    decide::encode,
    known::{FoldError, input_of},
    service::{detail, refused, unread},
};
use baton_briefing::{Unreadable, asking};
use baton_codes::ApiCode;
use baton_engine::{Input, Run};
use baton_ledger::{Body, LedgerError, RunView, Signal, Signalled};
use baton_proto::{status, v1};
use baton_workflow::{BodyRef, Conversation, Message, Role, RunId, TenantId, ToolCall};
use serde_json::Value;
use tonic::{Code, Status};

/// What the name of a word begins with that brings a turn's results.
const WORD: &str = "results ";
/// Times that a run is read again because somebody else brought the same turn's results: the
/// second reading shows them.
const READINGS_MAX: usize = 3;

/// A turn whose results have come.
pub(crate) struct Answered {
    pub(crate) run: RunId,
    pub(crate) turn: u32,
}

/// The name of the word that a run awaits.
pub(crate) fn word(turn: u32) -> String {
    format!("{WORD}{turn}")
}

/// What a word from outside means to a run, if it brings results, or says that none came.
pub(crate) fn input(word: &str, event: Option<&[u8]>) -> Option<Input> {
    let turn = word.strip_prefix(WORD)?.parse().ok()?;
    let results = event.map(serde_json::from_slice).transpose().ok()?;
    Some(Input::Results { turn, results })
}

/// A conversation that ends with results of calls that have ids of ours.
struct Post {
    tenant: TenantId,
    conversation: Conversation,
    /// Where the message with the calls stands.
    place: usize,
    first: CallId,
    /// What else the request asks for.
    asked: String,
}

impl Post {
    fn of(wire: &v1::SubmitRequest) -> Option<Self> {
        let tenant = TenantId::new(&wire.tenant).ok()?;
        let conversation = Conversation::try_from(wire.conversation.clone()?).ok()?;
        let place = conversation.messages.iter().rposition(|said| said.role != Role::Tool)?;
        let results = conversation.messages.len() - place - 1;
        let first = &conversation.messages.get(place)?.tool_calls.first()?.id;
        let first = CallId::parse(first).filter(|_| results > 0)?;
        Some(Self { tenant, conversation, place, first, asked: asked_for(wire) })
    }

    /// Every id is one that the run's key made.
    fn is_genuine(&self, key: &CallKey) -> bool {
        let said = self.conversation.messages.get(self.place..).unwrap_or_default();
        let calls = said.iter().flat_map(|said| &said.tool_calls).map(|call| &call.id);
        let mut ids = calls.chain(said.iter().filter_map(|said| said.tool_call_id.as_ref()));
        ids.all(|id| key.made(&self.tenant, id))
    }

    /// The results in the order of the calls, under the provider's own ids.
    fn results(&self, ids: &[String], calls: &[ToolCall]) -> Result<Conversation, Status> {
        let said = self.conversation.messages.get(self.place + 1..).unwrap_or_default();
        let mut messages = Vec::with_capacity(calls.len());
        let mut wrong = Vec::new();
        for (id, call) in ids.iter().zip(calls) {
            let mut of_call = said.iter().filter(|said| said.tool_call_id.as_ref() == Some(id));
            match (of_call.next(), of_call.next()) {
                (Some(result), None) => {
                    let tool_call_id = Some(call.id.clone());
                    messages.push(Message { tool_call_id, ..result.clone() });
                }
                (None, _) => wrong.push(format!("no result of {} ({id})", call.name)),
                (Some(_), Some(_)) => wrong.push(format!("two results of {} ({id})", call.name)),
            }
        }
        if wrong.is_empty() {
            return Ok(Conversation { messages, ..self.conversation.clone() });
        }
        let message = format!(
            "messages must end with one result for each of the {} calls: there is {}. The run {} \
             still awaits them",
            calls.len(),
            wrong.join(", "),
            self.first.run,
        );
        Err(status(
            Code::InvalidArgument,
            message,
            detail(ApiCode::InvalidMessages, Some("messages")),
        ))
    }
}

impl Conductor {
    /// Brings results of tools to the run that awaits them, or has got the same before. None
    /// where no run does: then the conversation is one for a new run.
    pub(crate) async fn answered(
        &self,
        wire: &v1::SubmitRequest,
    ) -> Result<Option<Answered>, Status> {
        let Some(post) = Post::of(wire) else { return Ok(None) };
        for _reading in 0..READINGS_MAX {
            match self.bring(&post).await? {
                Brought::Known(answered) => return Ok(answered),
                Brought::Again => {}
            }
        }
        let message = format!("the results of turn {} are being taken: try again", post.first.turn);
        Err(status(Code::Unavailable, message, detail(ApiCode::Unavailable, None)))
    }

    async fn bring(&self, post: &Post) -> Result<Brought, Status> {
        let nobody = Ok(Brought::Known(None));
        let (run, view) = match self.known.read(self.ledger.as_ref(), &post.first.run).await {
            Ok((fold, view)) => (fold.run, view),
            Err(FoldError::Ledger(LedgerError::NoSuchRun(_))) => return nobody,
            Err(error) => return Err(unread(error)),
        };
        let number = post.first.turn;
        let Some(Found { ids, calls, before }) = self.found(post, &run, &view).await? else {
            return nobody;
        };
        let awaited = run.awaited() == Some(number) && !view.cancelled;
        let results = match post.results(&ids, &calls) {
            Ok(results) => Body::new(encode(&results)),
            Err(missing) if awaited => return Err(missing),
            Err(_missing) => return nobody,
        };
        let answered = Answered { run: post.first.run.clone(), turn: number + 1 };
        if let Some(before) = before.or_else(|| in_mail(&view, number)) {
            // The same again; or another conversation from here on.
            let same = before == results.name;
            return Ok(Brought::Known(same.then_some(answered)));
        }
        if !awaited {
            return nobody;
        }
        let signal = Signal {
            run: answered.run.clone(),
            key: word(number),
            event: encode(&results.name),
            bodies: vec![results],
        };
        match self.ledger.signal(signal).await.map_err(refused)? {
            Signalled::Delivered => {
                tracing::info!(run = %answered.run, turn = number, "results of tools came");
                Ok(Brought::Known(Some(answered)))
            }
            Signalled::AlreadyDelivered => Ok(Brought::Again),
            Signalled::Expired | Signalled::AlreadyEnded => nobody,
        }
    }

    /// The turn that a conversation goes on from; none where it is not the run's own.
    async fn found(&self, post: &Post, run: &Run, view: &RunView) -> Result<Option<Found>, Status> {
        let label: Option<Label> = serde_json::from_slice(&view.label).ok();
        let Some(Label { secret: Some(secret), asked: Some(asked), .. }) = label else {
            return Ok(None);
        };
        let key = CallKey::of(&secret);
        let spec = run.spec();
        let same_terms = asked == post.asked && spec.needs.cover(post.conversation.needs());
        if view.tenant != post.tenant || !same_terms || !post.is_genuine(&key) {
            return Ok(None);
        }
        let Some(turns) = run.turns().get(..=post.first.turn as usize) else { return Ok(None) };
        let mut expected = self.said(&post.tenant, &spec.request).await?.messages;
        let said = post.conversation.messages.get(..=post.place).unwrap_or_default();
        let mut said = said.to_vec();
        plain(said.get_mut(..expected.len()).unwrap_or_default());
        let (mut ids, mut calls) = (Vec::new(), Vec::new());
        for (number, turn) in (0..).zip(turns) {
            let asking = asking(self.ledger.as_ref(), &post.tenant, &turn.output, &turn.calls);
            let mut asking = asking.await.map_err(untold)?;
            calls.clone_from(&asking.tool_calls);
            ids = key.ids(&post.tenant, &post.first.run, number, calls.len());
            for (call, id) in asking.tool_calls.iter_mut().zip(&ids) {
                call.id.clone_from(id);
            }
            expected.push(asking);
            if number == post.first.turn {
                break;
            }
            let Some(results) = &turn.results else { return Ok(None) };
            let results = self.said(&post.tenant, results).await?.messages;
            expected.extend(results.into_iter().zip(&ids).map(|(result, id)| {
                let tool_call_id = Some(id.clone());
                Message { tool_call_id, ..result }
            }));
        }
        let same = said.len() == expected.len()
            && in_order(said).iter().zip(&in_order(expected)).all(|(said, was)| same(said, was));
        let before = turns.last().and_then(|turn| turn.results.clone());
        Ok(same.then_some(Found { ids, calls, before }))
    }

    async fn said(&self, tenant: &TenantId, body: &BodyRef) -> Result<Conversation, Status> {
        let bytes = self.ledger.body(tenant, body).await.map_err(refused)?;
        serde_json::from_slice(&bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

/// What came of bringing results.
enum Brought {
    Known(Option<Answered>),
    /// Somebody else brought some in between.
    Again,
}

/// The turn that a post goes on from.
struct Found {
    /// Of its calls, as the client knows them.
    ids: Vec<String>,
    /// Under the provider's own ids.
    calls: Vec<ToolCall>,
    /// The results that it has got.
    before: Option<BodyRef>,
}

fn untold(error: Unreadable) -> Status {
    match error {
        Unreadable::Body { source, .. } => refused(source),
        error @ Unreadable::Content { .. } => Status::internal(error.to_string()),
    }
}

/// Results of a turn that no decision has looked at yet.
fn in_mail(view: &RunView, number: u32) -> Option<BodyRef> {
    view.mails.iter().find_map(|entry| match input_of(&entry.mail)? {
        Input::Results { turn, results } if turn == number => results,
        _other => None,
    })
}

/// The same messages, with results that follow each other in the order of their ids: clients
/// may send them in any.
fn in_order(mut messages: Vec<Message>) -> Vec<Message> {
    let both_results =
        |one: &Message, other: &Message| one.role == Role::Tool && other.role == Role::Tool;
    for results in messages.chunk_by_mut(both_results) {
        results.sort_by(|one, other| one.tool_call_id.cmp(&other.tool_call_id));
    }
    messages
}

/// Whether a message is what was said. What an agent said with its calls may be left out, and
/// clients that read arguments write them anew.
fn same(said: &Message, was: &Message) -> bool {
    if was.role != Role::Assistant || was.tool_calls.is_empty() {
        return said == was;
    }
    let (words, before) = (said.plain(), was.plain());
    let same_call = |(said, was): (&ToolCall, &ToolCall)| {
        (&said.id, &said.name) == (&was.id, &was.name)
            && (said.arguments == was.arguments
                || value(said).is_some_and(|v| Some(v) == value(was)))
    };
    said.role == was.role
        && (words.is_empty() || words.trim() == before.trim())
        && said.tool_calls.len() == was.tool_calls.len()
        && said.tool_calls.iter().zip(&was.tool_calls).all(same_call)
}

fn value(call: &ToolCall) -> Option<Value> {
    serde_json::from_str(&call.arguments).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str, text: &str) -> Message {
        Message { tool_call_id: Some(id.into()), ..Message::text(Role::Tool, text) }
    }

    fn asked(words: &str, arguments: &str) -> Message {
        let (id, name, arguments) = ("c1".into(), "clock".into(), arguments.into());
        let tool_calls = vec![ToolCall { id, name, arguments }];
        Message { tool_calls, ..Message::text(Role::Assistant, words) }
    }

    #[test]
    fn a_client_may_write_the_same_in_its_own_way() {
        let was = asked("Let me see. ", r#"{"a":1,"b":[2]}"#);
        assert!(same(&was, &was));
        assert!(same(&asked("", r#"{"b": [2], "a": 1}"#), &was));
        assert!(same(&asked("Let me see.", r#"{"a":1,"b":[2]}"#), &was));
        assert!(!same(&asked("Let us see.", r#"{"a":1,"b":[2]}"#), &was));
        assert!(!same(&asked("", r#"{"a":1,"b":[3]}"#), &was));
        assert!(!same(&Message::text(Role::Assistant, "Let me see. "), &was));
        assert!(!same(&asked("", "{"), &asked("", "[")), "what is no JSON is text");
        assert!(!same(&Message::text(Role::User, "a"), &Message::text(Role::User, "b")));
    }

    #[test]
    fn results_may_come_in_any_order() {
        let user = || Message::text(Role::User, "and?");
        let one = vec![result("b", "2"), result("a", "1"), user(), result("c", "3")];
        let other = vec![result("a", "1"), result("b", "2"), user(), result("c", "3")];
        assert_eq!(in_order(one), in_order(other));
    }
}
