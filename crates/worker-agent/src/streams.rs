//! The text of the steps in work, readable by watchers while it grows.

use baton_workflow::TaskId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long a finished stream stays readable for watchers that come late: they learn of
/// the holder by way of the ledger.
const LINGER: Duration = Duration::from_secs(10);
/// Finished streams kept at most.
const FINISHED_MAX: usize = 1024;

/// All streams of this process.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<TaskId, Arc<Stream>>>,
    finished: Mutex<Vec<(Instant, TaskId)>>,
}

/// The text of one step.
pub(crate) struct Stream {
    pub(crate) attempt: u32,
    text: Mutex<Text>,
    changed: watch::Sender<()>,
}

/// What there is so far. Bounded by the tokens that a step may write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// Counts the calls made; a new call withdraws what the last one gave.
    pub(crate) call: u32,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) done: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of these is whole between any two operations, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// A new stream for a task; replaces one of an earlier attempt.
    pub(crate) fn open(self: &Arc<Self>, task: &TaskId, attempt: u32) -> Writer {
        let (text, changed) = (Mutex::default(), watch::Sender::new(()));
        let stream = Arc::new(Stream { attempt, text, changed });
        lock(&self.open).insert(task.clone(), stream.clone());
        Writer { streams: self.clone(), task: task.clone(), stream }
    }

    /// The stream of a task that is, or was a moment ago, in work here.
    pub(crate) fn get(&self, task: &TaskId) -> Option<Arc<Stream>> {
        lock(&self.open).get(task).cloned()
    }

    fn close(&self, task: &TaskId) {
        let now = Instant::now();
        let mut finished = lock(&self.finished);
        finished.push((now, task.clone()));
        let over = finished.len().saturating_sub(FINISHED_MAX);
        let gone = finished.iter().enumerate();
        let gone = gone.take_while(|(n, (at, _))| *n < over || now - *at > LINGER).count();
        let mut open = lock(&self.open);
        for (_, task) in finished.drain(..gone) {
            // A later attempt of the same task has a stream of its own, still growing.
            if open.get(&task).is_some_and(|stream| lock(&stream.text).done) {
                open.remove(&task);
            }
        }
    }
}

impl Stream {
    /// What came in behind what the reader has, and a way to wait for more. The wait is
    /// opened before the reading, so that nothing falls between them.
    pub(crate) fn read(&self) -> (Text, watch::Receiver<()>) {
        let mut more = self.changed.subscribe();
        more.mark_unchanged();
        (lock(&self.text).clone(), more)
    }
}

/// The one that writes a stream. Dropping it finishes the stream.
pub(crate) struct Writer {
    streams: Arc<Streams>,
    task: TaskId,
    stream: Arc<Stream>,
}

impl Writer {
    pub(crate) fn begin(&self, call: u32) {
        *lock(&self.stream.text) = Text { call, ..Text::default() };
        self.stream.changed.send_replace(());
    }

    pub(crate) fn text(&self, more: &str) {
        lock(&self.stream.text).text.push_str(more);
        self.stream.changed.send_replace(());
    }

    pub(crate) fn reasoning(&self, more: &str) {
        lock(&self.stream.text).reasoning.push_str(more);
        self.stream.changed.send_replace(());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.stream.text).done = true;
        self.stream.changed.send_replace(());
        self.streams.close(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::RunId;

    #[tokio::test]
    async fn a_late_reader_reads_from_the_start() {
        let streams = Arc::new(Streams::default());
        let task = TaskId { run: RunId::new("r").unwrap(), number: 1 };
        assert!(streams.get(&task).is_none());
        let writer = streams.open(&task, 1);
        writer.begin(1);
        writer.text("to be ");
        let stream = streams.get(&task).unwrap();
        let (text, mut more) = stream.read();
        assert_eq!((text.text.as_str(), text.done), ("to be ", false));
        writer.text("continued");
        more.changed().await.unwrap();
        drop(writer);
        let (text, _) = streams.get(&task).unwrap().read();
        assert_eq!((text.text.as_str(), text.done), ("to be continued", true));
    }
}
