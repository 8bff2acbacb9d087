//! A shard that is being filled: what is written, and then what follows from it.

use crate::{reply::Reply, request::spend_text, store::Store};
use baton_ledger::{Class, DECIDE_TASK, LedgerError};
use baton_workflow::{Spend, TenantId};
use redis::{FromRedisValue, Pipeline, Value, cmd, from_redis_value, pipe};
use std::collections::{BTreeSet, HashMap};

/// Keys looked at at a time for one that is in the way.
const SCAN: usize = 1000;
/// Who has what was leased when it was saved, until that lease is over, which is at once.
pub(crate) const NOBODY: &str = "restored";

/// One shard that is being filled.
pub(crate) struct Filling<'a> {
    pub(crate) store: &'a Store,
    commands: Pipeline,
    bytes: usize,
    pub(crate) runs: u64,
    pub(crate) age: u64,
    pub(crate) unfinished: u64,
    pub(crate) finished: u64,
    pub(crate) bodies: u64,
    pub(crate) body_bytes: u64,
}

pub(crate) fn parsed<T: FromRedisValue>(value: Value) -> Result<T, LedgerError> {
    from_redis_value(value).map_err(|error| LedgerError::Unusable(error.to_string()))
}

impl<'a> Filling<'a> {
    /// Nothing yet, and ages from there on.
    pub(crate) fn new(store: &'a Store, age: u64) -> Self {
        Self {
            store,
            commands: pipe(),
            bytes: 0,
            runs: 0,
            age,
            unfinished: 0,
            finished: 0,
            bodies: 0,
            body_bytes: 0,
        }
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.store.base())
    }

    /// A command on a key of the shard, whose other arguments follow.
    pub(crate) fn put(&mut self, command: &str, name: &str, arguments: &[&[u8]]) {
        let key = self.key(name);
        self.bytes += key.len() + arguments.iter().map(|one| one.len()).sum::<usize>();
        self.commands.cmd(command).arg(key).arg(arguments);
    }

    pub(crate) fn texts(&mut self, command: &str, name: &str, arguments: &[&str]) {
        let bytes: Vec<&[u8]> = arguments.iter().map(|text| text.as_bytes()).collect();
        self.put(command, name, &bytes);
    }

    pub(crate) async fn flush(&mut self, least: (usize, usize)) -> Result<(), LedgerError> {
        if self.commands.len() <= least.0 && self.bytes <= least.1 {
            return Ok(());
        }
        self.bytes = 0;
        self.store.pipe(std::mem::replace(&mut self.commands, pipe())).await.map(|_| ())
    }

    /// Refuses where anything is there.
    pub(crate) async fn check_empty(&self) -> Result<(), LedgerError> {
        let (mut cursor, pattern) = (0_u64, self.key("*"));
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN);
            let (next, keys): (u64, Vec<String>) = parsed(self.store.command(&scan).await?)?;
            if let Some(key) = keys.first() {
                return Err(LedgerError::Unusable(format!(
                    "there is something under {} already ({key}): restore under another prefix, \
                     or delete what is there; if it was a restore that did not come to its end, \
                     delete that",
                    self.store.base()
                )));
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    pub(crate) fn enqueue(
        &mut self,
        run: &str,
        number: u32,
        tenant: &str,
        class: &str,
        place: (u64, u64),
    ) {
        let score = place.0 * (1 << 40) + place.1;
        let member = format!("{run} {number:010}");
        self.texts("ZADD", &format!("queue:{class}:{tenant}"), &[&score.to_string(), &member]);
        self.texts("ZINCRBY", "queued", &["1", &format!("{tenant} {class}")]);
        self.texts("SADD", "classes", &[class]);
        self.texts("ZADD", &format!("ring:{class}"), &["NX", "0", tenant]);
    }

    /// It is taken back by whoever ticks first, by the rules for leases that end.
    pub(crate) fn leased(&mut self, run: &str, number: u32, tenant: &str, class: &str) {
        let member = format!("{run} {number:010}");
        self.texts("ZADD", "leases", &["0", &member]);
        self.texts("ZADD", &format!("held:{NOBODY}"), &["0", &member]);
        self.texts("ZINCRBY", "leased", &["1", &format!("{tenant} {class}")]);
        self.texts("HINCRBY", &format!("tenant:{tenant}"), &["leased", "1"]);
    }

    pub(crate) fn decide(&mut self, run: &str, tenant: &str) {
        self.age += 1;
        let (age, nothing) = (self.age.to_string(), spend_text(&Spend::ZERO));
        let class = Class::decide();
        let fields = [
            ["class", class.as_str()],
            ["priority", "0"],
            ["cost", "1"],
            ["reserve", &nothing],
            ["age", &age],
            ["state", "queued"],
            ["attempt", "0"],
            ["payload", ""],
            ["spent", &nothing],
            ["reserved", &nothing],
            ["at", "0"],
        ];
        self.texts("HSET", &format!("task:{run}:{DECIDE_TASK}"), fields.as_flattened());
        self.texts("SADD", &format!("live:{run}"), &["0"]);
        self.enqueue(run, DECIDE_TASK, tenant, class.as_str(), (0, self.age));
    }
}

/// What follows from a tree of runs; counts the texts that it has.
pub(crate) async fn tree(
    shard: &mut Filling<'_>,
    tenant: &str,
    root: &str,
    texts: &mut HashMap<String, u64>,
) -> Result<(), LedgerError> {
    let (mut runs, mut reserved, mut at) = (vec![root.to_owned()], Spend::ZERO, 0);
    while let Some(run) = runs.get(at).cloned() {
        at += 1;
        let mut asking = pipe();
        asking.cmd("HGET").arg(shard.key(&format!("run:{run}"))).arg("ended_at");
        asking.cmd("ZRANGE").arg(shard.key(&format!("children:{run}"))).arg(0).arg(-1);
        asking.cmd("SMEMBERS").arg(shard.key(&format!("live:{run}")));
        let mut answers = shard.store.pipe(asking).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let ended_at: Option<String> = parsed(next())?;
        let (children, live): (Vec<String>, Vec<u32>) = (parsed(next())?, parsed(next())?);
        runs.extend(children);
        reserved = reserved.plus(tasks(shard, tenant, &run, &live).await?);
        if ended_at.is_none() {
            shard.texts("ZADD", "unended", &["0", &run]);
            shard.decide(&run, tenant);
        }
        if run != root {
            continue;
        }
        match ended_at {
            Some(at) => {
                shard.finished += 1;
                shard.texts("ZADD", "over", &[&at, root]);
                shard.texts("ZINCRBY", "kept", &["1", tenant]);
            }
            None => {
                shard.unfinished += 1;
                shard.texts("HINCRBY", &format!("tenant:{tenant}"), &["runs", "1"]);
            }
        }
    }
    if reserved != Spend::ZERO {
        shard.texts("HSET", &format!("run:{root}"), &["reserved", &spend_text(&reserved)]);
    }
    let uses = shard.store.command(cmd("SMEMBERS").arg(shard.key(&format!("uses:{root}")))).await?;
    for hash in parsed::<Vec<String>>(uses)? {
        *texts.entry(hash).or_default() += 1;
    }
    Ok(())
}

/// Puts tasks where they wait or are held; gives what they have set aside.
async fn tasks(
    shard: &mut Filling<'_>,
    tenant: &str,
    run: &str,
    live: &[u32],
) -> Result<Spend, LedgerError> {
    let mut asking = pipe();
    for number in live {
        asking.cmd("HMGET").arg(shard.key(&format!("task:{run}:{number}")));
        asking.arg("state").arg("class").arg("priority").arg("age").arg("reserved");
    }
    let mut sum = Spend::ZERO;
    let answers = if live.is_empty() { Vec::new() } else { shard.store.pipe(asking).await? };
    for (number, answer) in live.iter().zip(answers) {
        let (state, class, priority, age, reserved): (String, String, u64, u64, String) =
            parsed(answer)?;
        if state == "leased" {
            sum = sum.plus(Reply::of(reserved.into()).spend()?);
            shard.leased(run, *number, tenant, &class);
        } else {
            shard.enqueue(run, *number, tenant, &class, (priority, age));
        }
    }
    Ok(sum)
}

/// Counts the texts that the tenant's trees have here, and deletes those that trees have in
/// other lanes alone.
pub(crate) async fn bodies(
    shard: &mut Filling<'_>,
    tenant: &TenantId,
    texts: &HashMap<String, u64>,
    all: &BTreeSet<String>,
) -> Result<(), LedgerError> {
    for hash in all {
        let body = format!("body:{tenant}:{hash}");
        let Some(trees) = texts.get(hash) else {
            shard.texts("DEL", &body, &[]);
            continue;
        };
        let length = shard.store.command(cmd("STRLEN").arg(shard.key(&body))).await?;
        shard.bodies += 1;
        shard.body_bytes += parsed::<u64>(length)?;
        if *trees > 1 {
            let others = (trees - 1).to_string();
            shard.texts("HSET", &format!("shared:{tenant}"), &[hash, &others]);
        }
    }
    shard.flush((0, 0)).await
}
