//! What becomes of a run that has ended: an answer, or an error with a name.

use crate::{
    error::{ApiError, Retry},
    reply::{Finish, Report, report},
};
use axum::http::StatusCode;
use baton_proto::v1::{GetReply, Usage};

/// An ended run with an answer.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: String,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    pub(crate) report: Option<Report>,
}

/// What came of a run that has ended.
pub(crate) fn judge(reply: GetReply) -> Result<Ended, ApiError> {
    // What was answered before a cancellation is in the report; nobody waits for it.
    let Some(answer) = reply.answer.filter(|_| reply.status != "cancelled") else {
        return Err(failure(&reply.run, &reply.status, &reply.reason_code, &reply.reason));
    };
    Ok(Ended {
        answer,
        finish: if reply.truncated { Finish::Length } else { Finish::Stop },
        usage: reply.usage.unwrap_or_default(),
        report: report(&reply.report_json),
    })
}

/// None of these is worth an automatic second try: the run has already failed over to
/// other agents, and its money is spent.
fn failure(run: &str, status: &str, code: &str, reason: &str) -> ApiError {
    let (http, name) = match (status, code) {
        ("cancelled", _) => (StatusCode::CONFLICT, "run_cancelled"),
        (_, "budget_spent") => (StatusCode::PAYMENT_REQUIRED, "budget_exceeded"),
        (_, "deadline_passed") => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        (_, _) => (StatusCode::BAD_GATEWAY, "run_failed"),
    };
    let message = format!("run {run} ended {status} without an answer: {reason}");
    ApiError::new(http, name, message).retry(Retry::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_without_answer_has_its_status() {
        let check = |status: &str, code: &str, http: u16, name: &str| {
            let reply = GetReply {
                run: "run_1".into(),
                status: status.into(),
                reason_code: code.into(),
                ..GetReply::default()
            };
            let error = judge(reply).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code.as_str()), (http, name));
            assert_eq!(error.retry, Retry::Never);
            assert!(error.message.contains("run_1"));
        };
        check("failed", "step_failed", 502, "run_failed");
        check("failed", "budget_spent", 402, "budget_exceeded");
        check("failed", "deadline_passed", 504, "deadline_exceeded");
        check("cancelled", "cancelled", 409, "run_cancelled");
    }

    #[test]
    fn an_incomplete_answer_is_an_answer() {
        let reply = GetReply {
            status: "incomplete".into(),
            answer: Some("4".into()),
            truncated: true,
            ..GetReply::default()
        };
        assert_eq!(judge(reply).unwrap().finish, Finish::Length);
    }
}
