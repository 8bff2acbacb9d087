//! The prompt that asks a model for a plan, and the one that asks it again.
//!
//! What never changes comes first (rules, form, examples), then what changes with the
//! configuration (limits, agents), then what changes with the run (request, earlier
//! rounds): a provider that caches prefixes reads most of it from its cache. A later
//! round's prompt begins with the whole of the round's before it up to the last line.

mod examples;
mod fence;
mod rules;

use crate::Complaint;
use crate::write::write_access;
use baton_workflow::{AgentCard, Limits, Pool, Workflow};
use fence::{fence, head, tail};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Most characters shown of each earlier output, and of the feedback: enough to judge
/// it by, and a plan of many long outputs still leaves room for the request.
const EARLIER_CHARS_MAX: usize = 6_000;
/// Most characters shown of a reply that could not be read; its end, where the plan is.
const REPLY_CHARS_MAX: usize = 12_000;

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The system message: rules, form, examples, limits, agents.
    pub system: String,
    /// The user message: request and earlier rounds, all of it fenced.
    pub user: String,
}

/// The form in which the plan is asked for; [`read`](crate::read) takes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Three lists, the form of the published Conductor.
    #[default]
    Lists,
    /// A JSON object as in [`schema`](crate::schema), for models bound to a schema.
    Json,
}

/// What the Conductor is shown of the agents besides their numbers. A trained policy
/// does without names, which would bias it; an untrained one needs to know whom it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RenderOptions {
    /// The form of the plan.
    pub form: Form,
    /// Agents' ids.
    pub names: bool,
    /// What they are good at.
    pub strengths: bool,
    /// What they cost.
    pub prices: bool,
}

/// What came of one step of an earlier round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierOutput<'a> {
    /// It wrote this.
    Text(&'a str),
    /// It failed or was not run.
    Missing,
}

/// An earlier round, for the Conductor to build on.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    /// What was done.
    pub workflow: &'a Workflow,
    /// What came of each step, in their order.
    pub outputs: &'a [EarlierOutput<'a>],
    /// The answer that came of it all.
    pub answer: &'a str,
    /// What the verifier said of the answer; empty if nothing.
    pub feedback: &'a str,
}

/// The prompt for a plan of `task`, the user's request as text; `earlier` holds the
/// rounds before this one, oldest first. Every text that comes from users or models is
/// fenced as data, and what is left out of long outputs is marked.
pub fn render(
    task: &str,
    pool: &Pool,
    limits: &Limits,
    options: RenderOptions,
    earlier: &[Earlier<'_>],
) -> Prompt {
    let mut system = rules::unchanging(options.form);
    system.push_str(&rules::limits(limits));
    system.push_str("\n# Your agents\n\n");
    for (ordinal, agent) in pool.agents().iter().enumerate() {
        system.push_str(&agent_line(ordinal, agent, options));
    }
    let mut user = format!("# Request\n\n{}", fence("request", task));
    for (number, round) in (1..).zip(earlier) {
        user.push_str(&round_text(number, round, pool));
    }
    user.push_str(rules::ask(options.form, !earlier.is_empty()));
    Prompt { system, user }
}

/// The prompt that hands a `reply` back that [`read`](crate::read) could not take, with
/// everything that is wrong with it. It begins with the whole of `prompt`, which the
/// provider has in its cache.
pub fn repair(prompt: &Prompt, reply: &str, complaints: &[Complaint]) -> Prompt {
    let mut user = prompt.user.clone();
    let shown = fence("your reply", &tail(reply, REPLY_CHARS_MAX));
    user.push_str("\n\n# Your reply could not be used\n\n");
    user.push_str(&shown);
    user.push_str("\nWhat is wrong with it (entries are counted from 0):\n");
    let mut list = String::new();
    for complaint in complaints {
        let _ = writeln!(list, "- {complaint}");
    }
    // Complaints quote the reply, so they are as untrusted as it is.
    user.push_str(&fence("complaints", &list));
    user.push_str("\nWrite the whole plan again with all of this put right.");
    Prompt { system: prompt.system.clone(), user }
}

fn agent_line(ordinal: usize, agent: &AgentCard, options: RenderOptions) -> String {
    let mut line = format!("- Model {ordinal}");
    if options.names {
        let _ = write!(line, " ({})", agent.id);
    }
    if options.strengths && !agent.strengths.trim().is_empty() {
        // One agent, one line, whatever the configuration holds.
        let words: Vec<_> = agent.strengths.split_whitespace().collect();
        let _ = write!(line, ": {}", words.join(" "));
    }
    if options.prices {
        let price = agent.price;
        let per_million = |micro: u64| micro as f64 / 1e6;
        let (read, written) = (per_million(price.input), per_million(price.output));
        let _ = write!(line, "; ${read} per million tokens read, ${written} written");
    }
    line.push('\n');
    line
}

fn round_text(number: usize, round: &Earlier<'_>, pool: &Pool) -> String {
    let mut text = format!("\n# Round {number}\n");
    for (place, step) in round.workflow.steps().iter().enumerate() {
        let agent = match pool.ordinal(&step.agent) {
            Some(ordinal) => format!("Model {ordinal}"),
            None => "a model you no longer have".to_owned(),
        };
        let access = write_access(&step.access);
        let _ = write!(text, "\nStep {place}, done by {agent}, which saw {access}:\n");
        text.push_str(&fence("subtask", &head(&step.subtask, EARLIER_CHARS_MAX)));
        match round.outputs.get(place) {
            Some(EarlierOutput::Text(output)) => {
                text.push_str(&fence("output", &head(output, EARLIER_CHARS_MAX)));
            }
            Some(EarlierOutput::Missing) | None => text.push_str("It has no output.\n"),
        }
    }
    text.push_str("\nThe answer of this round:\n");
    text.push_str(&fence("answer", &head(round.answer, EARLIER_CHARS_MAX)));
    if !round.feedback.trim().is_empty() {
        text.push_str("What was found when it was checked:\n");
        text.push_str(&fence("feedback", &head(round.feedback, EARLIER_CHARS_MAX)));
    }
    text
}

#[cfg(test)]
mod tests;
