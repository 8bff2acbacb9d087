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
        message(json!({"role": "tool", "content": "x"})),
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
        ("tools", json!([{"type": "function"}])),
        ("tool_choice", json!("auto")),
        ("functions", json!([{}])),
        ("response_format", json!({"type": "json_object"})),
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
