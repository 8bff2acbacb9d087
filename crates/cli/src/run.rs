//! `baton run`: a question, its team at work, its answer.

use crate::{
    args::{Format, Run},
    client::{self, Cluster},
    exit::{Failure, INCOMPLETE, INTERRUPTED, NO_ANSWER},
    output::{DIM, PLAIN},
    tree::{self, Story},
};
use baton_engine::Event;
use baton_provider_http::{Api, ApiError};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::{
    io::{Write as _, stdout},
    process::ExitCode,
    time::Duration,
};

pub(crate) async fn run(args: Run) -> Result<ExitCode, Failure> {
    let question = client::question(&args.question)?;
    let cluster = Cluster::find(&args.endpoint, &args.pool).await?;
    let args = Run { output: Some(cluster.profile.format(args.output)), ..args };
    let asked = tokio::select! {
        asked = ask(&cluster.api, &question, &args) => asked,
        interrupted = crate::running::stop_signal() => {
            interrupted?;
            // Leaving cancels the run: the endpoint sees its client go.
            cluster.leave().await?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    cluster.leave().await?;
    asked
}

/// What came over the stream.
#[derive(Default)]
struct Told {
    text: String,
    /// The words in which the agent refused.
    refusal: String,
    finish: Option<String>,
    report: Option<Value>,
    error: Option<String>,
}

async fn ask(api: &Api, question: &str, args: &Run) -> Result<ExitCode, Failure> {
    let mut body = client::body(question, &args.ask);
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let stream = api.events("/v1/chat/completions", Some(&body)).await.map_err(client::failure)?;
    futures::pin_mut!(stream);
    // Beside the story of the steps the answer would be torn apart: it comes after it.
    let live = args.output == Some(Format::Text) && args.quiet;
    let mut told = Told::default();
    let mut story = None;
    while let Some(event) = stream.next().await {
        let event = event.map_err(client::failure)?;
        if event.data == "[DONE]" {
            break;
        }
        let chunk: Value = serde_json::from_str(&event.data)
            .map_err(|error| Failure::other(format!("the endpoint's reply is no JSON: {error}")))?;
        if story.is_none()
            && !args.quiet
            && let Some(run) = chunk["id"].as_str().and_then(|id| id.strip_prefix("chatcmpl-"))
        {
            story = Some(tokio::spawn(tell(api.clone(), run.to_owned())));
        }
        take(chunk, &mut told, live)?;
    }
    if let Some(story) = story {
        // It ends with the run; a watcher that was cut off is no reason to wait.
        let _told = tokio::time::timeout(Duration::from_secs(2), story).await;
    }
    finish(told, args)
}

fn take(chunk: Value, told: &mut Told, live: bool) -> Result<(), Failure> {
    if let Some(message) = chunk["error"]["message"].as_str() {
        told.error = Some(message.to_owned());
    }
    if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
        told.text.push_str(text);
        if live {
            let mut out = stdout().lock();
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map_err(|error| Failure::other(error.to_string()))?;
        }
    }
    let choice = &chunk["choices"][0];
    told.refusal.push_str(choice["delta"]["refusal"].as_str().unwrap_or_default());
    told.finish = choice["finish_reason"].as_str().map(str::to_owned).or(told.finish.take());
    if let Some(report) = chunk.get("baton") {
        told.report = Some(report.clone());
    }
    Ok(())
}

fn finish(told: Told, args: &Run) -> Result<ExitCode, Failure> {
    let status = told.report.as_ref().and_then(|report| report["status"].as_str()).unwrap_or("");
    let cut = match told.finish.as_deref() {
        Some("length") => Some("it was cut off at the agent's limit of tokens"),
        Some("content_filter") => Some("the provider's filter stopped it"),
        _ => None,
    };
    let code = match status {
        "completed" | "incomplete" if !told.refusal.is_empty() => NO_ANSWER,
        "completed" if cut.is_none() => 0,
        "completed" | "incomplete" => INCOMPLETE,
        _ => NO_ANSWER,
    };
    let mut out = stdout().lock();
    let written = match args.output.unwrap_or_default() {
        Format::Text => {
            let rest = if args.quiet { "" } else { &told.text };
            let end = if told.text.is_empty() || told.text.ends_with('\n') { "" } else { "\n" };
            write!(out, "{rest}{end}")
        }
        Format::Json => {
            let nothing = || json!({ "status": "failed", "error": told.error });
            writeln!(out, "{:#}", told.report.clone().unwrap_or_else(nothing))
        }
    };
    written.map_err(|error| Failure::other(error.to_string()))?;
    if let Some(error) = &told.error {
        anstream::eprintln!("{error}");
    }
    if !told.refusal.is_empty() {
        anstream::eprintln!("the agent refused: {}", told.refusal);
    } else if let Some(cut) = cut {
        anstream::eprintln!("the answer is not whole: {cut}");
    } else if code == INCOMPLETE {
        let reason = told.report.as_ref().map(|report| in_words(&report["reason"]));
        anstream::eprintln!("the answer is the best so far: {}", reason.unwrap_or_default());
    }
    Ok(ExitCode::from(code))
}

/// A reason for people: its code, with all that is said beside it.
fn in_words(reason: &Value) -> String {
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let code = said(&reason["code"]);
    let fields = reason.as_object().into_iter().flatten().filter(|(name, _)| *name != "code");
    let more: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", said(value))).collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    format!("{code}{more}; see `baton explain {code}`")
}

/// Tells on stderr what happens to a run, until it ends.
async fn tell(api: Api, run: String) {
    if let Err(error) = watch(&api, &run, |line| anstream::eprintln!("{line}")).await {
        anstream::eprintln!("{DIM}(cannot watch the run: {error}){PLAIN}");
    }
}

/// Gives a line for each thing that happens to a run, until it ends. A child run's story is
/// told where it begins, to its end, before that of its parent goes on.
pub(crate) async fn watch(
    api: &Api,
    run: &str,
    mut line: impl FnMut(String) + Send,
) -> Result<(), ApiError> {
    watch_below(api, run, &mut line).await
}

async fn watch_below(
    api: &Api,
    run: &str,
    line: &mut (dyn FnMut(String) + Send),
) -> Result<(), ApiError> {
    let events = api.events(&format!("/v1/runs/{run}/events"), None).await?;
    futures::pin_mut!(events);
    let mut story = Story::default();
    while let Some(event) = events.next().await {
        let event = event?;
        match event.event.as_str() {
            "entry" => {
                let json: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let entry = serde_json::from_value::<Event>(json["entry"].clone()).ok();
                if let Some(said) = entry.as_ref().and_then(|entry| story.line(entry)) {
                    line(said);
                }
                if let Some(Event::ChildBegun { child, .. }) = entry {
                    let mut inner = |said: String| line(tree::inside(&said));
                    let below = format!("{run}-{child}");
                    // One that could not begin is not there: its parent hears of that.
                    let _told = Box::pin(watch_below(api, &below, &mut inner)).await;
                }
            }
            "end" => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}
