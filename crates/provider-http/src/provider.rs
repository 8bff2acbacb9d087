//! One account at one service that runs models.

use crate::{
    HttpProviderOptions, OptionsError, Protocol,
    body::{streamed, whole},
    chat,
    clock::{Clock, Wait},
    failure, messages,
};
use async_trait::async_trait;
use baton_provider::{ChatRequest, ChatStream, Provider, ProviderError};
use futures::{StreamExt, stream};
use reqwest::{
    Client, Response, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use std::{fmt, time::Duration};

/// How long an unused connection is kept, in milliseconds: shorter than what servers and
/// load balancers keep, so that no call is sent into a connection they are closing.
const IDLE_MS: u64 = 30_000;

/// One account at one service that runs models.
pub struct HttpProvider {
    options: HttpProviderOptions,
    endpoint: Url,
    client: Client,
}

impl HttpProvider {
    /// Makes a provider; no connection is made yet. Needs the process's cryptography
    /// installed, also for plain HTTP, so that a mistake shows at the start.
    pub fn new(options: HttpProviderOptions) -> Result<Self, OptionsError> {
        let name = || options.name.clone();
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(OptionsError::NoCrypto { name: name() });
        }
        let endpoint = endpoint(&options)?;
        let mut builder = Client::builder()
            .default_headers(headers(&options)?)
            .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(options.timeouts.connect_ms))
            .pool_idle_timeout(Duration::from_millis(IDLE_MS))
            .tcp_nodelay(true)
            // A redirect would take the question, and maybe the key, to another host.
            .redirect(Policy::none());
        if is_local(&endpoint) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| OptionsError::Client {
            name: name(),
            reason: failure::reason(&error),
        })?;
        Ok(Self { options, endpoint, client })
    }

    async fn send(&self, request: &ChatRequest, clock: Clock) -> Result<Response, ProviderError> {
        let stream = self.options.stream;
        let accept = if stream { "text/event-stream" } else { "application/json" };
        let call = self.client.post(self.endpoint.clone()).header(ACCEPT, accept);
        let mut call = match self.options.protocol {
            Protocol::ChatCompletions => {
                call.json(&chat::RequestBody::new(request, stream, self.options.max_tokens_field))
            }
            Protocol::Messages => call.json(&messages::RequestBody::new(request, stream)),
        };
        if let Some(key) = &request.idempotency_key {
            call = call.header("idempotency-key", key);
        }
        let wait = if stream { Wait::FirstToken } else { Wait::Rest };
        let sent = clock.within(wait, call.send()).await?;
        sent.map_err(|error| {
            let connect_ms = self.options.timeouts.connect_ms;
            failure::of_send(&error, self.endpoint.as_str(), connect_ms)
        })
    }

    /// Servers are asked for a stream and answer whole, and the other way round: what
    /// they say of their answer decides, else what was asked for.
    fn is_streamed(&self, response: &Response) -> Result<bool, ProviderError> {
        let Some(kind) = response.headers().get(CONTENT_TYPE) else {
            return Ok(self.options.stream);
        };
        let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        if kind.starts_with("text/event-stream") {
            return Ok(true);
        }
        if kind.starts_with("application/json") {
            return Ok(false);
        }
        let kind = failure::shortened(&kind);
        Err(ProviderError::Malformed(format!("its content type is {kind}: expected a completion")))
    }
}

#[async_trait]
impl Provider for HttpProvider {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let clock = Clock::start(self.options.timeouts);
        let response = self.send(&request, clock).await?;
        if !response.status().is_success() {
            return Err(failure::of_response(response, self.options.key.as_ref()).await);
        }
        let (limits, key) = (self.options.limits, self.options.key.clone());
        let protocol = self.options.protocol;
        if self.is_streamed(&response)? {
            let events = streamed(response, clock, limits, protocol);
            let scrubbed = move |error| failure::scrubbed(error, key.as_ref());
            return Ok(events.map(move |event| event.map_err(&scrubbed)).boxed());
        }
        let events = whole(response, clock, limits, protocol).await;
        let events = events.map_err(|error| failure::scrubbed(error, key.as_ref()))?;
        Ok(stream::iter(events.into_iter().map(Ok)).boxed())
    }

    fn server(&self) -> Option<(&str, u16)> {
        // Of an IPv6 address a URL has brackets that are not part of it.
        let host = self.endpoint.host_str()?.trim_matches(['[', ']']);
        Some((host, self.endpoint.port_or_known_default()?))
    }
}

impl fmt::Debug for HttpProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_str();
        let fields = &mut f.debug_struct("HttpProvider");
        fields.field("name", &self.options.name).field("endpoint", &endpoint).finish()
    }
}

fn endpoint(options: &HttpProviderOptions) -> Result<Url, OptionsError> {
    let wrong = |url: &str, reason: &str| OptionsError::BaseUrl {
        name: options.name.clone(),
        url: url.into(),
        reason: reason.into(),
    };
    let base = options.base_url.trim_end_matches('/');
    // A text that is no URL is not quoted: it may be a key in the wrong place.
    let mut url = Url::parse(base).map_err(|error| wrong("…", &error.to_string()))?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let shown = url.host_str().unwrap_or_default().to_owned();
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&shown, "it is neither http nor https"));
    }
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(&shown, "it has a user, a query or a fragment"));
    }
    let base = url.path().trim_end_matches('/');
    let path = match options.protocol {
        Protocol::ChatCompletions => format!("{base}/chat/completions"),
        Protocol::Messages if base.ends_with("/v1") => format!("{base}/messages"),
        Protocol::Messages => format!("{base}/v1/messages"),
    };
    url.set_path(&path);
    Ok(url)
}

fn headers(options: &HttpProviderOptions) -> Result<HeaderMap, OptionsError> {
    let mut headers = HeaderMap::new();
    if options.protocol == Protocol::Messages {
        headers.insert("anthropic-version", HeaderValue::from_static(messages::VERSION));
    }
    match (&options.key, options.protocol) {
        (None, Protocol::ChatCompletions | Protocol::Messages) => {}
        (Some(key), Protocol::ChatCompletions) => {
            let value = secret_value(options, &format!("Bearer {}", key.reveal()))?;
            headers.insert(AUTHORIZATION, value);
        }
        (Some(key), Protocol::Messages) => {
            headers.insert("x-api-key", secret_value(options, key.reveal())?);
        }
    }
    for (header, value) in &options.headers {
        let name = HeaderName::try_from(header).map_err(|_| OptionsError::HeaderName {
            name: options.name.clone(),
            header: header.clone(),
        })?;
        headers.insert(name, secret_value(options, value.reveal())?);
    }
    Ok(headers)
}

fn secret_value(options: &HttpProviderOptions, text: &str) -> Result<HeaderValue, OptionsError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| OptionsError::Key {
        name: options.name.clone(),
        source: crate::SecretError::Malformed { place: "a header".into(), bytes: text.len() },
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// This machine is never reached through a proxy.
fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}
