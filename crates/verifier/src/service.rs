//! The gRPC surface: the same checks, asked for directly.

use crate::verify::{Candidate, Checked};
use crate::{Verifier, vote};
use baton_call::Purse;
use baton_checks::{Check as Stated, SpecError};
use baton_proto::v1;
use baton_workflow::{AgentId, VerdictKind};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Tokens that a judge asked directly may write.
const JUDGE_TOKENS_MAX: u32 = 2048;

#[tonic::async_trait]
impl v1::verifier_server::Verifier for Verifier {
    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyReply>, Status> {
        use v1::verify_request::Check;
        let asked = request.into_inner();
        let check = asked.check.ok_or_else(|| Status::invalid_argument("check is missing"))?;
        let candidates = asked.candidates.into_iter().map(|text| Candidate { text, calls: false });
        let candidates: Vec<_> = candidates.collect();
        let first = candidates.first();
        let first = first.ok_or_else(|| Status::invalid_argument("candidates is empty"))?;
        let stop = CancellationToken::new();
        let unusable = |error: SpecError| Status::invalid_argument(error.to_string());
        let Checked { verdict, .. } = match check {
            Check::Vote(v1::Vote { weights }) => vote::among(&candidates, &weights).into(),
            Check::Expected(expected) => {
                let check = Stated::expected(&expected);
                self.stated(check, first, &stop).await.map_err(unusable)?
            }
            Check::CheckJson(json) => {
                let check = Stated::read(&json).map_err(unusable)?;
                match (check, candidates.as_slice()) {
                    (Stated::CodeInputs(inputs), [_, _, ..]) => {
                        inputs.are_sensible().map_err(unusable)?;
                        self.vote_of_programs(&inputs, &candidates, &stop).await.into()
                    }
                    (check, _) => self.stated(check, first, &stop).await.map_err(unusable)?,
                }
            }
            Check::Judge(agent) => {
                let agent = AgentId::new(&agent)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?;
                let (question, max) = (&asked.question, JUDGE_TOKENS_MAX);
                let (text, purse) = (&first.text, Purse::Open);
                self.judge(&agent, question, text, max, None, &purse, &stop).await
            }
        };
        let kind = match verdict.kind {
            VerdictKind::Pass => v1::verify_reply::Kind::Pass,
            VerdictKind::Fail => v1::verify_reply::Kind::Fail,
            VerdictKind::Abstain => v1::verify_reply::Kind::Abstain,
            VerdictKind::Unavailable => v1::verify_reply::Kind::Unavailable,
        };
        Ok(Response::new(v1::VerifyReply {
            kind: kind.into(),
            score: verdict.score,
            choice: verdict.choice.map(u32::from),
            feedback: verdict.feedback,
            verifier: verdict.verifier,
        }))
    }
}
