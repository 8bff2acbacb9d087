use super::*;
use baton_proto::v1::{message::Role, part, run_options::Check};
use baton_workflow::AgentId;
use serde_json::json;

fn offer<T>(use_it: impl FnOnce(&Offer<'_>) -> T) -> T {
    let settings = crate::sample::settings(&["small", "meta/llama-3:8b"]);
    use_it(&Offer { strategies: &["direct", "debate"], settings: &settings })
}

fn ask(extra: Value) -> Result<ChatCall, ApiError> {
    let mut body = json!({"model": "baton", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    offer(|offer| read(body.to_string().as_bytes(), offer))
}

/// One line for each way to be wrong: what is sent, and `status code param` of the answer.
fn check(extra: Value, expected: &str) {
    let told = match ask(extra.clone()) {
        Ok(_) => "ok".to_owned(),
        Err(e) => format!("{} {} {}", e.status.as_u16(), e.code, e.param.unwrap_or_default()),
    };
    assert_eq!(told, expected, "{extra}");
}

#[test]
fn a_full_request_is_read() {
    let call = ask(json!({
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
            ]},
            {"role": "assistant", "content": "a cat", "refusal": null, "annotations": [], "tool_calls": null},
        ],
        "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
        "temperature": 0.5, "top_p": 1, "stop": "END", "max_tokens": 7, "user": "u", "n": 1,
        "metadata": {"a": "b"}, "store": false, "logprobs": false, "tools": [],
        "response_format": {"type": "text"}, "modalities": ["text"], "presence_penalty": 0,
        "baton": {
            "budget": {"usd": 0.01, "tokens": 10, "calls": 2, "depth": 0}, "deadline": 30,
            "strategy": "debate", "strategy_parameters": {"n": 2}, "deny": ["small"], "seed": 4,
            "verify": {"judge": "small"}, "rounds": 1, "background": true, "progress": true,
        },
    }))
    .unwrap();
    let messages = &call.conversation.messages;
    assert_eq!(messages[0].role(), Role::System);
    assert!(
        matches!(&messages[1].parts[1].part, Some(part::Part::Image(i)) if i.detail() == "low")
    );
    assert_eq!(call.conversation.stop, ["END"]);
    assert_eq!(call.conversation.seed, Some(4));
    assert_eq!(call.conversation.output_tokens_max, Some(7));
    assert!(call.stream && call.include_usage && call.progress && call.options.background);
    assert_eq!(call.options.seconds, Some(30));
    assert_eq!(call.options.usd, Some(0.01));
    assert_eq!(call.options.strategy_parameters_json.as_deref(), Some("{\"n\":2}"));
    assert_eq!(call.options.check, Some(Check::Judge("small".into())));
}

#[test]
fn models_are_runs_or_agents() {
    let model = |name: &str| ask(json!({"model": name})).unwrap().model;
    for run in ["baton", "baton-ultra", "baton/direct"] {
        assert_eq!(model(run), Model::Run(run.into()));
    }
    let agent = AgentId::new("meta/llama-3:8b").unwrap();
    assert_eq!(model("meta/llama-3:8b"), Model::Agent(agent));
    let error = ask(json!({"model": "gpt-9"})).unwrap_err();
    for name in ["baton-ultra", "baton/debate", "small"] {
        assert!(error.message.contains(name), "{}", error.message);
    }
}

#[test]
fn every_wrong_request_is_told_where() {
    check(json!({"model": "gpt-9"}), "404 model_not_found model");
    check(json!({"model": 7}), "400 invalid_value model");
    check(json!({"model": null}), "400 invalid_value model");
    check(json!({"messages": []}), "400 invalid_value messages");
    check(json!({"messages": "hi"}), "400 invalid_value messages");
    check(json!({"messages": ["hi"]}), "400 invalid_value messages[0]");
    let message = |message: Value| json!({"messages": [message]});
    check(message(json!({"content": "x"})), "400 invalid_value messages[0].role");
    check(message(json!({"role": "bot", "content": "x"})), "400 invalid_value messages[0].role");
    check(
        message(json!({"role": "function", "content": "x", "name": "f"})),
        "400 unsupported_parameter messages[0].role",
    );
    check(message(json!({"role": "user"})), "400 invalid_value messages[0].content");
    check(message(json!({"role": "user", "content": 1})), "400 invalid_value messages[0].content");
    check(message(json!({"role": "user", "content": []})), "400 invalid_value messages[0].content");
    let part = |part: Value| message(json!({"role": "user", "content": [part]}));
    check(part(json!({"type": "input_audio"})), "400 invalid_value messages[0].content[0].type");
    check(part(json!({"type": "text"})), "400 invalid_value messages[0].content[0].text");
    check(
        part(json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})),
        "400 invalid_value messages[0].content[0].image_url.url",
    );
    for (name, wrong) in [
        ("temperature", json!(2.1)),
        ("temperature", json!("hot")),
        ("top_p", json!(-0.1)),
        ("stop", json!(["a", "b", "c", "d", "e"])),
        ("stop", json!("")),
        ("seed", json!(1.5)),
        ("max_tokens", json!(0)),
        ("max_completion_tokens", json!(-1)),
        ("stream", json!("yes")),
        ("user", json!(7)),
        ("metadata", json!({"a": 1})),
        ("stream_options", json!({"include_usage": true})),
        ("baton", json!([])),
    ] {
        check(json!({name: wrong}), &format!("400 invalid_value {name}"));
    }
    check(json!({"temprature": 1}), "400 unknown_parameter temprature");
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (name, value) in [
        ("functions", json!([{}])),
        ("function_call", json!("auto")),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(2)),
        ("logit_bias", json!({"1": 2})),
        ("audio", json!({"voice": "x"})),
        ("modalities", json!(["text", "audio"])),
        ("n", json!(2)),
        ("presence_penalty", json!(0.1)),
        ("frequency_penalty", json!(-1)),
    ] {
        check(json!({name: value}), &format!("400 unsupported_parameter {name}"));
    }
    check(json!({"model": "small", "baton": {"rounds": 1}}), "400 unsupported_parameter baton");
    check(json!({"model": "small", "baton": {}}), "ok");
}

#[test]
fn the_baton_object_is_read_strictly() {
    let baton = |baton: Value, expected: &str| check(json!({"baton": baton}), expected);
    for resource in ["usd", "tokens", "calls", "seconds"] {
        for wrong in [json!(0), json!(-1), json!("1"), json!(1e30)] {
            baton(
                json!({"budget": {resource: wrong}}),
                &format!("400 invalid_value baton.budget.{resource}"),
            );
        }
    }
    baton(json!({"budget": {"depth": 99}}), "400 invalid_value baton.budget.depth");
    baton(json!({"budget": {"usd": 1e-15}}), "ok");
    baton(json!({"budget": {"euro": 1}}), "400 unknown_parameter baton.budget.euro");
    baton(json!({"budgets": {}}), "400 unknown_parameter baton.budgets");
    baton(json!({"deadline": 0}), "400 invalid_value baton.deadline");
    baton(json!({"deadline": 1, "budget": {"seconds": 1}}), "400 invalid_value baton.deadline");
    baton(json!({"strategy": "magic"}), "400 invalid_value baton.strategy");
    baton(json!({"strategy_parameters": {}}), "400 invalid_value baton.strategy_parameters");
    baton(json!({"allow": ["nobody"]}), "400 unknown_agent baton.allow");
    baton(json!({"deny": "small"}), "400 invalid_value baton.deny");
    baton(json!({"verify": {"judge": true}}), "400 invalid_value baton.verify.judge");
    baton(json!({"verify": {"judge": "nobody"}}), "400 unknown_agent baton.verify.judge");
    baton(
        json!({"verify": {"judge": "small", "expected": "4"}}),
        "400 invalid_value baton.verify.expected",
    );
    baton(json!({"verify": {"expected": "4"}}), "ok");
    baton(json!({"verify": {"type": "math.answer", "expected": "\\frac12"}}), "ok");
    baton(json!({"verify": {"type": "json.schema", "schema": {"type": "object"}}}), "ok");
    baton(json!({"verify": {"type": "math.answer"}}), "400 invalid_value baton.verify");
    baton(json!({"verify": {"type": "vote.majority"}}), "400 invalid_value baton.verify");
    baton(
        json!({"verify": {"type": "text.exact", "expected": "4", "judge": true}}),
        "400 invalid_value baton.verify",
    );
    baton(
        json!({"verify": {"type": "text.regex", "pattern": "(a"}}),
        "400 invalid_value baton.verify.pattern",
    );
    baton(
        json!({"verify": {"type": "json.schema", "schema": {"$ref": "https://x.test"}}}),
        "400 invalid_value baton.verify.schema",
    );
    baton(json!({"rounds": 0}), "400 invalid_value baton.rounds");
    check(
        json!({"model": "baton/direct", "baton": {"strategy": "debate"}}),
        "400 invalid_value baton.strategy",
    );
    check(json!({"seed": 1, "baton": {"seed": 2}}), "400 invalid_value baton.seed");
}

#[test]
fn all_faults_are_told_at_once() {
    let error = ask(json!({"model": "gpt-9", "temperature": 9, "nonsense": 1, "baton": {"x": 1}}));
    let error = error.unwrap_err();
    assert_eq!(error.status.as_u16(), 400);
    for named in ["gpt-9", "temperature", "nonsense", "baton.x"] {
        assert!(error.message.contains(named), "{}", error.message);
    }
}

#[test]
fn broken_bodies_are_told_where() {
    let told = |body: &[u8]| offer(|offer| read(body, offer)).unwrap_err();
    assert!(told(b"{\"model\": \"\xff\"}").message.contains("byte 11"));
    assert!(told(b"{\"model\": }").message.contains("line 1 column 11"));
    assert!(told(b"").message.contains("not JSON"));
    assert_eq!(told(b"[1]").code, "invalid_json");
    let deep = "[".repeat(100_000);
    assert_eq!(told(deep.as_bytes()).code, "invalid_json");
}

#[test]
fn prompts_do_not_stand_in_messages() {
    let secret = "s".repeat(100);
    let error = ask(json!({"messages": secret})).unwrap_err();
    assert!(!error.message.contains(&secret));
}

fn weather() -> Value {
    json!({"type": "function", "function": {
        "name": "weather", "description": "tells it", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }})
}

#[test]
fn tools_and_forms_are_read_as_they_were_written() {
    let body = r#"{"model": "baton", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"z":1,  "a":2}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "strict": true, "schema": {"y": 1, "b": 2}}}}"#;
    let call = offer(|offer| read(body.as_bytes(), offer)).unwrap();
    let said = baton_workflow::Conversation::try_from(call.conversation).unwrap();
    assert_eq!(said.tools.offered[0].parameters.as_deref(), Some(r#"{"z":1,  "a":2}"#));
    assert_eq!(said.tools.choice, Some(baton_workflow::ToolChoice::Named("f".into())));
    assert_eq!(said.tools.parallel, Some(false));
    let schema = r#"{"y": 1, "b": 2}"#.to_owned();
    let (name, strict) = ("n".into(), Some(true));
    let form = baton_workflow::AnswerForm::JsonSchema { name, description: None, schema, strict };
    assert_eq!(said.form, Some(form));
}

#[test]
fn a_choice_of_allowed_tools_narrows_the_offer() {
    let other = json!({"type": "function", "function": {"name": "other"}});
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}]}});
    let call = ask(json!({"tools": [weather(), other], "tool_choice": allowed})).unwrap();
    let names: Vec<_> = call.conversation.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["other"]);
}

#[test]
fn calls_and_their_results_are_part_of_a_conversation() {
    let called = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]});
    let user = json!({"role": "user", "content": "How warm?"});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "18"});
    let call = ask(json!({"messages": [user, called, result("c1")]})).unwrap();
    assert_eq!(call.conversation.messages[1].tool_calls[0].name, "weather");
    assert_eq!(call.conversation.messages[2].tool_call_id(), "c1");
    check(
        json!({"messages": [user, called, result("c2")]}),
        "400 invalid_value messages[2].tool_call_id",
    );
    check(
        json!({"messages": [user, called, {"role": "tool", "content": "18"}]}),
        "400 invalid_value messages[2].tool_call_id",
    );
    let refused = json!({"role": "assistant", "content": null, "refusal": "No."});
    check(json!({"messages": [user, refused, user]}), "ok");
}

#[test]
fn every_wrong_tool_is_told_where() {
    let tools = |tool: Value, expected: &str| check(json!({"tools": [tool]}), expected);
    tools(json!({"type": "custom"}), "400 unsupported_parameter tools[0].type");
    tools(json!({"type": "function"}), "400 invalid_value tools[0].function");
    tools(
        json!({"type": "function", "function": {"name": "a b"}}),
        "400 invalid_value tools[0].function.name",
    );
    tools(
        json!({"type": "function", "function": {"name": "f", "parameters": []}}),
        "400 invalid_value tools[0].function.parameters",
    );
    check(json!({"tools": [weather(), weather()]}), "400 invalid_value tools[1].function.name");
    check(json!({"tools": vec![weather(); 129]}), "400 invalid_value tools");
    check(json!({"tool_choice": "required"}), "400 invalid_value tool_choice");
    check(json!({"tool_choice": "none"}), "ok");
    let choice = |choice: Value, expected: &str| {
        check(json!({"tools": [weather()], "tool_choice": choice}), expected);
    };
    choice(json!("required"), "ok");
    choice(json!("sometimes"), "400 invalid_value tool_choice");
    choice(json!({"type": "function", "function": {"name": "f"}}), "400 invalid_value tool_choice");
    let form = |form: Value, expected: &str| check(json!({"response_format": form}), expected);
    form(json!({"type": "json_object"}), "ok");
    form(json!({"type": "xml"}), "400 invalid_value response_format.type");
    form(json!({"type": "json_schema"}), "400 invalid_value response_format.json_schema");
    form(
        json!({"type": "json_schema", "json_schema": {"name": "n"}}),
        "400 invalid_value response_format.json_schema.schema",
    );
    let error = ask(json!({"functions": [{}]})).unwrap_err();
    assert!(error.message.contains("tools"), "{}", error.message);
}
