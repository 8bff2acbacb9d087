//! The gRPC surface: the same checks, asked for directly.

use crate::verify::{Candidate, Checked, Matter, Means};
use crate::{Verifier, vote};
use baton_call::Purse;
use baton_checks::{Check as Stated, Judge, SpecError};
use baton_proto::v1;
use baton_workflow::{AgentId, Budget, TenantId, Usd, VerdictKind};
use std::fmt::Display;
use tokio::time::Instant;
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
        let began = Instant::now();
        let deadline = baton_proto::time_for(&request).map(|time| began + time);
        let asked = request.into_inner();
        let purse = purse(&asked)?;
        let tenant = asked.tenant.map(TenantId::new).transpose().map_err(wrong)?;
        let check = asked.check.ok_or_else(|| wrong("check is missing"))?;
        let candidates = candidates(asked.candidates, &asked.authors)?;
        let matter = Matter::of(asked.question, candidates);
        let matter = matter.ok_or_else(|| wrong("candidates is empty"))?;
        let check = match check {
            Check::Vote(v1::Vote { weights }) => {
                return Ok(reply(vote::among(matter.all(), &weights).into(), began));
            }
            Check::Expected(expected) => Stated::expected(&expected),
            Check::CheckJson(json) => {
                Stated::read(&json).and_then(Stated::usable).map_err(unusable)?
            }
            Check::Judge(agent) => {
                let model = Some(AgentId::new(&agent).map_err(wrong)?);
                Stated::JudgeBinary(Judge { model, criteria: None })
            }
        };
        let means = Means {
            tenant: tenant.as_ref(),
            judges: None,
            output_tokens_max: JUDGE_TOKENS_MAX,
            key: None,
            purse,
            deadline,
            stop: &CancellationToken::new(),
        };
        let caller = tenant.as_ref().map(|tenant| self.caller.on_behalf_of(tenant));
        let verifier = Self { caller: caller.unwrap_or(self.caller.clone()), ..self.clone() };
        let checked = verifier.carry_out(&check, &matter, &means).await.map_err(unusable)?;
        Ok(reply(checked, began))
    }
}

fn wrong(error: impl Display) -> Status {
    Status::invalid_argument(error.to_string())
}

fn unusable(error: SpecError) -> Status {
    match error.field {
        "" => wrong(error),
        field => wrong(format!("{field}: {error}")),
    }
}

/// What pays: what the request says, or whoever asks.
fn purse(asked: &v1::VerifyRequest) -> Result<Purse, Status> {
    if asked.usd.is_none() && asked.tokens.is_none() {
        return Ok(Purse::Open);
    }
    let usd = asked.usd.map(Usd::from_dollars).transpose().map_err(wrong)?;
    Ok(Purse::given(Budget {
        usd: usd.unwrap_or(Usd::from_pico(u64::MAX)),
        tokens: asked.tokens.unwrap_or(u64::MAX),
        calls: u32::MAX,
        seconds: u32::MAX,
        depth: 0,
    }))
}

/// The candidates with their authors, as far as these are known.
fn candidates(texts: Vec<String>, authors: &[String]) -> Result<Vec<Candidate>, Status> {
    if authors.len() > texts.len() {
        let (authors, texts) = (authors.len(), texts.len());
        return Err(wrong(format!("{authors} authors for {texts} candidates: expected as many")));
    }
    let known = authors.iter().map(|id| match id.as_str() {
        "" => Ok(None),
        id => AgentId::new(id).map(Some).map_err(wrong),
    });
    let authors = known.chain(std::iter::repeat_with(|| Ok(None)));
    let texts = texts.into_iter().zip(authors);
    texts.map(|(text, author)| Ok(Candidate { author: author?, ..Candidate::text(text) })).collect()
}

fn reply(checked: Checked, began: Instant) -> Response<v1::VerifyReply> {
    let Checked { verdict, spend, estimated, incidents: _, cached } = checked;
    let kind = match verdict.kind {
        VerdictKind::Pass => v1::verify_reply::Kind::Pass,
        VerdictKind::Fail => v1::verify_reply::Kind::Fail,
        VerdictKind::Abstain => v1::verify_reply::Kind::Abstain,
        VerdictKind::Unavailable => v1::verify_reply::Kind::Unavailable,
    };
    Response::new(v1::VerifyReply {
        kind: kind.into(),
        score: verdict.score,
        choice: verdict.choice.map(u32::from),
        feedback: verdict.feedback,
        verifier: verdict.verifier,
        code: verdict.code,
        probability: verdict.probability,
        evidence: verdict.evidence,
        class: verdict.class,
        isolation: verdict.isolation,
        usage: Some(v1::Usage {
            tokens_in: spend.tokens_in,
            tokens_out: spend.tokens_out,
            calls: spend.calls,
            usd_pico: spend.usd.pico(),
            ..v1::Usage::default()
        }),
        estimated,
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        cached,
    })
}
