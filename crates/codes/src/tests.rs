//! Every name has a whole page, every page a name.

use super::*;
use std::{collections::BTreeSet, fs, path::Path};

/// The parts that a reader looks for, in this order.
const PARTS: [&str; 3] = ["## Why it happens", "## What to do", "## Example"];

fn faults(entry: &Entry) -> Vec<String> {
    let Entry { name, page, .. } = entry;
    let mut faults = Vec::new();
    if page.lines().next() != Some(&format!("# {name}")) {
        faults.push(format!("docs/errors/{name}.md: the first line is not `# {name}`"));
    }
    if entry.summary().starts_with('#') || entry.summary().is_empty() {
        faults.push(format!("docs/errors/{name}.md: no line says what it means"));
    }
    let mut rest = *page;
    for part in PARTS {
        match rest.split_once(part) {
            Some((_, below))
                if !below.trim_start().starts_with('#') && !below.trim().is_empty() =>
            {
                rest = below;
            }
            Some(_) | None => {
                faults.push(format!("docs/errors/{name}.md: {part:?} is missing or empty"));
            }
        }
    }
    faults
}

#[test]
fn every_page_is_whole() {
    let faults: Vec<_> = all().flat_map(|entry| faults(&entry)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_page_without_its_parts_is_seen() {
    let check = |page, expected: usize| {
        let entry = Entry { name: "x", place: Place::Api, page };
        assert_eq!(faults(&entry).len(), expected, "{:?}", faults(&entry));
    };
    check("# x\n\nIt.\n\n## Why it happens\nA.\n## What to do\nB.\n## Example\nC.\n", 0);
    check("# y\n\nIt.\n\n## Why it happens\nA.\n## What to do\nB.\n## Example\nC.\n", 1);
    check("# x\n\n## Why it happens\nA.\n## What to do\nB.\n## Example\nC.\n", 1);
    check("# x\n\nIt.\n\n## Why it happens\n## What to do\nB.\n## Example\n", 2);
}

#[test]
fn no_page_is_of_an_unknown_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let pages = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let pages: BTreeSet<String> = pages.map(|name| name.into_string().unwrap()).collect();
    let known: BTreeSet<String> = all().map(|entry| format!("{}.md", entry.name)).collect();
    assert_eq!(pages, known, "names without a list, or lists without a name");
}

#[test]
fn names_are_words_and_stand_once_in_a_list() {
    let mut seen = BTreeSet::new();
    for entry in all() {
        assert!(seen.insert((entry.place, entry.name)), "{} stands twice", entry.name);
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(entry.name.chars().all(word), "{:?}", entry.name);
    }
}

#[test]
fn names_and_exit_codes_are_found() {
    assert_eq!(find("queue_full").unwrap().place, Place::Api);
    assert_eq!(find("130").unwrap().name, "exit_interrupted");
    assert!(find("no_such_code").is_none() && find("77").is_none());
    assert_eq!(ApiCode::of_provider("rate_limited"), ApiCode::ProviderRateLimited);
    assert_eq!(ApiCode::of_provider("stopped"), ApiCode::AgentFailed);
    for code in ApiCode::ALL {
        assert_eq!(ApiCode::parse(code.as_str()), Some(*code));
    }
}
