//! Sandboxes for tests.

use baton_sandbox::{Config, Level, Sandbox};

pub(crate) fn config(level: Level) -> Config {
    Config {
        at_least: level,
        at_most: level,
        launcher: Some(env!("CARGO_BIN_EXE_baton-sandbox-host").into()),
        ..Config::default()
    }
}

pub(crate) async fn sandbox(level: Level) -> Sandbox {
    Sandbox::probe(config(level)).await.unwrap()
}
