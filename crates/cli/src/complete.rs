//! `baton completions` and `baton man`: the command line, described for shells and for
//! `man`. Both are made from the same definition that reads it.

use crate::{args, exit::Failure};
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man as Page;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The program's name, as completions have it.
const PROGRAM: &str = "baton";

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write the pages of all commands here, as baton.1, baton-run.1 and so on; made if
    /// missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), PROGRAM, &mut script);
    print(&script)
}

pub(crate) fn man(args: &Man) -> Result<ExitCode, Failure> {
    let command = args::Args::command();
    match &args.out {
        // As in the pages of a folder: `help` says what is on them.
        None => print(&rendered(command.disable_help_subcommand(true))?),
        Some(folder) => {
            let cannot = |error| unwritten(folder, &error);
            fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(command, folder).map_err(cannot)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn rendered(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let rendering = Page::new(command).render(&mut page);
    rendering.map_err(|error| Failure::other(format!("cannot make the page: {error}")))?;
    Ok(page)
}

fn unwritten(place: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot write {}: {error}", place.display()))
}

/// To stdout; a reader who has seen enough is no failure.
fn print(bytes: &[u8]) -> Result<ExitCode, Failure> {
    match io::stdout().lock().write_all(bytes) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::other(format!("cannot write to stdout: {error}"))),
    }
}
