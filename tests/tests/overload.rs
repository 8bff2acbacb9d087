//! Ten times as much as can be done, by `baton bench overload`: what was taken is done, and
//! the rest is refused at once. How much is done is for the benchmark to say, on a machine
//! that has nothing else to do.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::baton::command;
use serde_json::Value;

#[test]
fn what_is_taken_is_done_and_the_rest_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let load = ["--seconds", "3", "--concurrency", "3", "--runs-max", "12", "--rounds", "1"];
    let mut command = command(["bench", "overload", "--output", "json"]).unwrap();
    let ended = command.args(load).arg("--folder").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let table: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let figure = |what: &str| {
        let row = table["rows"].as_array().unwrap().iter().find(|row| row["what"] == what);
        row.unwrap_or_else(|| panic!("no row {what:?} in {table}"))["median"].as_f64().unwrap()
    };
    assert_eq!(figure("answered otherwise"), 0.0, "{said} {table}");
    assert_eq!(figure("in the ledger and not answered"), 0.0, "{table}");
    assert!(figure("whole runs meanwhile") > 0.0, "{table}");
    assert!(figure("refused with 429 and Retry-After") > 50.0, "{table}");
    // Coarse: other tests share the machine.
    assert!(figure("latency of refusals, p50") < 1_000.0, "{table}");
}
