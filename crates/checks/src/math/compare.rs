//! Whether two mathematical answers say the same.

use super::{
    Fuel,
    ast::{Answer, Bracket, Constant, Expr, Op, Relation},
    modular::{FIELDS, Field, NoResidue},
    value::{Evaluator, Nearness, NoValue, Value, is_positive},
};
use num_bigint::BigInt;
use num_rational::BigRational;

/// What came of comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sameness {
    Same,
    Different,
    Unclear(Doubt),
}

/// Why it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Words, or signs that have no place in mathematics.
    #[error("it cannot be read as mathematics")]
    Words,
    /// Notation that is not known here, or can be read in two ways.
    #[error("its notation is not known here")]
    Notation,
    /// Not defined, or not real, where it was looked at.
    #[error("its value is not defined at the points that were tried")]
    Undefined,
    /// More work than is done here.
    #[error("it takes more work than is done here")]
    TooMuch,
    /// The same digits as far as they go.
    #[error("it may be a rounded form of the right value")]
    Rounded,
    /// The same items in another order, where the order may matter.
    #[error("the order of its items may matter")]
    Order,
    /// A tuple against an interval, an equation against a value, and the like.
    #[error("it is of another kind, which may mean the same")]
    Kind,
    /// Units that are not the same, and may measure the same.
    #[error("its unit is another one")]
    Unit,
    /// Closer than the precision tells apart.
    #[error("the values are too close to tell apart")]
    Close,
}

impl Doubt {
    /// Whether a computer algebra system may settle it. Not where units or words are in
    /// doubt: such systems leave them out, and take 5 m for 5 cm, and `42 or any other
    /// number` for 42.
    pub fn can_be_settled(self) -> bool {
        match self {
            Self::Words | Self::Unit => false,
            Self::Notation
            | Self::Undefined
            | Self::TooMuch
            | Self::Rounded
            | Self::Order
            | Self::Kind
            | Self::Close => true,
        }
    }
}

/// Points at which expressions of variables are compared.
const POINTS: usize = 5;
/// Points that are tried for those, where some are undefined.
const POINTS_TRIED_MAX: usize = 16;
/// Digits that count from which on a decimal may be a rounded value.
const SIGNIFICANT_MIN: u32 = 3;
/// Digits of a value that is not rational in the key of its class.
const KEY_DIGITS: usize = 60;

/// Compares answers with a limit on the work.
pub(crate) struct Comparer {
    evaluator: Evaluator,
    fuel: Fuel,
}

impl From<NoValue> for Doubt {
    fn from(none: NoValue) -> Self {
        match none {
            NoValue::Undefined => Self::Undefined,
            NoValue::TooMuch => Self::TooMuch,
        }
    }
}

/// A point of the field for a variable, and the place of a try.
fn residue_at(name: &str, place: usize) -> u64 {
    mixed(name, place)
}

/// A rational number of either sign, not large.
fn rational_at(name: &str, place: usize) -> BigRational {
    let drawn = mixed(name, place);
    let above = BigInt::from(drawn % 4_001 + 300);
    // Roots and logarithms want positive values, and absolute values want both signs.
    let above = if place % 4 == 3 { -above } else { above };
    BigRational::new(above, BigInt::from((drawn >> 32) % 900 + 1_000))
}

/// SplitMix64 of the name and the place: points that nobody chose, the same everywhere.
fn mixed(name: &str, place: usize) -> u64 {
    let seed = name.bytes().fold(place as u64 + 1, |seed, byte| {
        seed.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte))
    });
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Comparer {
    pub(crate) fn new() -> Option<Self> {
        Some(Self { evaluator: Evaluator::new()?, fuel: Fuel::whole() })
    }

    pub(crate) fn answers(&mut self, expected: &Answer, found: &Answer) -> Sameness {
        use Answer::{Interval, List, Related, Scalar, Set, Tuple, Union};
        if expected == found {
            return Sameness::Same;
        }
        match (expected, found) {
            (Related(r, a, b), Related(s, c, d)) => self.relations((*r, a, b), (*s, c, d)),
            (Related(..), other) | (other, Related(..)) => {
                let of_unknown = |answer: &Answer| answer.clone().of_unknown();
                let (a, b) = (of_unknown(expected), of_unknown(found));
                if matches!((&a, &b), (Related(..), _) | (_, Related(..))) {
                    let plain = matches!(other, Scalar(_));
                    let reason = if plain { Doubt::Kind } else { Doubt::Notation };
                    return Sameness::Unclear(reason);
                }
                self.answers(&a, &b)
            }
            (Scalar(a), Scalar(b)) => self.scalars(a, b),
            (Tuple(a, items), Tuple(b, others)) => match self.ordered(items, others) {
                Sameness::Same if a != b => Sameness::Unclear(Doubt::Kind),
                sameness => sameness,
            },
            (
                Interval { open: a, low: b, high: c, close: d },
                Interval { open: e, low: f, high: g, close: h },
            ) => {
                let ends = (*a, b, c, *d);
                self.intervals(ends, (*e, f, g, *h))
            }
            (Interval { open, low, high, close }, Tuple(bracket, items))
            | (Tuple(bracket, items), Interval { open, low, high, close }) => {
                let [Scalar(first), Scalar(second)] = items.as_slice() else {
                    return Sameness::Unclear(Doubt::Kind);
                };
                let pair = (*bracket, first, second, *bracket);
                self.intervals((*open, low, high, *close), pair)
            }
            (Set(items), Set(others)) | (Union(items), Union(others)) => {
                self.unordered(items, others)
            }
            (List(items), List(others)) => match self.ordered(items, others) {
                Sameness::Same => Sameness::Same,
                _ => self.if_reordered(items, others),
            },
            (Set(items), List(others)) | (List(items), Set(others)) => {
                self.unordered(items, others)
            }
            (Tuple(_, items), List(others) | Set(others))
            | (List(items) | Set(items), Tuple(_, others)) => self.if_reordered(items, others),
            // Several values are not one.
            (Scalar(_), Set(items) | List(items) | Tuple(_, items))
            | (Set(items) | List(items) | Tuple(_, items), Scalar(_)) => {
                self.several_against_one(items)
            }
            (Scalar(_), Interval { .. } | Union(_)) | (Interval { .. } | Union(_), Scalar(_)) => {
                Sameness::Different
            }
            (Union(_), Set(_) | List(_) | Tuple(..) | Interval { .. })
            | (Set(_) | List(_) | Tuple(..) | Interval { .. }, Union(_))
            | (Interval { .. }, Set(_) | List(_))
            | (Set(_) | List(_), Interval { .. }) => Sameness::Unclear(Doubt::Kind),
        }
    }

    fn several_against_one(&mut self, items: &[Answer]) -> Sameness {
        match items {
            [] => Sameness::Different,
            [first, rest @ ..] => {
                let several =
                    rest.iter().any(|item| self.answers(first, item) == Sameness::Different);
                if several { Sameness::Different } else { Sameness::Unclear(Doubt::Kind) }
            }
        }
    }

    fn ordered(&mut self, items: &[Answer], others: &[Answer]) -> Sameness {
        if items.len() != others.len() {
            return Sameness::Different;
        }
        let mut all = Sameness::Same;
        for (item, other) in items.iter().zip(others) {
            match self.answers(item, other) {
                Sameness::Same => {}
                Sameness::Different => return Sameness::Different,
                doubt @ Sameness::Unclear(_) => all = doubt,
            }
        }
        all
    }

    /// Sets of the same items, however often each stands there.
    fn unordered(&mut self, items: &[Answer], others: &[Answer]) -> Sameness {
        match (self.covered(items, others), self.covered(others, items)) {
            (Sameness::Same, Sameness::Same) => Sameness::Same,
            (Sameness::Different, _) | (_, Sameness::Different) => Sameness::Different,
            (doubt @ Sameness::Unclear(_), _) | (_, doubt @ Sameness::Unclear(_)) => doubt,
        }
    }

    fn covered(&mut self, items: &[Answer], by: &[Answer]) -> Sameness {
        let mut all = Sameness::Same;
        for item in items {
            let mut best = Sameness::Different;
            for other in by {
                match self.answers(item, other) {
                    Sameness::Same => {
                        best = Sameness::Same;
                        break;
                    }
                    Sameness::Different => {}
                    doubt @ Sameness::Unclear(_) => best = doubt,
                }
            }
            match best {
                Sameness::Same => {}
                Sameness::Different => return Sameness::Different,
                doubt @ Sameness::Unclear(_) => all = doubt,
            }
        }
        all
    }

    /// The same items: then it cannot be told whether their order matters.
    fn if_reordered(&mut self, items: &[Answer], others: &[Answer]) -> Sameness {
        match self.unordered(items, others) {
            Sameness::Same if items.len() == others.len() => Sameness::Unclear(Doubt::Order),
            Sameness::Same => Sameness::Unclear(Doubt::Kind),
            other => other,
        }
    }

    fn intervals(
        &mut self,
        (a, b, c, d): (Bracket, &Expr, &Expr, Bracket),
        (e, f, g, h): (Bracket, &Expr, &Expr, Bracket),
    ) -> Sameness {
        match (self.scalars(b, f), self.scalars(c, g)) {
            (Sameness::Different, _) | (_, Sameness::Different) => Sameness::Different,
            (doubt @ Sameness::Unclear(_), _) | (_, doubt @ Sameness::Unclear(_)) => doubt,
            // Whether an end without end belongs to it does not matter.
            (Sameness::Same, Sameness::Same) => {
                let same = |x, y, end: &Expr| x == y || end.infinity().is_some();
                let all = same(a, e, b) && same(d, h, c);
                if all { Sameness::Same } else { Sameness::Different }
            }
        }
    }

    /// `l = r` and `m = s` say the same if `l - r` is a constant times `m - s`; inequalities
    /// if it is positive, or negative and the other way round.
    fn relations(
        &mut self,
        (relation, a, b): (Relation, &Expr, &Expr),
        (other, c, d): (Relation, &Expr, &Expr),
    ) -> Sameness {
        if let (Some(x), Some(y)) = (a.is_name(), c.is_name()) {
            if relation != other {
                return Sameness::Unclear(Doubt::Kind);
            }
            let values = self.scalars(b, d);
            return if x == y || values == Sameness::Different {
                values
            } else {
                Sameness::Unclear(Doubt::Kind)
            };
        }
        let side = |l: &Expr, r: &Expr| Expr::binary(Op::Subtract, l.clone(), r.clone());
        let ratio = Expr::binary(Op::Divide, side(a, b), side(c, d));
        let mut values = Vec::new();
        for place in 0..POINTS_TRIED_MAX {
            let at = |name: &str| Some(rational_at(name, place));
            if let Ok(value) = self.evaluator.value(&ratio, &at, &mut self.fuel) {
                values.push(value);
            }
        }
        let Some((first, rest)) = values.split_first().filter(|(_, rest)| rest.len() >= 2) else {
            return Sameness::Unclear(Doubt::Undefined);
        };
        let constant = rest
            .iter()
            .all(|value| self.evaluator.nearness(first.clone(), value.clone()) == Nearness::Same);
        let matching =
            if is_positive(first) { relation == other } else { relation.flipped() == other };
        // Others may be the same as well: `x = y` and `x^3 = y^3`.
        if constant && matching { Sameness::Same } else { Sameness::Unclear(Doubt::Kind) }
    }

    pub(crate) fn scalars(&mut self, expected: &Expr, found: &Expr) -> Sameness {
        if expected == found {
            return Sameness::Same;
        }
        match (expected.infinity(), found.infinity()) {
            (Some(a), Some(b)) => {
                return if a == b { Sameness::Same } else { Sameness::Different };
            }
            (Some(_), None) | (None, Some(_)) => return Sameness::Different,
            (None, None) => {}
        }
        let agree = match self.residues(expected, found) {
            Some(Sameness::Different) => return self.unless_rounded(expected, found),
            Some(Sameness::Same) => true,
            Some(Sameness::Unclear(_)) | None => false,
        };
        if expected.has(Constant::I) || found.has(Constant::I) {
            return if agree { Sameness::Same } else { Sameness::Unclear(Doubt::Undefined) };
        }
        match self.values(expected, found) {
            Sameness::Different => self.unless_rounded(expected, found),
            other => other,
        }
    }

    /// Modulo primes; nothing where they are no rational expressions.
    fn residues(&mut self, a: &Expr, b: &Expr) -> Option<Sameness> {
        let mut compared = 0;
        for place in 0..POINTS {
            for field in FIELDS {
                let at = |name: &str| residue_at(name, place);
                let one = field.residue(a, &at, &mut self.fuel);
                let other = field.residue(b, &at, &mut self.fuel);
                match (one, other) {
                    (Ok(a), Ok(b)) if a == b => compared += 1,
                    (Ok(_), Ok(_)) => return Some(Sameness::Different),
                    (Err(NoResidue::Undefined), _) | (_, Err(NoResidue::Undefined)) => {}
                    (Err(NoResidue::NotRational | NoResidue::TooMuch), _)
                    | (_, Err(NoResidue::NotRational | NoResidue::TooMuch)) => return None,
                }
            }
        }
        (compared >= POINTS).then_some(Sameness::Same)
    }

    fn values(&mut self, a: &Expr, b: &Expr) -> Sameness {
        let mut names = Vec::new();
        a.variables(&mut names);
        b.variables(&mut names);
        let tried = if names.is_empty() { 1 } else { POINTS_TRIED_MAX };
        let wanted = if names.is_empty() { 1 } else { POINTS };
        let (mut same, mut doubt) = (0, None);
        for place in 0..tried {
            if same == wanted {
                break;
            }
            let at = |name: &str| Some(rational_at(name, place));
            let one = self.evaluator.value(a, &at, &mut self.fuel);
            let other = self.evaluator.value(b, &at, &mut self.fuel);
            match (one, other) {
                (Ok(a), Ok(b)) => match self.evaluator.nearness(a, b) {
                    Nearness::Same => same += 1,
                    Nearness::Apart => return Sameness::Different,
                    Nearness::Unclear => doubt = Some(Doubt::Close),
                },
                // Undefined for both is no difference between them.
                (Err(NoValue::Undefined), Err(NoValue::Undefined)) if !names.is_empty() => {}
                (Err(none), _) | (_, Err(none)) => doubt = Some(none.into()),
            }
        }
        match doubt {
            Some(doubt) => Sameness::Unclear(doubt),
            None if same == wanted => Sameness::Same,
            None => Sameness::Unclear(Doubt::Undefined),
        }
    }

    /// A decimal that has the first digits of a value that is none may mean that value.
    fn unless_rounded(&mut self, a: &Expr, b: &Expr) -> Sameness {
        let (decimal, other) = match (decimal(a), decimal(b)) {
            (Some(decimal), None) => (decimal, b),
            (None, Some(decimal)) => (decimal, a),
            (Some(_), Some(_)) | (None, None) => return Sameness::Different,
        };
        let (value, places, significant) = decimal;
        if significant < SIGNIFICANT_MIN {
            return Sameness::Different;
        }
        let Ok(other) = self.evaluator.value(other, &|_| None, &mut self.fuel) else {
            return Sameness::Different;
        };
        // Rounded or cut off.
        let unit = BigRational::new(1.into(), num_traits::pow(10.into(), places as usize));
        if self.evaluator.is_within(Value::Exact(value), other, &unit) {
            Sameness::Unclear(Doubt::Rounded)
        } else {
            Sameness::Different
        }
    }

    /// A text that is the same for what is the same, and hardly ever for what is not.
    pub(crate) fn key(&mut self, answer: &Answer) -> Option<String> {
        let answer = answer.clone().of_unknown();
        let list = |it: &mut Self, items: &[Answer], sorted: bool| {
            let keys = items.iter().map(|item| it.key(item)).collect::<Option<Vec<_>>>();
            keys.map(|mut keys| {
                if sorted {
                    keys.sort();
                    keys.dedup();
                }
                keys.join(",")
            })
        };
        let bracket = |bracket: Bracket, pair: [char; 2]| match bracket {
            Bracket::Round => pair[0],
            Bracket::Square => pair[1],
        };
        Some(match &answer {
            Answer::Scalar(expr) => self.key_of(expr)?,
            Answer::Tuple(form, items) => {
                let (open, close) = (bracket(*form, ['(', '[']), bracket(*form, [')', ']']));
                format!("{open}{}{close}", list(self, items, false)?)
            }
            Answer::Interval { open, low, high, close } => {
                let (low, high) = (self.key_of(low)?, self.key_of(high)?);
                let (open, close) = (bracket(*open, ['(', '[']), bracket(*close, [')', ']']));
                format!("{open}{low},{high}{close}")
            }
            Answer::Set(items) => format!("{{{}}}", list(self, items, true)?),
            Answer::List(items) => list(self, items, false)?,
            Answer::Union(items) => format!("∪{{{}}}", list(self, items, true)?),
            Answer::Related(..) => return None,
        })
    }

    fn key_of(&mut self, expr: &Expr) -> Option<String> {
        if let Some(positive) = expr.infinity() {
            return Some(if positive { "∞" } else { "-∞" }.to_owned());
        }
        let mut names = Vec::new();
        expr.variables(&mut names);
        if names.is_empty() && !expr.has(Constant::I) {
            let value = self.evaluator.value(expr, &|_| None, &mut self.fuel).ok()?;
            return self.evaluator.digits(value, KEY_DIGITS);
        }
        let residue = |field: Field, it: &mut Self| {
            field.residue(expr, &|name| residue_at(name, 0), &mut it.fuel).ok()
        };
        let [a, b] = FIELDS.map(|field| residue(field, self));
        if let (Some(a), Some(b)) = (a, b) {
            return Some(format!("f{a}:{b}"));
        }
        let at = |name: &str| Some(rational_at(name, 0));
        let value = self.evaluator.value(expr, &at, &mut self.fuel).ok()?;
        Some(format!("f{}", self.evaluator.digits(value, KEY_DIGITS)?))
    }
}

/// A decimal as it stands, perhaps with a sign: value, places, digits that count.
fn decimal(expr: &Expr) -> Option<(BigRational, u32, u32)> {
    match expr {
        Expr::Decimal { value, places, significant } => {
            Some((value.clone(), *places, *significant))
        }
        Expr::Negative(inside) => {
            decimal(inside).map(|(value, places, significant)| (-value, places, significant))
        }
        _ => None,
    }
}
