//! Where etcd is, and how to be let in.

use baton_registry::RegistryError;
use std::{fmt, path::PathBuf, time::Duration};

/// A secret that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn shown(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// Files of TLS, in PEM. They are read at each connection, so that renewed ones are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signed etcd's certificate.
    pub ca: Option<PathBuf>,
    /// The certificate shown to etcd, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name in etcd's certificate, where it is not the one in the address.
    pub server_name: Option<String>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Time to live of the lease, in seconds: how long a killed process is still known.
    /// It is told so long before its lease ends that neither a slow answer nor one lost
    /// request ends it.
    pub lease_seconds: u32,
    /// How long one endpoint may take to be connected to.
    pub connect: Duration,
    /// How long one call may take. Also how long etcd may be silent about the lease.
    pub call: Duration,
    /// How long members that etcd has lost are kept after it was away, so that they can
    /// register again.
    pub grace: Duration,
    /// How often the load of processes announced here is told.
    pub load_every: Duration,
    /// How often everything is read again although nothing was told: etcd promises no time
    /// within which a watch tells of a change.
    pub list_every: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_seconds: 10,
            connect: Duration::from_secs(2),
            call: Duration::from_secs(2),
            grace: Duration::from_secs(10),
            load_every: Duration::from_secs(2),
            list_every: Duration::from_secs(60),
        }
    }
}

impl Timing {
    /// How often the lease is kept alive. With an answer awaited for [`Self::call`], a
    /// silent etcd is noticed before any lease that was in order can have ended.
    pub(crate) fn keep_alive_every(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds)) / 3
    }
}

/// Where etcd is, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// Addresses of the members of one etcd, such as `http://127.0.0.1:2379`. One is used
    /// at a time, the next when it fails.
    pub endpoints: Vec<String>,
    /// The name of this cluster of Baton: what keeps several on one etcd apart.
    pub cluster: String,
    /// The id that this cluster is known to have, such as from its ledger. Where it is not
    /// known, the one in etcd is taken, and made if there is none.
    pub cluster_id: Option<String>,
    /// Who asks, where etcd has authentication switched on.
    pub credentials: Option<Credentials>,
    /// Files for `https` endpoints.
    pub tls: Tls,
    /// How long things may take.
    pub timing: Timing,
}

/// The name of a cluster that was given none.
const CLUSTER_DEFAULT: &str = "default";
/// Characters of a cluster's name.
const CLUSTER_CHARS_MAX: usize = 64;
/// Endpoints: etcd itself advises against more than seven members.
const ENDPOINTS_MAX: usize = 16;

impl EtcdOptions {
    /// Endpoints, separated by commas, of an etcd without authentication.
    pub fn new(endpoints: &str) -> Self {
        let endpoints = endpoints.split(',').map(str::trim).filter(|part| !part.is_empty());
        Self {
            endpoints: endpoints.map(|part| part.trim_end_matches('/').to_owned()).collect(),
            cluster: CLUSTER_DEFAULT.to_owned(),
            cluster_id: None,
            credentials: None,
            tls: Tls::default(),
            timing: Timing::default(),
        }
    }

    /// Says what can be seen to be wrong without asking anybody.
    pub(crate) fn check(&self) -> Result<(), RegistryError> {
        let wrong = |reason: String| Err(RegistryError::Unusable(reason));
        let name = &self.cluster;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > CLUSTER_CHARS_MAX || !name.bytes().all(plain) {
            return wrong(format!(
                "{name:?} is no name of a cluster: expected 1 to {CLUSTER_CHARS_MAX} letters, \
                 digits, '-', '_' and '.'"
            ));
        }
        let number = self.endpoints.len();
        if number == 0 || number > ENDPOINTS_MAX {
            return wrong(format!(
                "{number} endpoints of etcd are given: expected 1 to {ENDPOINTS_MAX}, such as \
                 http://127.0.0.1:2379"
            ));
        }
        for endpoint in &self.endpoints {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return wrong(format!(
                    "{endpoint} is no endpoint of etcd: expected an address such as \
                     http://127.0.0.1:2379, or https:// where it asks for TLS"
                ));
            }
        }
        if self.timing.lease_seconds < 2 {
            let seconds = self.timing.lease_seconds;
            return wrong(format!("a lease of {seconds} s is too short: expected at least 2 s"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_before_anybody_is_asked() {
        let good = EtcdOptions::new(" http://a:2379/, https://b:2379 ");
        assert_eq!(good.endpoints, ["http://a:2379", "https://b:2379"]);
        assert_eq!(good.check(), Ok(()));
        let said = |options: &EtcdOptions| options.check().unwrap_err().to_string();
        assert!(said(&EtcdOptions::new("")).contains("0 endpoints"));
        assert!(
            said(&EtcdOptions::new("localhost:2379")).contains("localhost:2379 is no endpoint")
        );
        let cluster = "a/b".to_owned();
        assert!(said(&EtcdOptions { cluster, ..good.clone() }).contains("\"a/b\" is no name"));
        let timing = Timing { lease_seconds: 1, ..Timing::default() };
        assert!(said(&EtcdOptions { timing, ..good }).contains("1 s is too short"));
    }

    #[test]
    fn a_silent_etcd_is_noticed_before_a_lease_ends() {
        let timing = Timing::default();
        let lease = Duration::from_secs(u64::from(timing.lease_seconds));
        let noticed = timing.keep_alive_every() + timing.call;
        assert!(noticed < lease - timing.keep_alive_every(), "{noticed:?}");
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Secret::new("hunter2");
        let credentials = Some(Credentials { user: "baton".into(), password });
        let options = EtcdOptions { credentials, ..EtcdOptions::new("http://a:1") };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
