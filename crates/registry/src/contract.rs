//! What every registry must do, as a test of any of them.
//!
//! Membership may reach a reader late, through a watch; so the suite waits for what it
//! expects to see, and only then judges. It panics at the first thing that is wrong.

#![allow(clippy::panic, reason = "a suite of tests fails loudly")]

use crate::{
    Departures, Kind, Member, PolicySettings, Refusal, Registry, Settings, StrategySettings,
    settings_for,
};
use baton_workflow::{AgentCard, AgentId, Price};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long membership may take to be seen.
const SEEN: Duration = Duration::from_secs(10);
/// How often to look.
const LOOK: Duration = Duration::from_millis(5);

/// Runs the whole suite with any settings. `fresh` makes a registry that has them and
/// knows nobody.
pub async fn suite<R, F>(settings: &Settings, fresh: impl Fn(Settings) -> F)
where
    R: Registry,
    F: Future<Output = R>,
{
    let fresh = || fresh(settings.clone());
    assert_eq!(*fresh().await.settings(), *settings, "settings are kept as they were given");
    finds_members_by_kind(&fresh().await, settings).await;
    replaces_and_withdraws(&fresh().await).await;
    keeps_a_stable_order(&fresh().await).await;
    tells_who_comes_and_who_goes(&fresh().await).await;
    keeps_what_members_say_of_themselves(&fresh().await).await;
    puts_settings_into_force(&fresh().await).await;
}

/// Settings with one agent, for suites that need no particular ones.
pub fn settings() -> Settings {
    let card = AgentCard {
        id: agent("agent"),
        provider: "provider".into(),
        model: "model".into(),
        strengths: String::new(),
        price: Price::default(),
        context_tokens: 8,
        output_tokens: 8,
        concurrency: 1,
        images: false,
        abilities: Default::default(),
        tags: Default::default(),
    };
    let policy = PolicySettings::Strategy(StrategySettings::direct());
    let settings = settings_for(vec![card], BTreeMap::new(), policy);
    settings.unwrap_or_else(|error| panic!("one agent is a pool: {error}"))
}

fn agent(id: &str) -> AgentId {
    AgentId::new(id).unwrap_or_else(|error| panic!("{id} names an agent: {error}"))
}

async fn finds_members_by_kind(registry: &impl Registry, settings: &Settings) {
    assert_eq!(registry.members(Kind::WorkerAgent), [], "nobody is known at first");
    let hosted = settings.pool.agents().iter().map(|agent| agent.id.clone()).collect();
    let worker = member("worker", Kind::WorkerAgent, hosted);
    let verifier = member("verifier", Kind::Verifier, Vec::new());
    announce(registry, &worker).await;
    announce(registry, &verifier).await;
    expect(registry, Kind::WorkerAgent, &[worker], "a member is found whole").await;
    expect(registry, Kind::Verifier, &[verifier], "each kind has its own members").await;
    assert_eq!(registry.members(Kind::Gateway), [], "a kind that nobody serves has no members");
}

async fn replaces_and_withdraws(registry: &impl Registry) {
    let first = member("a", Kind::Conductor, Vec::new());
    let moved = Member { address: "http://127.0.0.1:2".to_owned(), ..first.clone() };
    announce(registry, &first).await;
    announce(registry, &moved).await;
    expect(registry, Kind::Conductor, &[moved], "announcing again replaces").await;

    let became = Member { kind: Kind::Gateway, ..first };
    announce(registry, &became).await;
    expect(registry, Kind::Gateway, &[became], "a holder is found under its last kind").await;
    expect(registry, Kind::Conductor, &[], "and under no other").await;

    for _ in 0..2 {
        let withdrawn = registry.withdraw("a").await;
        assert_eq!(withdrawn, Ok(()), "withdrawing can be repeated");
    }
    expect(registry, Kind::Gateway, &[], "who is withdrawn is not found").await;
}

async fn keeps_a_stable_order(registry: &impl Registry) {
    let named = |holder| member(holder, Kind::Verifier, Vec::new());
    let members = ["c", "a", "b"].map(named);
    for member in &members {
        announce(registry, member).await;
    }
    let [c, a, b] = members;
    let sorted = [a, b.clone(), c.clone()];
    expect(registry, Kind::Verifier, &sorted, "members are in the order of their holders").await;
    let withdrawn = registry.withdraw("a").await;
    assert_eq!(withdrawn, Ok(()), "a member can be withdrawn");
    expect(registry, Kind::Verifier, &[b, c], "and the others stay in their order").await;
}

async fn tells_who_comes_and_who_goes(registry: &impl Registry) {
    let mut members = registry.watch_members();
    announce(registry, &member("stays", Kind::Conductor, Vec::new())).await;
    announce(registry, &member("goes", Kind::Verifier, Vec::new())).await;
    let both = members.wait_for(|known| known.get("goes").is_some() && known.all().count() == 2);
    let told = matches!(timeout(SEEN, both).await, Ok(Ok(_)));
    assert!(told, "whoever watches is told who comes");
    let mut departures = Departures::of(registry);
    assert_eq!(registry.withdraw("goes").await, Ok(()), "a member can be withdrawn");
    let gone = timeout(SEEN, departures.next()).await.unwrap_or_default();
    let gone: Vec<_> = gone.iter().map(|member| member.holder.as_str()).collect();
    assert_eq!(gone, ["goes"], "and who goes, and nobody else");
    announce(registry, &member("stays", Kind::Gateway, Vec::new())).await;
    expect(registry, Kind::Gateway, &[member("stays", Kind::Gateway, Vec::new())], "kind").await;
    let more = timeout(Duration::ZERO, departures.next()).await;
    assert_eq!(more.ok(), None, "one who goes is told of once, and a change is no departure");
}

async fn keeps_what_members_say_of_themselves(registry: &impl Registry) {
    let said = Member {
        agents: vec![agent("b"), agent("a")],
        capacity: 12,
        load: 3,
        version: "7.8.9-rc.1".to_owned(),
        ..member("worker", Kind::WorkerAgent, Vec::new())
    };
    announce(registry, &said).await;
    expect(registry, Kind::WorkerAgent, std::slice::from_ref(&said), "all of it is kept").await;
    registry.set_load("worker", 9);
    registry.set_load("nobody", 9);
    let busier = Member { load: 9, ..said };
    expect(registry, Kind::WorkerAgent, &[busier], "another load is seen, of nobody else").await;
}

async fn puts_settings_into_force(registry: &impl Registry) {
    let mut watched = registry.watch();
    let first = registry.configuration();
    assert_eq!((first.version, &first.refusal), (1, &None), "the first version is 1");
    let mut settings = (*first.settings).clone();
    settings.single_flight = !settings.single_flight;

    registry.refuse(Some(Refusal::now("a test", Vec::new())));
    assert!(watched.has_changed().unwrap_or_default(), "a refusal is told");
    let refused = watched.borrow_and_update().clone();
    assert!(refused.refusal.is_some(), "what was refused is shown");
    assert_eq!((refused.version, &refused.settings), (1, &first.settings), "and changes nothing");

    let version = registry.accept(settings.clone(), vec!["server.data".to_owned()]);
    assert!(watched.has_changed().unwrap_or_default(), "a change is told");
    let accepted = watched.borrow_and_update().clone();
    assert_eq!((accepted.version, version), (2, 2), "each change has the next version");
    assert_eq!(*accepted.settings, settings, "what was accepted is in force");
    assert_eq!(accepted.refusal, None, "and what was refused before is forgotten");
    assert_eq!(accepted.restart, ["server.data"], "what waits for a restart is named");
    registry.refuse(None);
    assert_eq!(registry.configuration(), accepted, "nothing to refuse changes nothing");
}

fn member(holder: &str, kind: Kind, agents: Vec<AgentId>) -> Member {
    Member { agents, ..Member::new(holder, kind, "http://127.0.0.1:1") }
}

async fn announce(registry: &impl Registry, member: &Member) {
    let announced = registry.announce(member.clone()).await;
    assert_eq!(announced, Ok(()), "a member can be announced");
}

async fn expect(registry: &impl Registry, kind: Kind, members: &[Member], rule: &str) {
    let deadline = Instant::now() + SEEN;
    while registry.members(kind) != members && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    assert_eq!(registry.members(kind), members, "{rule}");
}
