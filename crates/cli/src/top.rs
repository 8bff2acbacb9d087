//! `baton top`: what a cluster does at the moment, live or once.

mod app;
mod keys;
mod live;
mod rows;
mod snapshot;
mod view;

use crate::{
    args::{EndpointArgs, Format},
    client,
    exit::Failure,
    output::{DIM, PLAIN, STRONG},
};
use clap::Args;
pub(crate) use snapshot::Snapshot;
use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// Print what there is once, as is done anyway where stdout is no terminal.
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
    /// How many of the newest runs to look at.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Form of what is printed; JSON is printed once.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT")]
    pub(crate) output: Option<Format>,
}

pub(crate) async fn top(args: Top) -> Result<ExitCode, Failure> {
    let (api, profile) = client::remote(&args.endpoint)?;
    let path = format!("/v1/status?runs={}", args.runs);
    let format = profile.format(args.output);
    let screen = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if format == Format::Text && !args.once && screen {
        return live::live(api, path, Duration::from_secs(args.interval)).await;
    }
    let document = api.get(&path).await.map_err(client::failure)?;
    match format {
        Format::Json => anstream::println!("{document:#}"),
        Format::Text => print(
            &Snapshot::read(document)?,
            &[Part::Totals, Part::Nodes, Part::Agents, Part::Queues, Part::Runs],
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// What can be printed of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Totals,
    Nodes,
    Agents,
    Queues,
    Runs,
}

/// Prints these parts, in this order.
pub(crate) fn print(snapshot: &Snapshot, parts: &[Part]) {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            anstream::println!();
        }
        match part {
            Part::Totals => anstream::println!("{STRONG}{}{PLAIN}", rows::totals(snapshot)),
            Part::Nodes => {
                table("nodes", &rows::NODE, snapshot.members.iter().map(rows::node).collect());
            }
            Part::Agents => {
                table("agents", &rows::AGENT, snapshot.agents.iter().map(rows::agent).collect());
            }
            Part::Queues => {
                table("queues", &rows::QUEUE, snapshot.queues.iter().map(rows::queue).collect());
            }
            Part::Runs => {
                let runs = snapshot.runs.iter().map(|run| rows::run(run, snapshot.now));
                table("runs", &rows::RUN, runs.collect());
            }
        }
    }
}

/// Columns as wide as what is in them; the last one is free.
fn table<const N: usize>(title: &str, heads: &[&str; N], rows: Vec<[String; N]>) {
    if rows.is_empty() {
        anstream::println!("{DIM}no {title}{PLAIN}");
        return;
    }
    let chars = |text: &str| text.chars().count();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| chars(&row[column]));
        cells.chain([chars(heads[column])]).max().unwrap_or(0)
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    anstream::println!("{DIM}{}{PLAIN}", line(*heads));
    for row in &rows {
        anstream::println!("{}", line(std::array::from_fn(|column| row[column].as_str())));
    }
}
