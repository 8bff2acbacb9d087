//! The ledger in this process: one thread, one file, or none.

mod archive;
mod disk;
mod file;
mod files;
mod fsck;
mod log;
mod meter;
mod recent;
mod room;
mod row;
mod snapshot;
mod state;
mod store;
mod sync;
mod watch;
mod writer;

use crate::{
    Accounts, Admission, Admit, BATCH_MAX, Cancelled, Clock, Commit, Completion, Heard, Held,
    Inventory, LeaseRequest, Leased, Ledger, LedgerError, Reaped, Reconciled, Recorded, Release,
    Retained, Retention, RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted,
    TenantTerms, Ticked, Watched, check,
};
use async_trait::async_trait;
use baton_workflow::{BodyRef, RunId, Spend, TenantId};
use bytes::Bytes;
use futures_core::stream::BoxStream;
pub use meter::DiskUse;
use meter::Meter;
use room::Room;
use state::State;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};
use store::Store;
use tokio::sync::{mpsc, oneshot};
use writer::{Ask, Reply, Writer};

pub use archive::{Archived, restore_backup, verify_backup};
pub use fsck::{Damage, Finding, Looked, fsck};
pub use room::RESERVE_BYTES;

/// Operations that wait for the writer; whoever comes next waits to be let in.
const ASKS_MAX: usize = 4096;

/// Writes all that the ledger at `path` holds as an archive. No process may have it open;
/// nothing of it is changed.
///
/// # Errors
/// [`LedgerError::Unusable`] where there is none, it is in use or damaged, or the archive
/// cannot be written.
pub fn backup_of(path: &Path, to: impl std::io::Write) -> Result<Archived, LedgerError> {
    let file = file::File::existing(path)?;
    archive::write(&snapshot::Snapshot::of(path, &file)?, to)
}

/// A handle to a ledger in this process. The ledger stops when it is closed, or when its
/// last handle is dropped.
#[derive(Clone)]
pub struct EmbeddedLedger {
    asks: mpsc::Sender<Ask>,
    broken: Arc<OnceLock<String>>,
    /// Beside the writer: nothing of it is durable, so nobody has to wait for a write.
    accounts: Accounts,
    meter: Meter,
    room: Arc<Room>,
    /// None where it is in memory alone.
    path: Option<PathBuf>,
}

/// What a ledger asks of its disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskTerms {
    /// Free bytes below which submissions are refused with [`LedgerError::StorageFull`], so
    /// that what is under way can finish.
    pub reserve_bytes: u64,
    /// What a sync takes at least, as on a slower disk: to measure what depends on it.
    pub sync_min: Duration,
}

impl Default for DiskTerms {
    fn default() -> Self {
        Self { reserve_bytes: RESERVE_BYTES, sync_min: Duration::ZERO }
    }
}

/// Where a ledger lies, and what was asked of the disk.
#[derive(Default)]
struct Place {
    /// None where it is in memory alone.
    path: Option<PathBuf>,
    meter: Meter,
}

impl EmbeddedLedger {
    /// A ledger that lives as long as its handles, for tests and trials.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] when no thread can be started.
    pub fn in_memory() -> Result<Self, LedgerError> {
        let broken = Arc::default();
        let room = Arc::new(Room::new(None, 0));
        let store = Box::new(store::Memory::default());
        Self::start(State::new(1), store, broken, room, Place::default())
    }

    /// [`EmbeddedLedger::in_memory`] on the present runtime instead of a thread of its own,
    /// going by this clock: so that a simulation with tokio's paused time repeats itself.
    #[cfg(feature = "simulation")]
    pub fn simulated(clock: Clock) -> Self {
        let broken: Arc<OnceLock<String>> = Arc::default();
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let store = Box::new(store::Memory::default());
        let writer = Writer::new(State::new(1), store, broken.clone(), clock);
        tokio::spawn(writer.serve(asked));
        let Place { path, meter } = Place::default();
        let (room, accounts) = (Arc::new(Room::new(None, 0)), Accounts::default());
        Self { asks, broken, room, path, accounts, meter }
    }

    /// The format of the ledgers that this program reads and writes.
    pub const FORMAT: u32 = row::FORMAT;

    /// The format of the ledger in this file, which is not changed. None where it was not
    /// closed, so that only opening it can tell.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn format_of(path: impl AsRef<Path>) -> Result<Option<u32>, LedgerError> {
        file::format_of(path.as_ref())
    }

    /// The ledger in this file, made where there is none, with its logs beside it. What was under way when the
    /// file was last open goes on: leases from before are void, their tasks wait again.
    /// Reads everything that is not finished; call it where blocking is no harm.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`], saying what to do, when the file is in use, corrupt, of
    /// another format, or cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_with(path, DiskTerms::default())
    }

    /// [`EmbeddedLedger::open`] on other than the usual terms.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: impl AsRef<Path>, terms: DiskTerms) -> Result<Self, LedgerError> {
        let broken = Arc::default();
        let room = Arc::new(Room::new(Some(path.as_ref()), terms.reserve_bytes));
        let slowed = (room.clone(), terms.sync_min);
        let (disk, epoch) = disk::Disk::open(path.as_ref(), slowed, Arc::clone(&broken))?;
        let state = State::load(&disk, epoch, Clock::default().now())?;
        let place = Place { path: Some(path.as_ref().to_owned()), meter: disk.meter() };
        Self::start(state, Box::new(disk), broken, room, place)
    }

    /// What was asked of the disk since the ledger was opened; nothing for one in memory.
    pub fn disk_use(&self) -> DiskUse {
        self.meter.read()
    }

    fn start(
        state: State,
        store: Box<dyn Store>,
        broken: Arc<OnceLock<String>>,
        room: Arc<Room>,
        place: Place,
    ) -> Result<Self, LedgerError> {
        let unusable = |error| LedgerError::Unusable(format!("no thread for the ledger: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(unusable)?;
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let writer = Writer::new(state, store, broken.clone(), Clock::default());
        let thread = std::thread::Builder::new().name("ledger".into());
        let spawned = thread.spawn(move || runtime.block_on(writer.serve(asked)));
        spawned.map_err(unusable)?;
        let Place { path, meter } = place;
        Ok(Self { asks, broken, room, path, accounts: Accounts::default(), meter })
    }

    /// Stops the ledger and lets go of its file. What was acknowledged is on disk already;
    /// whoever still waits gets [`LedgerError::Unavailable`].
    pub async fn close(&self) {
        self.room.close();
        let (closed, done) = oneshot::channel();
        if self.asks.send(Ask::Close(closed)).await.is_ok() {
            // An error means that it was closed by somebody else: the same to us.
            let _ = done.await;
        }
    }

    /// Writes all that the ledger holds at this moment as an archive. The ledger goes on
    /// meanwhile; the writing itself blocks a thread of its own.
    ///
    /// # Errors
    /// [`LedgerError::Unusable`] when it cannot be read or written.
    pub async fn backup(
        &self,
        to: impl std::io::Write + Send + 'static,
    ) -> Result<Archived, LedgerError> {
        let snapshot = self.ask(Ask::Snapshot).await?;
        let writing = tokio::task::spawn_blocking(move || archive::write(&snapshot, to));
        writing.await.unwrap_or_else(|error| Err(LedgerError::Unusable(error.to_string())))
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        if self.asks.send(ask(reply)).await.is_err() {
            return Err(match self.broken.get() {
                Some(why) => LedgerError::Unusable(why.clone()),
                None => LedgerError::Unavailable("it is closed".into()),
            });
        }
        answer.await.unwrap_or_else(|_| {
            let why = self.broken.get().map_or("it was closed", String::as_str);
            Err(LedgerError::Unavailable(why.to_owned()))
        })
    }

    async fn show(&self, run: &RunId, from: u64) -> Result<watch::Shown, LedgerError> {
        self.ask(|reply| Ask::Watch(run.clone(), from, reply)).await
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError> {
        terms.check()?;
        self.ask(|reply| Ask::SetTenant(tenant.clone(), terms, reply)).await
    }

    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        self.ask(Ask::Inventory).await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError> {
        submission.check()?;
        self.room.admit()?;
        self.ask(|reply| Ask::Submit(Box::new(submission), reply)).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        request.check()?;
        self.ask(|reply| Ask::Lease(request, reply)).await
    }

    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        check::check_heartbeat(held)?;
        self.ask(|reply| Ask::Heartbeat(held.to_vec(), ttl_ms, reply)).await
    }

    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError> {
        self.ask(|reply| Ask::Reserve(held.clone(), call, amount, reply)).await
    }

    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        self.ask(|reply| Ask::Settle(held.clone(), call, reserved, spent, reply)).await
    }

    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError> {
        completion.check(held)?;
        self.ask(|reply| Ask::Complete(held.clone(), completion, reply)).await
    }

    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        check::check_start(held)?;
        self.ask(|reply| Ask::Start(held.clone(), reply)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        commit.check()?;
        self.ask(|reply| Ask::Commit(Box::new(commit), reply)).await
    }

    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        check::check_park(held)?;
        self.ask(|reply| Ask::Park(held.clone(), reply)).await
    }

    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        self.ask(|reply| Ask::Tick(max, reply)).await
    }

    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        check::check_holder(holder)?;
        self.ask(|reply| Ask::Reap(holder.to_owned(), silent_ms, reply)).await
    }

    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        signal.check()?;
        self.ask(|reply| Ask::Signal(signal, reply)).await
    }

    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        check::check_reason(reason)?;
        self.ask(|reply| Ask::Cancel(run.clone(), reason.to_owned(), reply)).await
    }

    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        self.ask(|reply| Ask::Read(run.clone(), from, reply)).await
    }

    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        let shown = self.show(run, from).await?;
        Ok(watch::follow(self.clone(), run.clone(), from, shown))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        check::check_list(limit)?;
        self.ask(|reply| Ask::List(tenant.clone(), limit, before.cloned(), reply)).await
    }

    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError> {
        ask.check()?;
        Ok(self.accounts.admit(&ask))
    }

    async fn release(&self, release: Release) -> Result<(), LedgerError> {
        release.check()?;
        self.accounts.release(&release);
        Ok(())
    }

    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        self.ask(|reply| Ask::Body(tenant.clone(), body.clone(), reply)).await
    }

    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        self.ask(|reply| Ask::Reconcile(max.min(BATCH_MAX), reply)).await
    }

    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError> {
        self.ask(|reply| Ask::Retain(*rules, max.min(BATCH_MAX), reply)).await
    }

    async fn stats(&self) -> Result<Stats, LedgerError> {
        let mut stats = self.ask(Ask::Stats).await?;
        if let Some(path) = &self.path {
            stats.files = files::sizes(path)?;
        }
        Ok(stats)
    }
}
