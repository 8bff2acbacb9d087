//! Identifiers as types, so that a tenant is never passed where a run is meant.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// Longest identifier accepted, in bytes. Identifiers travel in keys and headers.
const ID_BYTES_MAX: usize = 128;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} is not {what}: expected 1 to {ID_BYTES_MAX} characters out of a-z, A-Z, 0-9, '.', '_', '-'{extra}"
)]
pub struct IdError {
    what: &'static str,
    extra: &'static str,
    value: String,
}

fn check(what: &'static str, extra: &'static str, value: &str) -> Result<(), IdError> {
    let fits = !value.is_empty()
        && value.len() <= ID_BYTES_MAX
        && value.bytes().all(|b| {
            b.is_ascii_alphanumeric() || b"._-".contains(&b) || extra.as_bytes().contains(&b)
        });
    if fits {
        return Ok(());
    }
    Err(IdError { what, extra, value: value.chars().take(ID_BYTES_MAX).collect() })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a well-formed identifier; see [`IdError`] for the form.
            pub fn new(value: impl AsRef<str>) -> Result<Self, IdError> {
                check($what, $extra, value.as_ref())?;
                Ok(Self(value.as_ref().into()))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(value: &str) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// One request's life, from submission to its one end. A child run's id is its
    /// parent's with `-N` behind it, so a tree of runs can be read off its names.
    RunId, "a run id", ""
);
text_id!(
    /// A customer of the cluster; queues, budgets and bodies are kept apart by it.
    TenantId, "a tenant id", ""
);
text_id!(
    /// A language model that can be given a step. Slashes and colons are allowed,
    /// because providers name models with them.
    AgentId, "an agent id", "/:@+"
);

impl AgentId {
    /// The Conductor itself, as plans name it: no agent of a pool may have this id.
    pub const ITSELF: &str = "baton";

    /// The Conductor itself: a step that names it is a workflow of its own.
    pub fn itself() -> Self {
        Self(Self::ITSELF.into())
    }

    /// The verifier, as plans name it: no agent of a pool may have this id.
    pub const VERIFIER: &str = "verifier";

    /// The verifier: a step that names it checks what it sees.
    pub fn verifier() -> Self {
        Self(Self::VERIFIER.into())
    }

    /// Whether this is the verifier.
    pub fn is_verifier(&self) -> bool {
        self.as_str() == Self::VERIFIER
    }

    /// Whether this is the Conductor itself.
    pub fn is_itself(&self) -> bool {
        self.as_str() == Self::ITSELF
    }
}

impl RunId {
    /// The id of this run's `number`-th child.
    pub fn child(&self, number: u32) -> Result<Self, IdError> {
        Self::new(format!("{self}-{number}"))
    }

    /// The id of the run whose child this is, if it is a child at all: its name alone does
    /// not say so.
    pub fn parent(&self) -> Option<Self> {
        let (parent, number) = self.as_str().rsplit_once('-')?;
        number.parse::<u32>().ok().and_then(|_| Self::new(parent).ok())
    }
}

/// Position of a step in its workflow, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u16);

impl StepId {
    /// The step's place in an array of steps.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One leased unit of work: the `number`-th task its run ever created.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    /// The run that asked for the work.
    pub run: RunId,
    /// Counts up from 1 within the run; never used twice.
    pub number: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.number)
    }
}

impl FromStr for TaskId {
    type Err = IdError;
    fn from_str(value: &str) -> Result<Self, IdError> {
        let wrong = || IdError { what: "a task id (RUN:NUMBER)", extra: "", value: value.into() };
        let (run, number) = value.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self { run: RunId::new(run)?, number: number.parse().map_err(|_| wrong())? })
    }
}

/// A text stored once per tenant, named by its content.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BodyRef {
    /// BLAKE3 of the bytes, in lower-case hexadecimal.
    pub hash: Arc<str>,
    /// Length of the bytes.
    pub len: u32,
}

impl fmt::Debug for BodyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.hash.get(..8).unwrap_or(&self.hash), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_would_break_a_key() {
        for bad in ["", "a b", "a{b}", "ü", "a\n", &"x".repeat(129)] {
            assert!(RunId::new(bad).is_err(), "{bad:?}");
            assert!(AgentId::new(bad).is_err(), "{bad:?}");
        }
        assert!(RunId::new("a/b").is_err());
        assert!(AgentId::new("meta/llama-3:8b").is_ok());
        assert!(AgentId::new(AgentId::ITSELF).is_ok_and(|id| id.is_itself()));
    }

    #[test]
    fn a_task_id_reads_back() {
        let task = TaskId { run: RunId::new("run_1-2").unwrap(), number: 7 };
        assert_eq!(task.to_string().parse::<TaskId>().unwrap(), task);
        assert!("run_1".parse::<TaskId>().is_err());
        assert_eq!(task.run.child(3).unwrap().parent(), Some(task.run.clone()));
        assert_eq!(RunId::new("run_1").unwrap().parent(), None);
        assert!("run_1:x".parse::<TaskId>().is_err());
    }
}
