//! The port: what every ledger does, whatever it is built on.

use crate::{
    Admission, Admit, Cancelled, Commit, Completion, Heard, Held, Inventory, LeaseRequest,
    LeaseTerms, Leased, LedgerError, Reaped, Reconciled, Recorded, Release, Retained, Retention,
    RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted, TenantTerms, Ticked,
    Watched,
};
use async_trait::async_trait;
use baton_workflow::{BodyRef, RunId, Spend, TenantId};
use bytes::Bytes;
use futures_core::stream::BoxStream;

/// Journals, tasks, leases, timers, tenants' queues and budgets, kept so that a write
/// which was acknowledged survives the death of any process.
///
/// Rules that hold for every operation:
/// - Time is the ledger's, never the caller's.
/// - A call is validated before the first write: an error means that nothing changed,
///   except [`LedgerError::Unavailable`], after which the call may be repeated as it was.
/// - A call writes all of it or nothing of it, and answers after it is durable.
/// - Work per call is bounded by [`crate::BATCH_MAX`].
/// - A write under a token that is not the task's present one is refused with
///   [`LedgerError::LeaseLost`]; one under the token that finished the task answers
///   [`Recorded::AlreadyDone`].
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Sets what a tenant is entitled to. Tenants never set have [`TenantTerms::default`].
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError>;

    /// What earlier processes left standing: see [`Inventory`]. For a process that starts, and
    /// for a sweep now and then; not for every task.
    async fn inventory(&self) -> Result<Inventory, LedgerError>;

    /// Records a new root run with its first tasks. After the answer it will be carried
    /// out, whoever dies. A ledger of several parts adds to the run's id where it is: the
    /// answer has the id by which it is known. Refused: `QueueFull`, `KeyReused`, `Invalid` (no event, too
    /// large, a task number twice, a run id in use).
    async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError>;

    /// Takes up to `max` tasks from the queues of `classes`, waiting up to `wait_ms` for
    /// a first one. Among tenants: stride scheduling in virtual time over the class
    /// (`pass += cost * 1000 / weight`; on waking `max(own, now)`). Within a tenant:
    /// priority, then age. A tenant at its `leased_max` is passed over until a lease of
    /// it ends. A task of a cancelled or ended tree, other than `decide`, is not handed
    /// out: it is dropped into its run's mail as `Lost { dropped: true }`. Each lease sets
    /// aside what its task asks for ([`crate::NewTask::reserve`]), in the same write.
    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError>;

    /// How long leases of it last for whoever holds tasks.
    fn lease_terms(&self) -> LeaseTerms {
        LeaseTerms::USUAL
    }

    /// Extends leases by `ttl_ms` from now; answers for each held task, in order.
    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError>;

    /// Sets `amount` aside from the root's budget for a call that this attempt is about to
    /// make, beyond what its lease has set aside. Several reservations of one attempt add up. `BudgetSpent` if what was spent
    /// and what is reserved would exceed the budget together.
    ///
    /// `call` numbers the attempt's reservations, from 1 and rising: one whose number is not
    /// above that of the last one that was made is a repetition, and does nothing.
    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError>;

    /// Turns `reserved` (part of this attempt's reservation) into `spent`, before the
    /// attempt is complete. Spending more than was reserved is recorded as it is.
    /// `call` numbers the attempt's settlements, as in [`Ledger::reserve`].
    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError>;

    /// Records a task's outcome once, settles what the attempt still has reserved by
    /// `completion.spend`, puts the outcome into the run's mail, and sees to it that
    /// exactly one `decide` task is outstanding. For tasks other than `decide`. If the run
    /// has ended, only the spend is recorded.
    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError>;

    /// Marks the attempt as having begun what must not be done twice; to be called, and
    /// answered, before it begins. If the lease is lost from then on, the task is over with
    /// [`crate::Mail::Interrupted`] instead of being leased again. Not for `decide`.
    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError>;

    /// The Conductor's only write, under the lease of a `decide` task; see [`Commit`].
    /// Queues another `decide` if mail came in after `mail_seen`, or if the run is told to stop
    /// and the lease did not say so. `JournalMoved` when `journal_len` is not the journal's
    /// length.
    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError>;

    /// Ends a decision that cannot be made, as when the journal cannot be read: what has come
    /// in stays unread, and the run waits for whatever comes next, or until
    /// [`Ledger::reconcile`] finds it after [`crate::PARKED_MS`], for somebody who can. The
    /// others go on meanwhile.
    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError>;

    /// Delivers due timers and takes expired leases back, up to `max` of each; anybody
    /// may call it at any time. An expired attempt's reservation is settled in full. A
    /// task leased [`crate::ATTEMPTS_MAX`] times completes itself as `Lost`.
    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError>;

    /// Takes back, as if they had expired, leases of this holder that were neither given nor
    /// extended for `silent_ms`, up to [`crate::BATCH_MAX`] at a time. For a hint from outside
    /// that a process died: one that lives is heard, and loses nothing by a false alarm.
    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError>;

    /// Tells a run a word from outside, once for each key; see [`Signal`] and
    /// [`crate::NewTimer::awaiting`]. Also before the run waits for it.
    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError>;

    /// Asks for a run, with all its children, to be ended: one write, whatever its size.
    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError>;

    /// The run as it is now, with journal entries behind position `from` (0: all,
    /// [`crate::END`]: none).
    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError>;

    /// Everything that happens to a run from journal position `from` on: past entries,
    /// then one observation for each task held at the moment, then whatever comes, until
    /// the end. A watcher that is too slow gets `Unavailable` and may watch again from
    /// where it was; entries are never skipped. From [`crate::END`] on there is nothing
    /// but the end.
    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError>;

    /// A tenant's root runs, newest first, at most `limit` (1 to 1000), older than
    /// `before` where given.
    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError>;

    /// Asks for room for a call on a provider's account: its quotas, calls under way and
    /// breaker are those of all processes together. Room that is given is set aside until
    /// it is released, or not extended for `ttl_ms` by asking again. Not a part of the
    /// durable record: after a restart an account may begin afresh.
    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError>;

    /// Gives room back, with what the call says of its account. Repeating it does nothing.
    async fn release(&self, release: Release) -> Result<(), LedgerError>;

    /// A stored text of this tenant.
    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError>;

    /// Looks at up to `max` unfinished runs, going on where the last call stopped, and has
    /// those decide that wait for nothing: no task, no timer, no child, or mail that no
    /// decision will read. There are none unless something went wrong.
    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError>;

    /// Deletes up to `max` finished root runs that the rules no longer keep, each as a
    /// whole with its children, key and bodies; the oldest first. What is deleted is
    /// [`LedgerError::NoSuchRun`] from then on.
    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError>;

    /// What the ledger holds, in numbers. Costs as much as there are queues (pairs of
    /// class and tenant), not as there are tasks.
    async fn stats(&self) -> Result<Stats, LedgerError>;
}
