//! Turns in a report: calls of tools whose results are awaited, or have come.

use super::{Builder, document::TurnReport, words::AWAITING};
use crate::known::FoldError;
use baton_workflow::{BodyRef, Conversation, Message, Spend, StepId};

/// What had been consumed at the turn before, and at the present one.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) before: (Spend, Spend),
    pub(super) now: (Spend, Spend),
}

impl Builder<'_> {
    pub(super) fn begin_turn(&mut self, turn: u32, round: u16, step: StepId) {
        let (round, place) = (self.round(round), step.index());
        self.told = Told { before: self.told.now, now: (self.total, self.orchestration) };
        let Some(report) = self.rounds[round].steps.get_mut(place) else { return };
        report.status = AWAITING;
        if let Some(key) = &self.key {
            let ids = key.ids(self.tenant, self.id, turn, report.tool_calls.len());
            report.tool_calls.iter_mut().zip(ids).for_each(|(call, id)| call.id = id);
        }
        self.awaiting = Some((round, step));
    }

    /// What came of a turn; where nothing came, the step stays as it is.
    pub(super) async fn end_turn(&mut self, results: Option<&BodyRef>) -> Result<(), FoldError> {
        let Some((round, step)) = self.awaiting.take_if(|_| results.is_some()) else {
            return Ok(());
        };
        let results = match results {
            Some(results) => serde_json::from_str(&self.text(results).await?).unwrap_or_default(),
            None => Conversation::default(),
        };
        let Some(report) = self.rounds[round].steps.get_mut(step.index()) else { return Ok(()) };
        report.turns.push(TurnReport {
            output: report.output.take().filter(|text| !text.is_empty()),
            tool_calls: std::mem::take(&mut report.tool_calls),
            results: results.messages.iter().map(Message::plain).collect(),
        });
        report.status = "waiting";
        Ok(())
    }
}
