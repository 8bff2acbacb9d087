//! Runs that were folded before, so that a decision reads only what is new.
//!
//! A journal is only ever appended to, so a fold of its beginning never goes stale; it
//! can merely be forgotten.

use crate::results;
use baton_codes::FailureCode;
use baton_engine::{
    End, Event, Input, Outcome, Reason, Reported, Run, Status,
    version::{self, VersionError},
};
use baton_ledger::{JournalEntry, Ledger, LedgerError, Mail, RunView};
use baton_workflow::{RunId, Spend, StepId, TenantId, Timestamp};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Folded runs kept; each is a few kilobytes.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The folds that are kept, and whose the runs are that were submitted here.
pub(crate) struct Known {
    folds: Mutex<LruCache<RunId, Kept>>,
    owners: Mutex<LruCache<RunId, TenantId>>,
}

/// What is kept of a run.
enum Kept {
    /// The entries that it was submitted with. When it began is the ledger's to say.
    Begun(Vec<Event>),
    Folded(Box<Fold>),
    /// All entries of one that has ended, for whoever asks what it did.
    Ended(Vec<Event>),
}

/// A run, folded up to a position of its journal.
#[derive(Clone)]
pub(crate) struct Fold {
    pub(crate) run: Run,
    /// The journal's entries so far.
    pub(crate) events: Vec<Event>,
}

impl Fold {
    fn begin(first: Event, submitted_at: Timestamp) -> Option<Self> {
        Some(Self { run: Run::begin(&first, submitted_at)?, events: vec![first] })
    }

    fn take(&mut self, event: Event) {
        self.run.apply(&event);
        self.events.push(event);
    }

    fn len(&self) -> u64 {
        self.events.len() as u64
    }
}

/// Why a journal could not be folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("entry {seq} of the journal of {run} cannot be read: {reason}")]
    Entry {
        run: RunId,
        seq: u64,
        reason: String,
        /// Another process may be of the version that wrote it.
        newer: bool,
    },
}

impl Default for Known {
    fn default() -> Self {
        let (folds, owners) = (LruCache::new(KNOWN_MAX), LruCache::new(KNOWN_MAX));
        Self { folds: Mutex::new(folds), owners: Mutex::new(owners) }
    }
}

impl Kept {
    fn fold(self, submitted_at: Timestamp) -> Option<Fold> {
        match self {
            Self::Folded(fold) => Some(*fold),
            Self::Begun(events) => {
                let mut events = events.into_iter();
                let mut fold = Fold::begin(events.next()?, submitted_at)?;
                events.for_each(|event| fold.take(event));
                Some(fold)
            }
            Self::Ended(_) => None,
        }
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, LruCache<RunId, Kept>> {
        // The map is whole between any two of its operations, whoever panicked.
        self.folds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose a run is, never to change.
    pub(crate) fn owned(&self, id: &RunId, tenant: TenantId) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.put(id.clone(), tenant);
    }

    /// Whose a run is, if it was submitted here not long ago.
    pub(crate) fn owner(&self, id: &RunId) -> Option<TenantId> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A run that is being submitted with these entries.
    pub(crate) fn begin(&self, id: &RunId, events: Vec<Event>) {
        self.lock().put(id.clone(), Kept::Begun(events));
    }

    pub(crate) fn keep(&self, id: &RunId, fold: Fold) {
        self.lock().put(id.clone(), Kept::Folded(Box::new(fold)));
    }

    /// A run whose end has been recorded, with all entries of its journal.
    pub(crate) fn ended(&self, id: &RunId, events: Vec<Event>) {
        self.lock().put(id.clone(), Kept::Ended(events));
    }

    /// All entries of a run that ended here not long ago, if they are so many. Given once:
    /// as a rule one asks, and then they need not be kept any longer.
    pub(crate) fn journal(&self, id: &RunId, len: u64) -> Option<Vec<Event>> {
        let mut folds = self.lock();
        match folds.peek(id)? {
            Kept::Ended(events) if events.len() as u64 == len => {}
            Kept::Ended(_) | Kept::Begun(_) | Kept::Folded(_) => return None,
        }
        match folds.pop(id)? {
            Kept::Ended(events) => Some(events),
            Kept::Begun(_) | Kept::Folded(_) => None,
        }
    }

    pub(crate) fn forget(&self, id: &RunId) {
        self.lock().pop(id);
    }

    /// The run as it was at a reading without entries, if its fold goes that far; else as
    /// it is now. The fold is the caller's from then on, to be kept again once it is further.
    pub(crate) async fn of(
        &self,
        ledger: &dyn Ledger,
        id: &RunId,
        reading: Option<&RunView>,
    ) -> Result<(Fold, RunView), FoldError> {
        let kept = self.lock().pop(id);
        if let (Some(kept), Some(view)) = (kept, reading)
            && let Some(fold) = kept.fold(view.submitted_at)
            && fold.len() == view.journal_len
        {
            return Ok((fold, view.clone()));
        }
        self.read(ledger, id).await
    }

    /// The run as it is now, with the ledger's view of it (whose entries are folded).
    pub(crate) async fn read(
        &self,
        ledger: &dyn Ledger,
        id: &RunId,
    ) -> Result<(Fold, RunView), FoldError> {
        let mut fold = match self.lock().get(id) {
            Some(Kept::Folded(fold)) => Some(Fold::clone(fold)),
            Some(Kept::Begun(_) | Kept::Ended(_)) | None => None,
        };
        loop {
            let view = ledger.read(id, fold.as_ref().map_or(0, Fold::len)).await?;
            for entry in &view.entries {
                fold = Some(folded(id, fold, entry)?);
            }
            match fold {
                Some(fold) if fold.len() >= view.journal_len => return Ok((fold, view)),
                Some(_) if view.entries.is_empty() => {
                    return Err(gap(id, view.journal_len, "the journal ends before its length"));
                }
                None => return Err(gap(id, 1, "the journal is empty")),
                Some(_) => {}
            }
        }
    }
}

fn gap(run: &RunId, seq: u64, reason: &str) -> FoldError {
    FoldError::Entry { run: run.clone(), seq, reason: reason.into(), newer: false }
}

/// What an entry says.
pub(crate) fn read(run: &RunId, entry: &JournalEntry) -> Result<Event, FoldError> {
    version::read(&entry.event).map_err(|error| FoldError::Entry {
        run: run.clone(),
        seq: entry.seq,
        reason: error.to_string(),
        newer: matches!(error, VersionError::Newer { .. }),
    })
}

fn folded(run: &RunId, fold: Option<Fold>, entry: &JournalEntry) -> Result<Fold, FoldError> {
    let event = read(run, entry)?;
    match fold {
        None => Fold::begin(event, entry.at)
            .ok_or_else(|| gap(run, entry.seq, "it does not begin a run")),
        Some(mut fold) => {
            fold.take(event);
            Ok(fold)
        }
    }
}

/// The end of a child run whose end cannot be read.
fn unreadable_end(error: &serde_json::Error) -> End {
    let message = format!("the child run's end cannot be read: {error}");
    let failure = FailureCode::Protocol.into();
    End {
        status: Status::Failed,
        reason: Reason::StepFailed { step: StepId(0), failure, message },
        answer: None,
        spend: Spend::ZERO,
        rounds: 0,
    }
}

/// What a mail means to the engine; none where it means nothing.
pub(crate) fn input_of(mail: &Mail) -> Option<Input> {
    match mail {
        Mail::Outcome { task, outcome, spend, estimated } => {
            let reported = version::read(outcome).unwrap_or_else(|error| {
                let message = format!("the outcome cannot be read: {error}");
                let outcome = Outcome::Failed { code: FailureCode::Protocol.into(), message };
                Reported { outcome, incidents: Vec::new() }
            });
            let Reported { outcome, incidents } = reported;
            let (task, spend, estimated) = (*task, *spend, *estimated);
            Some(Input::Outcome { task, outcome, spend, estimated, incidents })
        }
        Mail::Lost { task, spend, .. } => Some(Input::Lost { task: *task, spend: *spend }),
        Mail::Interrupted { task, spend } => {
            Some(Input::Interrupted { task: *task, spend: *spend })
        }
        Mail::Signal { key, event } => results::input(key, event.as_deref()).or_else(|| {
            let event = event.as_ref().map(|text| String::from_utf8_lossy(text).into_owned());
            Some(Input::Signalled { key: key.clone(), event })
        }),
        Mail::Timer { .. } => Some(Input::DeadlinePassed),
        Mail::Cancel { reason } => Some(Input::CancelAsked { reason: reason.clone() }),
        Mail::ChildEnded { child, end, spend } => {
            let end = serde_json::from_slice(end).unwrap_or_else(|error| unreadable_end(&error));
            Some(Input::ChildEnded { child: *child, end: Box::new(end), spend: *spend })
        }
    }
}
