//! One cluster, and what befalls it.

use super::{
    Simulated,
    check::{self, Facts},
    client,
    link::{Link, Process, State},
    provider::Simulator,
};
use baton_call::Caller;
use baton_conductor::Conductor;
use baton_ledger::{Clock, EmbeddedLedger, Ledger, Remembered, Token};
use baton_provider::{Provider, RetryPolicy};
use baton_registry::{InProcess, Member, Registry, Settings, read_settings};
use baton_verifier::Verifier;
use baton_worker_agent::WorkerAgent;
use baton_workflow::{TaskId, Timestamp};
use futures::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Processes of each kind.
const EACH: usize = 2;
/// How long the faults last.
const STORM: Duration = Duration::from_secs(90);
/// How long after them everything must have ended: several leases and all retries.
const CALM: Duration = Duration::from_secs(1800);
/// After the last end, for what is still held to be given back: longer than a lease.
const SETTLE: Duration = Duration::from_secs(120);
/// The present of the simulation's clock at its beginning, in milliseconds of Unix time.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// Which faults there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// None: nothing may be done twice.
    None,
    /// All of them.
    All,
}

/// What is switched off on purpose, so that the checks are seen to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// Whoever writes about a task is taken for its present holder.
    AnyToken,
    /// A repeated request comes under another key.
    FreshKeys,
    /// An acknowledged submission is forgotten now and then.
    Forgetful,
}

/// Where nobody can be reached: that a process is gone, conductors learn from the registry.
const NOWHERE: &str = "https://simulated.invalid";
/// How long the registry knows a process that it does not hear of, in milliseconds, at most.
const FORGETS_MS: u64 = 10_000;

/// What all processes of a simulation share.
pub(super) struct World {
    pub(super) ledger: EmbeddedLedger,
    pub(super) clock: Clock,
    pub(super) sabotage: Sabotage,
    pub(super) shared: Mutex<Shared>,
    settings: Settings,
    faults: Faults,
}

/// What changes.
pub(super) struct Shared {
    rng: ChaCha8Rng,
    trace: blake3::Hasher,
    calls: u64,
    struck: u64,
    /// Leases that were taken back from processes that had fallen silent.
    pub(super) reaped: u64,
    /// Whether the faults are over.
    calm: bool,
    named: u64,
    /// The token under which each task was leased last, and how often it was.
    pub(super) leases: BTreeMap<TaskId, (Token, u32)>,
    /// Writes that the ledger took although the task had another holder by then.
    pub(super) stale: Vec<String>,
    /// Calls to models, by their idempotency keys.
    pub(super) asked: BTreeMap<String, u32>,
    /// Whom clients can ask, and which process they are.
    pub(super) conductors: Vec<(Arc<Process>, Conductor)>,
    processes: Vec<Arc<Process>>,
    /// Whom the registry knows, and what each process has heard of it: one that is shared
    /// would wake its watchers by lots.
    members: BTreeMap<String, Member>,
    registries: Vec<(Arc<Process>, Arc<InProcess>)>,
}

/// What befalls one call to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Late(Duration),
    /// It never arrives.
    Lost,
    /// Its answer never arrives.
    Unanswered,
    /// It arrives twice.
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Conductor,
    WorkerAgent,
    Verifier,
}

impl Kind {
    fn registered(self) -> baton_registry::Kind {
        match self {
            Self::Conductor => baton_registry::Kind::Conductor,
            Self::WorkerAgent => baton_registry::Kind::WorkerAgent,
            Self::Verifier => baton_registry::Kind::Verifier,
        }
    }
}

const KINDS: [Kind; 3] = [Kind::Conductor, Kind::WorkerAgent, Kind::Verifier];

impl World {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        self.lock().rng.random_range(from..=to)
    }

    pub(super) fn chance(&self, share: f64) -> bool {
        self.lock().rng.random_bool(share)
    }

    /// Whether something that goes wrong now and then does so now.
    pub(super) fn mishap(&self, share: f64) -> bool {
        self.faults == Faults::All && !self.lock().calm && self.chance(share)
    }

    pub(super) fn fate(&self) -> Fate {
        if !self.mishap(0.12) {
            return Fate::Done;
        }
        match self.between(0, 5) {
            0 => Fate::Lost,
            1 => Fate::Unanswered,
            2 => Fate::Twice,
            _ => Fate::Late(Duration::from_millis(self.between(1, 4_000))),
        }
    }

    /// Writes into the trace that something happened now.
    pub(super) fn note(&self, what: &str) {
        let mut shared = self.lock();
        let now = self.clock.now().0;
        shared.trace.update(what.as_bytes()).update(&now.to_le_bytes());
        shared.calls += 1;
    }

    fn start(self: &Arc<Self>, kind: Kind) {
        let number = {
            let mut shared = self.lock();
            shared.named += 1;
            shared.named
        };
        let process = Arc::new(Process::new(format!("{kind:?}-{number}")));
        let link = Link { world: self.clone(), process: process.clone() };
        let ledger: Arc<dyn Ledger> = Arc::new(Remembered::new(link));
        let model = Simulator { world: self.clone(), process: process.clone() };
        let model: Arc<dyn Provider> = Arc::new(model);
        let providers = BTreeMap::from([("sim".to_owned(), model)]);
        // Waits between calls are drawn by lots that no seed decides: there are none.
        let retry = RetryPolicy { attempts_max: 3, base_ms: 0, cap_ms: 0 };
        let caller = Caller::new(providers, retry);
        let registry: Arc<dyn Registry> = self.register(kind, &process);
        let (holder, stop) = (process.name.clone(), CancellationToken::new());
        match kind {
            Kind::Conductor => {
                let world = self.clone();
                let name = move || {
                    let mut shared = world.lock();
                    shared.named += 1;
                    format!("run_{:032}", shared.named)
                };
                let conductor = Conductor::new(holder, ledger, registry, caller)
                    .determined(self.clock.clone(), name);
                self.lock().conductors.push((process.clone(), conductor.clone()));
                tokio::spawn(async move { conductor.run(stop).await });
            }
            Kind::WorkerAgent => {
                let worker =
                    WorkerAgent::new(holder, ledger, registry, caller).on_clock(self.clock.clone());
                tokio::spawn(async move { worker.run(stop).await });
            }
            Kind::Verifier => {
                let verifier = Verifier::new(holder, ledger, registry, caller);
                tokio::spawn(async move { verifier.run(stop).await });
            }
        }
        self.lock().processes.push(process);
    }

    /// What the process hears of the registry, where it and all others are known.
    fn register(&self, kind: Kind, process: &Arc<Process>) -> Arc<InProcess> {
        let registry = Arc::new(InProcess::new(self.settings.clone()));
        let mut shared = self.lock();
        for known in shared.members.values() {
            tell(&registry, known);
        }
        shared.registries.push((process.clone(), registry.clone()));
        drop(shared);
        self.remember(Member::new(&process.name, kind.registered(), NOWHERE));
        registry
    }

    /// The registry tells everybody of a process.
    fn remember(&self, member: Member) {
        let mut shared = self.lock();
        shared.registries.iter().for_each(|(_, registry)| tell(registry, &member));
        shared.members.insert(member.holder.clone(), member);
    }

    /// The registry tells everybody that it has not heard of a process for long.
    fn forget(&self, process: &Process) -> Option<Member> {
        let mut shared = self.lock();
        for (_, registry) in &shared.registries {
            registry.withdraw(&process.name).now_or_never().unwrap().unwrap();
        }
        shared.members.remove(&process.name)
    }

    /// The registry forgets a process in a while, and knows it again once that is over.
    fn forget_for(self: &Arc<Self>, victim: Arc<Process>, over: Option<Duration>) {
        let (world, forgets) = (self.clone(), Duration::from_millis(self.between(0, FORGETS_MS)));
        tokio::spawn(async move {
            sleep(forgets).await;
            let member = world.forget(&victim);
            let (Some(over), Some(member)) = (over, member) else { return };
            sleep(over.saturating_sub(forgets)).await;
            if victim.lives() {
                world.remember(member);
            }
        });
    }

    /// Lets processes die, stand still and be forgotten by the registry, until the storm is over.
    async fn storm(self: Arc<Self>) {
        if self.faults == Faults::None {
            return;
        }
        let until = Instant::now() + STORM;
        loop {
            sleep(Duration::from_millis(self.between(500, 15_000))).await;
            if Instant::now() > until {
                break;
            }
            let victim = {
                let mut shared = self.lock();
                shared.struck += 1;
                let last = shared.processes.len() - 1;
                let number = shared.rng.random_range(0..=last);
                shared.processes[number].clone()
            };
            self.note(&victim.name);
            let pause = Duration::from_millis(self.between(1_000, 80_000));
            let fate = self.between(0, 4);
            if fate < 2 {
                self.kill(&victim);
                self.forget_for(victim.clone(), None);
                let kind =
                    KINDS.into_iter().find(|kind| victim.name.starts_with(&format!("{kind:?}")));
                let pause = Duration::from_millis(self.between(0, 20_000));
                let world = self.clone();
                tokio::spawn(async move {
                    sleep(pause).await;
                    kind.into_iter().for_each(|kind| world.start(kind));
                });
            } else if fate < 4 {
                victim.set(State::Still);
                self.forget_for(victim.clone(), Some(pause));
                tokio::spawn(async move {
                    sleep(pause).await;
                    victim.set(State::Going);
                });
            } else {
                // It lives, and nothing may be taken from it.
                self.forget_for(victim, Some(pause));
            }
        }
        self.lock().calm = true;
    }

    fn kill(&self, victim: &Arc<Process>) {
        victim.set(State::Dead);
        let mut shared = self.lock();
        shared.processes.retain(|process| !Arc::ptr_eq(process, victim));
        shared.conductors.retain(|(process, _)| !Arc::ptr_eq(process, victim));
        shared.registries.retain(|(process, _)| !Arc::ptr_eq(process, victim));
    }
}

fn tell(registry: &InProcess, member: &Member) {
    registry.announce(member.clone()).now_or_never().unwrap().unwrap();
}

pub(super) async fn run(seed: u64, faults: Faults, sabotage: Sabotage) -> Simulated {
    let began = Instant::now();
    let clock = Clock::new(move || {
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(BEGINNING_MS + ms)
    });
    let settings = read_settings(SETTINGS, Path::new("simulation.toml"), &|_| None).unwrap();
    let shared = Shared {
        rng: ChaCha8Rng::seed_from_u64(seed),
        trace: blake3::Hasher::new(),
        calls: 0,
        struck: 0,
        reaped: 0,
        calm: faults == Faults::None,
        named: 0,
        leases: BTreeMap::new(),
        stale: Vec::new(),
        asked: BTreeMap::new(),
        conductors: Vec::new(),
        processes: Vec::new(),
        members: BTreeMap::new(),
        registries: Vec::new(),
    };
    let world = Arc::new(World {
        ledger: EmbeddedLedger::simulated(clock.clone()),
        clock,
        sabotage,
        shared: Mutex::new(shared),
        settings,
        faults,
    });
    for kind in KINDS {
        (0..EACH).for_each(|_| world.start(kind));
    }
    let storm = tokio::spawn(world.clone().storm());
    let asked = client::ask_all(&world).await;
    storm.await.unwrap();
    let ended = tokio::time::timeout(CALM, client::all_ended(&world, &asked)).await.is_ok();
    sleep(SETTLE).await;
    let facts = Facts::collect(&world, asked, ended).await;
    let shared = world.lock();
    Simulated {
        seed,
        violations: check::violations(&facts, faults),
        trace: shared.trace.finalize(),
        calls: shared.calls,
        struck: shared.struck,
        reaped: shared.reaped,
        runs: facts.runs.len() as u64,
    }
}

const SETTINGS: &str = r#"
[providers.sim]
base_url = "http://in.process.invalid/v1"
[[agents]]
id = "quick"
provider = "sim"
model = "quick"
strengths = "quick answers"
price = { input = 0.1, output = 0.4 }
context_tokens = 32768
output_tokens = 2048
concurrency = 8
[[agents]]
id = "deep"
provider = "sim"
model = "deep"
strengths = "deep thoughts"
price = { input = 1.0, output = 4.0 }
context_tokens = 32768
output_tokens = 2048
concurrency = 2
[policy]
provider = "sim"
model = "policy"
price = { input = 0.2, output = 0.8 }
context_tokens = 32768
output_tokens = 2048
concurrency = 4
judge = "deep"
"#;
