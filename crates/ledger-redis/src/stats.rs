//! The ledger in numbers: a script's counts, and what the server says of its files.

use crate::{
    reply::Reply,
    request::Arguments,
    scripts::Name,
    store::{Answer, Store},
};
use baton_ledger::{Class, FileStats, LedgerError, QueueStats, QueueSums, STATS_QUEUES_MAX, Stats};
use redis::{Value, from_redis_value};
use std::sync::Arc;

/// What stands for files: the names shown, and the server's own.
const SIZES: [(&str, &str); 2] =
    [("append-only file (of the whole server)", "aof_current_size:"), ("memory", "used_memory:")];

pub(crate) async fn read(store: &Arc<Store>) -> Result<Stats, LedgerError> {
    let arguments = Arguments::new().count(STATS_QUEUES_MAX);
    let mut reply = match store.call(Name::Stats, arguments).await? {
        Answer::Ok(reply) => reply,
        Answer::Refused(why, _) => return Err(LedgerError::Unusable(why)),
    };
    counts(&mut reply)
}

/// What stands for files, of the server of a shard; with its name where there are several.
pub(crate) async fn files(
    store: &Store,
    server: Option<&str>,
) -> Result<Vec<FileStats>, LedgerError> {
    let mut files = Vec::new();
    for (section, (name, field)) in ["persistence", "memory"].iter().zip(SIZES) {
        let info = store.command(redis::cmd("INFO").arg(section)).await?;
        let name = match server {
            Some(server) => format!("{name} at {server}"),
            None => name.to_owned(),
        };
        files.extend(size(info, field).map(|bytes| FileStats { name, bytes }));
    }
    Ok(files)
}

fn counts(reply: &mut Reply) -> Result<Stats, LedgerError> {
    Ok(Stats {
        now: reply.time()?,
        epoch: reply.parse("an epoch")?,
        unfinished: reply.parse("a count")?,
        finished: reply.parse("a count")?,
        bodies: reply.parse("a count")?,
        body_bytes: reply.parse("a count")?,
        timers: reply.parse("a count")?,
        other_queues: QueueSums {
            queues: reply.parse("a count")?,
            queued: reply.parse("a count")?,
            leased: reply.parse("a count")?,
        },
        queues: reply.list(queue)?,
        files: Vec::new(),
    })
}

fn queue(reply: &mut Reply) -> Result<QueueStats, LedgerError> {
    Ok(QueueStats {
        class: Class::from_text(&reply.text()?),
        tenant: reply.tenant()?,
        queued: reply.parse("a count")?,
        leased: reply.parse("a count")?,
        oldest_ms: reply.parse("an age")?,
    })
}

fn size(info: Value, field: &str) -> Option<u64> {
    let info: String = from_redis_value(info).ok()?;
    info.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok())
}
