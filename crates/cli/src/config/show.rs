//! `baton config show`.

use super::{name, write};
use crate::{
    args::PoolArgs,
    exit::Failure,
    settings::{Base, InForce},
};
use baton_registry::{Document, Origins, VARIABLES};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Prints the configuration with every default.
pub(super) fn show(pool: &PoolArgs, origin: bool, json: bool) -> Result<ExitCode, Failure> {
    let read = InForce::read(pool).map_err(|faults| Failure::settings(&faults))?;
    print(&read, &name(pool), pool.simulated, origin, json)
}

/// Prints the configuration that a cluster shares, with every default.
pub(super) fn show_shared(
    shared: &Document,
    origin: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let read = InForce::of_elsewhere(shared).map_err(|faults| Failure::settings(&faults))?;
    print(&read, &shared.source(), false, origin, json)
}

fn print(
    read: &InForce,
    source: &str,
    simulated: bool,
    origin: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let document = read.settings.document();
    let origins = Sources::of(source, simulated, read);
    if json {
        let mut shown = json!({
            "object": "baton.config.show", "source": source, "settings": document,
        });
        if origin {
            let mut paths = Vec::new();
            // The writer asks about every value once.
            let ask = |path: &str| -> Option<String> { Some(path.to_owned()) };
            for line in write::toml(&document, &ask).lines() {
                paths.extend(line.rsplit_once(" # ").map(|(_, path)| path.to_owned()));
            }
            let origins =
                paths.into_iter().map(|path| (path.clone(), origins.of_path(&path).into()));
            shown["origins"] = Value::Object(origins.collect::<Map<_, _>>());
        }
        anstream::println!("{shown:#}");
    } else {
        let remark = |path: &str| origin.then(|| origins.of_path(path));
        anstream::print!("{}", write::toml(&document, &remark));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where values come from.
struct Sources {
    file: String,
    lines: Origins,
    /// What providers, agents and policy come from if the file does not have them.
    base: Option<Base>,
    /// Whether the command line asked for the simulated pool.
    asked: bool,
}

impl Sources {
    fn of(file: &str, asked: bool, read: &InForce) -> Self {
        let lines = read.text.as_deref().map(Origins::of).unwrap_or_default();
        let own = lines.line("providers").is_some() || lines.line("agents").is_some();
        let base = (!own).then_some(read.base);
        Self { file: file.to_owned(), lines, base, asked }
    }

    fn of_path(&self, path: &str) -> String {
        if let Some(line) = self.lines.line(path) {
            return format!("{}:{line}", self.file);
        }
        let team = ["providers.", "agents.", "policy."].iter().any(|part| path.starts_with(part));
        match self.base.filter(|_| team) {
            Some(Base::Simulated) if self.asked => "command line (--simulated)".to_owned(),
            Some(Base::Simulated) => "simulated pool".to_owned(),
            Some(Base::Environment) => variable(path),
            Some(Base::Nothing) | None => "default".to_owned(),
        }
    }
}

/// Which variable gives this; what none gives is assumed.
fn variable(path: &str) -> String {
    let [openai_key, openai_url, anthropic_key, anthropic_url, models] = VARIABLES;
    let (key, base_url) = match path.starts_with("providers.anthropic.") {
        true => (anthropic_key, anthropic_url),
        false => (openai_key, openai_url),
    };
    let field = path.rsplit('.').next().unwrap_or_default();
    let name = match field {
        "key_env" => key,
        "base_url" => base_url,
        "id" | "model" | "input" | "output" => models,
        _ => return "default".to_owned(),
    };
    match std::env::var_os(name) {
        Some(_) => format!("environment variable {name}"),
        None => "default".to_owned(),
    }
}
