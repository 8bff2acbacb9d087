//! A place in the reply that counts how often it moves.

/// Moves granted per byte of the reply. Nested lists are entered at most
/// `NESTING_MAX` times over, in each of a few ways to pair the quotes, so honest
/// replies need fewer than 4; the rest is for tangled prose.
const MOVES_PER_BYTE: u64 = 32;
/// Moves granted on top, so that short replies need no thought.
const MOVES_FREE: u64 = 1024;

/// Reads forward, may be set back, and stops for good when its moves are used up:
/// that is what makes reading linear whatever the reply holds.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    moves: u64,
    moves_max: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let moves_max = MOVES_FREE.saturating_add(MOVES_PER_BYTE.saturating_mul(text.len() as u64));
        Self { text, at: 0, moves: 0, moves_max }
    }

    /// Byte position.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes back, or forward, to a position that [`at`](Self::at) gave.
    pub(super) fn set(&mut self, at: usize) {
        self.at = at;
    }

    /// Moves made so far.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Whether it stopped before the end because its moves were used up.
    pub(super) fn is_spent(&self) -> bool {
        self.moves >= self.moves_max
    }

    /// What lies ahead; nothing once the moves are used up.
    pub(super) fn rest(&self) -> &'a str {
        if self.is_spent() { "" } else { self.text.get(self.at..).unwrap_or("") }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        self.moves += 1;
        Some(next)
    }

    /// The character just behind.
    pub(super) fn previous(&self) -> Option<char> {
        self.text.get(..self.at)?.chars().next_back()
    }

    /// Moves over `expected` if it comes next.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let comes = self.rest().starts_with(expected);
        self.moves += 1;
        if comes {
            self.at += expected.len();
        }
        comes
    }

    /// Moves over as many characters as `wanted` says yes to.
    pub(super) fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    /// Moves behind the next `needle`; stays where it is if there is none.
    pub(super) fn skip_past(&mut self, needle: &str) -> bool {
        let rest = self.rest();
        let found = rest.find(needle);
        self.moves += found.unwrap_or(rest.len()) as u64 + 1;
        if let Some(distance) = found {
            self.at += distance + needle.len();
        }
        found.is_some()
    }

    /// The text between an earlier position and this one.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or("")
    }
}
