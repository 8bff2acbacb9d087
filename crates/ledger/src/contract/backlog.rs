//! Tenants who always have something waiting, and what others get beside them: over any
//! number of processes, each with a ledger of its own that leads to the same one.

use super::given::*;
use crate::{BATCH_MAX, Held, Submission, TenantTerms};
use baton_workflow::{Spend, TenantId};
use std::collections::{BTreeMap, VecDeque};

/// What the last tenant brings: more than it gets as long as anybody looks.
const LEAST: usize = 24;
/// The first one brings so many times as much.
const MOST_TIMES: usize = 100;
/// What a tenant of the lower weight gets, about.
const EACH: usize = 8;
const WEIGHTS: [u32; 2] = [100, 200];

/// Jain's index of fairness: 1 where all got the same, 1/n where one got everything
/// (Jain, Chiu, Hawe: "A Quantitative Measure of Fairness", DEC TR-301, 1984).
fn jain(got: &[f64]) -> f64 {
    let sum: f64 = got.iter().sum();
    let squares: f64 = got.iter().map(|got| got.powi(2)).sum();
    sum * sum / (got.len() as f64 * squares)
}

/// So many tasks in runs of this tenant, whose names begin with this.
async fn fill(l: &L, of: &TenantId, run: &str, tasks: usize) {
    for (part, begun) in (0..tasks).step_by(BATCH_MAX).enumerate() {
        let more = (tasks - begun).min(BATCH_MAX) as u32;
        let tasks = (1..=more).map(task).collect();
        let id = format!("{run}-{part}");
        submit(l, Submission { tenant: of.clone(), tasks, ..submission(&id) }).await;
    }
}

/// Tenants of two weights, whose backlogs follow Zipf's law, and processes that ask for
/// different numbers of tasks at the same time: as long as all have something waiting, each
/// gets in proportion to its weight, whatever it brought and wherever it is at home.
pub async fn share_by_weight(ledgers: &[L], tenants: Vec<TenantId>) {
    let weight = |rank: usize| WEIGHTS[rank % WEIGHTS.len()];
    for (rank, name) in tenants.iter().enumerate() {
        let terms = TenantTerms { weight: weight(rank), ..TenantTerms::default() };
        ledgers[0].set_tenant(name, terms).await.unwrap();
        let tasks = (LEAST * MOST_TIMES / (rank + 1)).max(LEAST);
        fill(&ledgers[0], name, &format!("of-{rank}"), tasks).await;
    }
    let total: u32 = (0..tenants.len()).map(weight).sum();
    let enough = EACH * (total / WEIGHTS[0]) as usize;
    let ranks: BTreeMap<_, _> = tenants.iter().zip(0..).collect();
    let mut got = vec![0.0; tenants.len()];
    let mut given = 0;
    while given < enough {
        let leasing = [1, 2, 3, 5].into_iter().zip(ledgers.iter().cycle());
        let leasing = leasing.map(|(size, l)| lease_many(l, work(), size));
        for leased in futures::future::join_all(leasing).await.into_iter().flatten() {
            let rank: usize = ranks[&leased.tenant];
            got[rank] += f64::from(WEIGHTS[0]) / f64::from(weight(rank));
            given += 1;
        }
    }
    let fairness = jain(&got);
    println!(
        "Jain's index of {} tenants over {} processes: {fairness:.4}",
        got.len(),
        ledgers.len()
    );
    assert!(fairness >= 0.98, "{fairness} {got:?}");
}

/// Tasks that all processes together hold at a time.
const SERVERS: usize = 8;
/// How long a task takes, from and to, in ticks of a clock that the case drives.
const SERVICE_TICKS: (u64, u64) = (50, 150);
/// Runs of the light tenant, one after the other.
const RUNS: u64 = 4;
/// Its steps in each, one after the other.
const STEPS: u64 = 3;

/// A light tenant has runs of steps that follow one another, and asks for half of its share;
/// all others always have something waiting. Each of its steps waits no longer than twice
/// what it waits where it is alone, and until one task of somebody else has ended. `heard`
/// is awaited whenever a step was made, until all processes know of it.
pub async fn light_beside(
    ledgers: &[L],
    light: TenantId,
    others: Vec<TenantId>,
    heard: impl AsyncFn(),
) {
    let service = u64::midpoint(SERVICE_TICKS.0, SERVICE_TICKS.1);
    let round = (others.len() as u64 + 1) * service / SERVERS as u64;
    let every = 2 * STEPS * round;
    let alone = Hall::new(ledgers, &light, every).waits("alone", &heard).await;
    let tasks = (RUNS * every * SERVERS as u64 / service) as usize * 5 / 4 / others.len();
    for (number, other) in others.iter().enumerate() {
        fill(&ledgers[0], other, &format!("other-{number}"), tasks).await;
    }
    let beside = Hall::new(ledgers, &light, every).waits("beside", &heard).await;
    println!("waits in ticks: alone {alone:?}, beside {beside:?}; a round takes {round}");
    for (alone, beside) in alone.iter().zip(&beside) {
        assert!(*beside <= 2 * alone + SERVICE_TICKS.1, "{beside} ticks, alone {alone}");
    }
}

enum Event {
    /// The light tenant makes a step of a run, which has so many to follow.
    Makes(u64),
    /// A server is done with a task: with a light one, so many steps are to follow.
    Ends(usize, Held, Option<u64>),
}

/// Servers that take whatever they are given, one task each, in their own time.
struct Hall<'a> {
    ledgers: &'a [L],
    light: &'a TenantId,
    /// By tick, then in the order in which they came up.
    events: BTreeMap<(u64, u64), Event>,
    counter: u64,
    idle: Vec<usize>,
    /// Steps that wait: when they were made, and how many are to follow.
    made: VecDeque<(u64, u64)>,
    waits: Vec<u64>,
}

impl<'a> Hall<'a> {
    fn new(ledgers: &'a [L], light: &'a TenantId, every: u64) -> Self {
        let (idle, made, waits) = ((0..SERVERS).collect(), VecDeque::new(), Vec::new());
        let mut hall =
            Self { ledgers, light, events: BTreeMap::new(), counter: 0, idle, made, waits };
        for run in 1..=RUNS {
            hall.later(run * every, Event::Makes(STEPS - 1));
        }
        hall
    }

    fn later(&mut self, tick: u64, event: Event) {
        self.counter += 1;
        self.events.insert((tick, self.counter), event);
    }

    /// How long each of the light tenant's steps waited.
    async fn waits(mut self, name: &str, heard: &impl AsyncFn()) -> Vec<u64> {
        self.serve(0).await;
        while self.waits.len() < (RUNS * STEPS) as usize {
            let ((now, _), event) = self.events.pop_first().unwrap();
            match event {
                Event::Makes(follow) => {
                    self.made.push_back((now, follow));
                    let id = format!("light-{name}-{}", self.counter);
                    self.counter += 1;
                    let step = Submission { tenant: self.light.clone(), ..with_tasks(&id, [1]) };
                    submit(&self.ledgers[0], step).await;
                    heard().await;
                }
                Event::Ends(server, held, light) => {
                    let l = &self.ledgers[server % self.ledgers.len()];
                    l.complete(&held, completion("o", Spend::ZERO)).await.unwrap();
                    self.idle.push(server);
                    // Its next step comes when others have been served already.
                    if let Some(follow) = light.filter(|follow| *follow > 0) {
                        self.later(now, Event::Makes(follow - 1));
                    }
                }
            }
            self.serve(now).await;
        }
        self.waits
    }

    /// Gives every idle server a task, as far as there are any.
    async fn serve(&mut self, now: u64) {
        while let Some(server) = self.idle.pop() {
            let l = &self.ledgers[server % self.ledgers.len()];
            let Some(leased) = lease_many(l, work(), 1).await.pop() else {
                self.idle.push(server);
                return;
            };
            let mut follow = None;
            if leased.tenant == *self.light {
                let (made, steps) = self.made.pop_front().unwrap();
                self.waits.push(now - made);
                follow = Some(steps);
            }
            let (least, most) = SERVICE_TICKS;
            let takes = least + self.counter * 37 % (most - least + 1);
            self.later(now + takes, Event::Ends(server, held(&leased), follow));
        }
    }
}
