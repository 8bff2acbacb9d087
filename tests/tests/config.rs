//! `baton config`, as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::{Baton, command};
use baton_tests::{
    Ended,
    config::{Config, agent, policy, provider},
    ended,
};
use serde_json::{Value, json};

fn config(args: &[&str]) -> Ended {
    ended(command([&["config"], args].concat()).unwrap(), "")
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn team(more: &str) -> Config {
    let (provider, agent) = (provider("p", "http://127.0.0.1:9"), agent("a", "p", "m"));
    Config::new(&[provider, agent, policy("p"), more.to_owned()])
}

#[test]
fn check_says_everything_that_is_wrong_with_line_and_column() {
    let good = team("");
    let path = good.path();
    let checked = config(&["check", path.to_str().unwrap()]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{checked:?}");
    let bad = Config::new(&["[limits]\nsteps_max = 99\nfoo = 1\n".into()]);
    let path = bad.path();
    let path = path.to_str().unwrap();
    let checked = config(&["check", path]);
    assert_eq!(checked.code, Some(2));
    for words in [":2:13: limits.steps_max is 99", ":3:1: unknown key \"foo\" in limits"] {
        assert!(checked.stdout.contains(words), "no {words:?} in {checked:?}");
    }
    let checked = config(&["check", "--config", path, "-o", "json"]);
    assert_eq!(checked.code, Some(2));
    let said = json_of(&checked);
    assert_eq!((&said["ok"], &said["source"]), (&json!(false), &json!(path)));
    let complaint = &said["complaints"][0];
    assert_eq!((&complaint["line"], &complaint["column"]), (&json!(2), &json!(13)));
    let none = config(&["check", "/nowhere/baton.toml"]);
    assert!(none.code == Some(2) && none.stdout.contains("cannot read"), "{none:?}");
}

#[test]
fn show_prints_a_configuration_and_where_its_values_come_from() {
    let given = team("[server]\ndata = \"/var/lib/baton\"\n");
    let path = given.path();
    let path = path.to_str().unwrap();
    let shown = config(&["show", path]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let again = Config::new(std::slice::from_ref(&shown.stdout));
    let differ = config(&["diff", path, again.path().to_str().unwrap(), "-o", "json"]);
    assert_eq!(json_of(&differ)["differences"], json!([]), "{}", shown.stdout);

    let shown = config(&["show", path, "--origin", "-o", "json"]);
    let shown = json_of(&shown);
    assert_eq!(shown["settings"]["agents"][0]["price"]["output"], 1.2);
    let origin = |name: &str| shown["origins"][name].as_str().unwrap().to_owned();
    assert_eq!(origin("providers.p.base_url"), format!("{path}:2"));
    assert_eq!(origin("server.listen"), "default");
    let text = config(&["show", path, "--origin"]).stdout;
    let line = text.lines().find(|line| line.starts_with("steps_max")).unwrap();
    assert!(line.ends_with("# default"), "{line}");

    let mut command = command(["config", "show", "--origin", "-o", "json"]).unwrap();
    command.env("OPENAI_API_KEY", "sk-secret");
    let shown = ended(command, "");
    assert!(!shown.stdout.contains("sk-secret"), "secrets are not shown");
    let origins = &json_of(&shown)["origins"];
    let key = "environment variable OPENAI_API_KEY";
    assert_eq!(origins["providers.openai.key_env"], key);
    let simulated = json_of(&config(&["show", "--simulated", "--origin", "-o", "json"]));
    assert_eq!(simulated["origins"]["agents.sim-swift.model"], "command line (--simulated)");
}

#[test]
fn diff_says_what_a_file_would_change() {
    let sim = ["--simulated", "--sim-time-scale", "0"];
    let baton = Baton::up_anew(&sim).unwrap();
    let file = Config::new(&["[limits]\nsteps_max = 4\n[server]\ndata = \"x\"\n".into()]);
    let (path, url) = (file.path(), baton.url());
    let differ = config(&["diff", path.to_str().unwrap(), "--endpoint", &url]);
    assert_eq!(differ.code, Some(0), "{differ:?}");
    let lines: Vec<_> = differ.stdout.lines().skip(1).collect();
    assert_eq!(lines[0], "~ limits.steps_max 5 -> 4");
    // A file without a policy has no judge.
    assert_eq!(lines[1], "- policy.judge removed");
    assert!(lines[2].starts_with("~ server.data") && lines[2].ends_with("(needs a restart)"));
    assert_eq!(lines.len(), 3, "{lines:?}");
    let same = json_of(&config(&["diff", "--simulated", "--endpoint", &url, "-o", "json"]));
    assert_eq!(same["differences"], json!([]));
    let status = config(&["status", "--endpoint", &url]);
    assert_eq!((status.code, status.stdout.as_str()), (Some(0), "version 1 is in force\n"));
    let away = config(&["status", "--endpoint", "http://127.0.0.1:9"]);
    assert_eq!(away.code, Some(1), "{away:?}");
}
