//! The durable record of runs: journals, tasks, leases, timers, queues, budgets.
//!
//! This crate holds the port ([`Ledger`]), the contract suite that every
//! implementation passes (feature `contract`), and the embedded implementation.
//! It never looks inside a payload: journal events, outcomes and task payloads
//! are bytes whose meaning belongs to the engine and the services.

mod account;
mod check;
mod clock;
#[cfg(feature = "contract")]
pub mod contract;
mod embedded;
mod error;
mod housekeeping;
mod lessee;
mod metered;
mod metrics;
mod port;
mod remembered;
mod room;
mod signal;
mod stats;
mod task_span;
mod types;

pub use account::{
    Accounts, Admission, Admit, Bound, Health, PAUSE_MS_MAX, PERMIT_MS_MAX, PERMIT_WAIT_MS, Release,
};
pub use bytes::Bytes;
pub use check::{check_heartbeat, check_holder, check_list, check_park, check_reason, check_start};
pub use clock::Clock;
pub use embedded::{
    Archived, Damage, DiskTerms, DiskUse, EmbeddedLedger, Finding, Looked, RESERVE_BYTES,
    backup_of, fsck, restore_backup, verify_backup,
};
pub use error::LedgerError;
pub use housekeeping::{Reaped, Reconciled, Retained, Retention};
pub use lessee::{Handler, LeaseTerms, Lessee, SILENT_MS, hand_back, persist};
pub use metered::Metered;
pub use metrics::{Gauges, METRICS};
pub use port::Ledger;
pub use remembered::Remembered;
pub use room::Room;
pub use signal::*;
pub use stats::*;
pub use task_span::TaskSpan;
pub use types::*;
