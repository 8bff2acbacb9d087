//! `baton bench engine`: events that are applied and decided in a second, on one core.

use super::{
    args::Rounds,
    figures::{Core, core},
    table::{Table, Target},
    team::{Steps, Team},
};
use crate::exit::Failure;
use baton_engine::{Event, Run};
use baton_ledger::JournalEntry;
use baton_workflow::Timestamp;
use std::hint::black_box;

/// Journals replayed in one round.
const REPLAYS: u32 = 20_000;
/// What is aimed at, in events a second.
const EVENTS_A_SECOND: f64 = 1_000_000.0;
/// The runs whose journals are replayed: one step, three one after the other, and as many.
const MODELS: [&str; 3] = ["baton/direct", "baton/plan_execute_verify", "baton/reflect"];

/// A run's journal, as it was written.
struct Journal(Vec<(Timestamp, Event)>);

pub(super) async fn engine(rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let team = std::sync::Arc::new(Team::start(folder.path(), Steps::Services)?);
    let mut journals = Vec::new();
    for model in MODELS {
        journals.push(Journal::of(&team.journal(model).await?)?);
    }
    team.stop().await;
    let mut figures: Vec<Vec<Core>> = MODELS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds.rounds {
        for (journal, figures) in journals.iter().zip(&mut figures) {
            journal.check()?;
            figures.push(core(REPLAYS, || {
                black_box(journal.replay());
            })?);
        }
    }
    let mut table = Table::new(format!(
        "Events applied and decided on one core, {REPLAYS} journals a round, {} rounds",
        rounds.rounds
    ));
    for ((model, journal), figures) in MODELS.iter().zip(&journals).zip(&figures) {
        let events = journal.0.len() as f64;
        let rate = figures.iter().map(|core| events / core.wall_us * 1e6).collect();
        let what = format!("`{model}`, {events} events");
        table.aimed(what, "a second", rate, Target::AtLeast(EVENTS_A_SECOND));
        let cpu = figures.iter().map(|core| core.cpu_us / events).collect();
        table.row(format!("`{model}`: CPU"), "us an event", cpu);
    }
    Ok(table)
}

impl Journal {
    fn of(entries: &[JournalEntry]) -> Result<Self, Failure> {
        let event = |entry: &JournalEntry| {
            let event = serde_json::from_slice(&entry.event);
            event.map(|event| (entry.at, event)).map_err(|e| Failure::other(e.to_string()))
        };
        entries.iter().map(event).collect::<Result<_, _>>().map(Self)
    }

    /// What the conductor did when it was written: applies what came in, decides, applies
    /// what was decided. The run as it ends, with the number of events.
    fn replay(&self) -> Option<(Run, usize)> {
        let mut rest = self.0.iter();
        let (at, first) = rest.next()?;
        let mut run = Run::begin(first, *at)?;
        let mut events = 1;
        loop {
            let now = rest.as_slice().first().map_or(*at, |(at, _)| *at);
            let decision = run.decide(now);
            decision.events.iter().for_each(|event| run.apply(event));
            events += decision.events.len();
            // They stand in the journal as well: what follows them came in.
            let heard = loop {
                match rest.next() {
                    None => return Some((run, events)),
                    Some((_, event @ Event::Heard { .. })) => break event,
                    Some(_) => {}
                }
            };
            run.apply(heard);
            events += 1;
        }
    }

    /// Decides as it was decided, or the figures mean nothing.
    fn check(&self) -> Result<(), Failure> {
        match self.replay() {
            Some((run, events)) if run.end().is_some() && events == self.0.len() => Ok(()),
            _ => Err(Failure::other("a journal is not decided again as it was")),
        }
    }
}
