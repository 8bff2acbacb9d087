//! `baton plan`: the team and the cost that a question would get.

use crate::{
    args::{Format, Plan},
    client::{self, Cluster},
    exit::Failure,
    output::{DIM, PLAIN, STRONG, dollars},
};
use serde_json::Value;
use std::{fmt::Write as _, process::ExitCode};

pub(crate) async fn plan(args: Plan) -> Result<ExitCode, Failure> {
    let question = client::question(&args.question)?;
    let cluster = Cluster::find(&args.endpoint, &args.pool).await?;
    let planned = cluster.api.post("/v1/plan", &client::body(&question, &args.ask)).await;
    let format = cluster.profile.format(args.output);
    cluster.leave().await?;
    let planned = planned.map_err(client::failure)?;
    match format {
        Format::Json => anstream::println!("{planned:#}"),
        Format::Text => anstream::println!("{}", text(&planned)),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(planned: &Value) -> String {
    let mut out = String::new();
    let steps = planned["workflow"]["steps"].as_array().cloned().unwrap_or_default();
    for (place, step) in steps.iter().enumerate() {
        let estimate = &planned["steps"][place];
        let usd = |name: &str| dollars(estimate[name]["usd"].as_f64().unwrap_or(0.0));
        let agent = step["agent"].as_str().unwrap_or("?");
        let sees = match &step["access"] {
            Value::String(word) if word == "none" => String::new(),
            Value::String(word) => format!(" sees {word}"),
            other => format!(" sees {}", other["some"]),
        };
        let _ = writeln!(
            out,
            "{place} {STRONG}{agent}{PLAIN}{sees} {DIM}about {}, at most {}{PLAIN}\n  {}",
            usd("typical"),
            usd("at_most"),
            step["subtask"].as_str().unwrap_or("")
        );
    }
    let usd = |name: &str| dollars(planned[name]["usd"].as_f64().unwrap_or(0.0));
    let _ = write!(
        out,
        "about {}, at most {}; planning took {}",
        usd("typical"),
        usd("at_most"),
        usd("planning")
    );
    out
}
