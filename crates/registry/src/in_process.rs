//! The registry of a single process.

use crate::{
    Configuration, InForce, Kind, Member, Members, Refusal, Registry, RegistryError, Settings,
};
use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// The registry of a single process: membership in memory, configuration given.
#[derive(Debug)]
pub struct InProcess {
    members: watch::Sender<Arc<Members>>,
    in_force: InForce,
}

impl InProcess {
    /// Nobody yet, and these settings as version 1.
    pub fn new(settings: Settings) -> Self {
        Self { members: watch::Sender::new(Arc::default()), in_force: InForce::new(settings) }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Member>)) {
        self.members.send_modify(|members| {
            let mut alive: BTreeMap<_, _> =
                members.all().map(|member| (member.holder.clone(), member.clone())).collect();
            change(&mut alive);
            *members = Arc::new(Members::new(alive, Vec::new()));
        });
    }
}

#[async_trait]
impl Registry for InProcess {
    async fn announce(&self, member: Member) -> Result<(), RegistryError> {
        self.change(|alive| drop(alive.insert(member.holder.clone(), member)));
        Ok(())
    }

    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError> {
        self.change(|alive| drop(alive.remove(holder)));
        Ok(())
    }

    fn set_load(&self, holder: &str, load: u32) {
        self.change(|alive| {
            if let Some(member) = alive.get_mut(holder) {
                member.load = load;
            }
        });
    }

    fn watch_members(&self) -> watch::Receiver<Arc<Members>> {
        self.members.subscribe()
    }

    fn members(&self, kind: Kind) -> Vec<Member> {
        self.members.borrow().of(kind).cloned().collect()
    }

    fn configuration(&self) -> Arc<Configuration> {
        self.in_force.configuration()
    }

    fn watch(&self) -> watch::Receiver<Arc<Configuration>> {
        self.in_force.watch()
    }

    fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        self.in_force.accept(settings, restart)
    }

    fn refuse(&self, refusal: Option<Refusal>) {
        self.in_force.refuse(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[tokio::test]
    async fn one_process_keeps_the_contract() {
        contract::suite(&contract::settings(), async |settings| InProcess::new(settings)).await;
    }
}
