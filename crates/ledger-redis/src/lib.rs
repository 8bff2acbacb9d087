//! The ledger on Redis: every change of state is made by a Lua script on one shard of keys.
//!
//! This crate is the only one that names the `redis` crate. The layout of the keys, the
//! scripts and the meaning of the durability settings are in `docs/ledger-redis.md`.
//! No script is sent to a server that was not adopted first (see `store`), and nothing
//! here keeps state that a restart of this process could lose.

mod account;
pub mod barrier;
mod batch;
mod filling;
mod fsck;
mod housekeeping;
mod ledger;
mod link;
mod memory;
mod options;
mod place;
mod reply;
mod request;
mod restore;
mod save;
mod scripts;
mod shard;
mod start;
mod stats;
mod store;
mod stored;
mod turns;
mod waker;
mod watch;

pub use ledger::RedisLedger;
pub use options::{Durability, RedisOptions, Sabotage, Tls};
