//! Worked examples of plans. They are about everyday writing and organising, far from
//! anything that agents are measured on: examples near the test make plans worse.

use super::Form;
use crate::write::write_access;
use baton_workflow::{Access, StepId};
use serde_json::{Value, json};
use std::fmt::Write;

struct Example {
    models: usize,
    request: &'static str,
    thoughts: &'static str,
    steps: &'static [Draft],
}

/// Model, subtask, and the positions it sees.
struct Draft(usize, &'static str, Sees);

enum Sees {
    None,
    All,
    Only(&'static [u16]),
}

const EXAMPLES: [Example; 4] = [
    Example {
        models: 3,
        request: "Put this notice into friendly Portuguese for the noticeboard of a sports \
                  club: \"The changing rooms are closed on Monday.\"",
        thoughts: "One sentence and one skill: a single good model does it.",
        steps: &[Draft(
            1,
            "Write the notice in natural, friendly European Portuguese, fit for a noticeboard. \
             Give the Portuguese text alone.",
            Sees::None,
        )],
    },
    Example {
        models: 2,
        request: "Write a letter of at most 120 words to our customers: their furniture comes \
                  two weeks late because of a flood at the warehouse, and delivery is free.",
        thoughts: "A draft, then a second pair of eyes for length, tone and completeness. The \
                   second model must see the draft and writes the final letter.",
        steps: &[
            Draft(
                0,
                "Draft the letter: apologise, give the reason, the new delay and what the \
                 customer gets, in a warm and plain tone.",
                Sees::None,
            ),
            Draft(
                1,
                "Check the draft: at most 120 words, both facts there, no blame, no promise \
                 that was not made. Put right what is wrong and give only the final letter.",
                Sees::All,
            ),
        ],
    },
    Example {
        models: 4,
        request: "Name our new bakery, which is in an old lighthouse. I want one name and the \
                  reason for it.",
        thoughts: "Taste differs: two models propose on their own, at the same time and without \
                   seeing each other. A third picks from both.",
        steps: &[
            Draft(
                3,
                "Propose three names that play on light and the sea, each with a reason.",
                Sees::None,
            ),
            Draft(
                0,
                "Propose three names that play on bread and warmth, each with a reason.",
                Sees::None,
            ),
            Draft(
                2,
                "Choose the one name out of all proposals that is easiest to say and remember \
                 and fits a lighthouse. Give the name and one short reason.",
                Sees::Only(&[0, 1]),
            ),
        ],
    },
    Example {
        models: 5,
        request: "Organise a street party for 60 neighbours on a Saturday in June: a timetable \
                  for the day, a list of what to buy, and a short invitation.",
        thoughts: "A frame first, so that the parts fit together. Timetable and shopping list \
                   both follow from the frame but not from each other, so they run side by \
                   side. The invitation needs only the timetable. The last step puts all \
                   together.",
        steps: &[
            Draft(
                4,
                "Plan the frame of the party: start and end, three or four highlights, who \
                 does what, and how food is shared. Ten lines at most.",
                Sees::None,
            ),
            Draft(
                1,
                "Turn the frame into a timetable of the day, from setting up to clearing away.",
                Sees::Only(&[0]),
            ),
            Draft(
                2,
                "Turn the frame into a shopping list for 60 people with amounts, by kind of \
                 shop.",
                Sees::Only(&[0]),
            ),
            Draft(
                1,
                "Write the invitation: place left open, times from the timetable, a friendly \
                 tone, at most 80 words.",
                Sees::Only(&[1]),
            ),
            Draft(
                4,
                "Merge timetable, shopping list and invitation into one answer under three \
                 headings. Where they contradict each other, the timetable is right.",
                Sees::Only(&[1, 2, 3]),
            ),
        ],
    },
];

/// All examples, with their replies in that form.
pub(super) fn all(form: Form) -> String {
    let mut text = String::new();
    for (number, example) in (1..).zip(&EXAMPLES) {
        let (last, request) = (example.models - 1, example.request);
        let _ = write!(text, "\n## Example {number} (with models 0 to {last})\n\n{request}\n\n");
        text.push_str(&example.reply(form));
        text.push('\n');
    }
    text
}

impl Example {
    fn reply(&self, form: Form) -> String {
        match form {
            Form::Lists => format!("{}\n\n{}", self.thoughts, self.lists()),
            Form::Json => self.json().to_string(),
        }
    }

    fn lists(&self) -> String {
        let list = |entry: fn(&Draft) -> String| {
            self.steps.iter().map(entry).collect::<Vec<_>>().join(", ")
        };
        format!(
            "model_id = [{}]\nsubtasks = [{}]\naccess_list = [{}]",
            list(|Draft(model, _, _)| model.to_string()),
            list(|Draft(_, subtask, _)| Value::from(*subtask).to_string()),
            list(|Draft(_, _, sees)| write_access(&sees.access())),
        )
    }

    fn json(&self) -> Value {
        let steps = self.steps.iter().map(|Draft(model, subtask, sees)| {
            json!({ "agent": model, "subtask": subtask, "access": sees.value() })
        });
        json!({ "reasoning": self.thoughts, "steps": steps.collect::<Vec<_>>() })
    }
}

impl Sees {
    fn access(&self) -> Access {
        match self {
            Self::None => Access::None,
            Self::All => Access::All,
            Self::Only(steps) => Access::Some(steps.iter().copied().map(StepId).collect()),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::None => json!([]),
            Self::All => json!(["all"]),
            Self::Only(steps) => json!(steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::card;
    use crate::{Plan, read};
    use baton_workflow::{Limits, Pool};

    #[test]
    fn every_example_reads_back_as_the_plan_it_shows() {
        for example in &EXAMPLES {
            let ids = (0..example.models).map(|n| card(&format!("m{n}"), 1.0)).collect();
            let pool = Pool::new("v1", ids).unwrap();
            let plans = [Form::Lists, Form::Json].map(|form| {
                let plan = read(&example.reply(form), &pool, &Limits::default()).unwrap();
                let Plan::Workflow(flow) = plan else { panic!("no step") };
                flow
            });
            assert_eq!(plans[0], plans[1]);
            assert_eq!(plans[0].steps().len(), example.steps.len());
            for (step, Draft(model, subtask, sees)) in plans[0].steps().iter().zip(example.steps) {
                assert_eq!(pool.ordinal(&step.agent), Some(*model));
                assert_eq!((&*step.subtask, &step.access), (*subtask, &sees.access()));
            }
        }
    }
}
