//! The stores of a cluster: Redis for the ledger, etcd for the registry.

use crate::{
    etcd::{self, EtcdArgs},
    exit::Failure,
    redis::RedisArgs,
};
use baton_ledger::{Ledger, Remembered};
use baton_registry_etcd::{EtcdOptions, EtcdRegistry, Opened};
use clap::Args;
use std::{ffi::OsString, sync::Arc};

async fn open(options: EtcdOptions) -> Result<Opened, Failure> {
    EtcdRegistry::open(options).await.map_err(|error| etcd::failure(&error))
}

/// The stores of a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
}

impl StoreArgs {
    /// Connects to both, and looks at what is there. The ledger knows which registry belongs
    /// to it, from the first time on, and no other is taken: who is alive and how it is
    /// configured would be another cluster's. The ledger is let go of when the last handle is
    /// dropped.
    pub(crate) async fn open(&self) -> Result<(Opened, Arc<dyn Ledger>), Failure> {
        let mut options = self.etcd.options()?;
        let ledger = self.redis.open(self.etcd.cluster()).await?;
        let known = ledger.paired(None).await.map_err(|error| self.redis.failure(&error))?;
        let known = match known {
            Some(known) => known,
            None => {
                let opened = open(options.clone()).await?;
                let own = opened.cluster_id().to_owned();
                let noted = ledger.paired(Some(&own)).await;
                noted.map_err(|error| self.redis.failure(&error))?.unwrap_or(own)
            }
        };
        options.cluster_id = Some(known);
        Ok((open(options).await?, Arc::new(Remembered::new(ledger))))
    }

    /// The same on the command line of another process.
    pub(crate) fn words(&self) -> Vec<OsString> {
        self.redis.words().into_iter().chain(self.etcd.words()).collect()
    }
}
