//! `baton up`: the whole cluster, until it is told to stop.

use crate::{
    args::Up,
    exit::{Failure, INTERRUPTED},
    live::Overrides,
    node::{Node, NodeOptions},
    output::{DIM, PLAIN, STRONG},
};
use std::process::ExitCode;

pub(crate) async fn up(args: Up) -> Result<ExitCode, Failure> {
    let overrides = Overrides { listen: args.listen, data: args.data };
    let mut node = Node::start(NodeOptions { overrides, stays: true, pool: args.pool }).await?;
    greet(&node, &node.data.display().to_string());
    let stopped = tokio::select! {
        failure = node.failed() => Err(failure),
        signal = stop_signal() => signal,
    };
    stopped?;
    anstream::eprintln!(
        "{DIM}stopping: what is under way ends, or is taken up again at the next start (Ctrl-C again: at once){PLAIN}"
    );
    tokio::select! {
        stopped = node.stop() => stopped.map(|()| ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait: what is acknowledged is on disk.
        again = stop_signal() => again.map(|()| ExitCode::from(INTERRUPTED)),
    }
}

fn greet(node: &Node, data: &str) {
    let url = format!("http://{}/v1", node.address);
    anstream::eprintln!("{STRONG}baton{PLAIN} listens on {STRONG}{url}{PLAIN}, data in {data}");
    if node.simulated {
        anstream::eprintln!(
            "The agents are SIMULATED models (baton tasks prints questions they know). \
             For real ones set OPENAI_API_KEY or --config."
        );
    }
    anstream::eprintln!(
        "{DIM}try:{PLAIN} curl {url}/chat/completions -H 'content-type: application/json' -d \
         '{{\"model\": \"baton\", \"messages\": [{{\"role\": \"user\", \"content\": \"What is \
         the value of (3 + 4) * 5?\"}}]}}'"
    );
}

/// Ctrl-C, or what an orchestrator sends.
pub(crate) async fn stop_signal() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |error| Failure::other(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(cannot),
        _ = terminate.recv() => Ok(()),
    }
}
