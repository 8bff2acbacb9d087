//! From LaTeX or plain notation to tokens.

use super::Unreadable;
use crate::numeric::decimal;
use num_rational::BigRational;

/// Bytes of an answer that is read.
pub(crate) const BYTES_MAX: usize = 2_000;
/// Tokens of it.
const TOKENS_MAX: usize = 600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Value, digits behind the point if there is one, digits that count.
    Number(BigRational, Option<u32>, u32),
    /// One letter, perhaps with an index: a variable, or one of `e` and `i`.
    Letter(String),
    /// A function, a constant or a relation by its name in LaTeX, without the backslash.
    Name(&'static str),
    /// A single character of notation.
    Sign(char),
    /// White space that stands between two things.
    Space,
}

/// What LaTeX and people call the same, and what it becomes: a sign, a name, or nothing.
const WORDS: [(&str, &str); 92] = [
    ("cdot", "*"),
    ("times", "*"),
    ("ast", "*"),
    ("div", "/"),
    ("over", "/"),
    ("pm", "±"),
    ("mp", "∓"),
    ("le", "≤"),
    ("leq", "≤"),
    ("leqslant", "≤"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("geqslant", "≥"),
    ("lt", "<"),
    ("gt", ">"),
    ("ne", "≠"),
    ("neq", "≠"),
    ("cup", "∪"),
    ("in", "∈"),
    ("infty", "∞"),
    ("infinity", "∞"),
    ("inf", "∞"),
    ("oo", "∞"),
    ("emptyset", "∅"),
    ("varnothing", "∅"),
    ("pi", "π"),
    ("frac", "frac"),
    ("dfrac", "frac"),
    ("tfrac", "frac"),
    ("cfrac", "frac"),
    ("sqrt", "sqrt"),
    ("cbrt", "cbrt"),
    ("abs", "abs"),
    ("exp", "exp"),
    ("ln", "ln"),
    ("log", "log"),
    ("lg", "lg"),
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("tg", "tan"),
    ("cot", "cot"),
    ("sec", "sec"),
    ("csc", "csc"),
    ("arctan", "arctan"),
    ("atan", "arctan"),
    ("lvert", "|"),
    ("rvert", "|"),
    ("vert", "|"),
    ("mid", "|"),
    ("lbrace", "⦃"),
    ("rbrace", "⦄"),
    ("lbrack", "["),
    ("rbrack", "]"),
    ("approx", "≈"),
    ("or", "or"),
    ("and", "or"),
    ("union", "∪"),
    // Greek letters are variables.
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("theta", "θ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("phi", "φ"),
    ("omega", "ω"),
    ("sigma", "σ"),
    // What changes nothing.
    ("left", ""),
    ("right", ""),
    ("big", ""),
    ("Big", ""),
    ("bigl", ""),
    ("bigr", ""),
    ("displaystyle", ""),
    ("quad", " "),
    ("qquad", " "),
    ("circ", "°"),
    ("degree", "°"),
    ("degrees", "°"),
    ("percent", "%"),
    ("text", "text"),
    ("textbf", "text"),
    ("mathrm", "text"),
    ("textrm", "text"),
    ("mbox", "text"),
    ("operatorname", "text"),
    ("mathbf", ""),
    ("boxed", ""),
    ("limits", ""),
    ("land", "or"),
    ("lor", "or"),
];

/// Units that may follow a number, and do not change it.
const UNITS: [&str; 51] = [
    "mm", "cm", "m", "km", "in", "inch", "inches", "ft", "foot", "feet", "yd", "yards", "mi",
    "mile", "miles", "meter", "meters", "metre", "metres", "g", "kg", "gram", "grams", "lb",
    "pounds", "s", "sec", "second", "seconds", "min", "minute", "minutes", "h", "hr", "hour",
    "hours", "day", "days", "year", "years", "unit", "units", "square", "cubic", "dollar",
    "dollars", "degree", "degrees", "radians", "rad", "mph",
];

/// The tokens of a text, and the units that stood in it.
pub(crate) fn tokens(text: &str) -> Result<(Vec<Token>, Vec<String>), Unreadable> {
    if text.len() > BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let mut lexer = Lexer { rest: text, tokens: Vec::new(), units: Vec::new(), brackets: 0 };
    while let Some(c) = lexer.rest.chars().next() {
        lexer.take(c)?;
    }
    Ok((tidy(lexer.tokens)?, lexer.units))
}

struct Lexer<'a> {
    rest: &'a str,
    tokens: Vec<Token>,
    units: Vec<String>,
    /// How many brackets are open: within them a comma stands between items.
    brackets: usize,
}

impl Lexer<'_> {
    fn take(&mut self, c: char) -> Result<(), Unreadable> {
        let width = c.len_utf8();
        match c {
            '0'..='9' => self.number()?,
            '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
            '\\' => self.command()?,
            c if c.is_alphabetic() && c.is_ascii() => self.word()?,
            c => {
                self.sign(c)?;
                self.rest = &self.rest[width..];
            }
        }
        Ok(())
    }

    fn sign(&mut self, c: char) -> Result<(), Unreadable> {
        let token = match c {
            '$' | '`' | '\u{200b}' => return Ok(()),
            '°' => {
                self.units.push("degree".into());
                Token::Sign(c)
            }
            c if c.is_whitespace() || c == '~' => Token::Space,
            '−' | '–' => Token::Sign('-'),
            '×' | '·' | '⋅' | '∗' => Token::Sign('*'),
            '÷' => Token::Sign('/'),
            '√' => Token::Name("sqrt"),
            '½' => return self.fraction(2),
            '¼' => return self.fraction(4),
            '²' => return self.power("2"),
            '³' => return self.power("3"),
            '(' | '[' => {
                self.brackets += 1;
                Token::Sign(c)
            }
            ')' | ']' => {
                self.brackets = self.brackets.saturating_sub(1);
                Token::Sign(c)
            }
            '+' | '-' | '*' | '/' | '^' | '{' | '}' | ',' | ';' | '=' | '<' | '>' | '≤' | '≥'
            | '≠' | '±' | '∓' | '!' | '%' | '|' | '∞' | '∪' | '∈' | '∅' | 'π' | '_' | ':' => {
                Token::Sign(c)
            }
            // A full stop ends; only the last one is forgiven.
            '.' if self.rest.trim() == "." => return Ok(()),
            c if c.is_alphabetic() => Token::Letter(c.into()),
            c => return Err(Unreadable::Character(c)),
        };
        self.tokens.push(token);
        Ok(())
    }

    fn fraction(&mut self, below: i64) -> Result<(), Unreadable> {
        let value = BigRational::new(1.into(), below.into());
        // `3½` is three and a half.
        if matches!(self.tokens.last(), Some(Token::Number(..))) {
            self.tokens.push(Token::Sign('+'));
        }
        self.tokens.push(Token::Number(value, None, 1));
        Ok(())
    }

    fn power(&mut self, to: &str) -> Result<(), Unreadable> {
        let to = decimal(to.as_bytes(), 0).ok_or(Unreadable::TooLong)?;
        self.tokens.extend([Token::Sign('^'), Token::Number(to, None, 1)]);
        Ok(())
    }

    /// `1,234.50`, `1{,}234`, `1\,234`, `2e5`. Within brackets commas do not belong to it.
    fn number(&mut self) -> Result<(), Unreadable> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let first = digits(self.rest);
        let mut whole = self.rest[..first].to_owned();
        self.rest = &self.rest[first..];
        let separators: &[&str] =
            if self.brackets == 0 { &["{,}", "\\,", "\\!,", ","] } else { &["{,}", "\\,"] };
        while (1..=3).contains(&first) {
            let Some(group) = separators.iter().find_map(|s| self.rest.strip_prefix(s)) else {
                break;
            };
            if digits(group) != 3 {
                break;
            }
            whole.push_str(&group[..3]);
            self.rest = &group[3..];
        }
        // A date or a name, such as 2024-01-02 or 007.
        if first > 1 && whole.starts_with('0') {
            return Err(Unreadable::Character('0'));
        }
        let mut places = None;
        if let Some(behind) = self.rest.strip_prefix('.') {
            let count = digits(behind);
            // `5.` at the end of a sentence is a whole number.
            if count > 0 {
                whole.push_str(&behind[..count]);
                places = u32::try_from(count).ok();
                self.rest = &behind[count..];
            }
        }
        let mut exponent = 0_i64;
        if let Some(behind) = self.rest.strip_prefix(['e', 'E']) {
            let signed = usize::from(behind.starts_with(['-', '+']));
            let count = digits(&behind[signed..]);
            if count > 0 {
                let text = &behind[..signed + count];
                exponent = text.parse().map_err(|_| Unreadable::TooLong)?;
                self.rest = &behind[signed + count..];
            }
        }
        let shift = i64::from(places.unwrap_or(0));
        let value = decimal(whole.as_bytes(), exponent.saturating_sub(shift));
        let value = value.ok_or(Unreadable::TooLong)?;
        let significant = whole.trim_start_matches('0').len();
        let significant = u32::try_from(significant).unwrap_or(u32::MAX);
        self.tokens.push(Token::Number(value, places, significant));
        Ok(())
    }

    fn command(&mut self) -> Result<(), Unreadable> {
        let behind = &self.rest[1..];
        let length = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        if length == 0 {
            let c = behind.chars().next().ok_or(Unreadable::Ends)?;
            self.rest = &behind[c.len_utf8()..];
            return match c {
                '{' => {
                    self.brackets += 1;
                    self.tokens.push(Token::Sign('⦃'));
                    Ok(())
                }
                '}' => {
                    self.brackets = self.brackets.saturating_sub(1);
                    self.tokens.push(Token::Sign('⦄'));
                    Ok(())
                }
                '(' | ')' | '!' => Ok(()),
                '[' | ']' if self.brackets == 0 => Ok(()),
                ',' | ';' | ':' | ' ' | '\\' => {
                    self.tokens.push(Token::Space);
                    Ok(())
                }
                '%' | '$' | '|' => self.sign(c),
                c => Err(Unreadable::Character(c)),
            };
        }
        let name = &behind[..length];
        self.rest = &behind[length..];
        let known = WORDS.iter().find(|(word, _)| *word == name);
        let (_, meaning) =
            known.ok_or_else(|| Unreadable::Command(name.chars().take(32).collect()))?;
        self.mean(meaning)
    }

    fn mean(&mut self, meaning: &'static str) -> Result<(), Unreadable> {
        let mut chars = meaning.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(()),
            (Some(c), None) if matches!(c, '⦃' | '⦄' | '≈') => {
                self.tokens.push(Token::Sign(c));
                Ok(())
            }
            (Some(c), None) => self.sign(c),
            (Some(_), Some(_)) if meaning == "text" => self.text(),
            (Some(_), Some(_)) => {
                self.tokens.push(Token::Name(meaning));
                if ["frac", "sqrt"].contains(&meaning) {
                    self.single_digits(if meaning == "frac" { 2 } else { 1 });
                }
                Ok(())
            }
        }
    }

    /// `\frac12` is a half, and `\sqrt23` three times the root of two.
    fn single_digits(&mut self, count: usize) {
        for _ in 0..count {
            let Some(digit) = self.rest.as_bytes().first().filter(|byte| byte.is_ascii_digit())
            else {
                return;
            };
            if let Some(value) = decimal(&[*digit], 0) {
                self.tokens.push(Token::Number(value, None, 1));
            }
            self.rest = &self.rest[1..];
        }
    }

    /// `\text{ cm}^2` behind a number is a unit; `\text{ or }` separates.
    fn text(&mut self) -> Result<(), Unreadable> {
        let behind = self.rest.trim_start().strip_prefix('{').ok_or(Unreadable::Ends)?;
        let (inside, rest) = behind.split_once('}').ok_or(Unreadable::Ends)?;
        self.rest = rest;
        let words = inside.trim().trim_end_matches('.').to_lowercase();
        if ["or", "and"].contains(&words.as_str()) {
            self.tokens.push(Token::Name("or"));
            return Ok(());
        }
        let known = |word: &str| UNITS.contains(&word.trim_end_matches("^2"));
        if self.behind_a_quantity() && words.split([' ', '/']).all(known) {
            self.unit(&words);
            return Ok(());
        }
        let mut letters = words.chars();
        match (inside.trim().chars().next(), letters.next(), letters.next()) {
            (Some(letter), Some(_), None) => {
                self.tokens.push(Token::Letter(letter.into()));
                Ok(())
            }
            _ if words.is_empty() => Ok(()),
            _ => Err(Unreadable::Word(inside.trim().chars().take(32).collect())),
        }
    }

    fn behind_a_quantity(&self) -> bool {
        let last = self.tokens.iter().rev().find(|token| **token != Token::Space);
        matches!(last, Some(Token::Number(..) | Token::Sign(')' | '}' | 'π' | '%')))
    }

    /// Notes the unit, with the `^2` of `cm^2` or `cm^{2}`.
    fn unit(&mut self, unit: &str) {
        let powers =
            [("^2", "2"), ("^3", "3"), ("^{2}", "2"), ("^{3}", "3"), ("²", "2"), ("³", "3")];
        let behind = powers
            .iter()
            .find_map(|(sign, power)| self.rest.strip_prefix(sign).map(|rest| (rest, *power)));
        let (rest, power) = behind.unwrap_or((self.rest, ""));
        self.rest = rest;
        // One form for the plural, and for `cm^2` within a text.
        let bare = unit.trim_end_matches('s').replace('^', "");
        self.units.push(format!("{bare}{power}"));
    }

    /// Plain letters: a known word, a unit behind a number, or variables side by side.
    fn word(&mut self) -> Result<(), Unreadable> {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = &self.rest[..length];
        self.rest = &self.rest[length..];
        let lower = word.to_ascii_lowercase();
        let apart = matches!(self.tokens.last(), Some(Token::Space));
        let unit = UNITS.contains(&lower.as_str()) && (length > 1 || apart);
        if unit && self.behind_a_quantity() && !self.rest.starts_with('(') {
            self.unit(&lower);
            return Ok(());
        }
        let known = WORDS.iter().find(|(known, _)| *known == lower && length > 1);
        match known {
            Some((_, meaning)) if !["", "text", "/"].contains(meaning) => self.mean(meaning),
            _ if length > 2 => Err(Unreadable::Word(word.chars().take(32).collect())),
            _ => {
                self.tokens.extend(word.chars().map(|c| Token::Letter(c.into())));
                Ok(())
            }
        }
    }
}

/// `2` and `n` of `x_2` and `x_n`.
fn index(token: &Token) -> Option<String> {
    match token {
        Token::Number(value, None, _) => Some(value.to_string()),
        Token::Letter(name) => Some(name.clone()),
        Token::Number(..) | Token::Name(_) | Token::Sign(_) | Token::Space => None,
    }
}

/// Without white space, with indices in their letters, and without degrees, which are a unit
/// unless an angle goes into a function.
fn tidy(tokens: Vec<Token>) -> Result<Vec<Token>, Unreadable> {
    let degrees = tokens.contains(&Token::Sign('°'));
    let angular = |token: &Token| matches!(token, Token::Name("sin" | "cos" | "tan" | "cot"));
    if degrees && tokens.iter().any(angular) {
        return Err(Unreadable::Ambiguous("an angle in degrees within a function"));
    }
    let mut tidied: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match (&token, tidied.as_slice()) {
            (Token::Space, _) => {}
            (_, [.., Token::Letter(_), Token::Sign('_')]) if index(&token).is_some() => {
                let index = index(&token).unwrap_or_default();
                tidied.pop();
                if let Some(Token::Letter(name)) = tidied.last_mut() {
                    name.push_str(&index);
                }
            }
            (
                Token::Sign('}'),
                [.., Token::Letter(_), Token::Sign('_'), Token::Sign('{'), inside],
            ) if index(inside).is_some() => {
                let index = index(inside).unwrap_or_default();
                tidied.truncate(tidied.len() - 3);
                if let Some(Token::Letter(name)) = tidied.last_mut() {
                    name.push_str(&index);
                }
            }
            (Token::Sign('}'), [.., Token::Sign('^'), Token::Sign('{'), Token::Sign('°')]) => {
                tidied.truncate(tidied.len() - 3);
            }
            (_, [.., Token::Sign('^'), Token::Sign('°')]) => {
                tidied.truncate(tidied.len() - 2);
                tidied.push(token);
            }
            _ => tidied.push(token),
        }
    }
    if let [.., Token::Sign('^'), Token::Sign('°')] = tidied.as_slice() {
        tidied.truncate(tidied.len() - 2);
    }
    tidied.retain(|token| *token != Token::Sign('°'));
    if tidied.len() > TOKENS_MAX {
        return Err(Unreadable::TooLong);
    }
    Ok(tidied)
}
