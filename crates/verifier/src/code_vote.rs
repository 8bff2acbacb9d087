//! Programs against each other: what they answer to the same inputs, where nobody knows what
//! is right.

use crate::{
    Verifier,
    code::{Trouble, happened, is_no_python, limits_of, name, no_program, patiently, stopped},
    verify::Matter,
    vote,
};
use baton_checks::{Class, CodeInputs, Program, shown};
use baton_sandbox::{
    Sandbox,
    compare::Comparator,
    judge::{Finding, Form, Skip, Suite, TestResult, answer},
};
use baton_workflow::{Verdict, VerdictKind};
use tokio_util::sync::CancellationToken;

const VERIFIER: &str = "code.generated_tests/1";
/// Inputs on which candidates disagree that are told.
const TOLD_MAX: usize = 3;

/// What a candidate answers to each input. It ends with the first that has no answer.
struct Behaviour {
    answers: Vec<String>,
    crash: Option<TestResult>,
}

impl Verifier {
    /// The candidates that do the same on all inputs are of one group, and the largest wins. A
    /// program that comes to no answer on some input never wins.
    pub(crate) async fn vote_of_programs(
        &self,
        check: &CodeInputs,
        matter: &Matter,
        stop: &CancellationToken,
    ) -> Verdict {
        let programs: Vec<_> = matter.all().map(|one| Program::of(&one.text)).collect();
        let vote = async {
            let sandbox = self.sandbox().await?;
            let mut behaviours = Vec::new();
            for program in &programs {
                behaviours.push(match program {
                    Some(program) => Some(behaviour(&sandbox, program, check).await?),
                    None => None,
                });
            }
            let isolation = Some(sandbox.isolation().level.name().to_owned());
            Ok::<_, Trouble>(Verdict { isolation, ..count(check, &behaviours) })
        };
        let verdict = match stop.run_until_cancelled(vote).await {
            Some(Ok(verdict)) => verdict,
            Some(Err(trouble)) => trouble.verdict(VERIFIER),
            None => stopped(VERIFIER),
        };
        // Whoever was not run may still be the answer: then what they say is counted.
        let said = || vote::among(matter.all(), &[]).choice;
        let choice = match verdict.kind {
            VerdictKind::Unavailable => said(),
            VerdictKind::Pass | VerdictKind::Fail | VerdictKind::Abstain => verdict.choice,
        };
        let verdict = Verdict { choice, ..verdict };
        let chosen = verdict.choice.and_then(|place| programs.get(usize::from(place))?.as_ref());
        Verdict { class: chosen.map(class), ..verdict }
    }

    /// What can be told of one program: that it comes to no answer on some input.
    pub(crate) async fn crashes(
        &self,
        check: &CodeInputs,
        text: &str,
        stop: &CancellationToken,
    ) -> Verdict {
        let Some(program) = Program::of(text) else { return no_program(VERIFIER) };
        let look = async {
            let sandbox = self.sandbox().await?;
            let behaviour = behaviour(&sandbox, &program, check).await?;
            let isolation = Some(sandbox.isolation().level.name().to_owned());
            Ok::<_, Trouble>(Verdict { isolation, ..alone(check, &program, &behaviour) })
        };
        let verdict = match stop.run_until_cancelled(look).await {
            Some(Ok(verdict)) => verdict,
            Some(Err(trouble)) => trouble.verdict(VERIFIER),
            None => stopped(VERIFIER),
        };
        Verdict { class: Some(class(&program)), ..verdict }
    }
}

fn class(program: &Program) -> String {
    Class::verbatim(program.source.trim()).key()
}

async fn behaviour(
    sandbox: &Sandbox,
    program: &Program,
    check: &CodeInputs,
) -> Result<Behaviour, Trouble> {
    let suite = Suite {
        form: check.function.clone().map_or(Form::Stdin, Form::Function),
        tests: Vec::new(),
        comparator: Comparator::Lcb,
        limits: limits_of(check.limits),
        imports: check.imports,
        skip: Skip::AfterAny,
    };
    let mut answers = Vec::new();
    for input in &check.inputs {
        let run = || answer(sandbox, &program.source, &suite, input);
        match patiently(run).await? {
            (Some(answer), _) => answers.push(answer),
            (None, crash) => return Ok(Behaviour { answers, crash: Some(crash) }),
        }
    }
    Ok(Behaviour { answers, crash: None })
}

fn alone(check: &CodeInputs, program: &Program, behaviour: &Behaviour) -> Verdict {
    let Some(crash) = &behaviour.crash else {
        let said = "the program answers to every input, and nobody says what is right";
        return Verdict::new(VERIFIER, VerdictKind::Abstain, "undecided").saying(said);
    };
    if !program.fenced && is_no_python(crash) {
        return no_program(VERIFIER);
    }
    let input = check.inputs.get(behaviour.answers.len()).map(String::as_str).unwrap_or_default();
    let happened = happened(check.limits, crash);
    let code = match crash.finding {
        // A value that is no JSON is no answer.
        Finding::WrongAnswer => name(Finding::RuntimeError),
        finding => name(finding),
    };
    let feedback = format!("the program has no answer to the input {}: {happened}", shown(input));
    Verdict::new(VERIFIER, VerdictKind::Fail, code).saying(feedback)
}

fn same(check: &CodeInputs, a: &str, b: &str) -> bool {
    match check.function {
        None => Comparator::Lcb.text(a, b).is_none(),
        // Nested too deep to be read, they are the same if they are written the same.
        Some(_) => Comparator::Lcb.value(a, b).map_or(a == b, |difference| difference.is_none()),
    }
}

/// Groups of candidates, the first of each at its beginning, the largest first.
fn groups(check: &CodeInputs, behaviours: &[Option<Behaviour>]) -> Vec<Vec<usize>> {
    let whole = |place: &usize| {
        behaviours.get(*place).and_then(Option::as_ref).filter(|one| one.crash.is_none())
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in 0..behaviours.len() {
        let Some(this) = whole(&place) else { continue };
        let agrees = |group: &&mut Vec<usize>| {
            let first = group.first().and_then(whole);
            first.is_some_and(|first| {
                first.answers.iter().zip(&this.answers).all(|(a, b)| same(check, a, b))
            })
        };
        match groups.iter_mut().find(agrees) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    // Sorting is stable: of two as large the earlier stays first.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn count(check: &CodeInputs, behaviours: &[Option<Behaviour>]) -> Verdict {
    let all = behaviours.len();
    let groups = groups(check, behaviours);
    let Some(first) = groups.first() else {
        let said = format!("none of {all} candidates has a program that answers to every input");
        return Verdict::new(VERIFIER, VerdictKind::Fail, "runtime_error").saying(said);
    };
    let size = first.len();
    let tie = groups.get(1).is_some_and(|second| second.len() == size);
    let crashed = all - groups.iter().map(Vec::len).sum::<usize>();
    let said = format!(
        "{size} of {all} candidates do the same on all inputs{}{}",
        if tie { ", and as many do something else" } else { "" },
        if crashed > 0 { format!("; {crashed} have no answer to some") } else { String::new() },
    );
    let verdict = match tie {
        true => Verdict::new(VERIFIER, VerdictKind::Abstain, "tie"),
        false => Verdict::new(VERIFIER, VerdictKind::Pass, "accepted"),
    };
    let choice = first.first().and_then(|place| u16::try_from(*place).ok());
    let score = Some(size as f64 / all as f64);
    let verdict = Verdict { choice, score, ..verdict.saying(said) };
    match disagreements(check, behaviours, &groups) {
        evidence if evidence.is_empty() => verdict,
        evidence => verdict.having_read(&evidence),
    }
}

/// The inputs that tell the groups apart, with what each group answers.
fn disagreements(
    check: &CodeInputs,
    behaviours: &[Option<Behaviour>],
    groups: &[Vec<usize>],
) -> String {
    let answer = |group: &Vec<usize>, input: usize| {
        behaviours.get(*group.first()?)?.as_ref()?.answers.get(input).cloned()
    };
    let told = check.inputs.iter().enumerate().filter_map(|(place, input)| {
        let answers: Vec<_> = groups.iter().filter_map(|group| answer(group, place)).collect();
        let (first, rest) = answers.split_first()?;
        if rest.iter().all(|other| same(check, first, other)) {
            return None;
        }
        let each = groups.iter().zip(&answers);
        let each =
            each.map(|(group, answer)| format!("{} of {}", shown(answer.trim()), group.len()));
        Some(format!("on {}: {}", shown(input), each.collect::<Vec<_>>().join(", ")))
    });
    told.take(TOLD_MAX).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(candidates: &[&[&str]], code: &str, choice: Option<u16>, said: &str) {
        let inputs = ["1", "2"].map(str::to_owned).into();
        let check = CodeInputs {
            inputs,
            function: Some("f".into()),
            limits: Default::default(),
            imports: false,
        };
        let crash = || TestResult {
            finding: Finding::RuntimeError,
            end: None,
            cpu: Default::default(),
            wall: Default::default(),
            peak_bytes: 0,
            difference: None,
            stderr_tail: String::new(),
        };
        let behaviours = candidates.iter().map(|answers| {
            let answers: Vec<_> = answers.iter().map(|answer| (*answer).to_owned()).collect();
            Some(Behaviour { crash: (answers.len() < 2).then(crash), answers })
        });
        let verdict = count(&check, &behaviours.collect::<Vec<_>>());
        assert_eq!((verdict.code.as_str(), verdict.choice), (code, choice), "{verdict:?}");
        assert_eq!(verdict.evidence.unwrap_or_default(), said, "{candidates:?}");
    }

    #[test]
    fn the_largest_group_of_one_behaviour_wins_and_crashes_never() {
        let apart = "on \"2\": \"4\" of 2, \"5\" of 1";
        check(&[&["2", "5"], &["2", "4"], &["2.0", "4"]], "accepted", Some(1), apart);
        check(&[&["2", "4"], &["2", "4"]], "accepted", Some(0), "");
        check(&[&["2"], &["2"], &["2", "4"]], "accepted", Some(2), "");
        let tie = "on \"1\": \"2\" of 1, \"3\" of 1";
        check(&[&["2", "4"], &["3", "4"], &[]], "tie", Some(0), tie);
        check(&[&["2"], &[]], "runtime_error", None, "");
    }
}
