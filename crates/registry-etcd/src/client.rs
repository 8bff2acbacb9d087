//! One connection to one member of etcd.

use crate::{
    keys::end_of,
    options::EtcdOptions,
    wire::{
        AuthenticateRequest, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest,
        LeaseKeepAliveResponse, LeaseRevokeRequest, RangeRequest, RequestOp, StatusRequest,
        TxnRequest, TxnResponse, WatchRequest, WatchResponse, auth_client::AuthClient,
        kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient,
        request_op::Request as Op, watch_client::WatchClient,
    },
    words,
};
use baton_registry::RegistryError;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// Bytes of a message: all members, with the agents they host.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests of a stream that wait to be sent.
const STREAM_REQUESTS_MAX: usize = 8;

type Told = InterceptedService<Channel, Metadata>;

/// One connection to one member of etcd.
#[derive(Clone)]
pub(crate) struct Client {
    endpoint: String,
    options: Arc<EtcdOptions>,
    channel: Channel,
    metadata: Metadata,
}

/// What goes with every call: who we are, and that a member without a leader is of no use.
#[derive(Clone, Default)]
struct Metadata {
    token: Arc<Mutex<Option<MetadataValue<Ascii>>>>,
}

impl Interceptor for Metadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request.metadata_mut().insert("token", token);
        }
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        Ok(request)
    }
}

/// A stream of answers, and where its questions go in.
pub(crate) struct Stream<Q, A> {
    pub(crate) questions: mpsc::Sender<Q>,
    pub(crate) answers: Streaming<A>,
}

impl Client {
    /// Connects to the first endpoint that can be used, beginning at the given one. Gives
    /// its number as well.
    ///
    /// # Errors
    /// What is wrong with each; unusable if one of them is, because that does not pass.
    pub(crate) async fn connect(
        options: &Arc<EtcdOptions>,
        first: usize,
    ) -> Result<(Self, usize), RegistryError> {
        options.check()?;
        let number = options.endpoints.len();
        let mut failures = Vec::new();
        for turn in 0..number {
            let place = first.wrapping_add(turn) % number;
            let Some(endpoint) = options.endpoints.get(place) else { continue };
            match Self::to(endpoint, options).await {
                Ok(client) => return Ok((client, place)),
                Err(failure) => failures.push(failure),
            }
        }
        let unusable = failures.iter().find(|failure| !failure.is_retryable()).cloned();
        Err(unusable.unwrap_or_else(|| RegistryError::Unavailable(joined(&failures))))
    }

    async fn to(endpoint: &str, options: &Arc<EtcdOptions>) -> Result<Self, RegistryError> {
        let timing = options.timing;
        let failed = |error| words::of_transport(&error, endpoint, "");
        let mut transport = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|error| {
                RegistryError::Unusable(format!("{endpoint} is no endpoint of etcd: {error}"))
            })?
            .connect_timeout(timing.connect)
            // No pings: every call has its limit, and the lease notices who is silent.
            .tcp_nodelay(true);
        if endpoint.starts_with("https://") {
            transport = transport.tls_config(tls(options).await?).map_err(failed)?;
        }
        let connecting = timeout(timing.connect, transport.connect());
        let channel = match connecting.await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_elapsed) => return Err(silent(endpoint, timing.connect)),
        };
        let client = Self {
            endpoint: endpoint.to_owned(),
            options: options.clone(),
            channel,
            metadata: Metadata::default(),
        };
        // Anybody is told the version, so that an old server is named as one.
        let mut maintenance = MaintenanceClient::new(client.channel.clone());
        let status = client.bounded(maintenance.status(StatusRequest {})).await;
        let status = status.map_err(|status| client.told(&status))?;
        words::check_version(&status.into_inner().version, endpoint)?;
        client.authenticate().await?;
        Ok(client)
    }

    async fn authenticate(&self) -> Result<(), RegistryError> {
        let Some(credentials) = &self.options.credentials else { return Ok(()) };
        let mut auth = AuthClient::new(self.channel.clone());
        let request = AuthenticateRequest {
            name: credentials.user.clone(),
            password: credentials.password.shown().to_owned(),
        };
        let answer = self.bounded(auth.authenticate(request)).await;
        let token = answer.map_err(|status| self.told(&status))?.into_inner().token;
        let token = token.parse().map_err(|_| {
            let endpoint = &self.endpoint;
            RegistryError::Unusable(format!("etcd at {endpoint} gives a token that is none"))
        })?;
        *self.metadata.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    /// Waits for an answer, and not for ever.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, Status> {
        let limit = self.options.timing.call;
        match timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                Err(Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis())))
            }
        }
    }

    /// Makes a call, again under a new token where the old one has run out.
    async fn call<T, F>(&self, mut call: impl FnMut(&Self) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = self.bounded(call(self)).await;
        match answer {
            Err(status) if status.code() == Code::Unauthenticated => {
                let again = self.authenticate().await;
                again.map_err(|error| Status::unavailable(error.to_string()))?;
                self.bounded(call(self)).await.map(Response::into_inner)
            }
            answer => answer.map(Response::into_inner),
        }
    }

    /// What a failed call means.
    pub(crate) fn told(&self, status: &Status) -> RegistryError {
        words::of_call(status, &self.endpoint, &self.options)
    }

    /// Where it is connected to.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn kv(&self) -> KvClient<Told> {
        KvClient::with_interceptor(self.channel.clone(), self.metadata.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn lease(&self) -> LeaseClient<Told> {
        LeaseClient::with_interceptor(self.channel.clone(), self.metadata.clone())
    }

    /// What stands at a key.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<KeyValue>, RegistryError> {
        let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
        Ok(self.range(request).await?.into_iter().next())
    }

    pub(crate) async fn range(
        &self,
        request: RangeRequest,
    ) -> Result<Vec<KeyValue>, RegistryError> {
        let call = |client: &Self| {
            let (mut kv, request) = (client.kv(), request.clone());
            async move { kv.range(request).await }
        };
        let answer = self.call(call).await;
        Ok(answer.map_err(|status| self.told(&status))?.kvs)
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        let call = |client: &Self| {
            let (mut kv, request) = (client.kv(), request.clone());
            async move { kv.txn(request).await }
        };
        self.call(call).await
    }

    /// A new lease.
    pub(crate) async fn grant(&self) -> Result<i64, RegistryError> {
        let ttl = i64::from(self.options.timing.lease_seconds);
        let call = |client: &Self| {
            let mut lease = client.lease();
            async move { lease.lease_grant(LeaseGrantRequest { ttl, id: 0 }).await }
        };
        let granted = self.call(call).await.map_err(|status| self.told(&status))?;
        Ok(granted.id)
    }

    /// Ends a lease, and with it all that was registered under it.
    pub(crate) async fn revoke(&self, id: i64) -> Result<(), RegistryError> {
        let call = |client: &Self| {
            let mut lease = client.lease();
            async move { lease.lease_revoke(LeaseRevokeRequest { id }).await }
        };
        self.call(call).await.map(drop).map_err(|status| self.told(&status))
    }

    /// Opens a stream that keeps leases alive. etcd opens it with its first answer, so the
    /// first question goes with it.
    pub(crate) async fn keep_alive(
        &self,
        first: LeaseKeepAliveRequest,
    ) -> Result<Stream<LeaseKeepAliveRequest, LeaseKeepAliveResponse>, RegistryError> {
        let (questions, asked) = mpsc::channel(STREAM_REQUESTS_MAX);
        // There is room: nobody else has the sender yet.
        let _sent = questions.try_send(first);
        let mut lease = self.lease();
        let opened = self.bounded(lease.lease_keep_alive(ReceiverStream::new(asked))).await;
        let answers = opened.map_err(|status| self.told(&status))?.into_inner();
        Ok(Stream { questions, answers })
    }

    /// Opens a stream of changes; the first questions go with it for the same reason.
    pub(crate) async fn watch(
        &self,
        first: Vec<WatchRequest>,
    ) -> Result<Stream<WatchRequest, WatchResponse>, RegistryError> {
        let (questions, asked) = mpsc::channel(STREAM_REQUESTS_MAX.max(first.len()));
        for question in first {
            let _sent = questions.try_send(question);
        }
        let watch = WatchClient::with_interceptor(self.channel.clone(), self.metadata.clone());
        let mut watch = watch.max_decoding_message_size(MESSAGE_BYTES_MAX);
        let opened = self.bounded(watch.watch(ReceiverStream::new(asked))).await;
        let answers = opened.map_err(|status| self.told(&status))?.into_inner();
        Ok(Stream { questions, answers })
    }
}

/// A part of a transaction.
pub(crate) fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// All keys that begin so, at most so many.
pub(crate) fn all_of(prefix: &str, limit: i64) -> RangeRequest {
    RangeRequest { key: prefix.into(), range_end: end_of(prefix), limit, ..RangeRequest::default() }
}

fn silent(endpoint: &str, limit: Duration) -> RegistryError {
    let ms = limit.as_millis();
    RegistryError::Unavailable(format!("no answer from etcd at {endpoint} within {ms} ms"))
}

fn joined(failures: &[RegistryError]) -> String {
    let words = failures.iter().map(|failure| match failure {
        RegistryError::Unavailable(words)
        | RegistryError::Unusable(words)
        | RegistryError::Invalid(words) => words.as_str(),
    });
    words.collect::<Vec<_>>().join("; ")
}

async fn tls(options: &EtcdOptions) -> Result<ClientTlsConfig, RegistryError> {
    let read = async |path: &std::path::Path| {
        tokio::fs::read(path).await.map_err(|error| {
            RegistryError::Unusable(format!("cannot read {}: {error}", path.display()))
        })
    };
    let Some(ca) = &options.tls.ca else {
        return Err(RegistryError::Unusable(
            "an https endpoint of etcd is given, and no file of the CA that signed its \
             certificate: give it"
                .to_owned(),
        ));
    };
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca).await?));
    if let Some((certificate, key)) = &options.tls.client {
        let identity = Identity::from_pem(read(certificate).await?, read(key).await?);
        config = config.identity(identity);
    }
    if let Some(name) = &options.tls.server_name {
        config = config.domain_name(name);
    }
    Ok(config)
}
