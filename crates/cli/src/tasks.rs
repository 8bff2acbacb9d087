//! `baton tasks`: generated questions, apart from them what they are graded with, and the
//! grading of replies.

use crate::{args::Tasks, exit::Failure};
use baton_checks::{
    Check, CodeLimits, CodeTest, CodeTests, Comparator, Grade, Grader, Hidden, Uses,
};
use baton_sim::{Check as Own, Difficulty, Example, Family, Parameters, tasks::generate};
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

/// A task as it is printed. A run may see all of it but what is hidden.
#[derive(Serialize)]
struct Printed<'a> {
    id: String,
    family: Family,
    difficulty: Difficulty,
    prompt: String,
    /// The check that the question itself gives, in the form of `baton.verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<Check>,
    hidden: Kept,
    /// The fingerprint of the simulation that the task belongs to: a report on how the
    /// simulated models answer it has to name that.
    parameters: &'a str,
}

/// What is kept for the grading.
#[derive(Serialize)]
struct Kept {
    /// A right answer.
    answer: String,
    reference: Reference<Check>,
}

/// What a reply is graded with: a check, where there is one for this kind of answer; else
/// the simulation's own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reference<C> {
    Check(C),
    Own(Own),
}

impl Reference<Check> {
    fn of(own: Own) -> Self {
        match own {
            Own::Number { value } => Self::Check(Check::TextNumeric {
                expected: value.to_string(),
                absolute: None,
                relative: None,
            }),
            Own::Text { value } => Self::Check(Check::TextExact { expected: value }),
            Own::Choice { letter, options } => {
                Self::Check(Check::ChoiceLetter { expected: letter.into(), options })
            }
            Own::Expression { numbers, target } => Self::Check(reaches(numbers, target)),
            Own::List { .. } | Own::Program { .. } => Self::Own(own),
        }
    }
}

impl Reference<Hidden> {
    fn grade(self, reply: &str) -> bool {
        match self {
            Self::Check(hidden) => Grader::of(hidden).grade(reply) == Grade::Right,
            Self::Own(own) => own.passes(reply),
        }
    }
}

/// What a question lets anybody check who has read it.
fn public(own: &Own) -> Option<Check> {
    match own {
        Own::Expression { numbers, target } => Some(reaches(numbers.clone(), *target)),
        Own::Program { entry_point, public, .. } => Some(passes(entry_point, public)),
        // There the check would be the answer.
        Own::Number { .. } | Own::Text { .. } | Own::List { .. } | Own::Choice { .. } => None,
    }
}

/// The examples that a question shows, so that they may be told.
fn passes(function: &str, examples: &[Example]) -> Check {
    let tests = examples.iter().map(|Example { input, output }| CodeTest {
        input: format!("{input:?}"),
        expected: output.to_string(),
    });
    Check::CodeTests(CodeTests {
        tests: tests.collect(),
        comparator: Comparator::Exact,
        function: Some(function.to_owned()),
        limits: CodeLimits::default(),
        imports: false,
        tell: true,
    })
}

fn reaches(numbers: Vec<i64>, target: i64) -> Check {
    Check::Expression { numbers, target, uses: Uses::ExactlyOnce }
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
        let printed = Printed {
            verify: public(&task.check),
            hidden: Kept { answer: task.answer, reference: Reference::of(task.check) },
            id: task.id,
            family: task.family,
            difficulty: task.difficulty,
            prompt: task.prompt,
            parameters,
        };
        serde_json::to_writer(&mut out, &printed).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

#[derive(Deserialize)]
struct Replied {
    task: Asked,
    reply: String,
}

/// Of a printed task, what grading takes.
#[derive(Deserialize)]
struct Asked {
    id: String,
    hidden: Sealed,
}

#[derive(Deserialize)]
struct Sealed {
    reference: Reference<Hidden>,
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
        let graded = Graded { id: &task.id, right: task.hidden.reference.grade(&reply) };
        serde_json::to_writer(&mut out, &graded).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
