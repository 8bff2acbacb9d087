//! The gRPC surface: the same checks, asked for directly.

use crate::{Verifier, verify::checked};
use baton_call::Purse;
use baton_checks::{Check as Stated, Class, majority, weighted};
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
        let first = asked.candidates.first();
        let first = first.ok_or_else(|| Status::invalid_argument("candidates is empty"))?;
        let verdict =
            match check {
                Check::Vote(v1::Vote { weights }) => {
                    let ballots: Vec<_> =
                        asked.candidates.iter().map(|reply| Class::of(reply)).collect();
                    match weights.as_slice() {
                        [] => majority(ballots).into(),
                        weights => weighted(ballots, weights).into(),
                    }
                }
                Check::Expected(expected) => checked(Stated::expected(&expected), first)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?,
                Check::CheckJson(json) => Stated::read(&json)
                    .and_then(|check| checked(check, first))
                    .map_err(|error| Status::invalid_argument(error.to_string()))?,
                Check::Judge(agent) => {
                    let agent = AgentId::new(&agent)
                        .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    let stop = CancellationToken::new();
                    let purse = Purse::Open;
                    let judged = self.judge(
                        &agent,
                        &asked.question,
                        first,
                        JUDGE_TOKENS_MAX,
                        None,
                        &purse,
                        &stop,
                    );
                    judged.await.verdict
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
