//! What a workflow may cost, before anything is spent.

use crate::NotInPool;
use baton_workflow::{AgentCard, AgentId, Limits, Pool, Spend, Step, StepId, Workflow};
use serde::Serialize;

/// Tokens that fence and label one text inside a prompt, generously.
const WRAPPING_TOKENS: u64 = 64;
/// Tokens of an answer where nothing is known of it: about a page.
const TYPICAL_OUTPUT_TOKENS: u64 = 500;
/// Bytes of English prose that make a token.
const TYPICAL_BYTES_PER_TOKEN: u64 = 4;

/// What one step may consume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepEstimate {
    /// The step.
    pub step: StepId,
    /// Who does it.
    pub agent: AgentId,
    /// The most that one call can consume.
    pub at_most: Spend,
    /// What such a call consumes as a rule.
    pub typical: Spend,
}

/// What a workflow may consume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Step by step.
    pub steps: Vec<StepEstimate>,
    /// The sum of what the steps can consume.
    pub at_most: Spend,
    /// The sum of what they consume as a rule.
    pub typical: Spend,
}

/// What each step of `workflow` may consume on a request of `prompt_tokens`. Fails if
/// the pool lacks an agent.
///
/// A step reads the request, its own subtask, and for every step it sees that step's
/// subtask and output; each text comes in a wrapping of 64 tokens:
///
/// ```text
/// tokens_in(step)  = prompt + wrapping + subtask(step)
///                  + sum over seen steps s of (wrapping + subtask(s) + tokens_out(s))
/// tokens_out(step) = at most:  min(limits.output_tokens_max, agent.output_tokens)
///                    typical:  min(500, the above)
/// subtask(step)    = at most:  its bytes (no token is shorter than a byte)
///                    typical:  its bytes / 4, rounded up (English prose)
/// dollars(step)    = tokens_in * input price + tokens_out * output price
/// ```
///
/// A step of the verifier's asks a judge once for each candidate, who reads the request, the
/// subtask and that candidate; where its subtask is a check as JSON it asks nobody, and where
/// it is empty it may.
///
/// Each step is counted once: retries, failovers, the planning call, verification and
/// corrective rounds come on top. One model's tokens are taken for another's.
pub fn estimate(
    workflow: &Workflow,
    pool: &Pool,
    prompt_tokens: u64,
    limits: &Limits,
) -> Result<Estimate, NotInPool> {
    let mut sizes: Vec<Size> = Vec::new();
    let mut steps = Vec::new();
    for (place, step) in (0..).zip(workflow.steps()) {
        let card = pool.get(&step.agent).ok_or_else(|| NotInPool(step.agent.clone()))?;
        let size = Size::of(&step.subtask, card, limits);
        let id = StepId(place);
        let seen = step.access.visible(id);
        if step.agent.is_verifier() {
            let candidates = seen.iter().filter(|seen| {
                workflow.steps().get(seen.index()).is_some_and(|seen| !seen.agent.is_verifier())
            });
            let candidates = candidates.filter_map(|candidate| sizes.get(candidate.index()));
            steps.push(verifying(id, step, card, prompt_tokens, &size, candidates));
            sizes.push(size);
            continue;
        }
        let seen = seen.iter().filter_map(|earlier| sizes.get(earlier.index()));
        let (mut most_in, mut typical_in) = (prompt_tokens, prompt_tokens);
        most_in = most_in.saturating_add(WRAPPING_TOKENS + size.subtask_at_most);
        typical_in = typical_in.saturating_add(WRAPPING_TOKENS + size.subtask_typical);
        for earlier in seen {
            let most = earlier.subtask_at_most + earlier.output_at_most;
            let typical = earlier.subtask_typical + earlier.output_typical;
            most_in = most_in.saturating_add(WRAPPING_TOKENS + most);
            typical_in = typical_in.saturating_add(WRAPPING_TOKENS + typical);
        }
        steps.push(StepEstimate {
            step: id,
            agent: step.agent.clone(),
            at_most: spend(card, most_in, size.output_at_most),
            typical: spend(card, typical_in, size.output_typical),
        });
        sizes.push(size);
    }
    let at_most = steps.iter().map(|step| step.at_most).sum();
    let typical = steps.iter().map(|step| step.typical).sum();
    Ok(Estimate { steps, at_most, typical })
}

fn verifying<'a>(
    id: StepId,
    step: &Step,
    card: &AgentCard,
    prompt_tokens: u64,
    size: &Size,
    candidates: impl Iterator<Item = &'a Size>,
) -> StepEstimate {
    let (mut at_most, mut typical) = (Spend::ZERO, Spend::ZERO);
    let asks = !step.subtask.trim().starts_with('{');
    for candidate in candidates.filter(|_| asks) {
        let read = |subtask: u64, output: u64| {
            prompt_tokens.saturating_add(2 * WRAPPING_TOKENS).saturating_add(subtask + output)
        };
        let most_in = read(size.subtask_at_most, candidate.output_at_most);
        let typical_in = read(size.subtask_typical, candidate.output_typical);
        at_most = at_most.plus(spend(card, most_in, size.output_at_most));
        typical = typical.plus(spend(card, typical_in, size.output_typical));
    }
    StepEstimate { step: id, agent: step.agent.clone(), at_most, typical }
}

/// Tokens of one step's texts.
struct Size {
    subtask_at_most: u64,
    subtask_typical: u64,
    output_at_most: u64,
    output_typical: u64,
}

impl Size {
    fn of(subtask: &str, card: &AgentCard, limits: &Limits) -> Self {
        let bytes = subtask.len() as u64;
        let output_at_most = u64::from(limits.output_tokens_max.min(card.output_tokens));
        Self {
            subtask_at_most: bytes,
            subtask_typical: bytes.div_ceil(TYPICAL_BYTES_PER_TOKEN),
            output_at_most,
            output_typical: TYPICAL_OUTPUT_TOKENS.min(output_at_most),
        }
    }
}

fn spend(card: &AgentCard, tokens_in: u64, tokens_out: u64) -> Spend {
    Spend { usd: card.price.cost(tokens_in, tokens_out), tokens_in, tokens_out, calls: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use crate::testing::pool;
    use baton_workflow::{Access, Selection, Step};

    #[test]
    fn a_verifier_costs_a_judge_for_each_candidate_and_a_stated_check_nothing() {
        let small = pool(1);
        let judge = small.agents()[0].clone();
        let verifier = AgentCard { id: AgentId::verifier(), ..judge };
        let agents = pool(1).agents().iter().cloned().chain([verifier]).collect();
        let pool = Pool::new("v", agents).unwrap();
        let limits = Limits::default();
        let step = |agent: &str, subtask: &str, access| Step {
            agent: AgentId::new(agent).unwrap(),
            subtask: subtask.into(),
            access,
        };
        let spends = |subtask: &str| {
            let steps = vec![
                step("small", "12345678", Access::None),
                step("small", "12345678", Access::None),
                step("verifier", subtask, Access::All),
            ];
            let flow = Workflow::new(steps, Selection::Last, &pool, &limits).unwrap();
            estimate(&flow, &pool, 100, &limits).unwrap().steps[2].at_most
        };
        let judged = spends("1234");
        assert_eq!((judged.calls, judged.tokens_in), (2, 2 * (100 + 2 * 64 + 4 + 1000)));
        assert_eq!(spends(r#"{"type": "text.exact"}"#), Spend::ZERO);
    }

    fn check(access: Access, expected: [(u64, u64, u64, u64); 2]) {
        let step = |agent: &str, subtask: &str, access| Step {
            agent: AgentId::new(agent).unwrap(),
            subtask: subtask.into(),
            access,
        };
        let steps = vec![step("small", "12345678", Access::None), step("large", "1234", access)];
        let (pool, limits) = (pool(3), Limits::default());
        let flow = Workflow::new(steps, Selection::Last, &pool, &limits).unwrap();
        let estimate = estimate(&flow, &pool, 100, &limits).unwrap();
        let seen = estimate.steps.iter().map(|s| {
            let (most, typical) = (s.at_most, s.typical);
            (most.tokens_in, most.tokens_out, typical.tokens_in, typical.tokens_out)
        });
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        let sum: Spend = estimate.steps.iter().map(|step| step.at_most).sum();
        assert_eq!(estimate.at_most, sum);
        assert_eq!(estimate.at_most.calls, 2);
    }

    #[test]
    fn what_a_step_sees_it_pays_for() {
        let first = (100 + 64 + 8, 1000, 100 + 64 + 2, 500);
        let blind = (100 + 64 + 4, 1000, 100 + 64 + 1, 500);
        let seeing = (168 + 64 + 8 + 1000, 1000, 165 + 64 + 2 + 500, 500);
        check(Access::None, [first, blind]);
        check(Access::All, [first, seeing]);
    }

    #[test]
    fn dollars_follow_from_the_list_price() {
        let (pool, limits) = (pool(2), Limits::default());
        let flow = Strategy::Direct { agent: None }.workflow(&pool, &limits).unwrap();
        let step = &estimate(&flow, &pool, 1000, &limits).unwrap().steps[0];
        let price = pool.get(&step.agent).unwrap().price;
        assert_eq!(step.at_most.usd, price.cost(step.at_most.tokens_in, 1000));
        assert!(step.typical.usd < step.at_most.usd);
    }

    #[test]
    fn an_agent_that_is_gone_has_no_price() {
        let limits = Limits::default();
        let flow = Strategy::Direct { agent: None }.workflow(&pool(2), &limits).unwrap();
        let gone = estimate(&flow, &pool(1), 1, &limits).unwrap_err();
        assert_eq!(
            gone.to_string(),
            "agent large is not in the pool: expected a workflow that was planned for this pool"
        );
    }
}
