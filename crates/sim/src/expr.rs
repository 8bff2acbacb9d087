//! Expressions of whole numbers: read, written, worked out, got wrong.

use crate::draw::Draws;
use std::fmt;

/// Longest expression read, in bytes.
const EXPR_BYTES_MAX: usize = 2_048;
/// Deepest nesting read: the reader calls itself.
const EXPR_DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
}

impl Op {
    pub(crate) const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    pub(crate) fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Sub => '-',
            Self::Mul => '*',
            Self::Div => '/',
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Add | Self::Sub => 1,
            Self::Mul | Self::Div => 2,
        }
    }

    /// The result on whole numbers; division only where it leaves nothing over.
    pub(crate) fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => (b != 0 && a.checked_rem(b)? == 0).then(|| a / b),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    Number(i64),
    Binary(Op, Box<Expr>, Box<Expr>),
}

impl Expr {
    pub(crate) fn binary(op: Op, left: Self, right: Self) -> Self {
        Self::Binary(op, Box::new(left), Box::new(right))
    }

    /// Its value, unless it is too large or divides with something left over.
    pub(crate) fn value(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Binary(op, left, right) => op.apply(left.value()?, right.value()?),
        }
    }

    /// Its numbers, from left to right.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        match self {
            Self::Number(number) => vec![*number],
            Self::Binary(_, left, right) => {
                let mut numbers = left.numbers();
                numbers.extend(right.numbers());
                numbers
            }
        }
    }

    /// How many operations it has.
    pub(crate) fn operations(&self) -> usize {
        self.numbers().len() - 1
    }

    /// One line for each operation, innermost first: `12 + 7 = 19`.
    pub(crate) fn working(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.work(&mut lines);
        lines
    }

    fn work(&self, lines: &mut Vec<String>) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Binary(op, left, right) => {
                let (a, b) = (left.work(lines)?, right.work(lines)?);
                let value = op.apply(a, b)?;
                lines.push(equation(*op, a, b, value));
                Some(value)
            }
        }
    }

    /// The same expression with one plausible slip: a wrong operation, a term left out,
    /// or a number that is off by one.
    pub(crate) fn slipped(&self, draws: &mut Draws) -> Self {
        let place = draws.below(self.operations().max(1));
        let mut wrong = self.clone();
        wrong.slip(&mut place.clone(), draws);
        wrong
    }

    fn slip(&mut self, place: &mut usize, draws: &mut Draws) -> bool {
        let Self::Binary(op, left, right) = self else { return false };
        if *place > 0 {
            *place -= 1;
            return left.slip(place, draws) || right.slip(place, draws);
        }
        match draws.below(3) {
            0 => {
                *op = match *op {
                    Op::Add => Op::Sub,
                    Op::Sub | Op::Mul => Op::Add,
                    Op::Div => Op::Mul,
                }
            }
            1 => *self = std::mem::replace(left, Self::Number(0)),
            _ => {
                let by = if draws.chance(0.5) { 1 } else { -1 };
                let old = std::mem::replace(&mut **right, Self::Number(0));
                **right = match old {
                    Self::Number(number) => Self::Number(number + by),
                    other => Self::binary(Op::Add, other, Self::Number(by)),
                };
            }
        }
        true
    }

    /// Reads a whole text as an expression.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > EXPR_BYTES_MAX {
            return None;
        }
        let plain = text.replace(['×', '·'], "*").replace('÷', "/").replace('−', "-");
        let chars: Vec<char> = plain.chars().filter(|c| !c.is_whitespace()).collect();
        let mut reader = Reader { chars: &chars, at: 0, depth: 0 };
        let expr = reader.sum()?;
        (reader.at == chars.len()).then_some(expr)
    }
}

/// `a + b = c`, as it stands in workings and plans.
pub(crate) fn equation(op: Op, a: i64, b: i64, value: i64) -> String {
    format!("{a} {} {b} = {value}", op.sign())
}

/// Reads `a + b = c`, whether it is true or not, anywhere in a line.
pub(crate) fn read_equation(line: &str) -> Option<(Op, i64, i64, i64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(5).find_map(|five| {
        let [a, sign, b, "=", value] = five else { return None };
        let op = Op::ALL.into_iter().find(|op| sign.chars().eq([op.sign()]))?;
        let number = |text: &str| text.trim_end_matches(['.', ',', ';']).parse().ok();
        Some((op, number(a)?, number(b)?, number(value)?))
    })
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn sum(&mut self) -> Option<Expr> {
        let mut left = self.product()?;
        loop {
            let op = if self.eat('+') {
                Op::Add
            } else if self.eat('-') {
                Op::Sub
            } else {
                return Some(left);
            };
            left = Expr::binary(op, left, self.product()?);
        }
    }

    fn product(&mut self) -> Option<Expr> {
        let mut left = self.factor()?;
        loop {
            let op = if self.eat('*') {
                Op::Mul
            } else if self.eat('/') {
                Op::Div
            } else {
                return Some(left);
            };
            left = Expr::binary(op, left, self.factor()?);
        }
    }

    fn factor(&mut self) -> Option<Expr> {
        self.depth += 1;
        if self.depth > EXPR_DEPTH_MAX {
            return None;
        }
        let found = if self.eat('(') {
            let inner = self.sum()?;
            self.eat(')').then_some(inner)
        } else if self.eat('-') {
            Some(match self.factor()? {
                Expr::Number(number) => Expr::Number(number.checked_neg()?),
                other => Expr::binary(Op::Sub, Expr::Number(0), other),
            })
        } else {
            self.number()
        };
        self.depth -= 1;
        found
    }

    fn number(&mut self) -> Option<Expr> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        digits.parse().ok().map(Expr::Number)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Binary(op, left, right) => {
                write_side(f, left, |inner| inner.rank() < op.rank())?;
                write!(f, " {} ", op.sign())?;
                write_side(f, right, |inner| inner.rank() <= op.rank())
            }
        }
    }
}

fn write_side(
    f: &mut fmt::Formatter<'_>,
    side: &Expr,
    needs_brackets: impl Fn(Op) -> bool,
) -> fmt::Result {
    let bracket = match side {
        Expr::Number(number) => *number < 0,
        Expr::Binary(inner, ..) => needs_brackets(*inner),
    };
    if bracket { write!(f, "({side})") } else { write!(f, "{side}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match Expr::read(text) {
            Some(expr) => format!("{expr} = {:?}", expr.value()),
            None => "unreadable".into(),
        }
    }

    #[test]
    fn expressions_are_read_as_written() {
        assert_eq!(check("1 + 2*3"), "1 + 2 * 3 = Some(7)");
        assert_eq!(check("(1+2)*3"), "(1 + 2) * 3 = Some(9)");
        assert_eq!(check("10-(4-3)"), "10 - (4 - 3) = Some(9)");
        assert_eq!(check("10 - 4 - 3"), "10 - 4 - 3 = Some(3)");
        assert_eq!(check("7 × (−3)"), "7 * (-3) = Some(-21)");
        assert_eq!(check("7/2"), "7 / 2 = None");
        assert_eq!(check("8/0"), "8 / 0 = None");
        for bad in ["", "1 +", "(1", "1)", "x", "1 2 +", &"(".repeat(100), &"1+".repeat(2000)] {
            assert_eq!(check(bad), "unreadable", "{bad}");
        }
    }

    #[test]
    fn equations_are_read_wherever_they_stand() {
        assert_eq!(read_equation("2. First 50 - 3 = 47, then"), Some((Op::Sub, 50, 3, 47)));
        assert_eq!(read_equation("no 1 + 1 here"), None);
    }
}
