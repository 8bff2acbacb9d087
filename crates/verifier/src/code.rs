//! Holding the program of an answer against tests, in the sandbox.
//!
//! What is expected stays here: the sandbox is given the program and the inputs.

use crate::{
    Verifier,
    cage::{NoSandbox, described},
};
use baton_checks::{Class, CodeLimits, CodeTest, CodeTests, Comparator, Program, shown};
use baton_codes::FailureCode;
use baton_sandbox::{
    End, Limit, Limits, SandboxError, compare,
    judge::{Finding, Form, Skip, Suite, Test, TestResult, judge},
};
use baton_workflow::{Verdict, VerdictKind};
use tokio_util::sync::CancellationToken;

const VERIFIER: &str = "code.tests/1";
/// How often a program is run where that fails through no fault of its own.
const TRIES_MAX: usize = 3;

impl Verifier {
    /// Holds an answer's program against tests.
    pub(crate) async fn code_tests(
        &self,
        check: &CodeTests,
        answer: &str,
        stop: &CancellationToken,
    ) -> Verdict {
        let Some(program) = Program::of(answer) else { return no_program(VERIFIER) };
        let ran = stop.run_until_cancelled(self.run_tests(check, &program)).await;
        let verdict = match ran {
            Some(Ok(verdict)) => verdict,
            Some(Err(trouble)) => trouble.verdict(VERIFIER),
            None => stopped(VERIFIER),
        };
        let class = Some(Class::verbatim(program.source.trim()).key());
        Verdict { class, ..verdict }
    }

    async fn run_tests(&self, check: &CodeTests, program: &Program) -> Result<Verdict, Trouble> {
        let sandbox = self.sandbox().await?;
        let suite = suite(check);
        let results = patiently(|| judge(&sandbox, &program.source, &suite)).await?;
        let isolation = Some(sandbox.isolation().level.name().to_owned());
        Ok(Verdict { isolation, ..verdict(check, program, &results) })
    }
}

/// Why a program was not run, which says nothing about it.
pub(crate) enum Trouble {
    NoSandbox(NoSandbox),
    Failed(SandboxError),
}

impl From<NoSandbox> for Trouble {
    fn from(reason: NoSandbox) -> Self {
        Self::NoSandbox(reason)
    }
}

impl Trouble {
    pub(crate) fn verdict(&self, verifier: &str) -> Verdict {
        match self {
            Self::NoSandbox(reason) => {
                let said = format!("the program was not run: {reason}");
                unavailable(verifier, FailureCode::SandboxUnavailable.as_str()).saying(said)
            }
            Self::Failed(error) => {
                let said = format!("the program could not be run: {}", described(error));
                unavailable(verifier, "sandbox_failed").saying(said)
            }
        }
    }
}

fn unavailable(verifier: &str, code: &str) -> Verdict {
    Verdict::new(verifier, VerdictKind::Unavailable, code)
}

pub(crate) fn stopped(verifier: &str) -> Verdict {
    unavailable(verifier, "stopped").saying("it was told to stop before it was done")
}

pub(crate) fn no_program(verifier: &str) -> Verdict {
    Verdict::new(verifier, VerdictKind::Fail, "no_program")
        .saying("the answer has no program: give it in a block fenced as python")
}

/// Runs a program; again if that failed through no fault of its own.
pub(crate) async fn patiently<T, R>(mut run: impl FnMut() -> R) -> Result<T, Trouble>
where
    R: Future<Output = Result<T, SandboxError>>,
{
    let mut tries = 1;
    loop {
        match run().await {
            Ok(done) => return Ok(done),
            Err(error) if error.is_retryable() && tries < TRIES_MAX => {
                tracing::warn!(error = described(&error), "a program was not run, trying again");
                tries += 1;
            }
            Err(error) => return Err(Trouble::Failed(error)),
        }
    }
}

fn suite(check: &CodeTests) -> Suite {
    let CodeTests { tests, comparator, function, limits, imports, tell: _ } = check;
    let test = |CodeTest { input, expected }: &CodeTest| Test {
        input: input.clone(),
        expected: expected.clone(),
    };
    Suite {
        form: function.clone().map_or(Form::Stdin, Form::Function),
        tests: tests.iter().map(test).collect(),
        comparator: match *comparator {
            Comparator::Lcb => compare::Comparator::Lcb,
            Comparator::Exact => compare::Comparator::Exact,
            Comparator::Float { absolute, relative } => {
                compare::Comparator::Float { absolute, relative }
            }
        },
        limits: limits_of(*limits),
        imports: *imports,
        skip: Skip::AfterTime,
    }
}

pub(crate) fn limits_of(limits: CodeLimits) -> Limits {
    let CodeLimits { cpu_ms, wall_ms, memory_bytes } = limits;
    Limits { cpu_ms, wall_ms, memory_bytes, ..Limits::default() }
}

fn verdict(check: &CodeTests, program: &Program, results: &[TestResult]) -> Verdict {
    let failed = |result: &TestResult| result.finding != Finding::Accepted;
    let evidence = (1..).zip(results).map(|(number, r)| format!("{number} {}", name(r.finding)));
    let evidence = evidence.collect::<Vec<_>>().join(", ");
    let Some(first) = results.iter().position(failed) else {
        return Verdict::new(VERIFIER, VerdictKind::Pass, "accepted").having_read(&evidence);
    };
    let (Some(result), Some(test)) = (results.get(first), check.tests.get(first)) else {
        return unavailable(VERIFIER, "sandbox_failed")
            .saying("there are fewer results than tests");
    };
    if !program.fenced && is_no_python(result) {
        return no_program(VERIFIER);
    }
    let (passed, all) = (results.iter().filter(|result| !failed(result)).count(), results.len());
    let happened = happened(check.limits, result);
    let input = shown(&test.input);
    let mut feedback = format!(
        "the program passes {passed} of {all} tests. Test {}: {happened}; its input is {input}",
        first + 1
    );
    if check.tell && result.finding == Finding::WrongAnswer {
        feedback.push_str(&format!(", and {} is expected", shown(&test.expected)));
    }
    Verdict {
        score: Some(passed as f64 / all as f64),
        ..Verdict::new(VERIFIER, VerdictKind::Fail, name(result.finding))
            .saying(feedback)
            .having_read(&evidence)
    }
}

/// Whether Python did not even begin to run it.
pub(crate) fn is_no_python(result: &TestResult) -> bool {
    let said = last_line(&result.stderr_tail);
    let words = ["SyntaxError", "IndentationError", "TabError"];
    result.finding == Finding::RuntimeError && words.iter().any(|word| said.starts_with(word))
}

/// What went wrong, without what was expected.
pub(crate) fn happened(limits: CodeLimits, result: &TestResult) -> String {
    match result.end {
        Some(End::LimitHit(Limit::Cpu)) => {
            return format!("it takes more than its {} ms of the processor", limits.cpu_ms);
        }
        Some(End::LimitHit(Limit::Wall)) => {
            return format!("it takes longer than its {} ms", limits.wall_ms);
        }
        Some(End::LimitHit(Limit::Memory)) => {
            return format!("it takes more than its {} bytes of memory", limits.memory_bytes);
        }
        Some(End::LimitHit(Limit::Output)) => return "it writes more than it may".into(),
        Some(End::LimitHit(Limit::Files)) => {
            return "it has more or larger files than it may".into();
        }
        Some(End::LimitHit(Limit::Threads)) => return "it has more threads than it may".into(),
        Some(End::Signalled(signal)) => return format!("signal {signal} ended it"),
        Some(End::Exited(_)) | None => {}
    }
    match (&result.difference, result.finding) {
        (Some(difference), Finding::WrongAnswer) => {
            let there = shown(&difference.got);
            match difference.place.as_str() {
                "" => format!("a wrong answer: {there}"),
                place => format!("a wrong answer: at {place} there is {there}"),
            }
        }
        (Some(_), _) => "it ends without giving a value".into(),
        (None, _) => match (last_line(&result.stderr_tail), result.end) {
            ("", Some(End::Exited(code))) => format!("it ends with code {code}"),
            (said, _) => format!("it fails with {}", shown(said)),
        },
    }
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default().trim()
}

pub(crate) const fn name(finding: Finding) -> &'static str {
    match finding {
        Finding::Accepted => "accepted",
        Finding::WrongAnswer => "wrong_answer",
        Finding::Time => "time",
        Finding::Memory => "memory",
        Finding::RuntimeError => "runtime_error",
        Finding::OutputLimit => "output_limit",
        Finding::Skipped => "skipped",
    }
}
