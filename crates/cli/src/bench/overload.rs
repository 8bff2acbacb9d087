//! `baton bench overload`: many times as many runs as can be carried out, open loop. The
//! agent takes so many calls at a time and each takes its time, so that the agent is what
//! there is too little of, and not the machine, which the load generator shares.

use super::{
    args::{OverloadArgs, Rounds},
    figures::{STEPS, us},
    http::{Connection, Target},
    load::{Request, histogram},
    process::Process,
    runs,
    table::{Table, Target as Aim},
};
use crate::exit::Failure;
use futures::future::join_all;
use hdrhistogram::Histogram;
use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// Part of a load that is not counted: at first nothing is done yet.
const RAMP: f64 = 0.2;
/// How long runs may take to end once no more are asked for.
const DRAIN: Duration = Duration::from_secs(30);
/// Between two looks at what has not ended.
const LOOK: Duration = Duration::from_millis(100);
/// Wrong answers that are shown.
const SHOWN_MAX: usize = 5;

/// What came of a load.
struct Tally {
    began: Instant,
    span: Duration,
    /// Runs that were done in that time, but for its beginning.
    done_in_time: u64,
    /// Latencies, in microseconds.
    done: Histogram<u64>,
    refused: Histogram<u64>,
    /// Answers that are neither.
    wrong: Vec<String>,
}

/// Who asks, and what came of it.
struct Load {
    request: Request,
    idle: Mutex<Vec<Connection>>,
    tally: Mutex<Tally>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    fn new(url: &str, span: Duration) -> Result<Arc<Self>, Failure> {
        let (done, refused) = (histogram()?, histogram()?);
        let began = Instant::now();
        let tally = Tally { began, span, done_in_time: 0, done, refused, wrong: Vec::new() };
        let idle = Mutex::default();
        Ok(Arc::new(Self { request: runs::request(url), idle, tally: Mutex::new(tally) }))
    }

    /// One request, due at a moment.
    async fn ask(&self, number: u64, due: Instant) {
        let answered = self.exchange(number).await;
        let latency = us(due.elapsed()) as u64;
        let mut tally = locked(&self.tally);
        match answered {
            Ok((200, _, reply)) if runs::is_whole(&reply) => {
                tally.done.saturating_record(latency);
                let at = tally.began.elapsed();
                if at > tally.span.mul_f64(RAMP) && at <= tally.span {
                    tally.done_in_time += 1;
                }
            }
            Ok((429, Some(_), _)) => tally.refused.saturating_record(latency),
            Ok((status, _, reply)) => tally.wrong.push(format!("{status}: {reply}")),
            Err(error) => tally.wrong.push(error.to_string()),
        }
    }

    async fn exchange(&self, number: u64) -> io::Result<(u16, Option<u64>, String)> {
        let free = locked(&self.idle).pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => {
                let opened = Connection::open(&self.request.target).await;
                opened.map_err(|error| io::Error::other(error.to_string()))?
            }
        };
        let body = (self.request.ask)(number);
        let head = connection.send("POST", &self.request.target, &[], &body).await?;
        let (status, retry_after) = (head.status, head.retry_after);
        let reply = connection.rest(head).await?;
        locked(&self.idle).push(connection);
        Ok((status, retry_after, String::from_utf8_lossy(&reply).into_owned()))
    }

    /// So many clients, each of which asks again as soon as it is answered.
    async fn closed(self: &Arc<Self>, clients: u32) {
        let (began, span) = (Instant::now(), locked(&self.tally).span);
        locked(&self.tally).began = began;
        let clients = (0..clients).map(|_| async move {
            while began.elapsed() < span {
                self.ask(0, Instant::now()).await;
            }
        });
        join_all(clients).await;
    }

    /// So many requests a second, whether those before them were answered or not. Gives how
    /// many there were.
    async fn open(self: &Arc<Self>, rate: f64) -> Result<u64, Failure> {
        let (began, span) = (Instant::now(), locked(&self.tally).span);
        locked(&self.tally).began = began;
        let count = (rate * span.as_secs_f64()) as u64;
        let mut asked = Vec::new();
        for number in 0..count {
            let due = began + Duration::from_secs_f64(number as f64 / rate);
            sleep_until(due).await;
            let load = self.clone();
            asked.push(tokio::spawn(async move { load.ask(number, due).await }));
        }
        for asked in join_all(asked).await {
            asked.map_err(|error| Failure::other(error.to_string()))?;
        }
        Ok(count)
    }
}

impl Tally {
    /// Runs done a second.
    fn rate(&self) -> f64 {
        self.done_in_time as f64 / (self.span.as_secs_f64() * (1.0 - RAMP))
    }
}

/// One round.
struct Measured {
    peak: f64,
    asked: u64,
    over: Tally,
    /// Runs that are in the ledger and were not answered, or the other way round.
    lost: f64,
}

pub(super) async fn overload(args: OverloadArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let sim = Process::start(&["sim", "--listen", "127.0.0.1:0", "--time-scale", "0.2"]).await?;
    let mut all = Vec::new();
    for round in 1..=rounds.rounds {
        anstream::eprintln!("overload: round {round} of {}", rounds.rounds);
        let folder = folder.path().join(round.to_string());
        all.push(measure(args, &folder, &sim.url).await?);
    }
    let wrong = all.iter().flat_map(|one| &one.over.wrong);
    wrong.take(SHOWN_MAX).for_each(|wrong| anstream::eprintln!("not what it should be: {wrong}"));
    Ok(table(args, rounds.rounds, &all))
}

async fn measure(args: OverloadArgs, folder: &Path, sim: &str) -> Result<Measured, Failure> {
    let failed = |error: io::Error| Failure::other(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let (config, data) = (folder.join("baton.toml"), folder.join("data"));
    fs::write(&config, configuration(sim, args)).map_err(failed)?;
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let up = ["up", "--listen", "127.0.0.1:0", "--data", &data, "--config", &config];
    let up = Process::start(&up).await?;
    let span = Duration::from_secs(args.seconds.into());
    let peak = Load::new(&up.url, span)?;
    peak.closed(args.runs_max).await;
    let over = Load::new(&up.url, span)?;
    let rate = locked(&peak.tally).rate();
    let asked = over.open(rate * args.times).await?;
    let answered = locked(&peak.tally).done.len() + locked(&over.tally).done.len();
    let lost = kept(&up.url).await?.abs_diff(answered) as f64;
    let wrong = std::mem::take(&mut locked(&peak.tally).wrong);
    let Some(over) = Arc::into_inner(over) else {
        return Err(Failure::other("a request was still under way"));
    };
    let mut over = over.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    over.wrong.extend(wrong);
    Ok(Measured { peak: rate, asked, over, lost })
}

/// Runs in the ledger, once all have ended.
async fn kept(url: &str) -> Result<u64, Failure> {
    let target = Target::new(url, "/status?runs=0");
    let until = Instant::now() + DRAIN;
    let read = async || {
        let mut connection = Connection::open(&target).await?;
        let head = connection.send("GET", &target, &[], "").await;
        let reply = connection.rest(head.map_err(|error| Failure::other(error.to_string()))?).await;
        let reply = reply.map_err(|error| Failure::other(error.to_string()))?;
        let status: serde_json::Value = serde_json::from_slice(&reply)
            .map_err(|error| Failure::other(format!("the status cannot be read: {error}")))?;
        let count = |name: &str| status["ledger"][name].as_u64();
        let missing = || Failure::other("the status lacks its counts of runs");
        count("unfinished").zip(count("finished")).ok_or_else(missing)
    };
    loop {
        let (unfinished, finished) = read().await?;
        if unfinished == 0 {
            return Ok(finished);
        }
        if Instant::now() > until {
            return Err(Failure::other(format!("{unfinished} runs do not end")));
        }
        sleep(LOOK).await;
    }
}

fn configuration(provider: &str, args: OverloadArgs) -> String {
    let OverloadArgs { runs_max, concurrency, .. } = args;
    format!(
        r#"
[providers.sim]
base_url = "{provider}"
[[agents]]
id = "agent"
provider = "sim"
model = "sim-swift"
strengths = "there is too little of it"
price = {{ input = 0.1, output = 0.1 }}
context_tokens = 32768
output_tokens = 1024
concurrency = {concurrency}
[policy]
strategy = "plan_execute_verify"
[tenants.default]
runs_max = {runs_max}
"#
    )
}

fn table(args: OverloadArgs, rounds: u32, all: &[Measured]) -> Table {
    let of = |value: &dyn Fn(&Measured) -> f64| all.iter().map(value).collect::<Vec<_>>();
    let ms = |of: &Histogram<u64>, share: f64| of.value_at_quantile(share) as f64 / 1e3;
    let OverloadArgs { seconds, times, runs_max, concurrency } = args;
    let mut table = Table::new(format!(
        "{times} times as many runs of {STEPS} steps as the agent can carry out, {concurrency} calls \
         at a time, {runs_max} runs under way, {seconds} s each, {rounds} rounds"
    ))
    .simulated();
    table.row("peak: whole runs, closed loop", "a second", of(&|m| m.peak));
    table.row("asked for, open loop", "a second", of(&|m| m.asked as f64 / f64::from(seconds)));
    table.row("whole runs meanwhile", "a second", of(&|m| m.over.rate()));
    let share = of(&|m| m.over.rate() / m.peak * 100.0);
    table.aimed("share of the peak", "%", share, Aim::AtLeast(95.0));
    table.row("latency of whole runs, p50", "ms", of(&|m| ms(&m.over.done, 0.5)));
    table.row("latency of whole runs, p99", "ms", of(&|m| ms(&m.over.done, 0.99)));
    let refused = of(&|m| m.over.refused.len() as f64 / m.asked as f64 * 100.0);
    table.row("refused with 429 and Retry-After", "%", refused);
    table.row("latency of refusals, p50", "ms", of(&|m| ms(&m.over.refused, 0.5)));
    table.row("latency of refusals, p99", "ms", of(&|m| ms(&m.over.refused, 0.99)));
    let wrong = of(&|m| m.over.wrong.len() as f64);
    table.aimed("answered otherwise", "requests", wrong, Aim::AtMost(0.0));
    table.aimed("in the ledger and not answered", "runs", of(&|m| m.lost), Aim::AtMost(0.0));
    table
}
