//! Where things stand in etcd.

use baton_registry::{Kind, RegistryError};

/// Bytes of a holder's name.
const HOLDER_BYTES_MAX: usize = 256;

/// The keys of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    root: String,
}

impl Keys {
    pub(crate) fn of(cluster: &str) -> Self {
        Self { root: format!("/baton/{cluster}/") }
    }

    /// Where everything of the cluster stands.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The cluster's id.
    pub(crate) fn id(&self) -> String {
        format!("{}id", self.root)
    }

    /// What all members begin with.
    pub(crate) fn members(&self) -> String {
        format!("{}members/", self.root)
    }

    /// One member. Fails on a name that cannot stand in a key.
    pub(crate) fn member(&self, kind: Kind, holder: &str) -> Result<String, RegistryError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if holder.is_empty() || holder.len() > HOLDER_BYTES_MAX || !holder.bytes().all(plain) {
            return Err(RegistryError::Invalid(format!(
                "{holder:?} is no name of a holder: expected 1 to {HOLDER_BYTES_MAX} printable \
                 characters of ASCII without '/'"
            )));
        }
        Ok(format!("{}{}/{holder}", self.members(), kind.name()))
    }

    /// Whose key this is, if it is one of a member.
    pub(crate) fn member_of<'a>(&self, key: &'a str) -> Option<(Kind, &'a str)> {
        let (kind, holder) = key.strip_prefix(&self.members())?.split_once('/')?;
        Some((Kind::named(kind)?, holder)).filter(|_| !holder.is_empty() && !holder.contains('/'))
    }

    /// The configuration.
    pub(crate) fn config(&self) -> String {
        format!("{}config/current", self.root)
    }

    /// What all earlier and the current configurations begin with.
    pub(crate) fn history(&self) -> String {
        format!("{}config/history/", self.root)
    }

    /// One of them.
    pub(crate) fn revision(&self, revision: u64) -> String {
        // As many digits as the largest has, so that keys are in the order of numbers.
        format!("{}{revision:020}", self.history())
    }
}

/// The key after all keys that begin so.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // Prefixes end with '/', never with the largest byte.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_key_is_read_back() {
        let keys = Keys::of("default");
        let key = keys.member(Kind::WorkerAgent, "worker-1").unwrap();
        assert_eq!(key, "/baton/default/members/worker-agent/worker-1");
        assert_eq!(keys.member_of(&key), Some((Kind::WorkerAgent, "worker-1")));
        for other in [
            "/baton/default/members/cook/a",
            "/baton/default/members/verifier/",
            "/baton/default/members/verifier/a/b",
            "/baton/other/members/verifier/a",
            "/baton/default/id",
        ] {
            assert_eq!(keys.member_of(other), None, "{other}");
        }
        for holder in ["", "a/b", "a b", "ä"] {
            assert!(keys.member(Kind::Verifier, holder).is_err(), "{holder}");
        }
    }

    #[test]
    fn a_prefix_ends_before_the_next_name() {
        assert_eq!(end_of("/baton/a/"), b"/baton/a0");
        assert!(Keys::of("a").revision(9) < Keys::of("a").revision(10));
    }
}
