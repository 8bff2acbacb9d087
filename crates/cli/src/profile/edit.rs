//! The file of profiles, changed: what a user wrote around a change stays as it is.

use super::{
    file::{path, text},
    invalid,
};
use crate::{args::Format, exit::Failure};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use toml_edit::{DocumentMut, Item, Table, value};

/// What is to be different. What is not said stays.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) endpoint: Option<String>,
    pub(super) key: Option<NewKey>,
    pub(super) output: Option<Format>,
}

#[derive(Debug)]
pub(super) enum NewKey {
    Env(String),
    File(PathBuf),
    Inline(String),
}

pub(super) fn set(name: &str, change: &Change) -> Result<(), Failure> {
    edit(|document| {
        let profile = profile(document, name)?;
        if let Some(endpoint) = &change.endpoint {
            profile["endpoint"] = value(endpoint);
        }
        if let Some(key) = &change.key {
            for place in ["key", "key_env", "key_file"] {
                profile.remove(place);
            }
            match key {
                NewKey::Env(name) => profile["key_env"] = value(name),
                NewKey::File(file) => profile["key_file"] = value(file.display().to_string()),
                NewKey::Inline(key) => profile["key"] = value(key),
            }
        }
        if let Some(output) = change.output {
            profile["output"] = value(output.name());
        }
        Ok(())
    })
}

pub(super) fn use_profile(name: &str) -> Result<(), Failure> {
    edit(|document| {
        document["current"] = value(name);
        Ok(())
    })
}

pub(super) fn remove(name: &str) -> Result<(), Failure> {
    edit(|document| {
        if let Some(profiles) = document.get_mut("profiles").and_then(Item::as_table_mut) {
            profiles.remove(name);
        }
        if document.get("current").and_then(Item::as_str) == Some(name) {
            document.remove("current");
        }
        Ok(())
    })
}

fn profile<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut Table, Failure> {
    let table = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let profiles = document.entry("profiles").or_insert_with(table).as_table_mut();
    let profiles = profiles.ok_or_else(|| invalid("profiles.toml: profiles is no table"))?;
    let profile = profiles.entry(name).or_insert_with(|| Item::Table(Table::new()));
    profile.as_table_mut().ok_or_else(|| {
        invalid(format!("profiles.toml: profiles.{name} is no table of its own: change it by hand"))
    })
}

fn edit(change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>) -> Result<(), Failure> {
    let path = path()?;
    let before = text(&path)?.unwrap_or_default();
    let mut document: DocumentMut =
        before.parse().map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    change(&mut document)?;
    write(&path, &document.to_string())
        .map_err(|error| Failure::other(format!("cannot write {}: {error}", path.display())))
}

/// Whole or not at all, and readable by its owner alone: it may hold a key.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        // The error says more than a file that stays behind.
        let _removed = fs::remove_file(&new);
    }
    renamed
}
