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
    sync::{Notify, futures::OwnedNotified, watch},
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

/// What one server's hints are about.
pub(crate) struct Hints {
    /// The beginnings of the channels' names, each with the number of its shard.
    pub(crate) bases: Vec<(String, usize)>,
    pub(crate) turns: Arc<Turns>,
}

type Topics = HashMap<String, Arc<Notify>>;

/// What hints are about, and on which channel of a shard they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// How many tasks may be had of a class.
    Tasks,
    /// Into which class a tenant has come where others are served.
    Newcomers,
    /// Which run something happened to.
    Runs,
    /// Which run ended.
    Ends,
}

impl About {
    const ALL: [Self; 4] = [Self::Tasks, Self::Newcomers, Self::Runs, Self::Ends];

    fn channel(self) -> &'static str {
        match self {
            Self::Tasks => "ready",
            Self::Newcomers => "newcomer",
            Self::Runs => "stirred",
            Self::Ends => "ended",
        }
    }
}

/// Who waits for what, in this process.
pub(crate) struct Waker {
    classes: Mutex<Topics>,
    runs: Mutex<Topics>,
    ends: Mutex<Topics>,
    /// What anybody has ever waited for: other hints are not asked for.
    wanted: watch::Sender<Vec<About>>,
}

impl Default for Waker {
    fn default() -> Self {
        let (classes, runs, ends) = Default::default();
        Self { classes, runs, ends, wanted: watch::Sender::default() }
    }
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

fn wake_all(topics: &Mutex<Topics>, topic: &str) {
    if let Some(notify) = locked(topics).get(topic) {
        notify.notify_waiters();
    }
}

impl Waker {
    /// Until a task may be had from the class; one waiter is woken for each task.
    pub(crate) fn class(&self, class: &str) -> Wait {
        self.want(About::Tasks);
        self.want(About::Newcomers);
        wait_for(&self.classes, class)
    }

    /// Until something happened to the run; all waiters are woken.
    pub(crate) fn run(&self, run: &str) -> Wait {
        self.want(About::Runs);
        wait_for(&self.runs, run)
    }

    /// Until the run may have ended; all waiters are woken.
    pub(crate) fn end(&self, run: &str) -> Wait {
        self.want(About::Ends);
        wait_for(&self.ends, run)
    }

    fn want(&self, about: About) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = !wanted.contains(&about);
            if is_new {
                wanted.push(about);
            }
            is_new
        });
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

    /// Lets one look for each class; a look that finds more than it wants passes it on.
    /// Forgets classes for which nobody waits.
    fn sweep_classes(&self) {
        let mut classes = locked(&self.classes);
        classes.retain(|_, notify| Arc::strong_count(notify) > 1);
        classes.values().for_each(|notify| notify.notify_one());
    }

    /// Lets everybody look who watches a run, or waits for its end.
    fn sweep_runs(&self) {
        for topics in [&self.runs, &self.ends] {
            let mut topics = locked(topics);
            topics.retain(|_, notify| Arc::strong_count(notify) > 1);
            topics.values().for_each(|notify| notify.notify_waiters());
        }
    }

    fn hinted(&self, hints: &Hints, channel: &str, payload: &str) {
        let mut all = About::ALL.into_iter();
        let about = all.find_map(|about| Some((about, channel.strip_suffix(about.channel())?)));
        match about {
            Some((About::Tasks, _)) => {
                if let Some((count, class)) = payload.split_once(' ') {
                    self.ready(class, count.parse().unwrap_or(1));
                }
            }
            Some((About::Newcomers, base)) => {
                let shard = hints.bases.iter().find(|(of, _)| of == base);
                if let Some((_, shard)) = shard {
                    hints.turns.calls(*shard, &Class::from_text(payload));
                }
            }
            Some((About::Runs, _)) => wake_all(&self.runs, payload),
            Some((About::Ends, _)) => wake_all(&self.ends, payload),
            None => {}
        }
    }

    /// Subscribes, and subscribes again whenever the connection is lost, until told to
    /// stop. Sweeps all the while.
    pub(crate) async fn serve(&self, clients: Vec<Client>, hints: Hints, stop: CancellationToken) {
        let hearing = async {
            for client in clients.iter().cycle() {
                if let Err(error) = self.hear(client, &hints).await {
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
        let late = |_| redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let connecting = timeout(SUBSCRIBE_LIMIT, client.get_async_pubsub());
        let (mut subscriptions, mut messages) = connecting.await.map_err(late)??.split();
        let mut wanted = self.wanted.subscribe();
        loop {
            let channels: Vec<_> = wanted
                .borrow_and_update()
                .iter()
                .flat_map(|about| {
                    hints.bases.iter().map(|(base, _)| format!("{base}{}", about.channel()))
                })
                .collect();
            if !channels.is_empty() {
                // Again for those that are heard already: it changes nothing.
                let subscribing = timeout(SUBSCRIBE_LIMIT, subscriptions.subscribe(&channels));
                subscribing.await.map_err(late)??;
            }
            // What was published before the subscription may concern anybody.
            self.sweep_classes();
            self.sweep_runs();
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    // The sender is this waker's own.
                    _ = wanted.changed() => break,
                };
                let Some(message) = message else { return Ok(()) };
                let payload: String = message.get_payload()?;
                self.hinted(hints, message.get_channel_name(), &payload);
            }
        }
    }
}
