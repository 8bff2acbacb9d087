//! `baton runs`: what runs did and do.

use crate::{
    args::{Format, Runs, RunsCommand},
    client,
    exit::Failure,
    output::{DIM, PLAIN, STRONG, dollars},
    run::watch,
    tree,
};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) async fn runs(args: Runs) -> Result<ExitCode, Failure> {
    let (api, profile) = client::remote(&args.endpoint)?;
    let json = profile.format(args.output) == Format::Json;
    match &args.command {
        RunsCommand::List { limit, before } => {
            let before = before.as_ref().map(|run| format!("&before={run}")).unwrap_or_default();
            let listed = api.get(&format!("/v1/runs?limit={limit}{before}")).await;
            let listed = listed.map_err(client::failure)?;
            if json {
                anstream::println!("{listed:#}");
            } else {
                listed["data"].as_array().into_iter().flatten().for_each(line);
            }
        }
        RunsCommand::Get { run } => {
            let report = api.get(&format!("/v1/runs/{run}")).await.map_err(client::failure)?;
            if json {
                anstream::println!("{report:#}");
            } else {
                anstream::println!("{}", tree::report(&report));
            }
        }
        RunsCommand::Watch { run } => {
            let print = |line: String| anstream::println!("{line}");
            let watching = watch(&api, run, print);
            tokio::select! {
                watched = watching => watched.map_err(client::failure)?,
                interrupted = crate::running::stop_signal() => {
                    interrupted?;
                    return Ok(ExitCode::from(crate::exit::INTERRUPTED));
                }
            }
        }
        RunsCommand::Cancel { run } => {
            let path = format!("/v1/runs/{run}/cancel");
            let cancelled = api.post(&path, &json!({})).await.map_err(client::failure)?;
            anstream::println!("{cancelled:#}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(run: &Value) {
    let text = |name: &str| run[name].as_str().unwrap_or("").to_owned();
    let usd = run["usage"]["usd"].as_f64().unwrap_or(0.0);
    anstream::println!(
        "{STRONG}{}{PLAIN} {:10} {:10} {DIM}{}{PLAIN}",
        text("id"),
        text("status"),
        dollars(usd),
        text("title").replace('\n', " "),
    );
}
