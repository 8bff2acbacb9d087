//! What a model has said so far, in whichever protocol, and whether that is an answer.

use baton_provider::{ChatEvent, Finish, Finished, ProviderError, ToolPiece, Usage};

/// What was read of one reply.
#[derive(Debug, Default)]
pub(crate) struct Said {
    text_bytes: usize,
    refused: bool,
    called: bool,
    spoke: bool,
    finish: Option<Finish>,
    done: bool,
    pub(crate) usage: Option<Usage>,
    pub(crate) model: String,
    pub(crate) id: String,
}

impl Said {
    pub(crate) fn text(&mut self, text: String, events: &mut Vec<ChatEvent>) {
        if !text.is_empty() {
            self.spoke = true;
            self.text_bytes += text.len();
            events.push(ChatEvent::Text(text));
        }
    }

    pub(crate) fn reasoning(&mut self, text: String, events: &mut Vec<ChatEvent>) {
        if !text.is_empty() {
            self.spoke = true;
            events.push(ChatEvent::Reasoning(text));
        }
    }

    pub(crate) fn refusal(&mut self, text: String, events: &mut Vec<ChatEvent>) {
        if !text.is_empty() {
            (self.spoke, self.refused) = (true, true);
            events.push(ChatEvent::Refusal(text));
        }
    }

    pub(crate) fn tool(&mut self, piece: ToolPiece, events: &mut Vec<ChatEvent>) {
        (self.spoke, self.called) = (true, true);
        events.push(ChatEvent::Tool(piece));
    }

    /// The model has said why it stopped.
    pub(crate) fn finish(&mut self, finish: Finish) {
        self.finish = Some(finish);
    }

    /// Nothing more comes: the protocol's own end was read.
    pub(crate) fn done(&mut self) {
        self.done = true;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Whether anything came.
    pub(crate) fn spoke(&self) -> bool {
        self.spoke
    }

    /// Whether the model has said why it stopped: only the usage may still come.
    pub(crate) fn finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The last event, once nothing more comes.
    pub(crate) fn end(self) -> Result<ChatEvent, ProviderError> {
        // Some servers give no reason (or an empty one) but mark the end.
        let Some(finish) = self.finish.or(self.done.then_some(Finish::Stop)) else {
            let reason = "it ended without a finish reason and without its end".into();
            return Err(ProviderError::Cut { received: self.text_bytes, reason });
        };
        let finish = match finish {
            // Many servers know no other word for it.
            Finish::Stop | Finish::ToolCalls if self.called => Finish::ToolCalls,
            Finish::Stop | Finish::ToolCalls if self.refused => Finish::Refusal,
            Finish::Stop | Finish::ToolCalls if self.text_bytes == 0 => {
                return Err(ProviderError::Empty);
            }
            Finish::ToolCalls => Finish::Stop,
            Finish::Stop | Finish::Length | Finish::ContentFilter | Finish::Refusal => finish,
        };
        let Self { usage, model, id, .. } = self;
        Ok(ChatEvent::Finished(Finished { finish, usage, model, id }))
    }
}
