//! Folds the chunks of a reply into events. No IO, no clock.

use crate::{failure, wire};
use baton_provider::{ChatEvent, Finish, Finished, ProviderError, Usage};

/// What has been read of one reply.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    text_bytes: usize,
    spoke: bool,
    finish: Option<Finish>,
    done: bool,
    usage: Option<Usage>,
    model: String,
}

impl Reader {
    /// Reads one chunk of a stream, or one whole reply.
    pub(crate) fn read(&mut self, json: &str) -> Result<Vec<ChatEvent>, ProviderError> {
        let chunk: wire::Chunk = serde_json::from_str(json).map_err(|error| {
            let json = failure::shortened(json);
            ProviderError::Malformed(format!("expected a chunk of a completion: {error}: {json}"))
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(failure::of_error_object(&error, self.text_bytes));
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        self.usage = chunk.usage.as_ref().and_then(wire::usage).or(self.usage);
        let mut events = Vec::new();
        // Only one choice is ever asked for; a chunk may well have none.
        for choice in chunk.choices.unwrap_or_default().into_iter().filter(|c| c.index == 0) {
            self.read_choice(choice, &mut events)?;
        }
        Ok(events)
    }

    fn read_choice(
        &mut self,
        choice: wire::Choice,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(delta) = choice.delta {
            let (reasoning, text) = (delta.reasoning(), delta.text());
            if !reasoning.is_empty() {
                self.spoke = true;
                events.push(ChatEvent::Reasoning(reasoning));
            }
            if !text.is_empty() {
                self.spoke = true;
                self.text_bytes += text.len();
                events.push(ChatEvent::Text(text));
            }
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => self.finish = Some(Finish::Length),
            Some("content_filter") => self.finish = Some(Finish::ContentFilter),
            Some("error") => {
                let error = serde_json::json!("the provider ended the answer with an error");
                return Err(failure::of_error_object(&error, self.text_bytes));
            }
            // Servers have many words for a normal end: eos, end_turn, stop_sequence.
            Some(_) => self.finish = Some(Finish::Stop),
        }
        Ok(())
    }

    /// Notes the end marker of a stream.
    pub(crate) fn done(&mut self) {
        self.done = true;
    }

    /// Bytes of text so far.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Whether any text or reasoning came.
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
        let finish = self.finish.or(self.done.then_some(Finish::Stop));
        let Some(finish) = finish else {
            let reason = "it ended without a finish reason and without [DONE]".into();
            return Err(ProviderError::Cut { received: self.text_bytes, reason });
        };
        if self.text_bytes == 0 && finish != Finish::ContentFilter {
            return Err(ProviderError::Empty);
        }
        let Self { usage, model, .. } = self;
        Ok(ChatEvent::Finished(Finished { finish, usage, model }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events and the end, one a line.
    fn check(chunks: &[&str], done: bool) -> String {
        let mut reader = Reader::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            match reader.read(chunk) {
                Ok(events) => lines.extend(events.iter().map(|event| format!("{event:?}"))),
                Err(error) => return lines.into_iter().chain([error.to_string()]).collect(),
            }
        }
        if done {
            reader.done();
        }
        lines.push(match reader.end() {
            Ok(ChatEvent::Finished(end)) => {
                let usage = end.usage.map(|u| (u.tokens_in, u.tokens_out));
                format!("{:?} {usage:?} {}", end.finish, end.model)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        });
        lines.join("; ")
    }

    #[test]
    fn the_normal_stream() {
        let chunks = [
            r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
        ];
        assert_eq!(check(&chunks, true), r#"Text("Hi"); Stop Some((3, 1)) m"#);
        assert_eq!(check(&chunks[..3], false), r#"Text("Hi"); Stop None m"#);
        let cut = "the stream was cut after 2 bytes of text: it ended without a finish reason and without [DONE]";
        assert_eq!(check(&chunks[..2], false), format!(r#"Text("Hi"); {cut}"#));
    }

    #[test]
    fn what_real_servers_send_instead() {
        let text = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#;
        assert_eq!(check(&[text], true), r#"Text("a"); Stop None "#);
        assert_eq!(
            check(&[r#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, text], true),
            r#"Text("a"); Stop Some((1, 2)) "#,
            "usage without choices"
        );
        let both = r#"{"choices":[{"delta":{"reasoning":"r","reasoning_content":"r"}}]}"#;
        assert_eq!(
            check(&[both, text], true),
            r#"Reasoning("r"); Text("a"); Stop None "#,
            "reasoning under both names is said once"
        );
        let parts = r#"{"choices":[{"delta":{"content":[{"type":"text","text":"p"}]}}]}"#;
        assert_eq!(check(&[parts], true), r#"Text("p"); Stop None "#);
        let whole = r#"{"choices":[{"message":{"content":"w"},"finish_reason":"length"}]}"#;
        assert_eq!(check(&[whole], true), r#"Text("w"); Length None "#);
        let second = r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#;
        assert_eq!(check(&[second, text], true), r#"Text("a"); Stop None "#);
    }

    #[test]
    fn nothing_is_not_an_answer() {
        assert_eq!(check(&[], true), "the provider's reply is empty");
        let filtered = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
        assert_eq!(check(&[filtered], true), "ContentFilter None ");
        let error = check(&[r#"{"error":{"message":"no memory"}}"#], false);
        assert_eq!(error, "the provider answered 500: no memory");
        assert!(check(&["<html>"], false).starts_with("the provider's reply is malformed"));
    }
}
