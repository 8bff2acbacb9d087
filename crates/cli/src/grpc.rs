//! A gRPC server around one service: health, reflection, limits, certificates, graceful stop.

mod span;

use crate::grpc_tls::GrpcTls;
use axum::middleware::from_fn_with_state;
use baton_proto::DESCRIPTORS;
use baton_telemetry::Tracer;
use std::{io, net::TcpListener, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;

/// Calls and streams on one connection at the same time.
const STREAMS_MAX: u32 = 4096;

/// How often a connection on which nothing is said is tried, and how long the answer may
/// take, so that callers that are gone do not stay for ever.
const PING_EVERY: Duration = Duration::from_secs(20);
/// See [`PING_EVERY`].
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// How long calls under way may take once the server is told to stop: whoever only watches
/// would stay for ever.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a server ended before it was told to.
#[derive(Debug)]
pub(crate) enum ServeError {
    Listen(io::Error),
    Serve(tonic::transport::Error),
    Reflection(String),
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(error) => write!(f, "cannot listen: {error}"),
            Self::Serve(error) => write!(f, "cannot serve: {error}"),
            Self::Reflection(error) => write!(f, "cannot describe the services: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until `stop` is cancelled; health says from `unready` on that nothing new is to
/// be sent here. `name` is the service's full gRPC name.
pub(crate) async fn serve(
    listener: TcpListener,
    name: &'static str,
    routes: Routes,
    tracer: Tracer,
    tls: Option<GrpcTls>,
    unready: CancellationToken,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    listener.set_nonblocking(true).map_err(ServeError::Listen)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Listen)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(name, ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| ServeError::Reflection(error.to_string()))?;
    let told = stop.clone();
    let stopped = async move {
        tokio::select! {
            () = unready.cancelled() => {}
            () = told.cancelled() => {}
        }
        health.set_service_status(name, ServingStatus::NotServing).await;
        told.cancelled().await;
    };
    let late = async move {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let traced = from_fn_with_state(tracer, span::told);
    let routes = Routes::from(routes.into_axum_router().layer(traced));
    let routes = routes.add_service(health_service).add_service(reflection);
    let mut server = Server::builder();
    if let Some(tls) = &tls {
        server = server.tls_config(tls.server()).map_err(ServeError::Serve)?;
    }
    let serving = server
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_PATIENCE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stopped,
        );
    tokio::select! {
        served = serving => served.map_err(ServeError::Serve),
        () = late => {
            tracing::info!(name, "calls still under way are cut");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
