//! Folds the chunks of a completion into events.

use super::wire;
use crate::{failure, reader::parsed, said::Said};
use baton_provider::{ChatEvent, Finish, ProviderError};

/// What has been read of one completion.
#[derive(Debug, Default)]
pub(crate) struct ChatReader {
    pub(crate) said: Said,
}

impl ChatReader {
    /// Reads one chunk of a stream, or one whole reply.
    pub(crate) fn read(&mut self, json: &str) -> Result<Vec<ChatEvent>, ProviderError> {
        if json == "[DONE]" {
            self.said.done();
            return Ok(Vec::new());
        }
        let chunk: wire::Chunk = parsed(json, "a chunk of a completion")?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(failure::of_error_object(&error, self.said.text_bytes()));
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.said.model = model;
        }
        if let Some(id) = chunk.id.filter(|id| !id.is_empty()) {
            self.said.id = id;
        }
        self.said.usage = chunk.usage.as_ref().and_then(wire::usage).or(self.said.usage);
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
            self.said.reasoning(delta.reasoning(), events);
            self.said.text(delta.text(), events);
            self.said.refusal(delta.refusal.clone().unwrap_or_default(), events);
            for piece in delta.tools() {
                self.said.tool(piece, events);
            }
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => self.said.finish(Finish::Length),
            Some("content_filter") => self.said.finish(Finish::ContentFilter),
            Some("tool_calls" | "function_call") => self.said.finish(Finish::ToolCalls),
            Some("refusal") => self.said.finish(Finish::Refusal),
            Some("error") => {
                let error = serde_json::json!("the provider ended the answer with an error");
                return Err(failure::of_error_object(&error, self.said.text_bytes()));
            }
            // Servers have many words for a normal end: eos, end_turn, stop_sequence.
            Some(_) => self.said.finish(Finish::Stop),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events and the end, one a line.
    fn check(chunks: &[&str], done: bool) -> String {
        let mut reader = ChatReader::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            match reader.read(chunk) {
                Ok(events) => lines.extend(events.iter().map(|event| format!("{event:?}"))),
                Err(error) => return lines.into_iter().chain([error.to_string()]).collect(),
            }
        }
        if done {
            reader.said.done();
        }
        lines.push(match reader.said.end() {
            Ok(ChatEvent::Finished(end)) => {
                let usage = end.usage.map(|u| (u.tokens_in, u.tokens_out));
                let id = if end.id.is_empty() { String::new() } else { format!(" as {}", end.id) };
                format!("{:?} {usage:?} {}{id}", end.finish, end.model)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        });
        lines.join("; ")
    }

    #[test]
    fn the_normal_stream() {
        let chunks = [
            r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
        ];
        assert_eq!(check(&chunks, true), r#"Text("Hi"); Stop Some((3, 1)) m as c1"#);
        assert_eq!(check(&chunks[..3], false), r#"Text("Hi"); Stop None m as c1"#);
        let cut = "the stream was cut after 2 bytes of text: it ended without a finish reason and without its end";
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

    #[test]
    fn tools_are_called_in_pieces() {
        let first = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"weather","arguments":""}}]}}]}"#;
        let more = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
        let piece = |index: u32, id: &str, arguments: &str| {
            let id = if id.is_empty() { "id: None, name: None" } else { id };
            format!("Tool(ToolPiece {{ index: {index}, {id}, arguments: {arguments:?} }})")
        };
        let named = r#"id: Some("c1"), name: Some("weather")"#;
        assert_eq!(
            check(&[first, more], true),
            format!("{}; {}; ToolCalls None ", piece(0, named, ""), piece(0, "", "{}"))
        );
        // Without an index, with arguments as an object, with the wrong word for the end.
        let whole = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c1","function":{"name":"weather","arguments":{"a":1}}}]},"finish_reason":"stop"}]}"#;
        assert_eq!(
            check(&[whole], true),
            format!("{}; ToolCalls None ", piece(0, named, "{\"a\":1}"))
        );
    }

    #[test]
    fn a_refusal_is_no_text() {
        let refused = r#"{"choices":[{"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#;
        assert_eq!(check(&[refused], true), r#"Refusal("No."); Refusal None "#);
        let cut = r#"{"choices":[{"delta":{"reasoning":"so"},"finish_reason":"length"}]}"#;
        assert_eq!(check(&[cut], true), r#"Reasoning("so"); Length None "#);
    }
}
