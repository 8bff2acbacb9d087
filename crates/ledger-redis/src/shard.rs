//! One shard: the port's operations, each as one call of one script.

mod asking;
mod told;

use crate::{
    RedisOptions, housekeeping,
    memory::Memory,
    reply::Reply,
    request::Arguments,
    scripts::Name,
    stats,
    store::{Answer, Store},
    stored::Stored,
    waker::Waker,
    watch::{self, Ends},
};
use asking::{committing, submitting};
use baton_ledger::{
    BATCH_MAX, Cancelled, Class, Commit, Completion, END, FileStats, Heard, Held, Inventory,
    LeaseRequest, Leased, LedgerError, READ_MAX, Reaped, Reconciled, Recorded, Retained, Retention,
    RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted, TenantTerms, Ticked,
    Watched, too_many_signals,
};
use baton_workflow::{BodyRef, RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use futures_core::stream::BoxStream;
use std::sync::Arc;
use told::{leased, refused, summary, task_of, view};

/// Tenants whose weight is looked up to know about what all active ones weigh together.
const SAMPLE_MAX: usize = 16;
/// Runs in one page of a list that is read on and on.
const PAGE: usize = 1000;

/// One shard of a ledger.
pub(crate) struct Shard {
    pub(crate) store: Arc<Store>,
    waker: Arc<Waker>,
    memory: Memory,
    stored: Stored,
    ends: Ends,
}

impl Shard {
    pub(crate) fn new(store: Arc<Store>, waker: Arc<Waker>, options: &RedisOptions) -> Self {
        let memory = Memory::new(options.memory_percent_max);
        Self { store, waker, memory, stored: Stored::default(), ends: Ends::default() }
    }

    /// The tasks that this holder has leased; of all holders where none is named.
    pub(crate) async fn held(&self, holder: Option<&str>) -> Result<Vec<TaskId>, LedgerError> {
        let key = match holder {
            Some(holder) => format!("{}held:{holder}", self.store.base()),
            None => format!("{}leases", self.store.base()),
        };
        let mut asking = redis::cmd("ZRANGE");
        asking.arg(key).arg(0).arg(-1);
        let members = self.store.command(&asking).await?;
        let members: Vec<String> = redis::from_redis_value(members)
            .map_err(|error| LedgerError::Unusable(format!("leases cannot be read: {error}")))?;
        members.iter().map(|member| task_of(member)).collect()
    }

    /// For scripts that are refused for no reason but a lost lease or a bad argument.
    async fn write(&self, name: Name, arguments: Arguments) -> Result<Recorded, LedgerError> {
        match self.store.call(name, arguments).await? {
            Answer::Ok(_) => Ok(Recorded::Now),
            Answer::Refused(why, _) if why == "AlreadyDone" => Ok(Recorded::AlreadyDone),
            Answer::Refused(why, details) => Err(refused(&why, details)?),
        }
    }

    /// Takes what may be had at once. With `weighs`, says too what the tenants weigh together
    /// that wait here.
    pub(crate) async fn lease(
        &self,
        request: &LeaseRequest,
        weighs: bool,
    ) -> Result<Found, LedgerError> {
        let classes: Vec<&str> = request.classes.iter().map(|class| class.as_str()).collect();
        let arguments = Arguments::new()
            .number(request.request)
            .bytes(&request.holder)
            .count(request.max)
            .span_ms(request.ttl_ms)
            .count(BATCH_MAX)
            .count(if weighs { SAMPLE_MAX } else { 0 })
            .texts(&classes);
        let mut reply = match self.store.call(Name::Lease, arguments).await? {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, details) => return Err(refused(&why, details)?),
        };
        let more = reply.text()? == "More";
        let (weight, cost) = (reply.parse("a weight")?, reply.parse("a cost")?);
        let mut tasks = Vec::new();
        while !reply.is_empty() {
            tasks.push(leased(&mut reply)?);
        }
        Ok(Found { tasks, more, weight, cost })
    }
}

/// What one look at the queues gave.
pub(crate) struct Found {
    pub(crate) tasks: Vec<Leased>,
    /// There is something left for another look.
    pub(crate) more: bool,
    /// Of the tenants that waited.
    pub(crate) weight: f64,
    /// Of the tasks.
    pub(crate) cost: f64,
}

impl Shard {
    pub(crate) async fn set_tenant(
        &self,
        tenant: &TenantId,
        terms: TenantTerms,
    ) -> Result<(), LedgerError> {
        terms.check()?;
        let arguments = Arguments::new()
            .bytes(tenant.as_str())
            .number(terms.weight.into())
            .number(terms.leased_max.into())
            .number(terms.runs_max);
        self.write(Name::SetTenant, arguments).await.map(|_| ())
    }

    pub(crate) async fn inventory(&self) -> Result<Inventory, LedgerError> {
        let mut reply = match self.store.call(Name::Inventory, Arguments::new()).await? {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, details) => return Err(refused(&why, details)?),
        };
        let mut waiting = reply.list(|reply| reply.text().map(|class| Class::from_text(&class)))?;
        let mut terms = reply.list(|reply| {
            let tenant = reply.tenant()?;
            let (weight, leased_max) = (reply.parse("a weight")?, reply.parse("a cap")?);
            let runs_max = reply.parse("a cap")?;
            Ok((tenant, TenantTerms { weight, leased_max, runs_max }))
        })?;
        waiting.sort();
        terms.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Inventory { waiting, terms })
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError> {
        submission.check()?;
        self.memory.admit(&self.store).await?;
        let Submission { tenant, run, bodies, .. } = &submission;
        // Before it is recorded: whoever asks for its end later need not look first.
        let end = self.waker.end(run.as_str());
        let (new, there) = self.stored.part(tenant, bodies);
        let all_sent = there.is_empty();
        let mut answer =
            self.store.call(Name::Submit, submitting(&submission, new, &there)).await?;
        if !all_sent && matches!(&answer, Answer::Refused(why, _) if why == "NoSuchBody") {
            self.stored.forget(tenant, bodies);
            let arguments = submitting(&submission, bodies.iter().collect(), &[]);
            answer = self.store.call(Name::Submit, arguments).await?;
        }
        let mut reply = match answer {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, details) => return Err(refused(&why, details)?),
        };
        let known = reply.text()? == "Known";
        let run = reply.run()?;
        if known {
            return Ok(Submitted::Known(run));
        }
        self.stored.keep(tenant, bodies);
        self.ends.keep(&run, end);
        Ok(Submitted::New(run))
    }

    pub(crate) async fn heartbeat(
        &self,
        held: &[Held],
        ttl_ms: u64,
    ) -> Result<Vec<Heard>, LedgerError> {
        baton_ledger::check_heartbeat(held)?;
        let counted = Arguments::new().span_ms(ttl_ms).count(held.len());
        let arguments =
            held.iter().fold(counted, |arguments, held| arguments.held(&held.task, &held.token));
        let mut reply = match self.store.call(Name::Heartbeat, arguments).await? {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, details) => return Err(refused(&why, details)?),
        };
        let mut heard = || {
            Ok(match reply.text()?.as_str() {
                "Extended" => Heard::Extended,
                "Abandon" => Heard::Abandon,
                _ => Heard::Lost,
            })
        };
        held.iter().map(|_| heard()).collect()
    }

    pub(crate) async fn reserve(
        &self,
        held: &Held,
        call: u64,
        amount: Spend,
    ) -> Result<(), LedgerError> {
        let arguments = Arguments::new().held(&held.task, &held.token).number(call).spend(&amount);
        self.write(Name::Reserve, arguments).await.map(|_| ())
    }

    pub(crate) async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        let arguments = Arguments::new()
            .held(&held.task, &held.token)
            .number(call)
            .spend(&reserved)
            .spend(&spent);
        self.write(Name::Settle, arguments).await.map(|_| ())
    }

    pub(crate) async fn complete(
        &self,
        held: &Held,
        completion: Completion,
    ) -> Result<Recorded, LedgerError> {
        completion.check(held)?;
        let arguments = Arguments::new()
            .held(&held.task, &held.token)
            .bytes(&completion.outcome)
            .spend(&completion.spend)
            .flag(completion.estimated)
            .bodies(&completion.bodies);
        self.write(Name::Complete, arguments).await
    }

    pub(crate) async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        baton_ledger::check_start(held)?;
        self.write(Name::Start, Arguments::new().held(&held.task, &held.token)).await
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        commit.check()?;
        let run = commit.task.run.clone();
        let expected = commit.journal_len;
        match self.store.call(Name::Commit, committing(&commit)?).await? {
            Answer::Ok(_) => Ok(Recorded::Now),
            Answer::Refused(why, mut details) => match why.as_str() {
                "AlreadyDone" => Ok(Recorded::AlreadyDone),
                "JournalMoved" => {
                    let found = details.parse("a length")?;
                    Err(LedgerError::JournalMoved { run, expected, found })
                }
                other => Err(refused(other, details)?),
            },
        }
    }

    pub(crate) async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        baton_ledger::check_park(held)?;
        self.write(Name::Park, Arguments::new().held(&held.task, &held.token)).await
    }

    pub(crate) async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        let arguments = Arguments::new().count(max.min(BATCH_MAX));
        let mut reply = match self.store.call(Name::Tick, arguments).await? {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, details) => return Err(refused(&why, details)?),
        };
        let (timers, leases) = (reply.parse("a count")?, reply.parse("a count")?);
        let next = reply.text()?;
        let next_ms = if next.is_empty() { None } else { next.parse().ok() };
        Ok(Ticked { timers, leases, next_ms })
    }

    pub(crate) async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        baton_ledger::check_holder(holder)?;
        housekeeping::reap(&self.store, holder, silent_ms).await
    }

    pub(crate) async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        signal.check()?;
        let Signal { run, key, event, bodies } = &signal;
        let arguments = Arguments::new().bytes(run.as_str()).bytes(key).bytes(event).bodies(bodies);
        let mut reply = match self.store.call(Name::Signal, arguments).await? {
            Answer::Ok(reply) => reply,
            Answer::Refused(why, _) if why == "TooManySignals" => {
                return Err(too_many_signals(run));
            }
            Answer::Refused(..) => return Err(LedgerError::NoSuchRun(run.clone())),
        };
        Ok(match reply.text()?.as_str() {
            "Delivered" => Signalled::Delivered,
            "AlreadyDelivered" => Signalled::AlreadyDelivered,
            "Expired" => Signalled::Expired,
            _ => Signalled::AlreadyEnded,
        })
    }

    pub(crate) async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        baton_ledger::check_reason(reason)?;
        let arguments = Arguments::new().bytes(run.as_str()).bytes(reason);
        let mut reply = self.of_run(Name::Cancel, run, arguments).await?;
        Ok(match reply.text()?.as_str() {
            "Asked" => Cancelled::Asked,
            "AlreadyAsked" => Cancelled::AlreadyAsked,
            _ => Cancelled::AlreadyEnded,
        })
    }

    pub(crate) async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        let arguments =
            Arguments::new().bytes(run.as_str()).number(from).count(READ_MAX).count(BATCH_MAX);
        let mut reply = self.of_run(Name::Read, run, arguments).await?;
        view(&mut reply)
    }

    pub(crate) async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        let begun = if from == END { self.ends.take(run) } else { None };
        let (store, waker) = (self.store.clone(), self.waker.clone());
        let stream = watch::open(store, waker, run, from, begun).await?;
        Ok(Box::pin(stream))
    }

    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        baton_ledger::check_list(limit)?;
        let arguments = Arguments::new()
            .bytes(tenant.as_str())
            .count(limit)
            .bytes(before.map_or("", |run| run.as_str()));
        let mut reply = match (self.store.call(Name::List, arguments).await?, before) {
            (Answer::Ok(reply), _) => reply,
            (Answer::Refused(..), Some(run)) => return Err(LedgerError::NoSuchRun(run.clone())),
            (Answer::Refused(why, details), None) => return Err(refused(&why, details)?),
        };
        let mut runs = Vec::new();
        while !reply.is_empty() {
            runs.push(summary(&mut reply)?);
        }
        Ok(runs)
    }

    pub(crate) async fn body(
        &self,
        tenant: &TenantId,
        body: &BodyRef,
    ) -> Result<Bytes, LedgerError> {
        let key = format!("{}body:{tenant}:{}", self.store.base(), body.hash);
        match self.store.command(redis::cmd("GET").arg(key)).await? {
            redis::Value::BulkString(bytes) if bytes.len() == body.len as usize => Ok(bytes.into()),
            _ => Err(LedgerError::NoSuchBody(body.hash.to_string())),
        }
    }

    pub(crate) async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        housekeeping::reconcile(&self.store, max).await
    }

    pub(crate) async fn retain(
        &self,
        rules: &Retention,
        max: usize,
    ) -> Result<Retained, LedgerError> {
        housekeeping::retain(&self.store, rules, max).await
    }

    pub(crate) async fn stats(&self) -> Result<Stats, LedgerError> {
        stats::read(&self.store).await
    }

    /// The files of this shard's server, named after it where there are several.
    pub(crate) async fn files(&self, server: Option<&str>) -> Result<Vec<FileStats>, LedgerError> {
        stats::files(&self.store, server).await
    }

    /// The newest runs that are older than `before`, where that is of this shard, else than
    /// its time of submission.
    pub(crate) async fn list_until(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
        until: Option<Timestamp>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        let (Some(before), Some(until)) = (before, until) else {
            return self.list(tenant, limit, None).await;
        };
        match self.list(tenant, limit, Some(before)).await {
            Err(LedgerError::NoSuchRun(_)) => {}
            found => return found,
        }
        let (mut older, mut from) = (Vec::new(), None);
        while older.len() < limit {
            let page = self.list(tenant, PAGE, from.as_ref()).await?;
            let whole = page.len() == PAGE;
            from = page.last().map(|run| run.run.clone());
            let is_older = |run: &RunSummary| (run.submitted_at, &run.run) < (until, before);
            older.extend(page.into_iter().filter(is_older));
            if !whole {
                break;
            }
        }
        older.truncate(limit);
        Ok(older)
    }
}

impl Shard {
    /// For scripts about one run that are refused only where there is no such run.
    async fn of_run(
        &self,
        name: Name,
        run: &RunId,
        arguments: Arguments,
    ) -> Result<Reply, LedgerError> {
        match self.store.call(name, arguments).await? {
            Answer::Ok(reply) => Ok(reply),
            Answer::Refused(..) => Err(LedgerError::NoSuchRun(run.clone())),
        }
    }
}
