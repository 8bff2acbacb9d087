//! From what HTTP reports to what the caller must decide about.

use crate::Secret;
use baton_provider::{Phase, ProviderError};
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;
use std::{
    error::Error,
    time::{Duration, SystemTime},
};

/// Most of an error's body that is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// Most of a provider's message that is kept, in characters: it goes into logs and events.
const MESSAGE_CHARS_MAX: usize = 512;
/// Longest time to read an error's body, in milliseconds.
const ERROR_BODY_WAIT_MS: u64 = 5_000;
/// Longest `Retry-After` that is passed on, in milliseconds: one day.
const RETRY_AFTER_MS_MAX: u64 = 86_400_000;
/// Codes by which providers say 429 when waiting does not help.
const QUOTA_CODES: [&str; 2] = ["insufficient_quota", "billing_hard_limit_reached"];

/// A request that got no response.
pub(crate) fn of_send(error: &reqwest::Error, url: &str, connect_ms: u64) -> ProviderError {
    if error.is_connect() && error.is_timeout() {
        return ProviderError::Timeout { phase: Phase::Connect, ms: connect_ms };
    }
    let reason = reason(error);
    if error.is_connect() {
        return ProviderError::Connect { url: url.into(), reason };
    }
    if error.is_builder() {
        return ProviderError::Refused { status: 400, message: reason };
    }
    // The request may have been read before the connection broke.
    ProviderError::Cut { received: 0, reason }
}

/// The innermost cause: the outer ones say only "error sending request".
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    shortened(&innermost.to_string())
}

/// A response with a status other than 2xx.
pub(crate) async fn of_response(mut response: Response, key: Option<&Secret>) -> ProviderError {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() > ERROR_BODY_BYTES_MAX {
                break;
            }
        }
    };
    // What was read in time must do: the status alone decides what happens next.
    let _ = tokio::time::timeout(Duration::from_millis(ERROR_BODY_WAIT_MS), read).await;
    body.truncate(ERROR_BODY_BYTES_MAX);
    let complaint = Complaint::read(&body, status, key);
    of_status(status, &headers, complaint)
}

fn of_status(status: StatusCode, headers: &HeaderMap, complaint: Complaint) -> ProviderError {
    let Complaint { message, code } = complaint;
    let retry_after_ms = retry_after_ms(headers, SystemTime::now());
    let hopeless = headers.get("x-should-retry").is_some_and(|v| v == "false")
        || code.as_deref().is_some_and(|code| QUOTA_CODES.contains(&code));
    let status = status.as_u16();
    match status {
        401 | 403 => ProviderError::Auth { status, message },
        _ if hopeless => ProviderError::Refused { status, message },
        429 => ProviderError::RateLimited { retry_after_ms, message },
        408 | 409 | 425 | 500.. => ProviderError::Server { status, retry_after_ms, message },
        _ => ProviderError::Refused { status, message },
    }
}

/// An `error` object inside a reply that began well. `received` bytes of text came before.
pub(crate) fn of_error_object(error: &Value, received: usize) -> ProviderError {
    let complaint = Complaint::of(error);
    let Complaint { message, code } = complaint;
    if received > 0 {
        return ProviderError::Cut { received, reason: message };
    }
    let status = error.get("code").or(error.get("status")).and_then(Value::as_u64);
    let status = status.and_then(|s| StatusCode::from_u16(u16::try_from(s).ok()?).ok());
    let named = code.as_deref().map_or(500, status_of_kind);
    let named = StatusCode::from_u16(named).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let complaint = Complaint { message, code };
    of_status(status.unwrap_or(named), &HeaderMap::new(), complaint)
}

/// The HTTP status that an error would have had, had the reply not begun already: by the
/// kinds of errors that Anthropic documents; OpenAI's are among them.
fn status_of_kind(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        limited if limited.contains("rate_limit") => 429,
        _api_error_or_unknown => 500,
    }
}

/// The same failure without the key, which a reply may quote in its own errors.
pub(crate) fn scrubbed(error: ProviderError, key: Option<&Secret>) -> ProviderError {
    let Some(key) = key else { return error };
    match error {
        ProviderError::RateLimited { retry_after_ms, message } => {
            ProviderError::RateLimited { retry_after_ms, message: key.scrub(&message) }
        }
        ProviderError::Server { status, retry_after_ms, message } => {
            ProviderError::Server { status, retry_after_ms, message: key.scrub(&message) }
        }
        ProviderError::Cut { received, reason } => {
            ProviderError::Cut { received, reason: key.scrub(&reason) }
        }
        ProviderError::Malformed(what) => ProviderError::Malformed(key.scrub(&what)),
        ProviderError::Auth { status, message } => {
            ProviderError::Auth { status, message: key.scrub(&message) }
        }
        ProviderError::Refused { status, message } => {
            ProviderError::Refused { status, message: key.scrub(&message) }
        }
        ProviderError::Connect { .. } | ProviderError::Timeout { .. } | ProviderError::Empty => {
            error
        }
    }
}

/// What a provider says is wrong.
struct Complaint {
    message: String,
    code: Option<String>,
}

impl Complaint {
    fn read(body: &[u8], status: StatusCode, key: Option<&Secret>) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut complaint = match serde_json::from_str::<Value>(&text) {
            Ok(json) => Self::of(json.get("error").unwrap_or(&json)),
            Err(_) => Self { message: text.trim().to_owned(), code: None },
        };
        if complaint.message.is_empty() {
            complaint.message = status.canonical_reason().unwrap_or("no reason given").into();
        }
        // First the key, then the cut: half a key is no longer found.
        if let Some(key) = key {
            complaint.message = key.scrub(&complaint.message);
        }
        complaint.message = shortened(&complaint.message);
        complaint
    }

    fn of(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = match error {
            Value::String(message) => message.clone(),
            _ => text("message").or(text("detail")).unwrap_or_else(|| error.to_string()),
        };
        Self { message, code: text("code").or(text("type")) }
    }
}

pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date, measured against the
/// server's own `date` where it gives one, so that clocks need not agree.
fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let ms = if let Some(ms) = text("retry-after-ms").and_then(number) {
        ms
    } else {
        let after = text("retry-after")?;
        if let Some(seconds) = number(after) {
            seconds * 1000.0
        } else {
            let at = httpdate::parse_http_date(after).ok()?;
            let theirs = text("date").and_then(|date| httpdate::parse_http_date(date).ok());
            let wait = at.duration_since(theirs.unwrap_or(now)).unwrap_or(Duration::ZERO);
            wait.as_secs_f64() * 1000.0
        }
    };
    Some((ms.ceil() as u64).min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn after(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        retry_after_ms(&headers(pairs), now)
    }

    #[test]
    fn retry_after_has_three_forms() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[("retry-after", "2")]), Some(2_000));
        assert_eq!(after(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(after(&[("retry-after", "7"), ("retry-after-ms", "120.5")]), Some(121));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60_000));
        let dated = [
            ("retry-after", "Sun, 06 Nov 1994 09:00:05 GMT"),
            ("date", "Sun, 06 Nov 1994 09:00:00 GMT"),
        ];
        assert_eq!(after(&dated), Some(5_000));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        for nonsense in ["soon", "-1", "NaN", "inf"] {
            assert_eq!(after(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(after(&[("retry-after", "1e30")]), Some(RETRY_AFTER_MS_MAX));
    }

    fn status(code: u16, pairs: &[(&'static str, &'static str)], body: &str) -> ProviderError {
        let status = StatusCode::from_u16(code).unwrap();
        let key = Secret::new("sk-hidden", "a test").unwrap();
        let complaint = Complaint::read(body.as_bytes(), status, Some(&key));
        of_status(status, &headers(pairs), complaint)
    }

    #[test]
    fn a_status_says_what_to_do() {
        let code = |status_code, body| status(status_code, &[], body).code();
        assert_eq!(code(429, "{}"), "rate_limited");
        assert_eq!(code(429, r#"{"error":{"code":"insufficient_quota"}}"#), "refused");
        assert_eq!(code(408, ""), "server_error");
        assert_eq!(code(529, "<html>"), "server_error");
        assert_eq!(code(401, ""), "auth");
        assert_eq!(code(404, ""), "refused");
        assert_eq!(code(302, ""), "refused");
        assert_eq!(status(503, &[("x-should-retry", "false")], "").code(), "refused");
    }

    #[test]
    fn the_providers_words_are_kept_and_its_quotes_of_the_key_are_not() {
        let message = |body| status(400, &[], body).to_string();
        let refused = "the provider refuses the request (400): ";
        assert_eq!(
            message(r#"{"error":{"message":"bad sk-hidden","type":null}}"#),
            format!("{refused}bad [secret]")
        );
        assert_eq!(message(r#"{"error":"plain"}"#), format!("{refused}plain"));
        assert_eq!(message(r#"{"detail":"fast"}"#), format!("{refused}fast"));
        assert_eq!(message(""), format!("{refused}Bad Request"));
        assert!(message(&"x".repeat(9_000)).chars().count() < 600);
    }

    #[test]
    fn an_error_inside_a_reply_is_a_cut_once_text_came() {
        let error = serde_json::json!({"message": "overloaded", "code": 502});
        assert_eq!(of_error_object(&error, 0).code(), "server_error");
        assert_eq!(of_error_object(&error, 4).code(), "cut_stream");
        let error = serde_json::json!({"message": "slow down", "type": "rate_limit_exceeded"});
        assert_eq!(of_error_object(&error, 0).code(), "rate_limited");
        assert_eq!(of_error_object(&serde_json::json!("boom"), 0).code(), "server_error");
    }
}
