//! What a mathematical answer says, as a small tree.

use num_rational::BigRational;

/// A number or an expression of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// Whole number.
    Number(BigRational),
    /// Written with a point: what is rounded may be meant. Digits behind the point, and
    /// digits that count.
    Decimal {
        value: BigRational,
        places: u32,
        significant: u32,
    },
    /// π, e, the imaginary unit, ∞.
    Constant(Constant),
    Variable(String),
    Negative(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    /// The root of a degree; two for the square root.
    Root(Box<Expr>, Box<Expr>),
    Function(Function, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Factorial,
    Exp,
    Ln,
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arctan,
    Percent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    /// The same with its sides exchanged.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
        }
    }
}

/// An answer: what it is, before anybody asks what it is equal to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Scalar(Expr),
    /// In brackets of one form, in order. Of two items it may be an interval as well.
    Tuple(Bracket, Vec<Answer>),
    /// Between two ends, which belong to it where the bracket is square.
    Interval {
        open: Bracket,
        low: Expr,
        high: Expr,
        close: Bracket,
    },
    /// In braces; `a ± b` too.
    Set(Vec<Answer>),
    /// With nothing around: `1, 2`, `1 or 2`.
    List(Vec<Answer>),
    /// Of sets and intervals.
    Union(Vec<Answer>),
    /// `x + y = 5`, `x > 3`.
    Related(Relation, Expr, Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bracket {
    Round,
    Square,
}

impl Expr {
    pub(crate) fn whole(value: i64) -> Self {
        Self::Number(BigRational::from_integer(value.into()))
    }

    pub(crate) fn binary(op: Op, left: Self, right: Self) -> Self {
        Self::Binary(op, Box::new(left), Box::new(right))
    }

    /// The parts, for walking through it.
    pub(crate) fn parts(&self) -> [Option<&Self>; 2] {
        match self {
            Self::Number(_) | Self::Decimal { .. } | Self::Constant(_) | Self::Variable(_) => {
                [None, None]
            }
            Self::Negative(inner) | Self::Function(_, inner) => [Some(inner), None],
            Self::Binary(_, left, right) | Self::Root(left, right) => [Some(left), Some(right)],
        }
    }

    /// Adds its variables to `names`, each once.
    pub(crate) fn variables<'a>(&'a self, names: &mut Vec<&'a str>) {
        if let Self::Variable(name) = self
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
        self.parts().into_iter().flatten().for_each(|part| part.variables(names));
    }

    /// Whether the constant is somewhere in it.
    pub(crate) fn has(&self, constant: Constant) -> bool {
        *self == Self::Constant(constant)
            || self.parts().into_iter().flatten().any(|part| part.has(constant))
    }

    /// The sign and the infinity, if that is all it is.
    pub(crate) fn infinity(&self) -> Option<bool> {
        match self {
            Self::Constant(Constant::Infinity) => Some(true),
            Self::Negative(inner) => inner.infinity().map(|positive| !positive),
            _ => None,
        }
    }
}
