//! Logs now, traces and metrics later: the one door to them.
use tracing_subscriber::EnvFilter;
/// Form
#[derive(Debug, Clone, Copy)]
pub enum LogFormat {
    /// t
    Text,
    /// j
    Json,
}
/// Options
#[derive(Debug)]
pub struct LogOptions {
    /// f
    pub format: LogFormat,
    /// f
    pub filter: Option<String>,
}
/// Guard
#[derive(Debug)]
pub struct Guard;
/// Error
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TelemetryError(String);
/// Start
pub fn start(options: LogOptions) -> Result<Guard, TelemetryError> {
    let filter = EnvFilter::try_new(options.filter.as_deref().unwrap_or("warn,baton=info"))
        .map_err(|e| TelemetryError(e.to_string()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|e| TelemetryError(e.to_string()))?;
    Ok(Guard)
}
