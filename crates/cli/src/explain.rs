//! `baton explain`: what a code means.

use crate::{
    args::Format,
    exit::Failure,
    output::{DIM, PLAIN, STRONG},
};
use baton_codes::{Entry, Place};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// How alike two names must be to be told as a suggestion, from 0 to 1.
const ALIKE_MIN: f64 = 0.7;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A code of the API, of a run's report or of a message, or the number of an exit
    /// code; without one all are listed.
    pub(crate) code: Option<String>,
    /// Form of what is printed.
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) output: Format,
}

pub(crate) fn explain(args: &Explain) -> Result<ExitCode, Failure> {
    match &args.code {
        None => list(args.output),
        Some(code) => {
            let entry = baton_codes::find(code).ok_or_else(|| unknown(code))?;
            match args.output {
                Format::Text => page(&entry),
                Format::Json => anstream::println!("{:#}", document(&entry)),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn document(entry: &Entry) -> serde_json::Value {
    json!({
        "code": entry.name,
        "where": entry.place.title(),
        "summary": entry.summary(),
        "page": entry.page,
    })
}

fn list(format: Format) {
    match format {
        Format::Json => {
            let all: Vec<_> = baton_codes::all().map(|entry| document(&entry)).collect();
            anstream::println!("{:#}", json!({ "object": "list", "data": all }));
        }
        Format::Text => {
            for place in Place::ALL {
                anstream::println!("{STRONG}{}{PLAIN}", place.title());
                for entry in baton_codes::all().filter(|entry| entry.place == *place) {
                    anstream::println!("  {:32} {DIM}{}{PLAIN}", entry.name, entry.summary());
                }
            }
        }
    }
}

/// The page as it stands; on a terminal its headings stand out.
fn page(entry: &Entry) {
    for line in entry.page.lines() {
        match line.strip_prefix('#') {
            Some(heading) => {
                anstream::println!("{STRONG}{}{PLAIN}", heading.trim_start_matches('#').trim());
            }
            None if line.starts_with("```") => {}
            None => anstream::println!("{line}"),
        }
    }
}

fn unknown(code: &str) -> Failure {
    let alike = |entry: &Entry| strsim::jaro_winkler(code, entry.name);
    let nearest = baton_codes::all().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let nearest = nearest.filter(|entry| alike(entry) >= ALIKE_MIN);
    let hint = match nearest {
        Some(entry) => format!("did you mean {}?", entry.name),
        None => "`baton explain` lists them".to_owned(),
    };
    Failure::usage(format!("there is no code {code:?}: {hint}"))
}
