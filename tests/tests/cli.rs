//! The command line: what goes where, and what the exit codes say.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::baton::{Baton, command};
use baton_tests::{Client, Ended, ask, config::Config, ended, until};
use serde_json::{Value, json};
use std::{process::Command, sync::LazyLock};

const QUESTION: &str = "What is the value of (3 + 4) * 5?";
const ALONE: [&str; 3] = ["--simulated", "--sim-time-scale", "0"];

static SERVER: LazyLock<Baton> =
    LazyLock::new(|| Baton::up_anew(&["--simulated", "--sim-time-scale", "0"]).unwrap());

/// The command against the shared server.
fn asking(args: &[&str]) -> Command {
    let mut command = command(args).unwrap();
    command.env("BATON_ENDPOINT", SERVER.url());
    command
}

fn baton(args: &[&str]) -> Ended {
    ended(command(args).unwrap(), "")
}

fn good(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for output in [&ended.stdout, &ended.stderr] {
        assert!(!output.contains('\u{1b}'), "colour without a terminal: {output:?}");
    }
}

fn json_of(ended: &Ended) -> Value {
    good(ended);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// A run of the shared server that has ended.
fn a_run() -> String {
    let client = Client::new(SERVER.url());
    client.chat(&ask("baton/direct", json!({}))).header("x-request-id").unwrap().to_owned()
}

#[test]
fn run_gives_the_answer_on_stdout_and_its_story_on_stderr() {
    let told = baton(&[&["run", QUESTION, "--model", "baton/direct"], &ALONE[..]].concat());
    good(&told);
    assert!(told.stdout.contains("Answer: "), "{told:?}");
    assert!(told.stdout.ends_with('\n'));
    assert!(told.stderr.contains("step 0") && told.stderr.contains("completed"), "{told:?}");
    assert!(!told.stdout.contains("step 0"), "{told:?}");

    let quiet = baton(&[&["run", "-q", QUESTION, "--model", "baton/direct"], &ALONE[..]].concat());
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    assert_eq!(quiet.stdout, told.stdout);
}

#[test]
fn run_reads_standard_input_and_writes_json() {
    let mut command = asking(&["run", "-", "-o", "json", "--model", "baton/direct"]);
    command.env("NO_COLOR", "1");
    let report = json_of(&ended(command, QUESTION));
    assert_eq!(report["status"], "completed");
    assert_eq!(report["object"], "baton.run");
    let listed =
        json_of(&ended(asking(&["runs", "get", report["id"].as_str().unwrap(), "-o", "json"]), ""));
    assert_eq!(listed["answer"], report["answer"]);
}

#[test]
fn plan_shows_team_and_cost_and_begins_nothing() {
    let text = ended(asking(&["plan", QUESTION, "--model", "baton/plan_execute_verify"]), "");
    good(&text);
    assert!(text.stdout.contains("at most $") && text.stdout.contains("planning took $0"));
    assert_eq!(text.stderr, "");
    let plan = json_of(&ended(asking(&["plan", QUESTION, "-o", "json"]), ""));
    assert_eq!(plan["object"], "baton.plan");
    assert!(plan["planning"]["calls"].as_u64().unwrap() >= 1);
    assert!(!plan["workflow"]["steps"].as_array().unwrap().is_empty());
}

#[test]
fn runs_are_listed_shown_watched_and_cancelled() {
    let run = a_run();
    let text = ended(asking(&["runs", "list", "--limit", "100"]), "");
    good(&text);
    let line = text.stdout.lines().find(|line| line.contains(&run)).unwrap();
    assert!(line.contains("completed") && line.contains(QUESTION), "{line}");
    let list = json_of(&ended(asking(&["runs", "list", "-o", "json", "--limit", "1"]), ""));
    assert_eq!(list["data"].as_array().unwrap().len(), 1);

    let shown = ended(asking(&["runs", "get", &run]), "");
    good(&shown);
    assert!(shown.stdout.contains(&run) && shown.stdout.contains("strategy:direct"));
    let watched = ended(asking(&["runs", "watch", &run]), "");
    good(&watched);
    assert!(watched.stdout.contains("direct: 1 step"), "{watched:?}");
    assert!(watched.stdout.lines().last().unwrap().contains("completed"), "{watched:?}");
    let cancelled = json_of(&ended(asking(&["runs", "cancel", &run]), ""));
    assert_eq!(cancelled["state"], "already_ended");
}

fn lines(ended: &Ended) -> Vec<Value> {
    good(ended);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn tasks_are_repeatable_and_graded() {
    let args = ["tasks", "--count", "160", "--seed", "7"];
    let tasks = lines(&baton(&args));
    assert_eq!(tasks.len(), 160);
    assert_eq!(tasks, lines(&baton(&args)));
    assert_ne!(tasks, lines(&baton(&["tasks", "--count", "160", "--seed", "8"])));
    let narrow = ["tasks", "--count", "3", "--family", "countdown", "--difficulty", "4"];
    for task in lines(&baton(&narrow)) {
        assert_eq!((&task["family"], &task["difficulty"]), (&json!("countdown"), &json!(4)));
    }

    let mut replies = String::new();
    for task in &tasks {
        let answer = task["hidden"]["answer"].as_str().unwrap();
        let right = match task["family"] == "program" {
            true => format!("```python\n{answer}\n```"),
            false => format!("So it is.\nAnswer: {answer}"),
        };
        // A run sees no answer, and a check only where the question gives it.
        let mut public = task.clone();
        public.as_object_mut().unwrap().remove("hidden");
        let checked = ["countdown", "program"].contains(&task["family"].as_str().unwrap());
        assert_eq!(public["verify"].is_object(), checked, "{public}");
        for reply in [&right, "Answer: 123456789123", ""] {
            replies += &format!("{}\n", json!({ "task": task, "reply": reply }));
        }
    }
    let graded = lines(&ended(command(["tasks", "--grade"]).unwrap(), &replies));
    assert_eq!(graded.len(), 3 * tasks.len());
    for (three, task) in graded.chunks(3).zip(&tasks) {
        let right: Vec<_> = three.iter().map(|graded| graded["right"].as_bool().unwrap()).collect();
        assert_eq!(right, [true, false, false], "{task}");
        assert!(three.iter().all(|graded| graded["id"] == task["id"]));
    }
    let broken = ended(command(["tasks", "--grade"]).unwrap(), "{}\n");
    assert_eq!((broken.code, broken.stdout.as_str()), (Some(2), ""));
    assert!(broken.stderr.contains("line 1 of standard input"), "{broken:?}");
}

#[test]
fn sim_is_an_endpoint_of_its_own() {
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let client = Client::new(sim.url());
    let models = client.get("/v1/models").json;
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "sim-sage"));
    assert_eq!(client.chat(&ask("sim-swift", json!({}))).status, 200);
    let about = client.get("/sim").json;
    let tasks = baton(&["tasks", "--count", "1"]).stdout;
    let task: Value = serde_json::from_str(&tasks).unwrap();
    assert_eq!(about["parameters"], task["parameters"], "{about} {task}");
    let calls = client.get("/sim/calls");
    assert_eq!(calls.json["model"], "sim-swift", "one line, which is one object");
    sim.signal("INT").unwrap();
    let (status, stderr) = sim.wait(std::time::Duration::from_secs(10)).unwrap();
    assert!(status.success(), "{stderr}");
    let wrong = baton(&["sim", "--malformed-rate", "2"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parameters.toml");
    std::fs::write(&file, "version = 2\n[echos]\n").unwrap();
    let wrong = baton(&["sim", "--parameters", file.to_str().unwrap()]);
    fails(&wrong, 2, &["[echo] is missing", "[echos] is not known", "[model] is missing"]);
}

/// The exit code, nothing on stdout, and these words on stderr.
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {:?}", ended.stderr);
    }
}

#[test]
fn exit_code_1_is_an_endpoint_that_is_not_there() {
    let words = ["http://127.0.0.1:9", "does not answer", "baton up"];
    fails(&baton(&["run", QUESTION, "--endpoint", "http://127.0.0.1:9"]), 1, &words);
    fails(&baton(&["runs", "list", "--endpoint", "http://127.0.0.1:9"]), 1, &words);
}

#[test]
fn exit_code_2_is_what_cannot_be_meant() {
    fails(&ended(asking(&["run", QUESTION, "--model", "gpt-9"]), ""), 2, &["model_not_found"]);
    fails(&ended(asking(&["run", QUESTION, "--budget=-1"]), ""), 2, &["baton.budget.usd"]);
    fails(&ended(asking(&["runs", "get", "run_0"]), ""), 2, &["run_not_found"]);
    fails(&baton(&["run"]), 2, &["QUESTION"]);
    fails(&baton(&["tasks", "--family", "poetry"]), 2, &["poetry"]);
    let config = Config::new(&["[limits]\nsteps = 1\n".into()]);
    let path = config.path();
    let words = ["baton.toml:2: unknown key \"steps\""];
    fails(&baton(&["run", QUESTION, "--config", path.to_str().unwrap()]), 2, &words);
}

#[test]
fn exit_code_3_is_a_run_without_an_answer() {
    let slow = ["--simulated", "--sim-time-scale", "100", "--deadline", "1"];
    let ended = baton(&[&["run", QUESTION, "--model", "baton/direct"], &slow[..]].concat());
    fails(&ended, 3, &["without an answer", "time was over"]);
}

#[test]
fn exit_code_4_is_a_key_that_is_not_accepted() {
    let config = Config::new(&["[[keys]]\nenv = \"BATON_TEST_KEY\"\ntenant = \"t\"\n".into()]);
    let data = tempfile::tempdir().unwrap();
    let mut up = command(["up", "--listen", "127.0.0.1:0", "--sim-time-scale", "0"]).unwrap();
    up.arg("--config").arg(config.path()).arg("--data").arg(data.path());
    let server = Baton::start({
        up.env("BATON_TEST_KEY", "sk-right");
        up
    })
    .unwrap();
    let run = |key: Option<&str>| {
        let mut command = command(["run", "-q", QUESTION, "--model", "baton/direct"]).unwrap();
        command.env("BATON_ENDPOINT", server.url());
        if let Some(key) = key {
            command.env("BATON_API_KEY", key);
        }
        ended(command, "")
    };
    fails(&run(None), 4, &["invalid_api_key"]);
    fails(&run(Some("sk-wrong")), 4, &["invalid_api_key"]);
    assert_eq!(run(Some("sk-right")).code, Some(0));
}

#[test]
fn exit_code_5_is_an_answer_cut_short() {
    // Enough for those who answer, not for the one who merges.
    let budget = ["--model", "baton/mixture_of_agents", "--budget", "0.003"];
    let ended = ended(asking(&[&["run", QUESTION], &budget[..]].concat()), "");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(!ended.stdout.is_empty());
    assert!(ended.stderr.contains("the answer is the best so far"), "{ended:?}");
    assert!(ended.stderr.contains("budget_spent"), "{ended:?}");
}

#[test]
fn exit_code_130_is_an_interrupt_and_cancels_the_run() {
    let server = Baton::up_anew(&["--simulated", "--sim-time-scale", "50"]).unwrap();
    let client = Client::new(server.url());
    let mut command = command(["run", QUESTION, "--model", "baton/direct"]).unwrap();
    command.env("BATON_ENDPOINT", server.url());
    let child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let status = || {
        let runs = client.get("/v1/runs").json;
        runs["data"][0]["status"].as_str().map(str::to_owned)
    };
    until("the run to begin", || status().filter(|status| status == "running"));
    let pid = child.id().to_string();
    let sent = Command::new("sh").args(["-c", "kill -INT \"$1\"", "kill", &pid]).status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    until("the run to be cancelled", || status().filter(|status| status == "cancelled"));
}
