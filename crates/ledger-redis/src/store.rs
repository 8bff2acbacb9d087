//! The connection for commands, and the order in which a server is adopted and used.
//!
//! A server keeps no scripts over a restart. So the scripts of a ledger are loaded only
//! behind the script `adopt`, on the same connection: a server that knows a script has
//! an epoch of its own, and one that does not is adopted before the call is repeated.

use crate::{
    Durability, RedisOptions, Sabotage, barrier,
    batch::Batches,
    link::{Link, Server},
    options::address,
    reply::Reply,
    request::Arguments,
    scripts::{Script, Scripts},
};
use baton_ledger::LedgerError;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value,
    aio::{ConnectionManagerConfig, MultiplexedConnection},
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
    link: Link,
    base: String,
    prefix: String,
    scripts: Scripts,
    pub(crate) batches: Batches,
    pub(crate) timeout: Duration,
    address: String,
    cluster: String,
    shards: u16,
    /// Replicas that confirm each call before it is answered; 0 where none has to.
    replicas: u8,
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
    pub(crate) async fn open(
        server: &Server,
        options: &RedisOptions,
        url: &str,
        shard: u16,
    ) -> Result<Self, LedgerError> {
        let base = options.base(shard)?;
        let limit = Duration::from_millis(options.timeout_ms);
        let meta = format!("{base}meta");
        let link = match server {
            Server::Alone(client) => alone(client, limit, url).await?,
            Server::Cluster(_, connection) => Link::cluster(connection.clone(), &meta),
        };
        Ok(Self {
            scripts: Scripts::new(&base, link.is_of_a_cluster(), options.lacks(Sabotage::Tokens)),
            link,
            base,
            batches: Batches::new(),
            prefix: options.prefix.clone(),
            timeout: limit,
            address: address(url),
            cluster: options.cluster.clone(),
            shards: options.shards,
            replicas: match options.durability {
                Durability::Replicas(count) => count,
                Durability::Always | Durability::EverySecond => 0,
            },
            epoch: AtomicU64::new(0),
            adoptions: AtomicU64::new(0),
            adopting: Mutex::new(()),
        })
    }

    /// That there was no answer in time.
    pub(crate) fn unanswered(&self) -> LedgerError {
        unanswered(self.timeout)
    }

    /// What every key of the shard begins with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The server it is on at the moment: its address, without user and password, or what a
    /// Redis Cluster calls the node.
    pub(crate) async fn server(&self) -> Result<String, LedgerError> {
        if !self.link.is_of_a_cluster() {
            return Ok(self.address.clone());
        }
        let id = self.command(redis::cmd("CLUSTER").arg("MYID")).await?;
        let id = redis::from_redis_value::<String>(id).unwrap_or_default();
        Ok(format!("node {id}"))
    }

    /// Whether the shard was made at some time.
    pub(crate) async fn is_there(&self) -> Result<bool, LedgerError> {
        let key = format!("{}meta", self.base);
        let there = self.command(redis::cmd("EXISTS").arg(key)).await?;
        Ok(there == Value::Int(1))
    }

    /// What every key of the ledger begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Sends one plain command.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, LedgerError> {
        within(self.timeout, self.link.command(command)).await
    }

    /// Sends several plain commands; gives an answer for each.
    pub(crate) async fn pipe(&self, pipe: Pipeline) -> Result<Vec<Value>, LedgerError> {
        let answers = within(self.timeout, self.link.pipe(pipe)).await?;
        answers.into_iter().collect::<Result<_, _>>().map_err(|error: RedisError| said(&error))
    }

    /// The same as one, so that nothing happens in between.
    pub(crate) async fn at_once(&self, pipe: Pipeline) -> Result<Vec<Value>, LedgerError> {
        within(self.timeout, self.link.at_once(pipe)).await
    }

    /// Has a script run on these keys, which are all in one slot. After `Unavailable` it may
    /// have run or not.
    pub(crate) async fn call_on(
        &self,
        keys: &[String],
        script: Script,
        arguments: Arguments,
    ) -> Result<Answer, LedgerError> {
        let link = keys.first().map_or_else(|| self.link.clone(), |key| self.link.at(key));
        for _ in 0..ADOPTIONS_MAX {
            let adoptions = self.adoptions.load(Ordering::Acquire);
            let epoch = self.epoch.load(Ordering::Acquire);
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.scripts.digest(script)).arg(keys.len()).arg(keys);
            command.arg(epoch).arg(&arguments.0);
            let Ok(ran) = timeout(self.timeout, self.run(&link, command)).await else {
                return Err(unanswered(self.timeout));
            };
            match ran? {
                Ok(value) => {
                    let mut reply = Reply::new(value)?;
                    match reply.text()?.as_str() {
                        "Ok" => return Ok(Answer::Ok(reply)),
                        "Fenced" => self.adopt(adoptions).await?,
                        "Moving" => return Err(moving()),
                        other => return Ok(Answer::Refused(other.to_owned(), reply)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    match self.scripts.of_an_account(script) {
                        // It knows no epoch, and may be on another node than the shard.
                        Some(text) => {
                            let mut load = redis::cmd("SCRIPT");
                            load.arg("LOAD").arg(text);
                            within(self.timeout, link.command(&load)).await?;
                        }
                        None => self.adopt(adoptions).await?,
                    }
                }
                Err(error) => return Err(said(&error)),
            }
        }
        Err(LedgerError::Unavailable(format!(
            "the server was another one {ADOPTIONS_MAX} times in one call"
        )))
    }

    /// Runs a script and, where replicas have to have what it answers, waits for them: in
    /// one pipeline, so that both are said to the same server. Also where it only read: what
    /// others wrote is shown to nobody before it is safe.
    async fn run(
        &self,
        link: &Link,
        command: Cmd,
    ) -> Result<Result<Value, RedisError>, LedgerError> {
        if self.replicas == 0 || barrier::is_off() {
            return Ok(link.command(&command).await);
        }
        let waiting_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX) / 2;
        let mut pipe = redis::pipe();
        pipe.add_command(command);
        // Valkey waits for no more than what this connection sent to replicas, which a word
        // that nobody listens to is: so it is behind what all others wrote.
        pipe.cmd("PUBLISH").arg(format!("{}barrier", self.base)).arg("");
        pipe.cmd("WAIT").arg(self.replicas).arg(waiting_ms);
        let answers = match link.pipe(pipe).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(error)),
        };
        let mut answers = answers.into_iter();
        let ran = answers.next().unwrap_or(Ok(Value::Nil));
        if let Some(Err(error)) = answers.next() {
            return Ok(Err(error));
        }
        match (&ran, answers.next()) {
            (Err(_), _) => Ok(ran),
            (Ok(_), Some(Ok(Value::Int(confirmed)))) if confirmed >= self.replicas.into() => {
                Ok(ran)
            }
            (Ok(_), Some(Ok(Value::Int(confirmed)))) => Err(LedgerError::Unavailable(format!(
                "{confirmed} of {} replicas confirmed within {waiting_ms} ms: see to the others \
                 and to the links to them",
                self.replicas
            ))),
            (Ok(_), Some(Err(error))) => Ok(Err(error)),
            (Ok(_), Some(Ok(_)) | None) => Err(unanswered(self.timeout)),
        }
    }

    /// Raises the epoch if the server is not the one that was adopted last, and loads the
    /// scripts, both or neither; unless that was done since there were so many `adoptions`, by
    /// another call.
    pub(crate) async fn adopt(&self, adoptions: u64) -> Result<(), LedgerError> {
        let _one_at_a_time = self.adopting.lock().await;
        if self.adoptions.load(Ordering::Acquire) != adoptions {
            return Ok(());
        }
        let known = self.epoch.load(Ordering::Acquire);
        let mut pipe = redis::pipe();
        pipe.cmd("EVAL").arg(&self.scripts.adopt).arg(1);
        pipe.arg(format!("{}meta", self.base)).arg(known).arg(&self.cluster).arg(self.shards);
        for text in self.scripts.texts() {
            pipe.cmd("SCRIPT").arg("LOAD").arg(text);
        }
        let answers = self.at_once(pipe).await?;
        let mut reply = Reply::new(answers.into_iter().next().unwrap_or(Value::Nil))?;
        let said = reply.text()?;
        if said == "Shards" {
            return Err(LedgerError::Unusable(format!(
                "the ledger under {:?} has {} shards, and {} are configured: their number is \
                 fixed; give it as it was when the ledger was made",
                self.base,
                reply.text()?,
                self.shards
            )));
        }
        if said == "Cluster" {
            return Err(LedgerError::Unusable(format!(
                "the keys under {:?} belong to cluster {:?}, and this one is {:?}: two clusters \
                 must not share keys; give this one a prefix or a Redis of its own",
                self.base,
                reply.text()?,
                self.cluster
            )));
        }
        if said == "Layout" {
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

/// A connection to one server, that is made anew whenever it is lost.
async fn alone(client: &Client, limit: Duration, url: &str) -> Result<Link, LedgerError> {
    let (first_ms, longest_ms) = RECONNECT_MS;
    // The library's own timeout is 500 ms, less than a loaded server may take to sync.
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(limit))
        .set_connection_timeout(Some(limit))
        .set_number_of_retries(RECONNECTS_MAX)
        .set_min_delay(Duration::from_millis(first_ms))
        .set_max_delay(Duration::from_millis(longest_ms));
    // The first attempt by itself: the manager tries again and again, whatever the reason.
    once(client, limit, url).await?;
    let connecting = client.get_connection_manager_with_config(config);
    Ok(Link::Alone(within(limit, connecting).await?))
}

/// One attempt to connect, with the reason why it fails.
async fn once(
    client: &Client,
    limit: Duration,
    url: &str,
) -> Result<MultiplexedConnection, LedgerError> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(limit))
        .set_connection_timeout(Some(limit));
    let trying = client.get_multiplexed_async_connection_with_config(&config);
    within(limit, trying).await.map_err(|error| at(&address(url), error))
}

/// What stands at this address: a server by itself, or a node of a Redis Cluster.
pub(crate) async fn server_at(options: &RedisOptions, url: &str) -> Result<Server, LedgerError> {
    let client = options.client(url)?;
    let limit = Duration::from_millis(options.timeout_ms);
    let mut connection = once(&client, limit, url).await?;
    let mut asking = redis::cmd("INFO");
    asking.arg("cluster");
    let info: String = within(limit, asking.query_async(&mut connection)).await?;
    if !info.contains("cluster_enabled:1") {
        return Ok(Server::Alone(client));
    }
    if matches!(options.durability, Durability::Replicas(_)) {
        return Err(LedgerError::Unusable(format!(
            "{} is a Redis Cluster, which promotes replicas by itself, also ones that lack what \
             was acknowledged: use `always` there, or servers by themselves for `replicas`",
            address(url)
        )));
    }
    let clients: Result<Vec<Client>, LedgerError> =
        options.urls.iter().map(|url| options.client(url)).collect();
    let connecting = options.cluster_client()?;
    let connection = within(limit, connecting.get_async_connection()).await;
    let connection = connection.map_err(|error| at(&address(url), error))?;
    Ok(Server::Cluster(clients?, connection))
}

/// The same error, with whom it is about.
fn at(address: &str, error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Unavailable(why) => {
            LedgerError::Unavailable(format!("Redis at {address} cannot be reached: {why}"))
        }
        LedgerError::Unusable(why) => LedgerError::Unusable(format!("Redis at {address}: {why}")),
        other => other,
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

fn moving() -> LedgerError {
    LedgerError::Unavailable(
        "the slot of the keys is being moved to another node of the Redis Cluster: nothing was \
         done; repeat it when the move is over (CLUSTER NODES shows it)"
            .into(),
    )
}

/// Whether a node said that keys may be on another one, too.
fn may_be_moving(error: &RedisError) -> bool {
    let said = error.clone().into_server_errors();
    said.is_some_and(|said| {
        let moving = [Some(ServerErrorKind::Ask), Some(ServerErrorKind::TryAgain)];
        said.iter().any(|(_, error)| moving.contains(&error.kind()))
    })
}

fn unanswered(limit: Duration) -> LedgerError {
    LedgerError::Unavailable(format!("no answer from Redis within {} ms", limit.as_millis()))
}

/// What a failure of a command means to the caller.
fn said(error: &RedisError) -> LedgerError {
    let text = error.to_string();
    if may_be_moving(error) {
        return moving();
    }
    if error.kind() == ErrorKind::AuthenticationFailed {
        return LedgerError::Unusable(format!(
            "Redis refused the user or the password: see to `user` and `password_env` or \
             `password_file` ({text})"
        ));
    }
    failed(error.code(), text)
}

/// What a failure with this code means.
pub(crate) fn failed(code: Option<&str>, text: String) -> LedgerError {
    let advice = match code {
        Some("BUSY") => "a script of another program occupies the server",
        Some("LOADING") => "the server is loading its data",
        Some("OOM") => "the server is out of memory: raise maxmemory or remove finished runs",
        Some("MISCONF") => "the server cannot write to its disk: see its log",
        Some("READONLY") => "the server is a replica: connect to the primary",
        Some("CLUSTERDOWN") => {
            "no node of the Redis Cluster has the shard's slot: start the node that had it again"
        }
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
