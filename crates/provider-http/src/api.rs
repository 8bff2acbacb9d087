//! Baton's own HTTP surface, from the client's side.

use crate::Secret;
use eventsource_stream::Eventsource as _;
use futures::{Stream, StreamExt as _};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use std::time::Duration;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an unexpected reply shown in an error.
const SHOWN_BYTES_MAX: usize = 300;

/// A client of one endpoint.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    key: Option<Secret>,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No answer: not reached, or cut off.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A refusal, in the endpoint's words.
    #[error("{message} (HTTP {status}, {code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable name of the error.
        code: String,
        /// What it says.
        message: String,
    },
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiEvent {
    /// Its name; `message` unless said.
    pub event: String,
    /// Its data.
    pub data: String,
}

impl Api {
    /// For an endpoint such as `http://127.0.0.1:8484`, with or without `/v1`.
    ///
    /// # Errors
    /// When the process has no TLS provider installed.
    pub fn new(endpoint: &str, key: Option<Secret>) -> Result<Self, ApiError> {
        let base = endpoint.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let client = Client::builder().connect_timeout(CONNECT).build();
        let client = client.map_err(|error| unreachable_at(&base, &error))?;
        Ok(Self { client, base, key })
    }

    /// A JSON document.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.json(self.request(Method::GET, path), path).await
    }

    /// A JSON document for a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.json(self.request(Method::POST, path).json(body), path).await
    }

    /// The text of a JSON document for a JSON document, for whoever need not read it.
    pub async fn post_text(&self, path: &str, body: &Value) -> Result<String, ApiError> {
        let reply = self.send(self.request(Method::POST, path).json(body), path).await?;
        reply.text().await.map_err(|error| unreachable_at(&self.url(path), &error))
    }

    /// The events of a GET, or of a POST with a body, until the endpoint ends them.
    pub async fn events(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<impl Stream<Item = Result<ApiEvent, ApiError>> + Send + use<>, ApiError> {
        let request = match body {
            None => self.request(Method::GET, path),
            Some(body) => self.request(Method::POST, path).json(body),
        };
        let reply = self.send(request, path).await?;
        let url = self.url(path);
        Ok(reply.bytes_stream().eventsource().map(move |event| match event {
            Ok(event) => Ok(ApiEvent { event: event.event, data: event.data }),
            Err(error) => Err(unreachable_at(&url, &error)),
        }))
    }

    /// The whole address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder, path: &str) -> Result<Value, ApiError> {
        let reply = self.send(request, path).await?;
        reply.json().await.map_err(|error| unreachable_at(&self.url(path), &error))
    }

    async fn send(&self, request: RequestBuilder, path: &str) -> Result<Response, ApiError> {
        let reply = request.send().await;
        let reply = reply.map_err(|error| unreachable_at(&self.url(path), &error))?;
        if reply.status().is_success() {
            return Ok(reply);
        }
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap_or_default();
        Err(refusal(status, &text))
    }
}

fn refusal(status: u16, text: &str) -> ApiError {
    let body: Option<Value> = serde_json::from_str(text).ok();
    let part = |name: &str| {
        let error = body.as_ref()?.get("error")?;
        error.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let shown = || text.chars().take(SHOWN_BYTES_MAX).collect::<String>();
    ApiError::Refused {
        status,
        code: part("code").or_else(|| part("type")).unwrap_or_else(|| "no code".into()),
        message: part("message").unwrap_or_else(shown),
    }
}

/// What a library's error says, with what lies beneath it.
fn unreachable_at(url: &str, error: &dyn std::error::Error) -> ApiError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason = error.to_string();
        source = error.source();
    }
    ApiError::Unreachable { url: url.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_endpoints_words() {
        let text = r#"{"error": {"message": "no such run", "type": "t", "param": null, "code": "run_not_found"}}"#;
        assert_eq!(refusal(404, text).to_string(), "no such run (HTTP 404, run_not_found)");
        assert_eq!(refusal(502, "<html>").to_string(), "<html> (HTTP 502, no code)");
    }
}
