//! A process that has the launcher in it, for this crate's tests.

use baton_sandbox::launched;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = launched() {
        return code;
    }
    ExitCode::FAILURE
}
