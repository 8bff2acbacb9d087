//! What goes to a terminal: colours only where there is one, logs beside.

use crate::{
    args::{Args, Command, LogFormat},
    exit::Failure,
};
use anstyle::{AnsiColor, Reset, Style};

pub(crate) const PLAIN: Reset = Reset;
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// Logs of servers say what happens; logs of clients only what goes wrong.
pub(crate) fn start_logs(args: &Args) -> Result<baton_telemetry::Guard, Failure> {
    let server = matches!(args.command, Command::Up(_) | Command::Serve(_) | Command::Sim(_));
    let format = match args.log_format {
        LogFormat::Text => baton_telemetry::Format::Text,
        LogFormat::Json => baton_telemetry::Format::Json,
    };
    let filter = if server { None } else { Some("error".to_owned()) };
    let filter = std::env::var("BATON_LOG").ok().or(filter);
    let options = baton_telemetry::LogOptions { format, filter };
    baton_telemetry::start(options).map_err(|error| Failure::usage(error.to_string()))
}

/// Dollars as people read them: never so rounded that something costs nothing.
pub(crate) fn dollars(usd: f64) -> String {
    if usd == 0.0 {
        "$0".into()
    } else if usd < 0.0001 {
        format!("${usd:.7}")
    } else {
        format!("${usd:.5}")
    }
}
