//! The configuration that all processes of a cluster share.

use serde::{Deserialize, Serialize};

/// A configuration as it was pushed: the text of a configuration file, and who pushed it.
/// Whether it can come into force, each process finds out by reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// 1 for the first that was pushed, one more with each.
    pub revision: u64,
    /// What the file says.
    pub text: String,
    /// Who pushed it.
    pub author: String,
    /// When, in milliseconds of Unix time by the clock of who pushed it.
    pub at_ms: u64,
    /// Why, in the words of who pushed it.
    pub comment: String,
}

impl Document {
    /// What it is called in complaints.
    pub fn source(&self) -> String {
        format!("revision {} in the registry", self.revision)
    }
}
