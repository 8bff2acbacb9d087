//! The shared configuration, written under compare-and-swap with its history beside it.

use crate::{
    client::{Client, all_of, op},
    keys::Keys,
    options::EtcdOptions,
    value,
    wire::{
        Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, TxnRequest,
        compare::{CompareResult, CompareTarget, TargetUnion},
        range_request::{SortOrder, SortTarget},
        request_op::Request as Op,
    },
};
use baton_registry::{Document, RegistryError, SettingsFaults, read_shared};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// How many configurations are kept, the current one among them.
pub const HISTORY_MAX: u64 = 50;
/// Bytes of a configuration. It is written twice in one request (once into the history),
/// and etcd takes 1.5 MiB of a request unless it is set otherwise.
pub const TEXT_BYTES_MAX: usize = 512 * 1024;
/// Bytes of it as JSON, where some characters take several.
const VALUE_BYTES_MAX: usize = 700 * 1024;
/// Characters of a comment or an author.
const COMMENT_CHARS_MAX: usize = 1000;

/// Why a configuration was not written.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Somebody else was faster, or another revision was expected: look at it, and push
    /// again.
    #[error(
        "revision {expected} was to be replaced and revision {current} is current: look at what \
         changed, and push on top of it (0 is none at all)"
    )]
    Conflict {
        /// The revision that was to be replaced.
        expected: u64,
        /// The one that is current.
        current: u64,
    },
    /// The text is no configuration.
    #[error(transparent)]
    Faults(#[from] SettingsFaults),
    /// No such revision is kept.
    #[error("revision {0} is not kept: `baton config history` lists those that are")]
    NoSuchRevision(u64),
    /// etcd cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The shared configuration of a cluster, for whoever changes it.
pub struct ConfigStore {
    client: Client,
    keys: Keys,
}

/// What is current, as etcd counts.
struct Current {
    document: Option<Document>,
    mod_revision: i64,
}

impl ConfigStore {
    /// Connects, as [`crate::EtcdRegistry::open`] does.
    ///
    /// # Errors
    /// The same.
    pub async fn connect(options: EtcdOptions) -> Result<Self, RegistryError> {
        let keys = Keys::of(&options.cluster);
        let options = Arc::new(options);
        let (client, _) = Client::connect(&options, 0).await?;
        claim(&client, &keys, options.cluster_id.as_deref()).await?;
        Ok(Self { client, keys })
    }

    /// The one in force, unless a process refused it.
    ///
    /// # Errors
    /// `Unusable` where what stands there is no configuration.
    pub async fn current(&self) -> Result<Option<Document>, RegistryError> {
        Ok(self.read().await?.document)
    }

    /// Writes a configuration, if it is one, as the next revision. With `expect`, only on
    /// top of that revision (0: only where there is none). Without, on top of whatever is
    /// current when it is read here; if somebody is faster still, nothing is written.
    ///
    /// # Errors
    /// Nothing is written. After `Unavailable` it may have been: look at what is current.
    pub async fn push(
        &self,
        text: &str,
        author: &str,
        comment: &str,
        expect: Option<u64>,
    ) -> Result<Document, PushError> {
        read_shared(text, "the configuration")?;
        self.write(text, author, comment, expect).await
    }

    /// The kept configurations, the newest first.
    ///
    /// # Errors
    /// `Unusable` where one of them is none.
    pub async fn history(&self) -> Result<Vec<Document>, RegistryError> {
        let mut request = all_of(&self.keys.history(), 0);
        request.limit = i64::try_from(HISTORY_MAX).unwrap_or(i64::MAX);
        request.sort_order = SortOrder::Descend.into();
        request.sort_target = SortTarget::Key.into();
        let found = self.client.range(request).await?;
        found.iter().map(document).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// `NoSuchRevision` if it is not kept.
    pub async fn revision(&self, revision: u64) -> Result<Document, PushError> {
        let found = self.client.get(&self.keys.revision(revision)).await?;
        let found = found.ok_or(PushError::NoSuchRevision(revision))?;
        Ok(document(&found)?)
    }

    /// Writes an earlier configuration again, as the next revision, if this version still
    /// takes it.
    ///
    /// # Errors
    /// As [`Self::push`] and [`Self::revision`].
    pub async fn rollback(
        &self,
        revision: u64,
        author: &str,
        comment: &str,
        expect: Option<u64>,
    ) -> Result<Document, PushError> {
        let earlier = self.revision(revision).await?;
        read_shared(&earlier.text, &earlier.source())?;
        let comment = match comment {
            "" => format!("back to revision {revision}"),
            comment => comment.to_owned(),
        };
        self.write(&earlier.text, author, &comment, expect).await
    }

    async fn write(
        &self,
        text: &str,
        author: &str,
        comment: &str,
        expect: Option<u64>,
    ) -> Result<Document, PushError> {
        let Current { document: current, mod_revision } = self.read().await?;
        let current = current.map_or(0, |document| document.revision);
        if let Some(expected) = expect.filter(|expected| *expected != current) {
            return Err(PushError::Conflict { expected, current });
        }
        let document = Document {
            revision: current.saturating_add(1),
            text: text.to_owned(),
            author: author.chars().take(COMMENT_CHARS_MAX).collect(),
            at_ms: now_ms(),
            comment: comment.chars().take(COMMENT_CHARS_MAX).collect(),
        };
        let value = value::document_text(&document)?;
        let (bytes, longest) = (text.len(), value.len());
        if bytes > TEXT_BYTES_MAX || longest > VALUE_BYTES_MAX {
            return Err(PushError::Registry(RegistryError::Invalid(format!(
                "the configuration has {bytes} bytes ({longest} as JSON): expected at most \
                 {TEXT_BYTES_MAX} ({VALUE_BYTES_MAX} as JSON)"
            ))));
        }
        let answer = self.client.txn(self.swap(&document, value, mod_revision)).await;
        if answer.map_err(|status| self.client.told(&status))?.succeeded {
            return Ok(document);
        }
        let now = self.read().await?.document.map_or(0, |document| document.revision);
        Err(PushError::Conflict { expected: current, current: now })
    }

    /// The current one and its place in history, in one transaction, where nothing has
    /// changed; and the oldest that are not kept go.
    fn swap(&self, document: &Document, value: Vec<u8>, mod_revision: i64) -> TxnRequest {
        let put = |key: String| {
            let (key, value) = (key.into_bytes(), value.clone());
            op(Op::RequestPut(PutRequest { key, value, lease: 0 }))
        };
        let oldest = document.revision.saturating_sub(HISTORY_MAX - 1);
        let gone = DeleteRangeRequest {
            key: self.keys.history().into_bytes(),
            range_end: self.keys.revision(oldest).into_bytes(),
        };
        let unchanged =
            compare(self.keys.config(), CompareTarget::Mod, TargetUnion::ModRevision(mod_revision));
        TxnRequest {
            compare: vec![unchanged],
            success: vec![
                put(self.keys.config()),
                put(self.keys.revision(document.revision)),
                op(Op::RequestDeleteRange(gone)),
            ],
            failure: Vec::new(),
        }
    }

    async fn read(&self) -> Result<Current, RegistryError> {
        let Some(kv) = self.client.get(&self.keys.config()).await? else {
            return Ok(Current { document: None, mod_revision: 0 });
        };
        Ok(Current { document: Some(document(&kv)?), mod_revision: kv.mod_revision })
    }
}

fn document(kv: &KeyValue) -> Result<Document, RegistryError> {
    let key = String::from_utf8_lossy(&kv.key);
    value::document(&key, &kv.value).map_err(RegistryError::Unusable)
}

fn compare(key: String, target: CompareTarget, value: TargetUnion) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: key.into_bytes(),
        target_union: Some(value),
    }
}

/// The id of the cluster: the one that stands in etcd, or the expected one, or a new one,
/// written if none stands there.
///
/// # Errors
/// `Unusable` where another cluster's stands there.
pub(crate) async fn claim(
    client: &Client,
    keys: &Keys,
    expected: Option<&str>,
) -> Result<String, RegistryError> {
    let new = expected.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let put = PutRequest { key: keys.id().into_bytes(), value: new.clone().into_bytes(), lease: 0 };
    let get = RangeRequest { key: keys.id().into_bytes(), ..RangeRequest::default() };
    let found = match client.get(&keys.id()).await? {
        Some(found) => found.value,
        None => {
            let absent = compare(keys.id(), CompareTarget::Create, TargetUnion::CreateRevision(0));
            let request = TxnRequest {
                compare: vec![absent],
                success: vec![op(Op::RequestPut(put))],
                failure: vec![op(Op::RequestRange(get))],
            };
            client.txn(request).await.map_err(|status| client.told(&status))?;
            client.get(&keys.id()).await?.map(|found| found.value).unwrap_or_default()
        }
    };
    let found = String::from_utf8_lossy(&found).into_owned();
    let key = keys.id();
    if found.is_empty()
        || found.len() > ID_BYTES_MAX
        || !found.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(RegistryError::Unusable(format!(
            "what stands at {key} in etcd is no id of a cluster: somebody else uses {}. Give this \
             cluster another name",
            keys.root()
        )));
    }
    match expected {
        Some(expected) if expected != found => Err(RegistryError::Unusable(format!(
            "etcd holds another cluster under {}: its id is {found}, and the ledger's is \
             {expected}. Name the etcd that belongs to this ledger, or give this cluster a name \
             of its own",
            keys.root()
        ))),
        Some(_) | None => Ok(found),
    }
}

/// Bytes of an id: a UUID's and some to spare.
const ID_BYTES_MAX: usize = 128;

/// The system's clock: told to people, and to nothing that decides.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
