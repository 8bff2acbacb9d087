//! Checks that no model is asked for: what the crate `checks` can tell.

use crate::verify::{Candidate, Checked};
use baton_checks::{Check as Stated, Public, SpecError};
use baton_workflow::Verdict;

/// What can be told of a candidate by looking at it.
pub(crate) fn look_at(check: Stated, candidate: &Candidate) -> Result<Checked, SpecError> {
    let verdict = Verdict::from(Public::of(check)?.verify(&candidate.text));
    // Names of calls are no part of what they say, and stand in their text.
    let class = if candidate.calls { Some(candidate.class().key()) } else { verdict.class };
    Ok(Verdict { class, ..verdict }.into())
}
