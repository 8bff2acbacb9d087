//! A Python candidate on test cases: each in a process of its own, compared outside.
//!
//! Unlike LiveCodeBench's own runner, which keeps the candidate and the expected output in one
//! interpreter: an object that equals everything, a walk up the stack, or a module loaded again
//! find nothing here to win by. And programs it fails for their style (`open(0)`, `os.read`,
//! iterating standard input, globals of a module) run, because their input is a real descriptor.

use crate::{
    compare::{Comparator, Difference},
    config::{Limit, Limits},
    error::SandboxError,
    run::{End, Execution, Program},
    sandbox::Sandbox,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The end of standard error that a result keeps.
const STDERR_TAIL_BYTES: usize = 2_000;

/// How a candidate is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As a program: the test's input is its standard input, its standard output the answer.
    Stdin,
    /// As a function of this name, or a method of a class `Solution`: the test's input is one
    /// JSON value a line, each an argument; the answer is the value, as JSON.
    Function(String),
}

/// One case. What is expected is read by the comparison alone, and is put into no program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// What the candidate is given.
    pub input: String,
    /// What it should answer.
    pub expected: String,
}

/// Test cases and how to hold a candidate against them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// How it is called.
    pub form: Form,
    /// The cases, in order.
    pub tests: Vec<Test>,
    /// What counts as equal.
    pub comparator: Comparator,
    /// For each case.
    pub limits: Limits,
    /// Import what LiveCodeBench's runner imports before a candidate; some milliseconds a case.
    pub imports: bool,
    /// What is not run after a case that is not accepted.
    pub skip: Skip,
}

/// What is skipped after a case that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// All that follows.
    AfterAny,
    /// All that follows one that ran out of its time, because that costs the most.
    AfterTime,
    /// Nothing.
    Nothing,
}

/// What is found of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// As expected.
    Accepted,
    /// Another answer, or one that cannot be read.
    WrongAnswer,
    /// No answer in its time.
    Time,
    /// More memory than it may use.
    Memory,
    /// It failed, or ended without an answer.
    RuntimeError,
    /// More output than it may write.
    OutputLimit,
    /// Not run.
    Skipped,
}

/// One case's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// What is found.
    pub finding: Finding,
    /// How the process ended; nothing when it was skipped.
    pub end: Option<End>,
    /// Its time on the processor.
    pub cpu: Duration,
    /// Its time on the clock.
    pub wall: Duration,
    /// The most memory it used.
    pub peak_bytes: u64,
    /// Where the answer first differs.
    pub difference: Option<Difference>,
    /// The end of its standard error.
    pub stderr_tail: String,
}

/// Holds a candidate against test cases, one after the other.
///
/// # Errors
/// When a case could not be run or compared, through no fault of the candidate: there is no
/// finding then about any.
pub async fn judge(
    sandbox: &Sandbox,
    source: &str,
    suite: &Suite,
) -> Result<Vec<TestResult>, SandboxError> {
    if let Form::Function(name) = &suite.form {
        let word = |c: char| c == '_' || c.is_alphanumeric();
        if name.is_empty() || !name.chars().all(word) {
            let text = format!("`{name}` is no name of a function that can be called");
            return Err(SandboxError::Config(text));
        }
    }
    let mut results: Vec<TestResult> = Vec::with_capacity(suite.tests.len());
    for test in &suite.tests {
        let skips = |last: &TestResult| match (last.finding, suite.skip) {
            // What follows a skipped one is skipped.
            (Finding::Skipped, _) | (Finding::Time, Skip::AfterTime) => true,
            (finding, Skip::AfterAny) => finding != Finding::Accepted,
            (_, Skip::AfterTime | Skip::Nothing) => false,
        };
        if results.last().is_some_and(skips) {
            results.push(TestResult::skipped());
            continue;
        }
        let execution = sandbox.run(&program(source, suite, &test.input), &suite.limits).await?;
        results.push(result(execution, suite, &test.expected)?);
    }
    Ok(results)
}

/// What a candidate answers to an input, text or JSON, and how that ended; nothing where it
/// came to no answer. The suite's tests are not looked at.
///
/// # Errors
/// When it could not be run, through no fault of the candidate.
pub async fn answer(
    sandbox: &Sandbox,
    source: &str,
    suite: &Suite,
    input: &str,
) -> Result<(Option<String>, TestResult), SandboxError> {
    let execution = sandbox.run(&program(source, suite, input), &suite.limits).await?;
    let (answer, found) = match read(&execution, &suite.form) {
        Ok(answer) => (Some(answer), (Finding::Accepted, None)),
        Err(found) => (None, found),
    };
    Ok((answer, told(execution, found)))
}

const DRIVER: &str = include_str!("driver.py");
const CALL: &str = include_str!("call.py");

/// The candidate, its driver, and its input: all that enters the sandbox.
fn program(source: &str, suite: &Suite, input: &str) -> Program {
    let imports = if suite.imports { "imports" } else { "plain" };
    let mut files = vec![("candidate.py".into(), source.into())];
    let mut arguments = vec!["driver.py".into(), imports.into()];
    let (driver, stdin) = match &suite.form {
        Form::Stdin => (format!("{DRIVER}\n\nposix.close(CONTROL)\ncandidate()\n"), input.into()),
        Form::Function(name) => {
            files.push(("arguments".into(), input.into()));
            arguments.push(name.clone());
            (format!("{DRIVER}\n\n{CALL}"), Vec::new())
        }
    };
    files.push(("driver.py".into(), driver));
    Program { files, arguments, stdin }
}

/// What a driver writes to the control descriptor, once.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Frame<'a> {
    #[serde(borrow)]
    Value(&'a serde_json::value::RawValue),
    Unspeakable(String),
}

type Found = (Finding, Option<Difference>);

/// What it answered, or why that is nothing.
fn read(execution: &Execution, form: &Form) -> Result<String, Found> {
    match (execution.end, form) {
        (End::LimitHit(limit), _) => Err((over(limit), None)),
        (End::Signalled(_), _) => Err((Finding::RuntimeError, None)),
        (End::Exited(code), _) if code != 0 => Err((Finding::RuntimeError, None)),
        (End::Exited(_), Form::Stdin) => {
            Ok(String::from_utf8_lossy(&execution.stdout).into_owned())
        }
        (End::Exited(_), Form::Function(_)) => match serde_json::from_slice(&execution.control) {
            Ok(Frame::Value(value)) => Ok(value.get().to_owned()),
            Ok(Frame::Unspeakable(what)) => {
                let difference = Difference::whole(&format!("{what} is no JSON"));
                Err((Finding::WrongAnswer, Some(difference)))
            }
            Err(_) => Err((Finding::RuntimeError, Some(Difference::whole("no value came")))),
        },
    }
}

fn result(execution: Execution, suite: &Suite, expected: &str) -> Result<TestResult, SandboxError> {
    let comparator = suite.comparator;
    let found = match (read(&execution, &suite.form), &suite.form) {
        (Ok(got), Form::Stdin) => found(comparator.text(&got, expected)),
        (Ok(got), Form::Function(_)) => {
            let wrong = |why| SandboxError::Config(format!("an expected value: {why}"));
            found(comparator.value(&got, expected).map_err(wrong)?)
        }
        (Err(found), _) => found,
    };
    Ok(told(execution, found))
}

fn told(execution: Execution, (finding, difference): Found) -> TestResult {
    let stderr = &execution.stderr;
    let tail = &stderr[stderr.len().saturating_sub(STDERR_TAIL_BYTES)..];
    TestResult {
        finding,
        end: Some(execution.end),
        cpu: execution.cpu,
        wall: execution.wall,
        peak_bytes: execution.peak_bytes,
        difference,
        stderr_tail: String::from_utf8_lossy(tail).into_owned(),
    }
}

fn found(difference: Option<Difference>) -> (Finding, Option<Difference>) {
    match difference {
        None => (Finding::Accepted, None),
        some => (Finding::WrongAnswer, some),
    }
}

const fn over(limit: Limit) -> Finding {
    match limit {
        Limit::Wall | Limit::Cpu => Finding::Time,
        Limit::Memory => Finding::Memory,
        Limit::Output => Finding::OutputLimit,
        Limit::Files | Limit::Threads => Finding::RuntimeError,
    }
}

impl TestResult {
    fn skipped() -> Self {
        Self {
            finding: Finding::Skipped,
            end: None,
            cpu: Duration::ZERO,
            wall: Duration::ZERO,
            peak_bytes: 0,
            difference: None,
            stderr_tail: String::new(),
        }
    }
}
