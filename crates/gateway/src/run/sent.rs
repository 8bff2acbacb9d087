//! The text that a client was sent: it can grow, and nothing of it can be taken back.

/// What was sent of an answer so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent(String);

/// What to do with a piece of a model's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Send this.
    New(String),
    /// Nothing: it was sent before, or something before it is missing.
    Nothing,
    /// It contradicts what was sent.
    Contradiction,
}

impl Sent {
    /// Takes a piece that begins `offset` bytes into a call's text. A call that was made
    /// again may repeat what was sent: only other words contradict.
    pub(crate) fn take(&mut self, offset: u64, text: &str) -> Piece {
        let Ok(offset) = usize::try_from(offset) else { return Piece::Nothing };
        let Some(sent) = self.0.as_bytes().get(offset..) else { return Piece::Nothing };
        let common = sent.len().min(text.len());
        if sent[..common] != text.as_bytes()[..common] {
            return Piece::Contradiction;
        }
        match text.get(common..) {
            Some("") => Piece::Nothing,
            Some(new) => {
                self.0.push_str(new);
                Piece::New(new.to_owned())
            }
            // What was sent ends where a character ends, so the same bytes do here.
            None => Piece::Contradiction,
        }
    }

    /// What is missing of the answer; none if the answer begins with other words.
    pub(crate) fn rest<'a>(&self, answer: &'a str) -> Option<&'a str> {
        answer.strip_prefix(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Piece {
        Piece::New(text.into())
    }

    #[test]
    fn text_grows_and_repetition_is_silent() {
        let mut sent = Sent::default();
        assert_eq!(sent.take(0, "Grü"), new("Grü"));
        assert_eq!(sent.take(0, "G"), Piece::Nothing);
        assert_eq!(sent.take(0, "Grüße"), new("ße"));
        assert_eq!(sent.take(7, "!"), new("!"));
        assert_eq!(sent.rest("Grüße! Bye"), Some(" Bye"));
        assert_eq!(sent.rest("Grüße!"), Some(""));
    }

    #[test]
    fn other_words_contradict() {
        let mut sent = Sent::default();
        sent.take(0, "four");
        assert_eq!(sent.take(0, "five"), Piece::Contradiction);
        assert_eq!(sent.take(3, "x"), Piece::Contradiction);
        assert_eq!(sent.rest("fou"), None);
    }

    #[test]
    fn a_gap_waits_for_the_whole_answer() {
        let mut sent = Sent::default();
        assert_eq!(sent.take(3, "r"), Piece::Nothing);
        assert_eq!(sent.rest("four"), Some("four"));
    }
}
