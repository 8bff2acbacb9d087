//! The shared configuration: compare-and-swap, history, and what is refused.

use crate::support::{Somebody, Started, options, until};
use baton_registry::{Registry, RegistryError};
use baton_registry_etcd::{ConfigStore, HISTORY_MAX, PushError, TEXT_BYTES_MAX};
use baton_testkit::etcd::EtcdServer;

/// A configuration that differs from others by this number.
pub(crate) fn text(steps_max: u64) -> String {
    format!(
        r#"[providers.openai]
base_url = "https://api.openai.com/v1"
key_env = "A_KEY_THAT_IS_SET_WHERE_THE_SERVICES_ARE"

[[agents]]
id = "gpt"
provider = "openai"
model = "gpt-5-mini"
price = {{ input = 0.25, output = 2.0 }}
context_tokens = 128000
output_tokens = 16384

[limits]
steps_max = {steps_max}
"#
    )
}

async fn world() -> (Started, ConfigStore) {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let started = Started::new(options.clone()).await;
    (started, ConfigStore::connect(options).await.unwrap())
}

async fn sees(started: &Started, revision: u64) {
    let documents = started.documents().unwrap();
    let is = || documents.borrow().as_ref().is_some_and(|found| found.revision == revision);
    until("the revision", is).await;
}

#[tokio::test]
async fn a_pushed_configuration_reaches_everybody_with_who_and_why() {
    let (started, store) = world().await;
    assert_eq!(store.current().await.unwrap(), None);
    assert!(started.documents().unwrap().borrow().is_none());
    let pushed = store.push(&text(3), "ada", "the first", Some(0)).await.unwrap();
    assert_eq!((pushed.revision, pushed.author.as_str()), (1, "ada"));
    sees(&started, 1).await;
    let seen = started.documents().unwrap().borrow().clone().unwrap();
    assert_eq!(*seen, pushed);
    assert_eq!(store.current().await.unwrap(), Some(pushed.clone()));

    let second = store.push(&text(4), "bob", "", None).await.unwrap();
    assert_eq!(second.revision, 2);
    sees(&started, 2).await;
    assert_eq!(store.history().await.unwrap(), [second, pushed]);

    let back = store.rollback(1, "eve", "", Some(2)).await.unwrap();
    assert_eq!((back.revision, back.comment.as_str()), (3, "back to revision 1"));
    assert_eq!(back.text, text(3));
    sees(&started, 3).await;
    let missing = store.rollback(9, "eve", "", None).await;
    assert!(matches!(missing, Err(PushError::NoSuchRevision(9))), "{missing:?}");
}

#[tokio::test]
async fn of_many_who_push_on_top_of_the_same_revision_one_succeeds() {
    let (started, store) = world().await;
    store.push(&text(1), "first", "", None).await.unwrap();
    let texts: Vec<_> = (2..10).map(text).collect();
    let store = &store;
    let push = |number: usize| store.push(&texts[number], "racer", "", Some(1));
    let (a, b, c, d, e, f, g, h) =
        tokio::join!(push(0), push(1), push(2), push(3), push(4), push(5), push(6), push(7));
    let results = [a, b, c, d, e, f, g, h];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for result in &results {
        match result {
            Ok(document) => assert_eq!(document.revision, 2),
            Err(PushError::Conflict { expected: 1, current: 2 }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    sees(&started, 2).await;
    assert_eq!(store.history().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_its_lines_and_nothing_is_written() {
    let (started, store) = world().await;
    store.push(&text(3), "ada", "", None).await.unwrap();
    let bad = text(3).replace("steps_max = 3", "steps_max = \"many\"\nrounds = 1");
    let refused = store.push(&bad, "ada", "", None).await;
    let Err(PushError::Faults(faults)) = refused else { panic!("{refused:?}") };
    let lines: Vec<_> = faults.complaints().iter().map(|complaint| complaint.line).collect();
    assert_eq!(lines, [Some(14), Some(15)], "{faults}");
    let relative = text(3).replace("key_env", "key_file");
    let refused = store.push(&relative, "ada", "", None).await;
    assert!(refused.unwrap_err().to_string().contains("expected a full path"));
    let long = format!("{}\n# {}", text(3), "x".repeat(TEXT_BYTES_MAX));
    let refused = store.push(&long, "ada", "", None).await;
    assert!(refused.unwrap_err().to_string().contains("expected at most"));
    assert_eq!(store.current().await.unwrap().unwrap().revision, 1);
    sees(&started, 1).await;
}

#[tokio::test]
async fn what_somebody_else_writes_there_is_refused_by_every_process() {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let started = Started::new(options.clone()).await;
    let store = ConfigStore::connect(options.clone()).await.unwrap();
    store.push(&text(3), "ada", "", None).await.unwrap();
    sees(&started, 1).await;
    let before = started.configuration();
    let mut somebody = Somebody::at(&server.url()).await;
    somebody.put(&format!("/baton/{}/config/current", options.cluster), "steps_max = 9").await;
    until("the refusal", || started.configuration().refusal.is_some()).await;
    let refusal = started.configuration().refusal.clone().unwrap();
    assert!(refusal.complaints[0].reason.contains("not ours"), "{refusal:?}");
    assert_eq!(started.configuration().settings, before.settings);
    assert_eq!(started.documents().unwrap().borrow().as_ref().unwrap().revision, 1);
    let refused = store.push(&text(4), "ada", "", None).await;
    assert!(matches!(refused, Err(PushError::Registry(RegistryError::Unusable(_)))));
}

#[tokio::test]
async fn history_is_bounded_and_the_oldest_go() {
    let (_started, store) = world().await;
    for number in 1..=HISTORY_MAX + 2 {
        store.push(&text(number % 9 + 1), "ada", "", Some(number - 1)).await.unwrap();
    }
    let kept: Vec<_> = store.history().await.unwrap().iter().map(|d| d.revision).collect();
    assert_eq!(kept.len() as u64, HISTORY_MAX);
    assert_eq!((kept.first(), kept.last()), (Some(&(HISTORY_MAX + 2)), Some(&3)));
    assert!(matches!(store.revision(2).await, Err(PushError::NoSuchRevision(2))));
}
