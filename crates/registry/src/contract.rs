//! What every registry must do, as a test of any of them.
//!
//! Membership may reach a reader late, through a watch; so the suite waits for what it
//! expects to see, and only then judges. It panics at the first thing that is wrong.

use crate::{Kind, Member, Registry, Settings};
use baton_workflow::AgentId;
use std::time::Duration;
use tokio::time::{Instant, sleep};

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

fn member(holder: &str, kind: Kind, agents: Vec<AgentId>) -> Member {
    Member { holder: holder.to_owned(), kind, address: "http://127.0.0.1:1".to_owned(), agents }
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
