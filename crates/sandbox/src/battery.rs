//! Attempts to escape, made in the cage itself: when a service starts, and in the tests. What
//! succeeds once is fatal. `battery.py` makes those that a program survives; the others are here,
//! each with the end that it has to come to.

use crate::{
    config::{Limit, Limits},
    error::SandboxError,
    run::{End, Execution, Program},
    sandbox::Cell,
};
use serde::Deserialize;
use serde_json::json;
use std::{
    fs::{self, Permissions},
    io,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    process,
};

/// What `battery.py` makes at least; fewer would prove less.
const ATTEMPTS_MIN: usize = 150;
/// Small and short, so that a service starts soon.
const LIMITS: Limits = Limits {
    wall_ms: 5_000,
    cpu_ms: 4_000,
    memory_bytes: 256 << 20,
    output_bytes: 1 << 20,
    error_bytes: 64 << 10,
    file_bytes: 1 << 20,
    folder_bytes: 4 << 20,
    files: 16,
    threads: 8,
};
/// SIGSYS.
const FORBIDDEN_CALL: i32 = 31;

pub(crate) struct Outcome {
    pub(crate) attempts: usize,
    /// Those that succeeded, and those that prove nothing.
    pub(crate) escapes: Vec<String>,
}

/// Makes all attempts. An error is one of the launcher, not of the cage.
pub(crate) async fn attempt(cell: &Cell) -> Result<Outcome, SandboxError> {
    let mut outcome = from_inside(cell).await?;
    for (name, source, limits, expected) in bombs() {
        let execution = cell.run(&Program::python(source), &limits).await?;
        outcome.attempts += 1;
        if execution.end != expected {
            let end = execution.end;
            outcome.escapes.push(format!("{name}: {end:?}, not {expected:?}"));
        }
    }
    Ok(outcome)
}

/// What is worth reaching: a file that all the world may read, and listeners that answer.
async fn from_inside(cell: &Cell) -> Result<Outcome, SandboxError> {
    let doing = "prepare attempts to escape";
    let folder = cell.folder();
    let (secret, path) = (folder.join("secret"), folder.join("socket"));
    let aims = || -> io::Result<_> {
        fs::write(&secret, "secret")?;
        fs::set_permissions(&secret, Permissions::from_mode(0o666))?;
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let unix = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        let name = SocketAddr::from_abstract_name(path.as_os_str().as_encoded_bytes())?;
        let named = UnixListener::bind_addr(&name)?;
        Ok((tcp.local_addr()?.port(), (tcp, unix, named)))
    };
    let (tcp, _listeners) = aims().map_err(SandboxError::io(doing))?;
    let aims = json!({
        "secret": secret,
        "folder": folder,
        "service": process::id(),
        "tcp": tcp,
        "unix": path,
        "memory_bytes": LIMITS.memory_bytes,
        "file_bytes": LIMITS.file_bytes,
    });
    let mut program = Program::python(include_str!("battery.py"));
    program.files.push(("aims.json".into(), aims.to_string()));
    let execution = cell.run(&program, &LIMITS).await;
    let _ = fs::remove_file(&path);
    Ok(read(&execution?))
}

/// A line for a name, when its attempt begins, and a line for a name and what came of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Over(String, Option<String>),
    Begun([String; 1]),
}

fn read(execution: &Execution) -> Outcome {
    let mut escapes = Vec::new();
    let mut attempts = 0;
    let mut begun = None;
    for line in execution.control.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Line::Begun([name])) => begun = Some(name),
            Ok(Line::Over(name, outcome)) => {
                attempts += 1;
                begun = None;
                escapes.extend(outcome.map(|outcome| format!("{name} {outcome}")));
            }
            Err(error) => escapes.push(format!("a line of the battery: {error}")),
        }
    }
    escapes.extend(begun.map(|name| format!("{name} never came back")));
    if attempts < ATTEMPTS_MIN || execution.end != End::Exited(0) {
        let word = String::from_utf8_lossy(&execution.stderr);
        let word = word.trim_end().lines().last().unwrap_or_default();
        let end = execution.end;
        escapes.push(format!("{attempts} attempts, then {end:?} {word}"));
    }
    Outcome { attempts, escapes }
}

/// What no program survives.
fn bombs() -> Vec<(&'static str, &'static str, Limits, End)> {
    let hit = End::LimitHit;
    let quick = Limits { wall_ms: 150, ..LIMITS };
    let mut bombs = vec![
        ("a program that waits", "import time\ntime.sleep(60)", quick, hit(Limit::Wall)),
        (
            "a program that ignores all signals and waits",
            "import signal, time\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\ntime.sleep(60)",
            quick,
            hit(Limit::Wall),
        ),
        (
            "a program that computes",
            "while True: pass",
            Limits { cpu_ms: 100, ..LIMITS },
            hit(Limit::Cpu),
        ),
        (
            "a memory bomb",
            "held = []\nwhile True: held.append(bytearray(1 << 20))",
            LIMITS,
            hit(Limit::Memory),
        ),
        (
            "an output flood",
            "import os\nwhile True: os.write(1, b'x' * 65536)",
            LIMITS,
            hit(Limit::Output),
        ),
        (
            "an error flood",
            "import os\nwhile True: os.write(2, b'x' * 65536)",
            LIMITS,
            hit(Limit::Output),
        ),
        (
            "a control flood",
            "import os, sys\nwhile True: os.write(int(sys.argv[-1]), b'x' * 65536)",
            LIMITS,
            hit(Limit::Output),
        ),
        (
            "a flood of files",
            "import time\nn = 0\nwhile True:\n    n += 1\n    open(f'{n}', 'w').write('x')",
            LIMITS,
            hit(Limit::Files),
        ),
        (
            "a flood of bytes",
            "n = 0\nwhile True:\n    n += 1\n    open(f'{n % 10}', 'wb').write(bytes(1 << 20))",
            LIMITS,
            hit(Limit::Files),
        ),
        (
            "a thread bomb",
            "import threading, time\nthreading.stack_size(32768)\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
            LIMITS,
            hit(Limit::Threads),
        ),
    ];
    if cfg!(target_arch = "x86_64") {
        // mov eax, 20 (getpid for the 32-bit ABI); int 0x80; ret
        let call = "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\nat = ctypes.addressof(ctypes.c_char.from_buffer(m))\nprint(ctypes.CFUNCTYPE(ctypes.c_int)(at)())";
        let end = End::Signalled(FORBIDDEN_CALL);
        bombs.push(("a call of the 32-bit ABI", call, LIMITS, end));
    }
    bombs
}
