//! Votes whose winner is known. "Right" is a vote that has one, and a pass of the wrong
//! candidate counts as a pass of what is wrong.

use crate::{Case, Draws, Kind};
use baton_checks::{Class, Report, majority as by_majority, weighted as by_weight};
use baton_workflow::VerdictKind;

/// The same answer, said in another way each time.
fn forms(answer: i64) -> [String; 6] {
    [
        format!("Answer: {answer}"),
        format!("\\boxed{{{answer}.0}}"),
        format!("so the final answer is {answer}."),
        format!("Answer: \\frac{{{}}}{{3}}", answer * 3),
        format!("Answer: x = {answer}"),
        format!("Answer: {}00\\%", answer),
    ]
}

/// Ballots, the answers behind them, and the draws' weights.
fn ballots(draws: &mut Draws, tricky: bool) -> (Vec<i64>, Vec<Class>) {
    let base = draws.int(10, 900);
    let count = draws.int(1, 9);
    let answers: Vec<i64> = (0..count).map(|_| base + draws.int(0, 2)).collect();
    let said = answers.iter().map(|answer| {
        let forms = forms(*answer);
        let form = if tricky { draws.pick(&forms) } else { &forms[0] };
        Class::of(form)
    });
    let said = said.collect();
    (answers, said)
}

fn case(answers: &[i64], weights: &[f64], report: &Report, tricky: bool) -> Case {
    let total = |answer: i64| -> f64 {
        let of = answers.iter().zip(weights).filter(|(a, _)| **a == answer);
        of.map(|(_, weight)| weight).sum()
    };
    let most = answers.iter().map(|answer| total(*answer)).fold(0.0, f64::max);
    let mut leaders: Vec<i64> =
        answers.iter().copied().filter(|answer| most - total(*answer) < 1e-6).collect();
    leaders.sort_unstable();
    leaders.dedup();
    let chosen = report.choice.map(|choice| answers[usize::from(choice)]);
    let has_winner = leaders.len() == 1;
    let right = has_winner && (chosen == Some(leaders[0]) || report.kind != VerdictKind::Pass);
    Case {
        what: format!("{answers:?} {weights:?}: {report:?}"),
        right,
        kind: if tricky { Kind::Tricky } else { Kind::Plain },
        verdict: report.kind,
    }
}

pub(crate) fn majority(draws: &mut Draws) -> Vec<Case> {
    let draw = |round: usize| {
        let tricky = round.is_multiple_of(2);
        let (answers, said) = ballots(draws, tricky);
        case(&answers, &vec![1.0; answers.len()], &by_majority(said), tricky)
    };
    (0..240).map(draw).collect()
}

pub(crate) fn weighted(draws: &mut Draws) -> Vec<Case> {
    let draw = |round: usize| {
        let tricky = round.is_multiple_of(2);
        let (answers, said) = ballots(draws, tricky);
        let weights: Vec<f64> = answers.iter().map(|_| draws.int(1, 10) as f64 / 10.0).collect();
        let report = by_weight(said, &weights);
        case(&answers, &weights, &report, tricky)
    };
    (0..240).map(draw).collect()
}
