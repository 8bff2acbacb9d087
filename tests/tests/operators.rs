//! What operators ask the command line: doctor, explain, completions, pages, profiles.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::{Baton, command};
use baton_tests::{Ended, config, config::Config, ended, until};
use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

fn baton(args: &[&str]) -> Ended {
    ended(command(args).unwrap(), "")
}

/// The findings of `baton doctor`, by their names.
struct Findings(Value, Option<i32>);

impl Findings {
    fn of(args: &[&str]) -> Self {
        let told = baton(&[&["doctor", "-o", "json"], args].concat());
        Self(serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}")), told.code)
    }

    /// State, finding and advice of a check.
    fn check(&self, name: &str) -> (&str, &str, &str) {
        let all = self.0["checks"].as_array().unwrap();
        let found = all.iter().find(|check| check["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {}", self.0));
        let text = |part: &str| found[part].as_str().unwrap_or_default();
        (text("state"), text("found"), text("advice"))
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn doctor_needs_no_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let address = free_address();
    let args = ["--simulated", "--data", data.to_str().unwrap(), "--listen", &address];
    let findings = Findings::of(&args);
    assert!(matches!(findings.1, Some(0 | 6)), "{:?}", findings.0);
    assert_eq!(findings.check("port"), ("ok", format!("{address} is free").as_str(), ""));
    assert!(findings.check("ledger").1.contains("the first `baton up` makes it"));
    assert!(findings.check("provider sim").1.contains("SIMULATED"));
    assert!(findings.check("durable writes").1.contains("ms each"));
    assert!(findings.check("disk").1.contains("GiB free"));
    for name in ["baton", "kernel", "endpoint", "clock", "open files", "memory"] {
        assert!(!findings.check(name).1.is_empty(), "{name}");
    }
    assert!(!data.exists(), "it makes nothing");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing");
    let text = baton(&[&["doctor"], &args[..]].concat()).stdout;
    assert!(text.contains("ok      port"), "{text}");
}

#[test]
fn doctor_says_who_has_the_ledger_and_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let server = Baton::up(folder.path(), &["--simulated"]).unwrap();
    let (address, url) = (server.address().to_string(), server.url());
    let data = folder.path().to_str().unwrap();
    let args = ["--simulated", "--data", data, "--listen", &address, "--endpoint", &url];
    let findings = Findings::of(&args);
    let (state, ledger, _) = findings.check("ledger");
    assert!(state == "ok" && ledger.contains("is open in baton (process "), "{ledger}");
    let (state, port, _) = findings.check("port");
    assert!(state == "ok" && port.contains("in use by baton (process "), "{port}");
    assert!(findings.check("baton").1.contains("the endpoint is the same version"));
    assert!(findings.check("clock").1.contains("within 2 s"));
    assert!(findings.check("endpoint").1.contains("1 of 1 worker-agents answer"));

    server.kill().unwrap();
    let findings = until("the port to be free", || {
        let findings = Findings::of(&args);
        (findings.check("port").0 == "ok").then_some(findings)
    });
    let (state, ledger, _) = findings.check("ledger");
    assert_eq!(state, "ok", "{ledger}");
    // It was asked for, and is gone.
    assert_eq!((findings.check("endpoint").0, findings.1), ("failed", Some(1)));

    fs::write(folder.path().join("ledger.redb"), "no ledger").unwrap();
    let findings = Findings::of(&args[..5]);
    let (state, _, advice) = findings.check("ledger");
    assert_eq!((state, advice), ("failed", "see `baton explain ledger_unusable`"));
}

/// A provider that refuses every key.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _request = stream.read(&mut [0; 4096]);
            let body = r#"{"error": {"message": "incorrect API key", "code": "invalid_api_key"}}"#;
            let _gone = write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn doctor_tries_every_key_with_a_call() {
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let config = Config::new(&[
        config::provider("good", &sim.url()),
        config::provider("refusing", &refusing()),
        config::provider("away", "http://127.0.0.1:1"),
        config::policy("good"),
        config::agent("a", "good", "sim-swift"),
        config::agent("b", "refusing", "sim-swift"),
        config::agent("c", "away", "sim-swift"),
    ]);
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let file = config.path();
    let args = ["--config", file.to_str().unwrap(), "--listen", &address, "--data"];
    let args = [&args[..], &[folder.path().to_str().unwrap()]].concat();
    let findings = Findings::of(&args);
    let (state, found, _) = findings.check("provider good");
    assert!(state == "ok" && found.contains("answers in") && found.contains('$'), "{found}");
    assert!(findings.0["usd"].as_f64().unwrap() > 0.0);
    let (state, found, advice) = findings.check("provider refusing");
    assert!(state == "failed" && found.contains("401"), "{found}");
    assert_eq!(advice, "see `baton explain auth`");
    assert_eq!(findings.check("provider away").2, "see `baton explain connect`");
    // Of the providers that answer, the first one that tells a date is months behind.
    let (state, found, _) = findings.check("clock");
    assert!(state == "ok" || found.contains("ahead of"), "{found}");
    assert_eq!(findings.1, Some(1));

    let untried = Findings::of(&[&args[..], &["--no-calls"]].concat());
    assert!(untried.check("provider refusing").1.contains("not tried"));
    assert_eq!(untried.0["usd"], 0.0);

    fs::write(&file, "[providers.good]\nbase_url = 7\n").unwrap();
    let wrong = Findings::of(&args);
    let (state, found, _) = wrong.check("configuration");
    assert!(state == "failed" && found.contains("baton.toml:2:"), "{found}");
}

#[test]
fn every_code_is_explained() {
    let list = baton(&["explain", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let all = list["data"].as_array().unwrap();
    assert!(all.len() > 90);
    let text = baton(&["explain"]).stdout;
    for entry in all {
        assert!(text.contains(entry["code"].as_str().unwrap()));
    }
    let page = baton(&["explain", "queue_full"]);
    assert!(page.code == Some(0) && page.stdout.starts_with("queue_full\n"), "{page:?}");
    assert!(page.stdout.contains("What to do"));
    assert!(baton(&["explain", "3"]).stdout.starts_with("exit_no_answer"));
    let unknown = baton(&["explain", "queue_ful"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("did you mean queue_full?"), "{unknown:?}");
}

#[test]
fn messages_name_the_page_that_explains_them() {
    let away = baton(&["runs", "list", "--endpoint", "http://127.0.0.1:1"]);
    assert!(away.stderr.ends_with("see `baton explain endpoint_unreachable`\n"), "{away:?}");
    let server = Baton::up_anew(&["--simulated"]).unwrap();
    let none = baton(&["runs", "get", "run_1", "--endpoint", &server.url()]);
    assert!(none.stderr.contains("see `baton explain run_not_found`"), "{none:?}");
    let held = baton(&["up", "--listen", &server.address().to_string(), "--simulated"]);
    assert!(held.stderr.contains("see `baton explain address_in_use`"), "{held:?}");
    let data = server.folder().unwrap().to_str().unwrap();
    let held = baton(&["up", "--listen", "127.0.0.1:0", "--simulated", "--data", data]);
    assert!(held.stderr.contains("see `baton explain ledger_unusable`"), "{held:?}");
}

fn shell(name: &str, script: &str) -> Option<Ended> {
    let there = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
    if !there.status.success() {
        return None;
    }
    let mut command = Command::new(name);
    command.args(["-c", script]);
    Some(ended(command, ""))
}

#[test]
fn bash_completes_what_baton_understands() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("baton.bash");
    let told = baton(&["completions", "bash"]);
    assert_eq!(told.code, Some(0));
    fs::write(&script, told.stdout).unwrap();
    let place = script.display();
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let ask = format!(
            "bash -n {place} && source {place} && COMP_WORDS=({words}) && COMP_CWORD={count} && \
             _baton baton \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{count}-1]}}\" && \
             echo \"${{COMPREPLY[@]}}\""
        );
        shell("bash", &ask)
    };
    let Some(commands) = complete("baton do") else { return };
    assert_eq!((commands.code, commands.stdout.trim()), (Some(0), "doctor"), "{commands:?}");
    let options = complete("baton top --in").unwrap();
    assert_eq!(options.stdout.trim(), "--interval", "{options:?}");
    let below = complete("baton runs c").unwrap();
    assert_eq!(below.stdout.trim(), "cancel", "{below:?}");
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let told = baton(&["completions", name]);
        assert_eq!(told.code, Some(0), "{name}");
        for word in ["doctor", "explain", "profile"] {
            assert!(told.stdout.contains(word), "{name} does not know {word}");
        }
        // Where the shell is there, it reads the script itself.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &told.stdout).unwrap();
        if ["zsh", "fish"].contains(&name)
            && let Some(read) = shell(name, &format!("{name} -n {}", file.path().display()))
        {
            assert_eq!(read.code, Some(0), "{read:?}");
        }
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    assert_eq!(baton(&["man", "--out", out.to_str().unwrap()]).code, Some(0));
    for name in ["baton", "baton-doctor", "baton-top", "baton-runs-cancel", "baton-profile-set"] {
        let file = out.join(format!("{name}.1"));
        let page = fs::read_to_string(&file).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH NAME"), "{name}");
        let script = format!("MANPAGER=cat MANWIDTH=100 man -l {} | cat", file.display());
        if let Some(read) = shell("man", "").and_then(|_| shell("bash", &script)) {
            assert!(read.stdout.contains("SYNOPSIS"), "{read:?}");
            assert_eq!(read.stderr, "", "{name}");
        }
    }
    let single = baton(&["man"]);
    assert_eq!(single.stdout, fs::read_to_string(out.join("baton.1")).unwrap());
}

/// The command with profiles in a folder of its own.
fn with_profiles(folder: &Path, args: &[&str]) -> Command {
    let mut command = command(args).unwrap();
    command.env("XDG_CONFIG_HOME", folder);
    command
}

#[test]
fn profiles_say_what_is_not_said_otherwise() {
    let server = Baton::up_anew(&["--simulated", "--sim-time-scale", "0"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |args: &[&str]| ended(with_profiles(folder.path(), args), "");
    let url = server.url();
    assert_eq!(
        at(&["profile", "set", "here", "--endpoint", &url, "--print", "json"]).code,
        Some(0)
    );
    let away = "http://127.0.0.1:1";
    assert_eq!(at(&["profile", "set", "away", "--endpoint", away]).code, Some(0));

    // By flag.
    let listed = at(&["runs", "list", "--profile", "here"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["object"], "list");
    // A flag goes before the profile, for the endpoint as for the form.
    assert_eq!(at(&["runs", "list", "--profile", "away", "--endpoint", &url]).code, Some(0));
    assert_eq!(at(&["runs", "list", "--profile", "here", "-o", "text"]).stdout, "");
    // The environment goes before the profile, a flag before the environment.
    let mut by_env = with_profiles(folder.path(), &["runs", "list", "--profile", "here"]);
    by_env.env("BATON_ENDPOINT", away);
    assert_eq!(ended(by_env, "").code, Some(1));
    let mut by_env = with_profiles(folder.path(), &["runs", "list", "--profile", "here"]);
    by_env.env("BATON_PROFILE", "away").env("BATON_OUTPUT", "text");
    let told = ended(by_env, "");
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), ""));
    // In use.
    assert_eq!(at(&["profile", "use", "here"]).code, Some(0));
    assert_eq!(at(&["runs", "list"]).code, Some(0));
    assert!(at(&["profile", "list"]).stdout.contains("* here"));
    assert_eq!(at(&["profile", "remove", "here"]).code, Some(0));
    assert!(!at(&["profile", "list"]).stdout.contains("here"));
    let gone = at(&["runs", "list", "--profile", "here"]);
    assert!(gone.code == Some(2) && gone.stderr.contains("there are away"), "{gone:?}");
}

#[test]
fn a_key_in_the_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("tenant-key");
    fs::write(&secret, "sk-owner").unwrap();
    let keys = format!("[[keys]]\ntenant = \"ann\"\nfile = {:?}\n", secret.to_str().unwrap());
    let config = Config::new(&[keys]);
    let server = Baton::up_anew(&["--config", config.path().to_str().unwrap()]).unwrap();
    let url = server.url();
    let set = ["profile", "set", "own", "--endpoint", &url, "--key-stdin"];
    assert_eq!(ended(with_profiles(folder.path(), &set), "sk-owner\n").code, Some(0));
    let file = folder.path().join("baton/profiles.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let list = || ended(with_profiles(folder.path(), &["runs", "list", "--profile", "own"]), "");
    assert_eq!(list().code, Some(0), "{:?}", list());
    let shown = ended(with_profiles(folder.path(), &["profile", "show", "own"]), "");
    assert!(shown.code == Some(0) && !shown.stdout.contains("sk-"), "{shown:?}");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = list();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("profiles.toml:3: profile own holds a key"), "{refused:?}");
    assert!(refused.stderr.contains("see `baton explain profile_invalid`"), "{refused:?}");
}
