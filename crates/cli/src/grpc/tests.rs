use super::*;
use baton_proto::{
    Deadline, Dialer, MESSAGE_BYTES_MAX,
    v1::{
        VerifyReply, VerifyRequest,
        verifier_client::VerifierClient,
        verifier_server::{self, Verifier, VerifierServer},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{task::JoinHandle, time::timeout};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// Longest wait for anything here.
const LIMIT: Duration = Duration::from_secs(20);

/// A handler that never answers, and tells when it is given up.
#[derive(Clone, Default)]
struct Endless {
    given_up: Arc<AtomicBool>,
}

struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Verifier for Endless {
    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyReply>, Status> {
        let _given_up = GivenUp(self.given_up.clone());
        std::future::pending().await
    }
}

struct Served {
    channel: Channel,
    given_up: Arc<AtomicBool>,
    unready: CancellationToken,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

fn served() -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let endless = Endless::default();
    let given_up = endless.given_up.clone();
    let service = VerifierServer::new(endless).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (unready, stop) = (CancellationToken::new(), CancellationToken::new());
    let (name, routes) = (verifier_server::SERVICE_NAME, Routes::new(service));
    let tracer = Tracer::off();
    let serving = serve(listener, name, routes, tracer, None, unready.clone(), stop.clone());
    let serving = tokio::spawn(serving);
    let channel = Dialer::default().channel(&address).unwrap();
    Served { channel, given_up, unready, stop, serving }
}

impl Served {
    async fn health(&self, service: &str) -> i32 {
        let request = HealthCheckRequest { service: service.to_owned() };
        let reply = HealthClient::new(self.channel.clone()).check(request).await;
        reply.unwrap().into_inner().status
    }
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let looking = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("waited for {what}"));
}

#[tokio::test]
async fn readiness_is_not_liveness() {
    let served = served();
    let (serving, not_serving) = (1, 2);
    let name = verifier_server::SERVICE_NAME;
    assert_eq!((served.health("").await, served.health(name).await), (serving, serving));
    served.unready.cancel();
    until("it to be unready", async || served.health(name).await == not_serving).await;
    assert_eq!(served.health("").await, serving);
    let unknown = HealthCheckRequest { service: "no.such.Service".into() };
    let unknown = HealthClient::new(served.channel.clone()).check(unknown).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    served.stop.cancel();
    timeout(LIMIT, served.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_server_gives_up_what_the_caller_does_not_wait_for() {
    let served = served();
    let deadline = Deadline(Duration::from_millis(200));
    let mut verifier = VerifierClient::with_interceptor(served.channel.clone(), deadline);
    let late = timeout(LIMIT, verifier.verify(VerifyRequest::default())).await.unwrap();
    let code = late.unwrap_err().code();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&code), "{code:?}");
    let given_up = served.given_up.clone();
    until("the handler to be given up", async || given_up.load(Ordering::SeqCst)).await;
}

/// The deadline travels with the call: the server keeps it whatever the caller does.
#[tokio::test]
async fn the_server_keeps_the_deadline_by_itself() {
    let served = served();
    let mut verifier = VerifierClient::new(served.channel.clone());
    let mut request = Request::new(VerifyRequest::default());
    // Written by hand, so that this side does not keep it.
    request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    let late = timeout(LIMIT, verifier.verify(request)).await.unwrap();
    assert!(late.is_err());
    let given_up = served.given_up.clone();
    until("the handler to be given up", async || given_up.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn messages_have_a_limit() {
    let served = served();
    let mut verifier = VerifierClient::new(served.channel.clone());
    let question = "q".repeat(MESSAGE_BYTES_MAX + 1);
    let request = VerifyRequest { question, ..VerifyRequest::default() };
    let refused = timeout(LIMIT, verifier.verify(request)).await.unwrap();
    let code = refused.unwrap_err().code();
    assert!([Code::OutOfRange, Code::ResourceExhausted].contains(&code), "{code:?}");
}

#[tokio::test]
async fn services_can_be_listed() {
    let served = served();
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(served.channel.clone());
    let replies = client.server_reflection_info(futures::stream::iter([request])).await;
    let reply = replies.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in [verifier_server::SERVICE_NAME, "grpc.health.v1.Health"] {
        assert!(names.iter().any(|listed| listed == name), "no {name} in {names:?}");
    }
}

/// Whoever watches would stay for ever, and nothing new is taken meanwhile.
#[tokio::test]
async fn watchers_do_not_keep_a_server_from_stopping() {
    let served = served();
    let request = HealthCheckRequest { service: String::new() };
    let watched = HealthClient::new(served.channel.clone()).watch(request).await.unwrap();
    served.stop.cancel();
    timeout(LIMIT, served.serving).await.unwrap().unwrap().unwrap();
    drop(watched);
}
