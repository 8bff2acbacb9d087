//! `baton up`: the whole cluster, until it is told to stop.

use crate::{
    args::Up,
    exit::Failure,
    live::Overrides,
    node::{Node, NodeOptions},
    output::{DIM, PLAIN, STRONG},
    running::{stopping, until_stopped},
};
use std::process::ExitCode;

pub(crate) async fn up(args: Up) -> Result<ExitCode, Failure> {
    let Up { listen, data, metrics_listen, pool } = args;
    let overrides = Overrides { listen, data, metrics_listen };
    let mut node = Node::start(NodeOptions { overrides, stays: true, pool }).await?;
    greet(&node, &node.data.display().to_string());
    until_stopped(node.failed()).await?;
    stopping(node.stop()).await
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
