//! Errors across the wire: a code that callers can act on, beside the words.

use crate::v1::ErrorDetail;
use prost::Message;
use tonic::{Code, Status};

/// A status that carries a detail.
pub fn status(code: Code, message: impl Into<String>, detail: ErrorDetail) -> Status {
    Status::with_details(code, message, detail.encode_to_vec().into())
}

/// The detail that a status carries, if it carries one.
pub fn detail_of(status: &Status) -> Option<ErrorDetail> {
    if status.details().is_empty() {
        return None;
    }
    ErrorDetail::decode(status.details()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_survives_the_wire() {
        let detail = ErrorDetail {
            code: "unknown_agent".into(),
            param: Some("baton.deny".into()),
            retry_after_ms: None,
        };
        let sent = status(Code::InvalidArgument, "no agent zed", detail.clone());
        assert_eq!(detail_of(&sent), Some(detail));
        assert_eq!(detail_of(&Status::internal("x")), None);
    }
}
