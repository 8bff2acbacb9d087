//! The rules of ARCHITECTURE.md hold, and the checker sees when they do not.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_tests::architecture::{Crate, faults, lock_faults};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn workspace() -> Vec<Crate> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let folders = crates.map(|entry| entry.unwrap().path());
    let folders = folders.filter(|folder| folder.join("Cargo.toml").exists());
    folders.chain([root().join("tests")]).map(|folder| Crate::read(&folder)).collect()
}

#[test]
fn every_crate_keeps_to_the_rules() {
    let crates = workspace();
    assert!(crates.len() >= 20, "only {} crates were found", crates.len());
    assert_eq!(faults(&crates), Vec::<String>::new());
}

#[test]
fn the_lockfile_has_one_copy_of_what_meets_and_no_native_tls() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert_eq!(lock_faults(&lock), Vec::<String>::new());
}

/// A made-up crate against the faults that the checker finds with it.
fn check(name: &str, manifest: &str, source: &str, expected: &str) {
    let mut made_up = Crate::of(&format!("[package]\nname = \"baton-{name}\"\n{manifest}"));
    made_up.sources.push(("lib.rs".into(), source.into()));
    assert_eq!(faults(&[made_up]).join("\n"), expected);
}

fn depends(name: &str, other: &str, expected: &str) {
    check(name, &format!("[dependencies]\n{other}.workspace = true"), "", expected);
}

#[test]
fn the_checker_sees_an_upward_dependency() {
    depends("ledger", "baton-gateway", "ledger depends on gateway, which is not in a lower layer");
    depends("workflow", "baton-cli", "workflow depends on cli, which is not in a lower layer");
    depends("gateway", "baton-ledger", "");
    depends("registry", "baton-planner", "");
}

#[test]
fn the_checker_sees_a_sideways_dependency() {
    depends("engine", "baton-planner", "engine depends on planner, which is not in a lower layer");
    depends(
        "gateway",
        "baton-conductor",
        "gateway depends on conductor, which is not in a lower layer",
    );
}

#[test]
fn the_checker_sees_through_other_sections_and_names() {
    let upward = "provider depends on sim, which is not in a lower layer";
    check(
        "provider",
        "[dependencies.pool]\npackage = \"baton-sim\"\npath = \"../sim\"",
        "",
        upward,
    );
    check("provider", "[build-dependencies]\nbaton-sim = \"1\"", "", upward);
    check("provider", "[target.'cfg(unix)'.dependencies]\nbaton-sim = \"1\"", "", upward);
}

#[test]
fn the_checker_sees_tests_that_reach_up_and_code_that_uses_the_testkit() {
    let dev = |other: &str| format!("[dev-dependencies]\n{other}.workspace = true");
    check("ledger", &dev("baton-testkit"), "", "");
    check("ledger", &dev("baton-ledger"), "", "");
    check("sim", &dev("baton-provider-http"), "", "");
    let upward = "ledger's tests use sim, which is not in a lower layer";
    check("ledger", &dev("baton-sim"), "", upward);
    let testkit = "ledger depends on testkit, which is not in a lower layer";
    depends("ledger", "baton-testkit", testkit);
    depends("tests", "baton-testkit", "");
}

#[test]
fn the_checker_sees_a_crate_without_a_layer() {
    let expected = "utils has no layer: give it one in ARCHITECTURE.md and here";
    check("utils", "", "", expected);
}

#[test]
fn the_checker_sees_impurity() {
    depends("engine", "tokio", "engine is pure, and depends on tokio");
    depends("planner", "tokio-util", "planner is pure, and depends on tokio-util");
    depends("workflow", "futures-core", "workflow is pure, and depends on futures-core");
    depends("workflow", "async-trait", "workflow is pure, and depends on async-trait");
    depends("workflow", "chrono", "workflow is pure, and depends on chrono");
    depends("workflow", "rand", "workflow is pure, and depends on rand");
    depends("workflow", "thiserror", "");
    check(
        "engine",
        "[dev-dependencies]\ntokio = \"1\"",
        "",
        "engine is pure, and depends on tokio",
    );
    let word = |source: &str, word: &str| {
        check("engine", "", source, &format!("lib.rs:2: engine is pure: {word}"));
    };
    word("\nlet now = Instant::now();", "Instant::now");
    word("\nuse std::time::SystemTime;", "SystemTime");
    word("\nasync fn decide() {}", "async fn");
    word("\nlet x = later.await;", ".await");
    word("\nlet x = self.awaits || later.await?;", ".await");
    check("engine", "", "let x = self.awaits && run.awaited();", "");
    word("\nuse std::fs;", "std::fs");
    word("\nstd::env::var(\"X\")", "std::env");
    check("engine", "", "//! No tokio here.\n/// nor `std::fs`\nlet x = 1; // tokio", "");
    check("gateway", "", "use tokio::net;", "");
}

#[test]
fn the_checker_sees_a_vendor_outside_its_door() {
    let outside = |name: &str, vendor: &str, keepers: &str| {
        let expected = format!("{name} depends on {vendor}, which {keepers} alone may name");
        depends(name, vendor, &expected);
    };
    outside("conductor", "redis", "ledger-redis");
    outside("registry-etcd", "etcd-client", "nobody");
    outside("worker-agent", "prost", "proto, registry-etcd, testkit");
    outside("worker-agent", "prost-types", "proto, registry-etcd, testkit");
    outside("cli", "tonic-prost", "proto, registry-etcd");
    outside("cli", "opentelemetry_sdk", "telemetry, testkit");
    outside("cli", "tracing-subscriber", "telemetry");
    outside("cli", "reqwest", "provider-http");
    outside("conductor", "redb", "ledger");
    outside("verifier", "landlock", "sandbox");
    outside("verifier", "seccompiler", "sandbox");
    outside("conductor", "axum", "cli, gateway, sim, telemetry");
    outside("gateway", "hyper-util", "nobody");
    for (name, vendor) in [
        ("ledger-redis", "redis"),
        ("proto", "prost"),
        ("registry-etcd", "prost"),
        ("provider-http", "reqwest"),
        ("gateway", "tonic"),
        ("cli", "tracing"),
    ] {
        depends(name, vendor, "");
    }
}

#[test]
fn the_checker_sees_a_second_copy_and_native_code() {
    let package = |name: &str, version: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
    };
    let one_each = ["hyper", "prost", "rustls", "tonic"].map(|name| package(name, "1.0.0"));
    assert!(lock_faults(&one_each.concat()).is_empty());
    let two = one_each.concat() + &package("prost", "0.13.0");
    assert_eq!(
        lock_faults(&two),
        ["prost is there in versions [1.0.0, 0.13.0]: expected exactly one"]
    );
    let native = one_each.concat() + &package("openssl-sys", "0.9.0");
    assert_eq!(
        lock_faults(&native),
        ["openssl-sys is there: everything is Rust, with ring underneath"]
    );
    assert_eq!(lock_faults(&one_each[1..].concat()).len(), 1);
}
