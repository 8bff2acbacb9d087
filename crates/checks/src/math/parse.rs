//! From tokens to an answer: a Pratt parser.

mod arithmetic;
mod relation;

use super::{
    Unreadable,
    ast::{Answer, Bracket, Relation},
    lexer::{Token, tokens},
};
use relation::{interval, relation};

/// How deep an answer may be nested. A parser's stack is not without end.
const DEPTH_MAX: usize = 40;
/// Items of a tuple, a set or a list.
const ITEMS_MAX: usize = 64;

/// An answer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) answer: Answer,
    /// The units that stood in it, in order; they do not change the answer.
    pub(crate) units: Vec<String>,
}

/// Reads an answer in LaTeX or plain notation.
pub(crate) fn parse(text: &str) -> Result<Reading, Unreadable> {
    let (tokens, units) = tokens(text)?;
    let once = |plus| {
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, bars: 0, plus };
        let answer = parser.list(&[])?;
        parser.end()?;
        Ok(answer)
    };
    let first = once(true)?;
    if !tokens.iter().any(|token| matches!(token, Token::Sign('±' | '∓'))) {
        return Ok(Reading { answer: first, units });
    }
    // All of `±` go one way together, and then the other way.
    let answer = Answer::Set(vec![first.of_unknown(), once(false)?.of_unknown()]);
    Ok(Reading { answer, units })
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// How many `|` are open.
    bars: usize,
    /// Which way `±` goes.
    plus: bool,
}

type Parsed<T> = Result<T, Unreadable>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, sign: char) -> bool {
        let there = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, signs: &[char]) -> Parsed<char> {
        match self.peek() {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                let sign = *sign;
                self.at += 1;
                Ok(sign)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn end(&self) -> Parsed<()> {
        if self.at == self.tokens.len() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Unreadable {
        match self.peek() {
            None => Unreadable::Ends,
            Some(Token::Sign(c)) => Unreadable::Character(*c),
            Some(Token::Letter(name)) => Unreadable::Word(name.clone()),
            Some(Token::Name(name)) => Unreadable::Word((*name).into()),
            Some(Token::Number(..)) => Unreadable::Ambiguous("two numbers side by side"),
            Some(Token::Space) => Unreadable::Character(' '),
        }
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        self.depth += 1;
        let parsed = inside(self);
        self.depth -= 1;
        parsed
    }

    /// Items until one of `closers`, or the end.
    fn list(&mut self, closers: &[char]) -> Parsed<Answer> {
        let mut items = vec![self.item()?];
        while !self.at_end_of(closers) {
            match self.peek() {
                Some(Token::Sign(',' | ';')) => {
                    self.at += 1;
                    // `1, 2, and 3`
                    self.at += usize::from(self.peek() == Some(&Token::Name("or")));
                }
                Some(Token::Name("or")) => self.at += 1,
                _ => return Err(self.unexpected()),
            }
            items.push(self.item()?);
            if items.len() > ITEMS_MAX {
                return Err(Unreadable::TooLong);
            }
        }
        if items.len() == 1 {
            return items.pop().ok_or(Unreadable::Ends);
        }
        let interval = |item: &Answer| matches!(item, Answer::Interval { .. });
        Ok(if items.iter().all(interval) {
            Answer::Union(items)
        } else {
            Answer::List(items.into_iter().map(Answer::of_unknown).collect())
        })
    }

    fn at_end_of(&self, closers: &[char]) -> bool {
        match self.peek() {
            None => true,
            Some(Token::Sign(sign)) => closers.contains(sign),
            Some(_) => false,
        }
    }

    fn item(&mut self) -> Parsed<Answer> {
        if let [Token::Letter(_), Token::Sign('∈'), ..] = &self.tokens[self.at..] {
            self.at += 2;
        }
        let first = self.deeper(Self::set_or_relation)?;
        if self.peek() != Some(&Token::Sign('∪')) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat('∪') {
            parts.push(self.deeper(Self::set_or_relation)?);
        }
        // Between sets, a pair is an interval.
        parts.into_iter().map(Answer::into_part).collect::<Parsed<_>>().map(Answer::Union)
    }

    fn set_or_relation(&mut self) -> Parsed<Answer> {
        if self.eat('∅') {
            return Ok(Answer::Set(Vec::new()));
        }
        match self.peek() {
            Some(Token::Sign('⦃')) => self.set('⦄'),
            Some(Token::Sign('{')) if self.has_items() => self.set('}'),
            Some(Token::Sign('(' | '[')) if self.has_items() => self.tuple(),
            _ => self.relation(),
        }
    }

    /// Whether a comma stands directly within the brackets that begin here.
    fn has_items(&self) -> bool {
        let mut depth = 0_usize;
        for token in &self.tokens[self.at..] {
            match token {
                Token::Sign('(' | '[' | '{' | '⦃') => depth += 1,
                Token::Sign(')' | ']' | '}' | '⦄') if depth <= 1 => return false,
                Token::Sign(')' | ']' | '}' | '⦄') => depth -= 1,
                Token::Sign(',' | ';') if depth == 1 => return true,
                _ => {}
            }
        }
        false
    }

    fn set(&mut self, closer: char) -> Parsed<Answer> {
        self.at += 1;
        if self.eat(closer) {
            return Ok(Answer::Set(Vec::new()));
        }
        let inside = self.list(&[closer])?;
        self.expect(&[closer])?;
        Ok(Answer::Set(match inside {
            Answer::List(items) | Answer::Union(items) => items,
            one => vec![one.of_unknown()],
        }))
    }

    fn tuple(&mut self) -> Parsed<Answer> {
        let bracket = |c| if matches!(c, '(' | ')') { Bracket::Round } else { Bracket::Square };
        let open = bracket(self.expect(&['(', '['])?);
        let inside = self.list(&[')', ']'])?;
        let close = bracket(self.expect(&[')', ']'])?);
        let items = match inside {
            Answer::List(items) | Answer::Union(items) => items,
            one => vec![one],
        };
        let infinite = |item: &Answer| matches!(item, Answer::Scalar(e) if e.infinity().is_some());
        let interval = open != close || items.iter().any(infinite);
        match <[Answer; 2]>::try_from(items) {
            Ok([Answer::Scalar(low), Answer::Scalar(high)]) if interval => {
                Ok(Answer::Interval { open, low, high, close })
            }
            Ok(_) | Err(_) if open != close => Err(Unreadable::Ambiguous("unlike brackets")),
            Ok(pair) => Ok(Answer::Tuple(open, pair.into())),
            Err(items) => Ok(Answer::Tuple(open, items)),
        }
    }

    fn relation(&mut self) -> Parsed<Answer> {
        let mut sides = vec![self.sum()?];
        let mut relations = Vec::new();
        while let Some(relation) = self.peek().and_then(relation) {
            self.at += 1;
            relations.push(relation);
            sides.push(self.sum()?);
        }
        let [_, ..] = relations.as_slice() else {
            return sides.pop().map(Answer::Scalar).ok_or(Unreadable::Ends);
        };
        if relations.iter().all(|relation| *relation == Relation::Equal) {
            let last = sides.pop().ok_or(Unreadable::Ends)?;
            return Ok(Answer::Related(Relation::Equal, sides.swap_remove(0), last));
        }
        interval(sides, &relations)
    }
}

impl Answer {
    fn into_part(self) -> Parsed<Self> {
        match self {
            Self::Tuple(bracket, items) => match <[Self; 2]>::try_from(items) {
                Ok([Self::Scalar(low), Self::Scalar(high)]) => {
                    Ok(Self::Interval { open: bracket, low, high, close: bracket })
                }
                _ => Err(Unreadable::Ambiguous("a union of tuples")),
            },
            Self::Interval { .. } | Self::Set(_) => Ok(self),
            _ => Err(Unreadable::Ambiguous("a union of what are no sets")),
        }
    }
}
