//! The service, asked over its wire types, with models that say what a test wants.

use crate::Verifier;
use async_trait::async_trait;
use baton_call::Caller;
use baton_ledger::EmbeddedLedger;
use baton_proto::v1::{
    VerifyReply, VerifyRequest, verifier_server::Verifier as _, verify_reply::Kind,
    verify_request::Check,
};
use baton_provider::{
    ChatEvent, ChatRequest, ChatStream, Finish, Finished, Provider, ProviderError, RetryPolicy,
    Usage,
};
use baton_registry::{InProcess, PolicySettings, StrategySettings, settings_for};
use baton_telemetry::Metrics;
use baton_workflow::{AgentCard, AgentId, Price};
use futures::{FutureExt as _, StreamExt as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tonic::{Code, Request};

/// What a model says to what it is asked; none is nothing for ever.
type Says = fn(&str) -> Option<&'static str>;

/// A provider whose models say what a test wants.
struct Scripted {
    says: Says,
    asked: Mutex<Vec<ChatRequest>>,
}

#[async_trait]
impl Provider for Scripted {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let said = (self.says)(&request.messages.last().unwrap().plain());
        self.asked.lock().unwrap().push(request);
        let Some(text) = said else { return std::future::pending().await };
        let usage = Some(Usage { tokens_in: 10, tokens_out: 5, ..Usage::default() });
        let finished = Finished { finish: Finish::Stop, usage, model: "m".into() };
        let events = [Ok(ChatEvent::Text(text.into())), Ok(ChatEvent::Finished(finished))];
        Ok(futures::stream::iter(events).boxed())
    }
}

/// `id model price`, and a family where a tag says it.
fn card(line: &str) -> AgentCard {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap();
    AgentCard {
        id: AgentId::new(word()).unwrap(),
        provider: "p".into(),
        model: word().into(),
        strengths: String::new(),
        price: Price::from_dollars(1.0, word().parse().unwrap()).unwrap(),
        context_tokens: 10_000,
        output_tokens: 2_000,
        concurrency: 8,
        images: false,
        abilities: Default::default(),
        tags: words.map(str::to_owned).collect::<BTreeSet<_>>(),
    }
}

const POOL: [&str; 4] = [
    "gpt-big gpt-5 9",
    "gpt-small openai/GPT-5-mini 1",
    "claude claude-4 5",
    "tuned ft:7 2 family:gpt",
];

struct Bench {
    verifier: Verifier,
    models: Arc<Scripted>,
    metrics: Metrics,
}

impl Bench {
    fn of(pool: &[&str], judge: Option<&str>, says: Says) -> Self {
        let cards = pool.iter().map(|line| card(line)).collect();
        let policy = PolicySettings::Strategy(StrategySettings::direct());
        let mut settings = settings_for(cards, BTreeMap::new(), policy).unwrap();
        settings.judge = judge.map(|id| AgentId::new(id).unwrap());
        let models = Arc::new(Scripted { says, asked: Mutex::default() });
        let provider: Arc<dyn Provider> = models.clone();
        let retry = RetryPolicy { attempts_max: 1, base_ms: 1, cap_ms: 1 };
        let caller = Caller::new(BTreeMap::from([("p".to_owned(), provider)]), retry);
        let ledger = Arc::new(EmbeddedLedger::in_memory().unwrap());
        let registry = Arc::new(InProcess::new(settings));
        let metrics = Metrics::default();
        let verifier = Verifier::new("v".into(), ledger, registry, caller).measured(&metrics);
        Self { verifier, models, metrics }
    }

    fn says(says: Says) -> Self {
        Self::of(&POOL, None, says)
    }

    async fn verify(&self, request: VerifyRequest) -> VerifyReply {
        self.verifier.verify(Request::new(request)).await.unwrap().into_inner()
    }

    /// Calls so far, and the models that were asked.
    fn calls(&self) -> usize {
        self.models.asked.lock().unwrap().len()
    }
}

/// Candidates `author: text`, or `text` of nobody known.
fn request(check: &str, candidates: &[&str]) -> VerifyRequest {
    let split = candidates.iter().map(|line| line.split_once(": ").unwrap_or(("", line)));
    let (authors, candidates) = split.map(|(who, what)| (who.into(), what.into())).unzip();
    VerifyRequest {
        question: "What is 2 + 2?".into(),
        candidates,
        authors,
        check: Some(Check::CheckJson(check.into())),
        ..VerifyRequest::default()
    }
}

fn spent(reply: &VerifyReply) -> (u32, u64) {
    let usage = reply.usage.unwrap();
    (usage.calls, usage.tokens_in + usage.tokens_out)
}

fn passes(_: &str) -> Option<&'static str> {
    Some("It holds.\nVerdict: pass")
}

const BINARY: &str = r#"{"type": "judge.binary"}"#;
const PAIRWISE: &str = r#"{"type": "judge.pairwise"}"#;

#[tokio::test]
async fn a_judge_is_of_another_family_than_the_author() {
    for (pool, configured, author, judge, code, evidence) in [
        (&POOL[..], None, "gpt-small: 4", "claude", "accepted", None),
        (&POOL, None, "tuned: 4", "claude", "accepted", None),
        // The dearest of those that may, unless one is configured.
        (&POOL, None, "claude: 4", "gpt-big", "accepted", None),
        (&POOL, Some("gpt-small"), "claude: 4", "gpt-small", "accepted", None),
        (&POOL, Some("gpt-small"), "gpt-big: 4", "claude", "accepted", None),
        (&POOL[..2], None, "gpt-big: 4", "", "no_other_family", None),
        (&POOL, None, "4", "gpt-big", "accepted", Some("the author's family is not known")),
    ] {
        let bench = Bench::of(pool, configured, passes);
        let reply = bench.verify(request(BINARY, &[author])).await;
        let verifier = format!("judge.binary/1 {judge}");
        assert_eq!(reply.verifier.trim(), verifier.trim(), "{author}");
        assert_eq!((reply.code.as_str(), reply.evidence.as_deref()), (code, evidence), "{author}");
        assert_eq!(bench.calls(), usize::from(!judge.is_empty()), "{author}");
        assert_eq!(spent(&reply).0 as usize, bench.calls());
    }
    // Who is asked for by name judges, and it is said what that is worth.
    let bench = Bench::says(passes);
    let named = r#"{"type": "judge.binary", "model": "gpt-big"}"#;
    let reply = bench.verify(request(named, &["gpt-small: 4"])).await;
    assert_eq!(reply.kind(), Kind::Pass);
    assert_eq!(reply.evidence.as_deref(), Some("judged by its own family, gpt"));
    let unknown = r#"{"type": "judge.binary", "model": "nobody"}"#;
    let reply = bench.verify(request(unknown, &["gpt-small: 4"])).await;
    assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Unavailable, "agent_unknown"));
}

#[tokio::test]
async fn what_matters_is_told_to_the_judge() {
    let bench = Bench::says(|asked| {
        Some(if asked.contains("brevity") { "Verdict: fail" } else { "Verdict: pass" })
    });
    let check = r#"{"type": "judge.binary", "criteria": "brevity"}"#;
    let reply = bench.verify(request(check, &["4"])).await;
    assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Fail, "rejected"));
}

#[tokio::test]
async fn the_same_content_is_judged_once() {
    let bench = Bench::says(passes);
    let mine = VerifyRequest { tenant: Some("me".into()), ..request(BINARY, &["claude: 4"]) };
    let first = bench.verify(mine.clone()).await;
    assert_eq!((first.cached, spent(&first), bench.calls()), (false, (1, 15), 1));
    let again = bench.verify(mine.clone()).await;
    assert_eq!((again.cached, spent(&again), bench.calls()), (true, (0, 0), 1));
    let report =
        |reply: &VerifyReply| VerifyReply { cached: false, ms: 0, usage: None, ..reply.clone() };
    assert_eq!(report(&first), report(&again));
    // What is told of the author is no part of the content.
    let named = VerifyRequest { authors: vec![], ..mine.clone() };
    assert!(bench.verify(named).await.evidence.is_some());
    // Each of these is another content.
    let yours = VerifyRequest { tenant: Some("you".into()), ..mine.clone() };
    let other = VerifyRequest { question: "What is 3 + 1?".into(), ..mine.clone() };
    let wrong = VerifyRequest { candidates: vec!["5".into()], ..mine };
    for (number, content) in [yours, other, wrong].into_iter().enumerate() {
        let reply = bench.verify(content).await;
        assert_eq!((reply.cached, bench.calls()), (false, number + 2));
    }
    let shown = bench.metrics.render();
    for line in ["baton_verifier_reports_total{outcome=\"hit\"} 2", "{outcome=\"miss\"} 4"] {
        assert!(shown.contains(line), "no {line} in {shown}");
    }
}

#[tokio::test]
async fn what_says_nothing_is_not_kept() {
    let bench = Bench::says(|_| Some("I cannot tell."));
    for calls in 1..=2 {
        let reply = bench.verify(request(BINARY, &["4"])).await;
        assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Abstain, "no_verdict"));
        assert_eq!((reply.cached, bench.calls()), (false, calls));
    }
    let bench = Bench::says(|_| Some(""));
    for calls in 1..=2 {
        let reply = bench.verify(request(BINARY, &["4"])).await;
        assert_eq!((reply.kind(), reply.cached, bench.calls()), (Kind::Unavailable, false, calls));
    }
}

/// Whichever it finds right, wherever it stands.
fn prefers_the_right_one(asked: &str) -> Option<&'static str> {
    let (first, second) = asked.split_once("</first>").unwrap();
    Some(match (first.contains("right"), second.contains("right")) {
        (true, false) => "Better: first",
        (false, true) => "Better: second",
        (true, true) | (false, false) => "Better: neither",
    })
}

#[tokio::test]
async fn candidates_are_compared_in_both_orders() {
    for (says, candidates, kind, choice, calls) in [
        (prefers_the_right_one as Says, &["a", "right"][..], Kind::Pass, 1, 2),
        (prefers_the_right_one, &["right", "a", "b"], Kind::Pass, 0, 4),
        (prefers_the_right_one, &["a", "b", "right"], Kind::Pass, 2, 4),
        (prefers_the_right_one, &["a", "right", "b"], Kind::Pass, 1, 4),
        (prefers_the_right_one, &["a", "b"], Kind::Abstain, 0, 2),
        // A judge that goes by the place is no judge.
        (|_| Some("Better: first"), &["a", "right"], Kind::Abstain, 0, 2),
        (|_| Some("Better: second"), &["a", "right"], Kind::Abstain, 0, 2),
        (|_| Some("Both are fine."), &["a", "right"], Kind::Abstain, 0, 2),
        // The one that most agree on leads, and equal ones are one.
        (|_| Some("Better: first"), &["a", "b", "b", "c"], Kind::Abstain, 1, 4),
        // More than half need no judge.
        (|_| Some("Better: first"), &["a", "b", "b"], Kind::Pass, 1, 0),
    ] {
        let bench = Bench::says(says);
        let reply = bench.verify(request(PAIRWISE, candidates)).await;
        let found = (reply.kind(), reply.choice, bench.calls());
        assert_eq!(found, (kind, Some(choice), calls), "{candidates:?} {reply:?}");
        assert_eq!(spent(&reply).0 as usize, calls);
        assert!(reply.class.is_some(), "{reply:?}");
    }
}

#[tokio::test]
async fn nobody_compares_what_its_own_family_wrote() {
    let bench = Bench::says(prefers_the_right_one);
    let reply = bench.verify(request(PAIRWISE, &["claude: a", "gpt-big: right"])).await;
    assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Abstain, "no_other_family"));
    assert_eq!((reply.choice, bench.calls()), (Some(0), 0));
    let reply = bench.verify(request(PAIRWISE, &["tuned: a", "gpt-big: right"])).await;
    assert_eq!(reply.verifier, "judge.pairwise/1 claude");
}

#[tokio::test]
async fn a_budget_bounds_what_judges_cost() {
    let bench = Bench::says(prefers_the_right_one);
    let within = |usd: f64, tokens| VerifyRequest {
        usd: Some(usd),
        tokens: Some(tokens),
        ..request(PAIRWISE, &["claude: a", "claude: right", "b"])
    };
    for (usd, tokens) in [(0.000_001, 100_000), (1.0, 500)] {
        let reply = bench.verify(within(usd, tokens)).await;
        assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Unavailable, "budget_spent"));
        assert_eq!((spent(&reply).0, bench.calls()), (0, 0), "{reply:?}");
    }
    // What one call leaves of its reservation pays for the next.
    let reply = bench.verify(within(1.0, 4_000)).await;
    assert_eq!((reply.kind(), bench.calls()), (Kind::Pass, 4), "{reply:?}");
}

#[tokio::test]
async fn a_composite_asks_the_cheapest_first() {
    let composite = |parts: &str| format!(r#"{{"type": "composite", "checks": [{parts}]}}"#);
    let judge = r#"{"type": "judge.binary", "model": "claude"}"#;
    let right = r#"{"type": "math.answer", "expected": "4"}"#;
    let unsure = r#"{"type": "math.answer", "expected": "1/3"}"#;
    let pass = passes as Says;
    let fail = (|_: &str| Some("It is not.\nVerdict: fail")) as Says;
    for (says, parts, answer, kind, code, calls, evidence) in [
        (
            pass,
            [judge, right],
            "4",
            Kind::Pass,
            "accepted",
            1,
            "math.answer/1: pass (accepted); judge.binary/1 claude: pass (accepted)",
        ),
        (pass, [judge, right], "5", Kind::Fail, "wrong", 0, "math.answer/1: fail (wrong)"),
        (
            fail,
            [judge, right],
            "4",
            Kind::Fail,
            "rejected",
            1,
            "math.answer/1: pass (accepted); judge.binary/1 claude: fail (rejected)",
        ),
        (
            pass,
            [judge, unsure],
            "0.333333",
            Kind::Abstain,
            "undecided",
            1,
            "math.answer/1: abstain (undecided); judge.binary/1 claude: pass (accepted)",
        ),
        (
            fail,
            [judge, unsure],
            "0.333333",
            Kind::Fail,
            "rejected",
            1,
            "math.answer/1: abstain (undecided); judge.binary/1 claude: fail (rejected)",
        ),
        (
            (|_| Some("")) as Says,
            [judge, right],
            "4",
            Kind::Unavailable,
            "empty",
            1,
            "math.answer/1: pass (accepted); judge.binary/1 claude: unavailable (empty)",
        ),
    ] {
        let bench = Bench::says(says);
        let reply = bench.verify(request(&composite(&parts.join(",")), &[answer])).await;
        assert_eq!(
            (reply.kind(), reply.code.as_str(), bench.calls()),
            (kind, code, calls),
            "{reply:?}"
        );
        assert_eq!(reply.evidence.as_deref(), Some(evidence));
        assert!(reply.verifier.starts_with("composite/1 "), "{reply:?}");
        // Whoever tries again is told what the failing part says.
        assert_eq!(reply.feedback.contains("It is not."), code == "rejected", "{reply:?}");
    }
}

#[tokio::test]
async fn a_judge_is_cut_off_at_the_deadline_of_the_call() {
    let bench = Bench::says(|_| None);
    let mut asked = Request::new(request(BINARY, &["4"]));
    asked.set_timeout(Duration::from_millis(300));
    let asking = tokio::time::timeout(Duration::from_secs(30), bench.verifier.verify(asked));
    let reply = asking.await.unwrap().unwrap().into_inner();
    assert_eq!((reply.kind(), reply.code.as_str()), (Kind::Unavailable, "deadline"), "{reply:?}");
    // It may have been charged.
    assert!((200..300).contains(&reply.ms) && reply.estimated && spent(&reply).0 == 1, "{reply:?}");
}

#[tokio::test]
async fn two_verifiers_say_the_same_byte_for_byte() {
    let checks = [
        r#"{"type": "math.answer", "expected": "\\frac{1}{2}"}"#,
        r#"{"type": "text.regex", "pattern": "a+"}"#,
        r#"{"type": "composite", "checks": [{"type": "text.exact", "expected": "x"}, {"type": "math.answer", "expected": 2}]}"#,
        r#"{"type": "judge.binary", "model": "claude"}"#,
    ];
    for check in checks {
        for candidate in ["Answer: 0.5", "aa", "0.333333", ""] {
            let mut said = Vec::new();
            for _ in 0..2 {
                let bench = Bench::says(passes);
                let reply = bench.verify(request(check, &[candidate])).await;
                said.push(VerifyReply { ms: 0, ..reply });
            }
            assert_eq!(format!("{:?}", said[0]), format!("{:?}", said[1]), "{check} {candidate}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused_with_the_field() {
    let bench = Bench::says(passes);
    let refused = |request: VerifyRequest| {
        let asking = bench.verifier.verify(Request::new(request)).now_or_never().unwrap();
        let status = asking.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    };
    assert_eq!(refused(VerifyRequest::default()), "check is missing");
    assert_eq!(refused(request(BINARY, &[])), "candidates is empty");
    let pattern = r#"{"type": "text.regex", "pattern": "("}"#;
    assert!(refused(request(pattern, &["a"])).starts_with("pattern: it is no"));
    let authors =
        VerifyRequest { authors: vec!["a".into(), "b".into()], ..request(BINARY, &["4"]) };
    assert!(refused(authors).starts_with("2 authors for 1 candidates"));
    let usd = VerifyRequest { usd: Some(-1.0), ..request(BINARY, &["4"]) };
    assert!(!refused(usd).is_empty());
}
