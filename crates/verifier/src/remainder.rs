//! What `math.answer` leaves open, settled by math-verify in the sandbox.

use baton_sandbox::{Limits, Program, Sandbox, SandboxError, Warm};
use serde::Deserialize;
use std::{path::Path, time::Duration};

const SCRIPT: &str = include_str!("math_verify.py");
/// The module's folder among the sandbox's libraries.
const MODULE: &str = "math_verify";
/// Runs that have loaded it and wait: each takes some 80 MB.
const WARM: usize = 1;
/// For one question; for the first one, which finds none warm, also to load it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A run may have waited for its question this long.
const WAIT_MS: u64 = 3_600_000;
const CPU_MS: u64 = 15_000;

/// Settles remainders. Clones share what is warm.
#[derive(Debug, Clone)]
pub(crate) struct MathVerify {
    warm: Warm,
    by: String,
    isolation: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    same: Option<bool>,
}

impl MathVerify {
    /// Where it is in one of the sandbox's libraries.
    ///
    /// # Errors
    /// When it is there and does not work.
    pub(crate) async fn find(
        sandbox: &Sandbox,
        libraries: &[impl AsRef<Path>],
    ) -> Result<Option<Self>, SandboxError> {
        let mut folders = libraries.iter().map(AsRef::as_ref);
        let Some(folder) = folders.find(|folder| folder.join(MODULE).is_dir()) else {
            return Ok(None);
        };
        let mut program = Program::python(SCRIPT);
        program.arguments.push(folder.display().to_string());
        let limits = Limits { wall_ms: WAIT_MS, cpu_ms: CPU_MS, ..Limits::default() };
        let warm = Warm::new(sandbox.clone(), program, limits, WARM)?;
        let execution = warm.ask(b"null", PATIENCE).await?;
        let answer: Answer = serde_json::from_slice(&execution.control).map_err(|_| {
            let words = String::from_utf8_lossy(&execution.stderr);
            let last = words.lines().last().unwrap_or("it says nothing");
            let text = format!("{MODULE} in {} does not work: {last}", folder.display());
            SandboxError::Config(text)
        })?;
        let by = format!("math-verify/{}", answer.version);
        Ok(Some(Self { warm, by, isolation: sandbox.isolation().level.name() }))
    }

    /// Its name and version.
    pub(crate) fn name(&self) -> &str {
        &self.by
    }

    /// The level at which it is kept from the machine.
    pub(crate) fn isolation(&self) -> &str {
        self.isolation
    }

    /// Whether two answers are the same; nothing where it cannot tell, or not in its time.
    ///
    /// # Errors
    /// When it could not be asked.
    pub(crate) async fn same(
        &self,
        expected: &str,
        found: &str,
    ) -> Result<Option<bool>, SandboxError> {
        let question = serde_json::json!([expected, found]).to_string();
        let execution = self.warm.ask(question.as_bytes(), PATIENCE).await?;
        let answer = serde_json::from_slice::<Answer>(&execution.control).ok();
        Ok(answer.and_then(|answer| answer.same))
    }
}
