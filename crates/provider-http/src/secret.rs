//! Keys that cannot be printed by accident.

use std::{fmt, io, path::Path};

/// Longest key accepted, in bytes: far past any real one, far below a wrong file.
const SECRET_BYTES_MAX: usize = 8 * 1024;

/// What stands where a key would have been shown.
const HIDDEN: &str = "[secret]";

/// A key. `Debug` and `Display` show a placeholder, and it cannot be serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing is there.
    #[error("{place} holds no key: expected the key as its only text")]
    Empty {
        /// The variable or file.
        place: String,
    },
    /// The variable does not exist or is not UTF-8.
    #[error("environment variable {name} cannot be read: set it to the key")]
    Variable {
        /// The variable.
        name: String,
        /// Why not.
        source: std::env::VarError,
    },
    /// The file cannot be read.
    #[error("key file {path} cannot be read: check that it exists and may be read")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// No header can carry it.
    #[error(
        "{place} holds {bytes} bytes that are not a key: expected at most {SECRET_BYTES_MAX} visible ASCII characters on one line"
    )]
    Malformed {
        /// The variable or file.
        place: String,
        /// How much it holds.
        bytes: usize,
    },
}

impl Secret {
    /// Takes a key as it is, spaces around it removed. `place` names its source in errors.
    pub fn new(value: &str, place: &str) -> Result<Self, SecretError> {
        let (value, place) = (value.trim(), place.to_owned());
        if value.is_empty() {
            return Err(SecretError::Empty { place });
        }
        let visible = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !visible || value.len() > SECRET_BYTES_MAX {
            return Err(SecretError::Malformed { place, bytes: value.len() });
        }
        Ok(Self(value.into()))
    }

    /// Reads the environment variable `name`.
    pub fn from_env(name: &str) -> Result<Self, SecretError> {
        let value = std::env::var(name)
            .map_err(|source| SecretError::Variable { name: name.into(), source })?;
        Self::new(&value, &format!("environment variable {name}"))
    }

    /// Reads the file at `path`, such as a mounted Kubernetes secret.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let value = std::fs::read_to_string(path)
            .map_err(|source| SecretError::File { path: name.clone(), source })?;
        Self::new(&value, &format!("key file {name}"))
    }

    /// The key itself, for the header that carries it and for nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without the key: some providers quote it in their complaints.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(self.reveal(), HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = Secret::new(" sk-12345\n", "a test").unwrap();
        assert_eq!(format!("{key} {key:?} {:?}", Some(&key)), "[secret] [secret] Some([secret])");
        assert_eq!(key.reveal(), "sk-12345");
        assert_eq!(key.scrub("bad key sk-12345!"), "bad key [secret]!");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for bad in ["", "  \n", "two\nlines-here", "schl\u{fc}ssel", &"x".repeat(9000)] {
            let message = Secret::new(bad, "a test").unwrap_err().to_string();
            assert!(message.starts_with("a test holds"), "{message}");
            assert!(bad.trim().is_empty() || !message.contains(bad.trim()), "{message}");
        }
    }

    #[test]
    fn keys_come_from_files_and_variables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "sk-file\n").unwrap();
        assert_eq!(Secret::from_file(&path).unwrap().reveal(), "sk-file");
        assert!(matches!(
            Secret::from_file(dir.path().join("none")),
            Err(SecretError::File { .. })
        ));
        assert!(matches!(
            Secret::from_env("BATON_TEST_NO_SUCH_KEY"),
            Err(SecretError::Variable { .. })
        ));
        assert!(Secret::from_env("PATH").is_ok());
    }
}
