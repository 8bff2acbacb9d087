//! Child runs: the Conductor as an agent in plans, and what its runs begin with.

use crate::decide::{encode, kept};
use baton_briefing::{Briefing, Unreadable};
use baton_codes::FailureCode;
use baton_engine::{ChildAssignment, End, Event, Input, Reason, Status};
use baton_ledger::{BODY_BYTES_MAX, Body, Ledger, LedgerError, NewChild, NewTimer};
use baton_workflow::{Abilities, AgentCard, AgentId, Pool, Spend, TenantId};
use std::collections::BTreeSet;

/// What the policy is told of it.
const STRENGTHS: &str = "leads a team of its own: plans, delegates, combines; for a part of \
    the request that is too hard for one step, and worth several calls";

/// A pool with the Conductor itself behind all others, so that their numbers stay what
/// they are. Its calls are its team's; in bills of one call it counts as the dearest agent.
pub(crate) fn with_itself(pool: &Pool) -> Pool {
    let dearest = pool.agents().iter().map(|card| card.price).max_by_key(|price| price.output);
    let largest = |of: fn(&AgentCard) -> u32| pool.agents().iter().map(of).max().unwrap_or(0);
    let itself = AgentCard {
        id: AgentId::itself(),
        provider: AgentId::ITSELF.into(),
        model: AgentId::ITSELF.into(),
        strengths: STRENGTHS.into(),
        price: dearest.unwrap_or_default(),
        context_tokens: largest(|card| card.context_tokens),
        output_tokens: largest(|card| card.output_tokens),
        concurrency: 1,
        images: pool.agents().iter().any(|card| card.images),
        abilities: Abilities::default(),
        tags: BTreeSet::new(),
    };
    let agents = pool.agents().iter().cloned().chain([itself]).collect();
    // No agent of a configuration has its id.
    Pool::new(pool.version(), agents).unwrap_or_else(|_| pool.clone())
}

/// What a decision's child runs begin with.
#[derive(Default)]
pub(crate) struct Begun {
    pub(crate) children: Vec<NewChild>,
    pub(crate) bodies: Vec<Body>,
    /// Of those that cannot begin: their end, as their parent hears it.
    pub(crate) ended: Vec<Event>,
}

impl Begun {
    /// Reads what each is told, and makes its conversation and its journal's first entry of
    /// it. Its first decision is left to whoever leases it.
    pub(crate) async fn of(
        ledger: &dyn Ledger,
        tenant: &TenantId,
        assignments: &[(u32, ChildAssignment)],
    ) -> Result<Self, LedgerError> {
        let mut begun = Self::default();
        for (number, assignment) in assignments {
            let reason = match Briefing::read(ledger, tenant, &assignment.work).await {
                Ok(briefing) => {
                    let request = Body::new(encode(&briefing.conversation()));
                    if request.bytes.len() <= BODY_BYTES_MAX {
                        begun.child(*number, assignment, request);
                        continue;
                    }
                    let found = request.bytes.len();
                    format!("what it is told has {found} bytes: expected at most {BODY_BYTES_MAX}")
                }
                Err(Unreadable::Body { source: error @ LedgerError::Unavailable(_), .. }) => {
                    return Err(error);
                }
                Err(error) => error.to_string(),
            };
            begun.ended.push(cannot_begin(*number, assignment, reason));
        }
        Ok(begun)
    }

    fn child(&mut self, number: u32, assignment: &ChildAssignment, request: Body) {
        let spec = assignment.spec(request.name.clone());
        let after_ms = u64::from(spec.budget.seconds) * 1000;
        self.bodies.push(request);
        self.children.push(NewChild {
            number,
            events: vec![kept(&Event::Submitted { spec: Box::new(spec) })],
            tasks: Vec::new(),
            timers: vec![NewTimer { name: "deadline".into(), after_ms }],
        });
    }
}

fn cannot_begin(child: u32, assignment: &ChildAssignment, message: String) -> Event {
    let (step, failure) = (assignment.work.step, FailureCode::Unreadable.into());
    let end = End {
        status: Status::Failed,
        reason: Reason::StepFailed { step, failure, message },
        answer: None,
        spend: Spend::ZERO,
        rounds: 0,
    };
    Event::Heard { input: Input::ChildEnded { child, end: Box::new(end), spend: Spend::ZERO } }
}
