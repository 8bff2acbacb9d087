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
mod in_process;
mod member;
mod origins;
mod port;
mod read;
mod settings;
mod shared;
mod watched;

pub use compare::{Difference, differences, step};
pub use environment::{VARIABLES, settings_from_env};
pub use in_force::{Configuration, InForce, Refusal};
pub use in_process::InProcess;
pub use member::{Kind, Member, Members, Programs, Stranger};
pub use origins::Origins;
pub use port::{Departures, Registry, RegistryError};
pub use read::{Complaint, SettingsFaults, read_settings, read_settings_over, read_shared};
pub use settings::{
    AccountSettings, Auth, BUDGET_DEFAULT, IsolationLevel, JudgingSettings, KeySettings,
    PolicySettings, ProviderKind, ProviderSettings, RetentionSettings, SandboxSettings, SecretRef,
    ServerSettings, Settings, StrategySettings, TenantSettings, TimeoutSettings, settings_for,
};
pub use shared::Document;
pub use watched::WatchedFiles;
