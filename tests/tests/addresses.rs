//! `baton serve` with addresses at which something else is, or nothing: it ends at once, and
//! says what was wrong and what to do.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::{baton::command, stores::LocalStores};
use baton_tests::ended;

/// Nobody listens on the port for discarding what is sent.
const NOBODY: &str = "127.0.0.1:9";

#[test]
fn a_wrong_address_of_a_store_is_named() {
    let stores = LocalStores::start().unwrap();
    let (redis, etcd) = (stores.redis().to_string(), stores.etcd_url());
    let swapped = etcd.strip_prefix("http://").unwrap();
    let check = |redis: &str, etcd: &str, code: i32, words: &[&str]| {
        for service in ["gateway", "conductor", "worker-agent", "verifier"] {
            let args = ["serve", service, "--sim", "http://127.0.0.1:9/v1", "--simulated"];
            let mut command = command(args).unwrap();
            command.args(["--redis", redis, "--etcd", etcd, "--listen", "127.0.0.1:0"]);
            let ended = ended(command, "");
            assert_eq!(ended.code, Some(code), "{ended:?}");
            for words in words {
                assert!(ended.stderr.contains(words), "no {words:?} in {ended:?}");
            }
        }
    };
    let real = format!("redis://{redis}");
    let redis_hint = "does Redis run at redis://127.0.0.1:9, as --redis says?";
    check(&format!("redis://{NOBODY}"), &etcd, 1, &[redis_hint, "baton explain ledger_unusable"]);
    check(&format!("redis://{swapped}"), &etcd, 1, &["baton explain ledger_unusable"]);
    check("127.0.0.1", &etcd, 1, &["redis://HOST:PORT", "baton explain ledger_unusable"]);
    check(
        &real,
        &format!("http://{NOBODY}"),
        1,
        &[NOBODY, "refused", "baton explain registry_unavailable"],
    );
    check(&real, &format!("http://{redis}"), 1, &[&redis, "baton explain registry_"]);
    check(&real, "localhost:2379", 1, &["localhost:2379 is no endpoint", "registry_unusable"]);
}
