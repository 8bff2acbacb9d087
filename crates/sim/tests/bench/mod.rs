//! A simulation to measure on, and the prompts it is given.

use baton_sim::{
    Ask, Control, Difficulty, Family, Parameters, Said, SimOptions, Simulator, Speaker, Task, tasks,
};

/// Families whose tasks take no search, for tests of thousands of them.
pub(crate) const QUICK: [Family; 5] =
    [Family::Arithmetic, Family::Modular, Family::Numbers, Family::Strings, Family::Lists];

/// The file that is compiled in.
const PARAMETERS: &str = include_str!("../../parameters.toml");

/// Who plans well, and who badly, whatever the task: for plans to be shown.
const SURE: [(&str, &str); 2] = [("plan = 0.88", "plan = 1.00"), ("plan = 0.35", "plan = 0.00")];

pub(crate) struct Bench {
    simulator: Simulator,
    /// The same, where one model always plans well and another always badly.
    planners: Simulator,
}

fn simulator(seed: u64, control: Control, parameters: &str) -> Simulator {
    let parameters = Parameters::read(parameters).unwrap();
    Simulator::new(SimOptions { seed, control, parameters, ..SimOptions::default() })
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in the parameters");
    text.replacen(from, to, 1)
}

impl Bench {
    pub(crate) fn new(control: Control) -> Self {
        Self::seeded(1, control, &[])
    }

    /// With parameters that differ in these: `from -> to`.
    pub(crate) fn changed(changes: &[&str]) -> Self {
        Self::seeded(1, Control::Off, changes)
    }

    pub(crate) fn seeded(seed: u64, control: Control, changes: &[&str]) -> Self {
        let changed = changes.iter().fold(PARAMETERS.to_owned(), |text, change| {
            let (from, to) = change.split_once(" -> ").unwrap();
            replaced(&text, from, to)
        });
        let sure =
            SURE.iter().fold(PARAMETERS.to_owned(), |text, (from, to)| replaced(&text, from, to));
        let sure = replaced(&sure, "plan_difficulty = -0.7", "plan_difficulty = 0.0");
        Self {
            simulator: simulator(seed, control, &changed),
            planners: simulator(seed, Control::Off, &sure),
        }
    }

    pub(crate) fn tell(&self, model: &str, text: &str) -> String {
        tell(&self.simulator, model, text)
    }

    /// A plan that holds, or one that does not (but for one in a thousand).
    pub(crate) fn plan(&self, task: &Task, good: bool) -> String {
        let model = if good { "sim-sage" } else { "sim-swift" };
        tell(&self.planners, model, &with(task, &[], "Plan the solution."))
    }

    /// A wrong answer in the form of a right one.
    pub(crate) fn wrong(&self, task: &Task) -> String {
        for attempt in 0..40 {
            for model in ["sim-swift", "sim-critic", "sim-arith", "sim-coder", "sim-search"] {
                let reply = self.tell(model, &format!("{} {attempt}", task.prompt));
                if let Some(answer) = task.check.read(&reply)
                    && !task.check.accepts(&answer)
                {
                    return answer;
                }
            }
        }
        // Nobody errs on this one.
        match task.family {
            Family::Lists => "[]".into(),
            Family::Strings => "zzz".into(),
            Family::Choice => "?".into(),
            Family::Arithmetic | Family::Modular | Family::Numbers => "-1".into(),
            Family::Countdown | Family::Program => "0".into(),
        }
    }

    /// Share of right answers, in percent.
    pub(crate) fn score(&self, tasks: &[Task], answer: impl Fn(&Self, &Task) -> String) -> f64 {
        let right = tasks.iter().filter(|task| tasks::grade(task, &answer(self, task))).count();
        100.0 * right as f64 / tasks.len() as f64
    }
}

fn tell(simulator: &Simulator, model: &str, text: &str) -> String {
    let said = Said { speaker: Speaker::User, text: text.into() };
    let ask = Ask {
        model: model.into(),
        messages: vec![said],
        output_tokens_max: None,
        stop: vec![],
        seed: None,
    };
    simulator.tell(&ask).unwrap().text
}

/// So many tasks of each family at this difficulty.
pub(crate) fn set(families: &[Family], level: u8, count: u64) -> Vec<Task> {
    let difficulty = Difficulty::try_from(level).unwrap();
    let of = |family: &Family| {
        let family = *family;
        (0..count).map(move |seed| tasks::generate(family, difficulty, seed))
    };
    families.iter().flat_map(of).collect()
}

pub(crate) fn step(number: usize, agent: &str, subtask: &str, response: &str) -> String {
    format!(
        "<step number=\"{number}\" agent=\"{agent}\">\n<subtask>{subtask}</subtask>\n<response>{response}</response>\n</step>"
    )
}

pub(crate) fn with(task: &Task, steps: &[String], subtask: &str) -> String {
    format!("{}\n\n{}\n\nYour subtask: {subtask}", task.prompt, steps.join("\n"))
}

pub(crate) fn judging(task: &Task, answer: &str) -> String {
    format!(
        "{}\n<candidate>{answer}</candidate>\nEnd with `Verdict: pass` or `Verdict: fail`.",
        task.prompt
    )
}
