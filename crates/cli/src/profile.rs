//! Profiles: named endpoints, with where their keys are and how to print. What a flag
//! says goes before the environment, the environment before the profile, the profile
//! before the defaults.

mod edit;
mod file;

use crate::{
    args::{EndpointArgs, Format},
    exit::Failure,
    output::{DIM, PLAIN, STRONG},
};
use baton_codes::StartCode;
use baton_provider_http::Secret;
use clap::{Args, Subcommand};
use file::{Profiles, Stored};
use serde_json::{Value, json};
use std::{io::Read as _, path::PathBuf, process::ExitCode};

/// The variable that holds the key unless another is named.
const KEY_VARIABLE: &str = "BATON_API_KEY";
/// Longest key read from standard input, in bytes.
const KEY_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    pub(crate) command: ProfileCommand,
    /// Form of what is printed.
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// All profiles; the one in use is marked.
    List,
    /// One profile; the one in use unless named. A key is never shown.
    Show {
        /// Its name.
        name: Option<String>,
    },
    /// Use this profile from now on, where no other is named.
    Use {
        /// Its name.
        name: String,
    },
    /// Make a profile, or change what is said of it here.
    #[command(
        after_help = "Example: baton profile set prod --endpoint https://baton.example.com --key-env PROD_KEY"
    )]
    Set(Set),
    /// Forget a profile.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name: letters, digits, `-` and `_`.
    name: String,
    /// The endpoint, such as http://127.0.0.1:8484.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Environment variable that holds the key.
    #[arg(long, value_name = "NAME", group = "key")]
    key_env: Option<String>,
    /// File that holds the key.
    #[arg(long, value_name = "FILE", group = "key")]
    key_file: Option<PathBuf>,
    /// Read the key from standard input, and keep it in profiles.toml itself, which only
    /// you can read.
    #[arg(long, group = "key")]
    key_stdin: bool,
    /// How to print where a command can print more than one form.
    #[arg(long, value_enum, value_name = "FORMAT")]
    print: Option<Format>,
}

/// The profile in force; empty where there is none.
#[derive(Debug, Default)]
pub(crate) struct Profile(Option<(PathBuf, Stored)>);

impl Profile {
    /// The one that flag or environment name, else the one in use.
    pub(crate) fn in_force(args: &EndpointArgs) -> Result<Self, Failure> {
        let named = args.profile.as_deref().filter(|name| !name.is_empty());
        let profiles = match (Profiles::read()?, named) {
            (Some(profiles), _) => profiles,
            (None, None) => return Ok(Self::default()),
            (None, Some(name)) => {
                let message =
                    format!("there is no profile {name}: make one with `baton profile set {name}`");
                return Err(invalid(message));
            }
        };
        let Some(name) = named.or(profiles.current()) else { return Ok(Self::default()) };
        let stored = profiles.get(name)?;
        Ok(Self(Some((profiles.path().to_owned(), stored.clone()))))
    }

    /// The endpoint, unless flag or environment name one.
    pub(crate) fn endpoint(&self, args: &EndpointArgs) -> Option<String> {
        let stored = self.0.as_ref().and_then(|(_, stored)| stored.endpoint.clone());
        args.endpoint.clone().or(stored)
    }

    /// The form to print in, unless flag or environment name one.
    pub(crate) fn format(&self, said: Option<Format>) -> Format {
        let stored = self.0.as_ref().and_then(|(_, stored)| stored.output);
        said.or(stored).unwrap_or_default()
    }

    /// The key: in the variable that `--key-env` names, else in `BATON_API_KEY`, else
    /// where the profile says. A variable that is not set is no key, unless a profile
    /// names it.
    pub(crate) fn key(&self, args: &EndpointArgs) -> Result<Option<Secret>, Failure> {
        let variable = args.key_env.as_deref().unwrap_or(KEY_VARIABLE);
        let is_set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let unreadable = |error: String| Failure::auth(error).named(StartCode::KeyUnreadable);
        let secret = match &self.0 {
            _ if is_set => Secret::from_env(variable),
            Some((path, stored)) if args.key_env.is_none() => match &stored.key {
                None => return Ok(None),
                Some(file::Key::Env(name)) => Secret::from_env(name),
                Some(file::Key::File(file)) => Secret::from_file(file),
                // Where it stands was checked when the file was read.
                Some(file::Key::Inline) => return file::inline_key(path, &stored.name).map(Some),
            },
            Some(_) | None => return Ok(None),
        };
        secret.map(Some).map_err(|error| unreadable(error.to_string()))
    }
}

pub(crate) fn profile(args: ProfileArgs) -> Result<ExitCode, Failure> {
    let json = args.output == Format::Json;
    match args.command {
        ProfileCommand::List => list(json)?,
        ProfileCommand::Show { name } => show(name.as_deref(), json)?,
        ProfileCommand::Use { name } => {
            some()?.get(&name)?;
            edit::use_profile(&name)?;
            anstream::eprintln!("profile {name} is in use");
        }
        ProfileCommand::Remove { name } => {
            some()?.get(&name)?;
            edit::remove(&name)?;
            anstream::eprintln!("profile {name} is forgotten");
        }
        ProfileCommand::Set(set) => {
            let name = set.name.clone();
            let change = change(set)?;
            edit::set(&name, &change)?;
            anstream::eprintln!("profile {name} is kept in {}", file::path()?.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `set` says.
fn change(set: Set) -> Result<edit::Change, Failure> {
    if !file::is_name(&set.name) {
        let name = set.name;
        let message = format!("{name:?} is no name for a profile: use letters, digits, - and _");
        return Err(Failure::usage(message));
    }
    let key = match (set.key_env, set.key_file, set.key_stdin) {
        (Some(name), ..) => Some(edit::NewKey::Env(name)),
        (None, Some(file), _) => {
            Some(edit::NewKey::File(std::path::absolute(&file).unwrap_or(file)))
        }
        (None, None, true) => Some(edit::NewKey::Inline(read_key()?)),
        (None, None, false) => None,
    };
    Ok(edit::Change { endpoint: set.endpoint, key, output: set.print })
}

fn read_key() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(KEY_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("cannot read the key: {error}")))?;
    match text.trim() {
        "" => Err(Failure::usage("there is no key on standard input")),
        key => Ok(key.to_owned()),
    }
}

fn some() -> Result<Profiles, Failure> {
    Profiles::read()?.ok_or_else(|| {
        invalid("there are no profiles: make one with `baton profile set NAME --endpoint URL`")
    })
}

fn list(json: bool) -> Result<(), Failure> {
    let profiles = Profiles::read()?;
    let current = profiles.as_ref().and_then(Profiles::current);
    let all = profiles.as_ref().map(Profiles::all).unwrap_or_default();
    if json {
        let all: Vec<_> = all.iter().map(|stored| document(stored, current)).collect();
        anstream::println!("{:#}", json!({ "object": "list", "data": all }));
        return Ok(());
    }
    for stored in all {
        let mark = if current == Some(stored.name.as_str()) { "*" } else { " " };
        let endpoint = stored.endpoint.as_deref().unwrap_or("-");
        anstream::println!("{mark} {STRONG}{:16}{PLAIN} {endpoint}", stored.name);
    }
    Ok(())
}

fn show(name: Option<&str>, json: bool) -> Result<(), Failure> {
    let profiles = some()?;
    let current = profiles.current();
    let name = name.or(current).ok_or_else(|| {
        Failure::usage("no profile is in use: name one, or choose one with `baton profile use`")
    })?;
    let stored = profiles.get(name)?;
    if json {
        anstream::println!("{:#}", document(stored, current));
        return Ok(());
    }
    let output = stored.output.map_or("-", Format::name);
    anstream::println!("{STRONG}{name}{PLAIN} {DIM}{}{PLAIN}", profiles.path().display());
    anstream::println!("endpoint  {}", stored.endpoint.as_deref().unwrap_or("-"));
    anstream::println!("key       {}", key_words(stored));
    anstream::println!("output    {output}");
    Ok(())
}

fn key_words(stored: &Stored) -> String {
    match &stored.key {
        None => "-".into(),
        Some(file::Key::Env(name)) => format!("in the environment variable {name}"),
        Some(file::Key::File(file)) => format!("in the file {}", file.display()),
        Some(file::Key::Inline) => "in profiles.toml".into(),
    }
}

fn document(stored: &Stored, current: Option<&str>) -> Value {
    json!({
        "name": stored.name,
        "in_use": current == Some(stored.name.as_str()),
        "endpoint": stored.endpoint,
        "key": stored.key.as_ref().map(|_| key_words(stored)),
        "output": stored.output.map(Format::name),
    })
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::usage(message).named(StartCode::ProfileInvalid)
}
