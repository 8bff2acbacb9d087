//! The file of profiles, read: every fault with its line.

use super::invalid;
use crate::{args::Format, exit::Failure};
use baton_provider_http::Secret;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// Largest file, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// All profiles of a user.
#[derive(Debug)]
pub(super) struct Profiles {
    path: PathBuf,
    current: Option<String>,
    all: Vec<Stored>,
}

/// A profile as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) endpoint: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) output: Option<Format>,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Env(String),
    File(PathBuf),
    /// In the file itself; it is read when it is needed, and kept nowhere.
    Inline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    current: Option<Spanned<String>>,
    #[serde(default)]
    profiles: BTreeMap<String, Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    endpoint: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    key_env: Option<String>,
    key_file: Option<PathBuf>,
    output: Option<Format>,
}

/// `$XDG_CONFIG_HOME/baton/profiles.toml`, or below `~/.config`.
pub(super) fn path() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| {
        invalid("nobody's profiles: neither XDG_CONFIG_HOME nor HOME is set in the environment")
    })?;
    Ok(folder.join("baton").join("profiles.toml"))
}

/// Whether a profile can have this name without quotes in the file.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    !name.is_empty() && name.chars().all(fits)
}

/// The text of the file, if there is one.
pub(super) fn text(path: &Path) -> Result<Option<String>, Failure> {
    let cannot = |reason: String| invalid(format!("cannot read {}: {reason}", path.display()));
    match fs::metadata(path) {
        Ok(file) if file.len() > BYTES_MAX => {
            Err(cannot(format!("it has {} bytes, at most {BYTES_MAX} are read", file.len())))
        }
        Ok(_) => fs::read_to_string(path).map(Some).map_err(|error| cannot(error.to_string())),
        // Below something that is no folder there is no file either.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(cannot(error.to_string())),
    }
}

impl Profiles {
    /// The user's; none where there is no file.
    pub(super) fn read() -> Result<Option<Self>, Failure> {
        let Ok(path) = path() else { return Ok(None) };
        let Some(text) = text(&path)? else { return Ok(None) };
        Self::parse(path, &text, mode).map(Some)
    }

    fn parse(path: PathBuf, text: &str, mode: fn(&Path) -> u32) -> Result<Self, Failure> {
        let document = document(&path, text)?;
        let fault = |at: usize, reason: String| Err(fault(&path, text, at, &reason));
        let mut all = Vec::new();
        for (name, entry) in document.profiles {
            let at = entry.span().start;
            let entry = entry.into_inner();
            let places = [entry.key.is_some(), entry.key_env.is_some(), entry.key_file.is_some()];
            if places.iter().filter(|said| **said).count() > 1 {
                let reason = format!("profile {name}: give one of key_env, key_file and key");
                return fault(at, reason);
            }
            if let Some(endpoint) = &entry.endpoint
                && !endpoint.get_ref().starts_with("http://")
                && !endpoint.get_ref().starts_with("https://")
            {
                let found = endpoint.get_ref();
                let reason =
                    format!("profile {name}: endpoint is {found:?}: expected http:// or https://");
                return fault(endpoint.span().start, reason);
            }
            let open = mode(&path) & 0o077 != 0;
            let key = match (entry.key, entry.key_env, entry.key_file) {
                (Some(key), ..) if open => {
                    let mode = mode(&path) & 0o777;
                    let reason = format!(
                        "profile {name} holds a key, and the file can be read by others (mode \
                         {mode:o}): chmod 600, or use key_env or key_file"
                    );
                    return fault(key.span().start, reason);
                }
                (Some(_), ..) => Some(Key::Inline),
                (None, Some(variable), _) => Some(Key::Env(variable)),
                (None, None, Some(file)) => Some(Key::File(file)),
                (None, None, None) => None,
            };
            let endpoint = entry.endpoint.map(Spanned::into_inner);
            all.push(Stored { name, endpoint, key, output: entry.output });
        }
        if let Some(current) = &document.current
            && !all.iter().any(|stored| stored.name == *current.get_ref())
        {
            let reason =
                format!("current is {:?}, and there is no such profile", current.get_ref());
            return fault(current.span().start, reason);
        }
        let current = document.current.map(Spanned::into_inner);
        Ok(Self { path, current, all })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    pub(super) fn all(&self) -> &[Stored] {
        &self.all
    }

    pub(super) fn get(&self, name: &str) -> Result<&Stored, Failure> {
        self.all.iter().find(|stored| stored.name == name).ok_or_else(|| {
            let there: Vec<_> = self.all.iter().map(|stored| stored.name.as_str()).collect();
            let path = self.path.display();
            invalid(format!("there is no profile {name} in {path}: there are {}", there.join(", ")))
        })
    }
}

/// The key that stands in the file itself.
pub(super) fn inline_key(path: &Path, name: &str) -> Result<Secret, Failure> {
    let text = text(path)?.unwrap_or_default();
    let mut document = document(path, &text)?;
    let entry = document.profiles.remove(name).map(Spanned::into_inner);
    let key = entry.and_then(|entry| entry.key).map(Spanned::into_inner).unwrap_or_default();
    Secret::new(&key, &path.display().to_string())
        .map_err(|error| invalid(format!("profile {name}: {error}")))
}

fn document(path: &Path, text: &str) -> Result<Document, Failure> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        fault(path, text, error.span().map_or(0, |span| span.start), error.message())
    })
}

fn fault(path: &Path, text: &str, at: usize, reason: &str) -> Failure {
    let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    invalid(format!("{}:{line}: {reason}", path.display()))
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    // A file that is gone can be read by nobody.
    fs::metadata(path).map_or(0, |file| file.mode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mode: fn(&Path) -> u32) -> Result<Profiles, String> {
        Profiles::parse("p.toml".into(), text, mode).map_err(|failure| failure.to_string())
    }

    fn private(_: &Path) -> u32 {
        0o100_600
    }

    #[test]
    fn profiles_are_read() {
        let text = "current = \"b\"\n[profiles.a]\nendpoint = \"http://a\"\nkey_env = \"A\"\n\
                    [profiles.b]\nkey = \"sk\"\noutput = \"json\"\n";
        let profiles = read(text, private).unwrap();
        assert_eq!((profiles.current(), profiles.all().len()), (Some("b"), 2));
        let (a, b) = (profiles.get("a").unwrap(), profiles.get("b").unwrap());
        assert_eq!(
            (a.endpoint.as_deref(), &a.key),
            (Some("http://a"), &Some(Key::Env("A".into())))
        );
        assert_eq!((b.output, &b.key), (Some(Format::Json), &Some(Key::Inline)));
        assert!(profiles.get("c").unwrap_err().to_string().contains("there are a, b"));
    }

    #[test]
    fn every_fault_names_its_line() {
        let check = |text: &str, expected: &str| {
            let said = read(text, |_| 0o100_644).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
        };
        check("\n[profiles.a]\nendpoin = \"x\"", "p.toml:3: unknown field");
        check("[profiles.a]\nendpoint = \"example.com\"", "p.toml:2: profile a: endpoint is");
        check("current = \"z\"\n", "p.toml:1: current is \"z\"");
        check("[profiles.a]\n\nkey = \"sk\"", "p.toml:3: profile a holds a key");
        check("[profiles.a]\nkey_env = \"A\"\nkey_file = \"f\"", "p.toml:1: profile a: give one");
        check("[profiles.a\n", "p.toml:1: ");
        assert!(!read("[profiles.a]\nkey = \"sk-secret\"", |_| 0o644).unwrap_err().contains("sk-"));
    }
}
