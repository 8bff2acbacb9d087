//! Whether a verifier could run programs here.

use super::check::Check;
use baton_registry::SandboxSettings;
use baton_verifier::{NoSandbox, try_sandbox};

pub(crate) async fn check(settings: &SandboxSettings) -> Check {
    let check = Check::ok("sandbox");
    match try_sandbox(settings).await {
        Ok(sandbox) => {
            let found = sandbox.isolation();
            check.found(format!(
                "level {}: {} attempts to escape failed; Landlock {}, kernel {}, {}",
                found.level.name(),
                found.battery_held,
                found.landlock_abi,
                found.kernel,
                found.python
            ))
        }
        Err(NoSandbox::Missing(what)) => check.warn(format!("no program is run here: {what}")).advise(
            "see `baton explain sandbox_unavailable`, if checks are to run programs on this machine",
        ),
        Err(NoSandbox::Escaped(what)) => {
            check.fail(what.to_string()).advise("run no verifier here, and tell Baton's maintainers")
        }
    }
}
