//! Where the spans of a run stand in their trace: ids that are worked out, not drawn.

use super::origin::Origin;
use crate::TraceParent;
use baton_workflow::{RunId, StepId};

/// Where a run's work belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The run at the top of its tree.
    pub root: &'a RunId,
    /// As the root was submitted with it: an [`Origin`].
    pub traceparent: Option<&'a str>,
}

/// A span of a run that other spans name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanKey {
    /// The run itself.
    Run,
    /// The planning of a round.
    Plan {
        /// From 0.
        round: u16,
    },
    /// The attempt that carried a step out.
    Step {
        /// From 0.
        round: u16,
        /// Which step.
        step: StepId,
    },
    /// The attempt that carried a step on after so many turns of tools.
    Turn {
        /// From 0.
        round: u16,
        /// Which step.
        step: StepId,
        /// From 1.
        turn: u16,
    },
    /// An agent's failing at a step, so that another one was asked.
    Try {
        /// From 0.
        round: u16,
        /// Which step.
        step: StepId,
        /// Turns of tools before.
        turn: u16,
        /// Agents that had failed before this one, since the last turn.
        before: u16,
    },
    /// A vote, or a check of the answer.
    Verify {
        /// From 0.
        round: u16,
        /// Whether it is the vote.
        vote: bool,
    },
    /// An attempt at a task whose holder lost it.
    Lost {
        /// The task's number.
        task: u32,
        /// From 1.
        attempt: u32,
    },
}

impl SpanKey {
    /// The span's id within its run: the same in every process. Half of the 128 bits that
    /// ids of this kind have elsewhere, as the wire has it: within one trace enough.
    pub(crate) fn id(self, run: &RunId) -> u64 {
        let key = match self {
            Self::Run => "run".to_owned(),
            Self::Plan { round } => format!("plan/{round}"),
            Self::Step { round, step } => format!("step/{round}/{step}"),
            Self::Turn { round, step, turn } => format!("turn/{round}/{step}/{turn}"),
            Self::Try { round, step, turn: 0, before } => format!("try/{round}/{step}/{before}"),
            Self::Try { round, step, turn, before } => {
                format!("try/{round}/{step}/{before}/{turn}")
            }
            Self::Verify { round, vote: true } => format!("vote/{round}"),
            Self::Verify { round, vote: false } => format!("check/{round}"),
            Self::Lost { task, attempt } => format!("lost/{task}/{attempt}"),
        };
        let hash = blake3::hash(format!("baton.span/1 {run} {key}").as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hash.as_bytes()[..8]);
        // Zero is no id.
        u64::from_be_bytes(id).max(1)
    }
}

impl Place<'_> {
    /// The caller's trace, with the span that the root run belongs under; where none came
    /// with the run, one that every process works out alike, under no span.
    pub(crate) fn trace(&self) -> (u128, Option<TraceParent>) {
        let given = self.origin().map(|origin| origin.trace);
        let derived = || {
            let hash = blake3::hash(format!("baton.trace/1 {}", self.root).as_bytes());
            let mut id = [0; 16];
            id.copy_from_slice(&hash.as_bytes()[..16]);
            u128::from_be_bytes(id).max(1)
        };
        (given.map_or_else(derived, TraceParent::trace_id), given)
    }

    fn origin(&self) -> Option<Origin> {
        Origin::parse(self.traceparent?)
    }

    /// The span above the run's own: its parent's, or whatever asked for it; but what stands
    /// above that, where a gateway asked that `is_there` says is gone with its span.
    pub(crate) fn above(&self, is_there: impl FnOnce(&str) -> bool) -> Option<u64> {
        if self.run == self.root {
            let Origin { trace, above, edge } = self.origin()?;
            let told = edge.is_none_or(|edge| is_there(&edge));
            return if told { Some(trace.span_id()) } else { above };
        }
        let (parent, _number) = self.run.as_str().rsplit_once('-')?;
        RunId::new(parent).ok().map(|parent| SpanKey::Run.id(&parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn run(name: &str) -> RunId {
        RunId::new(name).unwrap()
    }

    #[test]
    fn keys_have_ids_of_their_own_that_never_change() {
        let id = run("run_1");
        let step = StepId(1);
        let keys = [
            SpanKey::Run,
            SpanKey::Plan { round: 1 },
            SpanKey::Plan { round: 2 },
            SpanKey::Step { round: 1, step },
            SpanKey::Turn { round: 1, step, turn: 1 },
            SpanKey::Try { round: 1, step, turn: 0, before: 0 },
            SpanKey::Try { round: 1, step, turn: 1, before: 0 },
            SpanKey::Verify { round: 1, vote: true },
            SpanKey::Verify { round: 1, vote: false },
            SpanKey::Lost { task: 1, attempt: 1 },
            SpanKey::Lost { task: 1, attempt: 2 },
        ];
        let ids: HashSet<_> = keys.iter().map(|key| key.id(&id)).collect();
        assert_eq!(ids.len(), keys.len());
        assert_ne!(SpanKey::Run.id(&id), SpanKey::Run.id(&run("run_2")));
        // Processes of different versions name each other's spans.
        assert_eq!(SpanKey::Run.id(&id), 0x41cb_a04f_ca01_7ba5);
    }

    #[test]
    fn a_run_is_under_whatever_asked_for_it() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (root, child) = (run("run_1"), run("run_1-3"));
        let place = |run, traceparent| Place { run, root: &root, traceparent };
        let given = place(&root, Some(header));
        assert_eq!(given.trace().0, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        let caller = 0x00f0_67aa_0ba9_02b7;
        assert_eq!(given.above(|_| false), Some(caller), "a caller is believed");
        let edge = format!("{header};above=0000000000000007;edge=gateway-1");
        let asked = place(&root, Some(&edge));
        assert_eq!(asked.above(|name| name == "gateway-1"), Some(caller));
        assert_eq!(asked.above(|_| false), Some(7), "a gateway that is gone tells no span");
        let edge = format!("{header};edge=gateway-1");
        assert_eq!(place(&root, Some(&edge)).above(|_| false), None);
        let below = place(&child, Some(header)).above(|_| true);
        assert_eq!(below, Some(SpanKey::Run.id(&root)));
        let alone = place(&root, None);
        assert_eq!(alone.above(|_| true), None);
        assert_eq!(alone.trace().0, place(&child, Some("nonsense")).trace().0);
    }
}
