//! Equations and inequalities, and what they say of an unknown.

use super::Parsed;
use crate::math::{
    Unreadable,
    ast::{Answer, Bracket, Constant, Expr, Op, Relation},
    lexer::Token,
};

impl Answer {
    /// What an unknown is equal to, where that is all it says: `x = 5` is 5.
    pub(crate) fn of_unknown(self) -> Self {
        match self {
            Self::Related(Relation::Equal, left, right) => match (left.is_name(), &right) {
                (Some(name), right) if !names(right).contains(&name) => Self::Scalar(right.clone()),
                _ if names(&left).is_empty() && right.is_name().is_some() => Self::Scalar(left),
                _ if names(&left).is_empty() => Self::Scalar(right),
                _ => Self::Related(Relation::Equal, left, right),
            },
            other => other,
        }
    }
}

impl Expr {
    /// The name, if it is only that: `x`, `f(x)`.
    pub(crate) fn is_name(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Binary(Op::Multiply, of, argument) => match (&**of, &**argument) {
                (Self::Variable(name), Self::Variable(_)) if "fghFGH".contains(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

fn names(expr: &Expr) -> Vec<&str> {
    let mut names = Vec::new();
    expr.variables(&mut names);
    names
}

pub(super) fn relation(token: &Token) -> Option<Relation> {
    let Token::Sign(sign) = token else { return None };
    Some(match sign {
        '=' => Relation::Equal,
        '≠' => Relation::NotEqual,
        '<' => Relation::Less,
        '≤' => Relation::LessEqual,
        '>' => Relation::Greater,
        '≥' => Relation::GreaterEqual,
        _ => return None,
    })
}

/// `1 < x ≤ 2` and `x > 3` are intervals; other inequalities stay what they are.
pub(super) fn interval(sides: Vec<Expr>, relations: &[Relation]) -> Parsed<Answer> {
    use Relation::{Greater, GreaterEqual, Less, LessEqual};
    let rising = |relation: Relation| matches!(relation, Less | LessEqual);
    let falling = |relation: Relation| matches!(relation, Greater | GreaterEqual);
    let end = |relation: Relation| {
        if matches!(relation, LessEqual | GreaterEqual) { Bracket::Square } else { Bracket::Round }
    };
    let infinity = || Expr::Constant(Constant::Infinity);
    match (<[Expr; 2]>::try_from(sides), relations) {
        (Ok([left, right]), &[relation]) => {
            let (name, other, relation) = match (left.is_name(), right.is_name()) {
                (Some(_), None) => (left, right, relation),
                (None, Some(_)) => (right, left, relation.flipped()),
                _ => return Ok(Answer::Related(relation, left, right)),
            };
            if !names(&other).is_empty() || relation == Relation::NotEqual {
                return Ok(Answer::Related(relation, name, other));
            }
            let (open, close) = (Bracket::Round, end(relation));
            Ok(if rising(relation) {
                let low = Expr::Negative(Box::new(infinity()));
                Answer::Interval { open, low, high: other, close }
            } else {
                Answer::Interval { open: close, low: other, high: infinity(), close: open }
            })
        }
        (Err(sides), &[first, second]) => {
            let [low, middle, high] = <[Expr; 3]>::try_from(sides).map_err(|_| Unreadable::Ends)?;
            let unknown = middle.is_name().is_some();
            let (open, close) = (end(first), end(second));
            if unknown && rising(first) && rising(second) {
                Ok(Answer::Interval { open, low, high, close })
            } else if unknown && falling(first) && falling(second) {
                Ok(Answer::Interval { open: close, low: high, high: low, close: open })
            } else {
                Err(Unreadable::Ambiguous("a chain of relations"))
            }
        }
        _ => Err(Unreadable::Ambiguous("a chain of relations")),
    }
}
