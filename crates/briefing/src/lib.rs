//! What whoever carries out a step is told: the bodies that its assignment names, read from
//! the ledger and put into a conversation.
//!
//! An agent's worker and a child run are told the same. Nothing is read that the assignment
//! does not name, and what others wrote is fenced and called data.

mod messages;
mod turns;

use baton_engine::WorkAssignment;
use baton_ledger::{Ledger, LedgerError, persist};
use baton_workflow::{BodyRef, Conversation, StepId, TenantId, Tools, Words, in_words};
use messages::{Rejected, Seen, messages};
use tokio_util::sync::CancellationToken;
pub use turns::{Trajectory, asking};

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
    turns: Trajectory,
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

/// Reads again while the ledger is away, which says nothing about what is read; none where
/// `stop` was cancelled before it answered.
pub async fn patiently<T, F, R>(
    stop: &CancellationToken,
    mut read: F,
) -> Option<Result<T, Unreadable>>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, Unreadable>>,
{
    let answered = persist(stop, || {
        let reading = read();
        async {
            match reading.await {
                Err(Unreadable::Body { source: away @ LedgerError::Unavailable(_), .. }) => {
                    Err(away)
                }
                read => Ok(read),
            }
        }
    });
    answered.await.ok()
}

impl Briefing {
    /// Reads what an assignment names, and nothing else.
    pub async fn read(
        ledger: &dyn Ledger,
        tenant: &TenantId,
        work: &WorkAssignment,
    ) -> Result<Self, Unreadable> {
        let text = async |what, body: &BodyRef| text(ledger, tenant, what, body).await;
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
            let turns = work.seen_turns.iter().filter(|(step, _)| step == number);
            let turns: Vec<_> = turns.map(|(_, turn)| turn.clone()).collect();
            seen.push(Seen {
                step: *number,
                agent: earlier.agent.clone(),
                subtask: earlier.subtask.clone(),
                tools: Trajectory::read(ledger, tenant, &turns).await?.words(),
                response: text("an earlier output", output).await?,
            });
        }
        let rejected = match &work.previous {
            None => None,
            Some(previous) => Some(Rejected {
                tools: Trajectory::read(ledger, tenant, &previous.turns).await?.words(),
                response: text("the last answer", &previous.output).await?,
                feedback: previous.feedback.clone(),
                undecided: previous.undecided,
            }),
        };
        let mut subtask = step(work.step)?.subtask.clone();
        if work.may_ask {
            subtask.push_str("\n\n");
            subtask.push_str(ASK);
        }
        let turns = Trajectory::read(ledger, tenant, &work.turns).await?;
        Ok(Self { conversation, seen, rejected, turns, subtask, is_answer: work.is_answer })
    }

    /// The step as a conversation. What the user said of the answer, its tools, its form,
    /// its end and its length, is said to whoever writes the answer, and to nobody else; what
    /// the user said last of it holds.
    pub fn conversation(&self) -> Conversation {
        let Self { conversation, seen, rejected, turns, subtask, is_answer } = self;
        let latest = turns.latest.as_ref().unwrap_or(conversation);
        let tools = if *is_answer { latest.tools.clone() } else { Tools::default() };
        let with_tools = !tools.is_empty();
        let mut messages = messages(conversation, with_tools, seen, rejected.as_ref(), subtask);
        messages.extend(match with_tools {
            true => turns.messages.clone(),
            false => in_words(&turns.messages),
        });
        Conversation {
            messages,
            temperature: latest.temperature,
            top_p: latest.top_p,
            // Stop texts are about the answer, not about what the team says to itself.
            stop: if *is_answer { latest.stop.clone() } else { Vec::new() },
            seed: latest.seed,
            output_tokens_max: latest.output_tokens_max.filter(|_| *is_answer),
            tools,
            form: latest.form.clone().filter(|_| *is_answer),
        }
    }
}

/// A text that an assignment names. `what` it is, is for the error.
pub async fn text(
    ledger: &dyn Ledger,
    tenant: &TenantId,
    what: &'static str,
    body: &BodyRef,
) -> Result<String, Unreadable> {
    let bytes = ledger.body(tenant, body).await;
    let bytes = bytes.map_err(|source| Unreadable::Body { what, source })?;
    String::from_utf8(bytes.to_vec())
        .map_err(|error| Unreadable::Content { what, reason: error.to_string() })
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
