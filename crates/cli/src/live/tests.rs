//! A process that follows what its cluster shares, on a real etcd.

use super::*;
use baton_ledger::EmbeddedLedger;
use baton_provider::RetryPolicy;
use baton_registry_etcd::{ConfigStore, EtcdOptions, EtcdRegistry, PushError};
use baton_telemetry::Metrics;
use baton_testkit::etcd::EtcdServer;
use std::time::Duration;
use tokio::time::timeout;

/// How long a change may take.
const SEEN: Duration = Duration::from_secs(30);

#[test]
fn tenants_of_whom_nothing_is_said_have_the_ledgers_defaults() {
    let TenantSettings { weight, leased_max, runs_max, .. } = TenantSettings::default();
    assert_eq!(TenantTerms { weight, leased_max, runs_max }, TenantTerms::default());
}

/// A configuration with this many steps, and this line in its provider.
fn text(steps_max: u32, provider: &str) -> String {
    format!(
        "[providers.p]\nbase_url = \"http://127.0.0.1:9/v1\"\n{provider}\n\n[[agents]]\n\
         id = \"a\"\nprovider = \"p\"\nmodel = \"m\"\nprice = {{ input = 1, output = 1 }}\n\
         context_tokens = 8000\noutput_tokens = 4000\n\n[limits]\nsteps_max = {steps_max}\n"
    )
}

#[tokio::test]
async fn what_is_pushed_comes_into_force_and_what_cannot_be_used_here_does_not() {
    // Whoever else installed it did the same.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let server = EtcdServer::start().await.unwrap();
    let options = EtcdOptions::new(&server.url());
    let store = ConfigStore::connect(options.clone()).await.unwrap();
    store.push(&text(3, ""), "a test", "", None).await.unwrap();

    let opened = EtcdRegistry::open(options).await.unwrap();
    let settings = crate::settings::InForce::of(opened.document().unwrap()).unwrap().settings;
    let (registry, keeper) = opened.with(settings.clone(), &Metrics::default());
    let registry: Arc<dyn Registry> = Arc::new(registry);
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(keeper.run(stop.clone()));
    let connections = Connections::default().of(&settings).unwrap();
    let caller = Caller::new(connections.providers(&connections), RetryPolicy::default());
    let ledger = EmbeddedLedger::in_memory().unwrap();
    let mut live = Live {
        pool: PoolArgs::default(),
        overrides: Overrides::default(),
        simulated: None,
        secrets: Secrets::of(&settings),
        connections,
        caller,
        registry: registry.clone(),
        ledger: Arc::new(ledger),
    };
    let stopped = stop.clone();
    let following = tokio::spawn(async move { live.run(stopped).await });
    let mut watched = registry.watch();

    store.push(&text(4, ""), "a test", "", None).await.unwrap();
    let is = |configuration: &Arc<baton_registry::Configuration>| configuration.version == 2;
    timeout(SEEN, watched.wait_for(is)).await.unwrap().unwrap();
    assert_eq!(registry.settings().limits.steps_max, 4);

    // Nobody who pushes can know which keys are set here.
    let foreign = text(5, "key_env = \"A_KEY_THAT_IS_NOT_SET_HERE\"");
    let pushed = store.push(&foreign, "a test", "", None).await.unwrap();
    let refused =
        |configuration: &Arc<baton_registry::Configuration>| configuration.refusal.is_some();
    timeout(SEEN, watched.wait_for(refused)).await.unwrap().unwrap();
    let configuration = registry.configuration();
    let refusal = configuration.refusal.clone().unwrap();
    assert_eq!(refusal.source, pushed.source());
    assert_eq!(refusal.complaints[0].line, Some(3), "{refusal:?}");
    assert!(refusal.complaints[0].reason.contains("A_KEY_THAT_IS_NOT_SET_HERE"));
    assert_eq!((configuration.version, configuration.settings.limits.steps_max), (2, 4));

    // What nobody can use is not even written.
    let wrong = store.push(&text(99, ""), "a test", "", None).await;
    assert!(matches!(wrong, Err(PushError::Faults(_))), "{wrong:?}");
    store.rollback(1, "a test", "", Some(3)).await.unwrap();
    let is = |configuration: &Arc<baton_registry::Configuration>| configuration.version == 3;
    timeout(SEEN, watched.wait_for(is)).await.unwrap().unwrap();
    let configuration = registry.configuration();
    assert_eq!((configuration.settings.limits.steps_max, &configuration.refusal), (3, &None));

    stop.cancel();
    timeout(SEEN, following).await.unwrap().unwrap().unwrap();
    timeout(SEEN, keeper).await.unwrap().unwrap();
}
