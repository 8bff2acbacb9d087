//! The names of the lists, in the spellings that models use.

use super::cursor::Cursor;
use super::quote;

/// One of the three lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    ModelId,
    Subtasks,
    AccessList,
}

/// First and second half of each name; case, number and what joins them are free.
const NAMES: [(&str, &str, Label); 4] = [
    ("model", "id", Label::ModelId),
    ("agent", "id", Label::ModelId),
    ("sub", "task", Label::Subtasks),
    ("access", "list", Label::AccessList),
];

/// Languages that a code fence may name between a label and its list.
const FENCES: [&str; 5] = ["python", "json", "text", "py", "plaintext"];

/// The label that a key of an object is, if it is one.
pub(super) fn of_key(key: &str) -> Option<Label> {
    let (label, len) = at_start(key)?;
    (len == key.len()).then_some(label)
}

/// The label of the list whose opening bracket the cursor then stands at. Where there
/// is no label or no list behind it, the cursor stays.
pub(super) fn eat(cursor: &mut Cursor<'_>) -> Option<Label> {
    let start = cursor.at();
    if cursor.previous().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let (label, len) = at_start(cursor.rest())?;
    cursor.set(start + len);
    if gap(cursor) {
        return Some(label);
    }
    cursor.set(start);
    None
}

/// Whether a labelled list begins at the cursor, which stays.
pub(super) fn begins_list(cursor: &mut Cursor<'_>) -> bool {
    let start = cursor.at();
    let begins = eat(cursor).is_some();
    cursor.set(start);
    begins
}

/// A label at the start of `text` and its length in bytes.
fn at_start(text: &str) -> Option<(Label, usize)> {
    let (label, rest) = NAMES.iter().find_map(|(first, second, label)| {
        let rest = strip(text, first)?;
        let joined = ["\\_", "_", "-", " "].iter().find_map(|join| rest.strip_prefix(join));
        Some((*label, strip(joined.unwrap_or(rest), second)?))
    })?;
    let rest = strip(rest, "s").unwrap_or(rest);
    let goes_on = rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (!goes_on).then_some((label, text.len() - rest.len()))
}

/// What follows `prefix`, in whatever case it is written.
fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Moves over what may stand between a label and its list: an equals sign, a colon or
/// the end of the line, among quotes, emphasis and code fences.
pub(super) fn gap(cursor: &mut Cursor<'_>) -> bool {
    let mut parted = false;
    loop {
        match cursor.peek() {
            Some('[') => return parted,
            Some('=' | ':' | '\n') => parted = true,
            Some('*' | '`') => {}
            Some(c) if c.is_whitespace() => {}
            Some(_) if quote::opening(cursor).is_some() => {}
            Some(_) | None => return false,
        }
        cursor.bump();
        if cursor.previous() == Some('`') {
            let _ = FENCES.iter().any(|name| cursor.eat(name));
        }
    }
}
