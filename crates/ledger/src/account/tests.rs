//! What must hold whatever is asked, and the stories of a breaker.

use super::*;
use baton_workflow::BreakerTerms;
use proptest::prelude::*;

const TTL_MS: u64 = 30_000;
const BREAKER: BreakerTerms =
    BreakerTerms { failure_percent: 50, calls_min: 4, window_ms: 1_000, open_ms: 500 };

fn ask(permit: u64, terms: AccountTerms) -> Admit {
    Admit {
        account: "a".into(),
        permit,
        agent: "one".into(),
        agent_concurrency: u32::MAX,
        tokens: 10,
        ttl_ms: TTL_MS,
        terms,
    }
}

fn end(permit: u64, health: Health, terms: AccountTerms) -> Release {
    Release { account: "a".into(), permit, tokens: None, health, terms }
}

fn waits(bound: Bound, ms: u64) -> Admission {
    Admission::Wait { bound, ms }
}

proptest! {
    /// However calls come, no minute, wherever it begins, sees more than the quota.
    #[test]
    fn no_minute_sees_more_than_its_quota(
        rate in 1_u64..200,
        pauses in prop::collection::vec(0_u64..3_000, 1..400),
    ) {
        let terms = AccountTerms { requests_per_minute: Some(rate), ..AccountTerms::default() };
        let mut account = Account::default();
        let (mut now, mut begun) = (1, Vec::new());
        for (permit, pause) in (1..).zip(pauses) {
            now += pause;
            if account.admit(now, &ask(permit, terms)) == Admission::Admitted {
                begun.push(now);
            }
        }
        for (first, from) in begun.iter().enumerate() {
            let within = begun[first..].iter().take_while(|at| **at < from + 60_000).count();
            prop_assert!(within as u64 <= rate, "{within} calls in the minute from {from}");
        }
    }

    /// The same of tokens, up to the one call that is larger than the bucket.
    #[test]
    fn no_minute_sees_more_tokens_than_its_quota(
        rate in 100_u64..100_000,
        calls in prop::collection::vec((0_u64..3_000, 1_u64..20_000), 1..300),
    ) {
        let terms = AccountTerms { tokens_per_minute: Some(rate), ..AccountTerms::default() };
        let mut account = Account::default();
        let (mut now, mut begun) = (1, Vec::new());
        for (permit, (pause, tokens)) in (1..).zip(calls) {
            now += pause;
            let ask = Admit { tokens, ..ask(permit, terms) };
            if account.admit(now, &ask) == Admission::Admitted {
                begun.push((now, tokens.min(rate)));
            }
        }
        for (first, (from, _)) in begun.iter().enumerate() {
            let within = begun[first..].iter().take_while(|(at, _)| *at < from + 60_000);
            let (sum, largest) = within.fold((0, 0), |(sum, largest), (_, tokens)| {
                (sum + tokens, largest.max(*tokens))
            });
            prop_assert!(sum <= rate + largest, "{sum} of {rate} tokens from {from}");
        }
    }

    /// Whoever waits as long as he is told, alone, is let in.
    #[test]
    fn a_wait_is_long_enough(
        requests in 1_u64..10_000,
        tokens in 1_u64..1_000_000,
        sizes in prop::collection::vec(0_u64..2_000_000, 1..60),
    ) {
        let terms = AccountTerms {
            requests_per_minute: Some(requests),
            tokens_per_minute: Some(tokens),
            ..AccountTerms::default()
        };
        let (mut account, mut now) = (Account::default(), 1);
        for (permit, size) in (1..).zip(sizes) {
            let ask = Admit { tokens: size, ..ask(permit, terms) };
            // One wait for each of the two quotas, at most.
            for _ in 0..2 {
                if let Admission::Wait { ms, .. } = account.admit(now, &ask) {
                    now += ms;
                }
            }
            prop_assert_eq!(account.admit(now, &ask), Admission::Admitted);
        }
    }

    /// Calls under way never exceed what account and agent take, and every permit that
    /// ends makes room.
    #[test]
    fn calls_at_a_time_are_bounded(
        most in 1_u32..6,
        each in 1_u32..4,
        ops in prop::collection::vec((any::<bool>(), 0_usize..3, 0_u64..9_000), 1..200),
    ) {
        let terms = AccountTerms { concurrency: Some(most), ..AccountTerms::default() };
        let mut account = Account::default();
        let (mut now, mut under_way) = (1, Vec::<(u64, usize, u64)>::new());
        for (permit, (begin, agent, pause)) in (1..).zip(ops) {
            now += pause;
            under_way.retain(|(_, _, ends)| *ends > now);
            if !begin {
                if let Some((permit, ..)) = under_way.pop() {
                    account.release(now, &end(permit, Health::Well, terms));
                }
                continue;
            }
            let name = ["x", "y", "z"][agent].to_owned();
            let ask = Admit { agent: name, agent_concurrency: each, ..ask(permit, terms) };
            let of_agent = under_way.iter().filter(|(_, of, _)| *of == agent).count();
            let expected = if under_way.len() >= most as usize {
                waits(Bound::Concurrency, PERMIT_WAIT_MS)
            } else if of_agent >= each as usize {
                waits(Bound::AgentConcurrency, PERMIT_WAIT_MS)
            } else {
                under_way.push((permit, agent, now + TTL_MS));
                Admission::Admitted
            };
            prop_assert_eq!(account.admit(now, &ask), expected);
        }
    }
}

#[test]
fn a_quota_is_a_burst_and_a_steady_rate() {
    let terms = AccountTerms { requests_per_minute: Some(60), ..AccountTerms::default() };
    let mut account = Account::default();
    let begun =
        (1..=20).filter(|permit| account.admit(1, &ask(*permit, terms)) == Admission::Admitted);
    assert_eq!(begun.count(), 7);
    assert_eq!(account.admit(1, &ask(99, terms)), waits(Bound::Requests, 1_112));
    assert_eq!(account.admit(1_113, &ask(99, terms)), Admission::Admitted);
}

#[test]
fn what_was_not_used_is_given_back() {
    let terms = AccountTerms { tokens_per_minute: Some(1_000), ..AccountTerms::default() };
    let mut account = Account::default();
    let large = Admit { tokens: 1_000, ..ask(1, terms) };
    assert_eq!(account.admit(1, &large), Admission::Admitted);
    assert!(matches!(
        account.admit(1, &ask(2, terms)),
        Admission::Wait { bound: Bound::Tokens, .. }
    ));
    let release = Release { tokens: Some(20), ..end(1, Health::Well, terms) };
    account.release(1, &release);
    assert_eq!(account.admit(1, &ask(2, terms)), Admission::Admitted);
}

#[test]
fn a_breaker_opens_tries_and_closes() {
    let terms = AccountTerms { breaker: Some(BREAKER), ..AccountTerms::default() };
    let mut account = Account::default();
    let mut call = |now, permit, health| {
        let admission = account.admit(now, &ask(permit, terms));
        if admission == Admission::Admitted {
            account.release(now, &end(permit, health, terms));
        }
        admission
    };
    for (permit, health) in (1..).zip([Health::Well, Health::Failed, Health::Well]) {
        assert_eq!(call(1_000, permit, health), Admission::Admitted);
    }
    // Neither says anything of the account's health.
    let neither = Health::Limited { retry_after_ms: None };
    assert_eq!(call(1_000, 4, neither), Admission::Admitted);
    assert_eq!(call(1_000, 5, Health::Unknown), Admission::Admitted);
    assert_eq!(call(1_000, 6, Health::Failed), Admission::Admitted);
    assert_eq!(call(1_200, 7, Health::Well), waits(Bound::Breaker, 300));
    assert_eq!(call(1_500, 8, Health::Failed), Admission::Admitted, "the probe");
    assert_eq!(call(1_600, 9, Health::Well), waits(Bound::Breaker, 400));
    assert_eq!(call(2_000, 10, Health::Well), Admission::Admitted, "the probe");
    assert_eq!(call(2_000, 11, Health::Failed), Admission::Admitted, "closed, with a clean slate");
    assert_eq!(call(2_000, 12, Health::Well), Admission::Admitted);
}

#[test]
fn one_call_at_a_time_tries_an_account_out() {
    let terms = AccountTerms { breaker: Some(BREAKER), ..AccountTerms::default() };
    let mut account = Account::default();
    for permit in 1..=4 {
        assert_eq!(account.admit(1, &ask(permit, terms)), Admission::Admitted);
        account.release(1, &end(permit, Health::Failed, terms));
    }
    let probe = Admit { ttl_ms: 1_000, ..ask(5, terms) };
    assert_eq!(account.admit(501, &probe), Admission::Admitted);
    assert_eq!(account.admit(502, &ask(6, terms)), waits(Bound::Breaker, PERMIT_WAIT_MS));
    assert_eq!(account.admit(503, &probe), Admission::Admitted, "asked again");
    // Its process dies: the next one tries.
    assert_eq!(account.admit(1_503, &ask(7, terms)), Admission::Admitted);
    account.release(1_504, &end(5, Health::Failed, terms));
    assert_eq!(account.admit(1_504, &ask(8, terms)), waits(Bound::Breaker, PERMIT_WAIT_MS));
    account.release(1_505, &end(7, Health::Well, terms));
    assert_eq!(account.admit(1_505, &ask(8, terms)), Admission::Admitted);
}

#[test]
fn old_failures_are_forgotten() {
    let terms = AccountTerms { breaker: Some(BREAKER), ..AccountTerms::default() };
    let mut account = Account::default();
    for (permit, now) in (1..).zip([1_000, 1_100, 1_200, 2_000, 2_100, 3_600]) {
        assert_eq!(account.admit(now, &ask(permit, terms)), Admission::Admitted, "at {now}");
        account.release(now, &end(permit, Health::Failed, terms));
    }
}

#[test]
fn a_provider_that_wants_a_pause_gets_it() {
    let mut account = Account::default();
    let terms = AccountTerms::default();
    assert_eq!(account.admit(1, &ask(1, terms)), Admission::Admitted);
    assert_eq!(account.admit(1, &ask(2, terms)), Admission::Admitted);
    account.release(1, &end(1, Health::Limited { retry_after_ms: Some(200) }, terms));
    account.release(1, &end(2, Health::Limited { retry_after_ms: Some(100) }, terms));
    assert_eq!(account.admit(51, &ask(3, terms)), waits(Bound::Pause, 150));
    assert_eq!(account.admit(201, &ask(3, terms)), Admission::Admitted);
}
