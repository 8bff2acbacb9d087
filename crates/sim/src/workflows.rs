//! The workflows that the simulated Conductor knows, and its ways to write them down.

use crate::draw::Draws;

/// What a step sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sees {
    Nothing,
    Everything,
    These(&'static [usize]),
}

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

const ONE: Shape = Shape(&[(SOLVE, Sees::Nothing)]);
const PLANNED: Shape = Shape(&[(PLAN, Sees::Nothing), (FOLLOW, Sees::Everything)]);
const CHECKED: Shape = Shape(&[(SOLVE, Sees::Nothing), (CHECK, Sees::Everything)]);
const MERGED: Shape =
    Shape(&[(SOLVE, Sees::Nothing), (SOLVE_AGAIN, Sees::Nothing), (MERGE, Sees::These(&[0, 1]))]);
const PLANNED_CHECKED: Shape =
    Shape(&[(PLAN, Sees::Nothing), (FOLLOW, Sees::These(&[0])), (CHECK, Sees::These(&[1]))]);
const CORRECTED: Shape =
    Shape(&[(SOLVE, Sees::Nothing), (CHECK, Sees::These(&[0])), (CORRECT, Sees::Everything)]);
const WIDE: Shape = Shape(&[
    (SOLVE, Sees::Nothing),
    (SOLVE_AGAIN, Sees::Nothing),
    (SOLVE_AGAIN, Sees::Nothing),
    (MERGE, Sees::Everything),
]);

impl Shape {
    /// Easy questions mostly get one step; hard ones a mixture.
    pub(crate) fn draw(hard: bool, draws: &mut Draws) -> Self {
        let weighted: &[(f64, Self)] = if hard {
            &[
                (0.10, ONE),
                (0.25, PLANNED),
                (0.20, CHECKED),
                (0.15, MERGED),
                (0.15, PLANNED_CHECKED),
                (0.10, CORRECTED),
                (0.05, WIDE),
            ]
        } else {
            &[(0.75, ONE), (0.15, CHECKED), (0.10, PLANNED)]
        };
        let mut left = draws.unit();
        let found = weighted.iter().find(|(weight, _)| {
            left -= weight;
            left < 0.0
        });
        found.map_or(ONE, |(_, shape)| Self(shape.0))
    }

    pub(crate) fn steps(&self) -> &'static [StepShape] {
        self.0
    }
}

/// A workflow as the three lists of a Conductor.
pub(crate) struct Lists {
    agents: Vec<usize>,
    subtasks: Vec<&'static str>,
    access: Vec<String>,
}

impl Lists {
    /// One agent for each step.
    pub(crate) fn new(agents: Vec<usize>, shape: Shape) -> Self {
        let subtasks = shape.steps().iter().map(|(subtask, _)| *subtask).collect();
        let access = shape.steps().iter().map(|(_, sees)| match sees {
            Sees::Nothing => "[]".into(),
            Sees::Everything => "[\"all\"]".into(),
            Sees::These(steps) => format!("{steps:?}"),
        });
        Self { agents, subtasks, access: access.collect() }
    }

    fn quoted(&self) -> Vec<String> {
        self.subtasks.iter().map(|subtask| format!("\"{subtask}\"")).collect()
    }

    fn written(&self, agents: &str, subtasks: &str, access: &str) -> String {
        let steps = if self.agents.len() == 1 { "one step" } else { "several steps" };
        format!(
            "The question wants {steps}.\n\nmodel_id = {agents}\nsubtasks = [{subtasks}]\naccess_list = [{access}]"
        )
    }

    /// As it should be.
    pub(crate) fn clean(&self) -> String {
        let (agents, access) = (format!("{:?}", self.agents), self.access.join(", "));
        self.written(&agents, &self.quoted().join(", "), &access)
    }

    /// Meant well and written badly: a tolerant reader understands it.
    pub(crate) fn dirty(&self, draws: &mut Draws) -> String {
        let (agents, access) = (format!("{:?}", self.agents), self.access.join(", "));
        let subtasks = self.quoted().join(", ");
        match draws.below(6) {
            0 => {
                let smart = self.subtasks.iter().map(|subtask| format!("“{subtask}”"));
                self.written(&agents, &smart.collect::<Vec<_>>().join(", "), &access)
            }
            1 => self.written(&agents, &self.quoted().join("\n  "), &access),
            2 => self.written(&format!("[{agents}]"), &subtasks, &access),
            3 => {
                self.clean().replace("model_id =", "model ids:").replace("subtasks =", "subtasks:")
            }
            4 => format!(
                "<think>The first subtask: something like \"solve it\". An access_list of [] would do.</think>\n{}",
                self.clean()
            ),
            _ => self.clean().replace("[\"all\"]", "\"all\"").replace("\"Solve", "'Solve"),
        }
    }

    /// Not a workflow: it must be sent back.
    pub(crate) fn wrong(&self, draws: &mut Draws) -> String {
        let (agents, access) = (format!("{:?}", self.agents), self.access.join(", "));
        let subtasks = self.quoted().join(", ");
        match draws.below(6) {
            0 => self.written("[99]", &subtasks, &access),
            1 => self.written(&agents, &format!("{subtasks}, \"Check it.\""), &access),
            2 => self.written(&agents, &subtasks, &format!("[7]{}", &access[2..])),
            3 => self.written(&agents, &subtasks.replacen(self.subtasks[0], "", 1), &access),
            4 => format!("model_id = {agents}\nsubtasks = [{subtasks}]"),
            _ => {
                let clean = self.clean();
                clean[..clean.len() * 2 / 3].to_owned()
            }
        }
    }
}
