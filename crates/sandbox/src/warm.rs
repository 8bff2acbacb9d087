//! Programs that are started before it is known what they will be asked.

use crate::{End, Execution, Limit, Limits, Program, Sandbox, SandboxError};
use rustix::pipe::{PipeFlags, pipe_with};
use std::{
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a question: an empty pipe takes them at once, whether anybody reads or not.
pub const QUESTION_BYTES_MAX: usize = 32 << 10;

/// Runs of one program that have made their preparations, such as to load a library, and wait
/// for their standard input. Each is asked once and then over, so that nothing that one question
/// does reaches the next. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Warm {
    sandbox: Sandbox,
    program: Arc<Program>,
    limits: Limits,
    size: usize,
    ready: Arc<Mutex<Vec<Waiting>>>,
}

/// Dropped, it takes the program with it.
#[derive(Debug)]
struct Waiting {
    stdin: OwnedFd,
    over: AbortOnDropHandle<Result<Execution, SandboxError>>,
}

impl Warm {
    /// Keeps `size` runs ready, from the first question on. The limits hold for a run as a whole,
    /// `wall_ms` for its waiting too: what has waited that long is replaced.
    ///
    /// # Errors
    /// When the program cannot be put into a private folder.
    pub fn new(
        sandbox: Sandbox,
        program: Program,
        limits: Limits,
        size: usize,
    ) -> Result<Self, SandboxError> {
        program.check(&limits)?;
        let (program, ready) = (Arc::new(program), Arc::default());
        Ok(Self { sandbox, program, limits, size, ready })
    }

    /// Gives one of them its standard input, and what it did with it. After `patience` it is
    /// ended, as at its limit of time.
    ///
    /// # Errors
    /// When it did not run, through no fault of its own; and when the question is too long.
    pub async fn ask(
        &self,
        question: &[u8],
        patience: Duration,
    ) -> Result<Execution, SandboxError> {
        let bytes = question.len();
        if bytes > QUESTION_BYTES_MAX {
            let text = format!("a question of {bytes} bytes; at most {QUESTION_BYTES_MAX}");
            return Err(SandboxError::Config(text));
        }
        let _slot = self.sandbox.slot().await?;
        let waiting = self.waiting().pop();
        let Waiting { stdin, over } = waiting.map_or_else(|| self.begin(), Ok)?;
        // The next one prepares while this one works.
        while self.ready() < self.size {
            let next = self.begin()?;
            self.waiting().push(next);
        }
        // One that died says so by its end.
        let _ = File::from(stdin).write_all(question);
        match timeout(patience, over).await {
            Ok(Ok(execution)) => execution,
            Ok(Err(error)) => Err(SandboxError::Launcher {
                stage: "follow a program".into(),
                why: error.to_string(),
            }),
            Err(_elapsed) => Ok(Execution::out_of_time(patience)),
        }
    }

    fn begin(&self) -> Result<Waiting, SandboxError> {
        let pipe = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from);
        let (theirs, stdin) = pipe.map_err(SandboxError::io("make a pipe"))?;
        let (sandbox, program, limits) = (self.sandbox.clone(), self.program.clone(), self.limits);
        let over =
            tokio::spawn(async move { sandbox.run_reading(&program, &limits, theirs).await });
        Ok(Waiting { stdin, over: AbortOnDropHandle::new(over) })
    }

    /// Runs that wait to be asked.
    pub fn ready(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // The list is whole between any two of its operations, whoever panicked.
        let mut waiting = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|waiting| !waiting.over.is_finished());
        waiting
    }
}

impl Execution {
    fn out_of_time(wall: Duration) -> Self {
        Self {
            end: End::LimitHit(Limit::Wall),
            stdout: Vec::new(),
            stderr: Vec::new(),
            control: Vec::new(),
            wall,
            cpu: Duration::ZERO,
            peak_bytes: 0,
            landlock_abi: 0,
        }
    }
}
