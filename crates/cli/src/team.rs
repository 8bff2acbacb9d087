//! One service of a cluster: its gRPC server, its work, and its place in the registry.
//! The same whether it is alone in its process or beside the others.

use crate::{exit::Failure, grpc, grpc_tls::GrpcTls, node::bind};
use baton_actor::Supervisor;
use baton_call::Caller;
use baton_codes::StartCode;
use baton_conductor::Conductor;
use baton_ledger::Ledger;
use baton_proto::v1::{conductor_server, verifier_server, worker_agent_server};
use baton_registry::{Kind, Member, Registry};
use baton_telemetry::{Metrics, Tracer, Traces};
use baton_verifier::Verifier;
use baton_worker_agent::WorkerAgent;
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// What every service is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) caller: Caller,
    pub(crate) traces: Traces,
    /// Where tasks are carried out.
    pub(crate) workshop: Option<Handle>,
    pub(crate) metrics: Metrics,
    /// Whether this process is the whole cluster.
    pub(crate) alone: bool,
    /// Whether the verifier tries its sandbox at once, or when it is first needed.
    pub(crate) probes: bool,
}

/// Where a service's server listens, and under which address the others call it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) listen: SocketAddr,
    /// Where it listens, unless said; a must where that is every address of the machine.
    pub(crate) advertise: Option<String>,
    /// Between services, where they show certificates.
    pub(crate) tls: Option<GrpcTls>,
}

impl Place {
    /// Some port of the loopback interface, for processes of one machine.
    pub(crate) const LOOPBACK: Self = Self {
        listen: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        advertise: None,
        tls: None,
    };

    /// The port, and what others call it.
    pub(crate) fn open(&self) -> Result<(TcpListener, String), Failure> {
        let listener = bind(self.listen)?;
        let bound = listener.local_addr();
        let bound = bound.map_err(|error| Failure::other(format!("a port is lost: {error}")))?;
        let address = match &self.advertise {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => {
                let message = format!(
                    "{bound} is every address of this machine: say with --advertise under which \
                     one the other services reach it, such as http://10.0.0.7:{}",
                    bound.port()
                );
                return Err(Failure::usage(message).named(StartCode::CannotListen));
            }
            None if self.tls.is_some() => format!("https://{bound}"),
            None => format!("http://{bound}"),
        };
        Ok((listener, address))
    }
}

/// A name that no other process has, now or later.
pub(crate) fn holder(kind: Kind) -> String {
    format!("{}-{}", kind.name(), uuid::Uuid::now_v7().simple())
}

/// Lots in place of verdicts: see [`baton_verifier::Noise`].
#[cfg(debug_assertions)]
fn noise() -> Result<Option<baton_verifier::Noise>, Failure> {
    const NOISE: &str = "BATON_NOISE";
    let Some(said) = std::env::var_os(NOISE) else { return Ok(None) };
    let noise = said.to_str().and_then(baton_verifier::Noise::read);
    let wrong = || Failure::usage(format!("{NOISE} is {said:?}: expected SEED:PASS_RATE"));
    noise.map(Some).ok_or_else(wrong)
}

/// Starts a service that works on tasks, and makes it known; gives where others reach it, and
/// its name. `kind` is not the gateway.
pub(crate) async fn serve(
    services: &mut Supervisor,
    kind: Kind,
    parts: &Parts,
    place: &Place,
) -> Result<(String, String), Failure> {
    let (listener, address) = place.open()?;
    let tls = &place.tls;
    let Parts { ledger, registry, caller, traces, metrics, workshop, alone, probes } =
        parts.clone();
    let settings = registry.settings();
    let holder = holder(kind);
    let tracer = traces.service(kind.name(), &holder);
    let (mut member, named) = (Member::new(holder.clone(), kind, address.clone()), holder.clone());
    let unready = CancellationToken::new();
    let name = kind.name();
    let mut probing = None;
    let load: Load = match kind {
        Kind::Gateway => return Err(Failure::other("a gateway leases no tasks")),
        Kind::Conductor => {
            let conductor = Conductor::new(holder, ledger, registry.clone(), caller);
            let dialer = tls.as_ref().map(GrpcTls::dialer).unwrap_or_default();
            let mut conductor = conductor.traced(tracer.clone()).measured(&metrics).dialing(dialer);
            if let Some(workshop) = workshop {
                conductor = conductor.working_in(workshop);
            }
            let routes = Routes::new(conductor.service());
            spawn_grpc(
                services,
                conductor_server::SERVICE_NAME,
                listener,
                (routes, tracer),
                tls,
                &unready,
            );
            let loaded = conductor.clone();
            services.spawn(name, move |stop| {
                let conductor = conductor.clone();
                async move {
                    conductor.run(stop).await;
                    Ok::<(), Infallible>(())
                }
            });
            Arc::new(move || loaded.load())
        }
        Kind::WorkerAgent => {
            member.agents = settings.pool.agents().iter().map(|card| card.id.clone()).collect();
            let worker = WorkerAgent::new(holder, ledger, registry.clone(), caller);
            let mut worker = worker.traced(tracer.clone()).measured(&metrics);
            if let Some(workshop) = workshop {
                worker = worker.working_in(workshop);
            }
            let routes = Routes::new(worker.service());
            spawn_grpc(
                services,
                worker_agent_server::SERVICE_NAME,
                listener,
                (routes, tracer),
                tls,
                &unready,
            );
            let loaded = worker.clone();
            services.spawn(name, move |stop| {
                let worker = worker.clone();
                async move {
                    worker.run(stop).await;
                    Ok::<(), Infallible>(())
                }
            });
            Arc::new(move || loaded.load())
        }
        Kind::Verifier => {
            let verifier = Verifier::new(holder, ledger, registry.clone(), caller);
            let mut verifier = verifier.traced(tracer.clone()).measured(&metrics);
            #[cfg(debug_assertions)]
            {
                verifier = verifier.guessing(noise()?);
            }
            if let Some(workshop) = workshop {
                verifier = verifier.working_in(workshop);
            }
            if alone {
                verifier = verifier.alone();
            }
            probing = probes.then(|| verifier.clone());
            let routes = Routes::new(verifier.service());
            spawn_grpc(
                services,
                verifier_server::SERVICE_NAME,
                listener,
                (routes, tracer),
                tls,
                &unready,
            );
            let loaded = verifier.clone();
            services.spawn(name, move |stop| {
                let verifier = verifier.clone();
                async move {
                    verifier.run(stop).await;
                    Ok::<(), Infallible>(())
                }
            });
            Arc::new(move || loaded.load())
        }
    };
    belong(services, &registry, member, load, unready).await?;
    if let Some(verifier) = probing {
        // Behind its membership, which it adds to: it stops before that is withdrawn.
        services.spawn("sandbox", move |stop| {
            let verifier = verifier.clone();
            async move { stop.run_until_cancelled(verifier.probe()).await.unwrap_or(Ok(())) }
        });
    }
    Ok((address, named))
}

/// Tasks that a process holds, and at most.
pub(crate) type Load = Arc<dyn Fn() -> (usize, usize) + Send + Sync>;

/// How often the registry is told of it; the registry tells others in its own time.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// Makes a process known for as long as it serves. It is the first to stop: nobody is sent
/// here any more while what is under way ends.
pub(crate) async fn belong(
    services: &mut Supervisor,
    registry: &Arc<dyn Registry>,
    mut member: Member,
    load: Load,
    unready: CancellationToken,
) -> Result<(), Failure> {
    let count = |tasks: usize| u32::try_from(tasks).unwrap_or(u32::MAX);
    let (registry, holder) = (registry.clone(), member.holder.clone());
    member.capacity = count(load().1);
    let announced = registry.announce(member).await;
    announced.map_err(|error| Failure::other(error.to_string()))?;
    services.spawn(format!("membership of {holder}"), move |stop| {
        let (registry, holder, unready) = (registry.clone(), holder.clone(), unready.clone());
        let load = load.clone();
        async move {
            let telling = async {
                loop {
                    registry.set_load(&holder, count(load().0));
                    tokio::time::sleep(LOAD_EVERY).await;
                }
            };
            stop.run_until_cancelled(telling).await;
            unready.cancel();
            if let Err(error) = registry.withdraw(&holder).await {
                tracing::warn!(%error, holder, "not taken out of the registry: others learn of it later");
            }
            Ok::<(), Infallible>(())
        }
    });
    Ok(())
}

/// A service's gRPC server, as a child of its own under the service's full name.
fn spawn_grpc(
    services: &mut Supervisor,
    name: &'static str,
    listener: TcpListener,
    (routes, tracer): (Routes, Tracer),
    tls: &Option<GrpcTls>,
    unready: &CancellationToken,
) {
    let (listener, unready, tls) = (Arc::new(listener), unready.clone(), tls.clone());
    services.spawn(name, move |stop| {
        let (listener, routes, tracer) = (listener.try_clone(), routes.clone(), tracer.clone());
        let (unready, tls) = (unready.clone(), tls.clone());
        async move {
            let listener = listener.map_err(grpc::ServeError::Listen)?;
            grpc::serve(listener, name, routes, tracer, tls, unready, stop).await
        }
    });
}
