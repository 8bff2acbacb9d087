//! What becomes of a run that has ended: an answer, or an error with a name.

use crate::{
    error::{ApiError, Retry},
    reply::{Answer, Finish, Report, report},
};
use axum::http::StatusCode;
use baton_codes::ApiCode;
use baton_proto::v1::{GetReply, Usage};

/// What is said of a refusal that came without words.
const REFUSED: &str = "The agent refused to answer.";

/// An ended run with an answer.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: Answer,
    pub(crate) usage: Usage,
    pub(crate) report: Option<Report>,
}

/// What came of a run that has ended.
pub(crate) fn judge(reply: GetReply) -> Result<Ended, ApiError> {
    // What was answered before a cancellation is in the report; nobody waits for it.
    let Some(answer) = reply.answer.filter(|_| reply.status != "cancelled") else {
        return Err(failure(&reply.run, &reply.status, &reply.reason_code, &reply.reason));
    };
    let (text, refusal) = match reply.shortfall.as_deref() {
        Some("refused") if answer.is_empty() => (answer, REFUSED.to_owned()),
        Some("refused") => (String::new(), answer),
        Some(_) | None => (answer, String::new()),
    };
    let tool_calls: Vec<_> = reply.tool_calls.into_iter().map(Into::into).collect();
    let finish = if reply.shortfall.as_deref() == Some("filtered") {
        Finish::ContentFilter
    } else if reply.truncated {
        Finish::Length
    } else if !tool_calls.is_empty() {
        Finish::ToolCalls
    } else {
        Finish::Stop
    };
    Ok(Ended {
        answer: Answer { text, reasoning: String::new(), refusal, tool_calls, finish },
        usage: reply.usage.unwrap_or_default(),
        report: report(&reply.report_json),
    })
}

/// None of these is worth an automatic second try: the run has already failed over to
/// other agents, and its money is spent.
fn failure(run: &str, status: &str, code: &str, reason: &str) -> ApiError {
    let (http, name) = match (status, code) {
        ("cancelled", _) => (StatusCode::CONFLICT, ApiCode::RunCancelled),
        (_, "budget_spent") => (StatusCode::PAYMENT_REQUIRED, ApiCode::BudgetExceeded),
        (_, "deadline_passed") => (StatusCode::GATEWAY_TIMEOUT, ApiCode::DeadlineExceeded),
        (_, _) => (StatusCode::BAD_GATEWAY, ApiCode::RunFailed),
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
        assert_eq!(judge(reply).unwrap().answer.finish, Finish::Length);
    }

    #[test]
    fn what_is_no_answer_is_told_as_such() {
        let told = |shortfall: &str, text: &str| {
            let reply = GetReply {
                status: "incomplete".into(),
                answer: Some(text.into()),
                shortfall: Some(shortfall.into()),
                ..GetReply::default()
            };
            let Answer { text, refusal, finish, .. } = judge(reply).unwrap().answer;
            (text, refusal, finish)
        };
        assert_eq!(told("refused", "No."), (String::new(), "No.".into(), Finish::Stop));
        assert_eq!(told("refused", ""), (String::new(), REFUSED.into(), Finish::Stop));
        assert_eq!(told("filtered", "a"), ("a".into(), String::new(), Finish::ContentFilter));
        assert_eq!(told("malformed", "{"), ("{".into(), String::new(), Finish::Stop));
    }

    #[test]
    fn calls_of_tools_are_an_answer() {
        let call = baton_proto::v1::ToolCall::default();
        let reply =
            GetReply { answer: Some(String::new()), tool_calls: vec![call], ..GetReply::default() };
        assert_eq!(judge(reply).unwrap().answer.finish, Finish::ToolCalls);
    }
}
