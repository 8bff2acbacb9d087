//! Quoted strings: straight, typographic and tripled, with their escapes.

use super::cursor::Cursor;
use super::label;
use super::literal::{Fault, Literal};

/// How a string that has begun will end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quote {
    opening: char,
    closing: &'static [char],
    tripled: bool,
}

/// The quote that begins a string at the cursor, if one does.
pub(super) fn opening(cursor: &Cursor<'_>) -> Option<Quote> {
    let opening = cursor.peek()?;
    let rest = cursor.rest();
    let tripled = rest.starts_with("\"\"\"") || rest.starts_with("'''");
    let closing: &[char] = match opening {
        '"' => &['"'],
        '\'' => &['\''],
        '“' | '”' => &['”'],
        '„' => &['“', '”'],
        '«' => &['»'],
        '‘' | '’' => &['’'],
        '‚' => &['‘', '’'],
        _ => return None,
    };
    Some(Quote { opening, closing, tripled })
}

/// The string that begins at the cursor.
pub(super) fn text(cursor: &mut Cursor<'_>, quote: Quote) -> Result<Literal, Fault> {
    for _ in 0..if quote.tripled { 3 } else { 1 } {
        cursor.bump();
    }
    let mut text = String::new();
    let mut bad: Option<String> = None;
    while let Some(next) = cursor.peek() {
        if closes(cursor, quote, next) {
            return Ok(bad.map_or(Literal::Text(text), Literal::BadText));
        }
        cursor.bump();
        match next {
            '\\' => {
                if let Err(escape) = escape(cursor, &mut text) {
                    bad.get_or_insert(escape);
                }
            }
            // Neither Python nor JSON lets such a string run over a line's end. Models
            // do; but where the next line begins a list, the string was never closed.
            '\n' if !quote.tripled && label::begins_list(cursor) => break,
            _ => text.push(next),
        }
    }
    Err(Fault::NotClosed)
}

/// Whether the string ends here; moves over its end if it does.
fn closes(cursor: &mut Cursor<'_>, quote: Quote, next: char) -> bool {
    if !quote.closing.contains(&next) {
        return false;
    }
    if quote.tripled {
        return cursor.eat(if quote.opening == '"' { "\"\"\"" } else { "'''" });
    }
    let after = cursor.rest().chars().nth(1);
    let inside_word = cursor.previous().is_some_and(char::is_alphanumeric)
        && after.is_some_and(char::is_alphanumeric);
    // An apostrophe: no valid literal goes on with a letter behind its closing quote.
    if matches!(next, '\'' | '’' | '‘') && inside_word {
        return false;
    }
    cursor.bump();
    true
}

/// The character that the escape stands for, as in Python and JSON. An escape that
/// neither knows stays as it is written, as in Python: `\d` is a backslash and a `d`.
fn escape(cursor: &mut Cursor<'_>, text: &mut String) -> Result<(), String> {
    let Some(next) = cursor.bump() else { return Ok(()) };
    match next {
        'n' => text.push('\n'),
        't' => text.push('\t'),
        'r' => text.push('\r'),
        'b' => text.push('\u{8}'),
        'f' => text.push('\u{c}'),
        '\n' => {}
        '\\' | '/' | '"' | '\'' | '“' | '”' | '„' | '«' | '»' | '‘' | '’' | '‚' => {
            text.push(next)
        }
        'x' => text.push(code_point(cursor, 'x', 2)?),
        'u' => text.push(code_point(cursor, 'u', 4)?),
        'U' => text.push(code_point(cursor, 'U', 8)?),
        _ => text.extend(['\\', next]),
    }
    Ok(())
}

/// The character with that number in hexadecimal; two halves of a pair make one.
fn code_point(cursor: &mut Cursor<'_>, kind: char, digits: usize) -> Result<char, String> {
    let start = cursor.at();
    let wrong = |cursor: &Cursor<'_>| format!("the escape \\{kind}{}", cursor.since(start));
    let Some(mut code) = hexadecimal(cursor, digits) else { return Err(wrong(cursor)) };
    if (0xD800..0xDC00).contains(&code) && cursor.eat("\\u") {
        let low = hexadecimal(cursor, 4).filter(|low| (0xDC00..0xE000).contains(low));
        let Some(low) = low else { return Err(wrong(cursor)) };
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    char::from_u32(code).ok_or_else(|| wrong(cursor))
}

fn hexadecimal(cursor: &mut Cursor<'_>, digits: usize) -> Option<u32> {
    let mut code: u32 = 0;
    for _ in 0..digits {
        let digit = cursor.peek()?.to_digit(16)?;
        cursor.bump();
        code = code.checked_mul(16)?.checked_add(digit)?;
    }
    Some(code)
}
