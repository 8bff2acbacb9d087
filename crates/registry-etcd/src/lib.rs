//! The registry on etcd: members under a lease, a configuration under compare-and-swap,
//! both watched.
//!
//! This crate is the only one that talks to etcd. The keys, what happens while etcd is away
//! and what etcd has to be set to are in `docs/registry-etcd.md`. Nothing here protects
//! data: a lease in etcd says that a process is probably alive, and no more.

mod client;
mod keeper;
mod keys;
mod known;
mod metrics;
mod options;
mod registry;
mod session;
mod store;
mod value;
mod wire;
mod words;

pub use keeper::{Keeper, Link};
pub use metrics::METRICS;
pub use options::{Credentials, EtcdOptions, Secret, Timing, Tls};
pub use registry::{EtcdRegistry, Opened};
pub use store::{ConfigStore, HISTORY_MAX, PushError, TEXT_BYTES_MAX};
