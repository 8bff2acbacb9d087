//! Which python3, and what of the machine it needs to see.

use crate::error::SandboxError;
use serde::{Deserialize, Serialize};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Where shared libraries are, and the loader's index of them.
const LIBRARIES: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];

/// Asked of the interpreter itself, because its name on `PATH` may be a script or a link.
const QUESTION: &str = "
import json, os, sys, sysconfig
maps = [line.split()[-1] for line in open('/proc/self/maps')]
print(json.dumps({
    'executable': os.path.realpath(sys.executable),
    'version': sys.version.split()[0],
    'libraries': [sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib'),
        *[os.path.dirname(path) for path in maps if 'libpython' in path]],
    'loader': next((path for path in maps if os.path.basename(path).startswith('ld-')), None),
}))
";

/// An interpreter and all that it may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interpreter {
    pub(crate) executable: PathBuf,
    pub(crate) version: String,
    /// Files and folders that are visible, read only. Links stay links.
    pub(crate) visible: Vec<PathBuf>,
    /// What the kernel runs to start it: the only other file that may be executed.
    pub(crate) loader: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    version: String,
    libraries: Vec<PathBuf>,
    loader: Option<PathBuf>,
}

impl Interpreter {
    /// The configured one, or the system's, or the first on `PATH`, with these libraries.
    pub(crate) fn find(
        configured: Option<&Path>,
        libraries: &[PathBuf],
    ) -> Result<Self, SandboxError> {
        let mut interpreter = match configured {
            Some(path) => Self::ask(path),
            None => Self::ask(&Self::on_path()?),
        }?;
        for library in libraries {
            let folder = library.canonicalize().ok().filter(|path| path.is_dir());
            let none = || SandboxError::Config(format!("{} is no folder", library.display()));
            interpreter.sees(folder.ok_or_else(none)?);
        }
        Ok(interpreter)
    }

    fn on_path() -> Result<PathBuf, SandboxError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let places = env::split_paths(&path).filter(|place| place.is_absolute());
        let places = [PathBuf::from("/usr/bin")].into_iter().chain(places);
        let mut candidates = places.map(|place| place.join("python3")).filter(|path| path.exists());
        let nowhere =
            || SandboxError::NoPython("there is no python3 in /usr/bin or on PATH".into());
        candidates.next().ok_or_else(nowhere)
    }

    fn sees(&mut self, path: PathBuf) {
        if !self.visible.iter().any(|seen| path.starts_with(seen)) {
            self.visible.push(path);
        }
    }

    fn ask(path: &Path) -> Result<Self, SandboxError> {
        let wrong =
            |why: &str| SandboxError::NoPython(format!("{} is of no use: {why}", path.display()));
        let mut command = Command::new(path);
        command.args(["-I", "-S", "-c", QUESTION]);
        let output = command.output().map_err(|error| wrong(&error.to_string()))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(wrong(errors.lines().last().unwrap_or("it fails")));
        }
        let answer: Answer =
            serde_json::from_slice(&output.stdout).map_err(|error| wrong(&error.to_string()))?;
        let visible = LIBRARIES.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
        let mut interpreter = Self {
            executable: answer.executable.clone(),
            version: answer.version,
            visible,
            loader: answer.loader,
        };
        for path in answer.libraries.into_iter().chain([answer.executable]) {
            interpreter.sees(path);
        }
        Ok(interpreter)
    }
}
