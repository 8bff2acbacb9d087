//! Every bound of the gateway, with its unit and its reason.

use std::time::Duration;

/// Largest request body, in bytes: a long conversation with images; the ledger takes
/// bodies of twice that.
pub(crate) const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes read and thrown away of a body that is too large, so that its sender gets to
/// read the refusal instead of a broken connection.
pub(crate) const BODY_BYTES_DISCARDED_MAX: usize = 64 * 1024 * 1024;
/// Time for a body to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Messages in one conversation.
pub(crate) const MESSAGES_MAX: usize = 4096;
/// Parts in one message.
pub(crate) const PARTS_MAX: usize = 256;
/// Texts that end the answer: OpenAI's limit.
pub(crate) const STOPS_MAX: usize = 4;
/// Tools that can be offered: OpenAI's limit.
pub(crate) const TOOLS_MAX: usize = 128;
/// Characters of a tool's or a schema's name: OpenAI's limit.
pub(crate) const TOOL_NAME_CHARS_MAX: usize = 64;
/// Bytes of a tool's or an answer's schema: it is read with every answer.
pub(crate) const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Entries of `metadata`, then characters of a key, then of a value: OpenAI's limits.
pub(crate) const METADATA_ENTRIES_MAX: usize = 16;
/// See [`METADATA_ENTRIES_MAX`].
pub(crate) const METADATA_KEY_CHARS_MAX: usize = 64;
/// See [`METADATA_ENTRIES_MAX`].
pub(crate) const METADATA_VALUE_CHARS_MAX: usize = 512;
/// Agents in `baton.allow` or `baton.deny`.
pub(crate) const AGENTS_NAMED_MAX: usize = 1024;
/// Faults told of one request; a message longer than a screen helps nobody.
pub(crate) const FAULTS_TOLD_MAX: usize = 16;
/// Characters shown of a wrong value.
pub(crate) const VALUE_CHARS_TOLD_MAX: usize = 64;
/// Characters of an `Idempotency-Key`.
pub(crate) const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// Requests under way in this process; above it, 429.
pub(crate) const REQUESTS_MAX: usize = 4096;
/// When to come again after that.
pub(crate) const REQUESTS_RETRY: Duration = Duration::from_secs(1);
/// How long a tenant whose queue was found full is taken to have it full: a moment against
/// the time that is told to wait, and short enough that few runs end in it.
pub(crate) const FULL_FOR: Duration = Duration::from_millis(10);
/// Tenants of whom that is remembered.
pub(crate) const FULL_TENANTS_MAX: usize = 1024;

/// How long a member that did not answer is asked last: until the registry knows better.
pub(crate) const SILENT_FOR: Duration = Duration::from_secs(10);
/// Connections to other services that are kept.
pub(crate) const PEERS_MAX: usize = 256;
/// Time for an answer of another service that calls no model.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How much later than the caller the called side gives a call up: by then it is known here
/// that the time was over, and not that somebody was away.
pub(crate) const LATER: Duration = Duration::from_secs(1);
/// Time for a dry run, which calls the policy: a reasoning model may take minutes.
pub(crate) const PLAN_TIMEOUT: Duration = Duration::from_secs(300);
/// Tries of a call that other members of the same service can answer as well.
pub(crate) const CALL_TRIES_MAX: usize = 4;
/// Between these tries.
pub(crate) const CALL_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Longest time that a run is followed without any Conductor answering.
pub(crate) const CONDUCTOR_AWAY_MAX: Duration = Duration::from_secs(60);
/// Tries to find a step's tokens at its holder: the lease is seen before the call begins.
pub(crate) const STEP_WATCH_TRIES_MAX: u32 = 6;
/// Before the second of these tries; doubles with each.
pub(crate) const STEP_WATCH_PAUSE: Duration = Duration::from_millis(20);

/// Between comments on a stream that has nothing to say: well below the idle limit of
/// common proxies (60 s).
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Characters of one chunk of an answer that was ready before it could be streamed.
pub(crate) const PIECE_CHARS: usize = 256;

/// Runs remembered for clients that try again.
pub(crate) const RETRIES_MAX: usize = 8192;
/// For how long they are remembered: longer than a client's time-out of ten minutes.
pub(crate) const RETRIES_KEPT: Duration = Duration::from_secs(15 * 60);
/// How long a run outlives a client that announced that it tries again, beyond the pause
/// that such clients make.
pub(crate) const LEAVE_GRACE: Duration = Duration::from_secs(2);
/// The pause that the official clients make before they try again, at most: it doubles
/// with each try.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The longest of these pauses.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(8);
/// The same for a client that gave a key of its own: once its run is cancelled, the key
/// gives nothing else any more.
pub(crate) const KEYED_LEAVE_GRACE: Duration = Duration::from_secs(30);

/// Runs in one page of a list, and where nothing is asked for.
pub(crate) const PAGE_RUNS_MAX: u32 = 100;
/// See [`PAGE_RUNS_MAX`].
pub(crate) const PAGE_RUNS: u32 = 20;
/// Runs in one status, and where nothing is asked for: what fits on a screen.
pub(crate) const STATUS_RUNS_MAX: u32 = 100;
/// See [`STATUS_RUNS_MAX`].
pub(crate) const STATUS_RUNS: u32 = 50;
/// Time for a worker-agent to tell its figures: whoever looks on does not wait longer.
pub(crate) const STATUS_WORKER_TIMEOUT: Duration = Duration::from_secs(2);
/// Characters of a reason for cancelling.
pub(crate) const REASON_CHARS_MAX: usize = 512;

/// Time between telling load balancers that nothing new is to be sent here and taking
/// nothing new, unless another is set: none, where nobody asks.
pub(crate) const NOTICE: Duration = Duration::ZERO;
/// Time that requests under way get to end after the gateway was told to stop, unless
/// another is set: well within Kubernetes' 30 s.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);
/// Time that connections get to close after their requests were cut.
pub(crate) const CUT: Duration = Duration::from_secs(2);
