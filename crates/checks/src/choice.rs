//! Which of the options a reply chooses.

use crate::{
    Code, Report, SpecError,
    final_answer::{final_answer, normal, shown},
};

pub(crate) const LETTER: &str = "choice.letter/1";

/// Options of a question: `A` to `J`.
pub(crate) const OPTIONS_MAX: usize = 10;

/// What a reply chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Letter(char),
    /// Two letters, or a letter beside another option's text.
    Ambiguous,
    None,
}

/// The letter that is right, and the options if they are known.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    letter: char,
    options: Vec<String>,
}

impl Wanted {
    pub(crate) fn new(expected: &str, options: &[String]) -> Result<Self, SpecError> {
        if options.len() == 1 || options.len() > OPTIONS_MAX {
            let message =
                format!("{} options: expected 2 to {OPTIONS_MAX}, or none", options.len());
            return Err(SpecError::new("options", message));
        }
        let last = last_letter(options);
        let mut letters = expected.trim().chars().map(|c| c.to_ascii_uppercase());
        let letter = letters.next().filter(|letter| ('A'..=last).contains(letter));
        let letter = letter.filter(|_| letters.next().is_none()).ok_or_else(|| {
            let message =
                format!("{} is no option: expected a letter, A to {last}", shown(expected));
            SpecError::new("expected", message)
        })?;
        Ok(Self { letter, options: options.iter().map(|option| normal(option)).collect() })
    }
}

fn last_letter(options: &[String]) -> char {
    let count = if options.is_empty() { OPTIONS_MAX } else { options.len().min(OPTIONS_MAX) };
    (b'A' + count as u8 - 1) as char
}

pub(crate) fn letter(wanted: &Wanted, candidate: &str) -> Report {
    let text = said(candidate);
    match chosen(&text, &wanted.options) {
        Choice::Letter(letter) => {
            Report::of_answer(LETTER, letter == wanted.letter, &letter.to_string())
        }
        Choice::Ambiguous => Report::abstain(LETTER, Code::Ambiguous)
            .having_read(&text)
            .saying(format!("the final answer {} chooses more than one option", shown(&text))),
        Choice::None => {
            let last = last_letter(&wanted.options);
            Report::fail(LETTER, Code::NoAnswer).having_read(&text).saying(format!(
                "the final answer {} chooses no option: end with `Answer: ` and a letter, A to {last}",
                shown(&text)
            ))
        }
    }
}

/// The marked answer, or the last line.
pub(crate) fn said(candidate: &str) -> String {
    let found = final_answer(candidate);
    let last = found.text.lines().rev().find(|line| !line.trim().is_empty());
    if found.marked { found.text.trim().to_owned() } else { last.unwrap_or_default().trim().into() }
}

/// The option that a text chooses: by its letter, or word for word. `options` are in their
/// normal form; without them letters up to `J` count.
pub(crate) fn chosen(text: &str, options: &[String]) -> Choice {
    let form = normal(text);
    let mut equal = (0..options.len()).filter(|place| options[*place] == form);
    let by_text = equal.next().filter(|_| equal.next().is_none());
    let letters = letters(text, last_letter(options));
    match (letters.as_slice(), by_text) {
        ([], None) => Choice::None,
        // An option may be a letter, such as the name of a variable.
        ([], Some(place)) => Choice::Letter(at(place)),
        ([letter], Some(place)) if *letter != at(place) => Choice::Ambiguous,
        ([letter], _) => match beside(text, *letter, options) {
            Some(place) if at(place) != *letter => Choice::Ambiguous,
            _ => Choice::Letter(*letter),
        },
        _ => Choice::Ambiguous,
    }
}

fn at(place: usize) -> char {
    (b'A' + place as u8) as char
}

/// The option whose text stands behind the letter: `C) London`.
fn beside(text: &str, letter: char, options: &[String]) -> Option<usize> {
    let (_, behind) = text.split_once([letter, letter.to_ascii_lowercase()])?;
    let behind =
        normal(behind.trim_start_matches([')', '.', ':', '}', '*', ']', '-', '$', ' ', ',']));
    options.iter().position(|option| *option == behind)
}

/// The letters that are chosen, each once. A word of one letter is chosen if nothing but
/// marks stands around it; `A` and `I` within a sentence are words.
fn letters(text: &str, last: char) -> Vec<char> {
    let plain = ["\\textbf", "\\text", "\\mathrm", "\\mathbf", "\\boxed"]
        .iter()
        .fold(text.to_owned(), |text, command| text.replace(command, " "));
    let words: Vec<&str> = plain.split_whitespace().collect();
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let mut parts = word.split(['/', ',', '&', '|']).peekable();
        while let Some(part) = parts.next() {
            let bare = part.trim_matches(|c: char| !c.is_alphanumeric());
            let mut chars = bare.chars();
            let (Some(letter), None) = (chars.next(), chars.next()) else { continue };
            let alone = words.len() == 1;
            // `(c)` and a lone `c` are meant; `a` in a sentence is not.
            let marked =
                part.len() > bare.len() && part.contains(['(', ')', '*', '{', '}', '$', '[']);
            let upper = letter.to_ascii_uppercase();
            let known = ('A'..=last).contains(&upper);
            let ends = parts.peek().is_some()
                || place + 1 == words.len()
                || part.ends_with([')', '.', ':', '*', '}', ']', ',']);
            let article = matches!(letter, 'A' | 'I') && !ends && !marked;
            if known && (alone || marked || (letter.is_ascii_uppercase() && !article)) {
                found.push(upper);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &str, expected: Choice) {
        let options = ["Oslo", "Rome", "Paris", "a large cat"].map(normal);
        let text = said(reply);
        assert_eq!(chosen(&text, &options), expected, "{reply:?} {text:?}");
    }

    #[test]
    fn a_letter_is_found_where_it_is_chosen() {
        for reply in [
            "Answer: C",
            "Answer: A\nno:\nAnswer: C",
            "**Answer:** (C)",
            "so the final answer is C.",
            "The answer is **C**.",
            "\\boxed{C}",
            "\\boxed{\\text{C}}",
            "$\\boxed{\\textbf{(C)}}$",
            "(C)",
            "I think it is this one:\n**C**",
            "Answer: c",
            "Answer: (c)",
            "Answer: C) Paris",
            "Answer: C, because it is the capital",
            "Answer: Paris.",
            "the capital\nParis",
            "Answer: I think C",
        ] {
            check(reply, Choice::Letter('C'));
        }
        check("Answer: A", Choice::Letter('A'));
        check("Answer: A large cat", Choice::Letter('D'));
        check("Answer: (A)", Choice::Letter('A'));
    }

    #[test]
    fn two_letters_are_no_choice() {
        for reply in [
            "Answer: B or C",
            "Answer: B/C",
            "Answer: C) Rome",
            "\\boxed{B} or \\boxed{C}",
            "Answer: A, C",
            "Answer: C, not B",
        ] {
            check(reply, Choice::Ambiguous);
        }
    }

    #[test]
    fn what_is_no_option_is_not_chosen() {
        for reply in ["", "Answer: F", "Answer: London", "A thing of beauty", "Answer: 3"] {
            check(reply, Choice::None);
        }
        assert_eq!(chosen("J", &[]), Choice::Letter('J'));
        assert_eq!(chosen("K", &[]), Choice::None);
    }
}
