//! The same ledger on Valkey, where there is one. In full, with every other test of this crate:
//! `BATON_REDIS_SERVER=valkey-server cargo test -p baton-ledger-redis`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test may fail loudly, and say why it was skipped"
)]

use baton_ledger::{Ledger, contract};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use std::{io::ErrorKind, sync::Arc};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_valkey() {
    let settings = ["appendonly yes", "appendfsync always"];
    let server = match RedisServer::start_as("valkey-server", &settings).await {
        Ok(server) => server,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: valkey-server is not on the PATH");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    contract::sample(async || {
        let prefix = format!("p{}", rand::random::<u64>());
        let options = RedisOptions { prefix, ..RedisOptions::new(server.url()) };
        Arc::new(RedisLedger::connect(options).await.unwrap()) as Arc<dyn Ledger>
    })
    .await;
}
