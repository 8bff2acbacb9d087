//! Votes among candidates.

use crate::{Class, Code, Report};
use baton_workflow::VerdictKind;

const MAJORITY: &str = "vote.majority/1";
const WEIGHTED: &str = "vote.weighted/1";

/// The candidates of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they say.
    pub class: Class,
    /// The place of the first of them.
    pub first: usize,
    /// How many they are.
    pub votes: u32,
    /// What they weigh together.
    pub weight: f64,
}

/// How a vote stands: groups from the heaviest, those of one weight in the order in which
/// they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    groups: Vec<Group>,
}

impl Tally {
    /// Counts ballots, each with its weight.
    pub fn of(ballots: impl IntoIterator<Item = (Class, f64)>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (place, (class, weight)) in ballots.into_iter().enumerate() {
            match groups.iter_mut().find(|group| group.class == class) {
                Some(group) => {
                    group.votes += 1;
                    group.weight += weight;
                }
                None => groups.push(Group { class, first: place, votes: 1, weight }),
            }
        }
        // Sorting is stable: the earliest stays first.
        groups.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Self { groups }
    }

    /// The groups, the heaviest first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The leader's part of all weight, 0 to 1.
    pub fn share(&self) -> f64 {
        self.part_of_all(self.weight(0))
    }

    /// How far the leader is ahead of the next, as a part of all weight, 0 to 1.
    pub fn margin(&self) -> f64 {
        self.part_of_all(self.weight(0) - self.weight(1))
    }

    /// Whether another group has the leader's weight, up to the last digits of sums.
    pub fn is_tied(&self) -> bool {
        self.groups.len() > 1 && self.margin() < 1e-9
    }

    fn weight(&self, place: usize) -> f64 {
        self.groups.get(place).map_or(0.0, |group| group.weight)
    }

    fn part_of_all(&self, weight: f64) -> f64 {
        let all: f64 = self.groups.iter().map(|group| group.weight).sum();
        if all > 0.0 { weight / all } else { 0.0 }
    }
}

/// The largest class wins; none if two are as large. Even then the earliest of them is
/// named, for who needs an answer at any rate. The score is the leader's share.
pub fn majority(ballots: impl IntoIterator<Item = Class>) -> Report {
    outcome(MAJORITY, &Tally::of(ballots.into_iter().map(|class| (class, 1.0))))
}

/// The heaviest class wins. A weight is what its voter's word is worth, zero or more.
pub fn weighted(ballots: Vec<Class>, weights: &[f64]) -> Report {
    let sensible = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if ballots.len() != weights.len() || !weights.iter().all(sensible) {
        return Report::new(WEIGHTED, VerdictKind::Unavailable, Code::BadWeights).saying(format!(
            "{} weights for {} candidates: expected as many, each of 0 or more",
            weights.len(),
            ballots.len()
        ));
    }
    outcome(WEIGHTED, &Tally::of(ballots.into_iter().zip(weights.iter().copied())))
}

fn outcome(verifier: &str, tally: &Tally) -> Report {
    let [leader, rest @ ..] = tally.groups() else {
        return Report::abstain(verifier, Code::NoCandidate).saying("there is no candidate");
    };
    let all = leader.votes + rest.iter().map(|group| group.votes).sum::<u32>();
    let report = if tally.is_tied() {
        let feedback = format!(
            "a tie: {} of {all} candidates agree, and as many on another answer",
            leader.votes
        );
        Report::abstain(verifier, Code::Tie).saying(feedback)
    } else {
        let feedback = format!("{} of {all} candidates agree", leader.votes);
        Report::pass(verifier).saying(feedback)
    };
    let choice = u16::try_from(leader.first).ok();
    let class = Some(leader.class.clone());
    Report { choice, class, score: Some(tally.share()), ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(replies: &[&str]) -> Vec<Class> {
        replies.iter().map(|reply| Class::of(reply)).collect()
    }

    fn check(replies: &[&str], code: Code, choice: Option<u16>, share: Option<f64>) {
        let report = majority(classes(replies));
        assert_eq!(
            (report.code, report.choice, report.score),
            (code, choice, share),
            "{replies:?}"
        );
    }

    #[test]
    fn the_largest_class_wins_and_a_tie_is_none() {
        check(
            &["Answer: 5", "Answer: 7", "so\nAnswer: 7.0"],
            Code::Accepted,
            Some(1),
            Some(2.0 / 3.0),
        );
        check(
            &["Answer: 1/2", "\\boxed{0.5}", "Answer: 2"],
            Code::Accepted,
            Some(0),
            Some(2.0 / 3.0),
        );
        check(&["Paris", "answer: paris."], Code::Accepted, Some(0), Some(1.0));
        check(&["Answer: 5", "Answer: 7"], Code::Tie, Some(0), Some(0.5));
        check(&["3 apples", "3 pears"], Code::Tie, Some(0), Some(0.5));
        check(&["Paris"], Code::Accepted, Some(0), Some(1.0));
        check(&[], Code::NoCandidate, None, None);
        let won = majority(classes(&["Answer: 5", "Answer: 7", "Answer: 7.0"])).class;
        assert_eq!(won, Some(Class::of("7")));
        assert_eq!(majority(classes(&["a", "b"])).kind, VerdictKind::Abstain);
    }

    #[test]
    fn weights_decide() {
        let report = weighted(classes(&["a", "b", "b"]), &[3.0, 1.0, 1.0]);
        assert_eq!((report.choice, report.score), (Some(0), Some(0.6)));
        let report = weighted(classes(&["a", "b", "b"]), &[0.3, 0.1, 0.2]);
        assert_eq!(report.code, Code::Tie);
        assert_eq!(weighted(classes(&["a", "b"]), &[0.0, 0.0]).code, Code::Tie);
        for weights in [&[1.0][..], &[1.0, f64::NAN], &[1.0, -1.0]] {
            let report = weighted(classes(&["a", "b"]), weights);
            assert_eq!((report.kind, report.choice), (VerdictKind::Unavailable, None));
        }
    }

    #[test]
    fn the_margin_is_a_part_of_all_votes() {
        let margin =
            Tally::of(classes(&["a", "b", "a", "c"]).into_iter().map(|c| (c, 1.0))).margin();
        assert!((margin - 0.25).abs() < 1e-12);
    }
}
