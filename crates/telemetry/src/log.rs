//! Logs, as text for people or as JSON for machines, on standard error.

use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, fmt, fmt::MakeWriter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The variable that says what is logged, where the caller says nothing.
const FILTER_VARIABLE: &str = "BATON_LOG";
/// The variable that asks for text without colours, <https://no-color.org>.
const NO_COLOR_VARIABLE: &str = "NO_COLOR";
/// What is logged where nobody says anything: what Baton does, and what worries others.
/// A filter names a crate's modules by their common beginning.
const FILTER_DEFAULT: &str = "warn,baton=info";

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; in colours on a terminal, unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// How a line is written.
    pub format: Format,
    /// Directives such as `info` or `warn,baton_gateway=debug`. Nothing: those of the
    /// environment variable `BATON_LOG`; without it `info` of Baton and `warn` of others.
    pub filter: Option<String>,
}

/// Keeps telemetry going. Dropping it at the end of the process writes out what is left.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        // Standard error is not buffered by Rust, but may be by whoever replaces it. A
        // failure cannot be reported: this is where it would be.
        let _ = io::stderr().flush();
    }
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter says something that no filter can mean.
    #[error("log filter {filter:?}: expected directives such as info or warn,baton_gateway=debug")]
    Filter {
        /// What it says.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Telemetry is the process's own, so it starts once.
    #[error("telemetry was started twice in one process: start it in main only")]
    Started,
    /// The `OTEL_` variables describe no exporter that there can be.
    #[error("OTEL_EXPORTER_OTLP_…: {0}: correct the variable, or unset it to export nothing")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// Starts logging for the whole process. To be called once, first thing in `main`.
///
/// # Errors
/// A filter that cannot be read, and a second start.
pub fn start(options: LogOptions) -> Result<Guard, TelemetryError> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let filter = filter(options.filter, env(FILTER_VARIABLE))?;
    let colours = env(NO_COLOR_VARIABLE).is_none() && io::stderr().is_terminal();
    let layer = layer(options.format, colours, filter, io::stderr);
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| TelemetryError::Started)?;
    Ok(Guard(()))
}

/// What the caller says, else what the environment says, else the default.
fn filter(given: Option<String>, set: Option<String>) -> Result<EnvFilter, TelemetryError> {
    let filter = given.or(set).unwrap_or_else(|| FILTER_DEFAULT.to_owned());
    let parsed = EnvFilter::builder().parse(&filter);
    parsed.map_err(|source| TelemetryError::Filter { filter, source })
}

fn layer<W>(
    format: Format,
    colours: bool,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        Format::Text => layer.with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written when these things are logged under this filter.
    fn written(format: Format, given: Option<&str>, set: Option<&str>) -> String {
        let page = Page::default();
        let writer = page.clone();
        let filter = filter(given.map(Into::into), set.map(Into::into)).unwrap();
        let layer = layer(format, false, filter, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(target: "baton_gateway::chat", run = "run_1", "run finished");
            tracing::info!(target: "h2", "frame sent");
            tracing::warn!(target: "h2", "peer is slow");
            tracing::debug!(target: "baton_gateway::chat", "body read");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn check(given: Option<&str>, set: Option<&str>, expected: &[&str]) {
        let text = written(Format::Text, given, set);
        for message in ["run finished", "frame sent", "peer is slow", "body read"] {
            let wanted = expected.contains(&message);
            assert_eq!(text.contains(message), wanted, "{message:?} under {given:?} {set:?}");
        }
    }

    #[test]
    fn what_baton_does_is_logged_and_what_worries_others() {
        check(None, None, &["run finished", "peer is slow"]);
        check(None, Some("off"), &[]);
        check(
            Some("warn,baton_gateway=debug"),
            Some("off"),
            &["run finished", "peer is slow", "body read"],
        );
    }

    #[test]
    fn json_is_one_object_a_line_with_facts_as_fields() {
        let text = written(Format::Json, None, None);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["message"], "run finished");
        assert_eq!(lines[0]["run"], "run_1");
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        let error = filter(Some("baton=loud".into()), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "log filter \"baton=loud\": expected directives such as info or warn,baton_gateway=debug"
        );
    }

    #[test]
    fn telemetry_starts_once() {
        let quiet = || LogOptions { filter: Some("off".into()), ..LogOptions::default() };
        let _guard = start(quiet()).unwrap();
        assert!(matches!(start(quiet()), Err(TelemetryError::Started)));
    }
}
