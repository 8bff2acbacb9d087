//! Folds the events of a message, or a whole one, into events of a call.

use crate::{failure, reader::parsed, said::Said};
use baton_provider::{ChatEvent, Finish, ProviderError, ToolPiece, Usage};
use serde::Deserialize;
use serde_json::Value;

/// What is said of a refusal that comes without words.
const REFUSED: &str = "The model refused to answer.";

/// What has been read of one message.
#[derive(Debug, Default)]
pub(crate) struct MessagesReader {
    pub(crate) said: Said,
    /// Calls begun.
    calls: u32,
    /// Arguments that the call under way began with, until others come.
    begun_with: Option<String>,
    counts: Counts,
}

/// Tokens, as far as they were told.
#[derive(Debug, Default)]
struct Counts {
    input: Option<u64>,
    cached: u64,
    written: u64,
    output: Option<u64>,
}

/// Anything that comes. Every field may be missing: other servers speak this protocol too.
#[derive(Debug, Deserialize)]
struct Event {
    r#type: Option<String>,
    message: Option<Value>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Value>,
    error: Option<Value>,
}

/// A message that comes whole.
#[derive(Debug, Deserialize)]
struct Whole {
    #[serde(default)]
    content: Vec<Block>,
    #[serde(flatten)]
    end: Delta,
    usage: Option<Value>,
    model: Option<String>,
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Block {
    r#type: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
}

#[derive(Debug, Deserialize)]
struct StopDetails {
    explanation: Option<String>,
}

impl MessagesReader {
    /// Reads one event of a stream, or one whole message.
    pub(crate) fn read(&mut self, json: &str) -> Result<Vec<ChatEvent>, ProviderError> {
        let what = "an event of a message, or a message";
        let event: Event = parsed(json, what)?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            return Err(failure::of_error_object(&error, self.said.text_bytes()));
        }
        let mut events = Vec::new();
        match event.r#type.as_deref() {
            Some("message") => self.whole(parsed(json, what)?, &mut events),
            Some("message_start") => {
                let message = event.message.unwrap_or_default();
                self.count(message.get("usage"));
                let text = |name: &str| message.get(name).and_then(Value::as_str);
                self.said.model = text("model").unwrap_or_default().to_owned();
                self.said.id = text("id").unwrap_or_default().to_owned();
            }
            Some("content_block_start") => {
                event.content_block.into_iter().for_each(|block| self.begin(block, &mut events));
            }
            Some("content_block_delta" | "message_delta") => {
                self.count(event.usage.as_ref());
                event.delta.into_iter().for_each(|delta| self.delta(delta, &mut events));
            }
            Some("content_block_stop") => self.end_block(&mut events),
            Some("message_stop") => self.said.done(),
            // What is new is no reason to fail: the API promises to add such things.
            Some(_ping_or_unknown) => {}
            None => return Err(ProviderError::Malformed(format!("expected {what}: no type"))),
        }
        Ok(events)
    }

    fn whole(&mut self, message: Whole, events: &mut Vec<ChatEvent>) {
        self.said.model = message.model.unwrap_or_default();
        self.said.id = message.id.unwrap_or_default();
        self.count(message.usage.as_ref());
        for block in message.content {
            self.begin(block, events);
            self.end_block(events);
        }
        self.delta(message.end, events);
        self.said.done();
    }

    /// Blocks of other kinds (redacted thinking, the provider's own tools) are passed over.
    fn begin(&mut self, block: Block, events: &mut Vec<ChatEvent>) {
        match block.r#type.as_str() {
            "tool_use" => {
                // Streams begin with an empty input and send it in pieces.
                self.begun_with = Some(block.input.map_or("{}".into(), |input| input.to_string()));
                let piece = ToolPiece {
                    index: self.calls,
                    id: block.id,
                    name: block.name,
                    arguments: String::new(),
                };
                self.calls += 1;
                self.said.tool(piece, events);
            }
            "text" => self.said.text(block.text.unwrap_or_default(), events),
            "thinking" => self.said.reasoning(block.thinking.unwrap_or_default(), events),
            _another_kind => {}
        }
    }

    fn delta(&mut self, delta: Delta, events: &mut Vec<ChatEvent>) {
        self.said.reasoning(delta.thinking.unwrap_or_default(), events);
        self.said.text(delta.text.unwrap_or_default(), events);
        if let Some(more) = delta.partial_json.filter(|more| !more.is_empty()) {
            self.begun_with = None;
            self.arguments(more, events);
        }
        let Some(reason) = delta.stop_reason else { return };
        let finish = match reason.as_str() {
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "tool_use" => Finish::ToolCalls,
            "refusal" => {
                let words = delta.stop_details.and_then(|details| details.explanation);
                self.said.refusal(words.unwrap_or_else(|| REFUSED.to_owned()), events);
                Finish::Refusal
            }
            // end_turn, stop_sequence; pause_turn only follows tools of the provider's own.
            _a_normal_end => Finish::Stop,
        };
        self.said.finish(finish);
    }

    fn end_block(&mut self, events: &mut Vec<ChatEvent>) {
        if let Some(arguments) = self.begun_with.take() {
            self.arguments(arguments, events);
        }
    }

    fn arguments(&mut self, arguments: String, events: &mut Vec<ChatEvent>) {
        let index = self.calls.saturating_sub(1);
        self.said.tool(ToolPiece { index, arguments, ..ToolPiece::default() }, events);
    }

    /// Counts come in parts, later ones standing for earlier ones, and some servers leave
    /// out the first. Read tokens are told without those that the cache had or took; here
    /// they are all of them.
    fn count(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        let count = |name: &str| usage.get(name).and_then(Value::as_u64);
        let Counts { input, cached, written, output } = &mut self.counts;
        *input = count("input_tokens").or(*input);
        *output = count("output_tokens").or(*output);
        *cached = count("cache_read_input_tokens").unwrap_or(*cached);
        *written = count("cache_creation_input_tokens").unwrap_or(*written);
        let (cached_in, cache_written_in) = (*cached, *written);
        if let (Some(input), Some(tokens_out)) = (*input, *output) {
            let tokens_in = input.saturating_add(cached_in).saturating_add(cache_written_in);
            let read = Usage { tokens_in, cached_in, cache_written_in, ..Usage::default() };
            self.said.usage = Some(Usage { tokens_out, ..read });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events and the end, one after the other.
    fn check(parts: &[&str], expected: &str) {
        let mut reader = MessagesReader::default();
        let mut lines = Vec::new();
        for part in parts {
            match reader.read(part) {
                Ok(events) => lines.extend(events.iter().map(|event| match event {
                    ChatEvent::Tool(ToolPiece { index, id, name, arguments }) => {
                        let named = format!(
                            "{} {}",
                            id.as_deref().unwrap_or("-"),
                            name.as_deref().unwrap_or("-")
                        );
                        format!("Tool({index} {named} {arguments:?})")
                    }
                    other => format!("{other:?}"),
                })),
                Err(error) => {
                    lines.push(error.to_string());
                    assert_eq!(lines.join("; "), expected);
                    return;
                }
            }
        }
        lines.push(match reader.said.end() {
            Ok(ChatEvent::Finished(end)) => {
                let usage = end.usage.unwrap_or_default();
                let Usage { tokens_in, cached_in, cache_written_in, tokens_out, .. } = usage;
                let usage = format!("{tokens_in}({cached_in},{cache_written_in})+{tokens_out}");
                format!("{:?} {usage} {} {}", end.finish, end.model, end.id)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        });
        assert_eq!(lines.join("; "), expected);
    }

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
    const PING: &str = r#"{"type":"ping"}"#;
    const TEXT: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const HI: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
    const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
    const OVER: &str = r#"{"type":"message_stop"}"#;

    fn end(reason: &str) -> String {
        format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":9}}}}"#
        )
    }

    #[test]
    fn the_normal_stream() {
        let end_turn = end("end_turn");
        check(
            &[START, PING, TEXT, HI, STOP, &end_turn, OVER],
            r#"Text("Hi"); Stop 10(3,2)+9 m msg_1"#,
        );
        let cut = "the stream was cut after 2 bytes of text: it ended without a finish reason and without its end";
        check(&[START, TEXT, HI], &format!(r#"Text("Hi"); {cut}"#));
        check(&[START, &end_turn, OVER], "the provider's reply is empty");
        check(
            &[START, r#"{"type":"new_kind_of_event"}"#, TEXT, HI, &end("max_tokens")],
            r#"Text("Hi"); Length 10(3,2)+9 m msg_1"#,
        );
    }

    #[test]
    fn half_a_count_is_none() {
        // As llama.cpp sends it where its first token is no whole character.
        check(&[TEXT, HI, &end("end_turn"), OVER], r#"Text("Hi"); Stop 0(0,0)+0  "#);
    }

    #[test]
    fn thinking_is_reasoning() {
        let think = [
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"x"}}"#,
        ];
        let stopped = end("stop_sequence");
        let parts = [&[START][..], &think, &[TEXT, HI, &stopped]].concat();
        check(&parts, r#"Reasoning("hm"); Text("Hi"); Stop 10(3,2)+9 m msg_1"#);
    }

    #[test]
    fn tools_are_called_in_pieces_or_at_once() {
        let begin = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#;
        let more = |json: &str| {
            let json = serde_json::to_string(json).unwrap();
            format!(
                r#"{{"type":"content_block_delta","index":1,"delta":{{"type":"input_json_delta","partial_json":{json}}}}}"#
            )
        };
        check(
            &[
                START,
                TEXT,
                HI,
                STOP,
                begin,
                &more(""),
                &more("{\"a\""),
                &more(":1}"),
                STOP,
                begin,
                STOP,
                &end("tool_use"),
                OVER,
            ],
            r#"Text("Hi"); Tool(0 toolu_1 weather ""); Tool(0 - - "{\"a\""); Tool(0 - - ":1}"); Tool(1 toolu_1 weather ""); Tool(1 - - "{}"); ToolCalls 10(3,2)+9 m msg_1"#,
        );
        check(
            &[
                r#"{"id":"msg_2","type":"message","model":"m","content":[{"type":"text","text":"Hi"},{"type":"tool_use","id":"t","name":"n","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#,
            ],
            r#"Text("Hi"); Tool(0 t n ""); Tool(0 - - "{\"a\":1}"); ToolCalls 1(0,0)+2 m msg_2"#,
        );
    }

    #[test]
    fn a_refusal_has_words_of_its_own() {
        check(
            &[START, TEXT, HI, &end("refusal")],
            r#"Text("Hi"); Refusal("The model refused to answer."); Refusal 10(3,2)+9 m msg_1"#,
        );
        let told = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"Not this."}}}"#;
        check(&[START, told], r#"Refusal("Not this."); Refusal 10(3,2)+1 m msg_1"#);
    }

    #[test]
    fn errors_have_kinds() {
        let error = |kind: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"so"}},"request_id":"r"}}"#
            )
        };
        check(&[START, &error("overloaded_error")], "the provider answered 529: so");
        check(&[&error("rate_limit_error")], "rate limited by the provider: so");
        check(&[&error("invalid_request_error")], "the provider refuses the request (400): so");
        check(&[&error("authentication_error")], "the provider refuses the key (401): so");
        check(
            &[START, TEXT, HI, &error("api_error")],
            r#"Text("Hi"); the stream was cut after 2 bytes of text: so"#,
        );
        check(
            &["{}"],
            "the provider's reply is malformed: expected an event of a message, or a message: no type",
        );
    }
}
