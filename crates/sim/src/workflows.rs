//! The workflows that the simulated Conductor knows, and its ways to write them down.

use crate::draw::Draws;

/// What a step sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sees {
    Nothing,
    Everything,
    These(&'static [usize]),
}

/// A number that no pool reaches.
const UNKNOWN_AGENT: usize = 9_999;

/// An instruction and what its step sees.
pub(crate) type StepShape = (&'static str, Sees);

const SOLVE: &str = "Solve the question. Show your steps and give the final answer.";
const SOLVE_AGAIN: &str = "Solve the question in your own way and give the final answer.";
const PLAN: &str = "Plan the solution: work out the intermediate results, not the answer.";
const FOLLOW: &str = "Solve the question. Use the plan of the earlier step where it holds.";
const CHECK: &str = "Check the earlier answer step by step. If it is wrong, give the right one.";
const CORRECT: &str = "Correct the earlier answer, with the help of the check.";
const MERGE: &str = "Merge the earlier answers into one final answer. Work out where they differ.";

/// A workflow without its agents.
pub(crate) struct Shape(&'static [StepShape]);

/// The form in which a workflow is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Three lists.
    Lists,
    /// One JSON object.
    Json,
}

const CHECKED: Shape = Shape(&[(SOLVE, Sees::Nothing), (CHECK, Sees::Everything)]);
const MERGED: Shape =
    Shape(&[(SOLVE, Sees::Nothing), (SOLVE_AGAIN, Sees::Nothing), (MERGE, Sees::These(&[0, 1]))]);
const PLANNED_CHECKED: Shape =
    Shape(&[(PLAN, Sees::Nothing), (FOLLOW, Sees::These(&[0])), (CHECK, Sees::These(&[1]))]);
const CORRECTED: Shape =
    Shape(&[(SOLVE, Sees::Nothing), (CHECK, Sees::These(&[0])), (CORRECT, Sees::Everything)]);

impl Shape {
    /// No step: the earlier answer stands.
    pub(crate) const NONE: Self = Self(&[]);
    /// One step.
    pub(crate) const ONE: Self = Self(&[(SOLVE, Sees::Nothing)]);
    /// A step that follows a plan.
    pub(crate) const FOLLOWED: Self = Self(&[(FOLLOW, Sees::Everything)]);
    /// A plan, and a step that follows it.
    pub(crate) const PLANNED: Self = Self(&[(PLAN, Sees::Nothing), (FOLLOW, Sees::Everything)]);

    /// One solves, and the verifier checks.
    pub(crate) const VERIFIED: Self = Self(&[(SOLVE, Sees::Nothing), ("", Sees::These(&[0]))]);

    /// Three solve beside each other, and one merges.
    pub(crate) const WIDE: Self = Self(&[
        (SOLVE, Sees::Nothing),
        (SOLVE_AGAIN, Sees::Nothing),
        (SOLVE_AGAIN, Sees::Nothing),
        (MERGE, Sees::Everything),
    ]);

    /// Easy questions mostly get one step; hard ones a mixture.
    pub(crate) fn draw(hard: bool, draws: &mut Draws) -> Self {
        let weighted: &[(f64, Self)] = if hard {
            &[
                (0.10, Self::ONE),
                (0.25, Self::PLANNED),
                (0.20, CHECKED),
                (0.15, MERGED),
                (0.15, PLANNED_CHECKED),
                (0.10, CORRECTED),
                (0.05, Self::WIDE),
            ]
        } else {
            &[(0.75, Self::ONE), (0.15, CHECKED), (0.10, Self::PLANNED)]
        };
        let mut left = draws.unit();
        let found = weighted.iter().find(|(weight, _)| {
            left -= weight;
            left < 0.0
        });
        found.map_or(Self::ONE, |(_, shape)| Self(shape.0))
    }

    /// The first step that solves the question.
    pub(crate) fn solving(&self) -> Option<usize> {
        let solves = [SOLVE, SOLVE_AGAIN, FOLLOW];
        self.0.iter().position(|(subtask, _)| solves.contains(subtask))
    }

    pub(crate) fn steps(&self) -> &'static [StepShape] {
        self.0
    }
}

/// A workflow, ready to be written down well or badly.
pub(crate) struct Lists {
    agents: Vec<usize>,
    subtasks: Vec<String>,
    access: Vec<String>,
    form: Form,
}

impl Lists {
    /// One agent for each step.
    pub(crate) fn new(agents: Vec<usize>, shape: Shape, form: Form) -> Self {
        let subtasks = shape.steps().iter().map(|(subtask, _)| (*subtask).to_owned());
        let access = shape.steps().iter().map(|(_, sees)| match sees {
            Sees::Nothing => "[]".into(),
            Sees::Everything => "[\"all\"]".into(),
            Sees::These(steps) => format!("{steps:?}"),
        });
        Self { agents, subtasks: subtasks.collect(), access: access.collect(), form }
    }

    /// With this as the last step's subtask.
    pub(crate) fn by(mut self, subtask: &str) -> Self {
        if let Some(last) = self.subtasks.last_mut() {
            subtask.clone_into(last);
        }
        self
    }

    /// As it should be.
    pub(crate) fn clean(&self) -> String {
        match self.form {
            Form::Lists => self.lists(&format!("{:?}", self.agents), &self.quoted().join(", ")),
            Form::Json => self.json(),
        }
    }

    /// Behind the first step of the round before, which is kept.
    pub(crate) fn behind_kept(&self) -> String {
        let (agents, access) = (&self.agents, self.access.join(", "));
        let agents: Vec<_> = agents.iter().map(ToString::to_string).collect();
        let subtasks = self.quoted().join(", ");
        match self.form {
            Form::Lists => format!(
                "model_id = [\"keep 0\", {}]\nsubtasks = [\"\", {subtasks}]\naccess_list = [[], {access}]",
                agents.join(", ")
            ),
            Form::Json => self.json().replacen("\"steps\": [", "\"steps\": [{\"keep\": 0}, ", 1),
        }
    }

    /// Meant well and written badly: a tolerant reader understands it.
    pub(crate) fn dirty(&self, draws: &mut Draws) -> String {
        let clean = self.clean();
        if self.form == Form::Json {
            return format!("Here is the plan:\n```json\n{clean}\n```\nGood luck!");
        }
        let (agents, quoted) = (format!("{:?}", self.agents), self.quoted());
        let written = match draws.below(6) {
            0 => {
                let smart = self.subtasks.iter().map(|subtask| format!("“{subtask}”"));
                self.lists(&agents, &smart.collect::<Vec<_>>().join(", "))
            }
            1 => self.lists(&agents, &quoted.join("\n  ")),
            2 => self.lists(&format!("[{agents}]"), &quoted.join(", ")),
            3 => clean.replace("model_id =", "model ids:").replace("subtasks =", "subtasks:"),
            4 => format!(
                "<think>The first subtask: something like \"solve it\". An access_list of [] would do.</think>\n{clean}"
            ),
            _ => clean.replace("[\"all\"]", "\"all\""),
        };
        // Some of these change nothing in a plan of one step.
        if written == clean { format!("```\n{clean}\n```\nI hope this helps!") } else { written }
    }

    /// Not a workflow: it must be sent back.
    pub(crate) fn wrong(mut self, draws: &mut Draws) -> String {
        match draws.below(5) {
            0 => self.agents[0] = UNKNOWN_AGENT,
            1 => self.access[0] = format!("[{}]", self.access.len()),
            2 => self.subtasks[0].clear(),
            3 if self.form == Form::Lists => {
                self.agents.pop();
            }
            _ => {
                let clean = self.clean();
                return clean[..clean.len() * 2 / 3].to_owned();
            }
        }
        self.clean()
    }

    fn quoted(&self) -> Vec<String> {
        let escaped = |subtask: &String| format!("\"{}\"", subtask.replace('"', "\\\""));
        self.subtasks.iter().map(escaped).collect()
    }

    fn lists(&self, agents: &str, subtasks: &str) -> String {
        let thought = self.thought();
        let access = self.access.join(", ");
        format!(
            "{thought}\n\nmodel_id = {agents}\nsubtasks = [{subtasks}]\naccess_list = [{access}]"
        )
    }

    fn json(&self) -> String {
        let subtasks = self.quoted();
        let steps = self.agents.iter().zip(&subtasks).zip(&self.access).map(
            |((agent, subtask), access)| {
                format!("{{\"agent\": {agent}, \"subtask\": {subtask}, \"access\": {access}}}")
            },
        );
        let steps: Vec<String> = steps.collect();
        format!("{{\"reasoning\": \"{}\", \"steps\": [{}]}}", self.thought(), steps.join(", "))
    }

    fn thought(&self) -> &'static str {
        match self.agents.len() {
            0 => "The answer can stand.",
            1 => "One step will do.",
            _ => "This is better done in several steps.",
        }
    }
}
