//! The whole cluster in one process: the services that a larger one runs apart, talking
//! over the same ports.

use crate::{args::PoolArgs, control, exit::Failure, grpc, settings::InForce};
use baton_actor::{RestartBudget, Supervisor};
use baton_call::Caller;
use baton_conductor::Conductor;
use baton_gateway::Gateway;
use baton_ledger::{EmbeddedLedger, Ledger, Remembered};
use baton_planner::Strategy;
use baton_proto::v1::{conductor_server, verifier_server, worker_agent_server};
use baton_provider::{Provider, RetryPolicy};
use baton_provider_http::{HttpProvider, HttpProviderOptions, Secret, Timeouts};
use baton_registry::{Auth, InProcess, Kind, Member, Registry, SecretRef, Settings};
use baton_sim::SimOptions;
use baton_verifier::Verifier;
use baton_worker_agent::WorkerAgent;
use baton_workflow::AgentId;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// The ledger's file in the data folder.
pub(crate) const LEDGER_FILE: &str = "ledger.redb";

/// How long clients may wait for their answers once the cluster was told to stop. Then
/// they are told where to find them; what the agents still write gets its time after that,
/// and all of it has to fit into the 30 s before an orchestrator kills the process.
const REQUESTS_DRAIN: Duration = Duration::from_secs(8);

/// What to start.
pub(crate) struct NodeOptions {
    /// Where the HTTP endpoint listens.
    pub(crate) listen: SocketAddr,
    /// Folder of the ledger; without one it lives in memory.
    pub(crate) data: Option<PathBuf>,
    /// Which agents there are.
    pub(crate) pool: PoolArgs,
}

/// A running cluster.
pub(crate) struct Node {
    /// Where the HTTP endpoint listens.
    pub(crate) address: SocketAddr,
    /// Whether its models are simulated.
    pub(crate) simulated: bool,
    stop: CancellationToken,
    ledger: EmbeddedLedger,
    running: JoinHandle<Result<(), Failure>>,
}

impl Node {
    /// Checks everything that can be wrong before anything is opened, then opens ports
    /// and ledger, then starts the services.
    pub(crate) async fn start(options: NodeOptions) -> Result<Self, Failure> {
        let mut in_force = InForce::read(&options.pool)?;
        check_exposure(options.listen, &in_force.settings)?;
        let http = bind(options.listen)?;
        let address = local(&http)?;
        let sim = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        if in_force.simulated {
            in_force.simulated_at(local(&sim)?);
        }
        let InForce { settings, simulated } = in_force;
        let caller = caller(&settings)?;
        let ledger = open(options.data.clone()).await?;
        let registry: Arc<dyn Registry> = Arc::new(InProcess::new(settings));
        // Keys are read here, so that one that is missing is known before a start is claimed.
        Gateway::new(registry.clone(), &Strategy::NAMES)
            .map_err(|faults| Failure::usage(join(&faults)))?;

        let mut services = Supervisor::new("baton", RestartBudget::default());
        if simulated {
            serve_sim(&mut services, sim, &options.pool);
        }
        serve_team(&mut services, &ledger, &registry, &caller).await?;
        serve_http(&mut services, http, registry.clone());
        if let Some(folder) = &options.data {
            control::serve(&mut services, folder, &ledger);
        }
        let stop = CancellationToken::new();
        let running = services.run(stop.clone());
        let running = tokio::spawn(async move {
            running.await.map_err(|escalation| Failure::other(escalation.to_string()))
        });
        Ok(Self { address, simulated, stop, ledger, running })
    }

    /// Waits until the services give up by themselves, which they never should.
    pub(crate) async fn failed(&mut self) -> Failure {
        match (&mut self.running).await {
            Ok(Ok(())) => Failure::other("every service has ended"),
            Ok(Err(failure)) => failure,
            Err(error) => Failure::other(format!("the services ended badly: {error}")),
        }
    }

    /// Stops in order: no new requests, no new leases, finish or hand back, close.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        let stopped = self.running.await;
        self.ledger.close().await;
        match stopped {
            Ok(stopped) => stopped,
            Err(error) => Err(Failure::other(format!("the services ended badly: {error}"))),
        }
    }
}

/// Beyond loopback anybody could spend the owner's money.
fn check_exposure(listen: SocketAddr, settings: &Settings) -> Result<(), Failure> {
    match &settings.auth {
        Auth::Keys(_) => Ok(()),
        Auth::Open(_) if listen.ip().is_loopback() => Ok(()),
        Auth::Open(_) => Err(Failure::usage(format!(
            "refusing to listen on {listen} without keys: anybody could spend your money. \
             Listen on 127.0.0.1, or configure [[keys]]"
        ))),
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::other(format!(
            "{address} is in use by another process: stop it, or choose another with --listen"
        )),
        _ => Failure::other(format!("cannot listen on {address}: {error}")),
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
            })?;
            let file = folder.join(LEDGER_FILE);
            let opening = tokio::task::spawn_blocking(move || EmbeddedLedger::open(file));
            opening.await.map_err(|error| Failure::other(error.to_string()))?
        }
    };
    opened.map_err(|error| Failure::other(error.to_string()))
}

/// One HTTP client a provider.
fn caller(settings: &Settings) -> Result<Caller, Failure> {
    let mut providers: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
    for (name, provider) in &settings.providers {
        let mut options = HttpProviderOptions::new(name, &provider.base_url);
        options.key = provider.key.as_ref().map(secret).transpose()?;
        options.stream = provider.stream;
        let timeouts = provider.timeouts;
        options.timeouts = Timeouts {
            connect_ms: timeouts.connect_ms,
            first_token_ms: timeouts.first_token_ms,
            between_tokens_ms: timeouts.between_tokens_ms,
            total_ms: timeouts.total_ms,
        };
        let made = HttpProvider::new(options);
        let made = made.map_err(|error| Failure::usage(error.to_string()))?;
        providers.insert(name.clone(), Arc::new(made));
    }
    Ok(Caller::new(providers, RetryPolicy::default()))
}

fn secret(place: &SecretRef) -> Result<Secret, Failure> {
    let secret = match place {
        SecretRef::Env(name) => Secret::from_env(name),
        SecretRef::File(file) => Secret::from_file(Path::new(file)),
    };
    secret.map_err(|error| Failure::usage(error.to_string()))
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

/// Conductor, worker-agent and verifier, each with its gRPC server.
async fn serve_team(
    services: &mut Supervisor,
    ledger: &EmbeddedLedger,
    registry: &Arc<dyn Registry>,
    caller: &Caller,
) -> Result<(), Failure> {
    let ledger: Arc<dyn Ledger> = Arc::new(Remembered::new(ledger.clone()));
    let holder = |kind: &str| format!("{kind}-{}", uuid::Uuid::now_v7().simple());

    let name = holder("verifier");
    let verifier = Verifier::new(name.clone(), ledger.clone(), registry.clone(), caller.clone());
    let listener = announce(registry, name, Kind::Verifier, Vec::new()).await?;
    let routes = Routes::new(verifier.service());
    spawn_grpc(services, verifier_server::SERVICE_NAME, listener, routes);
    services.spawn("verifier", move |stop| {
        let verifier = verifier.clone();
        async move {
            verifier.run(stop).await;
            Ok::<(), Infallible>(())
        }
    });

    let name = holder("worker-agent");
    let worker = WorkerAgent::new(name.clone(), ledger.clone(), registry.clone(), caller.clone());
    let settings = registry.settings();
    let agents = settings.pool.agents().iter().map(|card| card.id.clone()).collect();
    let listener = announce(registry, name, Kind::WorkerAgent, agents).await?;
    let routes = Routes::new(worker.service());
    spawn_grpc(services, worker_agent_server::SERVICE_NAME, listener, routes);
    services.spawn("worker-agent", move |stop| {
        let worker = worker.clone();
        async move {
            worker.run(stop).await;
            Ok::<(), Infallible>(())
        }
    });

    let name = holder("conductor");
    let conductor = Conductor::new(name.clone(), ledger, registry.clone(), caller.clone());
    let listener = announce(registry, name, Kind::Conductor, Vec::new()).await?;
    let routes = Routes::new(conductor.service());
    spawn_grpc(services, conductor_server::SERVICE_NAME, listener, routes);
    services.spawn("conductor", move |stop| {
        let conductor = conductor.clone();
        async move {
            conductor.run(stop).await;
            Ok::<(), Infallible>(())
        }
    });
    Ok(())
}

/// A port for a service's gRPC server, made known under the holder's name.
async fn announce(
    registry: &Arc<dyn Registry>,
    holder: String,
    kind: Kind,
    agents: Vec<AgentId>,
) -> Result<TcpListener, Failure> {
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = format!("http://{}", local(&listener)?);
    let member = Member { holder, kind, address, agents };
    registry.announce(member).await.map_err(|error| Failure::other(error.to_string()))?;
    Ok(listener)
}

/// A service's gRPC server, as a child of its own under the service's full name.
fn spawn_grpc(
    services: &mut Supervisor,
    name: &'static str,
    listener: TcpListener,
    routes: Routes,
) {
    let listener = Arc::new(listener);
    services.spawn(name, move |stop| {
        let (listener, routes) = (listener.try_clone(), routes.clone());
        async move {
            let listener = listener.map_err(grpc::ServeError::Listen)?;
            grpc::serve(listener, name, routes, stop).await
        }
    });
}

fn serve_http(services: &mut Supervisor, listener: TcpListener, registry: Arc<dyn Registry>) {
    let listener = Arc::new(listener);
    services.spawn("gateway", move |stop| {
        let (listener, registry) = (listener.try_clone(), registry.clone());
        async move {
            let gateway = Gateway::new(registry, &Strategy::NAMES);
            let gateway = gateway.map_err(|faults| io::Error::other(join(&faults)))?;
            let listener = listener?;
            listener.set_nonblocking(true)?;
            let gateway = gateway.drain(REQUESTS_DRAIN);
            gateway.serve(tokio::net::TcpListener::from_std(listener)?, stop).await
        }
    });
}

fn join(faults: &[impl std::fmt::Display]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("\n")
}
