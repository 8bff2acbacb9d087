//! Backups: each tree of runs as it was at one moment, one after the other.
//!
//! A tree is read in one `MULTI`, so nothing that belongs together is read apart; what
//! belongs to different trees never has to agree. Held in memory are one tree, one text, and
//! a few bytes for the name of each text.

use crate::{reply::Reply, store::Store};
use baton_ledger::{
    DECIDE_TASK, JournalEntry, LedgerError, MailEntry,
    saved::{
        Archive, Archived, Head, Known, Progress, Saved, Standing, TaskHead, TaskProgress, Totals,
    },
};
use baton_workflow::{RunId, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use redis::{FromRedisValue, Pipeline, Value, cmd, from_redis_value, pipe};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
};

/// Root runs asked for at a time, and keys.
const PAGE: usize = 256;
/// Times that a tree is read again because it grew meanwhile.
const TRIES_MAX: usize = 32;

/// A backup in the making.
pub(crate) struct Saver<W: Write> {
    archive: Archive<W>,
    /// How many trees have a text.
    texts: HashMap<[u8; 16], u32>,
    totals: Totals,
    kept: BTreeMap<TenantId, u64>,
    epoch: u64,
}

/// Which keys a tree has.
#[derive(PartialEq, Eq)]
struct Shape {
    run: String,
    children: Vec<String>,
    timers: Vec<String>,
    task_last: u32,
}

/// A tree as it was at one moment.
struct Tree {
    saved: Vec<Saved>,
    uses: Vec<String>,
    tenant: TenantId,
    /// When the root run ended, where nothing of the tree is under way.
    finished: Option<Timestamp>,
}

/// A hash's fields.
struct Row(HashMap<String, Bytes>);

impl Row {
    fn of(value: Value) -> Result<Self, LedgerError> {
        let fields: HashMap<String, Vec<u8>> = parsed(value)?;
        Ok(Self(fields.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        self.0.get(name).cloned()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// To be read as whatever the field holds.
    fn read(&self, name: &str) -> Reply {
        Reply::of(self.get(name).unwrap_or_default())
    }
}

fn parsed<T: FromRedisValue>(value: Value) -> Result<T, LedgerError> {
    from_redis_value(value).map_err(|error| {
        LedgerError::Unusable(format!(
            "the store holds something else than was written ({error}): `baton ledger fsck` \
             tells what is damaged"
        ))
    })
}

/// The first of the answers to a pipeline that are left.
fn next<T: FromRedisValue>(answers: &mut impl Iterator<Item = Value>) -> Result<T, LedgerError> {
    parsed(answers.next().unwrap_or(Value::Nil))
}

fn name_of(tenant: &TenantId, hash: &str) -> [u8; 16] {
    let hash = blake3::hash(format!("{tenant} {hash}").as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

impl<W: Write> Saver<W> {
    pub(crate) fn new(to: W) -> Result<Self, LedgerError> {
        Ok(Self {
            archive: Archive::new(to)?,
            texts: HashMap::new(),
            totals: Totals::default(),
            kept: BTreeMap::new(),
            epoch: 0,
        })
    }

    pub(crate) fn put(&mut self, saved: &Saved) -> Result<(), LedgerError> {
        self.archive.put(saved)
    }

    /// All trees of one shard out of so many.
    pub(crate) async fn shard(
        &mut self,
        store: &Store,
        number: u64,
        shards: u64,
    ) -> Result<(), LedgerError> {
        let mut asking = cmd("HMGET");
        asking.arg(key(store, "meta")).arg("epoch").arg("runs");
        // Up to the run that is the last one now: more may come faster than they are saved.
        let (epoch, last): (u64, Option<u64>) = parsed(store.command(&asking).await?)?;
        self.epoch = self.epoch.max(epoch);
        let last = last.unwrap_or(0);
        for tenant in tenants(store).await? {
            let mut after = "-inf".to_owned();
            loop {
                let mut asking = cmd("ZRANGEBYSCORE");
                asking.arg(key(store, &format!("runs:{tenant}"))).arg(&after).arg(last);
                asking.arg("WITHSCORES").arg("LIMIT").arg(0).arg(PAGE);
                let page: Vec<(String, u64)> = parsed(store.command(&asking).await?)?;
                let Some((_, seen)) = page.last() else { break };
                after = format!("({seen}");
                for (root, place) in page {
                    // Places of different shards are different.
                    self.tree(store, &tenant, &root, place * shards + number).await?;
                }
            }
        }
        Ok(())
    }

    /// The numbers that go over all trees, and the end.
    pub(crate) fn finish(mut self) -> Result<Archived, LedgerError> {
        for (tenant, count) in self.kept {
            self.archive.put(&Saved::Kept(tenant, count))?;
        }
        self.archive.put(&Saved::Totals(self.totals))?;
        self.archive.put(&Saved::Epoch(self.epoch))?;
        self.archive.finish()
    }

    async fn tree(
        &mut self,
        store: &Store,
        tenant: &str,
        root: &str,
        order: u64,
    ) -> Result<(), LedgerError> {
        for _ in 0..TRIES_MAX {
            // Deleted meanwhile, as finished runs are.
            let Some((shapes, known)) = shapes(store, root).await? else { return Ok(()) };
            let Some(tree) = read(store, &shapes, known.as_deref(), order).await? else { continue };
            if !self.texts(store, &tree).await? {
                continue;
            }
            return self.keep(tree, root, order);
        }
        Err(LedgerError::Unavailable(format!(
            "run {root} of {tenant} grew each of the {TRIES_MAX} times that it was read: back up \
             when less is going on"
        )))
    }

    /// Texts of a tree that no tree before had. False where one of them is gone: so is the
    /// tree.
    async fn texts(&mut self, store: &Store, tree: &Tree) -> Result<bool, LedgerError> {
        for hash in &tree.uses {
            let name = name_of(&tree.tenant, hash);
            if self.texts.contains_key(&name) {
                continue;
            }
            let body = key(store, &format!("body:{}:{hash}", tree.tenant));
            let bytes: Option<Vec<u8>> = parsed(store.command(cmd("GET").arg(body)).await?)?;
            let Some(bytes) = bytes else { return Ok(false) };
            self.totals.bodies += 1;
            self.totals.body_bytes += bytes.len() as u64;
            self.put(&Saved::Body(tree.tenant.clone(), hash.clone(), bytes.into()))?;
            self.texts.insert(name, 0);
        }
        Ok(true)
    }

    fn keep(&mut self, tree: Tree, root: &str, order: u64) -> Result<(), LedgerError> {
        let (tenant, root) = (tree.tenant, run_id(root)?);
        for saved in &tree.saved {
            self.put(saved)?;
        }
        for hash in tree.uses {
            let trees = self.texts.entry(name_of(&tenant, &hash)).or_default();
            *trees += 1;
            let others = u64::from(*trees - 1);
            self.put(&Saved::Use(root.clone(), hash.clone()))?;
            if others > 0 {
                self.put(&Saved::Shared(tenant.clone(), hash, others))?;
            }
        }
        self.put(&Saved::Root(tenant.clone(), order, root.clone()))?;
        if let Some(ended_at) = tree.finished {
            self.put(&Saved::Over(ended_at, root))?;
            *self.kept.entry(tenant).or_default() += 1;
        }
        Ok(())
    }
}

fn key(store: &Store, name: &str) -> String {
    format!("{}{name}", store.base())
}

fn run_id(text: &str) -> Result<RunId, LedgerError> {
    Reply::of(Bytes::copy_from_slice(text.as_bytes())).run()
}

/// Tenants that have runs. A few more may come meanwhile, and are not looked for.
async fn tenants(store: &Store) -> Result<Vec<String>, LedgerError> {
    let prefix = key(store, "runs:");
    let (mut tenants, mut cursor) = (HashSet::new(), 0_u64);
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(PAGE);
        let (next, keys): (u64, Vec<String>) = parsed(store.command(&scan).await?)?;
        tenants.extend(keys.iter().filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned)));
        cursor = next;
        if cursor == 0 {
            let mut tenants: Vec<String> = tenants.into_iter().collect();
            tenants.sort();
            return Ok(tenants);
        }
    }
}

/// What keys a tree has at the moment, its root first, and its idempotency key; none where
/// the tree is not there.
async fn shapes(
    store: &Store,
    root: &str,
) -> Result<Option<(Vec<Shape>, Option<String>)>, LedgerError> {
    let (mut shapes, mut level, mut known) = (Vec::<Shape>::new(), vec![root.to_owned()], None);
    while !level.is_empty() {
        let mut below = Vec::new();
        for runs in level.chunks(PAGE) {
            let mut asking = pipe();
            for run in runs {
                asking.cmd("HMGET").arg(key(store, &format!("run:{run}")));
                asking.arg("last_task").arg("key").arg("tenant");
                asking.cmd("ZRANGE").arg(key(store, &format!("children:{run}"))).arg(0).arg(-1);
                asking.cmd("SMEMBERS").arg(key(store, &format!("timers:{run}")));
            }
            let mut answers = store.pipe(asking).await?.into_iter();
            for run in runs {
                let row: Vec<Option<String>> = next(&mut answers)?;
                let [last, idempotency, tenant] = row.try_into().unwrap_or_default();
                let children: Vec<String> = next(&mut answers)?;
                let timers = sorted(next(&mut answers)?);
                let Some(task_last) = last.and_then(|last| last.parse().ok()) else {
                    return Ok(None);
                };
                if let (Some(key), Some(tenant)) = (idempotency, tenant) {
                    known = Some(format!("{tenant}:{key}"));
                }
                below.extend(children.iter().cloned());
                shapes.push(Shape { run: run.clone(), children, timers, task_last });
            }
        }
        level = below;
    }
    Ok(Some((shapes, known)))
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

/// All of a tree at once; none where it has other keys by now.
async fn read(
    store: &Store,
    shapes: &[Shape],
    known: Option<&str>,
    order: u64,
) -> Result<Option<Tree>, LedgerError> {
    let mut asking = pipe();
    for shape in shapes {
        ask_run(store, shape, &mut asking);
    }
    let root = shapes.first().map_or("", |shape| shape.run.as_str());
    asking.cmd("SMEMBERS").arg(key(store, &format!("uses:{root}")));
    if let Some(known) = known {
        asking.cmd("HGET").arg(key(store, &format!("known:{known}"))).arg("digest");
    }
    let mut answers = store.at_once(asking).await?.into_iter();
    let mut runs = Vec::new();
    for shape in shapes {
        match ReadRun::of(shape, &mut answers)? {
            Some(run) => runs.push(run),
            None => return Ok(None),
        }
    }
    let uses = sorted(next(&mut answers)?);
    let digest: Option<String> = next(&mut answers)?;
    let Some(top) = runs.first() else { return Ok(None) };
    let under_way = runs.iter().any(|run| run.progress.ended.is_none() || run.is_leased());
    let mut head = Head {
        tenant: top.row.read("tenant").tenant()?,
        parent: None,
        root: run_id(root)?,
        submitted_at: Timestamp(0),
        order,
        budget: top.row.read("budget").budget()?,
        label: Bytes::new(),
        traceparent: top.row.has("trace").then(|| top.row.read("trace").text()).transpose()?,
        key: top.row.has("key").then(|| top.row.read("key").text()).transpose()?,
    };
    let tenant = head.tenant.clone();
    let ended_at = top.progress.ended.as_ref().map(|(at, _)| *at);
    let mut saved = Vec::new();
    if let (Some(key), Some(digest)) = (&head.key, digest) {
        let known = Known { digest, run: head.root.clone() };
        saved.push(Saved::Key(tenant.clone(), key.clone(), known));
    }
    for run in runs {
        run.save(&mut head, !under_way, &mut saved)?;
    }
    Ok(Some(Tree { saved, uses, tenant, finished: ended_at.filter(|_| !under_way) }))
}

fn ask_run(store: &Store, shape: &Shape, asking: &mut Pipeline) {
    let run = &shape.run;
    asking.cmd("HGETALL").arg(key(store, &format!("run:{run}")));
    asking.cmd("ZRANGE").arg(key(store, &format!("children:{run}"))).arg(0).arg(-1);
    asking.cmd("SMEMBERS").arg(key(store, &format!("timers:{run}")));
    asking.cmd("XRANGE").arg(key(store, &format!("journal:{run}"))).arg("-").arg("+");
    asking.cmd("LRANGE").arg(key(store, &format!("mail:{run}"))).arg(0).arg(-1);
    asking.cmd("HGETALL").arg(key(store, &format!("signals:{run}")));
    for timer in &shape.timers {
        asking.cmd("ZSCORE").arg(key(store, "timers")).arg(format!("{run} {timer}"));
    }
    for number in DECIDE_TASK..=shape.task_last {
        asking.cmd("HGETALL").arg(key(store, &format!("task:{run}:{number}")));
    }
}

/// A run as it was read.
struct ReadRun {
    id: RunId,
    row: Row,
    progress: Progress,
    journal: Vec<JournalEntry>,
    mails: Vec<MailEntry>,
    signals: Vec<(String, bool)>,
    timers: Vec<(String, Timestamp)>,
    tasks: Vec<(u32, TaskProgress, Option<TaskHead>)>,
}

impl ReadRun {
    fn of(
        shape: &Shape,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<Option<Self>, LedgerError> {
        let row = Row::of(answers.next().unwrap_or(Value::Nil))?;
        let children: Vec<String> = next(answers)?;
        let timers = sorted(next(answers)?);
        if !row.has("last_task")
            || row.read("last_task").parse::<u32>("a task")? != shape.task_last
            || children != shape.children
            || timers != shape.timers
        {
            return Ok(None);
        }
        let entries: Vec<(String, HashMap<String, Vec<u8>>)> = next(answers)?;
        let journal = entries.into_iter().map(|(id, fields)| entry(&id, fields));
        let journal = journal.collect::<Result<_, _>>()?;
        let mails: Vec<Vec<u8>> = next(answers)?;
        let mails = mails.into_iter().map(|mail| Reply::of(mail.into()).mail());
        let mails = mails.collect::<Result<_, _>>()?;
        let signals: HashMap<String, String> = next(answers)?;
        let signals = signals.into_iter().map(|(key, how)| (key, how == "came")).collect();
        let mut due = Vec::new();
        for timer in timers {
            due.push((timer, Timestamp(next::<f64>(answers)? as u64)));
        }
        let mut tasks = Vec::new();
        let mut committed = None;
        for number in DECIDE_TASK..=shape.task_last {
            let task = Row::of(answers.next().unwrap_or(Value::Nil))?;
            if number == DECIDE_TASK {
                let token = task.get("finished").filter(|token| !token.is_empty());
                committed = token.map(|token| Reply::of(token).token()).transpose()?;
            } else if task.has("state") {
                let (progress, head) = task_of(&task)?;
                tasks.push((number, progress, head));
            }
        }
        let ended = match row.get("end") {
            Some(end) => Some((row.read("ended_at").time()?, end)),
            None => None,
        };
        let progress = Progress {
            ended,
            cancelled: row.has("cancel"),
            spent: row.read("spent").spend()?,
            journal_len: row.read("length").parse("a length")?,
            mail_last: row.read("mails").parse("a count")?,
            mail_seen: row.read("seen").parse("a count")?,
            task_last: shape.task_last,
            committed,
        };
        let id = run_id(&shape.run)?;
        Ok(Some(Self { id, row, progress, journal, mails, signals, timers: due, tasks }))
    }

    fn is_leased(&self) -> bool {
        self.tasks.iter().any(|(_, task, _)| {
            matches!(task.standing, Standing::Leased(..) | Standing::Started(..))
        })
    }

    fn save(
        self,
        head: &mut Head,
        finished: bool,
        saved: &mut Vec<Saved>,
    ) -> Result<(), LedgerError> {
        let Self { id, row, progress, journal, mails, signals, timers, tasks } = self;
        head.submitted_at = row.read("at").time()?;
        head.label = row.get("label").unwrap_or_default();
        head.parent = match row.has("parent") {
            true => Some((row.read("parent").run()?, row.read("child").parse("a child")?)),
            false => None,
        };
        if head.parent.is_some() {
            head.key = None;
        }
        let ended = progress.ended.is_some();
        saved.push(Saved::Head(id.clone(), head.clone()));
        saved.push(Saved::Progress(id.clone(), progress, finished));
        saved.extend(journal.into_iter().map(|entry| Saved::Journal(id.clone(), entry)));
        saved.extend(mails.into_iter().map(|mail| Saved::Mail(id.clone(), mail)));
        saved.extend(signals.into_iter().map(|(key, came)| Saved::Signal(id.clone(), key, came)));
        saved.extend(timers.into_iter().map(|(name, due)| Saved::Timer(id.clone(), name, due)));
        for (number, mut task, head) in tasks {
            let id = TaskId { run: id.clone(), number };
            if ended && task.standing == Standing::Queued {
                // It goes when its turn comes.
                task.standing = Standing::Gone;
            } else if let Some(head) = head {
                saved.push(Saved::TaskHead(id.clone(), head));
            }
            saved.push(Saved::Task(id, task));
        }
        Ok(())
    }
}

fn entry(id: &str, mut fields: HashMap<String, Vec<u8>>) -> Result<JournalEntry, LedgerError> {
    let mut field = |name: &str| Bytes::from(fields.remove(name).unwrap_or_default());
    let seq = id.split('-').next().unwrap_or_default().to_owned();
    Ok(JournalEntry {
        seq: Reply::of(seq.into()).parse("a position")?,
        at: Reply::of(field("at")).time()?,
        event: field("event"),
    })
}

fn task_of(row: &Row) -> Result<(TaskProgress, Option<TaskHead>), LedgerError> {
    let leased =
        || Ok::<_, LedgerError>((row.read("token").token()?, row.read("reserved").spend()?));
    let standing = match row.read("state").text()?.as_str() {
        "queued" => Standing::Queued,
        "leased" => match leased()? {
            (token, reserved) if row.has("started") => Standing::Started(token, reserved),
            (token, reserved) => Standing::Leased(token, reserved),
        },
        _ => match row.get("finished").filter(|token| !token.is_empty()) {
            Some(token) => Standing::Done(Reply::of(token).token()?),
            None => Standing::Gone,
        },
    };
    let progress = TaskProgress {
        attempt: row.read("attempt").parse("an attempt")?,
        spent: row.read("spent").spend()?,
        estimated: row.has("estimated"),
        withdrawn: row.has("withdrawn"),
        standing,
    };
    let is_over = matches!(standing, Standing::Done(_) | Standing::Gone);
    let head = (!is_over).then(|| {
        Ok::<_, LedgerError>(TaskHead {
            class: baton_ledger::Class::from_text(&row.read("class").text()?),
            priority: row.read("priority").parse("a priority")?,
            age: row.read("age").parse("an age")?,
            cost: row.read("cost").parse("a cost")?,
            reserve: row.read("reserve").spend()?,
            payload: row.get("payload").unwrap_or_default(),
            made_at: row.read("at").time()?,
        })
    });
    Ok((progress, head.transpose()?))
}
