//! Providers' accounts: their keys, and what is asked of their two scripts.

use crate::{
    request::Arguments,
    scripts::Script,
    store::{Answer, Store},
};
use baton_ledger::{Admission, Admit, Bound, Health, LedgerError, Release};
use baton_workflow::AccountTerms;

/// The two keys of an account. Its name is hashed, because it may hold any character; the
/// part in braces is its own, so that accounts spread over the nodes of a cluster.
fn keys(store: &Store, account: &str) -> [String; 2] {
    let hash = blake3::hash(account.as_bytes()).to_hex();
    let base = format!("{}:{{account-{}}}:", store.prefix(), &hash[..32]);
    [format!("{base}state"), format!("{base}ends")]
}

pub(crate) async fn admit(store: &Store, ask: &Admit) -> Result<Admission, LedgerError> {
    let arguments = Arguments::new()
        .number(ask.permit)
        .bytes(&ask.agent)
        .number(ask.agent_concurrency.into())
        .number(ask.tokens)
        .number(ask.ttl_ms)
        .terms(&ask.terms);
    let keys = keys(store, &ask.account);
    let mut reply = match store.call_on(&keys, Script::Admit, arguments).await? {
        Answer::Ok(reply) => reply,
        Answer::Refused(why, _) => return Err(strange(&why)),
    };
    let said = reply.text()?;
    if said == "Admitted" {
        return Ok(Admission::Admitted);
    }
    let bound = Bound::ALL.into_iter().find(|bound| bound.name() == said);
    let bound = bound.ok_or_else(|| strange(&said))?;
    Ok(Admission::Wait { bound, ms: reply.parse("milliseconds")? })
}

pub(crate) async fn release(store: &Store, release: &Release) -> Result<(), LedgerError> {
    let (health, pause_ms) = match release.health {
        Health::Well => ("Well", None),
        Health::Failed => ("Failed", None),
        Health::Limited { retry_after_ms } => ("Limited", retry_after_ms),
        Health::Unknown => ("Unknown", None),
    };
    let used = release.tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
    let arguments = Arguments::new()
        .number(release.permit)
        .bytes(used)
        .bytes(health)
        .number(pause_ms.unwrap_or(0))
        .terms(&release.terms);
    let keys = keys(store, &release.account);
    match store.call_on(&keys, Script::Release, arguments).await? {
        Answer::Ok(_) => Ok(()),
        Answer::Refused(why, _) => Err(strange(&why)),
    }
}

fn strange(said: &str) -> LedgerError {
    LedgerError::Unusable(format!(
        "the store said {said:?} of an account: another version of this program may be using \
         the same prefix; use a prefix of its own"
    ))
}

impl Arguments {
    /// What an account allows; 0 stands for no limit.
    fn terms(self, terms: &AccountTerms) -> Self {
        let limits = self
            .number(terms.requests_per_minute.unwrap_or(0))
            .number(terms.tokens_per_minute.unwrap_or(0))
            .number(terms.concurrency.unwrap_or(0).into());
        let Some(breaker) = terms.breaker else {
            return limits.number(0).number(0).number(0).number(0);
        };
        limits
            .number(breaker.failure_percent.into())
            .number(breaker.calls_min.into())
            .number(breaker.window_ms)
            .number(breaker.open_ms)
    }
}
