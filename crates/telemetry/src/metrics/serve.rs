//! Shows a process's metrics, at `GET /metrics`.

use super::Metrics;
use axum::{Router, http::header, response::IntoResponse as _, routing::get};
use std::{future::Future, io, sync::Arc};
use tokio::net::TcpListener;

/// What OpenMetrics calls itself.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves this listener until `stop`. `refresh` brings up to date what is not counted but
/// read, before each answer.
///
/// # Errors
/// The system's.
pub async fn serve_metrics<R>(
    listener: TcpListener,
    metrics: Metrics,
    refresh: impl Fn() -> R + Send + Sync + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    R: Future<Output = ()> + Send + 'static,
{
    let refresh = Arc::new(refresh);
    let show = move || {
        let (metrics, refresh) = (metrics.clone(), refresh.clone());
        async move {
            refresh().await;
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()).into_response()
        }
    };
    let router = Router::new().route("/metrics", get(show));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
