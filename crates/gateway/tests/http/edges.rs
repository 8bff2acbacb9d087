use crate::client::{error_of, world, world_of};
use baton_gateway::Gateway;
use baton_proto::v1::ErrorDetail;
use baton_registry::{
    Auth, Complaint, Configuration, InProcess, KeySettings, Kind, Member, Members, Refusal,
    Registry, RegistryError, SecretRef, Settings,
};
use baton_workflow::TenantId;
use serde_json::{Value, json};
use std::sync::Arc;
use tonic::Code;

#[tokio::test]
async fn wrong_requests_get_the_envelope() {
    let world = world().await;
    let check = async |request: reqwest::RequestBuilder, status: u16, code: &str| {
        let told = error_of(request.send().await.unwrap()).await;
        assert_eq!((told.0, told.1.as_str()), (status, code));
    };
    let chat = "/v1/chat/completions";
    check(world.get("/v2/nothing"), 404, "unknown_url").await;
    check(world.get(chat), 405, "method_not_allowed").await;
    check(world.post(chat).body("{\"model\": }"), 400, "invalid_json").await;
    check(world.post(chat).body(vec![b'"', 0xff, b'"']), 400, "invalid_utf8").await;
    check(world.post(chat).body("a".repeat(10_000_000)), 413, "body_too_large").await;
    check(world.chat(json!({"model": "gpt-9"})), 404, "model_not_found").await;
    check(world.chat(json!({"messages": []})), 400, "invalid_value").await;
    check(world.chat(json!({"tools": [{}]})), 400, "unsupported_parameter").await;
    check(world.chat(json!({"baton": {"budget": {"usd": 0}}})), 400, "invalid_value").await;
    assert_eq!(world.peer.with(|state| state.submits.len()), 0);
}

#[tokio::test]
async fn models_are_listed_and_shown() {
    let world = world().await;
    let list: Value = world.get("/v1/models").send().await.unwrap().json().await.unwrap();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["baton", "baton-ultra", "baton/direct", "baton/debate", "small"]);
    let one = world.get("/v1/models/baton/debate").send().await.unwrap();
    assert_eq!(one.json::<Value>().await.unwrap()["object"], "model");
    let none = world.get("/v1/models/gpt-9").send().await.unwrap();
    assert_eq!(error_of(none).await.1, "model_not_found");
}

#[tokio::test]
async fn a_key_is_asked_for_where_keys_are_configured() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "sk-1\n").unwrap();
    let mut settings = crate::sample::settings(&["small"]);
    let key = SecretRef::File(path);
    settings.auth = Auth::Keys(vec![KeySettings {
        key,
        tenant: TenantId::new("ann").unwrap(),
        operator: false,
    }]);
    let world = world_of(settings).await;
    world.peer.end("four");
    let (status, code, _) = error_of(world.chat(json!({})).send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (401, "invalid_api_key"));
    let response = world.chat(json!({})).bearer_auth("sk-1").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(world.peer.with(|state| state.submits[0].0.tenant.clone()), "ann");
    // Probes have no key.
    assert_eq!(world.get("/readyz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn keys_and_models_follow_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let key = |name: &str, tenant: &str, operator: bool| {
        let path = dir.path().join(name);
        std::fs::write(&path, name).unwrap();
        KeySettings { key: SecretRef::File(path), tenant: TenantId::new(tenant).unwrap(), operator }
    };
    let with = |agent: &str, keys: Vec<KeySettings>| {
        let mut settings = crate::sample::settings(&[agent]);
        settings.auth = Auth::Keys(keys);
        settings
    };
    let before = with("small", vec![key("sk-1", "ann", false), key("sk-2", "ops", true)]);
    let registry = Arc::new(InProcess::new(before));
    let (http, url) = serve(registry.clone()).await;
    let get = async |path: &str, key: &str| {
        let response = http.get(format!("{url}{path}")).bearer_auth(key).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let (status, refused) = get("/v1/config", "sk-1").await;
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("operator_only")));
    let (status, shown) = get("/v1/config", "sk-2").await;
    assert_eq!((status, &shown["version"], &shown["refusal"]), (200, &json!(1), &Value::Null));
    assert_eq!(shown["settings"]["agents"][0]["id"], "small");
    assert_eq!(shown["settings"]["keys"][1]["tenant"], "ops");

    registry.accept(with("large", vec![key("sk-3", "ann", true)]), Vec::new());
    assert_eq!(get("/v1/models", "sk-1").await.0, 401, "a key that is no more opens nothing");
    let models = get("/v1/models/large", "sk-3").await;
    assert_eq!((models.0, &models.1["id"]), (200, &json!("large")));
    let complaint = Complaint { line: Some(3), column: Some(1), reason: "no".into() };
    registry.refuse(Some(Refusal::now("baton.toml", vec![complaint])));
    let shown = get("/v1/config", "sk-3").await.1;
    assert_eq!(
        (&shown["version"], &shown["refusal"]["complaints"][0]["line"]),
        (&json!(2), &json!(3))
    );
    let health = http.get(format!("{url}/healthz")).send().await.unwrap().json::<Value>().await;
    let expected = json!({ "version": 2, "refused": true, "restart_needed": false });
    assert_eq!(health.unwrap()["configuration"], expected);
}

#[tokio::test]
async fn a_conductors_refusal_reaches_the_client() {
    let world = world().await;
    let refuse = |code, name: &str, param: Option<&str>, retry_after_ms| {
        let detail =
            ErrorDetail { code: name.into(), param: param.map(Into::into), retry_after_ms };
        let refusal = baton_proto::status(code, "no", detail);
        world.peer.with(|state| state.refusal = Some(refusal));
        world.chat(json!({})).send()
    };
    let refused =
        refuse(Code::InvalidArgument, "no_agent_left", Some("baton.deny"), None).await.unwrap();
    let (status, code, headers) = error_of(refused).await;
    assert_eq!((status, code.as_str()), (400, "no_agent_left"));
    assert_eq!(headers["x-should-retry"], "false");
    // A name of another version: what the status says is true all the same.
    let refused = refuse(Code::ResourceExhausted, "too_many_runs", None, Some(2500)).await.unwrap();
    let (status, code, headers) = error_of(refused).await;
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(
        (&headers["retry-after"], &headers["retry-after-ms"]),
        (&"3".parse().unwrap(), &"2500".parse().unwrap())
    );
}

/// A registry with a defect.
struct Defective(InProcess);

#[async_trait::async_trait]
impl Registry for Defective {
    async fn announce(&self, member: Member) -> Result<(), RegistryError> {
        self.0.announce(member).await
    }

    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError> {
        self.0.withdraw(holder).await
    }

    fn set_load(&self, holder: &str, load: u32) {
        self.0.set_load(holder, load);
    }

    fn watch_members(&self) -> tokio::sync::watch::Receiver<Arc<Members>> {
        self.0.watch_members()
    }

    fn members(&self, _kind: Kind) -> Vec<Member> {
        panic!("a defect")
    }

    fn configuration(&self) -> Arc<Configuration> {
        self.0.configuration()
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Configuration>> {
        self.0.watch()
    }

    fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        self.0.accept(settings, restart)
    }

    fn refuse(&self, refusal: Option<Refusal>) {
        self.0.refuse(refusal);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_too() {
    let registry = Defective(InProcess::new(crate::sample::settings(&["small"])));
    let (http, url) = serve(Arc::new(registry)).await;
    let (status, code, _) =
        error_of(http.get(format!("{url}/v1/runs")).send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (500, "internal_error"));
    assert_eq!(http.get(format!("{url}/healthz")).send().await.unwrap().status(), 200);
}

/// A gateway alone.
async fn serve(registry: Arc<dyn Registry>) -> (reqwest::Client, String) {
    // The second test finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(Gateway::new(registry, &[]).unwrap().serve(listener, stop));
    (reqwest::Client::new(), url)
}

#[tokio::test]
async fn without_a_conductor_the_gateway_is_alive_but_not_ready() {
    let registry = Arc::new(InProcess::new(crate::sample::settings(&["small"])));
    let (http, url) = serve(registry).await;
    assert_eq!(http.get(format!("{url}/healthz")).send().await.unwrap().status(), 200);
    let ready = http.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(error_of(ready).await.0, 503);
    let body = json!({"model": "baton", "messages": [{"role": "user", "content": "?"}]});
    let chat = http.post(format!("{url}/v1/chat/completions")).json(&body).send().await.unwrap();
    let (status, _, headers) = error_of(chat).await;
    assert_eq!(status, 503);
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_tenant_sees_its_own_status_and_everybody_sees_everything() {
    let world = world().await;
    let status: Value = world.get("/v1/status?runs=7").send().await.unwrap().json().await.unwrap();
    assert_eq!((&status["object"], &status["all"]), (&json!("baton.status"), &json!(true)));
    assert_eq!(status["queues"][0]["runs"], 7);
    assert_eq!(status["agents"][0]["calls"], 9);
    assert_eq!(status["workers"], json!({ "answered": 1, "known": 1 }));
    let wrong = world.get("/v1/status?runs=101").send().await.unwrap();
    assert_eq!(error_of(wrong).await.1, "invalid_value");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "sk-1").unwrap();
    let mut settings = crate::sample::settings(&["small"]);
    let key = SecretRef::File(path);
    let tenant = TenantId::new("ann").unwrap();
    settings.auth = Auth::Keys(vec![KeySettings { key, tenant, operator: false }]);
    let world = world_of(settings).await;
    assert_eq!(world.get("/v1/status").send().await.unwrap().status(), 401);
    let status = world.get("/v1/status").bearer_auth("sk-1").send().await.unwrap();
    let status: Value = status.json().await.unwrap();
    assert_eq!((&status["all"], &status["queues"][0]["tenant"]), (&json!(false), &json!("ann")));
    assert_eq!(status["agents"][0]["calls"], 1);
}
