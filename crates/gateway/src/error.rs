//! What a caller is told when there is no answer: OpenAI's envelope.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use baton_codes::ApiCode;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::Code;

/// An error, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: ApiCode,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) retry: Retry,
    /// The run it is about, for the `x-request-id` header.
    pub(crate) run: Option<String>,
}

/// Whether the same request can succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No: it costs money or time to try, and ends the same way.
    Never,
    /// The client's own rules apply.
    Perhaps,
    /// After this time.
    After(Duration),
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: ApiCode, message: impl Into<String>) -> Self {
        let retry = if status.is_client_error() { Retry::Never } else { Retry::Perhaps };
        Self { status, code, message: message.into(), param: None, retry, run: None }
    }

    /// A request that is wrong in itself.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ApiCode::InvalidValue, message)
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    pub(crate) fn about(mut self, run: impl Into<String>) -> Self {
        self.run = Some(run.into());
        self
    }

    /// A failure that is nobody's business but the operator's.
    pub(crate) fn internal() -> Self {
        let message = "the gateway failed: report it with this response's x-request-id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::InternalError, message)
    }

    /// No process of a service is there to answer.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ApiCode::Unavailable, message)
            .retry(Retry::After(Duration::from_secs(1)))
    }

    /// The gateway is on its way out.
    pub(crate) fn stopping() -> Self {
        Self::unavailable("this gateway is stopping: send the request again")
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_server_error() => "server_error",
            _other_client_error => "invalid_request_error",
        }
    }

    /// The envelope, with all of its four keys.
    pub(crate) fn envelope(&self) -> Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code.as_str(),
        }})
    }
}

/// Another service's words, as far as they are meant for the caller.
impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        let detail = baton_proto::detail_of(&status);
        let (http, code) = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => {
                (StatusCode::BAD_REQUEST, ApiCode::InvalidValue)
            }
            Code::NotFound => (StatusCode::NOT_FOUND, ApiCode::NotFound),
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, ApiCode::RateLimitExceeded),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ApiCode::Unavailable),
            Code::FailedPrecondition | Code::AlreadyExists => {
                (StatusCode::CONFLICT, ApiCode::Conflict)
            }
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, ApiCode::InvalidApiKey),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, ApiCode::Forbidden),
            Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, ApiCode::DeadlineExceeded),
            // Of one run, and its caller's to know.
            Code::DataLoss if detail.is_some() => {
                (StatusCode::INTERNAL_SERVER_ERROR, ApiCode::InternalError)
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Aborted
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                tracing::error!(%status, "a service failed");
                return Self::internal();
            }
        };
        let is_full =
            detail.as_ref().is_some_and(|detail| ApiCode::StorageFull == detail.code.as_str());
        let http = if is_full { StatusCode::INSUFFICIENT_STORAGE } else { http };
        let busy = is_full
            || matches!(http, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        // Words that no service of Baton chose are the transport's: they name addresses.
        let message = match (&detail, http) {
            (None, StatusCode::SERVICE_UNAVAILABLE) => {
                tracing::warn!(%status, "a service is away");
                "a service behind the gateway is away: try again".to_owned()
            }
            (Some(_) | None, _) => status.message().to_owned(),
        };
        let mut error = Self::new(http, code, message);
        let mut wait = Duration::from_secs(1);
        if let Some(detail) = detail {
            error.param = detail.param;
            wait = detail.retry_after_ms.map_or(wait, Duration::from_millis);
            // A name that this gateway does not know comes from another version: what the
            // status says is true all the same.
            error.code = ApiCode::parse(&detail.code).unwrap_or(error.code);
        }
        match (busy, status.code()) {
            (true, _) => error.retry(Retry::After(wait)),
            (false, Code::DataLoss) => error.retry(Retry::Never),
            (false, _) => error,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.envelope())).into_response();
        let headers = response.headers_mut();
        match self.retry {
            Retry::Never => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
            Retry::Perhaps => {}
            Retry::After(wait) => {
                // Whole seconds for the standard header, rounded up: never too early.
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                headers.insert(header::RETRY_AFTER, number(seconds));
                headers.insert("retry-after-ms", number(wait.as_millis()));
            }
        }
        if let Some(id) = self.run.and_then(|run| HeaderValue::try_from(run).ok()) {
            headers.insert("x-request-id", id);
        }
        response
    }
}

fn number(value: u128) -> HeaderValue {
    HeaderValue::from(u64::try_from(value).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_proto::v1::ErrorDetail;

    #[test]
    fn a_detail_decides_code_param_and_time() {
        let detail = ErrorDetail {
            code: "queue_full".into(),
            param: Some("model".into()),
            retry_after_ms: Some(1500),
        };
        let error: ApiError = baton_proto::status(Code::ResourceExhausted, "full", detail).into();
        assert_eq!((error.status.as_u16(), error.code.as_str()), (429, "queue_full"));
        assert_eq!(error.param.as_deref(), Some("model"));
        let response = error.into_response();
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["retry-after-ms"], "1500");
    }

    #[test]
    fn internals_stay_inside() {
        for status in [
            tonic::Status::internal("redis at 10.0.0.7"),
            tonic::Status::unavailable("tcp connect error: 10.0.0.7:4317"),
            tonic::Status::unknown("10.0.0.7"),
        ] {
            let error = ApiError::from(status);
            assert!(!error.message.contains("10.0.0.7"), "{error:?}");
        }
    }

    #[test]
    fn codes_are_http_statuses() {
        let check = |code, http: u16| {
            let error = ApiError::from(tonic::Status::new(code, "x"));
            assert_eq!(error.status.as_u16(), http, "{code:?}");
        };
        check(Code::InvalidArgument, 400);
        check(Code::NotFound, 404);
        check(Code::ResourceExhausted, 429);
        check(Code::Unavailable, 503);
        check(Code::FailedPrecondition, 409);
        check(Code::Unauthenticated, 401);
        check(Code::DeadlineExceeded, 504);
        check(Code::Internal, 500);
    }

    #[test]
    fn the_envelope_has_its_four_keys() {
        let envelope = ApiError::invalid("no").envelope();
        let keys: Vec<_> = envelope["error"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["code", "message", "param", "type"]);
    }
}
