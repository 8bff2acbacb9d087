//! Who is next: stride scheduling among tenants, priority and age within one.
//!
//! Each class has a ring of the tenants that have something waiting there, ordered by
//! pass. The tenant with the smallest pass is served, and its pass moves on by
//! `cost * 1000 / weight`. A tenant that comes back starts where it was, but no further than
//! a few tasks before the ring's present: one who asks for less than its share stands behind
//! nobody, and nobody saves up a claim by staying away. Where nothing waits, nobody was kept
//! waiting: all that come from then on start alike (Goyal, Vin, Cheng: "Start-time Fair
//! Queueing", SIGCOMM 1996). A tenant at its cap leaves all rings until one of its leases
//! ends.

use crate::{BURST_TASKS, Class, Inventory, QueueStats, TenantTerms, check::PRIORITY_MAX};
use baton_workflow::{TaskId, TenantId};
use foldhash::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Resolution of passes: what a cost of 1 moves a tenant of weight 1.
const STRIDE: u64 = 1000;

/// A task's place among those of its tenant: priority, then age.
pub(crate) type Place = (u8, u64);

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    rings: HashMap<Class, Ring>,
    shares: HashMap<TenantId, Share>,
    ready: BTreeSet<Class>,
}

#[derive(Debug, Default)]
struct Share {
    terms: TenantTerms,
    /// Whether the terms were set.
    told: bool,
    leased: u32,
    /// Classes where the tenant has tasks that its cap keeps waiting.
    capped: BTreeSet<Class>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Virtual time: the pass at which the last task was handed out.
    now: u64,
    /// Virtual time since which something has been waiting all the while.
    start: u64,
    /// The furthest pass of all.
    most: u64,
    runnable: BTreeSet<(u64, TenantId)>,
    lines: HashMap<TenantId, Line>,
}

#[derive(Debug, Default)]
struct Line {
    pass: u64,
    /// Tasks handed out, `decide` among them.
    leased: u64,
    waiting: BTreeMap<Place, (TaskId, u64)>,
}

/// What a task moves its tenant on.
fn stride(cost: u64, terms: TenantTerms) -> u64 {
    (cost.saturating_mul(STRIDE) / u64::from(terms.weight.max(1))).max(1)
}

impl Ring {
    /// Whether the tenant entered just now.
    fn enter(&mut self, tenant: &TenantId, terms: TenantTerms) -> bool {
        let Some(line) = self.lines.get_mut(tenant) else { return false };
        let Some((_, (_, cost))) = line.waiting.first_key_value() else { return false };
        if self.runnable.contains(&(line.pass, tenant.clone())) {
            return false;
        }
        let earliest = self.now.saturating_sub(stride(*cost, terms).saturating_mul(BURST_TASKS));
        line.pass = line.pass.max(earliest).max(self.start);
        self.runnable.insert((line.pass, tenant.clone()))
    }

    fn leave(&mut self, place: &(u64, TenantId)) {
        self.runnable.remove(place);
        if self.runnable.is_empty() {
            (self.now, self.start) = (self.most, self.most);
        }
    }
}

impl Queues {
    /// What the tenant is entitled to.
    pub(crate) fn terms(&self, tenant: &TenantId) -> TenantTerms {
        self.shares.get(tenant).map(|share| share.terms).unwrap_or_default()
    }

    /// Changes what the tenant is entitled to, from its next task on.
    pub(crate) fn set_terms(&mut self, tenant: &TenantId, terms: TenantTerms) {
        let share = self.shares.entry(tenant.clone()).or_default();
        (share.terms, share.told) = (terms, true);
        self.uncap(tenant);
    }

    /// Where tasks wait that may be handed out, and what tenants are entitled to.
    pub(crate) fn inventory(&self) -> Inventory {
        let busy = self.rings.iter().filter(|(_, ring)| !ring.runnable.is_empty());
        let mut waiting: Vec<_> = busy.map(|(class, _)| class.clone()).collect();
        waiting.sort();
        let told = self.shares.iter().filter(|(_, share)| share.told);
        let mut terms: Vec<_> = told.map(|(id, share)| (id.clone(), share.terms)).collect();
        terms.sort_by(|(one, _), (other, _)| one.cmp(other));
        Inventory { waiting, terms }
    }

    /// Puts a task in.
    pub(crate) fn push(
        &mut self,
        class: &Class,
        tenant: &TenantId,
        place: Place,
        task: TaskId,
        cost: u64,
    ) {
        let ring = self.rings.entry(class.clone()).or_default();
        let line = ring.lines.entry(tenant.clone()).or_default();
        line.waiting.insert(place, (task, cost));
        let share = self.shares.get(tenant);
        if !share.is_some_and(|share| share.capped.contains(class)) {
            ring.enter(tenant, share.map(|share| share.terms).unwrap_or_default());
            self.ready.insert(class.clone());
        }
    }

    /// Takes a task out that will not be handed out.
    pub(crate) fn remove(&mut self, class: &Class, tenant: &TenantId, place: Place) {
        let Some(ring) = self.rings.get_mut(class) else { return };
        let Some(line) = ring.lines.get_mut(tenant) else { return };
        line.waiting.remove(&place);
        if line.waiting.is_empty() {
            let place = (line.pass, tenant.clone());
            ring.leave(&place);
        }
    }

    /// The task whose turn it is in a class.
    pub(crate) fn next(&mut self, class: &Class) -> Option<TaskId> {
        let ring = self.rings.get_mut(class)?;
        loop {
            let (pass, tenant) = ring.runnable.first()?.clone();
            let share = self.shares.entry(tenant.clone()).or_default();
            if *class != Class::decide() && share.leased >= share.terms.leased_max {
                ring.leave(&(pass, tenant));
                share.capped.insert(class.clone());
                continue;
            }
            let line = ring.lines.get(&tenant)?;
            return line.waiting.first_key_value().map(|(_, (task, _))| task.clone());
        }
    }

    /// Hands out the task that was [`Queues::next`], and charges its tenant for it.
    pub(crate) fn take(&mut self, class: &Class, tenant: &TenantId) {
        let Some(ring) = self.rings.get_mut(class) else { return };
        let Some(line) = ring.lines.get_mut(tenant) else { return };
        let Some((_, (_, cost))) = line.waiting.pop_first() else { return };
        let share = self.shares.entry(tenant.clone()).or_default();
        let was = (line.pass, tenant.clone());
        ring.now = ring.now.max(line.pass);
        line.pass = line.pass.saturating_add(stride(cost, share.terms));
        line.leased += 1;
        ring.most = ring.most.max(line.pass);
        if !line.waiting.is_empty() {
            ring.runnable.insert((line.pass, tenant.clone()));
        }
        ring.leave(&was);
        if *class != Class::decide() {
            share.leased = share.leased.saturating_add(1);
        }
    }

    /// A lease of the tenant's ended.
    pub(crate) fn release(&mut self, class: &Class, tenant: &TenantId) {
        let line = self.rings.get_mut(class).and_then(|ring| ring.lines.get_mut(tenant));
        if let Some(line) = line {
            // Leases from before this opening were never counted.
            line.leased = line.leased.saturating_sub(1);
        }
        if *class != Class::decide()
            && let Some(share) = self.shares.get_mut(tenant)
        {
            share.leased = share.leased.saturating_sub(1);
            self.uncap(tenant);
        }
    }

    /// Classes that have got something to hand out since this was asked last.
    pub(crate) fn take_ready(&mut self) -> BTreeSet<Class> {
        std::mem::take(&mut self.ready)
    }

    /// All queues with tasks in them, in no order; how old these are is not told.
    pub(crate) fn counts(&self) -> Vec<QueueStats> {
        let lines = self.rings.iter().flat_map(|(class, ring)| {
            ring.lines.iter().map(move |(tenant, line)| {
                QueueStats::counted(class, tenant, line.waiting.len() as u64, line.leased)
            })
        });
        lines.filter(|queue| queue.queued + queue.leased > 0).collect()
    }

    /// The first task of each priority in a queue.
    pub(crate) fn firsts(&self, class: &Class, tenant: &TenantId) -> impl Iterator<Item = &TaskId> {
        let line = self.rings.get(class).and_then(|ring| ring.lines.get(tenant));
        (0..=PRIORITY_MAX).filter_map(move |priority| {
            let (_, (task, _)) =
                line?.waiting.range((priority, 0)..=(priority, u64::MAX)).next()?;
            Some(task)
        })
    }

    /// Work was left undone in this class: look again.
    pub(crate) fn stir(&mut self, class: &Class) {
        self.ready.insert(class.clone());
    }

    fn uncap(&mut self, tenant: &TenantId) {
        let Some(share) = self.shares.get_mut(tenant) else { return };
        if share.leased >= share.terms.leased_max {
            return;
        }
        for class in std::mem::take(&mut share.capped) {
            if let Some(ring) = self.rings.get_mut(&class)
                && ring.enter(tenant, share.terms)
            {
                self.ready.insert(class);
            }
        }
    }
}
