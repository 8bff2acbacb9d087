//! How a simulated model works on a task: whether it succeeds, and what it then writes.
//!
//! A lot is drawn from (seed, model, task) and compared with a chance; visible help moves
//! the chance, never the lot. So a model has lasting strengths and blind spots, and asking
//! it again is not another throw of the dice, except for the share that depends on the
//! prompt. Truth decides only the moves: no reply carries a label that tells it.

use crate::{
    Check, Control, Parameters,
    draw::Draws,
    family::{Attempt, Problem},
    parameters::Model,
    reading::{Kind, Reading, Shown},
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

/// An answer that the model is shown.
struct Seen {
    text: String,
    right: bool,
    own: bool,
}

/// All that helps or misleads.
#[derive(Default)]
struct Sight {
    answers: Vec<Seen>,
    plan: Option<bool>,
    /// Whether a check rejected what came before it.
    rejected: bool,
}

fn logit(chance: f64) -> f64 {
    let chance = chance.clamp(0.001, 0.999);
    (chance / (1.0 - chance)).ln()
}

fn chance(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

impl Work<'_> {
    /// The reply.
    pub(crate) fn reply(&self) -> String {
        let sight = self.sight();
        match self.reading.kind {
            Kind::Solve | Kind::Correct | Kind::Merge => self.solved(&sight, 0.0),
            Kind::Plan => self.planned(),
            Kind::Check => self.checked(&sight),
        }
    }

    /// A lot from 0 to 1 that lasts for this model and task, or, for a share of prompts,
    /// one for this prompt.
    fn lot(&self, topic: &str) -> Draws {
        let mut fresh = Draws::of(&[topic, self.seed, &self.model.name, self.prompt_hash]);
        if fresh.chance(self.parameters.draws().fresh_share) {
            return fresh;
        }
        Draws::of(&[topic, self.seed, &self.model.name, self.task])
    }

    fn roles_count(&self) -> bool {
        self.control != Control::NoRoles
    }

    fn sight(&self) -> Sight {
        let mut sight = Sight::default();
        for shown in &self.reading.shown {
            self.look_at(shown, &mut sight);
        }
        sight
    }

    fn look_at(&self, shown: &Shown, sight: &mut Sight) {
        let puzzle = self.problem.puzzle();
        if shown.rejected {
            sight.rejected = true;
            return;
        }
        if shown.kind == Kind::Plan {
            sight.plan = puzzle.judge_plan(&shown.response).or(sight.plan);
            return;
        }
        let check = puzzle.check();
        let verdict = verdict_in(&shown.response);
        if verdict == Some(false) {
            sight.answers.clear();
            sight.rejected = true;
        }
        // A check that passes repeats an answer that has been counted.
        let repeats = verdict == Some(true) && !sight.answers.is_empty();
        if let Some(text) = check.read(&shown.response).filter(|_| !repeats) {
            let (right, own) = (check.accepts(&text), shown.agent == self.model.name);
            sight.answers.push(Seen { text, right, own });
        }
    }

    /// The chance to solve, given all that is seen.
    fn solving(&self, sight: &Sight, bonus: f64) -> f64 {
        let (family, difficulty) = (self.problem.family(), self.problem.puzzle().difficulty());
        let skill = match self.control {
            Control::FlatSkills => self.parameters.mean_skill(family, difficulty),
            Control::Off | Control::NoRoles => self.model.skill(family, difficulty),
        };
        let ease = Draws::of(&["ease", self.seed, self.task]).normal();
        let alone = logit(skill) + self.parameters.draws().task_spread * ease;
        if !self.roles_count() {
            return chance(alone);
        }
        let effects = self.parameters.effects();
        let plan = match sight.plan {
            Some(true) => effects.plan_good,
            Some(false) => effects.plan_bad,
            None => 0.0,
        };
        let right = sight.answers.iter().filter(|answer| answer.right).count() as f64;
        let wrong = sight.answers.len() as f64 - right;
        let herd = effects.herd_right * right + effects.herd_wrong * wrong;
        let herd = herd.clamp(-effects.herd_max, effects.herd_max);
        let feedback = if sight.rejected { effects.feedback } else { 0.0 };
        let role = match self.reading.kind {
            Kind::Correct if sight.rejected || !sight.answers.is_empty() => self.model.role.correct,
            Kind::Merge if sight.answers.len() > 1 => self.model.role.merge,
            Kind::Solve | Kind::Plan | Kind::Check | Kind::Correct | Kind::Merge => 0.0,
        };
        chance(alone + plan + herd + feedback + role + bonus)
    }

    fn solved(&self, sight: &Sight, bonus: f64) -> String {
        let attempt = self.attempt(sight, bonus);
        format!("{}\n\n{}", attempt.working.join("\n"), self.final_answer(&attempt.answer))
    }

    fn attempt(&self, sight: &Sight, bonus: f64) -> Attempt {
        if self.lot("solve").chance(self.solving(sight, bonus)) {
            return self.problem.puzzle().right();
        }
        let mut lot = self.lot("mistake");
        let wrong: Vec<&Seen> = sight.answers.iter().filter(|answer| !answer.right).collect();
        let copies = self.roles_count() && lot.chance(self.parameters.effects().copy_wrong);
        if copies && let Some(last) = wrong.last() {
            return self.problem.reaching(last.text.clone());
        }
        self.problem.wrong(&mut lot)
    }

    fn planned(&self) -> String {
        let puzzle = self.problem.puzzle();
        let harder = f64::from(puzzle.difficulty().level()) - 3.0;
        let good = logit(self.model.role.plan) + self.parameters.effects().difficulty * harder;
        let lines = if self.lot("plan").chance(chance(good)) {
            puzzle.plan()
        } else {
            puzzle.bad_plan(&mut self.lot("bad plan"))
        };
        let lines = crate::family::number(&lines).join("\n");
        format!("Plan:\n{lines}\nGo on from there and keep the form that the question asks for.")
    }

    fn checked(&self, sight: &Sight) -> String {
        let Some(last) = sight.answers.last() else {
            let verdict = if self.reading.judging { "fail" } else { "pass" };
            let answer = self.solved(sight, 0.0);
            return self.with_verdict(verdict, "There is no answer to check.", &answer);
        };
        if !self.roles_count() {
            let own = self.attempt(sight, 0.0).answer;
            let verdict = if own == last.text { "pass" } else { "fail" };
            return self.with_verdict(verdict, "I worked it out myself.", &self.final_answer(&own));
        }
        if !self.lot("check").chance(self.flagging(last)) {
            let answer = self.final_answer(&last.text);
            return self.with_verdict("pass", "I went through every step: they hold.", &answer);
        }
        let rest = Sight { answers: Vec::new(), plan: sight.plan, rejected: false };
        let bonus = if last.right { 0.0 } else { self.parameters.effects().feedback };
        let again = self.solved(&rest, bonus);
        self.with_verdict("fail", "One of the steps does not hold; this is my way:", &again)
    }

    /// The chance to call an answer wrong.
    fn flagging(&self, answer: &Seen) -> f64 {
        let (role, effects) = (&self.model.role, self.parameters.effects());
        if answer.right {
            return role.false_alarm;
        }
        let harder = f64::from(self.problem.puzzle().difficulty().level()) - 3.0;
        let own = if answer.own { effects.own_answer } else { 0.0 };
        chance(logit(role.check) + effects.difficulty * harder + own)
    }

    /// For a step the answer comes last, for a verifier the verdict.
    fn with_verdict(&self, verdict: &str, reason: &str, answer: &str) -> String {
        if self.reading.judging {
            return format!("{reason}\nVerdict: {verdict}");
        }
        format!("Verdict: {verdict}\n{reason}\n{answer}")
    }

    fn final_answer(&self, answer: &str) -> String {
        match self.problem.puzzle().check() {
            Check::Number { .. } | Check::Expression { .. } => format!("Answer: {answer}"),
            Check::Program { .. } => format!("```python\n{answer}\n```"),
        }
    }
}

fn verdict_in(response: &str) -> Option<bool> {
    response.lines().rev().find_map(|line| {
        let lower = line.to_ascii_lowercase();
        let (_, word) = lower.split_once("verdict:")?;
        match word.trim_matches(|c: char| !c.is_alphabetic()) {
            "pass" => Some(true),
            "fail" => Some(false),
            _ => None,
        }
    })
}
