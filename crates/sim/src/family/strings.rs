//! A word that is turned around, cut and coded step by step.

use super::chain::Link;
use crate::{Check, draw::Draws, tasks::Difficulty};

/// Longest word on the way, in letters.
const LETTERS_MAX: usize = 60;
/// Words to start from.
const WORDS: [&str; 32] = [
    "anchor", "basket", "candle", "desert", "engine", "forest", "garden", "hammer", "island",
    "jungle", "kettle", "ladder", "marble", "needle", "orange", "pepper", "quarry", "ribbon",
    "saddle", "tunnel", "umbrella", "velvet", "window", "yellow", "blanket", "chimney", "diamond",
    "feather", "lantern", "mustard", "pyramid", "thunder",
];
const ALPHABET: u8 = 26;
const VOWELS: &str = "aeiou";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Letters {
    Reverse,
    DropVowels,
    DoubleVowels,
    Sort,
    DropRepeated,
    RotateLeft(usize),
    RotateRight(usize),
    Shift(u8),
    ShiftBack(u8),
    DropFirst(usize),
    Append(char),
    SwapEnds,
}

use Letters::*;

const PLAIN: [Letters; 6] = [Reverse, DropVowels, DoubleVowels, Sort, DropRepeated, SwapEnds];

fn is_vowel(letter: &char) -> bool {
    VOWELS.contains(*letter)
}

fn shifted(word: &str, by: u8) -> String {
    let shift = |letter: char| {
        let place = (letter as u8).wrapping_sub(b'a');
        char::from(b'a' + (place + by % ALPHABET) % ALPHABET)
    };
    word.chars().map(shift).collect()
}

impl Link for Letters {
    type Value = String;
    const STEPS: [usize; 5] = [1, 2, 3, 4, 6];
    const ANCHOR: &'static str = "Take the word `";
    const AFTER: &'static str = "` and do these steps in order:";
    const ASKED: &'static str =
        "What does it read at the end? End with a line `Answer: <letters>`, all small letters.";

    fn draw_value(_: Difficulty, draws: &mut Draws) -> String {
        (*draws.pick(&WORDS)).to_owned()
    }

    fn draw(draws: &mut Draws) -> Self {
        match draws.below(12) {
            plain @ 0..=5 => PLAIN[plain],
            6 => RotateLeft(draws.between(1, 4) as usize),
            7 => RotateRight(draws.between(1, 4) as usize),
            8 => Shift(draws.between(1, 9) as u8),
            9 => ShiftBack(draws.between(1, 9) as u8),
            10 => DropFirst(draws.between(1, 2) as usize),
            _ => Append(char::from(b'a' + draws.below(usize::from(ALPHABET)) as u8)),
        }
    }

    fn phrase(self) -> String {
        match self {
            Reverse => "write it backwards".into(),
            DropVowels => "leave out every a, e, i, o and u".into(),
            DoubleVowels => "write every a, e, i, o and u twice".into(),
            Sort => "put its letters in alphabetical order".into(),
            DropRepeated => "of every letter keep only the first one".into(),
            SwapEnds => "let its first and its last letter change places".into(),
            RotateLeft(by) => format!("move its first {by} letters to the end"),
            RotateRight(by) => format!("move its last {by} letters to the front"),
            Shift(by) => format!(
                "replace every letter by the one {by} places later in the alphabet, with a after z"
            ),
            ShiftBack(by) => format!(
                "replace every letter by the one {by} places earlier in the alphabet, with z before a"
            ),
            DropFirst(count) => format!("leave out its first {count} letters"),
            Append(letter) => format!("add the letter {letter} at the end"),
        }
    }

    fn read(phrase: &str) -> Option<Self> {
        let words: Vec<&str> = phrase.split_whitespace().collect();
        let numbers = words.iter().filter_map(|word| word.parse::<u8>().ok());
        let number = numbers.into_iter().next().unwrap_or_default();
        let letter = phrase
            .strip_prefix("add the letter ")
            .and_then(|rest| rest.chars().next())
            .filter(char::is_ascii_lowercase);
        let (count, by) = (usize::from(number), number);
        let numbered =
            [RotateLeft(count), RotateRight(count), Shift(by), ShiftBack(by), DropFirst(count)];
        // Whatever it seems to be, it must say so in these words.
        let all = PLAIN.into_iter().chain(numbered).chain(letter.map(Append));
        all.into_iter().find(|kind| kind.phrase() == phrase)
    }

    fn apply(self, value: &String) -> Option<String> {
        let letters: Vec<char> = value.chars().collect();
        if letters.len() < 2 {
            return None;
        }
        let count = |by: usize| (by < letters.len()).then_some(by);
        let after: String = match self {
            Reverse => letters.into_iter().rev().collect(),
            DropVowels => letters.into_iter().filter(|letter| !is_vowel(letter)).collect(),
            DoubleVowels => {
                let times = |letter: &char| if is_vowel(letter) { 2 } else { 1 };
                letters
                    .iter()
                    .flat_map(|letter| std::iter::repeat_n(*letter, times(letter)))
                    .collect()
            }
            Sort => {
                let mut sorted = letters;
                sorted.sort_unstable();
                sorted.into_iter().collect()
            }
            DropRepeated => {
                let first = |at: &usize| !letters[..*at].contains(&letters[*at]);
                (0..letters.len()).filter(first).map(|at| letters[at]).collect()
            }
            SwapEnds => {
                let mut swapped = letters;
                let last = swapped.len() - 1;
                swapped.swap(0, last);
                swapped.into_iter().collect()
            }
            RotateLeft(by) => {
                let by = count(by)?;
                letters[by..].iter().chain(&letters[..by]).collect()
            }
            RotateRight(by) => {
                let by = letters.len() - count(by)?;
                letters[by..].iter().chain(&letters[..by]).collect()
            }
            Shift(by) => shifted(value, by),
            ShiftBack(by) => shifted(value, ALPHABET - by % ALPHABET),
            DropFirst(by) => letters[count(by)?..].iter().collect(),
            Append(letter) => format!("{value}{letter}"),
        };
        (2..=LETTERS_MAX).contains(&after.len()).then_some(after)
    }

    fn slipped(self, draws: &mut Draws) -> Option<Self> {
        let more = draws.chance(0.5);
        Some(match self {
            Reverse => SwapEnds,
            DropVowels => DropRepeated,
            DoubleVowels => DropVowels,
            Sort => Reverse,
            DropRepeated => Sort,
            SwapEnds => Reverse,
            RotateLeft(by) if more => RotateRight(by),
            RotateLeft(by) => RotateLeft(by + 1),
            RotateRight(by) if more => RotateLeft(by),
            RotateRight(by) => RotateRight(by + 1),
            Shift(by) if more => ShiftBack(by),
            Shift(by) => Shift(by + 1),
            ShiftBack(by) if more => Shift(by),
            ShiftBack(by) => ShiftBack(by + 1),
            DropFirst(count) => DropFirst(count + 1),
            Append(letter) => Append(if letter == 'e' { 'a' } else { 'e' }),
        })
    }

    fn show(value: &String) -> String {
        value.clone()
    }

    fn read_value(text: &str) -> Option<String> {
        let word = !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_lowercase());
        (word && text.len() <= LETTERS_MAX).then(|| text.to_owned())
    }

    fn spoilt(value: &String) -> String {
        match value.strip_suffix('s') {
            Some(rest) if rest.len() > 1 => rest.to_owned(),
            Some(_) | None => format!("{value}s"),
        }
    }

    fn check(value: String) -> Check {
        Check::Text { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_where_the_words_say() {
        for (step, from, to) in [
            (Reverse, "candle", Some("eldnac")),
            (DropVowels, "candle", Some("cndl")),
            (DoubleVowels, "candle", Some("caandlee")),
            (Sort, "candle", Some("acdeln")),
            (DropRepeated, "pepper", Some("per")),
            (SwapEnds, "candle", Some("eandlc")),
            (RotateLeft(2), "candle", Some("ndleca")),
            (RotateRight(2), "candle", Some("lecand")),
            (Shift(3), "xyz", Some("abc")),
            (ShiftBack(3), "abc", Some("xyz")),
            (DropFirst(1), "candle", Some("andle")),
            (DropFirst(6), "candle", None),
            (Append('q'), "candle", Some("candleq")),
            (DropVowels, "ear", None),
        ] {
            assert_eq!(step.apply(&from.to_owned()).as_deref(), to, "{step:?} {from}");
            assert_eq!(Letters::read(&step.phrase()), Some(step));
        }
    }
}
