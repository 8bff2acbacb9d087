//! `baton tasks`: generated questions with their answers, and the grading of replies.

use crate::{args::Tasks, exit::Failure};
use baton_sim::{Difficulty, Family, Parameters, Task, tasks::generate, tasks::grade};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, BufRead as _, Write as _},
    process::ExitCode,
};

/// Tasks in one call, at most.
const COUNT_MAX: u64 = 1_000_000;

pub(crate) fn tasks(args: Tasks) -> Result<ExitCode, Failure> {
    let done = if args.grade { grade_lines() } else { print(&args) };
    match done {
        // Whoever reads has seen enough.
        Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(Broken::Output(error)) => return Err(Failure::other(error.to_string())),
        Err(Broken::Input(failure)) => return Err(failure),
        Ok(()) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A task with the fingerprint of the simulation that it belongs to: a report on how the
/// simulated models answer it has to name that.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    task: &'a Task,
    parameters: &'a str,
}

enum Broken {
    Output(io::Error),
    Input(Failure),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn print(args: &Tasks) -> Result<(), Broken> {
    if args.count > COUNT_MAX {
        let message = format!("--count is {}: expected at most {COUNT_MAX}", args.count);
        return Err(Broken::Input(Failure::usage(message)));
    }
    let families = if args.family.is_empty() { Family::ALL.to_vec() } else { args.family.clone() };
    let levels = &args.difficulty;
    let levels = if levels.is_empty() { Difficulty::ALL.to_vec() } else { levels.clone() };
    let kinds: Vec<_> =
        levels.iter().flat_map(|level| families.iter().map(|family| (*family, *level))).collect();
    let known = Parameters::built_in();
    let parameters = known.short_hash();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, (family, level)) in (0..args.count).zip(kinds.iter().cycle()) {
        let task = generate(*family, *level, args.seed.wrapping_mul(COUNT_MAX) + number);
        let printed = Printed { task: &task, parameters };
        serde_json::to_writer(&mut out, &printed).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

#[derive(Deserialize)]
struct Replied {
    task: Task,
    reply: String,
}

#[derive(Serialize)]
struct Graded<'a> {
    id: &'a str,
    right: bool,
}

fn grade_lines() -> Result<(), Broken> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let unread = |reason: String| {
            Broken::Input(Failure::usage(format!(
                "line {} of standard input: {reason}: expected {{\"task\": …, \"reply\": \"…\"}}",
                number + 1
            )))
        };
        let line = line.map_err(|error| unread(error.to_string()))?;
        let Replied { task, reply } =
            serde_json::from_str(&line).map_err(|error| unread(error.to_string()))?;
        let graded = Graded { id: &task.id, right: grade(&task, &reply) };
        serde_json::to_writer(&mut out, &graded).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
