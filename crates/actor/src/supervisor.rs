//! Keeps its children running, and stops them in order.

use crate::{
    budget::{Failures, RestartBudget},
    failure::{Escalation, Failure},
};
use std::{collections::HashMap, error::Error, fmt, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long a child may take to stop unless said otherwise. Orchestrators commonly
/// kill a process 30 seconds after asking it to stop.
const DRAIN_MS: u64 = 20_000;
/// How long an aborted child may take to reach the await at which it ends.
const ABORT: Duration = Duration::from_secs(1);

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Start =
    Arc<dyn Fn(CancellationToken) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A set of tasks that are started again when they fail, and that stop together.
///
/// Children stop in the opposite of the order in which they were added, each only when
/// those after it have ended: add first what others rely on. Dropping a supervisor
/// aborts its children.
pub struct Supervisor {
    name: String,
    budget: RestartBudget,
    failures: Failures,
    drain: Duration,
    stages: usize,
    children: Vec<Child>,
    running: HashMap<Id, Running>,
    tasks: JoinSet<Outcome>,
}

struct Child {
    name: String,
    stage: usize,
    stop: CancellationToken,
    /// Nothing once the child has finished, so that what it holds is let go.
    start: Option<Start>,
}

struct Running {
    child: usize,
    abort: AbortHandle,
}

type Ended = Result<(Id, Outcome), JoinError>;

impl Supervisor {
    /// Without children. `name` is for messages.
    pub fn new(name: impl Into<String>, budget: RestartBudget) -> Self {
        Self {
            name: name.into(),
            budget,
            failures: Failures::new(budget),
            drain: Duration::from_millis(DRAIN_MS),
            stages: 0,
            children: Vec::new(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Gives each child this long to stop before it is aborted; 20 seconds unless said.
    #[must_use]
    pub fn drain_ms(mut self, drain_ms: u64) -> Self {
        self.drain = Duration::from_millis(drain_ms);
        self
    }

    /// Starts a child at once; needs a tokio runtime. `start` makes the task, again after
    /// each failure. The task should end soon after its token is cancelled. Returning
    /// `Ok` means that it is done and is not started again.
    pub fn spawn<F, T, E>(&mut self, name: impl Into<String>, start: F)
    where
        F: Fn(CancellationToken) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let start = boxed(start);
        self.add(name.into(), start);
        self.stages += 1;
    }

    /// Starts `count` copies of one child, which stop at the same time.
    pub fn spawn_many<F, T, E>(&mut self, name: &str, count: usize, start: F)
    where
        F: Fn(CancellationToken) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let start = boxed(start);
        for number in 0..count {
            self.add(format!("{name}-{number}"), start.clone());
        }
        self.stages += 1;
    }

    /// Keeps the children running until `stop` is cancelled or all of them have finished.
    /// When it returns, no child runs, unless one blocks its thread without awaiting.
    ///
    /// An escalation names the child that failed once too often.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Escalation> {
        let outcome = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                ended = self.tasks.join_next_with_id() => {
                    let Some(ended) = ended else { break Ok(()) };
                    if let Err(escalation) = self.settle(ended) {
                        break Err(escalation);
                    }
                }
            }
        };
        self.stop_children().await;
        outcome
    }

    fn add(&mut self, name: String, start: Start) {
        let stop = CancellationToken::new();
        self.children.push(Child { name, stage: self.stages, stop, start: Some(start) });
        self.launch(self.children.len() - 1, Duration::ZERO);
    }

    fn launch(&mut self, child: usize, delay: Duration) {
        let Some(Child { stop, start: Some(start), .. }) = self.children.get(child) else { return };
        let (stop, start) = (stop.clone(), start.clone());
        let abort = self.tasks.spawn(async move {
            if !delay.is_zero() {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(delay) => {}
                }
            }
            // Inside the task, so that a panic while making the future is caught as well.
            start(stop).await
        });
        self.running.insert(abort.id(), Running { child, abort });
    }

    /// Reacts to the end of a child while nobody has asked it to stop.
    fn settle(&mut self, ended: Ended) -> Result<(), Escalation> {
        let Some((child, failure)) = self.take(ended) else { return Ok(()) };
        let Some(entry) = self.children.get_mut(child) else { return Ok(()) };
        let Some(failure) = failure else {
            entry.start = None;
            return Ok(());
        };
        let Some(delay) = self.failures.count(Instant::now()) else {
            return Err(Escalation {
                supervisor: self.name.clone(),
                child: entry.name.clone(),
                restarts_max: self.budget.restarts_max,
                window_ms: self.budget.window_ms,
                failure,
            });
        };
        tracing::warn!(
            supervisor = self.name,
            child = entry.name,
            error = chain(&failure),
            restart_in_ms = delay.as_millis() as u64,
            "child failed and will be restarted"
        );
        self.launch(child, delay);
        Ok(())
    }

    /// Which child ended, and how, if badly.
    fn take(&mut self, ended: Ended) -> Option<(usize, Option<Failure>)> {
        let (id, failure) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(Failure::Error(error))),
            Err(error) => {
                let id = error.id();
                // The other reason is an abort, which only this supervisor does.
                (id, error.try_into_panic().ok().map(Failure::from_panic))
            }
        };
        self.running.remove(&id).map(|running| (running.child, failure))
    }

    async fn stop_children(&mut self) {
        for stage in (0..self.stages).rev() {
            let of_stage = |child: &Child| child.stage == stage;
            self.children.iter().filter(|c| of_stage(c)).for_each(|c| c.stop.cancel());
            if self.ended_by(stage, Instant::now() + self.drain).await {
                continue;
            }
            for running in self.running.values() {
                let Some(child) = self.children.get(running.child) else { continue };
                if of_stage(child) {
                    let (supervisor, child) = (&self.name, &child.name);
                    tracing::warn!(supervisor, child, "child did not stop in time and is aborted");
                    running.abort.abort();
                }
            }
            if !self.ended_by(stage, Instant::now() + ABORT).await {
                tracing::error!(supervisor = self.name, "aborted child blocks its thread");
            }
        }
    }

    /// Waits for the children of a stage, or until `deadline`; whether they ended. No
    /// child is started again meanwhile.
    async fn ended_by(&mut self, stage: usize, deadline: Instant) -> bool {
        loop {
            let mut children = self.running.values().filter_map(|r| self.children.get(r.child));
            if !children.any(|child| child.stage == stage) {
                return true;
            }
            let Ok(ended) = timeout_at(deadline, self.tasks.join_next_with_id()).await else {
                return false;
            };
            let Some(ended) = ended else { return true };
            if let Some((child, Some(failure))) = self.take(ended) {
                let child = self.children.get(child).map(|child| &child.name);
                let error = chain(&failure);
                tracing::warn!(supervisor = self.name, child, error, "child failed while stopping");
            }
        }
    }
}

fn boxed<F, T, E>(start: F) -> Start
where
    F: Fn(CancellationToken) -> T + Send + Sync + 'static,
    T: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Arc::new(move |stop| {
        let task = start(stop);
        Box::pin(async move { task.await.map_err(Into::into) })
    })
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.children.iter().map(|child| &child.name);
        f.debug_set().entry(&self.name).entries(children).finish()
    }
}

#[cfg(test)]
mod tests;
