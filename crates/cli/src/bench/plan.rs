//! `baton bench plan`: how long reading a policy's reply takes.

use super::{
    args::Rounds,
    figures::core,
    table::{Table, Target},
};
use crate::exit::Failure;
use baton_planner::{Plan, read};
use baton_registry::read_settings;
use baton_workflow::{Limits, Pool};
use std::{hint::black_box, path::Path};

/// Readings in one round.
const READINGS: u32 = 50_000;
/// Steps of the plan.
const STEPS: usize = 5;
/// Agents in the pool.
const AGENTS: usize = 7;
/// What is aimed at, in microseconds.
const US: f64 = 20.0;

/// As the prompt asks for it.
const CLEAN: &str = r#"model_id = [0, 3, 1, 4, 2]
subtasks = ["Plan how to fulfil the user's request: list the steps in order, what each must achieve, and the mistakes to avoid.", "Solve the first half of the problem by following the plan; show every intermediate result.", "Solve the second half of the problem by following the plan; show every intermediate result.", "Check both halves against the user's request, part by part, and name every error.", "Merge the halves into one complete final answer, and put right what the check has found."]
access_list = [[], [0], [0], [0, 1, 2], "all"]
"#;

/// As models write all the same: thoughts before it, a fence, typographic quotes,
/// agents by name, commas at the ends, words after it.
const DIRTY: &str = r#"<think>The user wants two things. A list like [1, 2] may help; subtasks = ["maybe two"], or rather five.</think>
Here is the **plan** that I propose for this request:

```python
model_id = ["agent-0", "agent-3", 1, 4, 2,]
subtasks = [
    “Plan how to fulfil the user's request: list the steps in order, what each must achieve, and the mistakes to avoid.”,
    'Solve the first half of the problem by following the plan; show every intermediate result.',
    "Solve the second half of the problem by following the plan; \"show\" every intermediate result.",
    "Check both halves against the user's request, part by part, and name every error.",
    "Merge the halves into one complete final answer,\nand put right what the check has found.",
]
access_list = [[], [0], [0,], [0, 1, 2], ["all"],]
```

I hope that this helps. Step 4 sees everything.
"#;

pub(super) fn plan(rounds: &Rounds) -> Result<Table, Failure> {
    let (pool, limits) = (pool()?, Limits::default());
    let json = CLEAN.lines().filter_map(|line| line.split_once(" = "));
    let json: Vec<_> = json.map(|(name, list)| format!("{name:?}: {list}")).collect();
    let json = format!("{{{}}}", json.join(", "));
    let forms = [("three lists", CLEAN), ("JSON", &json), ("three lists, dirty", DIRTY)];
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..rounds.rounds {
        for ((name, reply), figures) in forms.iter().zip(&mut figures) {
            check(name, reply, &pool, &limits)?;
            figures.push(core(READINGS, || {
                let _read = black_box(read(black_box(reply), &pool, &limits));
            })?);
        }
    }
    let mut table = Table::new(format!(
        "Reading a plan of {STEPS} steps over {AGENTS} agents, {READINGS} times a round, {} rounds",
        rounds.rounds
    ));
    for ((name, reply), figures) in forms.iter().zip(figures) {
        let wall = figures.iter().map(|core| core.wall_us).collect();
        table.aimed(format!("{name}, {} bytes", reply.len()), "us", wall, Target::AtMost(US));
        table.row(format!("{name}: CPU"), "us", figures.iter().map(|core| core.cpu_us).collect());
    }
    Ok(table)
}

/// What is not read would be quick.
fn check(name: &str, reply: &str, pool: &Pool, limits: &Limits) -> Result<(), Failure> {
    match read(reply, pool, limits) {
        Ok(Plan::Workflow(workflow)) if workflow.steps().len() == STEPS => Ok(()),
        other => Err(Failure::other(format!("{name}: no plan of {STEPS} steps: {other:?}"))),
    }
}

fn pool() -> Result<Pool, Failure> {
    let mut text = String::from("[providers.p]\nbase_url = \"http://nowhere.invalid/v1\"\n");
    for agent in 0..AGENTS {
        text.push_str(&format!(
            "[[agents]]\nid = \"agent-{agent}\"\nprovider = \"p\"\nmodel = \"m\"\n\
             strengths = \"s\"\nprice = {{ input = 1, output = 1 }}\n\
             context_tokens = 32768\noutput_tokens = 1024\nconcurrency = 1\n"
        ));
    }
    text.push_str("[policy]\nstrategy = \"direct\"\n");
    let settings = read_settings(&text, Path::new("bench.toml"), &|_| None);
    settings.map(|settings| settings.pool).map_err(|faults| Failure::other(faults.to_string()))
}
