//! Who waits for which run: a run that nobody waits for any more is cancelled.

use crate::{
    limits::{CALL_TIMEOUT, RETRIES_KEPT, RETRIES_MAX},
    peers::{Conductor, Peers},
};
use baton_proto::v1::CancelRequest;
use baton_workflow::TenantId;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::Instant as Moment;
use tokio_util::task::TaskTracker;

/// What a client that tries again is known by: its tenant and its body.
pub(crate) type Fingerprint = blake3::Hash;

/// The clients of this process, and the runs they were given. Another gateway knows
/// nothing of them: clients that must find their run anywhere send an `Idempotency-Key`.
pub(crate) struct Attendance {
    peers: Arc<Peers>,
    tasks: TaskTracker,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Clients that wait, by run.
    waiting: HashMap<String, usize>,
    /// Until when runs that were left are kept for clients that come again. A task waits
    /// for each of these moments and takes it out.
    kept: HashMap<String, Moment>,
    /// Runs given to clients that may try again, each with the turn that answers, oldest first.
    given: VecDeque<(Fingerprint, String, u32, Instant)>,
}

impl Book {
    /// The run for a second try: one whose client left goes before one that has its own.
    fn run_for(&self, print: &Fingerprint) -> Option<(String, u32)> {
        let fresh = |at: &Instant| at.elapsed() < RETRIES_KEPT;
        let matching = self.given.iter().rev().filter(|(p, .., at)| p == print && fresh(at));
        let mut runs = matching.map(|(_, run, turn, _)| (run, turn));
        let newest = runs.clone().next();
        let (run, turn) = runs.find(|(run, _)| !self.waiting.contains_key(*run)).or(newest)?;
        Some((run.clone(), *turn))
    }

    fn leave(&mut self, run: &str) {
        if let Some(clients) = self.waiting.get_mut(run) {
            *clients -= 1;
            if *clients == 0 {
                self.waiting.remove(run);
            }
        }
    }

    /// Keeps a run until this moment; longer where somebody else's leaving said so.
    fn keep(&mut self, run: &str, until: Moment) {
        let kept = self.kept.entry(run.to_owned()).or_insert(until);
        *kept = until.max(*kept);
    }

    /// Whether nobody waits for a run, and whoever left it last had the time to come again.
    fn is_given_up(&mut self, run: &str) -> bool {
        match self.kept.get(run) {
            // Released in the meantime, or a later leaving has its own time.
            None => false,
            Some(until) if *until > Moment::now() => false,
            Some(_over) => {
                self.kept.remove(run);
                !self.waiting.contains_key(run)
            }
        }
    }
}

impl Attendance {
    pub(crate) fn new(peers: Arc<Peers>, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { peers, tasks, book: Mutex::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Whole between any two of its operations, whoever panicked.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that a client which tries again was given before, now waited for again.
    pub(crate) fn rejoin(
        self: &Arc<Self>,
        tenant: &TenantId,
        print: &Fingerprint,
    ) -> Option<Attendee> {
        let mut book = self.book();
        let (run, turn) = book.run_for(print)?;
        *book.waiting.entry(run.clone()).or_default() += 1;
        drop(book);
        Some(self.attendee(tenant, run, turn))
    }

    /// A client waits for a run's turn of this number, or its end; `print` if it may try again.
    pub(crate) fn join(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: String,
        turn: u32,
        print: Option<Fingerprint>,
    ) -> Attendee {
        let mut book = self.book();
        *book.waiting.entry(run.clone()).or_default() += 1;
        if let Some(print) = print {
            if book.given.len() >= RETRIES_MAX {
                book.given.pop_front();
            }
            book.given.push_back((print, run.clone(), turn, Instant::now()));
        }
        drop(book);
        self.attendee(tenant, run, turn)
    }

    fn attendee(self: &Arc<Self>, tenant: &TenantId, run: String, turn: u32) -> Attendee {
        let attendance = self.clone();
        let tenant = tenant.clone();
        let on_leaving = OnLeaving::CancelAfter(Duration::ZERO);
        Attendee { attendance, tenant, run, turn, on_leaving }
    }

    /// Asks for the run to end, unless somebody came to wait for it in the meantime.
    async fn cancel(self: Arc<Self>, tenant: TenantId, run: String, until: Moment) {
        tokio::time::sleep_until(until).await;
        {
            let mut book = self.book();
            if !book.is_given_up(&run) {
                return;
            }
            // Whoever comes now must not be given a run that was cancelled.
            book.given.retain(|(_, given, ..)| *given != run);
        }
        let request = CancelRequest {
            tenant: tenant.to_string(),
            run: run.clone(),
            reason: "the client left".into(),
        };
        let cancel = |mut conductor: Conductor| {
            let request = request.clone();
            async move { conductor.cancel(request).await }
        };
        match self.peers.ask(CALL_TIMEOUT, cancel).await {
            Ok(_) => tracing::info!(run, %tenant, "run cancelled because its client left"),
            Err(error) => {
                tracing::warn!(run, %tenant, error = error.message, "run not cancelled");
            }
        }
    }
}

/// What becomes of the run when its last client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnLeaving {
    GoOn,
    CancelAfter(Duration),
}

/// A client that waits. Dropping it is the client's leaving.
pub(crate) struct Attendee {
    attendance: Arc<Attendance>,
    tenant: TenantId,
    run: String,
    turn: u32,
    on_leaving: OnLeaving,
}

impl Attendee {
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// The turn that answers the client, unless the run ends first.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// The run goes on without the client: it has its answer, wants none now, or is
    /// sent away by a gateway that stops.
    pub(crate) fn release(&mut self) {
        self.on_leaving = OnLeaving::GoOn;
    }

    /// The run goes on for so long, because such clients come again.
    pub(crate) fn grace(&mut self, grace: Duration) {
        if self.on_leaving != OnLeaving::GoOn {
            self.on_leaving = OnLeaving::CancelAfter(grace);
        }
    }
}

impl Drop for Attendee {
    fn drop(&mut self) {
        let mut book = self.attendance.book();
        book.leave(&self.run);
        let OnLeaving::CancelAfter(grace) = self.on_leaving else {
            book.kept.remove(&self.run);
            return;
        };
        // Without a runtime the process is at its end, and nobody could be asked.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let until = Moment::now() + grace;
        book.keep(&self.run, until);
        drop(book);
        let cancel = self.attendance.clone().cancel(self.tenant.clone(), self.run.clone(), until);
        self.attendance.tasks.spawn_on(cancel, &runtime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attendance() -> (Arc<Attendance>, TenantId) {
        let registry = Arc::new(baton_registry::InProcess::new(crate::sample::settings(&["a"])));
        let peers = Arc::new(Peers::new(registry, baton_proto::Dialer::default()));
        (Attendance::new(peers, TaskTracker::new()), TenantId::new("t").unwrap())
    }

    #[test]
    fn a_second_try_finds_the_run_that_was_left() {
        let (attendance, tenant) = attendance();
        let print = blake3::hash(b"body");
        let mut left = attendance.join(&tenant, "run_1".into(), 0, Some(print));
        let _has_its_own = attendance.join(&tenant, "run_2".into(), 0, Some(print));
        left.release();
        drop(left);
        let again = attendance.rejoin(&tenant, &print).unwrap();
        assert_eq!(again.run(), "run_1");
        assert!(attendance.rejoin(&tenant, &blake3::hash(b"other")).is_none());
    }

    #[test]
    fn a_second_try_finds_the_turn_that_answers_it() {
        let (attendance, tenant) = attendance();
        for (turn, body) in [(0, b"question"), (1, b"results1"), (2, b"results2")] {
            let print = blake3::hash(body);
            let mut client = attendance.join(&tenant, "run_1".into(), turn, Some(print));
            client.release();
        }
        let again = attendance.rejoin(&tenant, &blake3::hash(b"results1")).unwrap();
        assert_eq!((again.run(), again.turn()), ("run_1", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn two_clients_of_one_run_leave_one_by_one() {
        let (attendance, tenant) = attendance();
        let print = blake3::hash(b"body");
        let mut one = attendance.join(&tenant, "run_1".into(), 0, Some(print));
        one.grace(crate::limits::KEYED_LEAVE_GRACE);
        drop(one);
        let other = attendance.rejoin(&tenant, &print).unwrap();
        attendance.tasks.close();
        attendance.tasks.wait().await;
        assert_eq!(attendance.book().given.len(), 1, "cancelled under a client that waits");
        drop(other);
        attendance.tasks.wait().await;
        assert_eq!(attendance.book().given.len(), 0);
    }

    #[test]
    fn the_memory_is_bounded() {
        let (attendance, tenant) = attendance();
        for run in 0..RETRIES_MAX + 10 {
            let print = blake3::hash(run.to_string().as_bytes());
            drop(attendance.join(&tenant, run.to_string(), 0, Some(print)));
        }
        assert_eq!(attendance.book().given.len(), RETRIES_MAX);
        assert!(attendance.book().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn every_leaving_has_its_own_time_to_come_again() {
        let (attendance, tenant) = attendance();
        let print = blake3::hash(b"body");
        let mut client = attendance.join(&tenant, "run_1".into(), 0, Some(print));
        for _try in 0..3 {
            client.grace(Duration::from_secs(2));
            drop(client);
            // The time of the leaving before this one is over in between.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            client = attendance.rejoin(&tenant, &print).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        client.release();
        drop(client);
        attendance.tasks.close();
        attendance.tasks.wait().await;
        assert!(attendance.book().kept.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_run_is_not_given_again() {
        let (attendance, tenant) = attendance();
        let print = blake3::hash(b"body");
        drop(attendance.join(&tenant, "run_1".into(), 0, Some(print)));
        attendance.tasks.close();
        attendance.tasks.wait().await;
        assert!(attendance.rejoin(&tenant, &print).is_none());
    }
}
