//! The whole cluster in one process: the services that a larger one runs apart, talking
//! over the same ports.

use crate::{
    args::PoolArgs,
    connections::{Connections, call_limits, keys_are_readable},
    control,
    exit::Failure,
    live::{Live, Overrides, Secrets, check_exposure, set_all_terms},
    running::{Running, Workshop},
    settings::{InForce, simulated_url},
    team::{self, Load, Parts, Place, belong},
};
use baton_actor::{RestartBudget, Supervisor};
use baton_call::Caller;
use baton_codes::StartCode;
use baton_gateway::Gateway;
use baton_ledger::{EmbeddedLedger, Gauges, Ledger, Metered, Remembered};
use baton_planner::Strategy;
use baton_proto::Dialer;
use baton_provider::RetryPolicy;
use baton_registry::{InProcess, Kind, Member, Registry, Settings};
use baton_sim::SimOptions;
use baton_telemetry::{Metrics, Tracer, Traces};
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The ledger's file in the data folder.
pub(crate) const LEDGER_FILE: &str = "ledger.redb";

/// How long clients may wait for their answers once the cluster was told to stop. Then
/// they are told where to find them; what the agents still write gets its time after that,
/// and all of it has to fit into the 30 s before an orchestrator kills the process.
const REQUESTS_DRAIN: Duration = Duration::from_secs(8);

/// How a gateway stops, and how it reaches the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    /// How long it serves on once `/readyz` says that it stops.
    pub(crate) notice: Duration,
    /// How long clients may wait for their answers then; none: [`REQUESTS_DRAIN`].
    pub(crate) drain: Option<Duration>,
    pub(crate) dialer: Dialer,
    pub(crate) metrics: Metrics,
}

/// What to start.
pub(crate) struct NodeOptions {
    /// What the command line says of address and folder.
    pub(crate) overrides: Overrides,
    /// Whether it stays: then its ledger is on disk, and its configuration is followed.
    pub(crate) stays: bool,
    /// Which agents there are.
    pub(crate) pool: PoolArgs,
}

/// A running cluster.
pub(crate) struct Node {
    /// Where the HTTP endpoint listens.
    pub(crate) address: SocketAddr,
    /// Folder of the ledger.
    pub(crate) data: PathBuf,
    /// Whether its models are simulated.
    pub(crate) simulated: bool,
    ledger: EmbeddedLedger,
    traces: Traces,
    running: Running,
}

impl Node {
    /// Checks everything that can be wrong before anything is opened, then opens ports
    /// and ledger, then starts the services.
    pub(crate) async fn start(options: NodeOptions) -> Result<Self, Failure> {
        let mut in_force = InForce::read(&options.pool);
        let in_force = in_force.as_mut().map_err(|faults| Failure::settings(faults))?;
        let server = options.overrides.over(in_force.settings.server.clone());
        in_force.settings.server = server.clone();
        check_exposure(server.listen, &in_force.settings)
            .map_err(|reason| Failure::usage(reason).named(StartCode::Exposed))?;
        let metrics = Metrics::default();
        let traces = traces(&metrics)?;
        let shown = server.metrics_listen.map(bind).transpose()?;
        let http = bind(server.listen)?;
        let address = local(&http)?;
        let sim = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let sim_url = simulated_url(local(&sim)?);
        in_force.simulated_at(sim_url.clone());
        let (settings, simulated) = (in_force.settings.clone(), in_force.simulated);
        let connections = connections(&settings)?;
        let caller = Caller::new(connections.providers(&connections), RetryPolicy::default());
        let ledger = open(options.stays.then(|| server.data.clone())).await?;
        let caller = caller.with_ledger(Arc::new(ledger.clone()));
        let caller = caller.measured(&metrics);
        caller.set_limits(call_limits(&settings));
        set_all_terms(&ledger, &settings).await?;
        let secrets = Secrets::of(&settings);
        let registry: Arc<dyn Registry> = Arc::new(InProcess::new(settings));
        // Keys are read here, so that one that is missing is known before a start is claimed.
        Gateway::new(registry.clone(), &Strategy::NAMES)
            .map_err(|faults| Failure::usage(join(&faults)).named(StartCode::KeyUnreadable))?;

        let workshop = Workshop::new()?;
        let mut services = Supervisor::new("baton", RestartBudget::default());
        if simulated {
            serve_sim(&mut services, sim, &options.pool);
        }
        let port: Arc<dyn Ledger> = Arc::new(Remembered::new(ledger.clone()));
        let port: Arc<dyn Ledger> = Arc::new(Metered::new(port, &metrics));
        if let Some(listener) = shown {
            show_metrics(&mut services, listener, &metrics, port.clone());
        }
        let parts = Parts {
            ledger: port,
            registry: registry.clone(),
            caller: caller.clone(),
            traces: traces.clone(),
            workshop: workshop.handle(),
            metrics: metrics.clone(),
            alone: true,
            probes: options.stays,
        };
        for kind in [Kind::Verifier, Kind::WorkerAgent, Kind::Conductor] {
            team::serve(&mut services, kind, &parts, &Place::LOOPBACK).await?;
        }
        let holder = team::holder(Kind::Gateway);
        let tracer = traces.service(Kind::Gateway.name(), &holder);
        let member = Member::new(holder, Kind::Gateway, format!("http://{address}"));
        let load: Load = Arc::new(|| (0, 0));
        belong(&mut services, &registry, member, load, CancellationToken::new()).await?;
        let manners = Manners { metrics: metrics.clone(), ..Manners::default() };
        serve_http(&mut services, http, registry.clone(), tracer, manners);
        if options.stays {
            control::serve(&mut services, &server.data, &ledger);
            let live = Live {
                pool: options.pool,
                overrides: options.overrides,
                simulated: simulated.then_some(sim_url),
                connections,
                secrets,
                caller,
                registry,
                ledger: Arc::new(ledger.clone()),
            };
            follow(&mut services, live);
        }
        let running = Running::of(services, workshop);
        Ok(Self { address, data: server.data, simulated, ledger, traces, running })
    }

    /// Waits until the services give up by themselves, which they never should.
    pub(crate) async fn failed(&mut self) -> Failure {
        self.running.failed().await
    }

    /// Stops in order: no new requests, no new leases, finish or hand back, close.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let stopped = self.running.stop().await;
        self.ledger.close().await;
        self.traces.flush().await;
        stopped
    }
}

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::other(format!(
            "{address} is in use by another process: stop it, or choose another with --listen"
        ))
        .named(StartCode::AddressInUse),
        _ => Failure::other(format!("cannot listen on {address}: {error}"))
            .named(StartCode::CannotListen),
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::other(format!("a port is lost: {error}")))
}

async fn open(data: Option<PathBuf>) -> Result<EmbeddedLedger, Failure> {
    let opened = match data {
        None => EmbeddedLedger::in_memory(),
        Some(folder) => {
            fs::create_dir_all(&folder).map_err(|error| {
                Failure::other(format!("cannot make the folder {}: {error}", folder.display()))
                    .named(StartCode::DataFolder)
            })?;
            let file = folder.join(LEDGER_FILE);
            let opening = tokio::task::spawn_blocking(move || EmbeddedLedger::open(file));
            opening.await.map_err(|error| Failure::other(error.to_string()))?
        }
    };
    opened.map_err(|error| Failure::other(error.to_string()).named(StartCode::LedgerUnusable))
}

pub(crate) fn connections(settings: &Settings) -> Result<Connections, Failure> {
    Connections::default().of(settings).map_err(|wrong| {
        let wrong: Vec<_> = wrong.into_iter().map(|(_, reason)| reason).collect();
        Failure::usage(join(&wrong)).named(match keys_are_readable(settings) {
            true => StartCode::ProviderUnusable,
            false => StartCode::KeyUnreadable,
        })
    })
}

/// Follows the configuration's files.
pub(crate) fn follow(services: &mut Supervisor, live: Live) {
    let live = Arc::new(Mutex::new(live));
    services.spawn("configuration", move |stop| {
        let live = live.clone();
        async move { live.lock().await.run(stop).await }
    });
}

fn serve_sim(services: &mut Supervisor, listener: TcpListener, pool: &PoolArgs) {
    let (seed, time_scale) = (pool.sim_seed, pool.sim_time_scale);
    let listener = Arc::new(listener);
    services.spawn("sim", move |stop| {
        let listener = listener.try_clone();
        async move {
            let listener = listener?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let options = SimOptions { seed, time_scale, ..SimOptions::default() };
            baton_sim::serve(listener, options, stop.cancelled_owned()).await
        }
    });
}

pub(crate) fn serve_http(
    services: &mut Supervisor,
    listener: TcpListener,
    registry: Arc<dyn Registry>,
    tracer: Tracer,
    manners: Manners,
) {
    let listener = Arc::new(listener);
    services.spawn("gateway", move |stop| {
        let (listener, registry) = (listener.try_clone(), registry.clone());
        let (tracer, manners) = (tracer.clone(), manners.clone());
        async move {
            let Manners { notice, drain, dialer, metrics } = manners;
            let gateway = Gateway::dialing(registry, &Strategy::NAMES, dialer);
            let gateway = gateway.map_err(|faults| io::Error::other(join(&faults)))?;
            let listener = listener?;
            listener.set_nonblocking(true)?;
            let drain = drain.unwrap_or(REQUESTS_DRAIN);
            let gateway = gateway.notice(notice).drain(drain).traced(tracer).measured(&metrics);
            gateway.serve(tokio::net::TcpListener::from_std(listener)?, stop).await
        }
    });
}

/// The way that spans take, as the environment says.
pub(crate) fn traces(metrics: &Metrics) -> Result<Traces, Failure> {
    Traces::from_env(metrics).map_err(|error| Failure::usage(error.to_string()))
}

/// Shows the metrics of the process, and the ledger's figures as they are at that moment.
pub(crate) fn show_metrics(
    services: &mut Supervisor,
    listener: TcpListener,
    metrics: &Metrics,
    ledger: Arc<dyn Ledger>,
) {
    let listener = Arc::new(listener);
    let (metrics, gauges) = (metrics.clone(), Gauges::of(metrics));
    services.spawn("metrics", move |stop| {
        let (listener, metrics) = (listener.try_clone(), metrics.clone());
        let (gauges, ledger) = (gauges.clone(), ledger.clone());
        async move {
            let listener = listener?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let refresh = move || {
                let (gauges, ledger) = (gauges.clone(), ledger.clone());
                async move {
                    match ledger.stats().await {
                        Ok(stats) => gauges.set(&stats),
                        Err(error) => tracing::warn!(%error, "the ledger's figures are old"),
                    }
                }
            };
            let address = listener.local_addr()?;
            tracing::info!(url = format!("http://{address}/metrics"), "metrics are shown");
            let stop = stop.cancelled_owned();
            baton_telemetry::serve_metrics(listener, metrics, refresh, stop).await
        }
    });
}

pub(crate) fn join(faults: &[impl std::fmt::Display]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("\n")
}
