//! `baton top` in a real terminal: its keys, its screen, and what it leaves behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::baton::{Baton, command};
use baton_tests::{Client, Screen, ask_of, begin, end_of, ended, report};
use serde_json::{Value, json};
use std::process::Command;

/// Slow enough that a run lasts longer than a test looks at it.
const SLOW: [&str; 3] = ["--simulated", "--sim-time-scale", "300"];
const FIRST: &str = "What is the value of (3 + 4) * 5?";
const SECOND: &str = "What is the value of (9 - 2) * 3?";

/// Two runs under way, one with each question, the second one newer.
fn two_runs(server: &Baton) -> (Client, String, String) {
    let client = Client::new(server.url());
    let run = |question| begin(&client, &ask_of("baton/direct", question, json!({})));
    let (first, second) = (run(FIRST), run(SECOND));
    (client, first, second)
}

#[test]
fn keys_choose_show_filter_sort_and_cancel() {
    let server = Baton::up_anew(&SLOW).unwrap();
    let (client, first, second) = two_runs(&server);
    let url = server.url();
    let mut screen = Screen::start(&["top", "--endpoint", &url]);
    let text = screen.until("both runs at work", |text| text.matches("working").count() == 2);
    assert!(screen.is_taken());
    for words in ["2 runs under way", "BUSY", "QUEUE", FIRST, SECOND, &first, &second, "0/1"] {
        assert!(text.contains(words), "{words:?} is missing:\n{text}");
    }
    // Somebody works at them, and the queue of that agent says so.
    assert!(text.contains("work/sim-"), "{text}");
    assert!(text.find(&second) < text.find(&first), "newest first:\n{text}");

    screen.press("s");
    let text = screen.until_shown("longest first");
    assert!(text.find(&first) < text.find(&second), "{text}");
    screen.press("/9 - 2");
    screen.until_shown("filter: 9 - 2");
    screen.press("\r");
    let text = screen.until_shown("[9 - 2]");
    assert!(text.contains(SECOND) && !text.contains(FIRST), "{text}");

    screen.press("\r");
    screen.until_shown("strategy:direct");
    assert!(!screen.text().contains("BUSY"));
    screen.press("q");
    screen.until_shown("BUSY");

    screen.press("c");
    screen.until_shown(&format!("cancel {second}? y / n"));
    screen.press("n");
    screen.until_shown("not cancelled");
    assert_eq!(report(&client, &second)["status"], "running");
    screen.press("cy");
    screen.until_shown(&format!("{second} is cancelled"));
    assert_eq!(end_of(&client, &second)["status"], "cancelled");
    screen.until("the end of the run", |text| text.contains("1 runs under way, 1 finished"));
    assert_eq!(report(&client, &first)["status"], "running");

    screen.press("q");
    assert_eq!(screen.ended(), 0);
    screen.until_given_back();
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let server = Baton::up_anew(&SLOW).unwrap();
    let url = server.url();
    let args = ["top", "--endpoint", &url];
    let mut interrupted = Screen::start(&args);
    interrupted.until_shown("q quit");
    interrupted.press("\u{3}");
    assert_eq!(interrupted.ended(), 0);
    interrupted.until_given_back();

    // What an orchestrator sends, and what a terminal that is closed does.
    for signal in ["TERM", "HUP"] {
        let mut stopped = Screen::start(&args);
        stopped.until_shown("q quit");
        let kill = format!("kill -{signal} {}", stopped.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(stopped.ended(), 130);
        stopped.until_given_back();
    }
}

#[test]
fn an_endpoint_that_goes_away_is_told_and_what_was_seen_stays() {
    let server = Baton::up_anew(&SLOW).unwrap();
    let url = server.url();
    let screen = Screen::start(&["top", "--endpoint", &url]);
    screen.until_shown("q quit");
    server.kill().unwrap();
    let text = screen.until_shown("does not answer");
    assert!(text.contains("sim-sage"), "{text}");
}

#[test]
fn without_a_terminal_it_prints_once() {
    let server = Baton::up_anew(&SLOW).unwrap();
    let (_, first, second) = two_runs(&server);
    let url = server.url();
    let told = ended(command(["top", "--endpoint", &url]).unwrap(), "");
    assert_eq!(told.code, Some(0), "{told:?}");
    for words in ["2 runs under way", "AGENT", first.as_str(), second.as_str(), SECOND] {
        assert!(told.stdout.contains(words), "{told:?}");
    }
    let told = ended(command(["top", "--endpoint", &url, "-o", "json"]).unwrap(), "");
    let status: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&status["object"], &status["everything"]), (&json!("baton.status"), &json!(true)));
    assert_eq!(status["runs"][0]["id"], second.as_str());
    assert_eq!(status["ledger"]["unfinished"], 2);

    let away = ended(command(["top", "--endpoint", "http://127.0.0.1:1"]).unwrap(), "");
    assert_eq!(away.code, Some(1), "{away:?}");
    assert!(away.stderr.contains("see `baton explain endpoint_unreachable`"), "{away:?}");
}
