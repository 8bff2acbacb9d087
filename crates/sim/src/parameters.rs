//! The parameters file: every number that decides how the simulated models behave.

mod form;
mod sense;
pub(crate) mod skill;

use crate::{Difficulty, Family};
use baton_workflow::AgentCard;
use std::sync::{Arc, LazyLock};

use form::Form;
pub(crate) use form::{
    Cache, Conductor, Echo, FamilyForm, Help, Lasting, Mistakes, Model, Recursive, Role, Roles,
};
use skill::Skills;

/// The file that is compiled in.
const BUILT_IN: &str = include_str!("../parameters.toml");
/// Version of the file's form that this code reads.
const VERSION: u32 = 3;
/// The provider's name on the cards.
const PROVIDER: &str = "sim";
/// How much of the hash stands in reports, in characters.
const SHORT_CHARS: usize = 12;

/// Everything that decides how the simulated models behave.
#[derive(Debug, Clone)]
pub struct Parameters {
    form: Arc<Form>,
    skills: Arc<Skills>,
    hash: String,
}

/// Why a text is not a parameters file: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameters of the simulation cannot be used:\n{}", .0.join("\n"))]
pub struct ParametersError(pub Vec<String>);

impl Parameters {
    /// The parameters that are compiled in.
    pub fn built_in() -> Self {
        #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
        static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| {
            Parameters::read(BUILT_IN).expect("the compiled-in parameters are well-formed")
        });
        PARAMETERS.clone()
    }

    /// Reads parameters in the form of `parameters.toml`, and complains about all that is
    /// wrong at once.
    pub fn read(text: &str) -> Result<Self, ParametersError> {
        let form = form::read(text).map_err(ParametersError)?;
        let wrong = sense::complaints(&form);
        if !wrong.is_empty() {
            return Err(ParametersError(wrong));
        }
        let skills = Arc::new(Skills::of(&form));
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        Ok(Self { form: Arc::new(form), skills, hash })
    }

    /// BLAKE3 of the file: results are comparable only where it is the same.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The start of the hash, as every report names it.
    pub fn short_hash(&self) -> &str {
        self.hash.get(..SHORT_CHARS).unwrap_or(&self.hash)
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

    /// The logits with which a model solves such a task, so that its mean is the table's.
    pub(crate) fn skill(&self, model: &str, family: Family, difficulty: Difficulty) -> f64 {
        self.skills.of_model(model, family, difficulty)
    }

    /// The same for what workers can do on average: everybody's when skills are flat.
    pub(crate) fn mean_skill(&self, family: Family, difficulty: Difficulty) -> f64 {
        self.skills.mean(family, difficulty)
    }

    /// What workers are in their roles on average.
    pub(crate) fn mean_role(&self) -> Role {
        let workers: Vec<&Role> =
            self.form.model.iter().filter(|model| model.worker).map(|model| &model.role).collect();
        let count = workers.len().max(1) as f64;
        let mean = |of: fn(&Role) -> f64| workers.iter().map(|role| of(role)).sum::<f64>() / count;
        Role {
            plan: mean(|role| role.plan),
            check: mean(|role| role.check),
            false_alarm: mean(|role| role.false_alarm),
            correct: mean(|role| role.correct),
            merge: mean(|role| role.merge),
        }
    }

    pub(crate) fn lasting(&self) -> &Lasting {
        &self.form.lasting
    }

    pub(crate) fn mistakes(&self) -> &Mistakes {
        &self.form.mistakes
    }

    pub(crate) fn help(&self) -> &Help {
        &self.form.help
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.form.roles
    }

    pub(crate) fn family(&self, family: Family) -> &FamilyForm {
        self.form.family.of(family)
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.form.cache
    }

    pub(crate) fn retry_after_ms(&self) -> u64 {
        self.form.refusals.retry_after_ms
    }

    pub(crate) fn conductor(&self) -> &Conductor {
        &self.form.conductor
    }

    pub(crate) fn recursive(&self) -> &Recursive {
        &self.form.recursive
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
        assert_eq!(parameters.cards_all().len(), 9);
        assert_eq!(parameters.hash().len(), 64);
        assert!(parameters.hash().starts_with(parameters.short_hash()));
    }

    #[test]
    fn the_guides_name_the_hash_of_the_file() {
        let hash = Parameters::built_in().short_hash().to_owned();
        let guide = include_str!("../../../docs/guides/simulation.md");
        let named = format!("Parameters of this version: `{hash}`");
        assert!(guide.contains(&named), "docs/guides/simulation.md must say: {named}");
        assert!(BUILT_IN.contains("EVER CHANGED BECAUSE OF WHAT BATON'S OWN POLICIES"));
    }

    /// The complaints about the built-in file with these changes.
    fn complaints(changes: &[(&str, &str)]) -> String {
        let changed = changes.iter().fold(BUILT_IN.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        Parameters::read(&changed).unwrap_err().to_string()
    }

    #[test]
    fn all_that_makes_no_sense_is_told_at_once() {
        let said = complaints(&[
            ("version = 3", "version = 2"),
            ("[0.95, 0.85", "[1.95, 0.85"),
            ("model = \"sim-null\"", "model = \"x\""),
            ("stray = 0.25", "stray = -1.0"),
            ("affinity = 2.5", "affinity = 2500.0"),
            ("skill.choice = [0.95", "skill.choice = [0.20"),
            ("block_tokens = 64", "block_tokens = 0"),
            ("first_token_spread = 0.4", "first_token_spread = nan"),
            ("herd_wrong = -1.2", "herd_wrong = 1.2"),
        ]);
        for part in [
            "version is 2: expected 3",
            "model sim-swift: skill.arithmetic is 1.95 at difficulty 1: expected 0 to 1",
            "[echo] there is no model \"x\"",
            "[mistakes] stray is -1: expected 0 to 1",
            "[lasting] affinity is 2500: expected 0 to 20",
            "model sim-swift: skill.choice is 0.2 at difficulty 1: expected more than the guess",
            "[cache] block_tokens is 0: expected 1 to 65536",
            "model sim-swift: first_token_spread is NaN: expected 0 to 3",
            "[help] herd_wrong is 1.2: expected -20 to 0",
        ] {
            assert!(said.contains(part), "no {part:?} in\n{said}");
        }
        assert_eq!(said.lines().count(), 10, "{said}");
    }

    #[test]
    fn all_that_is_unreadable_is_told_at_once() {
        let said = complaints(&[
            ("affinity = 2.5", "infinity = 2.5"),
            ("window_s = 300", "window_s = \"long\""),
            ("name = \"sim-arith\"\nworker = true", "name = \"sim-arith\"\nworker = 7"),
            ("[refusals]\n", "[refusals]\nfuel = 1\n"),
            ("[echo]", "[echos]"),
        ]);
        for part in ["infinity", "[cache]", "model 2 (sim-arith)", "fuel", "[echos]", "[echo]"] {
            assert!(said.contains(part), "no {part:?} in\n{said}");
        }
        assert!(Parameters::read("= 1").is_err());
    }
}
