//! The parameters file: every number that decides how the simulated models behave.

use crate::{Difficulty, Family};
use baton_workflow::{AgentCard, AgentId, Price};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

/// The file that is compiled in.
const BUILT_IN: &str = include_str!("parameters.toml");
/// Version of the file's form that this code reads.
const VERSION: u32 = 1;
/// The provider's name on the cards.
const PROVIDER: &str = "sim";

/// Everything that decides how the simulated models behave.
#[derive(Debug, Clone)]
pub struct Parameters {
    form: Arc<Form>,
    hash: String,
}

/// Why a text is not a parameters file.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// It does not have the form.
    #[error("the parameters of the simulation cannot be read: compare them with parameters.toml")]
    Form(#[from] toml::de::Error),
    /// It has the form and makes no sense.
    #[error("the parameters of the simulation make no sense: {0}")]
    Sense(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    draws: Lots,
    effects: Effects,
    conductor: Conductor,
    echo: Echo,
    model: Vec<Model>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lots {
    pub(crate) fresh_share: f64,
    pub(crate) task_spread: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Effects {
    pub(crate) plan_good: f64,
    pub(crate) plan_bad: f64,
    pub(crate) herd_right: f64,
    pub(crate) herd_wrong: f64,
    pub(crate) herd_max: f64,
    pub(crate) feedback: f64,
    pub(crate) own_answer: f64,
    pub(crate) difficulty: f64,
    pub(crate) copy_wrong: f64,
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
    worker: bool,
    pub(crate) strengths: String,
    usd_in: f64,
    usd_out: f64,
    pub(crate) context_tokens: u32,
    pub(crate) output_tokens: u32,
    concurrency: u32,
    pub(crate) first_token_ms: u64,
    pub(crate) tokens_per_second: u32,
    skill: Skill,
    pub(crate) role: Role,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skill {
    arithmetic: [f64; 5],
    modular: [f64; 5],
    countdown: [f64; 5],
    program: [f64; 5],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    pub(crate) plan: f64,
    pub(crate) check: f64,
    pub(crate) false_alarm: f64,
    pub(crate) correct: f64,
    pub(crate) merge: f64,
}

impl Model {
    /// Chance to solve such a task alone.
    pub(crate) fn skill(&self, family: Family, difficulty: Difficulty) -> f64 {
        let skills = match family {
            Family::Arithmetic => &self.skill.arithmetic,
            Family::Modular => &self.skill.modular,
            Family::Countdown => &self.skill.countdown,
            Family::Program => &self.skill.program,
        };
        skills[difficulty.index()]
    }

    fn complaint(&self) -> Option<String> {
        let skills = [
            &self.skill.arithmetic,
            &self.skill.modular,
            &self.skill.countdown,
            &self.skill.program,
        ];
        let chances = skills.into_iter().flatten().copied();
        let roles = [self.role.plan, self.role.check, self.role.false_alarm];
        let wrong = chances.chain(roles).find(|chance| !(0.0..=1.0).contains(chance));
        wrong.map(|chance| format!("{}: {chance} is no chance from 0 to 1", self.name))
    }

    fn card(&self) -> Result<AgentCard, ParametersError> {
        let sense = |error: String| ParametersError::Sense(format!("{}: {error}", self.name));
        Ok(AgentCard {
            id: AgentId::new(&self.name).map_err(|error| sense(error.to_string()))?,
            provider: PROVIDER.into(),
            model: self.name.clone(),
            strengths: self.strengths.clone(),
            price: Price::from_dollars(self.usd_in, self.usd_out)
                .map_err(|error| sense(error.to_string()))?,
            context_tokens: self.context_tokens,
            output_tokens: self.output_tokens,
            concurrency: self.concurrency,
            images: false,
            abilities: Default::default(),
            tags: BTreeSet::from(["simulated".to_owned()]),
        })
    }
}

impl Parameters {
    /// The parameters that are compiled in.
    pub fn built_in() -> Self {
        #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
        static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| {
            Parameters::read(BUILT_IN).expect("the compiled-in parameters are well-formed")
        });
        PARAMETERS.clone()
    }

    /// Reads parameters in the form of `parameters.toml`.
    pub fn read(text: &str) -> Result<Self, ParametersError> {
        let form: Form = toml::from_str(text)?;
        if form.version != VERSION {
            let found = form.version;
            return Err(ParametersError::Sense(format!("version {found}: expected {VERSION}")));
        }
        if let Some(complaint) = form.model.iter().find_map(Model::complaint) {
            return Err(ParametersError::Sense(complaint));
        }
        for named in [&form.conductor.model, &form.echo.model] {
            if !form.model.iter().any(|model| model.name == *named) {
                return Err(ParametersError::Sense(format!("there is no model {named}")));
            }
        }
        for model in &form.model {
            model.card()?;
        }
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        Ok(Self { form: Arc::new(form), hash })
    }

    /// BLAKE3 of the file, for reports: results are comparable only where it is the same.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The models that may be given steps, as a pool of the provider `sim`.
    pub fn cards(&self) -> Vec<AgentCard> {
        self.cards_of(|model| model.worker)
    }

    /// Every model, the Conductor and the echo included.
    pub fn cards_all(&self) -> Vec<AgentCard> {
        self.cards_of(|_| true)
    }

    fn cards_of(&self, wanted: impl Fn(&Model) -> bool) -> Vec<AgentCard> {
        let models = self.form.model.iter().filter(|model| wanted(model));
        models.filter_map(|model| model.card().ok()).collect()
    }

    pub(crate) fn models(&self) -> &[Model] {
        &self.form.model
    }

    pub(crate) fn model(&self, name: &str) -> Option<&Model> {
        self.form.model.iter().find(|model| model.name == name)
    }

    /// What the workers can do on average: the skill of everybody when skills are flat.
    pub(crate) fn mean_skill(&self, family: Family, difficulty: Difficulty) -> f64 {
        let workers = self.form.model.iter().filter(|model| model.worker);
        let skills: Vec<f64> = workers.map(|model| model.skill(family, difficulty)).collect();
        skills.iter().sum::<f64>() / (skills.len().max(1) as f64)
    }

    pub(crate) fn draws(&self) -> &Lots {
        &self.form.draws
    }

    pub(crate) fn effects(&self) -> &Effects {
        &self.form.effects
    }

    pub(crate) fn conductor(&self) -> &Conductor {
        &self.form.conductor
    }

    pub(crate) fn echo(&self) -> &Echo {
        &self.form.echo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_makes_a_pool() {
        let parameters = Parameters::built_in();
        let names: Vec<String> = parameters.cards().into_iter().map(|card| card.model).collect();
        assert_eq!(
            names,
            ["sim-swift", "sim-arith", "sim-search", "sim-coder", "sim-sage", "sim-critic"]
        );
        assert_eq!(parameters.cards_all().len(), 8);
        assert_eq!(parameters.hash().len(), 64);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |from: &str, to: &str| {
            let changed = BUILT_IN.replacen(from, to, 1);
            assert_ne!(changed, BUILT_IN);
            let error = Parameters::read(&changed).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error} {}", source.unwrap_or_default())
        };
        assert!(check("version = 1", "version = 2").contains("version 2: expected 1"));
        assert!(check("0.95", "1.95").contains("sim-swift: 1.95 is no chance"));
        assert!(check("model = \"sim-null\"", "model = \"x\"").contains("there is no model x"));
        assert!(check("task_spread", "tusk_spread").contains("tusk_spread"));
    }
}
