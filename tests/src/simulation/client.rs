//! Clients that ask, ask again when no answer comes, and sometimes change their minds.

use super::world::{Sabotage, World};
use baton_ledger::{Ledger as _, LedgerError};
use baton_proto::v1::{self, conductor_server::Conductor as _};
use baton_workflow::RunId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use tonic::Request;

/// Requests of one schedule.
const REQUESTS: u64 = 5;
/// How long a client waits for its request to be taken, before it sends it again.
const PATIENCE: Duration = Duration::from_secs(10);
/// What runs are asked for.
const MODELS: [&str; 5] =
    ["baton", "baton", "baton/direct", "baton/plan_execute_verify", "baton/self_consistency"];

/// The tenant of all requests.
pub(super) const TENANT: &str = "default";

/// Sends all requests; which run each was given.
pub(super) async fn ask_all(world: &Arc<World>) -> BTreeMap<u64, RunId> {
    let clients: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let world = world.clone();
            tokio::spawn(async move { (number, ask(&world, number).await) })
        })
        .collect();
    let mut asked = BTreeMap::new();
    for client in clients {
        let (number, run) = client.await.unwrap();
        asked.insert(number, run);
    }
    asked
}

async fn ask(world: &World, number: u64) -> RunId {
    sleep(Duration::from_millis(world.between(0, 60_000))).await;
    let model = MODELS[usize::try_from(world.between(0, 4)).unwrap()];
    let checked = world.chance(0.5);
    for attempt in 0_u32.. {
        let key = match world.sabotage {
            Sabotage::FreshKeys => format!("{number}/{attempt}"),
            Sabotage::None | Sabotage::AnyToken | Sabotage::Forgetful => number.to_string(),
        };
        let conductor = {
            let shared = world.lock();
            let turn = (number as usize + attempt as usize) % shared.conductors.len().max(1);
            shared.conductors.get(turn).map(|(_, conductor)| conductor.clone())
        };
        let Some(conductor) = conductor else {
            sleep(PATIENCE).await;
            continue;
        };
        let request = Request::new(submission(model, number, key, checked));
        if let Ok(Ok(reply)) = timeout(PATIENCE, conductor.submit(request)).await {
            let run = RunId::new(reply.into_inner().run).unwrap();
            if world.mishap(0.15) {
                sleep(Duration::from_millis(world.between(0, 20_000))).await;
                // It may have ended meanwhile.
                let _asked = world.ledger.cancel(&run, "changed my mind").await;
            }
            return run;
        }
        sleep(Duration::from_millis(world.between(100, 2_000))).await;
    }
    unreachable!("attempts are not counted out");
}

fn submission(model: &str, number: u64, key: String, checked: bool) -> v1::SubmitRequest {
    let part = v1::Part { part: Some(v1::part::Part::Text(question(number))) };
    let message = v1::Message {
        role: v1::message::Role::User.into(),
        parts: vec![part],
        ..v1::Message::default()
    };
    let conversation = v1::Conversation { messages: vec![message], ..v1::Conversation::default() };
    let check = checked.then(|| v1::run_options::Check::Judge("deep".into()));
    v1::SubmitRequest {
        tenant: TENANT.into(),
        model: model.into(),
        conversation: Some(conversation),
        idempotency_key: Some(key),
        options: Some(v1::RunOptions { check, rounds: Some(3), ..v1::RunOptions::default() }),
        awaits: false,
    }
}

/// What the request of this number asks.
pub(super) fn question(number: u64) -> String {
    format!("question {number}")
}

/// Waits until every run that was given out has ended.
pub(super) async fn all_ended(world: &World, asked: &BTreeMap<u64, RunId>) {
    for run in asked.values() {
        loop {
            match world.ledger.read(run, baton_ledger::END).await {
                Ok(view) if view.end.is_none() => sleep(Duration::from_secs(1)).await,
                // What is not there any more is found by the checks.
                Ok(_) | Err(LedgerError::NoSuchRun(_)) => break,
                Err(error) => panic!("{run} cannot be read: {error}"),
            }
        }
    }
}
