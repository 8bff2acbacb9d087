//! Saving a ledger as a whole, and bringing it back.

use super::RedisLedger;
use crate::{
    RedisOptions,
    restore::{self, Restoring},
    save::Saver,
};
use baton_ledger::{
    Ledger as _, LedgerError,
    saved::{Archived, Saved},
};
use std::io::{self, Read, Write};

impl RedisLedger {
    /// Writes all that the ledger holds as an archive, in the form of the embedded ledger's
    /// backups: each tree of runs as it was at one moment, one after the other, while the
    /// cluster goes on.
    ///
    /// # Errors
    /// `Unusable` where the archive cannot be written or what is read is damaged,
    /// `Unavailable` where a server does not answer.
    pub async fn backup(&self, to: impl Write) -> Result<Archived, LedgerError> {
        let mut saver = Saver::new(to)?;
        for (tenant, terms) in self.inventory().await?.terms {
            saver.put(&Saved::Tenant(tenant, terms))?;
        }
        let shards = self.shards.len() as u64;
        for (shard, number) in self.shards.iter().zip(0..) {
            saver.shard(&shard.store, number, shards).await?;
        }
        saver.finish()
    }

    /// Makes a ledger of an archive, which is opened twice: first to see whether it is whole.
    /// The epoch is raised so far that no lease given after the backup is accepted.
    ///
    /// # Errors
    /// `Unusable` where the archive is not whole, anything is under the prefix already, or
    /// runs would be looked for on other shards than they name.
    pub async fn restore<R: Read>(
        options: RedisOptions,
        open: impl Fn() -> io::Result<R>,
    ) -> Result<Archived, LedgerError> {
        let opened = || open().map_err(|error| LedgerError::Unusable(error.to_string()));
        let ages = restore::look(opened()?)?;
        let (ledger, _) = Self::reach(&options).await?;
        let stores = ledger.shards.iter().map(|shard| &*shard.store).collect();
        let restoring = Restoring::new(stores, &ledger.places, ages);
        let (archived, terms) = restoring.run(opened()?, &options.cluster).await?;
        for (tenant, terms) in terms {
            ledger.set_tenant(&tenant, terms).await?;
        }
        Ok(archived)
    }
}
