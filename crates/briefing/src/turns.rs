//! Turns: what an agent said when it called tools, and what they said.

use crate::{Unreadable, parse, text};
use baton_engine::Exchange;
use baton_ledger::Ledger;
use baton_workflow::{BodyRef, Conversation, Message, Role, TenantId, in_words};

/// What an agent said when it called tools.
pub async fn asking(
    ledger: &dyn Ledger,
    tenant: &TenantId,
    output: &BodyRef,
    calls: &BodyRef,
) -> Result<Message, Unreadable> {
    let said = text(ledger, tenant, "what was said with calls", output).await?;
    let calls = text(ledger, tenant, "calls of tools", calls).await?;
    let tool_calls = parse("calls of tools", &calls)?;
    Ok(Message { tool_calls, ..Message::text(Role::Assistant, said) })
}

/// A step's turns, as its provider expects to see them again.
#[derive(Debug, Default)]
pub struct Trajectory {
    /// For each turn the agent's message and its results.
    pub messages: Vec<Message>,
    /// What the client said with the last results, but for its messages: of the next answer's
    /// tools, form, length and end.
    pub latest: Option<Conversation>,
}

impl Trajectory {
    /// Reads the bodies of turns.
    pub async fn read(
        ledger: &dyn Ledger,
        tenant: &TenantId,
        turns: &[Exchange],
    ) -> Result<Self, Unreadable> {
        let mut read = Self::default();
        for Exchange { output, calls, results } in turns {
            read.messages.push(asking(ledger, tenant, output, calls).await?);
            let results = text(ledger, tenant, "results of tools", results).await?;
            let mut results: Conversation = parse("results of tools", &results)?;
            read.messages.append(&mut results.messages);
            read.latest = Some(results);
        }
        Ok(read)
    }

    /// The same in words, for whoever may see the step and does not carry it on.
    pub fn words(&self) -> String {
        let words: Vec<_> = in_words(&self.messages).iter().map(Message::plain).collect();
        words.join("\n")
    }
}
