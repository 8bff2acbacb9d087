//! Waking whoever waits: one subscription for the process, sorted out here.
//!
//! No hint is needed: every second somebody looks at each queue for which anybody waits,
//! and every few seconds at each watched run, whether hints arrive or not.

use crate::turns::Turns;
use baton_ledger::Class;
use futures::StreamExt;
use redis::Client;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How often everybody who waits looks without a hint.
const SWEEP: Duration = Duration::from_secs(1);
/// One sweep in so many looks at watched runs, too: there are many of them, and a hint is
/// lost only with the connection, after which everybody looks anyway.
const SWEEP_RUNS_ONE_IN: u32 = 5;
/// Pause before subscribing again.
const RESUBSCRIBE: Duration = Duration::from_millis(250);
/// How long a subscription may take.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(5);

/// How many tasks may be had of a class; what happened to a run; that a tenant has come
/// into a class where others are served.
const READY: &str = "ready";
const STIRRED: &str = "stirred";
const NEWCOMER: &str = "newcomer";
const CHANNELS: [&str; 3] = [READY, STIRRED, NEWCOMER];

/// What one server's hints are about.
pub(crate) struct Hints {
    /// The beginnings of the channels' names, each with the number of its shard.
    pub(crate) bases: Vec<(String, usize)>,
    pub(crate) turns: Arc<Turns>,
}

type Topics = HashMap<String, Arc<Notify>>;

/// Who waits for what, in this process.
#[derive(Default)]
pub(crate) struct Waker {
    classes: Mutex<Topics>,
    runs: Mutex<Topics>,
}

/// A wait that has begun: what happens from now on ends it.
pub(crate) type Wait = Pin<Box<OwnedNotified>>;

fn locked(topics: &Mutex<Topics>) -> MutexGuard<'_, Topics> {
    topics.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for(topics: &Mutex<Topics>, topic: &str) -> Wait {
    let notify = locked(topics).entry(topic.to_owned()).or_default().clone();
    let mut wait = Box::pin(notify.notified_owned());
    wait.as_mut().enable();
    wait
}

impl Waker {
    /// Until a task may be had from the class; one waiter is woken for each task.
    pub(crate) fn class(&self, class: &str) -> Wait {
        wait_for(&self.classes, class)
    }

    /// Until something happened to the run; all waiters are woken.
    pub(crate) fn run(&self, run: &str) -> Wait {
        wait_for(&self.runs, run)
    }

    /// Lets `count` more who wait for the class look.
    pub(crate) fn ready(&self, class: &str, count: usize) {
        if let Some(notify) = locked(&self.classes).get(class) {
            // More waiters than handles to the topic there cannot be.
            for _ in 0..count.min(Arc::strong_count(notify)) {
                notify.notify_one();
            }
        }
    }

    fn stirred(&self, run: &str) {
        if let Some(notify) = locked(&self.runs).get(run) {
            notify.notify_waiters();
        }
    }

    /// Lets one look for each class; a look that finds more than it wants passes it on.
    /// Forgets classes for which nobody waits.
    fn sweep_classes(&self) {
        let mut classes = locked(&self.classes);
        classes.retain(|_, notify| Arc::strong_count(notify) > 1);
        classes.values().for_each(|notify| notify.notify_one());
    }

    /// Lets everybody look who watches a run.
    fn sweep_runs(&self) {
        let mut runs = locked(&self.runs);
        runs.retain(|_, notify| Arc::strong_count(notify) > 1);
        runs.values().for_each(|notify| notify.notify_waiters());
    }

    fn hinted(&self, hints: &Hints, channel: &str, payload: &str) {
        if channel.ends_with(STIRRED) {
            self.stirred(payload);
        } else if let Some(base) = channel.strip_suffix(NEWCOMER) {
            let shard = hints.bases.iter().find(|(of, _)| of == base).map(|(_, shard)| *shard);
            if let Some(shard) = shard {
                hints.turns.calls(shard, &Class::from_text(payload));
            }
        } else if let Some((count, class)) = payload.split_once(' ') {
            self.ready(class, count.parse().unwrap_or(1));
        }
    }

    /// Subscribes, and subscribes again whenever the connection is lost, until told to
    /// stop. Sweeps all the while.
    pub(crate) async fn serve(&self, client: Client, hints: Hints, stop: CancellationToken) {
        let hearing = async {
            loop {
                if let Err(error) = self.hear(&client, &hints).await {
                    tracing::debug!(%error, "no hints from the store");
                }
                sleep(RESUBSCRIBE).await;
            }
        };
        let sweeping = async {
            let mut every = interval(SWEEP);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                for _ in 0..SWEEP_RUNS_ONE_IN {
                    every.tick().await;
                    self.sweep_classes();
                }
                self.sweep_runs();
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = hearing => {}
            () = sweeping => {}
        }
    }

    /// Passes hints on until the connection is lost.
    async fn hear(&self, client: &Client, hints: &Hints) -> Result<(), redis::RedisError> {
        let subscribing = async {
            let mut heard = client.get_async_pubsub().await?;
            let all = |(base, _): &(String, usize)| CHANNELS.map(|name| format!("{base}{name}"));
            heard.subscribe(&hints.bases.iter().flat_map(all).collect::<Vec<_>>()).await?;
            Ok::<_, redis::RedisError>(heard)
        };
        let late = |_| redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let mut heard = timeout(SUBSCRIBE_LIMIT, subscribing).await.map_err(late)??;
        // What was published before the subscription may concern anybody.
        self.sweep_classes();
        self.sweep_runs();
        let mut messages = heard.on_message();
        while let Some(message) = messages.next().await {
            let payload: String = message.get_payload()?;
            self.hinted(hints, message.get_channel_name(), &payload);
        }
        Ok(())
    }
}
