//! Every verifier on a labelled set that is generated here: right, wrong, and tricky. Prints
//! the table of docs/guides/verifiers.md:
//!
//! ```text
//! cargo test -p baton-checks --test labelled -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

mod formal;
mod math;
mod plain;
mod votes;

use baton_checks::{Public, probability};
use baton_workflow::VerdictKind;
use serde_json::Value;
use std::{fmt::Write, time::Instant};

/// Cases that a set has at least.
const CASES_MIN: usize = 200;

/// SplitMix64: one seed is one set.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    fn int(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.int(0, items.len() as i64 - 1) as usize]
    }

    /// A final answer as models mark it.
    fn marked(&mut self, answer: &str) -> String {
        match self.int(0, 4) {
            0 => format!("Let me think about it.\nAnswer: {answer}"),
            1 => format!("First 7, then 12.\n\n**Answer:** {answer}"),
            2 => format!("Therefore $\\boxed{{{answer}}}$"),
            3 => format!("It is not 3.\n\nThe final answer is ${answer}$."),
            _ => format!("Answer: 12\nwait, that is wrong.\nAnswer: {answer}"),
        }
    }
}

/// What a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// An equivalent form, a near miss, or a cheat.
    Tricky,
}

struct Case {
    what: String,
    right: bool,
    kind: Kind,
    verdict: VerdictKind,
}

impl Case {
    fn of(check: &Value, reply: String, right: bool, kind: Kind) -> Self {
        let public = Public::read(&check.to_string()).unwrap();
        let report = public.verify(&reply);
        Self { what: format!("{check} {reply:?}"), right, kind, verdict: report.kind }
    }
}

/// Makes a verifier's set.
type Generate = fn(&mut Draws) -> Vec<Case>;

#[derive(Default)]
struct Counts {
    pass: usize,
    fail: usize,
    abstain: usize,
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> Counts {
    let mut counts = Counts::default();
    for case in cases {
        match case.verdict {
            VerdictKind::Pass => counts.pass += 1,
            VerdictKind::Fail => counts.fail += 1,
            VerdictKind::Abstain | VerdictKind::Unavailable => counts.abstain += 1,
        }
    }
    counts
}

fn part(of: usize, all: usize) -> String {
    if all == 0 { "-".into() } else { format!("{:.3}", of as f64 / all as f64) }
}

#[test]
fn no_verifier_passes_what_is_wrong() {
    let sets: [(&str, Generate); 9] = [
        ("math.answer", math::cases),
        ("choice.letter", plain::letters),
        ("json.schema", formal::json),
        ("text.exact", plain::exact),
        ("text.regex", plain::patterns),
        ("text.numeric", plain::numeric),
        ("expression.check", formal::expressions),
        ("vote.majority", votes::majority),
        ("vote.weighted", votes::weighted),
    ];
    let mut table = String::from(
        "| verifier | cases (tricky) | right: pass | abstain | fail | wrong: fail | abstain | pass | precision of pass | recall of pass | precision of fail |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut faults = Vec::new();
    let began = Instant::now();
    for (name, generate) in sets {
        let cases = generate(&mut Draws(5));
        let tricky = cases.iter().filter(|case| case.kind == Kind::Tricky).count();
        assert!(cases.len() >= CASES_MIN, "{name} has only {} cases", cases.len());
        assert!(tricky >= cases.len() / 5, "{name} has only {tricky} tricky cases");
        let right = counts(cases.iter().filter(|case| case.right));
        let wrong = counts(cases.iter().filter(|case| !case.right));
        let all_right = right.pass + right.abstain + right.fail;
        writeln!(
            table,
            "| `{name}` | {} ({tricky}) | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cases.len(),
            right.pass,
            right.abstain,
            right.fail,
            wrong.fail,
            wrong.abstain,
            wrong.pass,
            part(right.pass, right.pass + wrong.pass),
            part(right.pass, all_right),
            part(wrong.fail, wrong.fail + right.fail),
        )
        .unwrap();
        // What reports say of themselves is what this set shows.
        let measured = |kind, of: usize, wrong: usize| {
            let said = probability(&format!("{name}/1"), kind);
            let laplace = (of as f64 + 1.0) / ((of + wrong) as f64 + 2.0);
            assert_eq!(said, (!name.starts_with("vote.")).then_some(laplace), "{name} {kind:?}");
        };
        measured(VerdictKind::Pass, right.pass, wrong.pass);
        measured(VerdictKind::Fail, right.fail, wrong.fail);
        let is_false = |case: &&Case| match case.verdict {
            VerdictKind::Pass => !case.right,
            VerdictKind::Fail => case.right,
            VerdictKind::Abstain | VerdictKind::Unavailable => false,
        };
        faults.extend(cases.iter().filter(is_false).map(|case| format!("{name}: {}", case.what)));
        let recall = right.pass as f64 / all_right as f64;
        if recall < 0.9 {
            faults.push(format!("{name} passes only {recall:.3} of what is right"));
        }
    }
    let guide = include_str!("../../../../docs/guides/verifiers.md");
    if !guide.contains(&table) {
        faults.push("docs/guides/verifiers.md must have the table above".into());
    }
    println!("{table}\nin {} ms", began.elapsed().as_millis());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
