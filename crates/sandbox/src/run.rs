//! One execution, from the service's side: what goes in, what comes out, how much of it.

use crate::{
    cgroup::Group,
    config::{Limit, Limits},
    error::SandboxError,
    launch,
    wire::{DESCRIPTORS, ENTRANCES_MAX, Job, Report, Setup},
};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg, shutdown},
    pipe::{PipeFlags, pipe_with},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, IoSlice, Seek, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::net::UnixStream as Socket,
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{UnixStream, unix::pipe::Receiver},
    process::{Child, Command},
    time::timeout,
};

/// How long a launcher may take beyond its program's time: to start, to kill, to clean up.
const GRACE: Duration = Duration::from_secs(10);
/// It is kept in memory as long as the program runs.
const STDIN_BYTES_MAX: usize = 64 << 20;
/// A report is one short object.
const REPORT_BYTES_MAX: u64 = 4_096;
/// SIGXFSZ, for a file over its limit.
const XFSZ: i32 = 25;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Files of its private folder, which it works in: names without a slash, and texts.
    pub files: Vec<(String, String)>,
    /// The interpreter's arguments: one of the files, and what it is to be told.
    pub arguments: Vec<String>,
    /// All of its standard input.
    pub stdin: Vec<u8>,
}

impl Program {
    /// A program of one file.
    pub fn python(source: impl Into<String>) -> Self {
        Self {
            files: vec![("main.py".into(), source.into())],
            arguments: vec!["main.py".into()],
            stdin: Vec::new(),
        }
    }

    /// Whether it can be put into a private folder, and nowhere else.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), SandboxError> {
        let refuse = |text| Err(SandboxError::Config(text));
        let outside = |name: &str| name.is_empty() || name.starts_with('.') || name.contains('/');
        if let Some((name, _)) = self.files.iter().find(|(name, _)| outside(name)) {
            return refuse(format!("`{name}` is no name of a file in a private folder"));
        }
        let (size, max) = (self.stdin.len(), STDIN_BYTES_MAX);
        if size > max {
            return refuse(format!("a standard input of {size} bytes; at most {max} can be given"));
        }
        let size: usize = self.files.iter().map(|(_, text)| text.len()).sum();
        let (number, max) = (self.files.len(), limits.folder_bytes);
        if size as u64 > max || number as u64 > limits.files {
            let files = limits.files;
            let text = format!("{number} files of {size} bytes; its folder holds {files} of {max}");
            return refuse(text);
        }
        Ok(())
    }

    /// With this standard input.
    pub fn with_stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal. 31, SIGSYS, is a system call of another architecture.
    Signalled(i32),
    /// At a limit.
    LimitHit(Limit),
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// How it ended.
    pub end: End,
    /// Standard output, up to its limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to its limit.
    pub stderr: Vec<u8>,
    /// What came over the control descriptor, up to the limit of standard output.
    pub control: Vec<u8>,
    /// From its start to its end.
    pub wall: Duration,
    /// Of the processor, user and system.
    pub cpu: Duration,
    /// The most memory that was in use at once.
    pub peak_bytes: u64,
    /// The kernel's version of Landlock that held it; 0 is none.
    pub(crate) landlock_abi: u32,
}

/// A launcher that has been started, and prepares or waits for its job. It ends when this does.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// Reaped by the runtime when it is over.
    _child: Child,
    socket: Socket,
}

impl Launcher {
    pub(crate) fn start(binary: Option<&Path>, setup: &Setup) -> Result<Self, SandboxError> {
        let doing = "start a launcher";
        let setup = serde_json::to_string(setup).map_err(io::Error::from);
        let setup = setup.map_err(SandboxError::io(doing))?;
        let (socket, theirs) = Socket::pair().map_err(SandboxError::io(doing))?;
        let mut command = Command::new(binary.unwrap_or(Path::new("/proc/self/exe")));
        command.arg(launch::ARGUMENT).arg(setup).env_clear().current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let child = command.spawn().map_err(SandboxError::io(doing))?;
        Ok(Self { _child: child, socket })
    }

    /// Hands it its job.
    pub(crate) fn begin<'a>(
        self,
        program: &Program,
        limits: &Limits,
        stdin: OwnedFd,
        group: Group<'a>,
    ) -> Result<Running<'a>, SandboxError> {
        let prepare = || SandboxError::io("prepare an execution");
        let (theirs, streams) = streams(program, limits, stdin).map_err(prepare())?;
        let mut descriptors = Vec::from(theirs);
        descriptors.extend(group.entrances().map_err(prepare())?);
        // A launcher that failed says why, whether or not it still listens.
        let _ = send(&self.socket, &descriptors);
        Ok(Running { launcher: self, streams, limits: *limits, group })
    }
}

/// A program on its way. Dropped before its end, it takes the program with it.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    launcher: Launcher,
    group: Group<'a>,
    /// Standard output, error, and the control descriptor.
    streams: [Receiver; 3],
    limits: Limits,
}

impl Running<'_> {
    pub(crate) async fn end(self) -> Result<Execution, SandboxError> {
        let Self { launcher, group, streams: [stdout, stderr, control], limits } = self;
        let follow = async {
            launcher.socket.set_nonblocking(true)?;
            let mut socket = UnixStream::from_std(launcher.socket)?;
            let hang_up = socket.as_fd().try_clone_to_owned()?;
            let (stdout, stderr, control, report) = tokio::join!(
                read(stdout, limits.output_bytes, &hang_up),
                read(stderr, limits.error_bytes, &hang_up),
                read(control, limits.output_bytes, &hang_up),
                async {
                    let mut report = Vec::new();
                    let mut reader = (&mut socket).take(REPORT_BYTES_MAX);
                    reader.read_to_end(&mut report).await.map(|_| report)
                },
            );
            Ok((stdout?, stderr?, control?, report?))
        };
        let time = Duration::from_millis(limits.wall_ms).saturating_add(GRACE);
        let (stdout, stderr, control, report) = timeout(time, follow)
            .await
            .map_err(|_| failed("report in time", format!("nothing for {time:?}")))?
            .map_err(SandboxError::io("follow an execution"))?;
        let over = stdout.over || stderr.over || control.over;
        let (stdout, stderr, control) = (stdout.bytes, stderr.bytes, control.bytes);
        match serde_json::from_slice(&report) {
            Ok(Report::Over { code, signal, hit, wall_us, cpu_us, peak_bytes, landlock_abi }) => {
                let hit = match hit {
                    _ if over => Some(Limit::Output),
                    None if signal.is_some() && group.ran_out() => Some(Limit::Memory),
                    hit => hit,
                };
                Ok(Execution {
                    end: end(code, signal, hit, &stderr),
                    stdout,
                    stderr,
                    control,
                    wall: Duration::from_micros(wall_us),
                    cpu: Duration::from_micros(cpu_us),
                    peak_bytes,
                    landlock_abi,
                })
            }
            Ok(Report::Failed { stage, why }) => Err(SandboxError::Launcher { stage, why }),
            Err(_) => Err(failed("report", "it died".into())),
        }
    }
}

fn failed(stage: &str, why: String) -> SandboxError {
    SandboxError::Launcher { stage: stage.into(), why }
}

/// The launcher's ends, in the order of the wire, and this process's: output, error, control.
type Streams = ([OwnedFd; DESCRIPTORS], [Receiver; 3]);

fn streams(program: &Program, limits: &Limits, stdin: OwnedFd) -> io::Result<Streams> {
    let Program { files, arguments, .. } = program.clone();
    let job = serde_json::to_vec(&Job { files, arguments, limits: *limits })?;
    let pipe = || -> io::Result<_> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok((Receiver::from_owned_fd(ours)?, theirs))
    };
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = pipe()?;
    let (control, their_control) = pipe()?;
    let theirs = [in_memory(&job)?, stdin, their_stdout, their_stderr, their_control];
    Ok((theirs, [stdout, stderr, control]))
}

/// Bytes to be read, and never to be changed.
pub(crate) fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create("sandbox", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

fn send(socket: &Socket, descriptors: &[OwnedFd]) -> io::Result<()> {
    const MAX: usize = DESCRIPTORS + ENTRANCES_MAX;
    let theirs: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&theirs));
    sendmsg(socket, &[IoSlice::new(b"j")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

struct Capped {
    bytes: Vec<u8>,
    over: bool,
}

/// Reads up to a limit. Beyond it the launcher is told to end the program.
async fn read(from: impl AsyncRead + Unpin, max: usize, hang_up: &OwnedFd) -> io::Result<Capped> {
    let mut bytes = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut bytes).await?;
    let over = bytes.len() > max;
    if over {
        bytes.truncate(max);
        shutdown(hang_up, Shutdown::Write)?;
    }
    Ok(Capped { bytes, over })
}

/// A limit that the kernel holds shows itself to the program, as an error that it may deal with.
/// When it does not, Python's last word names the limit.
fn end(code: Option<i32>, signal: Option<i32>, hit: Option<Limit>, stderr: &[u8]) -> End {
    if let Some(limit) = hit {
        return End::LimitHit(limit);
    }
    if signal == Some(XFSZ) {
        return End::LimitHit(Limit::Files);
    }
    let Some(code) = code else { return End::Signalled(signal.unwrap_or_default()) };
    let text = String::from_utf8_lossy(stderr);
    let word = text.trim_end().lines().last().unwrap_or_default();
    let says = |words: &[&str]| code != 0 && words.iter().any(|start| word.starts_with(start));
    if says(&["MemoryError"]) {
        End::LimitHit(Limit::Memory)
    } else if says(&["RuntimeError: can't start new thread"]) {
        End::LimitHit(Limit::Threads)
    } else if says(&["OSError: [Errno 27]", "OSError: [Errno 28]"]) {
        End::LimitHit(Limit::Files)
    } else {
        End::Exited(code)
    }
}
