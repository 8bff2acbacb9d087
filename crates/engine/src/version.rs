//! The version of what is kept: events in journals, outcomes in mails.
//!
//! Each is a JSON object whose first member is its version: `{"v":1,"event":...}`. What
//! an older version wrote is read for ever; what a newer one wrote is refused and never
//! guessed at.
//!
//! A new variant or an optional member with a default keeps the version: programs that
//! know it not refuse it by name. Anything else is a new version: raise [`VERSION`], read
//! the old form beside the new one in [`read`], and add golden journals of the release
//! (see `tests/golden.rs`).

use serde::{Serialize, de::DeserializeOwned};

/// What this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// What an object starts with.
const HEAD: &[u8] = b"{\"v\":";

/// Why something kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// A later program wrote it.
    #[error(
        "it is of version {found}, and this program reads up to {VERSION}: run the version of Baton that wrote it, or a later one"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is not what any version writes.
    #[error("it is not what any version writes: {0}")]
    Malformed(String),
}

/// With its version, as it is kept. The value is one that serializes as an object.
pub fn write<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data always encodes.
    let object = serde_json::to_vec(value).unwrap_or_default();
    let members = object.strip_prefix(b"{").unwrap_or(&object);
    let comma = if members == b"}" { "" } else { "," };
    let mut kept = format!("{{\"v\":{VERSION}{comma}").into_bytes();
    kept.extend_from_slice(members);
    kept
}

/// What [`write`] wrote, in this version or an earlier one.
///
/// # Errors
/// [`VersionError::Newer`] for what a later version wrote, [`VersionError::Malformed`] for
/// anything else.
pub fn read<T: DeserializeOwned>(kept: &[u8]) -> Result<T, VersionError> {
    let malformed = |why: &str| VersionError::Malformed(why.to_owned());
    let behind = kept.strip_prefix(HEAD).ok_or_else(|| malformed("no version at its start"))?;
    let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = behind.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
    let found = digits.and_then(|digits| digits.parse::<u32>().ok());
    match found.ok_or_else(|| malformed("its version is no number"))? {
        0 => Err(malformed("version 0 was never written")),
        VERSION => serde_json::from_slice(kept).map_err(|error| malformed(&error.to_string())),
        found => Err(VersionError::Newer { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Input};

    #[test]
    fn what_is_written_is_read_and_what_is_newer_is_refused() {
        let event = Event::Heard { input: Input::DeadlinePassed };
        let kept = write(&event);
        assert!(kept.starts_with(b"{\"v\":1,\"event\":"), "{}", String::from_utf8_lossy(&kept));
        assert_eq!(read::<Event>(&kept).unwrap(), event);
        let newer = String::from_utf8(kept).unwrap().replacen("\"v\":1", "\"v\":2", 1);
        let refused = read::<Event>(newer.as_bytes()).unwrap_err();
        assert!(matches!(refused, VersionError::Newer { found: 2 }), "{refused}");
        assert!(refused.to_string().contains("reads up to 1"), "{refused}");
    }

    #[test]
    fn what_has_no_version_is_no_event() {
        for kept in ["", "{}", "{\"event\":\"heard\"}", "{\"v\":}", "{\"v\":0}", "{\"v\":1}"] {
            assert!(
                matches!(read::<Event>(kept.as_bytes()), Err(VersionError::Malformed(_))),
                "{kept}"
            );
        }
    }
}
