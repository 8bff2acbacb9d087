//! The form of the parameters file.

use super::PROVIDER;
use crate::{Difficulty, Family};
use baton_workflow::{Abilities, AgentCard, AgentId, Price};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use toml::{Table, Value};

#[derive(Debug)]
pub(super) struct Form {
    pub(super) version: u32,
    pub(super) lasting: Lasting,
    pub(super) mistakes: Mistakes,
    pub(super) help: Help,
    pub(super) roles: Roles,
    pub(super) family: Families,
    pub(super) cache: Cache,
    pub(super) refusals: Refusals,
    pub(super) conductor: Conductor,
    pub(super) recursive: Recursive,
    pub(super) echo: Echo,
    pub(super) model: Vec<Model>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lasting {
    pub(crate) difficulty: f64,
    pub(crate) affinity: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mistakes {
    pub(crate) common: f64,
    pub(crate) stray: f64,
    pub(crate) copied: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Help {
    pub(crate) plan_harm: f64,
    pub(crate) herd_right: f64,
    pub(crate) herd_wrong: f64,
    pub(crate) majority: f64,
    pub(crate) herd_max: f64,
    pub(crate) feedback: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    pub(crate) level: f64,
    pub(crate) plan_difficulty: f64,
    pub(crate) check_difficulty: f64,
    pub(crate) alarm_difficulty: f64,
    pub(crate) blindness: f64,
    pub(crate) omitted: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Families {
    arithmetic: FamilyForm,
    modular: FamilyForm,
    countdown: FamilyForm,
    program: FamilyForm,
    numbers: FamilyForm,
    strings: FamilyForm,
    lists: FamilyForm,
    choice: FamilyForm,
}

impl Families {
    pub(super) fn of(&self, family: Family) -> &FamilyForm {
        match family {
            Family::Arithmetic => &self.arithmetic,
            Family::Modular => &self.modular,
            Family::Countdown => &self.countdown,
            Family::Program => &self.program,
            Family::Numbers => &self.numbers,
            Family::Strings => &self.strings,
            Family::Lists => &self.lists,
            Family::Choice => &self.choice,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyForm {
    pub(crate) guess: f64,
    pub(crate) plan: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    pub(crate) block_tokens: u32,
    pub(crate) least_tokens: u32,
    pub(crate) window_s: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusals {
    pub(super) retry_after_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conductor {
    pub(crate) model: String,
    pub(crate) malformed_rate: f64,
    pub(crate) malformed_again_rate: f64,
    pub(crate) reads_strengths: f64,
    pub(crate) hard_bytes: usize,
    pub(crate) stands_rate: f64,
    pub(crate) recursion_rate: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recursive {
    pub(crate) model: String,
    /// Whether it gives itself three steps beside each other and has the last agent merge
    /// them, in the place of one behind a plan.
    #[serde(default)]
    pub(crate) wide: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Echo {
    pub(crate) model: String,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) worker: bool,
    pub(crate) strengths: String,
    pub(crate) usd_in: f64,
    pub(crate) usd_cached: f64,
    pub(crate) usd_out: f64,
    pub(crate) context_tokens: u32,
    pub(crate) output_tokens: u32,
    pub(crate) concurrency: u32,
    pub(crate) first_token_ms: u32,
    pub(crate) first_token_spread: f64,
    pub(crate) tokens_per_second: u32,
    pub(crate) token_spread: f64,
    pub(super) skill: Option<Skill>,
    #[serde(default)]
    pub(crate) role: Role,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skill {
    arithmetic: [f64; 5],
    modular: [f64; 5],
    countdown: [f64; 5],
    program: [f64; 5],
    numbers: [f64; 5],
    strings: [f64; 5],
    lists: [f64; 5],
    choice: [f64; 5],
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    pub(crate) plan: f64,
    pub(crate) check: f64,
    pub(crate) false_alarm: f64,
    pub(crate) correct: f64,
    pub(crate) merge: f64,
}

impl Model {
    /// Chance to solve such a task alone; none without skills.
    pub(super) fn chance(&self, family: Family, difficulty: Difficulty) -> f64 {
        let Some(skill) = &self.skill else { return 0.0 };
        let chances = match family {
            Family::Arithmetic => &skill.arithmetic,
            Family::Modular => &skill.modular,
            Family::Countdown => &skill.countdown,
            Family::Program => &skill.program,
            Family::Numbers => &skill.numbers,
            Family::Strings => &skill.strings,
            Family::Lists => &skill.lists,
            Family::Choice => &skill.choice,
        };
        chances[difficulty.index()]
    }

    /// The model as an agent; the error says what keeps it from being one.
    pub(super) fn card(&self) -> Result<AgentCard, String> {
        Ok(AgentCard {
            id: AgentId::new(&self.name).map_err(|error| error.to_string())?,
            provider: PROVIDER.into(),
            model: self.name.clone(),
            strengths: self.strengths.clone(),
            price: Price::from_dollars(self.usd_in, self.usd_out)
                .and_then(|price| price.with_cache(Some(self.usd_cached), None))
                .map_err(|error| error.to_string())?,
            context_tokens: self.context_tokens,
            output_tokens: self.output_tokens,
            concurrency: self.concurrency,
            images: false,
            abilities: Abilities::default(),
            // Each errs in its own way.
            tags: BTreeSet::from(["simulated".to_owned(), format!("family:{}", self.name)]),
        })
    }
}

/// Reads the sections one by one, so that one that cannot be read hides no other.
pub(super) fn read(text: &str) -> Result<Form, Vec<String>> {
    let mut table: Table = text.parse().map_err(|error| vec![format!("it is no TOML: {error}")])?;
    let mut sections = Sections { wrong: Vec::new() };
    let form = sections.form(&mut table);
    sections.wrong.extend(table.keys().map(|key| format!("[{key}] is not known")));
    form.filter(|_| sections.wrong.is_empty()).ok_or(sections.wrong)
}

struct Sections {
    wrong: Vec<String>,
}

impl Sections {
    fn form(&mut self, table: &mut Table) -> Option<Form> {
        // All of them are read before the first that is missing ends it.
        let version = self.section(table, "version");
        let lasting = self.section(table, "lasting");
        let mistakes = self.section(table, "mistakes");
        let help = self.section(table, "help");
        let roles = self.section(table, "roles");
        let family = self.section(table, "family");
        let cache = self.section(table, "cache");
        let refusals = self.section(table, "refusals");
        let conductor = self.section(table, "conductor");
        let recursive = self.section(table, "recursive");
        let echo = self.section(table, "echo");
        let model = self.models(table);
        Some(Form {
            version: version?,
            lasting: lasting?,
            mistakes: mistakes?,
            help: help?,
            roles: roles?,
            family: family?,
            cache: cache?,
            refusals: refusals?,
            conductor: conductor?,
            recursive: recursive?,
            echo: echo?,
            model: model?,
        })
    }

    fn section<T: DeserializeOwned>(&mut self, table: &mut Table, name: &str) -> Option<T> {
        let Some(value) = table.remove(name) else {
            self.wrong.push(format!("[{name}] is missing"));
            return None;
        };
        self.value(value, &format!("[{name}]"))
    }

    fn value<T: DeserializeOwned>(&mut self, value: Value, place: &str) -> Option<T> {
        let read = value.try_into();
        read.map_err(|error| {
            let said = error.to_string();
            let said: Vec<&str> = said.lines().map(str::trim).collect();
            self.wrong.push(format!("{place} {}", said.join(", ")));
        })
        .ok()
    }

    fn models(&mut self, table: &mut Table) -> Option<Vec<Model>> {
        let models: Vec<Value> = self.section(table, "model")?;
        let known = self.wrong.len();
        let mut read = Vec::new();
        for (number, model) in (1..).zip(models) {
            let name = model.get("name").and_then(Value::as_str).unwrap_or("without a name");
            let place = format!("model {number} ({name}):");
            read.extend(self.value(model, &place));
        }
        (self.wrong.len() == known).then_some(read)
    }
}
