//! What opening a ledger's file can meet.
#![allow(clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{EmbeddedLedger, Ledger, LedgerError, TenantTerms};
use baton_workflow::TenantId;
use std::path::Path;

fn refused(path: &Path, word: &str) {
    match EmbeddedLedger::open(path) {
        Err(LedgerError::Unusable(why)) => assert!(why.contains(word), "{why}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_file_is_open_once_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let first = EmbeddedLedger::open(&path).unwrap();
    refused(&path, "in use by another process");
    first.close().await;
    let tenant = TenantId::new("t").unwrap();
    let late = first.set_tenant(&tenant, TenantTerms::default()).await;
    assert!(matches!(late, Err(LedgerError::Unavailable(_))), "{late:?}");
    EmbeddedLedger::open(&path).unwrap().close().await;
}

#[test]
fn what_is_no_ledger_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let text = "this is somebody's letter, and long enough for a header. ".repeat(200);
    std::fs::write(&path, &text).unwrap();
    refused(&path, "no ledger or is corrupt");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    refused(&folder.path().join("missing/ledger"), "cannot be opened");
}

#[tokio::test]
async fn damage_in_an_earlier_log_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    EmbeddedLedger::open(&path).unwrap().close().await;
    std::fs::write(folder.path().join("ledger.log-7"), "torn").unwrap();
    std::fs::write(folder.path().join("ledger.log-8"), "").unwrap();
    refused(&path, "corrupt");
    std::fs::remove_file(folder.path().join("ledger.log-8")).unwrap();
    EmbeddedLedger::open(&path).unwrap().close().await;
}
