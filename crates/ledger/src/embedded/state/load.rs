//! What was under way when the file was last closed, or its process died.

use super::{Head, Progress, Run, Standing, State, Task, TaskHead, TaskProgress};
use crate::{
    LedgerError,
    embedded::{
        row::{self, Kind, Known, corrupt, decode},
        store::Store,
    },
};
use baton_workflow::{RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use foldhash::HashSet;
use std::collections::{BTreeMap, VecDeque};

/// Rows read at a time.
const PAGE: usize = 1024;

impl State {
    /// Reads all trees that are not finished. Leases from before are void: each is taken
    /// back as if it had expired.
    pub(crate) fn load(store: &dyn Store, epoch: u64, now: Timestamp) -> Result<Self, LedgerError> {
        let mut state = Self::new(epoch);
        each(store, &row::kind(Kind::Tenant), |key, value| {
            let tenant = row::text_behind(key.strip_suffix(&[0]).unwrap_or(key), 1)?;
            state.queues.set_terms(&id(TenantId::new(tenant))?, decode(value)?);
            Ok(())
        })?;
        if let Some(totals) = store.get(row::TOTALS)? {
            state.totals = decode(&totals)?;
        }
        each(store, &row::kind(Kind::Kept), |key, value| {
            let tenant = row::text_behind(key.strip_suffix(&[0]).unwrap_or(key), 1)?;
            state.finished.insert(id(TenantId::new(tenant))?, decode(value)?);
            Ok(())
        })?;
        let mut live = Vec::new();
        each(store, &row::kind(Kind::Live), |key, value| {
            let run = row::text_behind(key.strip_suffix(&[0]).unwrap_or(key), 1)?;
            live.push((id(RunId::new(run))?, decode(value)?));
            Ok(())
        })?;
        for (id, progress) in live {
            state.load_run(store, id, progress)?;
        }
        state.join_trees(store)?;
        state.requeue(now)?;
        // Nobody watches yet.
        state.notices.clear();
        Ok(state)
    }

    fn load_run(
        &mut self,
        store: &dyn Store,
        id: RunId,
        progress: Progress,
    ) -> Result<(), LedgerError> {
        let name = id.as_str();
        let head = store.get(&row::of(Kind::Head, name))?;
        let head: Head = decode(&head.ok_or_else(|| corrupt("a run without its head"))?)?;
        let (mut journal, mut mails) = (Vec::new(), VecDeque::new());
        each(store, &row::of(Kind::Journal, name), |_, value| {
            journal.push(decode(value)?);
            Ok(())
        })?;
        each(store, &row::of(Kind::Mail, name), |_, value| {
            mails.push_back(decode(value)?);
            Ok(())
        })?;
        let mut timers: BTreeMap<String, Timestamp> = BTreeMap::new();
        let prefix = row::of(Kind::Timer, name);
        each(store, &prefix, |key, value| {
            timers.insert(row::text_behind(key, prefix.len())?.to_owned(), decode(value)?);
            Ok(())
        })?;
        let mut signals: BTreeMap<String, bool> = BTreeMap::new();
        let prefix = row::of(Kind::Signal, name);
        each(store, &prefix, |key, value| {
            signals.insert(row::text_behind(key, prefix.len())?.to_owned(), decode(value)?);
            Ok(())
        })?;
        let mut bodies = HashSet::default();
        let prefix = row::of(Kind::Use, name);
        each(store, &prefix, |key, _| {
            bodies.insert(row::text_behind(key, prefix.len())?.into());
            Ok(())
        })?;
        let mut heads = BTreeMap::new();
        each(store, &row::of(Kind::TaskHead, name), |key, value| {
            heads.insert(row::number_of(key)?, decode::<TaskHead>(value)?);
            Ok(())
        })?;
        let mut tasks = BTreeMap::new();
        each(store, &row::of(Kind::Task, name), |key, value| {
            let number = row::number_of(key)?;
            let progress: TaskProgress = decode(value)?;
            let head = heads.remove(&number).unwrap_or_else(over);
            let number = u32::try_from(number).map_err(|_| corrupt("a task's number"))?;
            tasks.insert(number, Task { head, progress, lease: None });
            Ok(())
        })?;
        self.timers.extend(timers.iter().map(|(name, due)| (*due, id.clone(), name.clone())));
        let run = Run {
            head,
            progress,
            journal,
            mails,
            tasks,
            timers,
            signals,
            children: BTreeMap::new(),
            bodies,
            reserved: Spend::ZERO,
            pending: 0,
            told_to_stop: false,
            parked: None,
        };
        self.runs.insert(id, run);
        Ok(())
    }

    /// Restores what runs know of each other.
    fn join_trees(&mut self, store: &dyn Store) -> Result<(), LedgerError> {
        let ids: Vec<RunId> = self.runs.keys().cloned().collect();
        for id in ids {
            let Some(run) = self.runs.get(&id) else { continue };
            let (head, ended) = (run.head.clone(), run.progress.ended.is_some());
            let mut pending = u64::from(!ended);
            let mut reserved = Spend::ZERO;
            for task in run.tasks.values() {
                if let Some((_, amount)) = task.progress.standing.held() {
                    pending += 1;
                    reserved = reserved.plus(amount);
                }
            }
            let root = self.runs.get_mut(&head.root);
            let root = root.ok_or_else(|| corrupt("a run without its root"))?;
            root.pending += pending;
            root.reserved = root.reserved.plus(reserved);
            match head.parent {
                Some((parent, number)) => {
                    let parent = self.runs.get_mut(&parent);
                    let parent = parent.ok_or_else(|| corrupt("a run without its parent"))?;
                    parent.children.insert(number, id);
                }
                None => {
                    let roots = self.roots.entry(head.tenant.clone()).or_default();
                    roots.by_order.insert(head.order, id);
                    roots.unended += u64::from(!ended);
                    self.load_key(store, &head.tenant, head.key)?;
                }
            }
        }
        Ok(())
    }

    fn load_key(
        &mut self,
        store: &dyn Store,
        tenant: &TenantId,
        key: Option<String>,
    ) -> Result<(), LedgerError> {
        let Some(key) = key else { return Ok(()) };
        let known = store.get(&row::named(Kind::Key, tenant.as_str(), &key))?;
        let known: Known = decode(&known.ok_or_else(|| corrupt("a key without its run"))?)?;
        self.keys.insert((tenant.clone(), key), known);
        Ok(())
    }

    /// Puts what waited back into its queue, and takes back what was leased.
    fn requeue(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let mut leased = Vec::new();
        for (run_id, run) in &self.runs {
            for (number, task) in &run.tasks {
                let id = TaskId { run: run_id.clone(), number: *number };
                let head = &task.head;
                match task.progress.standing {
                    Standing::Queued => {
                        let place = (head.priority, head.age);
                        self.queues.push(&head.class, &run.head.tenant, place, id, head.cost);
                    }
                    Standing::Leased(..) | Standing::Started(..) => leased.push(id),
                    Standing::Done(_) | Standing::Gone => {}
                }
            }
        }
        leased.iter().try_for_each(|id| self.expire(now, id))?;
        let runs = self.runs.keys().filter(|id| self.has_to_decide(id));
        let deciding: Vec<RunId> = runs.cloned().collect();
        deciding.iter().try_for_each(|id| self.ensure_decide(now, id))
    }

    /// Whether a run has mail that no decision saw, is told to stop, or has nothing else
    /// to wait for.
    fn has_to_decide(&self, id: &RunId) -> bool {
        let Some(run) = self.run(id) else { return false };
        let open = run.tasks.values().any(|task| task.progress.standing.is_open());
        let below = run.children.values().any(|child| !self.is_ended(child));
        let waits = open || below || !run.timers.is_empty();
        run.progress.mail_last > run.progress.mail_seen || !waits || self.is_cancelled(id)
    }
}

/// The head of a task that is over: nobody looks at it.
fn over() -> TaskHead {
    let (class, payload) = (crate::Class::from_text(""), Bytes::new());
    let reserve = Spend::ZERO;
    TaskHead { class, priority: 0, age: 0, cost: 1, reserve, payload, made_at: Timestamp(0) }
}

fn id<T, E: std::fmt::Display>(id: Result<T, E>) -> Result<T, LedgerError> {
    id.map_err(|error| corrupt(&error.to_string()))
}

/// Every row whose key starts with `prefix`, in order.
fn each(
    store: &dyn Store,
    prefix: &[u8],
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut after = prefix.to_vec();
    loop {
        let rows = store.behind(prefix, &after, PAGE)?;
        for (key, value) in &rows {
            row(key, value)?;
        }
        match rows.into_iter().next_back() {
            Some((key, _)) => after = key,
            None => return Ok(()),
        }
    }
}
