//! What a run can still afford, before it is spent.

use crate::{AgentTerms, Run};
use baton_workflow::{Price, Resource, Spend};

/// Fewer tokens than this are no answer: a call is not worth making.
pub(crate) const OUTPUT_TOKENS_MIN: u32 = 32;
/// Tokens of a message's frame and of the instructions that surround what is quoted.
const FRAME_TOKENS: u64 = 512;
/// Tokens that one image can take at most with the usual tilings.
const IMAGE_TOKENS: u64 = 16_384;

/// Leave to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Tokens that may be written.
    pub(crate) output_tokens_max: u32,
    /// The most that the call can consume.
    pub(crate) bound: Spend,
}

/// The most tokens that reading so many bytes can cost: no tokenizer in use makes more
/// tokens than bytes.
pub(crate) fn tokens_in_max(bytes: u64, images: bool) -> u64 {
    let images = if images { IMAGE_TOKENS } else { 0 };
    bytes.saturating_add(FRAME_TOKENS).saturating_add(images)
}

impl Run {
    /// Leave for one call to `agent` that reads at most `tokens_in` tokens, when `calls`
    /// calls (this one included) have to share what is left. The answer's length is cut to
    /// what can be paid for; `Err` names what does not even hold a short one.
    pub(crate) fn afford(
        &self,
        agent: &AgentTerms,
        tokens_in: u64,
        calls: usize,
    ) -> Result<Grant, Resource> {
        self.grant(agent, tokens_in, calls, 1)
    }

    /// Leave for so many calls that read at most `tokens_in` tokens each, all of them to one
    /// of these agents: what the dearest takes.
    pub(crate) fn afford_any(
        &self,
        agents: &[AgentTerms],
        tokens_in: u64,
        calls: u16,
    ) -> Result<Grant, Resource> {
        let mut worst = Grant { output_tokens_max: u32::MAX, bound: Spend::ZERO };
        for agent in agents {
            let Grant { output_tokens_max, bound } =
                self.grant(agent, tokens_in, usize::from(calls), calls.into())?;
            worst.output_tokens_max = worst.output_tokens_max.min(output_tokens_max);
            worst.bound = worst.bound.or_more(bound);
        }
        Ok(worst)
    }

    /// Leave for so many calls, when `share` calls (these included) have to share what is
    /// left.
    fn grant(
        &self,
        agent: &AgentTerms,
        tokens_in: u64,
        share: usize,
        calls: u32,
    ) -> Result<Grant, Resource> {
        let budget = &self.spec.budget;
        let taken = self.spent.plus(self.reserved());
        let share = share.max(1) as u64;
        if taken.calls >= budget.calls {
            return Err(Resource::Calls);
        }
        let tokens_in = tokens_in.min(u64::from(agent.context_tokens));
        let by_agent = self.spec.limits.output_tokens_max.min(agent.output_tokens);

        let all_in = tokens_in.saturating_mul(calls.into());
        let tokens_left = budget.tokens.saturating_sub(taken.tokens()).saturating_sub(all_in);
        let by_tokens = tokens_left / share;

        let Price { output, .. } = agent.price;
        let usd_left = budget.usd.minus(taken.usd).minus(agent.price.cost(all_in, 0));
        // A free agent is bounded by nothing here.
        let by_usd = (usd_left.pico() / share).checked_div(output).unwrap_or(u64::MAX);

        let granted = u64::from(by_agent).min(by_tokens).min(by_usd);
        let floor = u64::from(OUTPUT_TOKENS_MIN.min(by_agent));
        if granted < floor || (granted == 0 && by_agent > 0) {
            return Err(if by_tokens < floor { Resource::Tokens } else { Resource::Usd });
        }
        let all_out = granted.saturating_mul(calls.into());
        let usd = agent.price.cost(all_in, all_out);
        let bound = Spend { usd, tokens_in: all_in, tokens_out: all_out, calls };
        if let Some(resource) = budget.exceeded_by(&taken.plus(bound)) {
            return Err(resource);
        }
        Ok(Grant { output_tokens_max: granted as u32, bound })
    }
}
