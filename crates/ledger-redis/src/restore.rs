//! Bringing a backup back: its rows as they come, then the queues, lists and counts that
//! follow from them.
//!
//! Until all is there, the ledger's layout is [`RESTORING`], which no version takes for a
//! ledger: nobody can use half of one.

use crate::{
    filling::{Filling, NOBODY, bodies, parsed, tree},
    place::Places,
    reply::mail_text,
    request::{budget_text, spend_text, token_text},
    store::Store,
};
use baton_ledger::{
    DECIDE_TASK, LedgerError, TenantTerms,
    saved::{Archived, EPOCHS, Head, Progress, Reader, Saved, Standing, TaskHead, TaskProgress},
};
use baton_workflow::{RunId, Spend, TaskId, TenantId};
use redis::cmd;
use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
};

/// The layout of a ledger that is not there yet.
const RESTORING: &str = "restoring";
/// The layout that `adopt.lua` knows.
const LAYOUT: &str = "1";
/// Commands, and bytes of them, sent at a time.
const COMMANDS_MAX: usize = 2048;
const BYTES_MAX: usize = 1024 * 1024;
/// Root runs looked at at a time.
const PAGE: isize = 256;

/// All that is read from a backup twice: first the order of tasks, then everything.
pub(crate) struct Restoring<'a> {
    shards: Vec<Filling<'a>>,
    places: &'a Places,
    /// Of tasks that are not over: their ages, rising.
    ages: Vec<u64>,
    epoch: u64,
    terms: BTreeMap<TenantId, TenantTerms>,
    tenants: BTreeMap<TenantId, Vec<u16>>,
}

/// Reads a backup to its end: whether it is whole, and in which order its tasks wait.
pub(crate) fn look(from: impl Read) -> Result<Vec<u64>, LedgerError> {
    let (mut reader, mut ages) = (Reader::new(from)?, Vec::new());
    while let Some(rows) = reader.read()? {
        ages.extend(rows.iter().filter_map(|row| match row {
            Saved::TaskHead(_, head) => Some(head.age),
            _ => None,
        }));
    }
    ages.sort_unstable();
    Ok(ages)
}

impl<'a> Restoring<'a> {
    pub(crate) fn new(stores: Vec<&'a Store>, places: &'a Places, ages: Vec<u64>) -> Self {
        let last = ages.len() as u64;
        let shards = stores.into_iter().map(|store| Filling::new(store, last));
        Self {
            shards: shards.collect(),
            places,
            ages,
            epoch: 0,
            terms: BTreeMap::new(),
            tenants: BTreeMap::new(),
        }
    }

    /// Fills all shards; gives the terms of tenants, which are set through the port.
    pub(crate) async fn run(
        mut self,
        from: impl Read,
        cluster: &str,
    ) -> Result<(Archived, BTreeMap<TenantId, TenantTerms>), LedgerError> {
        for shard in &self.shards {
            shard.check_empty().await?;
        }
        for shard in &mut self.shards {
            shard.texts("HSET", "meta", &["layout", RESTORING, "cluster", cluster]);
            shard.flush((0, 0)).await?;
        }
        let mut reader = Reader::new(from)?;
        while let Some(rows) = reader.read()? {
            for row in rows {
                self.row(row)?;
                self.flush((COMMANDS_MAX, BYTES_MAX)).await?;
            }
        }
        self.flush((0, 0)).await?;
        for (tenant, lanes) in std::mem::take(&mut self.tenants) {
            let mut texts = Vec::new();
            for lane in &lanes {
                texts.push(self.lane(&tenant, *lane).await?);
            }
            let all = texts.iter().flat_map(|texts| texts.keys().cloned()).collect();
            for (lane, texts) in lanes.iter().zip(&texts) {
                bodies(self.at(*lane)?, &tenant, texts, &all).await?;
            }
        }
        let shards = self.shards.len().to_string();
        let epoch = (self.epoch + EPOCHS).to_string();
        // The first one last, as they are made: where that is there, all others are.
        for shard in self.shards.iter_mut().rev() {
            let counts = [
                ("runs", shard.runs),
                ("age", shard.age),
                ("unfinished", shard.unfinished),
                ("finished", shard.finished),
                ("bodies", shard.bodies),
                ("body_bytes", shard.body_bytes),
            ];
            let counts = counts.map(|(name, count)| (name, count.to_string()));
            let mut fields = vec!["layout", LAYOUT, "epoch", &epoch, "shards", &shards];
            counts.iter().for_each(|(name, count)| fields.extend([*name, count.as_str()]));
            shard.texts("HSET", "meta", &fields);
            shard.flush((0, 0)).await?;
        }
        Ok((reader.so_far(), self.terms))
    }

    async fn flush(&mut self, least: (usize, usize)) -> Result<(), LedgerError> {
        for shard in &mut self.shards {
            shard.flush(least).await?;
        }
        Ok(())
    }

    fn of(&mut self, run: &RunId) -> Result<&mut Filling<'a>, LedgerError> {
        let shard = self.places.of(run);
        self.at(shard)
    }

    fn at(&mut self, shard: u16) -> Result<&mut Filling<'a>, LedgerError> {
        let filling = self.shards.get_mut(usize::from(shard));
        filling.ok_or_else(|| LedgerError::Invalid(format!("there is no shard {shard}")))
    }

    fn row(&mut self, row: Saved) -> Result<(), LedgerError> {
        match row {
            Saved::Epoch(epoch) => self.epoch = epoch,
            Saved::Tenant(tenant, terms) => {
                self.terms.insert(tenant, terms);
            }
            Saved::Head(run, head) => self.head(&run, &head)?,
            Saved::Progress(run, progress, _) => self.progress(&run, &progress)?,
            Saved::TaskHead(task, head) => self.task_head(&task, &head)?,
            Saved::Task(task, progress) => self.task(&task, &progress)?,
            Saved::Journal(run, entry) => {
                let (id, at) = (format!("{}-0", entry.seq), entry.at.0.to_string());
                let fields: [&[u8]; 5] =
                    [id.as_bytes(), b"at", at.as_bytes(), b"event", &entry.event];
                self.of(&run)?.put("XADD", &format!("journal:{run}"), &fields);
            }
            Saved::Mail(run, mail) => {
                self.of(&run)?.put("RPUSH", &format!("mail:{run}"), &[&mail_text(&mail)]);
            }
            Saved::Timer(run, name, due) => {
                let shard = self.of(&run)?;
                shard.texts("ZADD", "timers", &[&due.0.to_string(), &format!("{run} {name}")]);
                shard.texts("SADD", &format!("timers:{run}"), &[&name]);
            }
            Saved::Signal(run, key, came) => {
                let how = if came { "came" } else { "in vain" };
                self.of(&run)?.texts("HSET", &format!("signals:{run}"), &[&key, how]);
            }
            Saved::Key(tenant, key, known) => {
                let fields = ["run", known.run.as_str(), "digest", &known.digest];
                self.of(&known.run)?.texts("HSET", &format!("known:{tenant}:{key}"), &fields);
            }
            Saved::Root(tenant, _, run) => self.root(tenant, &run)?,
            Saved::Body(tenant, hash, bytes) => {
                for lane in self.places.lanes(&tenant) {
                    self.at(lane)?.put("SET", &format!("body:{tenant}:{hash}"), &[&bytes]);
                }
            }
            Saved::Use(root, hash) => {
                self.of(&root)?.texts("SADD", &format!("uses:{root}"), &[&hash]);
            }
            // They follow from the others.
            Saved::Shared(..) | Saved::Over(..) | Saved::Kept(..) | Saved::Totals(_) => {}
        }
        Ok(())
    }

    fn head(&mut self, run: &RunId, head: &Head) -> Result<(), LedgerError> {
        let above = above(head)?;
        let (budget, nothing) = (budget_text(&head.budget), spend_text(&Spend::ZERO));
        let at = head.submitted_at.0.to_string();
        let name = format!("run:{run}");
        let shard = self.of(run)?;
        let fields = ["tenant", head.tenant.as_str(), "root", head.root.as_str(), "at", &at];
        shard.texts("HSET", &name, &fields);
        shard.texts("HSET", &name, &["above", &above]);
        shard.put("HSET", &name, &[b"label", &head.label]);
        match &head.parent {
            Some((parent, number)) => {
                let number = number.to_string();
                shard.texts("HSET", &name, &["parent", parent.as_str(), "child", &number]);
                shard.texts("ZADD", &format!("children:{parent}"), &[&number, run.as_str()]);
            }
            None => {
                shard.texts("HSET", &name, &["budget", &budget, "reserved", &nothing]);
                for (field, text) in [("trace", &head.traceparent), ("key", &head.key)] {
                    if let Some(text) = text {
                        shard.texts("HSET", &name, &[field, text]);
                    }
                }
            }
        }
        Ok(())
    }

    fn progress(&mut self, run: &RunId, progress: &Progress) -> Result<(), LedgerError> {
        let counts = [progress.journal_len, progress.mail_last, progress.mail_seen];
        let [length, mails, seen] = counts.map(|count| count.to_string());
        let (last, spent) = (progress.task_last.to_string(), spend_text(&progress.spent));
        let shard = self.of(run)?;
        let fields = ["length", &length, "mails", &mails, "seen", &seen, "last_task", &last];
        let name = format!("run:{run}");
        shard.texts("HSET", &name, &fields);
        shard.texts("HSET", &name, &["spent", &spent]);
        if progress.cancelled {
            shard.texts("HSET", &name, &["cancel", "before it was saved"]);
        }
        if let Some((at, end)) = &progress.ended {
            shard.put("HSET", &name, &[b"ended_at", at.0.to_string().as_bytes(), b"end", end]);
        }
        if let Some(token) = &progress.committed {
            let (token, nothing) = (token_text(token), spend_text(&Spend::ZERO));
            let fields = ["class", "decide", "state", "done", "finished", &token];
            let name = format!("task:{run}:{DECIDE_TASK}");
            shard.texts("HSET", &name, &fields);
            shard.texts("HSET", &name, &["attempt", "0", "spent", &nothing]);
        }
        Ok(())
    }

    fn task_head(&mut self, task: &TaskId, head: &TaskHead) -> Result<(), LedgerError> {
        // Smaller numbers, in the same order.
        let age = self.ages.partition_point(|age| *age <= head.age).to_string();
        let (priority, cost) = (head.priority.to_string(), head.cost.to_string());
        let (reserve, at) = (spend_text(&head.reserve), head.made_at.0.to_string());
        let (name, number) =
            (format!("task:{}:{}", task.run, task.number), task.number.to_string());
        let shard = self.of(&task.run)?;
        let fields = [
            ["class", head.class.as_str()],
            ["priority", &priority],
            ["cost", &cost],
            ["reserve", &reserve],
            ["age", &age],
            ["at", &at],
        ];
        shard.texts("HSET", &name, fields.as_flattened());
        shard.put("HSET", &name, &[b"payload", &head.payload]);
        shard.texts("SADD", &format!("live:{}", task.run), &[&number]);
        Ok(())
    }

    fn task(&mut self, task: &TaskId, progress: &TaskProgress) -> Result<(), LedgerError> {
        let (attempt, spent) = (progress.attempt.to_string(), spend_text(&progress.spent));
        let (state, token, reserved) = match progress.standing {
            Standing::Queued => ("queued", None, Spend::ZERO),
            Standing::Leased(token, reserved) | Standing::Started(token, reserved) => {
                ("leased", Some(("token", token_text(&token))), reserved)
            }
            Standing::Done(token) => ("done", Some(("finished", token_text(&token))), Spend::ZERO),
            Standing::Gone => ("done", Some(("finished", String::new())), Spend::ZERO),
        };
        let reserved = spend_text(&reserved);
        let mut fields = vec!["state", state, "attempt", &attempt, "spent", &spent];
        if state != "done" {
            fields.extend(["reserved", &reserved]);
        }
        if state == "leased" {
            fields.extend(["holder", NOBODY]);
        }
        if let Some((field, token)) = &token {
            fields.extend([*field, token.as_str()]);
        }
        let is_started = matches!(progress.standing, Standing::Started(..));
        let flags = [
            ("started", is_started),
            ("withdrawn", progress.withdrawn && state != "done"),
            ("estimated", progress.estimated),
        ];
        flags.iter().filter(|(_, set)| *set).for_each(|(flag, _)| fields.extend([*flag, "1"]));
        let name = format!("task:{}:{}", task.run, task.number);
        self.of(&task.run)?.texts("HSET", &name, &fields);
        Ok(())
    }

    fn root(&mut self, tenant: TenantId, run: &RunId) -> Result<(), LedgerError> {
        let (lanes, shard) = (self.places.lanes(&tenant), self.places.of(run));
        if !lanes.contains(&shard) {
            return Err(LedgerError::Unusable(format!(
                "run {run} is on shard {shard}, and runs of {tenant} would be looked for on {lanes:?}: \
                 restore into as many shards, and lanes, as the ledger had that was saved (one, \
                 where `baton up` wrote it)"
            )));
        }
        self.tenants.insert(tenant.clone(), lanes);
        let shard = self.at(shard)?;
        shard.runs += 1;
        let place = shard.runs.to_string();
        shard.texts("ZADD", &format!("runs:{tenant}"), &[&place, run.as_str()]);
        Ok(())
    }

    /// What follows from a tenant's trees in a lane: queues, lists, counts. Gives how many of
    /// them have each text.
    async fn lane(
        &mut self,
        tenant: &TenantId,
        lane: u16,
    ) -> Result<HashMap<String, u64>, LedgerError> {
        let shard = self.at(lane)?;
        let (mut at, mut texts) = (0, HashMap::<String, u64>::new());
        loop {
            let mut asking = cmd("ZRANGE");
            asking.arg(shard.key(&format!("runs:{tenant}"))).arg(at).arg(at + PAGE - 1);
            let page: Vec<String> = parsed(shard.store.command(&asking).await?)?;
            if page.is_empty() {
                break;
            }
            at += PAGE;
            for root in page {
                tree(shard, tenant.as_str(), &root, &mut texts).await?;
                shard.flush((COMMANDS_MAX, BYTES_MAX)).await?;
            }
        }
        shard.flush((0, 0)).await?;
        Ok(texts)
    }
}

/// The ancestors of a run, its parent first.
fn above(head: &Head) -> Result<String, LedgerError> {
    let Some((parent, _)) = &head.parent else { return Ok(String::new()) };
    let (mut above, mut run) = (parent.to_string(), parent.as_str());
    while run != head.root.as_str() {
        // A child is named after its parent.
        let Some((parent, _)) = run.rsplit_once('-') else {
            return Err(LedgerError::Unusable(format!("{parent} is not below {}", head.root)));
        };
        run = parent;
        above = format!("{above} {run}");
    }
    Ok(above)
}
