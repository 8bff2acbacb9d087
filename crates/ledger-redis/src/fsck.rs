//! Looking a shard over: rows against each other, texts against their names. Only what does
//! not change meanwhile can be compared, so nobody should be at work.

use crate::store::Store;
use baton_ledger::{Body, Damage, Finding, LedgerError, Looked};
use baton_workflow::{Spend, Usd};
use redis::{Cmd, FromRedisValue, cmd, from_redis_value};
use std::collections::{BTreeMap, BTreeSet};

/// Damages that are told one by one; further ones are counted.
const FOUND_MAX: usize = 1000;
/// Keys asked for at a time.
const PAGE: usize = 1000;

/// What a run's row says.
#[derive(Default)]
struct Run {
    tenant: String,
    root: String,
    parent: String,
    length: u64,
    spent: Spend,
    ended: bool,
}

/// One pass over the keys of a shard.
struct Look<'a> {
    store: &'a Store,
    looked: Looked,
    runs: BTreeMap<String, Run>,
    /// What tasks, and runs below, spent.
    below: BTreeMap<String, Spend>,
    /// Journals, tasks, mails and timers, by the run in their key.
    owned: Vec<(&'static str, String)>,
    /// Runs that indices name, with what names them.
    named: Vec<(&'static str, String)>,
    /// By root: hashes.
    uses: Vec<(String, String)>,
    bodies: BTreeSet<String>,
    body_bytes: u64,
}

pub(crate) async fn fsck(store: &Store) -> Result<Looked, LedgerError> {
    let mut look = Look {
        store,
        looked: Looked::default(),
        runs: BTreeMap::new(),
        below: BTreeMap::new(),
        owned: Vec::new(),
        named: Vec::new(),
        uses: Vec::new(),
        bodies: BTreeSet::new(),
        body_bytes: 0,
    };
    let (base, mut cursor) = (store.base().to_owned(), 0_u64);
    // A key may be shown twice.
    let mut keys = BTreeSet::new();
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{base}*")).arg("COUNT").arg(PAGE);
        let (next, page): (u64, Vec<String>) = look.ask(&scan).await?;
        keys.extend(page);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for key in &keys {
        let name = key.strip_prefix(&base).unwrap_or(key);
        look.looked.rows += 1;
        let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
        look.key(key, kind, rest).await?;
    }
    look.compare().await
}

fn spend(text: &str) -> Option<Spend> {
    let mut words = text.split(' ').map(str::parse::<u64>);
    let mut word = || words.next()?.ok();
    Some(Spend {
        usd: Usd::from_pico(word()?),
        tokens_in: word()?,
        tokens_out: word()?,
        calls: u32::try_from(word()?).ok()?,
    })
}

/// A run, of the fields in which [`Look::run`] asks for it.
fn run_of(row: &[Option<Vec<u8>>]) -> Option<Run> {
    let text = |place: usize| {
        let bytes = row.get(place).cloned().flatten()?;
        String::from_utf8(bytes).ok()
    };
    Some(Run {
        tenant: text(0)?,
        root: text(1)?,
        parent: text(2).unwrap_or_default(),
        length: text(3)?.parse().ok()?,
        spent: spend(&text(4)?)?,
        ended: row.get(5).is_some_and(Option::is_some),
    })
}

impl Look<'_> {
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LedgerError> {
        let value = self.store.command(command).await?;
        from_redis_value(value).map_err(|error| LedgerError::Unusable(error.to_string()))
    }

    fn found(&mut self, damage: Damage, what: String) {
        if self.looked.found.len() < FOUND_MAX {
            self.looked.found.push(Finding { damage, what });
        } else {
            self.looked.more += 1;
        }
    }

    async fn key(&mut self, key: &str, kind: &str, rest: &str) -> Result<(), LedgerError> {
        match kind {
            "run" => self.run(key, rest).await?,
            "task" => self.task(key, rest).await?,
            "journal" => self.owned.push(("the journal", rest.to_owned())),
            "mail" => self.owned.push(("the mail", rest.to_owned())),
            "body" => self.body(key, rest).await?,
            "uses" => {
                let hashes: Vec<String> = self.ask(cmd("SMEMBERS").arg(key)).await?;
                self.uses.extend(hashes.into_iter().map(|hash| (rest.to_owned(), hash)));
            }
            "known" => {
                let run: Option<String> = self.ask(cmd("HGET").arg(key).arg("run")).await?;
                self.named.push(("an idempotency key", run.unwrap_or_default()));
            }
            "runs" | "over" | "unended" => {
                let by = match kind {
                    "runs" => "a list of runs",
                    "over" => "the order of ends",
                    _ => "the list of unfinished runs",
                };
                let runs: Vec<String> = self.ask(cmd("ZRANGE").arg(key).arg(0).arg(-1)).await?;
                self.named.extend(runs.into_iter().map(|run| (by, run)));
            }
            "leases" => self.tasks_of(key, "leased", "the order of leases").await?,
            "queue" => self.tasks_of(key, "queued", "a queue").await?,
            _ => {}
        }
        Ok(())
    }

    async fn run(&mut self, key: &str, id: &str) -> Result<(), LedgerError> {
        let mut ask = cmd("HMGET");
        ask.arg(key).arg("tenant").arg("root").arg("parent").arg("length").arg("spent").arg("end");
        let row: Vec<Option<Vec<u8>>> = self.ask(&ask).await?;
        match run_of(&row) {
            Some(run) => {
                self.runs.insert(id.to_owned(), run);
            }
            None => self.found(Damage::Row, format!("run {id} cannot be read")),
        }
        Ok(())
    }

    async fn task(&mut self, key: &str, rest: &str) -> Result<(), LedgerError> {
        let run = rest.rsplit_once(':').map_or(rest, |(run, _)| run).to_owned();
        let spent: Option<String> = self.ask(cmd("HGET").arg(key).arg("spent")).await?;
        match spent.as_deref().and_then(spend) {
            Some(spent) => {
                let sum = self.below.entry(run.clone()).or_default();
                *sum = sum.plus(spent);
            }
            None => self.found(Damage::Row, format!("task {rest} cannot be read")),
        }
        self.owned.push(("a task", run));
        Ok(())
    }

    async fn body(&mut self, key: &str, rest: &str) -> Result<(), LedgerError> {
        let bytes: Vec<u8> = self.ask(cmd("GET").arg(key)).await?;
        self.looked.bodies += 1;
        self.body_bytes += bytes.len() as u64;
        let hash = rest.rsplit_once(':').map_or(rest, |(_, hash)| hash);
        if *Body::new(bytes).name.hash != *hash {
            self.found(Damage::Body, format!("body {rest}"));
        }
        self.bodies.insert(rest.to_owned());
        Ok(())
    }

    /// Tasks in a sorted set are in the state for which they are there.
    async fn tasks_of(&mut self, key: &str, state: &str, by: &str) -> Result<(), LedgerError> {
        let members: Vec<String> = self.ask(cmd("ZRANGE").arg(key).arg(0).arg(-1)).await?;
        for member in members {
            let (run, number) = member.split_once(' ').unwrap_or((&member, ""));
            let number = number.trim_start_matches('0');
            let number = if number.is_empty() { "0" } else { number };
            let task = format!("{}task:{run}:{number}", self.store.base());
            let found: Option<String> = self.ask(cmd("HGET").arg(task).arg("state")).await?;
            if found.as_deref() != Some(state) {
                let found = found.unwrap_or_else(|| "not there".to_owned());
                let what = format!("{by} names task {run}:{number}, which is {found}");
                self.found(Damage::Index, what);
            }
        }
        Ok(())
    }

    /// Rows against each other, once all are read.
    async fn compare(mut self) -> Result<Looked, LedgerError> {
        let runs = std::mem::take(&mut self.runs);
        let mut below = std::mem::take(&mut self.below);
        for run in runs.values().filter(|run| !run.parent.is_empty()) {
            let sum = below.entry(run.parent.clone()).or_default();
            *sum = sum.plus(run.spent);
        }
        for (id, run) in &runs {
            self.looked.runs += 1;
            self.looked.unfinished += u64::from(!run.ended);
            for above in [&run.root, &run.parent] {
                if !above.is_empty() && !runs.contains_key(above) {
                    let what = format!("run {id} is below {above}, which is not there");
                    self.found(Damage::Run, what);
                }
            }
            self.journal(id, run).await?;
            let least = below.get(id).copied().unwrap_or_default();
            if least.minus(run.spent) != Spend::ZERO {
                let what = format!("run {id} spent less than its tasks and children");
                self.found(Damage::Spend, what);
            }
        }
        for (what, run) in std::mem::take(&mut self.owned) {
            if !runs.contains_key(&run) {
                self.found(Damage::Orphan, format!("{what} of run {run}"));
            }
        }
        for (by, run) in std::mem::take(&mut self.named) {
            if !runs.contains_key(&run) {
                self.found(Damage::Index, format!("{by} names run {run}"));
            }
        }
        for (root, hash) in std::mem::take(&mut self.uses) {
            let Some(run) = runs.get(&root) else {
                self.found(Damage::Orphan, format!("body {hash} of run {root}"));
                continue;
            };
            if !self.bodies.contains(&format!("{}:{hash}", run.tenant)) {
                self.found(Damage::BodyMissing, format!("body {hash} of run {root}"));
            }
        }
        self.counts(&runs).await?;
        Ok(self.looked)
    }

    /// Explicit ids that rise by one, as many as the run says.
    async fn journal(&mut self, id: &str, run: &Run) -> Result<(), LedgerError> {
        let key = format!("{}journal:{id}", self.store.base());
        let found: u64 = self.ask(cmd("XLEN").arg(&key)).await?;
        let mut last = cmd("XREVRANGE");
        last.arg(&key).arg("+").arg("-").arg("COUNT").arg(1);
        let last: Vec<(String, redis::Value)> = self.ask(&last).await?;
        let last = last.first().map_or("0-0", |(id, _)| id.as_str());
        let expected = run.length;
        if found != expected || last != format!("{expected}-0") {
            let what = format!("run {id} has {found} of {expected} entries, the last is {last}");
            self.found(Damage::JournalGap, what);
        }
        Ok(())
    }

    async fn counts(&mut self, runs: &BTreeMap<String, Run>) -> Result<(), LedgerError> {
        let mut ask = cmd("HMGET");
        ask.arg(format!("{}meta", self.store.base()));
        ask.arg("unfinished").arg("finished").arg("bodies").arg("body_bytes");
        let noted: Vec<Option<u64>> = self.ask(&ask).await?;
        let roots = runs.iter().filter(|(id, run)| **id == run.root);
        let (over, under_way): (Vec<_>, Vec<_>) = roots.partition(|(_, run)| run.ended);
        let there = [
            ("unfinished runs", under_way.len() as u64),
            ("finished runs", over.len() as u64),
            ("bodies", self.bodies.len() as u64),
            ("bytes of bodies", self.body_bytes),
        ];
        for ((what, found), noted) in there.into_iter().zip(noted) {
            let noted = noted.unwrap_or(0);
            if noted != found {
                self.found(Damage::Count, format!("{what}: {noted} noted, {found} there"));
            }
        }
        Ok(())
    }
}
