//! What tests ask, and what they read off the runs that come of it.

use crate::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

/// Longest wait for a condition.
const LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A request with one question, and what else it says.
pub fn ask_of(model: &str, question: &str, more: Value) -> Value {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": question }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

/// A request with a question that every simulated model can read.
pub fn ask(model: &str, more: Value) -> Value {
    ask_of(model, "What is the value of (3 + 4) * 5?", more)
}

/// Looks until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited {LIMIT:?} for {what}");
        sleep(LOOK_AGAIN);
    }
}

/// A run's report.
pub fn report(client: &Client, run: &str) -> Value {
    let reply = client.get(&format!("/v1/runs/{run}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json
}

/// A run that goes on by itself.
pub fn begin(client: &Client, body: &Value) -> String {
    let mut body = body.clone();
    body["stream"] = true.into();
    body["baton"]["background"] = true.into();
    let stream = client.stream("/v1/chat/completions", &body);
    assert_eq!(stream.status, 200);
    stream.header("x-request-id").unwrap().to_owned()
}

/// The report of a run once it has ended.
pub fn end_of(client: &Client, run: &str) -> Value {
    until("the run to end", || Some(report(client, run)).filter(|run| run["status"] != "running"))
}

/// Waits until somebody holds a step of this run; gives the holder's address.
pub fn worker_of(client: &Client, run: &str) -> String {
    holder_of(client, run, "work")
}

/// The same of a task whose class begins so.
pub fn holder_of(client: &Client, run: &str, class: &str) -> String {
    let events = client.events(&format!("/v1/runs/{run}/events"));
    let leased = events.into_iter().find_map(|event| {
        let told = if event.name == "leased" { event.json() } else { Value::Null };
        let is_it = told["class"].as_str().is_some_and(|of| of.starts_with(class));
        is_it.then(|| told["holder"].as_str().unwrap().to_owned())
    });
    let holder = leased.unwrap();
    until("the holder to be known", || {
        let status = client.get("/v1/status?runs=0").json;
        let members = status["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["holder"] == holder.as_str())?;
        Some(member["address"].as_str().unwrap().to_owned())
    })
}

/// The calls that a `baton sim` took.
pub fn calls(sim: &Client) -> Vec<Value> {
    match sim.get("/sim/calls").json {
        Value::String(lines) => lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
        // One line is an object.
        one => vec![one],
    }
}

/// The rounds of a report.
pub fn rounds(report: &Value) -> &[Value] {
    report["rounds"].as_array().unwrap()
}

/// What a part of a report says it consumed: tokens in, tokens out, calls, picodollars.
pub fn spent(part: &Value) -> [u64; 4] {
    let count = |name: &str| part[name].as_u64().unwrap_or_else(|| panic!("no {name}: {part}"));
    let usd = part["usd"].as_f64().unwrap_or_else(|| panic!("no usd: {part}"));
    [count("tokens_in"), count("tokens_out"), count("calls"), (usd * 1e12).round() as u64]
}

/// The journal of a run that has ended.
#[derive(Debug)]
pub struct Journal {
    /// Positions and entries, in the order in which they were told.
    pub entries: Vec<(u64, Value)>,
}

impl Journal {
    /// Reads it to its end, behind a position.
    pub fn read(client: &Client, run: &str, from: u64) -> Self {
        let events = client.events(&format!("/v1/runs/{run}/events?from={from}"));
        assert_eq!(events.status, 200, "{run}");
        let mut entries = Vec::new();
        for event in events {
            match event.name.as_str() {
                "entry" => {
                    let told = event.json();
                    let seq = told["seq"].as_u64().unwrap();
                    assert_eq!(event.id, seq.to_string());
                    entries.push((seq, told["entry"].clone()));
                }
                "end" => return Self { entries },
                "leased" | "expired" => {}
                other => panic!("event {other} of {run}: {event:?}"),
            }
        }
        panic!("the events of {run} broke off after {entries:?}");
    }

    /// What must hold of every journal; else what does not.
    pub fn fault(&self) -> Option<String> {
        let gap = (1..).zip(&self.entries).find(|(expected, (seq, _))| expected != seq);
        if let Some((expected, (seq, _))) = gap {
            return Some(format!("entry {seq} where {expected} was expected"));
        }
        let kind = |entry: &Value| entry["event"].as_str().unwrap_or("").to_owned();
        let ends = self.entries.iter().filter(|(_, entry)| kind(entry) == "ended").count();
        let last = self.entries.last().map(|(_, entry)| kind(entry)).unwrap_or_default();
        if ends != 1 || last != "ended" {
            return Some(format!("{ends} ends, and the last entry is {last:?}"));
        }
        let mut outcomes = BTreeMap::<u64, usize>::new();
        for (_, entry) in &self.entries {
            if let Some(task) = entry["input"]["task"].as_u64() {
                *outcomes.entry(task).or_default() += 1;
            }
        }
        let twice = outcomes.iter().find(|(_, count)| **count > 1);
        twice.map(|(task, count)| format!("{count} outcomes of task {task}"))
    }

    /// How many entries are of this kind.
    pub fn count(&self, event: &str) -> usize {
        self.entries.iter().filter(|(_, entry)| entry["event"] == event).count()
    }
}

/// What became of a process.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// Runs a command to its end, with this on its standard input.
pub fn ended(mut command: Command, input: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A process that does not read its input is no fault of the input's.
    spawn(move || drop(pipe.write_all(input.as_bytes())));
    let pid = child.id().to_string();
    let (done, wait) = channel();
    spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = wait.recv_timeout(LIMIT) else {
        Command::new("sh").args(["-c", "kill -9 \"$1\"", "kill", &pid]).status().unwrap();
        panic!("{command:?} has not ended within {LIMIT:?}");
    };
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code(), stdout, stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(u64, Value)], expected: Option<&str>) {
        let journal = Journal { entries: entries.to_vec() };
        assert_eq!(journal.fault().as_deref(), expected);
    }

    #[test]
    fn a_journal_that_must_not_be_is_seen() {
        let begun = json!({ "event": "submitted" });
        let heard = |task: u64| json!({ "event": "heard", "input": { "task": task } });
        let ended = json!({ "event": "ended" });
        let of = |entries: &[&Value]| -> Vec<_> {
            (1..).zip(entries.iter().map(|entry| (*entry).clone())).collect()
        };
        check(&of(&[&begun, &heard(0), &heard(1), &ended]), None);
        check(&of(&[&begun, &heard(0)]), Some("0 ends, and the last entry is \"heard\""));
        check(&of(&[&begun, &ended, &ended]), Some("2 ends, and the last entry is \"ended\""));
        check(&of(&[&begun, &ended, &heard(0)]), Some("1 ends, and the last entry is \"heard\""));
        check(&of(&[&begun, &heard(3), &heard(3), &ended]), Some("2 outcomes of task 3"));
        let gap = [(1, begun.clone()), (3, ended.clone())];
        check(&gap, Some("entry 3 where 2 was expected"));
        check(&[(2, begun)], Some("entry 2 where 1 was expected"));
        check(&[], Some("0 ends, and the last entry is \"\""));
    }
}
