//! Histories as they must be, and each of the ways in which they must not.

use super::*;
use baton_workflow::{Budget, Spend, TenantId, Usd};

/// A run of a policy's call and two steps, as it is kept; each of the three costs 100 p$.
const JOURNAL: &str = include_str!("../../../../engine/tests/golden/0.1/planned.jsonl");
const RUN: &str = "run-1";
const COST: u64 = 100;

fn record(lines: &[String], spent: u64) -> Record {
    record_of(RUN, lines, spent)
}

fn record_of(run: &str, lines: &[String], spent: u64) -> Record {
    let entries = (1..).zip(lines).map(|(seq, line)| JournalEntry {
        seq,
        at: Timestamp(1000),
        event: line.clone().into(),
    });
    let entries: Vec<_> = entries.collect();
    let events: Vec<Event> =
        entries.iter().map(|entry| version::read(&entry.event).unwrap()).collect();
    let end = fold(&events, Timestamp(1000)).and_then(|run| run.end().cloned());
    let spent = Spend { usd: Usd::from_pico(spent), ..Spend::default() };
    let budget = Budget { usd: Usd::from_pico(1), tokens: 1, calls: 1, seconds: 1, depth: 0 };
    let view = RunView {
        tenant: TenantId::new("default").unwrap(),
        root: run.parse().unwrap(),
        submitted_at: Timestamp(1000),
        now: Timestamp(2000),
        entries: Vec::new(),
        journal_len: entries.len() as u64,
        mails: Vec::new(),
        cancelled: false,
        end: end.map(|end| serde_json::to_vec(&end).unwrap().into()),
        spent,
        budget,
        root_spent: spent,
        root_reserved: Spend::default(),
        label: baton_ledger::Bytes::new(),
        traceparent: None,
    };
    Record { entries, view }
}

fn lines() -> Vec<String> {
    let priced = |line: &str| {
        let free = "\"spend\":{\"usd\":0";
        let cost = if line.contains("\"ended\"") { 3 * COST } else { COST };
        line.replace(free, &format!("\"spend\":{{\"usd\":{cost}"))
    };
    JOURNAL.lines().map(priced).collect()
}

fn call(seq: u64, key: &str) -> Call {
    let (idempotency_key, outcome) = (Some(key.to_owned()), "done".to_owned());
    Call { seq, idempotency_key, outcome, usd: 100e-12 }
}

/// As it must be: one request, its run, its calls.
fn fine() -> Facts {
    let keys = ["run-1:1/0", "run-1:2", "run-1:3"];
    let request = Request { runs: [RUN.to_owned()].into(), refused: None };
    Facts {
        requests: [(0, request)].into(),
        runs: [(RUN.to_owned(), record(&lines(), 3 * COST))].into(),
        calls: (1..).zip(keys).map(|(seq, key)| call(seq, key)).collect(),
        faults: vec![Done::default()],
        kinds: BTreeSet::new(),
        left: Left::default(),
    }
}

/// The rules that are broken after a change, and in the first words.
fn check(change: impl FnOnce(&mut Facts), expected: &[Rule]) {
    let mut facts = fine();
    change(&mut facts);
    let found = judge(&facts);
    let rules: BTreeSet<_> = found.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, expected.iter().copied().collect(), "{found:#?}");
}

fn with_lines(facts: &mut Facts, change: impl FnOnce(&mut Vec<String>)) {
    let mut changed = lines();
    change(&mut changed);
    facts.runs.insert(RUN.into(), record(&changed, 3 * COST));
}

#[test]
fn what_must_be_is_not_complained_about() {
    check(|_| {}, &[]);
}

#[test]
fn an_acknowledged_run_that_is_lost_is_seen() {
    check(
        |facts| {
            facts.runs.clear();
            facts.calls.clear();
        },
        &[Rule::EndedOnce],
    );
}

#[test]
fn a_run_without_an_end_or_with_two_is_seen() {
    check(|facts| with_lines(facts, |lines| drop(lines.pop())), &[Rule::EndedOnce]);
    check(
        |facts| with_lines(facts, |lines| lines.push(lines.last().unwrap().clone())),
        &[Rule::EndedOnce],
    );
    let view = |facts: &mut Facts| facts.runs.get_mut(RUN).unwrap().view.end = None;
    check(view, &[Rule::EndedOnce, Rule::Replay]);
}

#[test]
fn a_request_with_two_runs_or_none_is_seen() {
    check(
        |facts| {
            let other = "run-2".to_owned();
            facts.requests.get_mut(&0).unwrap().runs.insert(other.clone());
            facts.runs.insert(other, record_of("run-2", &lines(), 3 * COST));
            facts.calls.extend([call(4, "run-2:1/0"), call(5, "run-2:2"), call(6, "run-2:3")]);
        },
        &[Rule::OneRun],
    );
    check(
        |facts| {
            facts.runs.insert("run-2".to_owned(), record_of("run-2", &lines(), 3 * COST));
            facts.calls.extend([call(4, "run-2:1/0"), call(5, "run-2:2"), call(6, "run-2:3")]);
        },
        &[Rule::OneRun],
    );
    check(|facts| drop(facts.requests.insert(1, Request::default())), &[Rule::Answered]);
    let refused = Request { refused: Some("400".into()), ..Request::default() };
    check(|facts| drop(facts.requests.insert(1, refused)), &[Rule::Answered]);
}

#[test]
fn a_run_below_another_is_nobodys_request() {
    check(
        |facts| {
            facts.runs.insert("run-1.4".to_owned(), record(&lines(), 3 * COST));
            let free = |seq, key| Call { usd: 0.0, ..call(seq, key) };
            facts.calls.extend([free(4, "run-1.4:2"), free(5, "run-1.4:3")]);
        },
        &[],
    );
}

#[test]
fn an_outcome_that_is_recorded_twice_is_seen() {
    // The second outcome costs as much again.
    check(
        |facts| with_lines(facts, |lines| lines.insert(5, lines[4].clone())),
        &[Rule::OneOutcome, Rule::Budget],
    );
}

#[test]
fn a_journal_with_a_gap_is_seen() {
    check(|facts| drop(facts.runs.get_mut(RUN).unwrap().entries.remove(3)), &[Rule::NoGap]);
    check(|facts| drop(facts.runs.get_mut(RUN).unwrap().entries.pop()), &[Rule::NoGap]);
}

#[test]
fn a_state_that_the_journal_does_not_give_is_seen() {
    check(|facts| facts.runs.get_mut(RUN).unwrap().view.end = Some("{}".into()), &[Rule::Replay]);
    check(
        |facts| facts.runs.get_mut(RUN).unwrap().entries[2].event = "{\"v\":1}".into(),
        &[Rule::Replay],
    );
}

#[test]
fn a_step_that_nobody_called_and_a_call_that_nobody_recorded_are_seen() {
    check(|facts| drop(facts.calls.remove(1)), &[Rule::Called, Rule::Budget]);
    check(|facts| facts.calls.push(call(4, "run-9:1")), &[Rule::Called]);
    check(|facts| facts.calls.push(Call { idempotency_key: None, ..call(4, "") }), &[Rule::Called]);
}

#[test]
fn calls_are_repeated_for_victims_alone() {
    let again = |facts: &mut Facts| {
        facts.calls.push(Call { outcome: "gone".into(), ..call(4, "run-1:2") });
    };
    check(again, &[Rule::Repeated]);
    check(
        |facts| {
            again(facts);
            facts.faults[0].held.insert("run-1:2".into());
        },
        &[],
    );
    check(
        |facts| {
            again(facts);
            facts.faults[0].held.insert("run-1:3".into());
        },
        &[Rule::Repeated],
    );
    // One victim is no excuse for two repetitions.
    check(
        |facts| {
            again(facts);
            again(facts);
            facts.faults[0].held.insert("run-1:2".into());
        },
        &[Rule::Repeated],
    );
}

#[test]
fn what_is_left_is_seen() {
    check(|facts| facts.left.leased = 1, &[Rule::NothingLeft]);
    check(|facts| facts.left.held.push("run-1:2".into()), &[Rule::NothingLeft]);
    check(|facts| facts.left.unreadable = Some("\"-1\"".into()), &[Rule::NothingLeft]);
}

#[test]
fn a_budget_that_is_no_sum_is_seen() {
    let spent = |pico| {
        move |facts: &mut Facts| {
            facts.runs.get_mut(RUN).unwrap().view.spent.usd = Usd::from_pico(pico);
        }
    };
    check(spent(3 * COST + 50), &[Rule::Budget]);
    check(spent(2 * COST), &[Rule::Budget]);
    check(|facts| facts.calls[0].usd = 400e-12, &[Rule::Budget]);
    // What nobody received in full may cost or not.
    check(|facts| facts.calls[0].outcome = "gone".into(), &[]);
    let reserved = Spend { usd: Usd::from_pico(1), ..Spend::default() };
    check(|facts| facts.runs.get_mut(RUN).unwrap().view.root_reserved = reserved, &[Rule::Budget]);
}

/// A run of one step that failed with every agent, for this reason, after faults of these
/// kinds.
fn failed(failure: &str, kinds: &[Kind], expected: &[Rule]) {
    const FAILED: &str = include_str!("../../../../engine/tests/golden/0.1/failed.jsonl");
    check(
        |facts| {
            let told = FAILED.replace("server_error", failure);
            let lines: Vec<_> = told.lines().map(str::to_owned).collect();
            facts.runs.insert(RUN.into(), record(&lines, 0));
            facts.calls = Vec::new();
            facts.kinds = kinds.iter().copied().collect();
        },
        expected,
    );
}

#[test]
fn a_run_that_failed_by_nothing_that_was_done_is_seen() {
    let all = [Kind::Kill, Kind::Stop, Kind::Redis, Kind::Etcd, Kind::Link];
    failed("connect", &[Kind::Link], &[]);
    failed("connect", &[Kind::Redis, Kind::Etcd, Kind::Kill], &[Rule::Failed]);
    failed("connect", &[], &[Rule::Failed]);
    failed("lost", &[Kind::Kill], &[]);
    failed("abandoned", &[Kind::Redis], &[]);
    // The ledger is waited for, and no fault takes an agent away.
    failed("unreadable", &all, &[Rule::Failed]);
    failed("agent_removed", &all, &[Rule::Failed]);
    failed("what nobody knows", &all, &[Rule::Failed]);
}
