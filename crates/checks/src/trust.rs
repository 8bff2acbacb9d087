//! How probable it is that a verdict is right, as the labelled sets have it.

use baton_workflow::VerdictKind;

/// What a verifier said of the answers of its labelled set, of which it got none wrong:
/// those that passed and were right, and those that failed and were wrong.
const MEASURED: [(&str, u32, u32); 7] = [
    ("math.answer/1", 738, 825),
    ("choice.letter/1", 119, 178),
    ("json.schema/1", 70, 182),
    ("text.exact/1", 120, 144),
    ("text.regex/1", 68, 170),
    ("text.numeric/1", 112, 112),
    ("expression.check/1", 81, 225),
];

/// How probable it is that an answer is right of which this verifier says so much, by
/// Laplace's rule of succession: (right + 1) / (all + 2). None where it cannot tell, or where
/// nothing was measured.
pub fn probability(verifier: &str, kind: VerdictKind) -> Option<f64> {
    let (_, passed, failed) = MEASURED.iter().find(|(name, ..)| *name == verifier)?;
    match kind {
        VerdictKind::Pass => Some((f64::from(*passed) + 1.0) / (f64::from(*passed) + 2.0)),
        VerdictKind::Fail => Some(1.0 / (f64::from(*failed) + 2.0)),
        VerdictKind::Abstain | VerdictKind::Unavailable => None,
    }
}
