//! Bodies: kept once for each tenant, until no run has them any more.
//!
//! A root run's tree counts once for each body that was written for it. The first one
//! leaves only the note that it has the body; how many more there are is counted.

use super::State;
use crate::{
    Body, LedgerError,
    embedded::{
        row::{self, Kind, decode},
        store::Store,
    },
};
use baton_workflow::{BodyRef, RunId, TenantId};

impl State {
    /// Keeps bodies for a run. One that the tenant has is not written again.
    pub(super) fn keep_bodies(
        &mut self,
        store: &dyn Store,
        tenant: &TenantId,
        root: &RunId,
        bodies: Vec<Body>,
    ) -> Result<(), LedgerError> {
        for body in bodies {
            let hash = body.name.hash.clone();
            let known = self.runs.get_mut(root).is_some_and(|run| !run.bodies.insert(hash.clone()));
            if known {
                continue;
            }
            self.changes.put(row::named(Kind::Use, root.as_str(), &hash), &())?;
            if self.has_body(store, tenant, &body.name)? {
                let others = self.others(store, tenant, &hash)?;
                self.changes
                    .put(row::named(Kind::Shared, tenant.as_str(), &hash), &(others + 1))?;
                continue;
            }
            self.totals.bodies += 1;
            self.totals.body_bytes += body.bytes.len() as u64;
            self.changes.totals();
            self.changes.body(tenant, body);
        }
        Ok(())
    }

    /// A run does not have a body any more.
    pub(super) fn unuse_body(
        &mut self,
        store: &dyn Store,
        tenant: &TenantId,
        hash: &str,
    ) -> Result<(), LedgerError> {
        let shared = row::named(Kind::Shared, tenant.as_str(), hash);
        match self.others(store, tenant, hash)? {
            0 => {
                let key = row::named(Kind::Body, tenant.as_str(), hash);
                let bytes = store.get(&key)?.map_or(0, |bytes| bytes.len() as u64);
                self.totals.bodies = self.totals.bodies.saturating_sub(1);
                self.totals.body_bytes = self.totals.body_bytes.saturating_sub(bytes);
                self.changes.totals();
                self.changes.delete(key);
            }
            1 => self.changes.delete(shared),
            others => self.changes.put(shared, &(others - 1))?,
        }
        Ok(())
    }

    fn has_body(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        name: &BodyRef,
    ) -> Result<bool, LedgerError> {
        if self.changes.has_body(tenant, name) {
            return Ok(true);
        }
        let key = row::named(Kind::Body, tenant.as_str(), &name.hash);
        Ok(!self.changes.deletes(&key) && store.get(&key)?.is_some())
    }

    /// Trees that have the body, besides one.
    fn others(&self, store: &dyn Store, tenant: &TenantId, hash: &str) -> Result<u64, LedgerError> {
        let key = row::named(Kind::Shared, tenant.as_str(), hash);
        let bytes = match self.changes.get(&key) {
            Some(changed) => changed.map(decode).transpose()?,
            None => store.get(&key)?.map(|bytes| decode(&bytes)).transpose()?,
        };
        Ok(bytes.unwrap_or(0))
    }
}
