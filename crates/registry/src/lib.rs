//! Who is alive, and what is configured.
//!
//! Nothing here protects data: the ledger's own checks do. When a registry is away,
//! services go on with the last known state.

mod compare;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod document;
mod environment;
#[cfg(test)]
mod guide;
mod in_force;
mod member;
mod origins;
mod read;
mod settings;
mod watched;

pub use compare::{Difference, differences, step};
pub use environment::{VARIABLES, ledger_from_env, settings_from_env};
pub use in_force::{Configuration, Refusal};
pub use member::{InProcess, Kind, Member, Registry, RegistryError};
pub use origins::Origins;
pub use read::{Complaint, SettingsFaults, read_settings, read_settings_over};
pub use settings::{
    AccountSettings, Auth, BUDGET_DEFAULT, DurabilitySetting, KeySettings, LedgerSettings,
    PolicySettings, ProviderKind, ProviderSettings, RetentionSettings, SecretRef, ServerSettings,
    Settings, StrategySettings, TenantSettings, TimeoutSettings, settings_for,
};
pub use watched::WatchedFiles;
