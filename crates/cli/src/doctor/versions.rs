//! Which versions meet here.

use super::{Endpoint, check::Check};
use baton_ledger::EmbeddedLedger;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This program's, and the running endpoint's.
pub(crate) fn baton(endpoint: &Endpoint) -> Check {
    let check = Check::ok("baton");
    let format = EmbeddedLedger::FORMAT;
    let own = format!("{VERSION}, reads ledgers of format {format}");
    let Endpoint::Runs(_, status) = endpoint else { return check.found(own) };
    match status["version"].as_str() {
        Some(VERSION) => check.found(format!("{own}; the endpoint is the same version")),
        Some(other) => check
            .warn(format!("{own}; the endpoint is version {other}"))
            .advise("run the same version of the command and of the endpoint"),
        None => check.warn(format!("{own}; the endpoint does not say its version")),
    }
}

pub(crate) fn kernel() -> Check {
    let system = rustix::system::uname();
    let [name, release, machine] = [system.sysname(), system.release(), system.machine()]
        .map(|text| text.to_string_lossy().into_owned());
    Check::ok("kernel").found(format!("{name} {release} {machine}"))
}
