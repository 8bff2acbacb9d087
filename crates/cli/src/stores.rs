//! The stores of a cluster: Redis for the ledger, etcd for the registry.

use crate::{
    etcd::{self, EtcdArgs},
    exit::Failure,
    redis::RedisArgs,
};
use baton_ledger::{Ledger, Remembered};
use baton_registry_etcd::{EtcdRegistry, Opened};
use clap::Args;
use std::{ffi::OsString, sync::Arc};

/// The stores of a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
}

impl StoreArgs {
    /// Connects to etcd, and looks at what is there.
    pub(crate) async fn registry(&self) -> Result<Opened, Failure> {
        let opened = EtcdRegistry::open(self.etcd.options()?).await;
        opened.map_err(|error| etcd::failure(&error))
    }

    /// Connects to the ledger. It is let go of when the last handle is dropped.
    pub(crate) async fn ledger(&self) -> Result<Arc<dyn Ledger>, Failure> {
        Ok(Arc::new(Remembered::new(self.redis.open(self.etcd.cluster()).await?)))
    }

    /// The same on the command line of another process.
    pub(crate) fn words(&self) -> Vec<OsString> {
        self.redis.words().into_iter().chain(self.etcd.words()).collect()
    }
}
