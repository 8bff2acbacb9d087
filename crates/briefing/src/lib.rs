//! What whoever carries out a step is told: the bodies that its assignment names, read from
//! the ledger and put into a conversation.
//!
//! An agent's worker and a child run are told the same. Nothing is read that the assignment
//! does not name, and what others wrote is fenced and called data.

mod messages;

use baton_engine::WorkAssignment;
use baton_ledger::{Ledger, LedgerError};
use baton_workflow::{BodyRef, Conversation, StepId, TenantId, Tools, Words};
use messages::{Rejected, Seen, messages};

/// What a step that may have its plan replaced is told; the line it ends with then.
const ASK: &str = "If the plan cannot lead to the answer this way, end with a line `REPLAN: ` \
    and why.";
const REPLAN: &str = "REPLAN:";
/// Characters of the reason that are kept.
const WHY_CHARS_MAX: usize = 500;

/// Why a step's output says that the plan does not work, if its last line does.
pub fn asks_to_replan(output: &str) -> Option<String> {
    let why = output.trim_end().lines().next_back()?.trim().strip_prefix(REPLAN)?.trim();
    (!why.is_empty()).then(|| why.chars().take(WHY_CHARS_MAX).collect())
}

/// What a step is made of.
#[derive(Debug)]
pub struct Briefing {
    conversation: Conversation,
    seen: Vec<Seen>,
    rejected: Option<Rejected>,
    subtask: String,
    is_answer: bool,
}

/// Why a step cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The ledger did not give a text.
    #[error("cannot read {what}: {source}")]
    Body {
        /// Which.
        what: &'static str,
        /// Why.
        source: LedgerError,
    },
    /// A text is another than was stored.
    #[error("{what} is not what was stored: {reason}")]
    Content {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Briefing {
    /// Reads what an assignment names, and nothing else.
    pub async fn read(
        ledger: &dyn Ledger,
        tenant: &TenantId,
        work: &WorkAssignment,
    ) -> Result<Self, Unreadable> {
        let text = async |what, body: &BodyRef| {
            let bytes = ledger.body(tenant, body).await;
            let bytes = bytes.map_err(|source| Unreadable::Body { what, source })?;
            String::from_utf8(bytes.to_vec())
                .map_err(|error| Unreadable::Content { what, reason: error.to_string() })
        };
        let conversation =
            parse("the conversation", &text("the conversation", &work.request).await?)?;
        let words: Words = parse("the workflow", &text("the workflow", &work.workflow).await?)?;
        let step = |step: StepId| {
            words.steps.get(step.index()).ok_or_else(|| Unreadable::Content {
                what: "the workflow",
                reason: format!("it has no step {step}"),
            })
        };
        let mut seen = Vec::new();
        for (number, output) in &work.inputs {
            let earlier = step(*number)?;
            seen.push(Seen {
                step: *number,
                agent: earlier.agent.clone(),
                subtask: earlier.subtask.clone(),
                response: text("an earlier output", output).await?,
            });
        }
        let rejected = match &work.previous {
            None => None,
            Some(previous) => Some(Rejected {
                response: text("the last answer", &previous.output).await?,
                feedback: previous.feedback.clone(),
            }),
        };
        let mut subtask = step(work.step)?.subtask.clone();
        if work.may_ask {
            subtask.push_str("\n\n");
            subtask.push_str(ASK);
        }
        Ok(Self { conversation, seen, rejected, subtask, is_answer: work.is_answer })
    }

    /// The step as a conversation. What the user said of the answer, its tools, its form,
    /// its end and its length, is said to whoever writes the answer, and to nobody else.
    pub fn conversation(&self) -> Conversation {
        let Self { conversation, seen, rejected, subtask, is_answer } = self;
        let tools = if *is_answer { conversation.tools.clone() } else { Tools::default() };
        Conversation {
            messages: messages(conversation, !tools.is_empty(), seen, rejected.as_ref(), subtask),
            temperature: conversation.temperature,
            top_p: conversation.top_p,
            // Stop texts are about the answer, not about what the team says to itself.
            stop: if *is_answer { conversation.stop.clone() } else { Vec::new() },
            seed: conversation.seed,
            output_tokens_max: conversation.output_tokens_max.filter(|_| *is_answer),
            tools,
            form: conversation.form.clone().filter(|_| *is_answer),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text)
        .map_err(|error| Unreadable::Content { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::asks_to_replan;

    #[test]
    fn only_the_last_line_asks() {
        let asked = |text| asks_to_replan(text);
        assert_eq!(
            asked("It has no root.\nREPLAN: the sign is wrong\n").unwrap(),
            "the sign is wrong"
        );
        for text in ["", "REPLAN:", "REPLAN: so\nAnswer: 4", "as they say, REPLAN: x"] {
            assert_eq!(asked(text), None, "{text:?}");
        }
        assert_eq!(asked(&format!("REPLAN: {}", "x".repeat(900))).unwrap().len(), 500);
    }
}
