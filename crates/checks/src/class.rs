//! Classes of answers that say the same: for votes, and to see the same answer come again.

use crate::{
    final_answer::{final_answer, normal},
    math,
};
use std::fmt;

/// Hexadecimal digits of a class's key: 128 bits, so that no two classes share one.
const KEY_CHARS: usize = 32;

/// What an answer says, whatever form it says it in. Two answers of one class are the same
/// answer; of two classes they may still be, where no normal form is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(String);

impl Class {
    /// The class of a reply's final answer: by value where it is mathematics, else by its
    /// words.
    pub fn of(reply: &str) -> Self {
        let answer = final_answer(reply).text;
        let mathematics = answer.len() <= math::BYTES_MAX && math::has_signs(&answer);
        match mathematics.then(|| math::key(&answer)).flatten() {
            Some(key) => Self(format!("={key}")),
            None => Self(normal(&answer)),
        }
    }

    /// The class of exactly this text.
    pub fn verbatim(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// A short key that two answers share exactly where they are of one class.
    pub fn key(&self) -> String {
        let hash = blake3::hash(self.0.as_bytes()).to_hex();
        hash.chars().take(KEY_CHARS).collect()
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(a: &str, b: &str, same: bool) {
        let (a, b) = (Class::of(a), Class::of(b));
        assert_eq!((a == b, a.key() == b.key()), (same, same), "{a} {b}");
    }

    #[test]
    fn the_same_in_another_form_is_one_class() {
        for (a, b) in [
            ("Answer: 5", "so\nAnswer: 5.0"),
            ("Answer: 1/2", "\\boxed{\\frac{1}{2}}"),
            ("Answer: 0.5", "Answer: 50\\%"),
            ("Answer: 1,000", "1000"),
            ("Answer: x = 5", "the answer is $5$."),
            ("Answer: 2\\sqrt{3}", "Answer: \\sqrt{12}"),
            ("Answer: (x+1)^2", "Answer: x^2+2x+1"),
            ("Answer: \\{1,2\\}", "Answer: {2, 1}"),
            ("Paris", "answer: paris."),
            ("Answer: **C**", "The final answer is C"),
        ] {
            check(a, b, true);
        }
    }

    #[test]
    fn what_differs_is_of_two_classes() {
        for (a, b) in [
            ("3 apples", "3 pears"),
            ("Answer: 5 cm", "Answer: 5 m"),
            ("no", "on"),
            ("Answer: 10%", "Answer: 10"),
            ("Answer: 0.333333", "Answer: 1/3"),
            ("Answer: (1,2)", "Answer: (2,1)"),
            ("Answer: x", "Answer: y"),
        ] {
            check(a, b, false);
        }
    }

    proptest! {
        #[test]
        fn every_text_has_one(text in ".{0,200}") {
            prop_assert_eq!(Class::of(&text), Class::of(&text));
        }
    }
}
