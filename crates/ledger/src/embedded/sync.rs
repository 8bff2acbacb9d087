//! The one thread that waits for the disk.
//!
//! It takes all that has been written since its last turn, makes it durable with one
//! write and one sync, and gives the answers that waited for it, in order. Meanwhile the
//! ledger's own thread goes on: whoever needs no durable answer never waits for the disk.
//!
//! What nobody outside waits for, such as the outcome of a task whose run decides next,
//! waits a moment for what follows from it, and shares its sync.

use super::{
    disk::broken,
    file::{File, WriteError, is_no_room},
    log::Log,
    meter::Meter,
    recent::Rows,
    room::Room,
    row::run_of,
    store::Answer,
};
use crate::LedgerError;
use bytes::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Batches that wait for the disk; one more holds the ledger's own thread up.
const JOBS_MAX: usize = 64;
/// Bytes written and synced at once, as far as whole batches go.
const SYNC_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long what is not urgent waits for more: far longer than a decision takes.
const IDLE: Duration = Duration::from_millis(2);

enum Job {
    Write {
        packed: Bytes,
        answers: Vec<Answer>,
        urgent: bool,
    },
    /// From here on to another log; the rows of this one move to the sorted file.
    Turn {
        log: Log,
        rows: Arc<Rows>,
        moved: mpsc::Sender<Result<(), LedgerError>>,
    },
}

/// What goes with every sync.
pub(super) struct Terms {
    pub(super) room: Arc<Room>,
    pub(super) meter: Meter,
    /// What one takes at least.
    pub(super) sync_min: Duration,
}

/// A log that is full, and durable.
struct Full {
    log: PathBuf,
    rows: Arc<Rows>,
    moved: mpsc::Sender<Result<(), LedgerError>>,
}

/// Hands batches to the thread, which hands full logs to another one. Both end when this
/// is dropped, once all is done.
pub(super) struct Syncer {
    jobs: Option<mpsc::SyncSender<Job>>,
    /// Batches handed over whose answers are not given yet.
    waiting: Arc<AtomicUsize>,
    broken: Arc<OnceLock<String>>,
    /// The one that waits for the disk, then the one that moves rows.
    threads: Vec<JoinHandle<()>>,
}

/// The end of a move to the sorted file.
pub(super) struct Moved(mpsc::Receiver<Result<(), LedgerError>>, OnceLock<Result<(), LedgerError>>);

impl Moved {
    /// Whether it has come.
    pub(super) fn is_done(&self) -> bool {
        if self.1.get().is_none()
            && let Ok(result) = self.0.try_recv()
        {
            // It was empty: only this thread fills it.
            let _ = self.1.set(result);
        }
        self.1.get().is_some()
    }

    /// Waits for it.
    pub(super) fn wait(self) -> Result<(), LedgerError> {
        let lost = || LedgerError::Unusable("the ledger's file failed: restart".into());
        match self.1.into_inner() {
            Some(result) => result,
            None => self.0.recv().unwrap_or_else(|_| Err(lost())),
        }
    }
}

impl Syncer {
    /// Starts with this log. Should the disk fail, the reason is put into `broken`, and
    /// no answer is given any more.
    pub(super) fn start(
        log: Log,
        file: Arc<File>,
        broken: Arc<OnceLock<String>>,
        terms: Terms,
    ) -> Result<Self, LedgerError> {
        let (jobs, todo) = mpsc::sync_channel(JOBS_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (waits, broken_by) = (waiting.clone(), broken.clone());
        let (full, to_move) = mpsc::channel();
        let mover = Mover { file, room: terms.room.clone(), to_move };
        let thread = Thread { log, full, terms, todo, waiting: waits, broken: broken_by };
        let threads = vec![
            spawn("ledger-sync", move || thread.run())?,
            spawn("ledger-move", move || mover.run())?,
        ];
        Ok(Self { jobs: Some(jobs), waiting, broken, threads })
    }

    /// Has a batch made durable, then the answers given. A batch that changes nothing
    /// waits only for those before it.
    pub(super) fn write(
        &self,
        packed: Bytes,
        answers: Vec<Answer>,
        urgent: bool,
    ) -> Result<(), LedgerError> {
        if packed.is_empty() && self.waiting.load(Ordering::Acquire) == 0 {
            answers.into_iter().for_each(|answer| answer());
            return Ok(());
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.hand_over(Job::Write { packed, answers, urgent })
    }

    /// Goes on with another log. The rows of the present one move to the sorted file once
    /// all of it is durable: the file is never ahead of what its logs would make of it.
    pub(super) fn turn(&self, log: Log, rows: Arc<Rows>) -> Result<Moved, LedgerError> {
        let (moved, done) = mpsc::channel();
        self.hand_over(Job::Turn { log, rows, moved })?;
        Ok(Moved(done, OnceLock::new()))
    }

    /// Waits until everything is done, and lets the threads end.
    pub(super) fn finish(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // One that panicked has dropped its answers: whoever waits hears of it.
            let _ = thread.join();
        }
    }

    fn hand_over(&self, job: Job) -> Result<(), LedgerError> {
        let handed = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let why = || self.broken.get().map_or("the disk's thread is gone", String::as_str);
        handed.then_some(()).ok_or_else(|| LedgerError::Unusable(why().to_owned()))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LedgerError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    spawned.map_err(|error| LedgerError::Unusable(format!("no thread for the disk: {error}")))
}

struct Thread {
    log: Log,
    full: mpsc::Sender<Full>,
    terms: Terms,
    todo: mpsc::Receiver<Job>,
    waiting: Arc<AtomicUsize>,
    broken: Arc<OnceLock<String>>,
}

impl Thread {
    fn run(mut self) {
        while let Ok(job) = self.todo.recv() {
            if let Err(error) = self.turn(job) {
                tracing::error!(%error, "ledger stopped: it cannot write");
                // It is set once: this thread ends here.
                let _ = self.broken.set(error.to_string());
                return;
            }
        }
    }

    /// Makes durable what was added to the log, as soon as there is room for it.
    fn sync(&mut self) -> Result<(), LedgerError> {
        let (path, log, began) = (self.log.path().to_owned(), &mut self.log, Instant::now());
        let Terms { room, meter, sync_min } = &self.terms;
        room.wait_for(&path, || {
            let bytes = log.sync().map_err(|error| match is_no_room(&error) {
                true => WriteError::NoRoom(error.to_string()),
                false => WriteError::Failed(broken(&path, &error)),
            })?;
            if bytes > 0 {
                thread::sleep(sync_min.saturating_sub(began.elapsed()));
                meter.synced(bytes);
            }
            Ok(())
        })
    }

    /// As many batches as there are, up to a new log.
    fn turn(&mut self, first: Job) -> Result<(), LedgerError> {
        let (mut next, mut given, mut batches, mut bytes) = (Some(first), Vec::new(), 0, 0);
        let (mut turned, mut hurry, until) = (None, false, Instant::now() + IDLE);
        while let Some(job) = next {
            match job {
                Job::Write { packed, answers, urgent } => {
                    hurry |= urgent;
                    bytes += packed.len();
                    batches += 1;
                    if !packed.is_empty() {
                        self.log.add(&packed);
                    }
                    given.extend(answers);
                }
                Job::Turn { log, rows, moved } => {
                    turned = Some((log, rows, moved));
                    break;
                }
            }
            next = match bytes < SYNC_BYTES_MAX {
                true if hurry => self.todo.try_recv().ok(),
                true => {
                    self.todo.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
                }
                false => None,
            };
        }
        self.sync()?;
        given.into_iter().for_each(|answer: Answer| answer());
        self.waiting.fetch_sub(batches, Ordering::AcqRel);
        if let Some((log, rows, moved)) = turned {
            let log = std::mem::replace(&mut self.log, log).path().to_owned();
            // A thread that panicked has dropped `moved`, too: whoever waits hears of it.
            let _ = self.full.send(Full { log, rows, moved });
        }
        Ok(())
    }
}

/// Moves full logs to the sorted file, one after the other.
struct Mover {
    file: Arc<File>,
    room: Arc<Room>,
    to_move: mpsc::Receiver<Full>,
}

impl Mover {
    fn run(self) {
        for Full { log, rows, moved } in &self.to_move {
            let result = move_rows(&self.file, &rows, &log, &self.room);
            drop(rows);
            // The ledger may have been closed by a failure.
            let _ = moved.send(result);
        }
    }
}

fn move_rows(file: &File, rows: &Rows, log: &Path, room: &Room) -> Result<(), LedgerError> {
    // Rows of a run that began with these never were in the file: most of those that are
    // gone need no looking for.
    let moves =
        |key: &[u8], is_there: bool| is_there || !run_of(key).is_some_and(|run| rows.began(run));
    room.wait_for(log, || {
        let moving = rows.iter().filter(|(key, value)| moves(key, value.is_some()));
        file.try_write(moving.map(|(key, value)| (&**key, value.as_deref()))).inspect_err(|error| {
            if let WriteError::NoRoom(_) = error
                && let Err(error) = file.reopen()
            {
                tracing::debug!(%error, "the ledger's file cannot be opened anew yet");
            }
        })
    })?;
    std::fs::remove_file(log).map_err(|error| broken(log, &error))
}
