//! Room for calls on providers' accounts: who may begin one now, and who has to wait.
//!
//! This is the decision alone: the time comes in, the answer goes out, and nothing is
//! kept but what the next decision needs. It is not journal data: when it is lost, the
//! quotas start afresh and calls under way are not counted, which costs a refusal by the
//! provider at worst. The ledger on Redis does the same in `account.lua`.

mod breaker;
mod meter;
mod shared;
#[cfg(test)]
mod tests;

use crate::LedgerError;
use baton_workflow::AccountTerms;
use breaker::Breaker;
use meter::Meter;
pub use shared::Accounts;
use std::collections::{BTreeSet, HashMap};

/// How long to wait before asking again where nobody knows when a call under way will
/// end, in milliseconds.
pub const PERMIT_WAIT_MS: u64 = 100;
/// Longest pause that a provider can impose on its account, in milliseconds.
pub const PAUSE_MS_MAX: u64 = 600_000;
/// Longest life of a permit that is not extended, in milliseconds.
pub const PERMIT_MS_MAX: u64 = 3_600_000;
/// Permits that ran out and are taken back in one call.
const EXPIRED_MAX: usize = 256;

/// A call that somebody wants to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// Name of the provider.
    pub account: String,
    /// Names the call; drawn by the caller, not 0. Asked again under the same name, an
    /// admitted call is still admitted, and its permit lives on.
    pub permit: u64,
    /// Who is called, and how many calls it takes at the same time.
    pub agent: String,
    /// At least 1.
    pub agent_concurrency: u32,
    /// Tokens that the call will use, as far as one can tell.
    pub tokens: u64,
    /// For how long the call counts as under way, in milliseconds, 1 to
    /// [`PERMIT_MS_MAX`], if nobody releases or extends it: its caller has died.
    pub ttl_ms: u64,
    /// What the account allows, as it is configured now.
    pub terms: AccountTerms,
}

/// Whether a call may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, and has to be released.
    Admitted,
    /// Not now; nothing was set aside.
    Wait {
        /// What there is no room in.
        bound: Bound,
        /// When it may be worth asking again, in milliseconds, at least 1.
        ms: u64,
    },
}

/// What can keep a call waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The account fails: it is left alone, or one call is trying it out.
    Breaker,
    /// The provider asked to be left alone.
    Pause,
    /// Calls of the account under way.
    Concurrency,
    /// Calls of the agent under way.
    AgentConcurrency,
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Breaker,
        Self::Pause,
        Self::Concurrency,
        Self::AgentConcurrency,
        Self::Requests,
        Self::Tokens,
    ];

    /// A stable name for events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Pause => "pause",
            Self::Concurrency => "concurrency",
            Self::AgentConcurrency => "agent_concurrency",
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
        }
    }
}

/// The end of an admitted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// As admitted.
    pub account: String,
    /// As admitted. Released twice, or run out, it is nothing.
    pub permit: u64,
    /// Tokens used, if they are known: they take the estimate's place.
    pub tokens: Option<u64>,
    /// What the call says of the account.
    pub health: Health,
    /// As admitted.
    pub terms: AccountTerms,
}

/// What a call says of the account it was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, be it with a refusal.
    Well,
    /// It does not: no connection, a time-out, a server error, a broken reply.
    Failed,
    /// It wants fewer calls, and none for so many milliseconds if it said so.
    Limited {
        /// At most [`PAUSE_MS_MAX`] of them are kept.
        retry_after_ms: Option<u64>,
    },
    /// Nothing: the call was given up by the one who made it.
    Unknown,
}

impl Admit {
    /// What is wrong with it whatever the account's state.
    pub fn check(&self) -> Result<(), LedgerError> {
        let Self { account, permit, agent, agent_concurrency, tokens: _, ttl_ms, terms } = self;
        named(account)?;
        named(agent)?;
        terms.check().map_err(LedgerError::Invalid)?;
        let wrong = |what: String| Err(LedgerError::Invalid(what));
        if *permit == 0 || *agent_concurrency == 0 {
            return wrong(format!(
                "permit {permit}, agent_concurrency {agent_concurrency}: expected at least 1"
            ));
        }
        if !(1..=PERMIT_MS_MAX).contains(ttl_ms) {
            return wrong(format!("ttl_ms is {ttl_ms}: expected 1 to {PERMIT_MS_MAX}"));
        }
        Ok(())
    }
}

impl Release {
    /// What is wrong with it whatever the account's state.
    pub fn check(&self) -> Result<(), LedgerError> {
        named(&self.account)?;
        self.terms.check().map_err(LedgerError::Invalid)
    }
}

fn named(name: &str) -> Result<(), LedgerError> {
    let most = crate::NAME_BYTES_MAX;
    if (1..=most).contains(&name.len()) {
        return Ok(());
    }
    let found = name.len();
    Err(LedgerError::Invalid(format!("a name of {found} bytes: expected 1 to {most}")))
}

/// One account. `now` is the ledger's time in milliseconds and never falls.
#[derive(Debug, Default)]
pub(crate) struct Account {
    requests: Meter,
    tokens: Meter,
    paused_until: u64,
    breaker: Breaker,
    permits: HashMap<u64, Permit>,
    /// Permits by the end of their lives.
    ends: BTreeSet<(u64, u64)>,
    /// Calls under way of each agent that has any.
    agents: HashMap<String, u32>,
}

#[derive(Debug)]
struct Permit {
    ends: u64,
    agent: String,
    /// What the meter of tokens was charged.
    tokens: u64,
}

impl Account {
    pub(crate) fn admit(&mut self, now: u64, ask: &Admit) -> Admission {
        let ends = now + ask.ttl_ms;
        if let Some(permit) = self.permits.get_mut(&ask.permit) {
            self.ends.remove(&(permit.ends, ask.permit));
            permit.ends = ends;
            self.ends.insert((ends, ask.permit));
            return Admission::Admitted;
        }
        self.expire(now);
        if let Some((bound, ms)) = self.hindered(now, ask) {
            return Admission::Wait { bound, ms: ms.max(1) };
        }
        let tokens = match ask.terms.tokens_per_minute {
            Some(rate) => self.tokens.take(rate, ask.tokens),
            None => 0,
        };
        if let Some(rate) = ask.terms.requests_per_minute {
            self.requests.take(rate, 1);
        }
        self.breaker.admitted(ask.permit);
        *self.agents.entry(ask.agent.clone()).or_default() += 1;
        self.permits.insert(ask.permit, Permit { ends, agent: ask.agent.clone(), tokens });
        self.ends.insert((ends, ask.permit));
        Admission::Admitted
    }

    /// The first bound that leaves no room, and for how long.
    fn hindered(&mut self, now: u64, ask: &Admit) -> Option<(Bound, u64)> {
        let terms = ask.terms;
        if terms.breaker.is_none() {
            self.breaker = Breaker::default();
        }
        if let Some(ms) = self.breaker.wait_ms(now) {
            return Some((Bound::Breaker, ms));
        }
        if self.paused_until > now {
            return Some((Bound::Pause, self.paused_until - now));
        }
        if terms.concurrency.is_some_and(|most| self.permits.len() >= most as usize) {
            return Some((Bound::Concurrency, PERMIT_WAIT_MS));
        }
        if self.agents.get(&ask.agent).is_some_and(|calls| *calls >= ask.agent_concurrency) {
            return Some((Bound::AgentConcurrency, PERMIT_WAIT_MS));
        }
        let requests = terms.requests_per_minute.map(|rate| self.requests.wait_ms(now, rate, 1));
        if let Some(ms) = requests.filter(|ms| *ms > 0) {
            return Some((Bound::Requests, ms));
        }
        let tokens = terms.tokens_per_minute;
        let tokens = tokens.map(|rate| self.tokens.wait_ms(now, rate, ask.tokens));
        tokens.filter(|ms| *ms > 0).map(|ms| (Bound::Tokens, ms))
    }

    pub(crate) fn release(&mut self, now: u64, release: &Release) {
        let Some(permit) = self.remove(release.permit) else { return };
        if let (Some(rate), Some(tokens)) = (release.terms.tokens_per_minute, release.tokens) {
            self.tokens.correct(now, rate, permit.tokens, tokens);
        }
        if let Health::Limited { retry_after_ms: Some(ms) } = release.health {
            self.paused_until = self.paused_until.max(now + ms.min(PAUSE_MS_MAX));
        }
        match release.terms.breaker {
            Some(terms) => self.breaker.ended(now, release.permit, release.health, terms),
            None => self.breaker = Breaker::default(),
        }
    }

    fn expire(&mut self, now: u64) {
        for _ in 0..EXPIRED_MAX {
            let Some((ends, permit)) = self.ends.first().copied().filter(|(ends, _)| *ends <= now)
            else {
                return;
            };
            self.ends.remove(&(ends, permit));
            self.remove(permit);
            self.breaker.vanished(permit);
        }
    }

    fn remove(&mut self, permit: u64) -> Option<Permit> {
        let removed = self.permits.remove(&permit)?;
        self.ends.remove(&(removed.ends, permit));
        if let Some(calls) = self.agents.get_mut(&removed.agent) {
            *calls -= 1;
            if *calls == 0 {
                self.agents.remove(&removed.agent);
            }
        }
        Some(removed)
    }
}
