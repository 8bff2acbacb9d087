//! How much is tried for an answer, by the request's `reasoning_effort`.

use baton_codes::ApiCode;
use baton_workflow::Limits;
use tonic::Status;

/// Rounds from which each effort counts on, unless the request says otherwise.
const HIGH_ROUNDS: u16 = 3;
const XHIGH_ROUNDS: u16 = 4;
const MAX_ROUNDS: u16 = 6;
/// Steps that the greatest efforts may plan at least.
const WIDE_STEPS: u16 = 8;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// One step, one round, no check that the request does not ask for, no recursion.
    Low,
    /// What is configured.
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The gateway has checked the name.
    pub(crate) fn new(name: Option<&str>) -> Result<Self, Status> {
        match name {
            Some("none" | "minimal" | "low") => Ok(Self::Low),
            None | Some("medium") => Ok(Self::Medium),
            Some("high") => Ok(Self::High),
            Some("xhigh") => Ok(Self::XHigh),
            Some("max") => Ok(Self::Max),
            Some(other) => {
                let message = format!("there is no effort {other:?}");
                Err(crate::ask::invalid(ApiCode::InvalidValue, "reasoning_effort", message))
            }
        }
    }

    /// Bounds on plans: `configured` with this effort.
    pub(crate) fn limits(self, configured: Limits) -> Limits {
        let Limits { steps_max, rounds_max, .. } = configured;
        let (steps_max, rounds_max) = match self {
            Self::Low => (1, 1),
            Self::Medium => (steps_max, rounds_max),
            Self::High => (steps_max, rounds_max.max(HIGH_ROUNDS)),
            Self::XHigh => (steps_max.max(WIDE_STEPS), rounds_max.max(XHIGH_ROUNDS)),
            Self::Max => (steps_max.max(WIDE_STEPS), rounds_max.max(MAX_ROUNDS)),
        };
        Limits { steps_max, rounds_max, ..configured }
    }

    /// Whether the configured judge checks an answer whose request names no check; `unsaid`
    /// is what holds where the request says nothing of effort.
    pub(crate) fn judges(self, unsaid: bool) -> bool {
        match self {
            Self::Low => false,
            Self::Medium => unsaid,
            Self::High | Self::XHigh | Self::Max => true,
        }
    }

    /// Whether the policy looks at an answer that nothing decides on.
    pub(crate) fn reviews(self) -> bool {
        match self {
            Self::Low | Self::Medium | Self::High => false,
            Self::XHigh | Self::Max => true,
        }
    }

    /// Whether a step may be a check.
    pub(crate) fn verifies(self) -> bool {
        self != Self::Low
    }

    /// Whether a step may be a workflow of its own.
    pub(crate) fn recurses(self) -> bool {
        self != Self::Low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_effort_never_means_less() {
        let names = ["low", "medium", "high", "xhigh", "max"];
        let efforts = names.map(|name| Effort::new(Some(name)).unwrap());
        assert_eq!(Effort::new(None).unwrap(), Effort::Medium);
        assert!(Effort::new(Some("some")).is_err());
        let limits = efforts.map(|effort| effort.limits(Limits::default()));
        assert_eq!(limits[1], Limits::default());
        for pair in limits.windows(2) {
            assert!(pair[0].steps_max <= pair[1].steps_max, "{pair:?}");
            assert!(pair[0].rounds_max <= pair[1].rounds_max, "{pair:?}");
        }
        assert_eq!(efforts.map(|effort| effort.judges(false)), [false, false, true, true, true]);
        assert_eq!(efforts.map(Effort::reviews), [false, false, false, true, true]);
        assert!(!efforts[0].judges(true) && !efforts[0].recurses());
    }
}
