//! Who is alive, and what is configured.
//!
//! Nothing here protects data: the ledger's own checks do. When a registry is away,
//! services go on with the last known state.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod environment;
#[cfg(test)]
mod guide;
mod member;
mod read;
mod settings;

pub use environment::settings_from_env;
pub use member::{InProcess, Kind, Member, Registry, RegistryError};
pub use read::{Complaint, SettingsFaults, read_settings, read_settings_over};
pub use settings::{
    Auth, BUDGET_DEFAULT, KeySettings, PolicySettings, ProviderSettings, RetentionSettings,
    SecretRef, Settings, StrategySettings, TimeoutSettings, settings_for,
};
