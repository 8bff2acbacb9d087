//! Rows of the file: their keys, and their form as bytes.
//!
//! Keys start with a letter for the kind of row. Identifiers hold no zero byte, so a zero
//! ends each of them, and numbers are big-endian: the rows of a run lie together, in order.

pub(super) use crate::saved::Known;
use crate::{
    JournalEntry, LedgerError, MailEntry, TenantTerms,
    saved::{Head, Progress, TaskHead, TaskProgress, Totals},
};
use baton_workflow::{RunId, TenantId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// The form of all rows. A file of another form is refused, unless it can be read as this
/// one: what 5 has more than 4 is one more kind of row, and more cases of what rows say.
pub(super) const FORMAT: u32 = 5;
/// The oldest form that can be read as this one.
pub(super) const FORMAT_MIN: u32 = 4;

/// The epoch of the latest opening.
pub(crate) const EPOCH: &[u8] = b"0epoch";
/// The latest [`Totals`].
pub(crate) const TOTALS: &[u8] = b"0totals";
/// The form in which the file was written.
pub(super) const FORMAT_KEY: &[u8] = b"0format";

/// One row to be written, or to be deleted where there is no value.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`TenantTerms`], by tenant.
    Tenant,
    /// [`Head`] of any run.
    Head,
    /// [`Progress`] of a run that is held in memory.
    Live,
    /// [`Progress`] of a run whose tree is finished.
    Finished,
    /// [`TaskHead`] of a task that is not finished.
    TaskHead,
    /// [`TaskProgress`] of any task.
    Task,
    /// [`JournalEntry`].
    Journal,
    /// [`MailEntry`].
    Mail,
    /// When a timer is due, by its name.
    Timer,
    /// Whether a word came, by its key; none did where the wait for it has ended.
    Signal,
    /// [`Known`], by tenant and idempotency key.
    Key,
    /// Id of a root run, by tenant and order of submission.
    Root,
    /// Bytes, by tenant and name.
    Body,
    /// Nothing, by root run and name: the run has the body.
    Use,
    /// How many trees have a body besides the first, by tenant and name.
    Shared,
    /// Id of a finished root run, by the time of its end.
    Over,
    /// How many finished root runs there are, by tenant.
    Kept,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::Tenant => b'n',
            Self::Head => b'h',
            Self::Live => b'l',
            Self::Finished => b'f',
            Self::TaskHead => b'w',
            Self::Task => b't',
            Self::Journal => b'j',
            Self::Mail => b'm',
            Self::Timer => b'd',
            Self::Signal => b'g',
            Self::Key => b'k',
            Self::Root => b'r',
            Self::Body => b'b',
            Self::Use => b'u',
            Self::Shared => b's',
            Self::Over => b'o',
            Self::Kept => b'c',
        }
    }
}

/// All kinds.
const KINDS: [Kind; 17] = [
    Kind::Tenant,
    Kind::Head,
    Kind::Live,
    Kind::Finished,
    Kind::TaskHead,
    Kind::Task,
    Kind::Journal,
    Kind::Mail,
    Kind::Timer,
    Kind::Signal,
    Kind::Key,
    Kind::Root,
    Kind::Body,
    Kind::Use,
    Kind::Shared,
    Kind::Over,
    Kind::Kept,
];

/// The kind of a row by its key; none for the few that stand for themselves.
pub(crate) fn kind_of(key: &[u8]) -> Option<Kind> {
    KINDS.into_iter().find(|kind| key.first() == Some(&kind.letter()))
}

/// The run or tenant in a key, and what stands behind it.
pub(crate) fn owner_of(key: &[u8]) -> Result<(String, Vec<u8>), LedgerError> {
    let mut parts = key.get(1..).unwrap_or_default().splitn(2, |byte| *byte == 0);
    let owner = std::str::from_utf8(parts.next().unwrap_or_default());
    let owner = owner.map_err(|_| corrupt("a key that is no text"))?.to_owned();
    Ok((owner, parts.next().unwrap_or_default().to_vec()))
}

/// All rows of a kind start with this.
pub(super) fn kind(kind: Kind) -> Vec<u8> {
    vec![kind.letter()]
}

/// The row of a run or tenant, or what all its rows of the kind start with.
pub(crate) fn of(kind: Kind, id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.len() + 10);
    key.push(kind.letter());
    key.extend_from_slice(id.as_bytes());
    key.push(0);
    key
}

/// The run that a row belongs to; none for rows of tenants, and of the file itself.
pub(super) fn run_of(key: &[u8]) -> Option<&[u8]> {
    let of_runs = [
        Kind::Live,
        Kind::TaskHead,
        Kind::Task,
        Kind::Journal,
        Kind::Mail,
        Kind::Timer,
        Kind::Signal,
    ];
    let (letter, rest) = key.split_first()?;
    let of_run = of_runs.iter().any(|kind| kind.letter() == *letter);
    rest.split(|byte| *byte == 0).next().filter(|_| of_run)
}

/// The row of a run's head.
pub(super) fn head_of(run: &[u8]) -> Vec<u8> {
    [&[Kind::Head.letter()], run, &[0]].concat()
}

/// A row of a run that has a number.
pub(crate) fn numbered(kind: Kind, run: &RunId, number: u64) -> Vec<u8> {
    let mut key = of(kind, run.as_str());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// A row of a run or tenant that has a name.
pub(crate) fn named(kind: Kind, id: &str, name: &str) -> Vec<u8> {
    let mut key = of(kind, id);
    key.extend_from_slice(name.as_bytes());
    key
}

/// A tenant's place for a root run in lists.
pub(crate) fn root(tenant: &TenantId, order: u64) -> Vec<u8> {
    let mut key = of(Kind::Root, tenant.as_str());
    key.extend_from_slice(&order.to_be_bytes());
    key
}

/// A finished root run's place among all, by the time of its end.
pub(crate) fn over(ended_at: Timestamp, root: &RunId) -> Vec<u8> {
    let mut key = kind(Kind::Over);
    key.extend_from_slice(&ended_at.0.to_be_bytes());
    key.extend_from_slice(root.as_str().as_bytes());
    key
}

/// The time in the key of [`over`].
pub(crate) fn ended_at(key: &[u8]) -> Result<u64, LedgerError> {
    let time = key.get(1..).and_then(|rest| rest.first_chunk::<8>());
    Ok(u64::from_be_bytes(*time.ok_or_else(|| corrupt("a key without its time"))?))
}

/// The run whose one row of a kind this is the key of.
pub(super) fn run_named_by(key: &[u8]) -> Result<RunId, LedgerError> {
    let text = text_behind(key.strip_suffix(&[0]).unwrap_or(key), 1)?;
    RunId::new(text).map_err(|error| corrupt(&error.to_string()))
}

/// The text behind the kind and, where given, behind the id of a key.
pub(crate) fn text_behind(key: &[u8], prefix: usize) -> Result<&str, LedgerError> {
    let text = key.get(prefix..).and_then(|rest| std::str::from_utf8(rest).ok());
    text.ok_or_else(|| corrupt("a key that is no text"))
}

/// The number at the end of a key.
pub(crate) fn number_of(key: &[u8]) -> Result<u64, LedgerError> {
    let end = key.last_chunk::<8>().ok_or_else(|| corrupt("a key without its number"))?;
    Ok(u64::from_be_bytes(*end))
}

/// What rows hold: the closed list of types that have a form as bytes.
pub(crate) trait Row: Serialize + DeserializeOwned {}
impl Row for Head {}
impl Row for Progress {}
impl Row for TaskHead {}
impl Row for TaskProgress {}
impl Row for JournalEntry {}
impl Row for MailEntry {}
impl Row for TenantTerms {}
impl Row for Timestamp {}
impl Row for Known {}
impl Row for Totals {}
impl Row for RunId {}
impl Row for u32 {}
impl Row for u64 {}
impl Row for bool {}
impl Row for () {}

/// A row's value as bytes.
pub(crate) fn encode<T: Row>(row: &T) -> Result<Vec<u8>, LedgerError> {
    postcard::to_stdvec(row)
        .map_err(|error| LedgerError::Unusable(format!("a row cannot be written: {error}")))
}

/// A row's value from bytes.
pub(crate) fn decode<T: Row>(bytes: &[u8]) -> Result<T, LedgerError> {
    postcard::from_bytes(bytes).map_err(|error| corrupt(&error.to_string()))
}

/// The file holds what this program never writes.
pub(crate) fn corrupt(what: &str) -> LedgerError {
    LedgerError::Unusable(format!(
        "the ledger's file is corrupt ({what}): restore it from a backup, or move it away to start empty"
    ))
}
