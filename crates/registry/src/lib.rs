//! Who is alive, and what is configured.
//!
//! Nothing here protects data: the ledger's own checks do. When a registry is away,
//! services go on with the last known state.

mod member;
mod settings;

pub use member::{InProcess, Kind, Member, Registry, RegistryError};
pub use settings::{
    Auth, KeySettings, PolicySettings, ProviderSettings, SecretRef, Settings, StrategySettings,
    TimeoutSettings,
};
