//! Reaching the servers, and taking the ledger over.

use super::RedisLedger;
use crate::{
    RedisOptions, Sabotage,
    link::Server,
    place::Places,
    shard::Shard,
    start,
    store::{Store, server_at},
    turns::Turns,
    waker::{Hints, Waker},
};
use baton_ledger::LedgerError;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl RedisLedger {
    /// Connects, checks that each server keeps what it acknowledges, and adopts it.
    /// `Unusable` says what to set; `Unavailable` that there is no server to be reached.
    pub async fn connect(options: RedisOptions) -> Result<Self, LedgerError> {
        let (ledger, servers) = Self::reach(&options).await?;
        adopt(&ledger.shards, &options).await?;
        let nodes = servers.len();
        for (node, (server, waker)) in servers.iter().zip(&ledger.wakers).enumerate() {
            let there = ledger.shards.iter().zip(0..).skip(node).step_by(nodes);
            let bases = there.map(|(shard, number)| (shard.store.base().to_owned(), number));
            let hints = Hints { bases: bases.collect(), turns: ledger.turns.clone() };
            let clients = server.clients();
            let (waker, stopped) = (waker.clone(), ledger.stop.child_token());
            tokio::spawn(async move { waker.serve(clients, hints, stopped).await });
        }
        Ok(ledger)
    }

    /// Connects, and checks that each server keeps what it acknowledges; nothing is written.
    pub(super) async fn reach(options: &RedisOptions) -> Result<(Self, Vec<Server>), LedgerError> {
        options.check()?;
        let stop = CancellationToken::new();
        let (mut shards, mut servers, mut wakers) = (Vec::new(), Vec::new(), Vec::new());
        for url in &options.urls {
            let server = server_at(options, url).await?;
            let of_a_cluster = matches!(server, Server::Cluster(..));
            servers.push(server);
            wakers.push(Arc::new(Waker::default()));
            // All nodes of a cluster are reached by way of the first that answers.
            if of_a_cluster {
                break;
            }
        }
        if servers.len() > usize::from(options.shards) {
            return Err(LedgerError::Unusable(format!(
                "{} shards cannot lie on {} servers: expected at least as many shards as servers",
                options.shards,
                servers.len()
            )));
        }
        for shard in 0..options.shards {
            let node = usize::from(shard) % servers.len();
            let url = options.urls.get(node).map_or("", String::as_str);
            let (Some(server), Some(waker)) = (servers.get(node), wakers.get(node)) else {
                continue;
            };
            let store = Arc::new(Store::open(server, options, url, shard).await?);
            if !options.lacks(Sabotage::Durability) {
                start::check(&store, options.durability).await?;
            }
            shards.push(Shard::new(store, waker.clone(), options));
        }
        let ledger = Self {
            places: Places::new(options.shards, options.lanes.clone()),
            turns: Arc::new(Turns::new(shards.len())),
            wakers,
            shards,
            lease: options.lease,
            keyless: options.lacks(Sabotage::Keys),
            _ends: stop.clone().drop_guard(),
            stop,
        };
        Ok((ledger, servers))
    }
}

/// Takes the shards over, the first one last: where that is there, all others must be.
async fn adopt(shards: &[Shard], options: &RedisOptions) -> Result<(), LedgerError> {
    let Some((first, others)) = shards.split_first() else { return Ok(()) };
    let known = first.store.is_there().await?;
    for (shard, number) in others.iter().zip(1_usize..) {
        if known && !shard.store.is_there().await? {
            let urls = options.urls.len();
            let url = options.urls.get(number % urls).map_or("", String::as_str);
            return Err(LedgerError::Unusable(format!(
                "shard {number} of the ledger is not at {url}: give the servers in the order in \
                 which they were given when the ledger was made, or restore that server's data"
            )));
        }
    }
    for shard in others.iter().chain([first]) {
        shard.store.adopt(0).await?;
    }
    Ok(())
}
