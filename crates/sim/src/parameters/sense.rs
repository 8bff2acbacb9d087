//! What keeps a parameters file that can be read from making sense.

use super::{
    VERSION,
    form::{Form, Model},
};
use crate::{Difficulty, Family};
use std::collections::BTreeSet;

/// Most that anything adds to a chance, in logits; beyond it a chance is certain.
const LOGITS_MAX: f64 = 20.0;
/// Largest standard deviation of the logarithm of a wait.
const SPREAD_MAX: f64 = 3.0;
/// Most tokens in a block of the cache.
const BLOCK_TOKENS_MAX: u32 = 65_536;
/// Longest wait for a first token, and before a call is made again, in milliseconds.
const WAIT_MS_MAX: u64 = 3_600_000;

/// Everything that is wrong.
pub(super) fn complaints(form: &Form) -> Vec<String> {
    let mut wrong = Wrong::default();
    if form.version != VERSION {
        wrong.0.push(format!("version is {}: expected {VERSION}", form.version));
    }
    wrong.names(form);
    wrong.behaviour(form);
    for model in &form.model {
        wrong.model(model, form);
    }
    wrong.0
}

#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn within(&mut self, place: &str, name: &str, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.0.push(format!("{place} {name} is {value}: expected {low} to {high}"));
        }
    }

    fn chance(&mut self, place: &str, name: &str, value: f64) {
        self.within(place, name, value, 0.0, 1.0);
    }

    /// The names in the file.
    fn names(&mut self, form: &Form) {
        let mut names = BTreeSet::new();
        for model in &form.model {
            if !names.insert(&model.name) {
                self.0.push(format!("model {} is there twice", model.name));
            }
        }
        for (place, named) in [
            ("conductor", &form.conductor.model),
            ("recursive", &form.recursive.model),
            ("echo", &form.echo.model),
        ] {
            if !names.contains(named) {
                self.0.push(format!("[{place}] there is no model {named:?}"));
            }
        }
        if !form.model.iter().any(|model| model.worker) {
            self.0.push("there is no model with worker = true".into());
        }
    }

    fn behaviour(&mut self, form: &Form) {
        let lasting = &form.lasting;
        self.within("[lasting]", "difficulty", lasting.difficulty, 0.0, LOGITS_MAX);
        self.within("[lasting]", "affinity", lasting.affinity, 0.0, LOGITS_MAX);
        let mistakes = &form.mistakes;
        self.chance("[mistakes]", "common", mistakes.common);
        self.chance("[mistakes]", "stray", mistakes.stray);
        self.chance("[mistakes]", "copied", mistakes.copied);
        let help = &form.help;
        self.within("[help]", "plan_harm", help.plan_harm, 0.0, LOGITS_MAX);
        self.within("[help]", "herd_right", help.herd_right, 0.0, LOGITS_MAX);
        self.within("[help]", "herd_wrong", help.herd_wrong, -LOGITS_MAX, 0.0);
        self.within("[help]", "majority", help.majority, 0.0, LOGITS_MAX);
        self.within("[help]", "herd_max", help.herd_max, 0.0, LOGITS_MAX);
        self.within("[help]", "feedback", help.feedback, 0.0, LOGITS_MAX);
        let roles = &form.roles;
        self.within("[roles]", "level", roles.level, -LOGITS_MAX, 0.0);
        self.within("[roles]", "plan_difficulty", roles.plan_difficulty, -LOGITS_MAX, 0.0);
        self.within("[roles]", "check_difficulty", roles.check_difficulty, -LOGITS_MAX, 0.0);
        self.within("[roles]", "alarm_difficulty", roles.alarm_difficulty, 0.0, LOGITS_MAX);
        self.within("[roles]", "blindness", roles.blindness, -LOGITS_MAX, 0.0);
        self.chance("[roles]", "omitted", roles.omitted);
        for family in Family::ALL {
            let (place, found) = (format!("[family.{family}]"), form.family.of(family));
            self.within(&place, "guess", found.guess, 0.0, 0.99);
            self.within(&place, "plan", found.plan, 0.0, LOGITS_MAX);
        }
        let blocks = f64::from(form.cache.block_tokens);
        self.within("[cache]", "block_tokens", blocks, 1.0, f64::from(BLOCK_TOKENS_MAX));
        let wait = form.refusals.retry_after_ms as f64;
        self.within("[refusals]", "retry_after_ms", wait, 0.0, WAIT_MS_MAX as f64);
        let conductor = &form.conductor;
        self.chance("[conductor]", "malformed_rate", conductor.malformed_rate);
        self.chance("[conductor]", "malformed_again_rate", conductor.malformed_again_rate);
        self.chance("[conductor]", "reads_strengths", conductor.reads_strengths);
        self.chance("[conductor]", "stands_rate", conductor.stands_rate);
        self.chance("[conductor]", "recursion_rate", conductor.recursion_rate);
    }

    fn model(&mut self, model: &Model, form: &Form) {
        let place = format!("model {}:", model.name);
        if let Err(error) = model.card() {
            self.0.push(format!("{place} {error}"));
        }
        self.within(&place, "usd_cached", model.usd_cached, 0.0, model.usd_in);
        let wait = f64::from(model.first_token_ms);
        self.within(&place, "first_token_ms", wait, 0.0, WAIT_MS_MAX as f64);
        self.within(&place, "first_token_spread", model.first_token_spread, 0.0, SPREAD_MAX);
        self.within(&place, "token_spread", model.token_spread, 0.0, SPREAD_MAX);
        let role = &model.role;
        self.chance(&place, "role.plan", role.plan);
        self.chance(&place, "role.check", role.check);
        self.chance(&place, "role.false_alarm", role.false_alarm);
        self.within(&place, "role.correct", role.correct, -LOGITS_MAX, LOGITS_MAX);
        self.within(&place, "role.merge", role.merge, -LOGITS_MAX, LOGITS_MAX);
        if model.skill.is_none() {
            if model.worker {
                self.0.push(format!("{place} skill is missing: every worker has skills"));
            }
            return;
        }
        for family in Family::ALL {
            let guess = form.family.of(family).guess;
            for level in Difficulty::ALL {
                let chance = model.chance(family, level);
                let what = format!("{place} skill.{family} is {chance} at difficulty {level}");
                if !(0.0..=1.0).contains(&chance) {
                    self.0.push(format!("{what}: expected 0 to 1"));
                } else if chance <= guess {
                    self.0.push(format!("{what}: expected more than the guess of {guess}"));
                }
            }
        }
    }
}
