//! `baton serve`: one service, as a process of a cluster.

use crate::{
    args::PoolArgs,
    connections::call_limits,
    exit::Failure,
    grpc_tls::{GrpcTls, GrpcTlsArgs},
    live::{Live, Overrides, Secrets, check_exposure, set_all_terms},
    node::{Manners, bind, connections, follow, join, serve_http, show_metrics, traces},
    output::{DIM, PLAIN, STRONG},
    running::{Running, Workshop, stopping, until_stopped},
    settings::InForce,
    stores::StoreArgs,
    team::{self, Load, Parts, Place, belong, holder},
};
use baton_actor::{RestartBudget, Supervisor};
use baton_call::Caller;
use baton_codes::StartCode;
use baton_gateway::Gateway;
use baton_ledger::{Ledger, Metered};
use baton_planner::Strategy;
use baton_provider::RetryPolicy;
use baton_registry::{Kind, Member, Registry};
use baton_registry_etcd::Opened;
use baton_telemetry::{Metrics, Traces};
use clap::{Args, ValueEnum};
use std::{convert::Infallible, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// One service.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// Which.
    #[arg(value_enum)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    /// Address for users, of a gateway: as with `baton up`.
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for the other services, of all but a gateway; port 0 is any free one.
    #[arg(long, env = "BATON_GRPC_LISTEN", default_value = "127.0.0.1:0")]
    pub(crate) grpc_listen: SocketAddr,
    /// Under which address the others reach it, if that is not where it listens.
    #[arg(long, env = "BATON_ADVERTISE", value_name = "URL")]
    pub(crate) advertise: Option<String>,
    /// Where `baton sim` listens, to use the SIMULATED pool: such as
    /// http://127.0.0.1:8485/v1.
    #[arg(long, env = "BATON_SIM", value_name = "URL")]
    pub(crate) sim: Option<String>,
    /// How long a gateway that is told to stop serves on while /readyz says so: as long as
    /// load balancers take to notice.
    #[arg(long, env = "BATON_NOTICE_SECONDS", default_value_t = 5, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(0..=300))]
    pub(crate) notice_seconds: u64,
    #[command(flatten)]
    pub(crate) tls: GrpcTlsArgs,
    /// Address for GET /metrics, for Prometheus; without a key, so keep it private.
    /// [default: none]
    #[arg(long, env = "BATON_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
}

/// How long a gateway's clients may wait for their answers once nothing new is taken. With
/// the notice before, and with cutting what is left after, it stays below the 30 s before an
/// orchestrator kills the process.
const DRAIN: Duration = Duration::from_secs(15);
/// How long a part of a process may take to stop, beside a gateway's notice.
const PART_STOPS: Duration = Duration::from_secs(20);

/// What a process can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// HTTP for users.
    Gateway,
    /// Plans and decisions.
    Conductor,
    /// Steps.
    WorkerAgent,
    /// Checks.
    Verifier,
}

impl Service {
    fn kind(self) -> Kind {
        match self {
            Self::Gateway => Kind::Gateway,
            Self::Conductor => Kind::Conductor,
            Self::WorkerAgent => Kind::WorkerAgent,
            Self::Verifier => Kind::Verifier,
        }
    }
}

pub(crate) async fn serve(args: Serve) -> Result<ExitCode, Failure> {
    let mut process = start(args).await?;
    anstream::eprintln!("{}", process.greeting);
    until_stopped(process.running.failed()).await?;
    stopping(process.stop()).await
}

/// A service that runs.
struct Process {
    running: Running,
    traces: Traces,
    greeting: String,
}

impl Process {
    async fn stop(self) -> Result<(), Failure> {
        let stopped = self.running.stop().await;
        self.traces.flush().await;
        stopped
    }
}

/// Checks everything that can be wrong before anything is made known to others.
async fn start(args: Serve) -> Result<Process, Failure> {
    let tls = args.tls.read()?;
    let (opened, ledger) = args.stores.open().await?;
    let mut in_force = read(&args, &opened)?;
    if let Some(url) = &args.sim {
        in_force.simulated_at(url.clone());
    }
    let overrides = Overrides { listen: args.listen, ..Overrides::default() };
    let server = overrides.over(in_force.settings.server.clone());
    in_force.settings.server = server.clone();
    let settings = in_force.settings;
    let connections = connections(&settings)?;
    let caller = Caller::new(connections.providers(&connections), RetryPolicy::default());
    let metrics = Metrics::default();
    let traces = traces(&metrics)?;
    let shown = args.metrics_listen.map(bind).transpose()?;
    let ledger: Arc<dyn Ledger> = Arc::new(Metered::new(ledger, &metrics));
    let caller = caller.with_ledger(ledger.clone()).measured(&metrics);
    caller.set_limits(call_limits(&settings));
    let secrets = Secrets::of(&settings);
    let kind = args.service.kind();
    if kind == Kind::Conductor {
        set_all_terms(ledger.as_ref(), &settings).await?;
    }
    let (registry, keeper) = opened.with(settings.clone(), &metrics);
    let cluster = registry.cluster_id().to_owned();
    let registry: Arc<dyn Registry> = Arc::new(registry);

    let workshop = Workshop::new()?;
    let notice = Duration::from_secs(args.notice_seconds);
    let limit = notice.saturating_add(PART_STOPS).as_millis();
    let services = Supervisor::new("baton", RestartBudget::default());
    let mut services = services.drain_ms(u64::try_from(limit).unwrap_or(u64::MAX));
    services.spawn("registry", move |stop| {
        let keeper = keeper.clone();
        async move {
            keeper.run(stop).await;
            Ok::<(), Infallible>(())
        }
    });
    if let Some(listener) = shown {
        show_metrics(&mut services, listener, &metrics, ledger.clone());
    }
    let parts = Parts {
        ledger: ledger.clone(),
        registry: registry.clone(),
        caller: caller.clone(),
        traces: traces.clone(),
        workshop: workshop.handle(),
        metrics: metrics.clone(),
        alone: false,
        probes: true,
    };
    let (place, holder) = match kind {
        Kind::Gateway => {
            check_exposure(server.listen, &settings)
                .map_err(|reason| Failure::usage(reason).named(StartCode::Exposed))?;
            Gateway::new(registry.clone(), &Strategy::NAMES)
                .map_err(|faults| Failure::usage(join(&faults)).named(StartCode::KeyUnreadable))?;
            let advertise = args.advertise.clone();
            let place = Place { listen: server.listen, advertise, tls: None };
            let (http, address) = place.open()?;
            let holder = holder(kind);
            let tracer = traces.service(kind.name(), &holder);
            let dialer = tls.as_ref().map(GrpcTls::dialer).unwrap_or_default();
            let metrics = metrics.clone();
            let manners = Manners { notice, drain: Some(DRAIN), dialer, metrics };
            serve_http(&mut services, http, registry.clone(), tracer, manners);
            let member = Member::new(holder.clone(), kind, address.clone());
            let load: Load = Arc::new(|| (0, 0));
            belong(&mut services, &registry, member, load, CancellationToken::new()).await?;
            (format!("{address}/v1"), holder)
        }
        Kind::Conductor | Kind::WorkerAgent | Kind::Verifier => {
            let advertise = args.advertise.clone();
            let place = Place { listen: args.grpc_listen, advertise, tls };
            team::serve(&mut services, kind, &parts, &place).await?
        }
    };
    let live = Live {
        pool: args.pool,
        overrides,
        simulated: args.sim,
        connections,
        secrets,
        caller,
        registry,
        ledger,
    };
    follow(&mut services, live);
    let name = kind.name();
    let greeting = format!(
        "{STRONG}baton {name}{PLAIN} listens on {STRONG}{place}{PLAIN} {DIM}(cluster {cluster}, {holder}){PLAIN}"
    );
    Ok(Process { running: Running::of(services, workshop), traces, greeting })
}

/// The configuration that the cluster shares; where there is none, this process's own.
fn read(args: &Serve, opened: &Opened) -> Result<InForce, Failure> {
    let read = match opened.document() {
        Some(document) => InForce::of(document),
        None => InForce::read(&args.pool),
    };
    let read = read.map_err(|faults| Failure::settings(&faults))?;
    if read.simulated && args.sim.is_none() {
        let message = "there are no agents: push a configuration (baton config push FILE), or \
                       give this process one (--config FILE), or name a running `baton sim` \
                       (--sim URL)";
        return Err(Failure::usage(message).named(StartCode::ConfigInvalid));
    }
    Ok(read)
}
