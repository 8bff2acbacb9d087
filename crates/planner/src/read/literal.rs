//! The tolerant grammar of literals: what Python and JSON have in common, and dirt.
//!
//! ```text
//! value  = list | object | string | word
//! list   = "[" { value [","] } "]"
//! object = "{" { key ":" value [","] } "}"     key = string | identifier
//! word   = anything else up to a comma, a bracket, a quote or the end of the line
//! ```
//! Commas may be missing, but none may be doubled; `#` begins a comment. A word is
//! kept as it is: whether it means something is not decided here. Every valid Python
//! or JSON literal of lists, objects, strings and numbers is read exactly.

use super::cursor::Cursor;
use super::label;
use super::quote;
use std::fmt::Write;

/// Deepest nesting of brackets. A plan needs 4; beyond 8 nobody means a plan.
pub(super) const NESTING_MAX: usize = 8;
/// Longest excerpt of a reply in a complaint, in bytes.
const SHOWN_BYTES_MAX: usize = 80;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
    Text(String),
    /// A quoted string with an escape that stands for no character.
    BadText(String),
    /// Not quoted: a number, a name, or junk.
    Word(String),
    /// Nothing between two commas.
    Nothing,
}

/// Why a bracket does not begin a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotClosed,
    TooDeep,
}

type Parsed<T> = Result<T, Fault>;

/// The list that begins at the cursor.
pub(super) fn list(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Literal> {
    cursor.bump();
    let mut entries = Vec::new();
    let mut comma_was_last = true;
    loop {
        skip_blank(cursor);
        match cursor.peek() {
            Some(']') => {
                cursor.bump();
                return Ok(Literal::List(entries));
            }
            Some(',') => {
                cursor.bump();
                if comma_was_last {
                    entries.push(Literal::Nothing);
                }
                comma_was_last = true;
            }
            // Another list begins, or a key: this one was never closed.
            None | Some('}' | ':' | '=') => return Err(Fault::NotClosed),
            Some(_) if label::begins_list(cursor) => return Err(Fault::NotClosed),
            Some(_) => {
                entries.push(value(cursor, depth)?);
                comma_was_last = false;
            }
        }
    }
}

/// The object that begins at the cursor. What was read of it is in `entries` even where
/// it does not end.
pub(super) fn object(
    cursor: &mut Cursor<'_>,
    depth: usize,
    entries: &mut Vec<(String, Literal)>,
) -> Parsed<()> {
    cursor.bump();
    loop {
        skip_blank(cursor);
        match cursor.peek() {
            Some('}') => {
                cursor.bump();
                return Ok(());
            }
            Some(',') if !entries.is_empty() => {
                cursor.bump();
            }
            Some(_) => {
                let key = key(cursor)?;
                skip_blank(cursor);
                if !cursor.eat(":") {
                    return Err(Fault::NotClosed);
                }
                skip_blank(cursor);
                entries.push((key, value(cursor, depth)?));
            }
            None => return Err(Fault::NotClosed),
        }
    }
}

fn key(cursor: &mut Cursor<'_>) -> Parsed<String> {
    if let Some(quote) = quote::opening(cursor) {
        return match quote::text(cursor, quote)? {
            Literal::Text(key) | Literal::BadText(key) | Literal::Word(key) => Ok(key),
            Literal::List(_) | Literal::Object(_) | Literal::Nothing => Err(Fault::NotClosed),
        };
    }
    let start = cursor.at();
    cursor.skip_while(|c| c.is_ascii_alphanumeric() || c == '_');
    let key = cursor.since(start);
    if key.is_empty() { Err(Fault::NotClosed) } else { Ok(key.to_owned()) }
}

/// `depth` brackets are open around it.
fn value(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Literal> {
    if let Some(quote) = quote::opening(cursor) {
        return quote::text(cursor, quote);
    }
    match cursor.peek() {
        Some('[' | '{') if depth >= NESTING_MAX => Err(Fault::TooDeep),
        Some('[') => list(cursor, depth + 1),
        Some('{') => {
            let mut entries = Vec::new();
            object(cursor, depth + 1, &mut entries)?;
            Ok(Literal::Object(entries))
        }
        Some(',' | ']' | '}') | None => Ok(Literal::Nothing),
        Some(_) => Ok(word(cursor)),
    }
}

fn word(cursor: &mut Cursor<'_>) -> Literal {
    let start = cursor.at();
    while let Some(next) = cursor.peek() {
        let comment = next == '#' && cursor.previous().is_some_and(char::is_whitespace);
        if comment || matches!(next, ',' | '[' | ']' | '{' | '}' | '"' | '“' | '”' | '\n') {
            break;
        }
        cursor.bump();
    }
    Literal::Word(cursor.since(start).trim().to_owned())
}

fn skip_blank(cursor: &mut Cursor<'_>) {
    loop {
        cursor.skip_while(char::is_whitespace);
        if cursor.peek() != Some('#') {
            return;
        }
        cursor.skip_while(|c| c != '\n');
    }
}

impl Literal {
    /// As it would be written, shortened, for a complaint.
    pub(super) fn shown(&self) -> String {
        let mut out = String::new();
        self.show(&mut out);
        shortened(&out)
    }

    fn show(&self, out: &mut String) {
        // Beyond the limit nothing is kept, so nothing more is written.
        if out.len() > SHOWN_BYTES_MAX {
            return;
        }
        match self {
            Self::List(entries) => {
                out.push('[');
                for (place, entry) in entries.iter().enumerate().take(SHOWN_BYTES_MAX) {
                    out.push_str(if place == 0 { "" } else { ", " });
                    entry.show(out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                for (place, (key, entry)) in entries.iter().enumerate().take(SHOWN_BYTES_MAX) {
                    out.push_str(if place == 0 { "" } else { ", " });
                    quoted(key, out);
                    out.push_str(": ");
                    entry.show(out);
                }
                out.push('}');
            }
            Self::Text(text) => quoted(text, out),
            Self::BadText(text) | Self::Word(text) => {
                let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
                out.extend(plain.take(SHOWN_BYTES_MAX + 1));
            }
            Self::Nothing => out.push_str("nothing"),
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    let head: String = text.chars().take(SHOWN_BYTES_MAX + 1).collect();
    // Writing into a String cannot fail.
    let _ = write!(out, "{head:?}");
}

/// Cut to [`SHOWN_BYTES_MAX`], and visibly so.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end));
    format!("{}…", text.get(..end.unwrap_or(0)).unwrap_or(""))
}
