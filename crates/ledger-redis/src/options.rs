//! Where the store is, how it is reached, and what is expected of it.

use baton_ledger::{LeaseTerms, LedgerError};
use baton_workflow::TenantId;
use redis::{
    Client, ClientTlsConfig, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates,
    cluster::{ClusterClient, ClusterClientBuilder},
};
use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

/// Longest prefix of keys, and longest name of a cluster, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What an acknowledged write survives. What the server has to be set to for it is checked
/// at the start: the server is configured by whoever runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process, and a loss of power: the append-only file is synced
    /// before the answer (`appendfsync always`).
    #[default]
    Always,
    /// The death of any process, but a loss of power may take the last second
    /// (`appendfsync everysec`).
    EverySecond,
    /// The loss of a machine: nothing is answered before so many replicas have it (`WAIT`).
    /// Name all of those that may be promoted.
    Replicas(u8),
}

/// Certificates, as files in PEM form, for URLs that begin with `rediss://`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signs the server's certificate; none: whom this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate and key, where the server asks for one.
    pub client_files: Option<(PathBuf, PathBuf)>,
}

/// How to reach the store. Shown without its password.
#[derive(Clone)]
pub struct RedisOptions {
    /// Its servers, such as `redis://127.0.0.1:6379`, or `rediss://...` for TLS. Shards lie on
    /// them in turn, so their order is fixed once the ledger is there.
    pub urls: Vec<String>,
    /// Parts of the ledger, each with its own queues, on whatever server; fixed once the
    /// ledger is there.
    pub shards: u16,
    /// Tenants that are spread over more than one shard, and over how many: fixed, too.
    pub lanes: BTreeMap<TenantId, u16>,
    /// Who connects, if the URL does not say so.
    pub user: Option<String>,
    /// Its password, if the URL does not say so.
    pub password: Option<String>,
    /// For `rediss://`.
    pub tls: Tls,
    /// Put before every key, so that several ledgers can share a server: 1 to 64
    /// characters out of a-z, A-Z, 0-9, `.`, `_`, `-`.
    pub prefix: String,
    /// The name of the cluster, noted in the store: another cluster under the same prefix is
    /// refused. Of the same form as a prefix.
    pub cluster: String,
    /// What the server must be configured for.
    pub durability: Durability,
    /// How long a call may take, reconnecting included, before it answers
    /// [`LedgerError::Unavailable`], in milliseconds.
    pub timeout_ms: u64,
    /// Share of the server's `maxmemory`, in percent, above which new runs are refused, so
    /// that those under way can finish.
    pub memory_percent_max: u8,
    /// How long leases last.
    pub lease: LeaseTerms,
    /// What is taken out, to see that a checker notices. Not there in release builds.
    #[cfg(debug_assertions)]
    pub sabotage: Option<Sabotage>,
}

/// A safeguard that is taken out: a negative control for the checkers of `baton chaos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Any write about a task is taken, whoever holds it.
    Tokens,
    /// A server that keeps nothing is used all the same.
    Durability,
    /// Idempotency keys of submissions are ignored.
    Keys,
}

impl Sabotage {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Durability => "durability",
            Self::Keys => "keys",
        }
    }
}

impl FromStr for Sabotage {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Tokens, Self::Durability, Self::Keys];
        let named = all.into_iter().find(|one| one.name() == text);
        named
            .ok_or_else(|| format!("{text:?} is no safeguard: expected tokens, durability or keys"))
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("urls", &self.urls.iter().map(|url| address(url)).collect::<Vec<_>>())
            .field("shards", &self.shards)
            .field("prefix", &self.prefix)
            .field("cluster", &self.cluster)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// The usual settings: prefix and cluster `baton`, [`Durability::Always`], five seconds,
    /// 80 percent.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            shards: 1,
            lanes: BTreeMap::new(),
            user: None,
            password: None,
            tls: Tls::default(),
            prefix: "baton".into(),
            cluster: "baton".into(),
            durability: Durability::Always,
            timeout_ms: 5_000,
            memory_percent_max: 80,
            lease: LeaseTerms::USUAL,
            #[cfg(debug_assertions)]
            sabotage: None,
        }
    }

    /// Whether this safeguard is taken out; never in a release build.
    pub(crate) fn lacks(&self, safeguard: Sabotage) -> bool {
        #[cfg(debug_assertions)]
        return self.sabotage == Some(safeguard);
        #[cfg(not(debug_assertions))]
        {
            let _present = safeguard;
            false
        }
    }

    /// What every key of shard `shard` begins with. The part in braces is what Redis
    /// Cluster places keys by: all keys of a shard are on one node.
    pub(crate) fn base(&self, shard: u16) -> Result<String, LedgerError> {
        check_name("prefix", &self.prefix, "begin keys")?;
        check_name("cluster", &self.cluster, "name a cluster")?;
        Ok(format!("{}:{{s{shard}}}:", self.prefix))
    }

    /// Whether all of it can be meant.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        self.base(0)?;
        if self.urls.is_empty() || self.shards == 0 {
            return Err(LedgerError::Unusable(format!(
                "{} servers and {} shards: expected at least one of each",
                self.urls.len(),
                self.shards
            )));
        }
        Ok(())
    }

    /// A client that has connected to nothing yet.
    pub(crate) fn client(&self, url: &str) -> Result<Client, LedgerError> {
        let wrong = |what: &str, error: &dyn fmt::Display| {
            LedgerError::Unusable(format!(
                "{what} {:?} of Redis cannot be used ({error}): expected redis://HOST:PORT, or \
                 rediss://HOST:PORT for TLS",
                address(url)
            ))
        };
        let info = url.into_connection_info();
        let mut info: ConnectionInfo = info.map_err(|error| wrong("the URL", &error))?;
        let mut login = info.redis_settings().clone();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        info = info.set_redis_settings(login);
        if !url.starts_with("rediss:") {
            if self.tls != Tls::default() {
                let why = "certificates are given, and the URL does not ask for TLS";
                return Err(wrong("the URL", &why));
            }
            return Client::open(info).map_err(|error| wrong("the URL", &error));
        }
        // An error means that the process has chosen one already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let certificates = self.tls.read()?;
        Client::build_with_tls(info, certificates)
            .map_err(|error| wrong("the certificates for the URL", &error))
    }
}

impl RedisOptions {
    /// A client of the Redis Cluster whose nodes the URLs name.
    pub(crate) fn cluster_client(&self) -> Result<ClusterClient, LedgerError> {
        let nodes: Result<Vec<ConnectionInfo>, LedgerError> = self
            .urls
            .iter()
            .map(|url| Ok(self.client(url)?.get_connection_info().clone()))
            .collect();
        let nodes = nodes?;
        let limit = Duration::from_millis(self.timeout_ms);
        let login = nodes.first().map(|node| node.redis_settings().clone()).unwrap_or_default();
        let mut building = ClusterClientBuilder::new(nodes)
            .connection_timeout(limit)
            .response_timeout(limit)
            .overall_response_timeout(Some(limit));
        if let Some(user) = login.username() {
            building = building.username(user);
        }
        if let Some(password) = login.password() {
            building = building.password(password);
        }
        if self.urls.iter().any(|url| url.starts_with("rediss:")) {
            building = building.certs(self.tls.read()?);
        }
        building.build().map_err(|error| {
            LedgerError::Unusable(format!(
                "the URLs do not name a Redis Cluster ({error}): give nodes of one cluster, with \
                 one user and password"
            ))
        })
    }
}

/// A URL without what is nobody's business.
pub(crate) fn address(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

impl Tls {
    fn read(&self) -> Result<TlsCertificates, LedgerError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| {
                let path = path.display();
                LedgerError::Unusable(format!(
                    "{path} cannot be read ({error}): expected a certificate or key in PEM form"
                ))
            })
        };
        let client_tls = match &self.client_files {
            None => None,
            Some((cert, key)) => {
                Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
            }
        };
        Ok(TlsCertificates { client_tls, root_cert: self.ca_file.as_ref().map(read).transpose()? })
    }
}

fn check_name(what: &str, name: &str, does: &str) -> Result<(), LedgerError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        return Ok(());
    }
    Err(LedgerError::Unusable(format!(
        "{what} {name:?} cannot {does}: expected 1 to {NAME_BYTES_MAX} characters out of a-z, \
         A-Z, 0-9, '.', '_', '-'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let mut options = RedisOptions::new("redis://me:p@ss@host:1/0");
        options.password = Some("hidden".into());
        let shown = format!("{options:?}");
        assert!(shown.contains("redis://host:1/0"), "{shown}");
        assert!(!shown.contains("p@ss") && !shown.contains("hidden"), "{shown}");
        let error = options.client("not a url").unwrap_err().to_string();
        assert!(error.contains("expected redis://HOST:PORT"), "{error}");
    }
}
