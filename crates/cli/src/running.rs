//! Supervised services, until they are told to stop.

use crate::{
    exit::{Failure, INTERRUPTED},
    output::{DIM, PLAIN},
};
use baton_actor::Supervisor;
use std::process::ExitCode;
use tokio::{
    runtime::{Handle, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Threads for what tasks ask to be done, apart from those that keep leases alive and answer
/// others: a step that computes for long keeps no heartbeat waiting.
pub(crate) struct Workshop(Option<Runtime>);

impl Workshop {
    /// As many threads as there are processors.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.thread_name("workshop").enable_all().build();
        let runtime = runtime.map_err(|error| Failure::other(format!("no runtime: {error}")))?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Its tasks have ended with their services; a thread that still computes is not
        // waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Services that run.
pub(crate) struct Running {
    _workshop: Workshop,
    stop: CancellationToken,
    services: JoinHandle<Result<(), Failure>>,
}

impl Running {
    /// Keeps them running.
    pub(crate) fn of(services: Supervisor, workshop: Workshop) -> Self {
        let stop = CancellationToken::new();
        let running = services.run(stop.clone());
        let services = tokio::spawn(async move {
            running.await.map_err(|escalation| Failure::other(escalation.to_string()))
        });
        Self { _workshop: workshop, stop, services }
    }

    /// Waits until the services give up by themselves, which they never should.
    pub(crate) async fn failed(&mut self) -> Failure {
        match (&mut self.services).await {
            Ok(Ok(())) => Failure::other("every service has ended"),
            Ok(Err(failure)) => failure,
            Err(error) => Failure::other(format!("the services ended badly: {error}")),
        }
    }

    /// Stops in order: no new requests, no new leases, finish or hand back, close.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        match self.services.await {
            Ok(stopped) => stopped,
            Err(error) => Err(Failure::other(format!("the services ended badly: {error}"))),
        }
    }
}

/// Waits for a signal to stop, or for services that give up.
pub(crate) async fn until_stopped(failed: impl Future<Output = Failure>) -> Result<(), Failure> {
    tokio::select! {
        failure = failed => Err(failure),
        signal = stop_signal() => signal,
    }
}

/// Lets them stop in order; at once when asked again.
pub(crate) async fn stopping(
    stopped: impl Future<Output = Result<(), Failure>>,
) -> Result<ExitCode, Failure> {
    anstream::eprintln!(
        "{DIM}stopping: what is under way ends, or is taken up again (Ctrl-C again: at once){PLAIN}"
    );
    tokio::select! {
        stopped = stopped => stopped.map(|()| ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait: what is acknowledged is on disk.
        again = stop_signal() => again.map(|()| ExitCode::from(INTERRUPTED)),
    }
}

/// Set to anything: the process stops when its standard input ends, which the process that
/// started it holds open for as long as it lives.
pub(crate) const LEAVE_WITH_PARENT: &str = "BATON_LEAVE_WITH_PARENT";

/// Ctrl-C, or what an orchestrator sends.
pub(crate) async fn stop_signal() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |error| Failure::other(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(cannot),
        _ = terminate.recv() => Ok(()),
        () = parent_left() => Ok(()),
    }
}

async fn parent_left() {
    if std::env::var_os(LEAVE_WITH_PARENT).is_none() {
        return std::future::pending().await;
    }
    // Nothing is ever written to it; an error ends it as well.
    let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ended = tokio::task::spawn_blocking(read).await;
}
