//! The connection for commands, and the order in which a server is adopted and used.
//!
//! A server keeps no scripts over a restart. So the scripts of a ledger are loaded only
//! behind the script `adopt`, on the same connection: a server that knows a script has
//! an epoch of its own, and one that does not is adopted before the call is repeated.

use crate::{
    RedisOptions, Sabotage,
    reply::Reply,
    request::Arguments,
    scripts::{Name, Scripts},
};
use baton_ledger::LedgerError;
use redis::{
    Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::Mutex, time::timeout};

/// Times that one call finds its server not adopted, before it gives up.
const ADOPTIONS_MAX: usize = 3;
/// Attempts to connect again within one call; it ends with the call's timeout anyway.
const RECONNECTS_MAX: usize = 16;
/// Pauses between attempts to connect: the first, and the longest.
const RECONNECT_MS: (u64, u64) = (10, 250);

/// One shard of a ledger on one server.
pub(crate) struct Store {
    connection: ConnectionManager,
    base: String,
    prefix: String,
    scripts: Scripts,
    timeout: Duration,
    /// The highest epoch that this process knows of.
    epoch: AtomicU64,
    /// How often this process found its server to be adopted.
    adoptions: AtomicU64,
    adopting: Mutex<()>,
}

/// What a script said, other than that its caller is of another epoch.
pub(crate) enum Answer {
    Ok(Reply),
    /// Nothing was changed, for a reason with details.
    Refused(String, Reply),
}

impl Store {
    /// Connects, without checking what the server is.
    pub(crate) async fn open(client: Client, options: &RedisOptions) -> Result<Self, LedgerError> {
        let base = options.base(0)?;
        let limit = Duration::from_millis(options.timeout_ms);
        let (first_ms, longest_ms) = RECONNECT_MS;
        // The library's own timeout is 500 ms, less than a loaded server may take to sync.
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(limit))
            .set_connection_timeout(Some(limit))
            .set_number_of_retries(RECONNECTS_MAX)
            .set_min_delay(Duration::from_millis(first_ms))
            .set_max_delay(Duration::from_millis(longest_ms));
        let connecting = client.get_connection_manager_with_config(config);
        let connection = within(limit, connecting).await?;
        Ok(Self {
            connection,
            scripts: Scripts::new(&base, options.lacks(Sabotage::Tokens)),
            base,
            prefix: options.prefix.clone(),
            timeout: limit,
            epoch: AtomicU64::new(0),
            adoptions: AtomicU64::new(0),
            adopting: Mutex::new(()),
        })
    }

    /// What every key of the shard begins with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What every key of the ledger begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Sends one plain command.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, LedgerError> {
        let mut connection = self.connection.clone();
        within(self.timeout, command.query_async(&mut connection)).await
    }

    /// Has one script of the shard run. After `Unavailable` it may have run or not.
    pub(crate) async fn call(
        &self,
        name: Name,
        arguments: Arguments,
    ) -> Result<Answer, LedgerError> {
        self.call_on(&[format!("{}meta", self.base)], name, arguments).await
    }

    /// The same on these keys, which are all in one slot.
    pub(crate) async fn call_on(
        &self,
        keys: &[String],
        name: Name,
        arguments: Arguments,
    ) -> Result<Answer, LedgerError> {
        for _ in 0..ADOPTIONS_MAX {
            let adoptions = self.adoptions.load(Ordering::Acquire);
            let epoch = self.epoch.load(Ordering::Acquire);
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.scripts.digest(name)).arg(keys.len()).arg(keys);
            command.arg(epoch).arg(&arguments.0);
            let mut connection = self.connection.clone();
            let running = command.query_async::<Value>(&mut connection);
            let Ok(ran) = timeout(self.timeout, running).await else {
                return Err(unanswered(self.timeout));
            };
            match ran {
                Ok(value) => {
                    let mut reply = Reply::new(value)?;
                    match reply.text()?.as_str() {
                        "Ok" => return Ok(Answer::Ok(reply)),
                        "Fenced" => self.adopt(adoptions).await?,
                        other => return Ok(Answer::Refused(other.to_owned(), reply)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.adopt(adoptions).await?;
                }
                Err(error) => return Err(said(&error)),
            }
        }
        Err(LedgerError::Unavailable(format!(
            "the server was another one {ADOPTIONS_MAX} times in one call"
        )))
    }

    /// Raises the epoch if the server is not the one that was adopted last, and loads the
    /// scripts; unless that was done since there were so many `adoptions`, by another call.
    pub(crate) async fn adopt(&self, adoptions: u64) -> Result<(), LedgerError> {
        let _one_at_a_time = self.adopting.lock().await;
        if self.adoptions.load(Ordering::Acquire) != adoptions {
            return Ok(());
        }
        let known = self.epoch.load(Ordering::Acquire);
        let mut pipe = redis::pipe();
        pipe.cmd("EVAL").arg(&self.scripts.adopt).arg(1);
        pipe.arg(format!("{}meta", self.base)).arg(known);
        for text in self.scripts.texts() {
            pipe.cmd("SCRIPT").arg("LOAD").arg(text).ignore();
        }
        let mut connection = self.connection.clone();
        let answers: Vec<Value> = within(self.timeout, pipe.query_async(&mut connection)).await?;
        let mut reply = Reply::new(answers.into_iter().next().unwrap_or(Value::Nil))?;
        if reply.text()? == "Layout" {
            return Err(LedgerError::Unusable(format!(
                "the keys under {:?} are of layout {:?}, which this version cannot read: use \
                 the version that wrote them, or another prefix",
                self.base,
                reply.text()?
            )));
        }
        let epoch = reply.parse("an epoch")?;
        if self.epoch.fetch_max(epoch, Ordering::AcqRel) < epoch {
            tracing::info!(epoch, base = self.base, "adopted the store");
        }
        self.adoptions.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, LedgerError> {
    match timeout(limit, work).await {
        Ok(done) => done.map_err(|error| said(&error)),
        Err(_) => Err(unanswered(limit)),
    }
}

fn unanswered(limit: Duration) -> LedgerError {
    LedgerError::Unavailable(format!("no answer from Redis within {} ms", limit.as_millis()))
}

/// What a failure of a command means to the caller.
fn said(error: &RedisError) -> LedgerError {
    let text = error.to_string();
    let advice = match error.code() {
        Some("BUSY") => "a script of another program occupies the server",
        Some("LOADING") => "the server is loading its data",
        Some("OOM") => "the server is out of memory: raise maxmemory or remove finished runs",
        Some("MISCONF") => "the server cannot write to its disk: see its log",
        Some("READONLY") => "the server is a replica: connect to the primary",
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => {
            return LedgerError::Unusable(format!(
                "Redis refused the connection's user: give a name and password in the URL \
                 that may run scripts and publish ({text})"
            ));
        }
        // An error inside a script: the keys hold what no script of ours writes.
        Some("ERR" | "WRONGTYPE" | "CROSSSLOT") => {
            return LedgerError::Unusable(format!(
                "a script failed; another program may be writing under the same prefix ({text})"
            ));
        }
        Some(_) | None => return LedgerError::Unavailable(text),
    };
    LedgerError::Unavailable(format!("{advice} ({text})"))
}
