//! How a simulated model works on a task: whether it succeeds, and what it then writes.
//!
//! What it can do about a task lasts: how hard the task is, how well it suits the model,
//! how good a plan or a check of it the model would write, and which mistake it makes, are
//! drawn from (seed, task, model) and from nothing that can be asked differently. Visible
//! help moves chances. Truth decides only the moves: no reply carries a label that tells it.

use crate::{
    Control, Parameters,
    draw::Draws,
    family::{Attempt, Problem},
    parameters::{Model, Role, skill::sigmoid},
    reading::{Kind, Reading},
    sight::{Seen, Sight},
    words,
};

/// One call to a simulated model about a task.
pub(crate) struct Work<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) control: Control,
    pub(crate) model: &'a Model,
    /// Seed of the whole simulation.
    pub(crate) seed: &'a str,
    /// Hash of everything that was said, and of the request's own seed.
    pub(crate) prompt_hash: &'a str,
    pub(crate) reading: &'a Reading,
    pub(crate) problem: &'a Problem,
    /// The task's text, which names it in the lots.
    pub(crate) task: &'a str,
}

fn logit(chance: f64) -> f64 {
    let chance = chance.clamp(0.001, 0.999);
    (chance / (1.0 - chance)).ln()
}

impl Work<'_> {
    /// The reply.
    pub(crate) fn reply(&self) -> String {
        let sight = Sight::of(self.reading, self.problem, &self.model.name);
        match self.reading.kind {
            Kind::Solve | Kind::Correct | Kind::Merge => {
                words::solved(self.problem, &self.attempt(&sight, 0.0))
            }
            Kind::Plan => words::planned(&self.plan()),
            Kind::Check => self.checked(&sight),
        }
    }

    /// Lots that last for this task and model.
    fn lasting(&self, topic: &str) -> Draws {
        Draws::of(&[topic, self.seed, &self.model.name, self.task])
    }

    /// Lots of this call.
    fn fresh(&self, topic: &str) -> Draws {
        Draws::of(&[topic, self.seed, &self.model.name, self.prompt_hash])
    }

    /// How hard the task is beyond its size, in standard deviations: the same for everybody.
    fn hardness(&self) -> f64 {
        Draws::of(&["z", self.seed, self.task]).normal()
    }

    /// How well the task suits the model, in standard deviations.
    fn affinity(&self) -> f64 {
        self.lasting("u").normal()
    }

    fn role(&self) -> Role {
        match self.control {
            Control::FlatSkills => self.parameters.mean_role(),
            Control::Off | Control::NoRoles => self.model.role.clone(),
        }
    }

    fn roles_count(&self) -> bool {
        self.control != Control::NoRoles
    }

    /// Levels of difficulty above the third.
    fn level(&self) -> f64 {
        f64::from(self.problem.puzzle().difficulty().level()) - 3.0
    }

    /// The chance to solve, given all that is seen.
    fn solving(&self, sight: &Sight, bonus: f64) -> f64 {
        let (family, difficulty) = (self.problem.family(), self.problem.puzzle().difficulty());
        let skill = match self.control {
            Control::FlatSkills => self.parameters.mean_skill(family, difficulty),
            Control::Off | Control::NoRoles => {
                self.parameters.skill(&self.model.name, family, difficulty)
            }
        };
        let lasting = self.parameters.lasting();
        let alone =
            skill - lasting.difficulty * self.hardness() + lasting.affinity * self.affinity();
        let help = if self.roles_count() { self.help(sight) + bonus } else { 0.0 };
        let guess = self.parameters.family(family).guess;
        guess + (1.0 - guess) * sigmoid(alone + help)
    }

    /// What is seen, in logits.
    fn help(&self, sight: &Sight) -> f64 {
        let help = self.parameters.help();
        let gain = self.parameters.family(self.problem.family()).plan;
        let plan = match sight.plan {
            Some(true) => gain,
            Some(false) => -help.plan_harm * gain,
            None => 0.0,
        };
        let feedback = match sight.rejected_right {
            Some(true) => -help.feedback,
            Some(false) => help.feedback,
            None => 0.0,
        };
        let role = match self.reading.kind {
            Kind::Correct if sight.rejected_right.is_some() || !sight.answers.is_empty() => {
                self.role().correct
            }
            Kind::Merge if sight.answers.len() > 1 => self.role().merge,
            Kind::Solve | Kind::Plan | Kind::Check | Kind::Correct | Kind::Merge => 0.0,
        };
        plan + self.herd(sight) + feedback + role
    }

    /// The pull of the answers that are seen.
    fn herd(&self, sight: &Sight) -> f64 {
        let help = self.parameters.help();
        let right = sight.answers.iter().filter(|answer| answer.right).count() as f64;
        let wrong = sight.answers.len() as f64 - right;
        let majority = match sight.majority() {
            Some(most) if most.right => help.majority,
            Some(_) => -help.majority,
            None => 0.0,
        };
        let pull = help.herd_right * right + help.herd_wrong * wrong + majority;
        pull.clamp(-help.herd_max, help.herd_max)
    }

    fn attempt(&self, sight: &Sight, bonus: f64) -> Attempt {
        if self.fresh("solve").chance(self.solving(sight, bonus)) {
            return self.problem.puzzle().right();
        }
        let mistakes = self.parameters.mistakes();
        let mut lots = self.fresh("mistake");
        let seen = sight.wrong_to_copy().filter(|_| self.roles_count());
        if let Some(wrong) = seen
            && lots.chance(mistakes.copied)
        {
            return self.problem.reaching(wrong.text.clone());
        }
        if lots.chance(mistakes.stray) {
            self.problem.wrong(&mut lots)
        } else {
            self.usual_mistake()
        }
    }

    /// The mistake that the model makes on this task; for some models it is the same.
    fn usual_mistake(&self) -> Attempt {
        let mut own = self.lasting("usual mistake");
        if own.chance(self.parameters.mistakes().common) {
            own = Draws::of(&["common mistake", self.seed, self.task]);
        }
        self.problem.wrong(&mut own)
    }

    /// A plan: the model always has the same one for a task.
    fn plan(&self) -> Vec<String> {
        let puzzle = self.problem.puzzle();
        let roles = self.parameters.roles();
        let moved = roles.level * self.level() + roles.plan_difficulty * self.hardness();
        if self.lasting("plan").chance(sigmoid(logit(self.role().plan) + moved)) {
            puzzle.plan()
        } else {
            puzzle.bad_plan(&mut self.lasting("bad plan"))
        }
    }

    fn checked(&self, sight: &Sight) -> String {
        let judging = self.reading.judging;
        let Some(last) = sight.answers.last() else {
            let own = self.attempt(sight, 0.0);
            return words::nothing_to_check(self.problem, judging, &own);
        };
        if !self.roles_count() {
            // It works the question out, and goes by nothing else.
            let own = self.attempt(sight, 0.0);
            let agrees = own.answer == last.text;
            return if agrees {
                words::passed(self.problem, judging, Some(&own.answer))
            } else {
                words::failed(self.problem, judging, &own)
            };
        }
        if !self.finds_fault(last) {
            let omitted = self.lasting("omitted").chance(self.parameters.roles().omitted);
            let repeated = Some(last.text.as_str()).filter(|_| !omitted);
            return words::passed(self.problem, judging, repeated);
        }
        let help = self.parameters.help();
        let rest = Sight { answers: Vec::new(), plan: sight.plan, rejected_right: None };
        let bonus = if last.right { -help.feedback } else { help.feedback };
        words::failed(self.problem, judging, &self.attempt(&rest, bonus))
    }

    /// Whether the model calls an answer wrong. It does so every time or never: another
    /// look at the same thing finds no more.
    fn finds_fault(&self, answer: &Seen) -> bool {
        let (role, roles) = (self.role(), self.parameters.roles());
        if answer.right {
            let moved = roles.alarm_difficulty * self.hardness();
            return self.lasting("alarm").chance(sigmoid(logit(role.false_alarm) + moved));
        }
        let moved = roles.level * self.level() + roles.check_difficulty * self.hardness();
        let own = answer.own || self.usual_mistake().answer == answer.text;
        let blind = if own { roles.blindness } else { 0.0 };
        self.lasting("check").chance(sigmoid(logit(role.check) + moved + blind))
    }
}
