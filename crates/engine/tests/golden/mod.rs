//! Journals as every released version wrote them, read back and replayed.
//!
//! A folder for each version; in it for each story the journal as it is kept, one event a
//! line, and what it comes to. They are never changed once their version is released.
//! Those of a version that is not released are written anew by
//! `BATON_GOLDEN=write cargo test -p baton-engine --test stories golden`.

use crate::telling::{agent, deep, input, policy, strategy};
use baton_engine::{Check, Event, Run, RunSpec, version};
use baton_workflow::Timestamp;
use std::{fs, path::PathBuf};

/// The folder of the version that is not released yet.
const PRESENT: &str = "0.1";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn checked(spec: RunSpec) -> RunSpec {
    RunSpec { check: Some(Check::Judge { model: agent("j", 100) }), ..spec }
}

/// What a journal comes to, in words that outlive the program's own types.
fn state(run: &Run) -> String {
    let mut lines = vec![
        format!("end {}", serde_json::to_string(&run.end()).unwrap()),
        format!("spent {}", serde_json::to_string(&run.spent()).unwrap()),
        format!("deadline {}", run.deadline().0),
    ];
    for round in 0..=run.current_round() {
        let steps = run.round(round).map_or(0, |(_, steps)| steps.len());
        let verdict = serde_json::to_string(&run.verdict(round)).unwrap();
        lines.push(format!("round {round} steps {steps} verdict {verdict}"));
    }
    lines.join("\n") + "\n"
}

fn replay(journal: &str) -> Run {
    let mut events = journal.lines().map(|line| version::read::<Event>(line.as_bytes()).unwrap());
    let mut run = Run::begin(&events.next().unwrap(), Timestamp(1000)).unwrap();
    events.for_each(|event| run.apply(&event));
    run
}

fn write(name: &str, spec: RunSpec, story: &str) {
    let first = Event::Submitted { spec: Box::new(spec) };
    let (mut now, mut events) = (Timestamp(1000), vec![first.clone()]);
    let mut run = Run::begin(&first, now).unwrap();
    let mut lines = story.split(", ");
    loop {
        for event in run.decide(now).events {
            run.apply(&event);
            events.push(event);
        }
        let Some(line) = lines.next() else { break };
        if let Some(input) = input(line, &mut now) {
            let heard = Event::Heard { input };
            run.apply(&heard);
            events.push(heard);
        }
    }
    assert!(run.end().is_some(), "{name} has no end");
    let kept = |event| String::from_utf8(version::write(event)).unwrap() + "\n";
    let folder = folder().join(PRESENT);
    fs::create_dir_all(&folder).unwrap();
    let journal: String = events.iter().map(kept).collect();
    fs::write(folder.join(format!("{name}.jsonl")), journal).unwrap();
    fs::write(folder.join(format!("{name}.state")), state(&run)).unwrap();
}

#[test]
fn journals_of_every_version_replay_to_the_same_state() {
    if std::env::var_os("BATON_GOLDEN").is_some_and(|value| value == "write") {
        write("direct", strategy("a"), "1 done");
        write("planned", policy("a"), "1 plan a b:0, 2 done, 3 done");
        write("repaired", policy("a"), "1 unreadable, 2 done");
        write("failed", strategy("a"), "1 fail, 2 fail, 3 fail");
        write("cancelled", strategy("a b"), "1 done, cancel");
        let recursed =
            "1 plan a baton:0 baton:0, 2 done, 3 ended failed, 4 ended completed, 5 done";
        write("recursed", deep(2), recursed);
        let amended = "1 plan a b c:0, 2 asks, 4 plan a=0 c:0, 3 done, 5 done";
        write("amended", policy("a"), amended);
        let awaited = RunSpec { awaits: true, ..strategy("a b:0") };
        write("awaited", awaited, "1 done, 2 calls, results 0, 3 calls, results 1, 4 done");
        let unanswered = RunSpec { awaits: true, ..strategy("a") };
        write("unanswered", unanswered, "1 calls, unanswered 0");
        let corrected = "1 plan a, 2 done, 3 reject, 4 plan b:, 5 done, 6 pass";
        write("corrected", checked(policy("a")), corrected);
    }
    let mut replayed = 0;
    for version in fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        if !version.file_type().unwrap().is_dir() {
            continue;
        }
        for file in fs::read_dir(version.path()).unwrap().map(Result::unwrap) {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let run = replay(&fs::read_to_string(&path).unwrap());
                let expected = fs::read_to_string(path.with_extension("state")).unwrap();
                assert_eq!(state(&run), expected, "{}", path.display());
                replayed += 1;
            }
        }
    }
    assert!(replayed >= 10, "the journals of released versions are gone");
}
