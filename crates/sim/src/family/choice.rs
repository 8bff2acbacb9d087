//! Multiple choice over a table of facts.

use super::{
    Attempt, Puzzle, after_last,
    facts::{TOPICS, Topic},
};
use crate::{Check, draw::Draws, tasks::Difficulty};

/// Options of a generated question.
const OPTIONS: usize = 4;
/// Most options read.
const OPTIONS_MAX: usize = 26;
/// What stands before the question.
const ANCHOR: &str = "Which answer to this question is right? ";

pub(crate) struct Choice {
    topic: Topic,
    /// Place of the fact in its topic.
    fact: usize,
    /// What can be chosen, as A, B and so on.
    options: Vec<String>,
    /// Place of the right one.
    right: usize,
}

/// The letter of a place.
pub(crate) fn letter(place: usize) -> char {
    char::from(b'A' + u8::try_from(place).unwrap_or_default().min(25))
}

/// The option that an answer chooses: by its letter or by its words.
pub(crate) fn chosen(said: &str, options: &[String]) -> Option<char> {
    let bare = said.trim().trim_matches(['*', '`', '"', '(', ')', '[', ']', '.', ':', ' ']);
    let words = options.iter().position(|option| option.eq_ignore_ascii_case(bare));
    // A letter stands alone or before a mark: `B`, `(B)`, `B) Canberra`, `B: Canberra`.
    let mut chars = bare.chars();
    let first = chars.next()?.to_ascii_uppercase();
    let alone = chars.next().is_none_or(|next| matches!(next, ')' | ':' | '.' | ']' | '*' | ' '));
    let by_letter = (0..options.len()).find(|place| alone && letter(*place) == first);
    by_letter.or(words).map(letter)
}

impl Choice {
    fn new(topic: Topic, fact: usize, options: Vec<String>) -> Option<Self> {
        let answer = topic.facts.get(fact)?.1;
        let right = options.iter().position(|option| option == answer)?;
        let fits = (2..=OPTIONS_MAX).contains(&options.len());
        let twice = options.iter().filter(|option| *option == answer).count() > 1;
        (fits && !twice).then_some(Self { topic, fact, options, right })
    }

    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Option<Self> {
        let topic = *draws.pick(&TOPICS);
        let level = |fact: &usize| topic.facts[*fact].2 == difficulty.level();
        let fitting: Vec<usize> = (0..topic.facts.len()).filter(level).collect();
        let fact = *draws.pick(&fitting);
        let mut others: Vec<usize> =
            (0..topic.facts.len()).filter(|other| *other != fact).collect();
        let mut options = vec![topic.facts[fact].1.to_owned()];
        while options.len() < OPTIONS && !others.is_empty() {
            let other = others.swap_remove(draws.below(others.len()));
            options.push(topic.facts[other].1.to_owned());
        }
        // The right one stands first: it changes places with any.
        let place = draws.below(options.len());
        options.swap(0, place);
        Self::new(topic, fact, options)
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let rest = after_last(text, ANCHOR)?;
        let (question, rest) = rest.split_once('\n')?;
        let (topic, fact) = TOPICS.into_iter().find_map(|topic| {
            let subject = question.trim().strip_prefix(topic.before)?.strip_suffix(topic.after)?;
            let fact = topic.facts.iter().position(|fact| fact.0 == subject)?;
            Some((topic, fact))
        })?;
        let mut options = Vec::new();
        for line in rest.lines().take(OPTIONS_MAX) {
            let mark = format!("{}) ", letter(options.len()));
            let Some(option) = line.trim().strip_prefix(&mark) else { break };
            options.push(option.trim().to_owned());
        }
        Self::new(topic, fact, options)
    }

    fn question(&self) -> String {
        let subject = self.topic.facts.get(self.fact).map_or("", |fact| fact.0);
        format!("{}{subject}{}", self.topic.before, self.topic.after)
    }

    fn attempt(&self, place: usize) -> Attempt {
        let working = vec![format!("{} I take {}.", self.question(), self.options[place])];
        Attempt { working, answer: letter(place).to_string() }
    }

    fn wrong_places(&self) -> Vec<usize> {
        (0..self.options.len()).filter(|place| *place != self.right).collect()
    }

    /// Rules these out; one that is left unsaid keeps it from giving the answer away.
    fn ruling_out(&self, places: &[usize]) -> Vec<String> {
        let line = |place: &usize| format!("rule out {}: {}", letter(*place), self.options[*place]);
        places.iter().take(self.options.len().saturating_sub(2).max(1)).map(line).collect()
    }
}

impl Puzzle for Choice {
    fn difficulty(&self) -> Difficulty {
        let level = self.topic.facts.get(self.fact).map_or(1, |fact| fact.2);
        Difficulty::nearest(usize::from(level))
    }

    fn prompt(&self) -> String {
        let option = |(place, option): (usize, &String)| format!("{}) {option}", letter(place));
        let options: Vec<String> = self.options.iter().enumerate().map(option).collect();
        format!(
            "{ANCHOR}{}\n{}\nEnd with a line `Answer: <letter>`.",
            self.question(),
            options.join("\n")
        )
    }

    fn check(&self) -> Check {
        Check::Choice { letter: letter(self.right), options: self.options.clone() }
    }

    fn right(&self) -> Attempt {
        self.attempt(self.right)
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        Some(self.attempt(*draws.pick(&self.wrong_places())))
    }

    fn blunder(&self) -> String {
        letter((self.right + 1) % self.options.len()).to_string()
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        let chosen = chosen(answer, &self.options);
        let place = (0..self.options.len()).find(|place| Some(letter(*place)) == chosen);
        place.map(|place| self.attempt(place).working).unwrap_or_default()
    }

    fn plan(&self) -> Vec<String> {
        self.ruling_out(&self.wrong_places())
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let mut places = self.wrong_places();
        let said = self.options.len().saturating_sub(2).clamp(1, places.len());
        let place = draws.below(said);
        places[place] = self.right;
        self.ruling_out(&places)
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        let ruled_out = |line: &str| {
            let rest = line.split_once("rule out ")?.1;
            rest.chars().next().filter(char::is_ascii_uppercase)
        };
        let claimed: Vec<char> = plan.lines().filter_map(ruled_out).collect();
        (!claimed.is_empty()).then(|| !claimed.contains(&letter(self.right)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_people_write_it() {
        let options: Vec<String> =
            ["Au", "B", "Ag", "Beirut"].into_iter().map(str::to_owned).collect();
        for (said, letter) in [
            ("B", Some('B')),
            ("**(c)**", Some('C')),
            ("A) Au", Some('A')),
            ("D: Beirut", Some('D')),
            ("beirut.", Some('D')),
            ("E", None),
            ("Because", None),
            ("", None),
        ] {
            assert_eq!(chosen(said, &options), letter, "{said}");
        }
    }

    #[test]
    fn letters_are_shuffled() {
        let mut places = [0; OPTIONS];
        for seed in 0..400 {
            let mut draws = Draws::of(&["test", &seed.to_string()]);
            places[Choice::generate(Difficulty::ALL[2], &mut draws).unwrap().right] += 1;
        }
        assert!(places.iter().all(|count| (60..140).contains(count)), "{places:?}");
    }
}
