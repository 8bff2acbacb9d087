//! Which checks are taken: those that run programs by who has a sandbox.
//!
//! While nobody has one, anybody takes them, to say what is missing: nothing waits for ever.

use crate::{NoSandbox, Verifier};
use baton_ledger::{Class, Lessee, Room, hand_back};
use baton_registry::{Kind, Members, Programs};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// For so long nobody who runs programs must have been known before others answer in their
/// place: a process that is started again has tried its sandbox by then.
const ALONE: Duration = Duration::from_secs(5);

impl Verifier {
    /// Leases and carries out checks until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let plain = self.take(Class::verify(), &self.room, stop.clone());
        tokio::join!(plain, self.take_programs(stop));
        hand_back(self.ledger.as_ref(), &self.holder).await;
    }

    /// Finds out whether there is a sandbox, and makes it known.
    ///
    /// # Errors
    /// When something got out of the sandbox: then this process should end.
    pub async fn probe(&self) -> Result<(), NoSandbox> {
        let programs = match self.sandbox().await {
            Ok(sandbox) => Programs::Isolated(sandbox.isolation().level.name().into()),
            Err(NoSandbox::Missing(what)) => Programs::Missing(what.to_string()),
            Err(escaped @ NoSandbox::Escaped(_)) => return Err(escaped),
        };
        let members = self.registry.members(Kind::Verifier);
        if let Some(member) = members.into_iter().find(|member| member.holder == self.holder) {
            let member = baton_registry::Member { programs: Some(programs), ..member };
            if let Err(error) = self.registry.announce(member).await {
                tracing::warn!(%error, "others do not know whether programs are run here");
            }
        }
        Ok(())
    }

    async fn take(&self, class: Class, room: &Room, stop: CancellationToken) {
        let lessee =
            Lessee { holder: self.holder.clone(), classes: vec![class], room: room.clone() };
        let (workshop, ledger) = (self.workshop.clone(), self.ledger.clone());
        lessee.run_in(workshop, ledger, Arc::new(self.clone()), stop).await;
    }

    async fn take_programs(&self, stop: CancellationToken) {
        let take = |stop| self.take(Class::verify_code(), &self.programs_room, stop);
        if self.alone {
            return take(stop).await;
        }
        match stop.run_until_cancelled(self.sandbox()).await {
            None => return,
            Some(Ok(_)) => return take(stop).await,
            Some(Err(NoSandbox::Missing(_) | NoSandbox::Escaped(_))) => {}
        }
        let mut members = self.registry.watch_members();
        while stop.run_until_cancelled(until_alone(&mut members)).await.is_some() {
            let others = stop.child_token();
            tokio::join!(take(others.clone()), async {
                // Whoever stops is told so by the token above.
                stop.run_until_cancelled(until(&mut members, true)).await;
                others.cancel();
            });
        }
    }
}

/// Until nobody who runs programs has been known for a while.
async fn until_alone(members: &mut watch::Receiver<Arc<Members>>) {
    loop {
        until(members, false).await;
        if timeout(ALONE, until(members, true)).await.is_err() {
            return;
        }
    }
}

/// Until somebody who runs programs is known, or nobody is.
async fn until(members: &mut watch::Receiver<Arc<Members>>, known: bool) {
    let gone = members.wait_for(|members| members.run_programs() == known).await.is_err();
    if gone {
        // There is no registry any more to say so.
        std::future::pending::<()>().await;
    }
}
