//! Answers that are none, or not whole: a refusal, a filter, a limit of tokens. Each is an
//! outcome of its own for the client, the command line and the report, in both protocols.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::{Baton, command};
use baton_tests::{
    Client, Ended, ask,
    config::{Config, agent, provider},
    ended, rounds,
};
use serde_json::{Value, json};

/// Tokens that the agent called `brief` may write: fewer than its answer has.
const BRIEF_TOKENS: u32 = 6;
/// What a simulated model says that refuses.
const REFUSAL: &str = "I will not answer this (simulated).";
/// What Baton says where a provider refuses without words.
const WORDLESS: &str = "The model refused to answer.";
const PROTOCOLS: [&str; 2] = ["openai", "anthropic"];

/// A cluster whose agents are asked in one protocol: `no` refuses, `hush` is filtered,
/// `brief` may write little, `well` answers.
struct Cluster {
    baton: Baton,
    _providers: [Baton; 3],
}

impl Cluster {
    fn start(protocol: &str, stream: bool) -> Self {
        let sim = |faults| Baton::sim(&["--time-scale", "0", "--faults", faults]).unwrap();
        let [refusing, filtering, honest] = [sim("refusal=1"), sim("filter=1"), sim("")];
        let spoken = format!("kind = \"{protocol}\"\nstream = {stream}\n");
        let provider = |name, sim: &Baton| provider(name, &sim.url()) + &spoken;
        let config = Config::new(&[
            provider("refusing", &refusing),
            provider("filtering", &filtering),
            provider("honest", &honest),
            agent("no", "refusing", "sim-sage"),
            agent("hush", "filtering", "sim-sage"),
            agent("brief", "honest", "sim-sage").replace("2048", &BRIEF_TOKENS.to_string()),
            agent("well", "honest", "sim-sage"),
        ]);
        Self { baton: config.up(), _providers: [refusing, filtering, honest] }
    }

    fn client(&self) -> Client {
        Client::new(self.baton.url())
    }

    /// `baton run` by these agents, the first of which is asked first.
    fn run(&self, agents: &[&str]) -> Ended {
        let mut asked = vec!["run", "-q", "What is the value of (3 + 4) * 5?"];
        asked.extend(["--model", "baton/direct"]);
        asked.extend(agents.iter().flat_map(|agent| ["--allow", agent]));
        let mut command = command(&asked).unwrap();
        command.env("BATON_ENDPOINT", self.baton.url());
        ended(command, "")
    }
}

/// A request for a run by these agents, the first of which is asked first.
fn by(agents: &[&str]) -> Value {
    let first = json!({ "agent": agents[0] });
    ask("baton/direct", json!({ "baton": { "allow": agents, "strategy_parameters": first } }))
}

/// Agents and what became of the tasks they were given.
fn tasks(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tasks = rounds(report)[0]["steps"][0]["tasks"].as_array().unwrap();
    tasks.iter().map(|task| (text(&task["agent"]), text(&task["status"]))).collect()
}

fn told(tasks: &[(&str, &str)]) -> Vec<(String, String)> {
    tasks.iter().map(|(agent, status)| ((*agent).into(), (*status).into())).collect()
}

/// What a client is told in the end: its parts, whether they come whole or streamed.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    refusal: String,
    finish: String,
    report: Value,
}

impl Told {
    fn add(&mut self, message: &Value, choice: &Value) {
        self.text += message["content"].as_str().unwrap_or_default();
        self.refusal += message["refusal"].as_str().unwrap_or_default();
        self.finish += choice["finish_reason"].as_str().unwrap_or_default();
    }

    fn whole(client: &Client, body: &Value) -> Self {
        let reply = client.chat(body);
        assert_eq!(reply.status, 200, "{reply:?}");
        let choice = &reply.json["choices"][0];
        let mut told = Self { report: reply.json["baton"].clone(), ..Self::default() };
        told.add(&choice["message"], choice);
        assert_eq!(choice["message"]["content"].is_null(), told.text.is_empty(), "{reply:?}");
        told
    }

    fn streamed(client: &Client, body: &Value) -> Self {
        let mut body = body.clone();
        body["stream"] = true.into();
        let mut told = Self::default();
        for event in client.stream("/v1/chat/completions", &body) {
            if event.data == "[DONE]" {
                return told;
            }
            let chunk = event.json();
            assert!(chunk["error"].is_null(), "{chunk}");
            told.add(&chunk["choices"][0]["delta"], &chunk["choices"][0]);
            if let Some(report) = chunk.get("baton") {
                told.report = report.clone();
            }
        }
        panic!("no [DONE] after {told:?}");
    }
}

/// Looks at a run and at the agent that is asked first, called directly, whole and streamed.
fn every_way(client: &Client, agents: &[&str], check: impl Fn(&Told, bool)) {
    for tell in [Told::whole, Told::streamed] {
        check(&tell(client, &by(agents)), true);
        check(&tell(client, &ask(agents[0], json!({}))), false);
    }
}

#[test]
fn a_refusal_goes_to_another_agent_and_is_told_if_nobody_answers() {
    for (protocol, stream) in PROTOCOLS.into_iter().zip([true, false]) {
        let cluster = Cluster::start(protocol, stream);
        let client = cluster.client();
        let answered = Told::whole(&client, &by(&["no", "well"]));
        assert_eq!((answered.finish.as_str(), answered.refusal.as_str()), ("stop", ""));
        assert!(answered.text.contains("Answer: 35"), "{answered:?}");
        assert_eq!(answered.report["status"], "completed");
        assert_eq!(tasks(&answered.report), told(&[("no", "refused"), ("well", "done")]));

        every_way(&client, &["no"], |found, is_run| {
            let parts = (found.text.as_str(), found.refusal.as_str(), found.finish.as_str());
            assert_eq!(parts, ("", REFUSAL, "stop"), "{protocol}: {found:?}");
            if is_run {
                let report = &found.report;
                assert_eq!(report["status"], "incomplete");
                assert_eq!(report["shortfall"], "refused");
                let reason = &report["reason"];
                assert_eq!((&reason["code"], &reason["step"]), (&json!("fell_short"), &json!(0)));
                assert_eq!(tasks(report), told(&[("no", "refused")]));
            }
        });
        let run = cluster.run(&["no"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{run:?}");
        assert!(run.stderr.contains(REFUSAL), "{run:?}");
        assert_eq!(cluster.run(&["no", "well"]).code, Some(0));
    }
}

#[test]
fn what_a_filter_stops_is_told_as_such() {
    let cluster = Cluster::start("openai", true);
    let client = cluster.client();
    let answered = Told::whole(&client, &by(&["hush", "well"]));
    assert_eq!(tasks(&answered.report), told(&[("hush", "filtered"), ("well", "done")]));
    every_way(&client, &["hush"], |found, is_run| {
        assert_eq!((found.refusal.as_str(), found.finish.as_str()), ("", "content_filter"));
        let half = answered.text.starts_with(&found.text) && answered.text != found.text;
        assert!(half && !found.text.is_empty(), "{found:?} of {answered:?}");
        if is_run {
            let report = &found.report;
            let end = (&report["status"], &report["shortfall"], &report["reason"]["code"]);
            let expected = (&json!("incomplete"), &json!("filtered"), &json!("fell_short"));
            assert_eq!(end, expected, "{report}");
        }
    });
    let run = cluster.run(&["hush"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(!run.stdout.is_empty() && run.stderr.contains("filter stopped it"), "{run:?}");
}

#[test]
fn messages_calls_a_filter_a_refusal() {
    let cluster = Cluster::start("anthropic", true);
    let found = Told::whole(&cluster.client(), &by(&["hush"]));
    let parts = (found.refusal.as_str(), found.finish.as_str());
    assert_eq!(parts, (WORDLESS, "stop"), "{found:?}");
    assert_eq!(tasks(&found.report), told(&[("hush", "refused")]));
}

#[test]
fn an_answer_cut_off_at_its_limit_is_marked() {
    for (protocol, stream) in PROTOCOLS.into_iter().zip([false, true]) {
        let cluster = Cluster::start(protocol, stream);
        let client = cluster.client();
        every_way(&client, &["brief"], |found, is_run| {
            assert_eq!((found.refusal.as_str(), found.finish.as_str()), ("", "length"));
            assert!(!found.text.is_empty() && !found.text.contains("Answer"), "{found:?}");
            if is_run {
                // It is what the agent could say: nobody else is asked.
                let step = &rounds(&found.report)[0]["steps"][0];
                assert_eq!(step["truncated"], true, "{step}");
                assert_eq!(step["tokens_out"], BRIEF_TOKENS);
                let end = (&found.report["status"], &found.report["reason"]["code"]);
                assert_eq!(end, (&json!("completed"), &json!("unchecked")));
            }
        });
        let run = cluster.run(&["brief"]);
        assert_eq!(run.code, Some(5), "{run:?}");
        assert!(!run.stdout.is_empty() && run.stderr.contains("cut off"), "{run:?}");
        // The client's own limit is told in the same way.
        let mut body = by(&["well"]);
        body["max_tokens"] = BRIEF_TOKENS.into();
        assert_eq!(Told::whole(&client, &body).finish, "length");
    }
}
