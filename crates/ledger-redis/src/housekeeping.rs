//! Reconciling and deleting, each as one call of one script.

use crate::{
    reply::Reply,
    request::Arguments,
    scripts::Name,
    store::{Answer, Store},
};
use baton_ledger::{BATCH_MAX, LedgerError, Reaped, Reconciled, Retained, Retention};
use std::sync::Arc;

pub(crate) async fn reconcile(store: &Arc<Store>, max: usize) -> Result<Reconciled, LedgerError> {
    let arguments = Arguments::new().count(max.min(BATCH_MAX));
    let mut reply = answered(store, Name::Reconcile, arguments).await?;
    Ok(Reconciled { looked: reply.parse("a count")?, revived: reply.parse("a count")? })
}

pub(crate) async fn reap(
    store: &Arc<Store>,
    holder: &str,
    silent_ms: u64,
) -> Result<Reaped, LedgerError> {
    let arguments = Arguments::new().bytes(holder).span_ms(silent_ms).count(BATCH_MAX);
    let mut reply = answered(store, Name::Reap, arguments).await?;
    Ok(Reaped { leases: reply.parse("a count")?, more: reply.flag()? })
}

pub(crate) async fn retain(
    store: &Arc<Store>,
    rules: &Retention,
    max: usize,
) -> Result<Retained, LedgerError> {
    // The age is the server's to reckon with: it has the clock.
    let arguments = Arguments::new()
        .bytes(rules.finished_ms.map_or(String::new(), |ms| ms.to_string()))
        .bytes(rules.runs_max.map_or(String::new(), |runs| runs.to_string()))
        .span_ms(rules.keys_ms)
        .count(max.min(BATCH_MAX));
    let mut reply = answered(store, Name::Retain, arguments).await?;
    Ok(Retained { deleted: reply.parse("a count")?, more: reply.flag()? })
}

async fn answered(
    store: &Arc<Store>,
    name: Name,
    arguments: Arguments,
) -> Result<Reply, LedgerError> {
    match store.call(name, arguments).await? {
        Answer::Ok(reply) => Ok(reply),
        Answer::Refused(why, _) => Err(LedgerError::Unusable(why)),
    }
}
