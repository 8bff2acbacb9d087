//! Deleting finished runs: the oldest by the time of their end, then those of tenants
//! that have too many.

use super::{Head, Progress, State, view::finished};
use crate::{
    LedgerError, Retained, Retention,
    embedded::{
        row::{self, Kind, Known, decode},
        store::Store,
    },
};
use baton_workflow::{RunId, TenantId, Timestamp};

/// Rows that one call deletes, unless a single run has more: bounds the batch.
const ROWS_MAX: usize = 4096;
/// Rows read at a time.
const PAGE: usize = 1024;
/// Runs looked at in one call for each rule, so that those whose keys are still young do
/// not hold a call up.
const LOOKED_MAX: usize = 1024;

/// What one call may still do.
struct Room {
    runs: usize,
    rows: usize,
}

impl Room {
    fn left(&self) -> bool {
        self.runs > 0 && self.rows > 0
    }
}

impl State {
    /// See [`crate::Ledger::retain`].
    pub(crate) fn retain(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        rules: &Retention,
        max: usize,
    ) -> Result<Retained, LedgerError> {
        let mut room = Room { runs: max, rows: ROWS_MAX };
        if let Some(until) = rules.by_age(now) {
            let prefix = row::kind(Kind::Over);
            for (key, root) in store.behind(&prefix, &prefix, LOOKED_MAX)? {
                if !room.left() || row::ended_at(&key)? > until {
                    break;
                }
                self.delete(store, now, rules, &decode(&root)?, &mut room)?;
            }
        }
        if let Some(most) = rules.runs_max {
            let counted = self.finished.iter().map(|(tenant, finished)| {
                let ended = self.roots.get(tenant).map_or(0, super::Roots::ended);
                (tenant.clone(), (finished + ended).saturating_sub(most))
            });
            let above: Vec<_> = counted.filter(|(_, above)| *above > 0).collect();
            for (tenant, above) in above {
                self.delete_oldest(store, now, rules, &tenant, above, &mut room)?;
            }
        }
        Ok(Retained { deleted: max - room.runs, more: !room.left() && max > 0 })
    }

    fn delete_oldest(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        rules: &Retention,
        tenant: &TenantId,
        mut above: u64,
        room: &mut Room,
    ) -> Result<(), LedgerError> {
        let prefix = row::of(Kind::Root, tenant.as_str());
        for (_, root) in store.behind(&prefix, &prefix, LOOKED_MAX)? {
            if above == 0 || !room.left() {
                break;
            }
            let before = room.runs;
            self.delete(store, now, rules, &decode(&root)?, room)?;
            above -= (before - room.runs) as u64;
        }
        Ok(())
    }

    /// Deletes a root run with all below it, if it is finished and its key is old enough.
    fn delete(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        rules: &Retention,
        root: &RunId,
        room: &mut Room,
    ) -> Result<(), LedgerError> {
        // In memory: something of it is still under way. Deleted: in this very batch.
        if self.run(root).is_some() || self.changes.is_deleted(root) {
            return Ok(());
        }
        let (head, progress) = finished(store, root)?.into_parts();
        let ended_at = ended_at(&progress);
        if head.key.is_some() && ended_at.plus_ms(rules.keys_ms) > now {
            return Ok(());
        }
        let mut rows = self.delete_bodies(store, &head.tenant, root)?;
        for id in tree(store, root)? {
            rows += self.delete_run(store, &id)?;
        }
        if let Some(key) = &head.key {
            let row = row::named(Kind::Key, head.tenant.as_str(), key);
            let known: Option<Known> = store.get(&row)?.map(|bytes| decode(&bytes)).transpose()?;
            if known.is_some_and(|known| known.run == *root) {
                self.changes.delete(row);
            }
        }
        self.changes.delete(row::root(&head.tenant, head.order));
        self.changes.delete(row::over(ended_at, root));
        self.changes.deleted(root);
        self.count_finished(&head.tenant, -1);
        room.runs -= 1;
        room.rows = room.rows.saturating_sub(rows);
        Ok(())
    }

    /// All rows that belong to one run alone.
    fn delete_run(&mut self, store: &dyn Store, id: &RunId) -> Result<usize, LedgerError> {
        let mut rows = 2;
        self.changes.delete(row::of(Kind::Head, id.as_str()));
        self.changes.delete(row::of(Kind::Finished, id.as_str()));
        for kind in RUN_KINDS {
            let prefix = row::of(kind, id.as_str());
            let mut after = prefix.clone();
            loop {
                let page = store.behind(&prefix, &after, PAGE)?;
                rows += page.len();
                let Some((last, _)) = page.last() else { break };
                after.clone_from(last);
                page.into_iter().for_each(|(key, _)| self.changes.delete(key));
            }
        }
        Ok(rows)
    }

    /// Bodies that no other run of the tenant has.
    fn delete_bodies(
        &mut self,
        store: &dyn Store,
        tenant: &TenantId,
        root: &RunId,
    ) -> Result<usize, LedgerError> {
        let prefix = row::of(Kind::Use, root.as_str());
        let (mut rows, mut after) = (0, prefix.clone());
        loop {
            let page = store.behind(&prefix, &after, PAGE)?;
            rows += page.len();
            let Some((last, _)) = page.last() else { return Ok(rows) };
            after.clone_from(last);
            for (key, _) in page {
                let hash = row::text_behind(&key, prefix.len())?.to_owned();
                self.unuse_body(store, tenant, &hash)?;
                self.changes.delete(key);
            }
        }
    }
}

/// What a run has any number of.
const RUN_KINDS: [Kind; 6] =
    [Kind::Journal, Kind::Task, Kind::TaskHead, Kind::Mail, Kind::Timer, Kind::Signal];

/// A run and all below it. A child is named after its parent, but not everything that is
/// named so is a child.
fn tree(store: &dyn Store, root: &RunId) -> Result<Vec<RunId>, LedgerError> {
    let mut tree = vec![root.clone()];
    let mut prefix = row::kind(Kind::Head);
    prefix.extend_from_slice(format!("{root}-").as_bytes());
    let mut after = prefix.clone();
    loop {
        let page = store.behind(&prefix, &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(tree) };
        after.clone_from(last);
        for (key, value) in &page {
            let head: Head = decode(value)?;
            if head.root == *root {
                tree.push(row::run_named_by(key)?);
            }
        }
    }
}

/// A finished root run has an end.
pub(super) fn ended_at(progress: &Progress) -> Timestamp {
    progress.ended.as_ref().map_or(Timestamp(0), |(at, _)| *at)
}
