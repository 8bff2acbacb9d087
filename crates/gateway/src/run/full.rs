//! Tenants who were told a moment ago that they have enough under way. Who asks right after
//! is told the same without anybody being asked: in an overload, most of the work is to
//! refuse.

use crate::{
    error::ApiError,
    limits::{FULL_FOR, FULL_TENANTS_MAX},
};
use baton_codes::ApiCode;
use baton_workflow::TenantId;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Full {
    told: Mutex<HashMap<TenantId, (Instant, ApiError)>>,
}

impl Full {
    /// What the tenant was told a moment ago, if it was.
    pub(crate) fn refusal(&self, tenant: &TenantId) -> Option<ApiError> {
        let told = self.lock();
        let (at, error) = told.get(tenant)?;
        (at.elapsed() < FULL_FOR).then(|| error.clone())
    }

    /// A Conductor refused a run of the tenant; of interest if that is because of its queue.
    pub(crate) fn note(&self, tenant: &TenantId, error: &ApiError) {
        if error.code != ApiCode::QueueFull {
            return;
        }
        let mut told = self.lock();
        if told.len() >= FULL_TENANTS_MAX {
            told.retain(|_, (at, _)| at.elapsed() < FULL_FOR);
        }
        if told.len() < FULL_TENANTS_MAX {
            told.insert(tenant.clone(), (Instant::now(), error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, (Instant, ApiError)>> {
        // Entries are whole between any two operations, whoever panicked.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_counts_for_a_moment_and_for_its_tenant_alone() {
        let tenant = |id: &str| TenantId::new(id).unwrap();
        let full = Full::default();
        let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, ApiCode::QueueFull, "7");
        let other = ApiError::new(StatusCode::TOO_MANY_REQUESTS, ApiCode::RateLimitExceeded, "8");
        full.note(&tenant("b"), &other);
        full.note(&tenant("a"), &refused);
        assert_eq!(full.refusal(&tenant("a")), Some(refused.clone()));
        assert_eq!(full.refusal(&tenant("b")), None);
        tokio::time::advance(FULL_FOR).await;
        assert_eq!(full.refusal(&tenant("a")), None);
        for number in 0..2 * FULL_TENANTS_MAX {
            full.note(&tenant(&format!("t{number}")), &refused);
        }
        assert_eq!(full.lock().len(), FULL_TENANTS_MAX);
    }
}
