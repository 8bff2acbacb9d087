//! A whole reply, put together from what comes in.

use crate::CallFailure;
use baton_provider::{
    ChatEvent, ChatRequest, Finish, Finished, ProviderError, ToolCall, ToolPiece, Usage,
};

/// More of a reply, while it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta<'a> {
    /// A call begins; what an earlier one gave is withdrawn.
    Begin {
        /// Counts the calls of one [`Caller::make`](crate::Caller::make), from 1.
        call: u32,
    },
    /// Text.
    Text(&'a str),
    /// Reasoning.
    Reasoning(&'a str),
    /// Words of a refusal.
    Refusal(&'a str),
    /// A piece of a tool's call.
    Tool(&'a ToolPiece),
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The text; empty only where `finish` says why.
    pub text: String,
    /// The words in which the model refuses; empty unless it does.
    pub refusal: String,
    /// The calls of tools that it asks for.
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped.
    pub finish: Finish,
    /// Tokens, as the provider said, or as estimated.
    pub usage: Usage,
}

impl Reply {
    /// The text of whoever was asked for a text: a plan, a judgement.
    ///
    /// # Errors
    /// When the model refused, was stopped by a filter, or wrote nothing within its limit.
    pub fn spoken(self) -> Result<String, CallFailure> {
        let said = match self.finish {
            Finish::Stop | Finish::Length | Finish::ToolCalls => self.text,
            Finish::Refusal | Finish::ContentFilter => String::new(),
        };
        if said.trim().is_empty() { Err(CallFailure::NotSaid(self.finish)) } else { Ok(said) }
    }
}

/// A reply in the making.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    text: String,
    refusal: String,
    calls: Vec<ToolCall>,
    named: Named,
}

/// What the provider calls the model that answered, and the answer; empty where it did not say.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) model: String,
    pub(crate) id: String,
}

impl Gathered {
    /// What is said of the reply, once it is whole.
    pub(crate) fn named(self) -> Named {
        self.named
    }

    /// Bytes of text so far.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes an event, tells it on, and gives the reply once it is whole; whether the
    /// provider said what it used comes with it.
    pub(crate) fn take(
        &mut self,
        event: ChatEvent,
        request: &ChatRequest,
        tell: &mut (impl FnMut(Delta<'_>) + Send),
    ) -> Result<Option<(Reply, bool)>, ProviderError> {
        match event {
            ChatEvent::Text(more) => {
                self.text.push_str(&more);
                tell(Delta::Text(&more));
            }
            ChatEvent::Reasoning(more) => tell(Delta::Reasoning(&more)),
            ChatEvent::Refusal(more) => {
                self.refusal.push_str(&more);
                tell(Delta::Refusal(&more));
            }
            ChatEvent::Tool(piece) => {
                let piece = self.piece(piece)?;
                tell(Delta::Tool(&piece));
            }
            ChatEvent::Finished(end) => {
                let named = Named { model: end.model.clone(), id: end.id.clone() };
                let ended = self.end(end, request)?;
                self.named = named;
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Adds a piece. Calls come one after the other; the first piece of each names it.
    fn piece(&mut self, mut piece: ToolPiece) -> Result<ToolPiece, ProviderError> {
        let place = piece.index as usize;
        if place == self.calls.len() {
            let name = piece.name.clone().ok_or_else(|| {
                ProviderError::Malformed(format!("call {place} of a tool does not say which"))
            })?;
            // Some servers leave the id out: it has to be there to be answered.
            let id = piece.id.clone().unwrap_or_else(|| format!("call_{place}"));
            piece.id = Some(id.clone());
            self.calls.push(ToolCall { id, name, arguments: String::new() });
        } else {
            // Repeated by some servers; said once.
            (piece.id, piece.name) = (None, None);
        }
        let call = self.calls.get_mut(place).ok_or_else(|| {
            ProviderError::Malformed(format!("call {place} of a tool comes before the others"))
        })?;
        call.arguments.push_str(&piece.arguments);
        Ok(piece)
    }

    fn end(
        &mut self,
        end: Finished,
        request: &ChatRequest,
    ) -> Result<(Reply, bool), ProviderError> {
        let Self { text, refusal, calls, .. } = std::mem::take(self);
        let blank = text.trim().is_empty();
        let finish = match end.finish {
            Finish::Stop | Finish::ToolCalls if !calls.is_empty() => Finish::ToolCalls,
            Finish::Stop | Finish::ToolCalls if blank => return Err(ProviderError::Empty),
            Finish::ToolCalls => Finish::Stop,
            Finish::Stop | Finish::Length | Finish::ContentFilter | Finish::Refusal => end.finish,
        };
        let known = end.usage.is_some();
        let written = || text.len() + refusal.len() + calls.iter().map(call_bytes).sum::<usize>();
        let usage = end.usage.unwrap_or_else(|| crate::bound::estimate(request, written()));
        Ok((Reply { text, refusal, tool_calls: calls, finish, usage }, known))
    }
}

fn call_bytes(call: &ToolCall) -> usize {
    call.name.len() + call.arguments.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> ChatEvent {
        let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
        ChatEvent::Tool(ToolPiece { index, id, name, arguments: arguments.into() })
    }

    fn finished(finish: Finish) -> ChatEvent {
        let (model, id) = (String::new(), String::new());
        ChatEvent::Finished(Finished { finish, usage: None, model, id })
    }

    fn gather(events: Vec<ChatEvent>) -> Result<Reply, ProviderError> {
        let mut gathered = Gathered::default();
        for event in events {
            if let Some((reply, _)) = gathered.take(event, &ChatRequest::default(), &mut |_| {})? {
                return Ok(reply);
            }
        }
        Err(ProviderError::Empty)
    }

    #[test]
    fn calls_are_put_together() {
        let reply = gather(vec![
            ChatEvent::Text("Let me see.".into()),
            piece(0, Some("a"), Some("weather"), ""),
            piece(0, Some("a"), Some("weather"), "{"),
            piece(0, None, None, "}"),
            piece(1, None, Some("time"), "{}"),
            finished(Finish::Stop),
        ])
        .unwrap();
        let calls: Vec<_> =
            reply.tool_calls.iter().map(|c| (&*c.id, &*c.name, &*c.arguments)).collect();
        assert_eq!(calls, [("a", "weather", "{}"), ("call_1", "time", "{}")]);
        assert_eq!(reply.finish, Finish::ToolCalls);
        assert_eq!(reply.spoken().unwrap(), "Let me see.");
    }

    #[test]
    fn pieces_of_nothing_are_malformed() {
        for wrong in [piece(0, Some("a"), None, "{}"), piece(1, Some("a"), Some("b"), "{}")] {
            let error = gather(vec![wrong, finished(Finish::ToolCalls)]).unwrap_err();
            assert!(matches!(error, ProviderError::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn nothing_said_is_an_answer_only_with_a_reason() {
        let nothing = |finish| gather(vec![finished(finish)]);
        assert_eq!(nothing(Finish::Stop), Err(ProviderError::Empty));
        assert_eq!(nothing(Finish::ToolCalls), Err(ProviderError::Empty));
        for finish in [Finish::Length, Finish::ContentFilter, Finish::Refusal] {
            let reply = nothing(finish).unwrap();
            assert_eq!(reply.spoken(), Err(CallFailure::NotSaid(finish)));
        }
    }
}
