//! What a service and its launcher tell each other.

#[cfg(debug_assertions)]
use crate::config::Layer;
use crate::{
    config::{Level, Limit, Limits},
    interpreter::Interpreter,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a launcher prepares: the argument of its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) level: Level,
    pub(crate) interpreter: Interpreter,
    /// Whom to become; nobody else when the service is not root.
    pub(crate) uid: Option<u32>,
    /// Where private folders are made, for level `lsm`.
    pub(crate) folder: PathBuf,
    #[cfg(debug_assertions)]
    pub(crate) without: Option<Layer>,
}

/// What it runs, in a file in memory whose descriptor comes over the socket, first of
/// [`DESCRIPTORS`]: the job, standard input, output, error, and the control descriptor. Then come
/// the entrances of the control groups that the program is to be in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Files of the private folder: names without a slash, and texts.
    pub(crate) files: Vec<(String, String)>,
    /// The interpreter's arguments, the first of them one of the files. The control descriptor's
    /// number follows.
    pub(crate) arguments: Vec<String>,
    pub(crate) limits: Limits,
}

pub(crate) const DESCRIPTORS: usize = 5;
pub(crate) const ENTRANCES_MAX: usize = 2;

/// What came of it: the only thing that a launcher says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program ran.
    Over {
        code: Option<i32>,
        signal: Option<i32>,
        hit: Option<Limit>,
        wall_us: u64,
        cpu_us: u64,
        peak_bytes: u64,
        landlock_abi: u32,
    },
    /// It did not.
    Failed { stage: String, why: String },
}
