//! Looking a ledger's file over: every byte against its checksum, every row against its
//! form, and rows against each other.

use super::{
    file::File,
    row::{self, Kind, Known, decode},
    snapshot::Snapshot,
    state::{Head, Progress, TaskProgress, Totals},
};
use crate::{Body, JournalEntry, LedgerError, MailEntry};
use baton_workflow::{RunId, Spend, Timestamp};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

/// Damages that are told one by one; further ones are counted.
const FOUND_MAX: usize = 1000;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Pages of the sorted file are not as they were written.
    Pages,
    /// A row that cannot be read.
    Row,
    /// A body is not what its name says.
    Body,
    /// A body that a run has is not there.
    BodyMissing,
    /// A journal lacks an entry.
    JournalGap,
    /// A run lacks its head, its progress, its root or its parent.
    Run,
    /// A row of a run that is not there.
    Orphan,
    /// A list, key or index names a run that is not there.
    Index,
    /// A run spent less than what is below it.
    Spend,
    /// A kept count is not what is there.
    Count,
}

impl Damage {
    /// What it means, and what to do about it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Pages => {
                "the disk gave back other bytes than it was given: restore a backup, and see to the disk"
            }
            Self::Row => "what this row said is lost: restore a backup",
            Self::Body => "this text is not what was written: restore a backup",
            Self::BodyMissing => {
                "this text is lost, and the run that has it cannot show or use it: restore a backup"
            }
            Self::JournalGap => {
                "the run's history is not whole and cannot be decided on: restore a backup"
            }
            Self::Run => "the run cannot be read: restore a backup",
            Self::Orphan => "it takes room and is never read: it can be left as it is",
            Self::Index => {
                "lists or keys lead to nothing there: restore a backup if the run was wanted"
            }
            Self::Spend => {
                "the run's bill is too low: its answer and its journal are not concerned"
            }
            Self::Count => "figures shown to operators are wrong: no run is concerned",
        }
    }
}

/// One damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of which kind.
    pub damage: Damage,
    /// Where, and what was found.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Rows of all kinds.
    pub rows: u64,
    /// Runs, children among them.
    pub runs: u64,
    /// Of them, those that have not ended.
    pub unfinished: u64,
    /// Texts.
    pub bodies: u64,
    /// Damages, the first of them.
    pub found: Vec<Finding>,
    /// Further ones.
    pub more: u64,
}

impl Looked {
    fn found(&mut self, damage: Damage, what: impl Into<String>) {
        if self.found.len() < FOUND_MAX {
            self.found.push(Finding { damage, what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Looks over the ledger at `path`, which no process may have open. Nothing is changed.
///
/// # Errors
/// [`LedgerError::Unusable`] where there is none, it is in use, or so damaged that it
/// cannot be opened: the words say what to do.
pub fn fsck(path: &Path) -> Result<Looked, LedgerError> {
    let mut file = File::existing(path)?;
    let mut look = Look::default();
    if !file.is_sound()? {
        look.looked.found(Damage::Pages, path.display().to_string());
    }
    let snapshot = Snapshot::of(path, &file)?;
    snapshot.each(|key, value| {
        look.row(key, value);
        Ok(())
    })?;
    Ok(look.compare())
}

/// What is known of a run from its rows.
#[derive(Default)]
struct Seen {
    head: Option<Head>,
    live: Option<Progress>,
    finished: Option<Progress>,
    journal: u64,
    gap: Option<u64>,
    tasks_spent: Spend,
    rows: u64,
}

impl Seen {
    fn progress(&self) -> Option<&Progress> {
        self.live.as_ref().or(self.finished.as_ref())
    }

    fn is_unended(&self) -> bool {
        self.progress().is_some_and(|progress| progress.ended.is_none())
    }
}

/// One pass over all rows.
#[derive(Default)]
struct Look {
    looked: Looked,
    runs: BTreeMap<String, Seen>,
    /// Bodies by tenant and hash.
    bodies: BTreeSet<(String, String)>,
    body_bytes: u64,
    /// By root: hashes.
    uses: Vec<(String, String)>,
    /// Runs that indices name, with what names them.
    named: Vec<(&'static str, String)>,
    kept: HashMap<String, u64>,
    totals: Totals,
}

impl Look {
    fn row(&mut self, key: &[u8], value: &[u8]) {
        self.looked.rows += 1;
        if let Err(error) = self.read(key, value) {
            self.looked.found(Damage::Row, format!("{}: {error}", key.escape_ascii()));
        }
    }

    fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        let Some(kind) = row::kind_of(key) else {
            if key == row::TOTALS {
                self.totals = decode(value)?;
            }
            return Ok(());
        };
        match kind {
            Kind::Tenant => decode::<crate::TenantTerms>(value).map(|_| ()),
            Kind::Kept => {
                let tenant = row::owner_of(key)?.0;
                self.kept.insert(tenant, decode(value)?);
                Ok(())
            }
            Kind::Key => self.name("an idempotency key", decode::<Known>(value)?.run),
            Kind::Root => self.name("a list of runs", decode(value)?),
            Kind::Over => self.name("the order of ends", decode(value)?),
            Kind::Body => self.body(key, value),
            Kind::Shared => decode::<u64>(value).map(|_| ()),
            Kind::Use => {
                let (root, hash) = row::owner_of(key)?;
                self.uses.push((root, String::from_utf8_lossy(&hash).into_owned()));
                Ok(())
            }
            Kind::Head
            | Kind::Live
            | Kind::Finished
            | Kind::TaskHead
            | Kind::Task
            | Kind::Journal
            | Kind::Mail
            | Kind::Timer
            | Kind::Signal => self.of_run(kind, key, value),
        }
    }

    fn name(&mut self, by: &'static str, run: RunId) -> Result<(), LedgerError> {
        self.named.push((by, run.to_string()));
        Ok(())
    }

    fn body(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        let (tenant, hash) = row::owner_of(key)?;
        let hash = String::from_utf8_lossy(&hash).into_owned();
        self.looked.bodies += 1;
        self.body_bytes += value.len() as u64;
        if *Body::new(value.to_vec()).name.hash != *hash {
            self.looked.found(Damage::Body, format!("body {hash} of tenant {tenant}"));
        }
        self.bodies.insert((tenant, hash));
        Ok(())
    }

    fn of_run(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        let (run, _) = row::owner_of(key)?;
        let seen = self.runs.entry(run).or_default();
        seen.rows += 1;
        match kind {
            Kind::Head => seen.head = Some(decode(value)?),
            Kind::Live => seen.live = Some(decode(value)?),
            Kind::Finished => seen.finished = Some(decode(value)?),
            Kind::Journal => {
                let entry: JournalEntry = decode(value)?;
                seen.journal += 1;
                if entry.seq != seen.journal && seen.gap.is_none() {
                    seen.gap = Some(seen.journal);
                }
            }
            Kind::Task => {
                let task: TaskProgress = decode(value)?;
                seen.tasks_spent = seen.tasks_spent.plus(task.spent);
            }
            Kind::Mail => {
                decode::<MailEntry>(value)?;
            }
            Kind::Timer => {
                decode::<Timestamp>(value)?;
            }
            Kind::Signal => {
                decode::<bool>(value)?;
            }
            Kind::TaskHead
            | Kind::Tenant
            | Kind::Key
            | Kind::Root
            | Kind::Body
            | Kind::Use
            | Kind::Shared
            | Kind::Over
            | Kind::Kept => {}
        }
        Ok(())
    }

    /// Rows against each other, once all are read.
    fn compare(mut self) -> Looked {
        let runs = std::mem::take(&mut self.runs);
        // What the children of a run spent.
        let mut below: HashMap<&str, Spend> = HashMap::new();
        for seen in runs.values() {
            let parent = seen.head.as_ref().and_then(|head| head.parent.as_ref());
            if let (Some((parent, _)), Some(progress)) = (parent, seen.progress()) {
                let sum = below.entry(parent.as_str()).or_default();
                *sum = sum.plus(progress.spent);
            }
        }
        for (id, seen) in &runs {
            self.run(id, seen, &runs, below.get(id.as_str()).copied().unwrap_or_default());
        }
        for (by, run) in std::mem::take(&mut self.named) {
            if runs.get(&run).is_none_or(|seen| seen.head.is_none()) {
                self.looked.found(Damage::Index, format!("{by} names run {run}"));
            }
        }
        for (root, hash) in std::mem::take(&mut self.uses) {
            let head = runs.get(&root).and_then(|seen| seen.head.as_ref());
            let Some(head) = head else {
                self.looked.found(Damage::Orphan, format!("body {hash} of run {root}"));
                continue;
            };
            if !self.bodies.contains(&(head.tenant.to_string(), hash.clone())) {
                self.looked.found(Damage::BodyMissing, format!("body {hash} of run {root}"));
            }
        }
        self.counts(&runs);
        self.looked
    }

    fn run(&mut self, id: &str, seen: &Seen, runs: &BTreeMap<String, Seen>, below: Spend) {
        let (Some(head), Some(progress)) = (&seen.head, seen.progress()) else {
            let what = match (&seen.head, seen.progress()) {
                (None, None) => (Damage::Orphan, format!("{} rows of run {id}", seen.rows)),
                (None, Some(_)) => (Damage::Run, format!("run {id} has no head")),
                (Some(_), _) => (Damage::Run, format!("run {id} has no progress")),
            };
            return self.looked.found(what.0, what.1);
        };
        self.looked.runs += 1;
        let above = head.parent.iter().map(|(parent, _)| parent).chain([&head.root]);
        for above in above.filter(|above| !runs.contains_key(above.as_str())) {
            self.looked
                .found(Damage::Run, format!("run {id} is below {above}, which is not there"));
        }
        if let Some(missing) = seen.gap {
            self.looked.found(Damage::JournalGap, format!("run {id} lacks entry {missing}"));
        } else if seen.journal != progress.journal_len {
            let (found, expected) = (seen.journal, progress.journal_len);
            self.looked
                .found(Damage::JournalGap, format!("run {id} has {found} of {expected} entries"));
        }
        let least = seen.tasks_spent.plus(below);
        if least.minus(progress.spent) != Spend::ZERO {
            self.looked
                .found(Damage::Spend, format!("run {id} spent less than its tasks and children"));
        }
        // Whether it waits for something needs no look: opening the ledger has every run decide
        // that does not.
        self.looked.unfinished += u64::from(seen.is_unended());
    }

    fn counts(&mut self, runs: &BTreeMap<String, Seen>) {
        let mut kept: HashMap<String, u64> = HashMap::new();
        for seen in runs.values().filter(|seen| seen.finished.is_some()) {
            if let Some(head) = seen.head.as_ref().filter(|head| head.parent.is_none()) {
                *kept.entry(head.tenant.to_string()).or_default() += 1;
            }
        }
        let mut compare = |what: String, kept: u64, found: u64| {
            if kept != found {
                self.looked.found(Damage::Count, format!("{what}: {kept} noted, {found} there"));
            }
        };
        for tenant in kept.keys().chain(self.kept.keys()).collect::<BTreeSet<_>>() {
            let count = |counts: &HashMap<String, u64>| counts.get(tenant).copied().unwrap_or(0);
            compare(format!("finished runs of {tenant}"), count(&self.kept), count(&kept));
        }
        compare("bodies".into(), self.totals.bodies, self.bodies.len() as u64);
        compare("bytes of bodies".into(), self.totals.body_bytes, self.body_bytes);
    }
}
