//! The port, over all shards: each call goes to the shard that a run's id names, or to all.

mod backup;
mod connect;
mod sum;

use crate::{
    account, fsck,
    place::{Places, number},
    shard::Shard,
    turns::Turns,
    waker::{Wait, Waker},
};
use async_trait::async_trait;
use baton_ledger::{
    Admission, Admit, BATCH_MAX, Cancelled, Class, Commit, Completion, Heard, Held, Inventory,
    LeaseRequest, LeaseTerms, Leased, Ledger, LedgerError, Looked, Reaped, Reconciled, Recorded,
    Release, Retained, Retention, RunSummary, RunView, Signal, Signalled, Stats, Submission,
    Submitted, TenantTerms, Ticked, Watched,
};
use baton_workflow::{BodyRef, RunId, Spend, TaskId, TenantId};
use bytes::Bytes;
use futures::future::{JoinAll, join_all, select_all};
use futures_core::stream::BoxStream;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest wait for a task in one call, in milliseconds.
const WAIT_MS_MAX: u64 = 3_600_000;
/// When to look again at shards that did not answer, in milliseconds.
const AWAY_MS: u64 = 1_000;

/// A ledger kept by Redis (or Valkey) servers; cheap to share behind an `Arc`.
pub struct RedisLedger {
    shards: Vec<Shard>,
    /// One for each server.
    wakers: Vec<Arc<Waker>>,
    places: Places,
    turns: Arc<Turns>,
    lease: LeaseTerms,
    /// Whether submissions are recorded without their keys.
    keyless: bool,
    stop: CancellationToken,
    /// Ends the subscriptions with the ledger.
    _ends: DropGuard,
}

impl RedisLedger {
    /// The id of the registry that belongs to this ledger; where none is noted yet, this one
    /// is noted.
    ///
    /// # Errors
    /// As any call.
    pub async fn paired(&self, id: Option<&str>) -> Result<Option<String>, LedgerError> {
        let store = &self.shard(0)?.store;
        let meta = format!("{}meta", store.base());
        if let Some(id) = id {
            let mut note = redis::cmd("HSETNX");
            store.command(note.arg(&meta).arg("registry").arg(id)).await?;
        }
        let noted = store.command(redis::cmd("HGET").arg(&meta).arg("registry")).await?;
        redis::from_redis_value(noted)
            .map_err(|error| LedgerError::Unusable(format!("{meta}: registry: {error}")))
    }

    /// The tasks that this holder has leased; of all holders where none is named. For whoever
    /// looks at a cluster: the next moment it may be others.
    ///
    /// # Errors
    /// As any call.
    pub async fn held(&self, holder: Option<&str>) -> Result<Vec<TaskId>, LedgerError> {
        let mut held = Vec::new();
        for shard in &self.shards {
            held.extend(shard.held(holder).await?);
        }
        Ok(held)
    }

    /// Stops listening for hints. What was acknowledged is in the store already.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Looks everything over, and changes nothing. Nobody should be at work: what changes
    /// meanwhile may look like damage.
    ///
    /// # Errors
    /// Where a server does not answer.
    pub async fn fsck(&self) -> Result<Looked, LedgerError> {
        let mut all = Looked::default();
        for shard in &self.shards {
            let Looked { rows, runs, unfinished, bodies, found, more } =
                fsck::fsck(&shard.store).await?;
            all.rows += rows;
            all.runs += runs;
            all.unfinished += unfinished;
            all.bodies += bodies;
            all.found.extend(found);
            all.more += more;
        }
        Ok(all)
    }

    fn shard(&self, number: u16) -> Result<&Shard, LedgerError> {
        let shard = self.shards.get(usize::from(number));
        shard.ok_or_else(|| LedgerError::Invalid(format!("there is no shard {number}")))
    }

    fn of(&self, run: &RunId) -> Result<&Shard, LedgerError> {
        self.shard(self.places.of(run))
    }

    fn lanes_of(&self, tenant: &TenantId) -> Result<Vec<&Shard>, LedgerError> {
        self.places.lanes(tenant).into_iter().map(|number| self.shard(number)).collect()
    }

    /// Tasks of one shard, the first in turn that has any. A shard that does not answer keeps
    /// nobody from the others.
    async fn look(&self, request: &LeaseRequest) -> Result<Look, LedgerError> {
        let mut unanswered = None;
        for number in self.turns.order(request) {
            let Some(shard) = self.shards.get(number) else { continue };
            match shard.lease(request, self.shards.len() > 1).await {
                Ok(found) => {
                    self.turns.gave(number, request, &found);
                    if !found.tasks.is_empty() || found.more {
                        return Ok(Look { tasks: found.tasks, more: found.more });
                    }
                }
                Err(LedgerError::Unavailable(why)) => {
                    self.turns.is_away(number, request.request);
                    unanswered = Some(LedgerError::Unavailable(why));
                }
                Err(error) => return Err(error),
            }
        }
        match unanswered {
            Some(error) => Err(error),
            None => {
                self.turns.rest(request);
                Ok(Look { tasks: Vec::new(), more: false })
            }
        }
    }

    /// Asks all shards at once.
    fn each<'a, F: Future>(&'a self, ask: impl Fn(&'a Shard) -> F) -> JoinAll<F> {
        join_all(self.shards.iter().map(ask))
    }

    fn waits(&self, classes: &[Class]) -> Vec<Wait> {
        let each = |waker: &Arc<Waker>| {
            classes.iter().map(|class| waker.class(class.as_str())).collect::<Vec<_>>()
        };
        self.wakers.iter().flat_map(each).collect()
    }
}

struct Look {
    tasks: Vec<Leased>,
    more: bool,
}

/// The answers of several shards; a shard that did not answer is left out, unless none did.
fn those_that_answered<T>(
    answers: Vec<Result<T, LedgerError>>,
) -> Result<(Vec<T>, bool), LedgerError> {
    let (mut good, mut first_error) = (Vec::new(), None);
    for answer in answers {
        match answer {
            Ok(answer) => good.push(answer),
            Err(error @ LedgerError::Unavailable(_)) => {
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match first_error {
        Some(error) if good.is_empty() => Err(error),
        some => Ok((good, some.is_none())),
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError> {
        terms.check()?;
        for (shard, slice) in self.places.slices(tenant, terms) {
            self.shard(shard)?.set_tenant(tenant, slice).await?;
        }
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        let all = self.each(Shard::inventory).await;
        let (mut waiting, mut terms) = (Vec::new(), BTreeMap::<TenantId, TenantTerms>::new());
        for one in all {
            let one = one?;
            waiting.extend(one.waiting);
            for (tenant, slice) in one.terms {
                let sum = terms.entry(tenant).or_insert(TenantTerms {
                    weight: 0,
                    leased_max: 0,
                    runs_max: 0,
                });
                sum.weight = sum.weight.saturating_add(slice.weight);
                sum.leased_max = sum.leased_max.saturating_add(slice.leased_max);
                sum.runs_max = sum.runs_max.saturating_add(slice.runs_max);
            }
        }
        waiting.sort();
        waiting.dedup();
        Ok(Inventory { waiting, terms: terms.into_iter().collect() })
    }

    async fn submit(&self, mut submission: Submission) -> Result<Submitted, LedgerError> {
        submission.check()?;
        let unique = submission.run.as_str();
        let key = submission.key.as_deref().unwrap_or(unique);
        let home = self.places.for_run(&submission.tenant, key);
        let shard = self.shard(home)?;
        submission.run = self.places.name(home, unique)?;
        if self.keyless {
            submission.key = None;
        }
        shard.submit(submission).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        request.check()?;
        let wait = Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX));
        let until = Instant::now() + wait;
        loop {
            // Waiting begins before the look, so that nothing falls in between.
            let waits = self.waits(&request.classes);
            let found = self.look(&request).await?;
            if !found.tasks.is_empty() {
                drop(waits);
                // There may be something left for somebody else who waits here.
                if found.more {
                    for waker in &self.wakers {
                        request.classes.iter().for_each(|class| waker.ready(class.as_str(), 1));
                    }
                }
                return Ok(found.tasks);
            }
            if !found.more && timeout_at(until, select_all(waits)).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    fn lease_terms(&self) -> LeaseTerms {
        self.lease
    }

    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        baton_ledger::check_heartbeat(held)?;
        let mut by_shard = BTreeMap::<u16, Vec<usize>>::new();
        for (place, one) in held.iter().enumerate() {
            by_shard.entry(self.places.of(&one.task.run)).or_default().push(place);
        }
        let asking = by_shard.iter().map(|(shard, places)| async move {
            let theirs: Vec<Held> =
                places.iter().filter_map(|place| held.get(*place).cloned()).collect();
            self.shard(*shard)?.heartbeat(&theirs, ttl_ms).await
        });
        let all = join_all(asking).await;
        let alone = all.len() <= 1;
        let mut heard = vec![Heard::Unknown; held.len()];
        for (places, answers) in by_shard.values().zip(all) {
            match answers {
                Ok(answers) => {
                    for (place, answer) in places.iter().zip(answers) {
                        if let Some(heard) = heard.get_mut(*place) {
                            *heard = answer;
                        }
                    }
                }
                // What others said is not lost with it.
                Err(LedgerError::Unavailable(_)) if !alone => {}
                Err(error) => return Err(error),
            }
        }
        Ok(heard)
    }

    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError> {
        self.of(&held.task.run)?.reserve(held, call, amount).await
    }

    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        self.of(&held.task.run)?.settle(held, call, reserved, spent).await
    }

    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError> {
        self.of(&held.task.run)?.complete(held, completion).await
    }

    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.of(&held.task.run)?.start(held).await
    }

    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        self.of(&commit.task.run)?.commit(commit).await
    }

    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.of(&held.task.run)?.park(held).await
    }

    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        let all = self.each(|shard| shard.tick(max)).await;
        let (all, whole) = those_that_answered(all)?;
        let mut sum = Ticked::default();
        for one in all {
            sum.timers += one.timers;
            sum.leases += one.leases;
            sum.next_ms = sum.next_ms.into_iter().chain(one.next_ms).min();
        }
        if !whole {
            sum.next_ms = Some(sum.next_ms.unwrap_or(AWAY_MS).min(AWAY_MS));
        }
        Ok(sum)
    }

    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        let all = self.each(|shard| shard.reap(holder, silent_ms)).await;
        let (all, whole) = those_that_answered(all)?;
        let leases = all.iter().map(|one| one.leases).sum();
        Ok(Reaped { leases, more: !whole || all.iter().any(|one| one.more) })
    }

    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        self.of(&signal.run)?.signal(signal).await
    }

    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        self.of(run)?.cancel(run, reason).await
    }

    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        self.of(run)?.read(run, from).await
    }

    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        self.of(run)?.watch(run, from).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        baton_ledger::check_list(limit)?;
        let lanes = self.lanes_of(tenant)?;
        if let [home] = lanes.as_slice() {
            return home.list(tenant, limit, before).await;
        }
        // Among lanes the time of submission decides; within one, its own order.
        let until = match before {
            None => None,
            Some(run) => {
                let view = self.read(run, baton_ledger::END).await?;
                if view.tenant != *tenant {
                    return Err(LedgerError::NoSuchRun(run.clone()));
                }
                Some(view.submitted_at)
            }
        };
        let mut all = Vec::new();
        for lane in lanes {
            all.extend(lane.list_until(tenant, limit, before, until).await?);
        }
        all.sort_by(|one, other| {
            other.submitted_at.cmp(&one.submitted_at).then_with(|| other.run.cmp(&one.run))
        });
        all.truncate(limit);
        Ok(all)
    }

    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError> {
        ask.check()?;
        account::admit(&self.shard(self.account(&ask.account))?.store, &ask).await
    }

    async fn release(&self, release: Release) -> Result<(), LedgerError> {
        release.check()?;
        account::release(&self.shard(self.account(&release.account))?.store, &release).await
    }

    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        let mut last = LedgerError::NoSuchBody(body.hash.to_string());
        for lane in self.lanes_of(tenant)? {
            match lane.body(tenant, body).await {
                Ok(bytes) => return Ok(bytes),
                Err(LedgerError::NoSuchBody(_)) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        let each = max.min(BATCH_MAX).div_ceil(self.shards.len().max(1));
        let all = self.each(|shard| shard.reconcile(each)).await;
        let (all, _) = those_that_answered(all)?;
        let looked = all.iter().map(|one| one.looked).sum();
        Ok(Reconciled { looked, revived: all.iter().map(|one| one.revived).sum() })
    }

    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError> {
        let (mut sum, mut left) = (Retained::default(), max.min(BATCH_MAX));
        for shard in &self.shards {
            let one = shard.retain(rules, left).await?;
            left = left.saturating_sub(one.deleted);
            sum.deleted += one.deleted;
            sum.more |= one.more || (left == 0 && max > 0);
        }
        Ok(sum)
    }

    async fn stats(&self) -> Result<Stats, LedgerError> {
        let mut all = self.each(Shard::stats).await.into_iter();
        let Some(first) = all.next() else {
            return Err(LedgerError::Unusable("the ledger has no shard".into()));
        };
        let mut sum = first?;
        for one in all {
            sum::add(&mut sum, one?);
        }
        // Several shards of one server say the same of its files.
        let mut servers = BTreeMap::new();
        for shard in &self.shards {
            servers.insert(shard.store.server().await?, shard);
        }
        for (server, shard) in &servers {
            let named = (servers.len() > 1).then_some(server.as_str());
            sum.files.extend(shard.files(named).await?);
        }
        Ok(sum)
    }
}

impl RedisLedger {
    /// The shard beside which an account's quotas are counted.
    fn account(&self, account: &str) -> u16 {
        number(account, u16::try_from(self.shards.len()).unwrap_or(u16::MAX))
    }
}
