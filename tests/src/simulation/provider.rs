//! Models that answer after a while, or fail.

use super::{link::Process, world::World};
use async_trait::async_trait;
use baton_provider::{
    ChatEvent, ChatRequest, ChatStream, Finish, Finished, Provider, ProviderError, Usage,
};
use futures::{StreamExt as _, stream};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Plans as a policy writes them; the last one cannot be read.
const PLANS: [&str; 4] = [
    "model_id = [0]\nsubtasks = [\"Answer.\"]\naccess_list = [[]]",
    "model_id = [0, 1, 0]\nsubtasks = [\"Think.\", \"Think else.\", \"Merge.\"]\naccess_list = [[], [], [\"all\"]]",
    "model_id = [1, 0]\nsubtasks = [\"Plan.\", \"Carry it out.\"]\naccess_list = [[], [0]]",
    "I would rather not.",
];

/// The models, as one process reaches them.
pub(super) struct Simulator {
    pub(super) world: Arc<World>,
    pub(super) process: Arc<Process>,
}

#[async_trait]
impl Provider for Simulator {
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream, ProviderError> {
        let world = &self.world;
        self.process.goes_on().await;
        let key = request.idempotency_key.clone().unwrap_or_default();
        *world.lock().asked.entry(key).or_default() += 1;
        world.note(&request.model);
        sleep(Duration::from_millis(world.between(5, 5_000))).await;
        self.process.goes_on().await;
        if world.mishap(0.1) {
            let message = "out of order".to_owned();
            return Err(ProviderError::Server { status: 503, retry_after_ms: None, message });
        }
        let judges = request.messages.iter().any(|m| format!("{m:?}").contains("Verdict: pass"));
        let text = match request.model.as_str() {
            "policy" => PLANS[usize::try_from(world.between(0, 3)).unwrap()].to_owned(),
            _ if judges && world.chance(0.5) => "It does not hold.\nVerdict: fail".to_owned(),
            _ if judges => "It holds.\nVerdict: pass".to_owned(),
            model => format!("{model} says {}", world.between(0, 9)),
        };
        let usage = Usage { tokens_in: 100, tokens_out: 20, ..Usage::default() };
        let (model, id) = (request.model.clone(), String::new());
        let finished = Finished { finish: Finish::Stop, usage: Some(usage), model, id };
        Ok(stream::iter([ChatEvent::Text(text), ChatEvent::Finished(finished)].map(Ok)).boxed())
    }
}
