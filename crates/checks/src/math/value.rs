//! What an expression of real numbers is worth: exactly where it is rational, else to more
//! than a hundred digits with a bound on the error.
//!
//! Such a bound makes "different" a proof. "Equal" is agreement to [`AGREE_BITS`].

use super::{
    Fuel,
    ast::{Constant, Expr, Function, Op},
};
use astro_float_num::{BigFloat, Consts, Radix, RoundingMode};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Bits of a number that is not rational: some 154 digits.
const PRECISION: usize = 512;
/// Numbers that agree to so many bits are the same.
const AGREE_BITS: i64 = 400;
/// Bits of a numerator or a denominator that is kept exactly.
const EXACT_BITS_MAX: u64 = 8_192;
/// No number is larger than two to this, nor smaller than its inverse.
const SIZE_BITS_MAX: i64 = 20_000;
/// The largest number whose factorial is taken.
const FACTORIAL_MAX: u64 = 500;
/// The highest degree of a root.
const DEGREE_MAX: u64 = 64;
const ROUND: RoundingMode = RoundingMode::ToEven;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoValue {
    /// It is not defined, or not real, or too close to where it is not.
    Undefined,
    /// It is too large, or too much work.
    TooMuch,
}

/// A real number.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Exact(BigRational),
    Near(Ball),
}

/// The true value is at most `2^error` from the middle.
#[derive(Debug, Clone)]
pub(crate) struct Ball {
    middle: BigFloat,
    error: i64,
}

/// How two values relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearness {
    Same,
    Apart,
    /// Closer than the bounds on the errors tell apart, and not close enough.
    Unclear,
}

type Valued = Result<Value, NoValue>;

/// Evaluates, with constants that are worked out once.
pub(crate) struct Evaluator {
    constants: Consts,
}

impl Evaluator {
    pub(crate) fn new() -> Option<Self> {
        Consts::new().ok().map(|constants| Self { constants })
    }

    /// The value where the variables have these values.
    pub(crate) fn value(
        &mut self,
        expr: &Expr,
        at: &dyn Fn(&str) -> Option<BigRational>,
        fuel: &mut Fuel,
    ) -> Valued {
        fuel.burn(1)?;
        match expr {
            Expr::Number(value) | Expr::Decimal { value, .. } => Ok(Value::Exact(value.clone())),
            Expr::Constant(Constant::Pi) => Ok(rounded(self.constants.pi(PRECISION, ROUND))),
            Expr::Constant(Constant::E) => Ok(rounded(self.constants.e(PRECISION, ROUND))),
            Expr::Constant(Constant::I | Constant::Infinity) => Err(NoValue::Undefined),
            Expr::Variable(name) => at(name).map(Value::Exact).ok_or(NoValue::Undefined),
            Expr::Negative(inside) => Ok(negative(self.value(inside, at, fuel)?)),
            Expr::Binary(op, left, right) => {
                let left = self.value(left, at, fuel)?;
                let right = self.value(right, at, fuel)?;
                match op {
                    Op::Add => self.add(left, right, fuel),
                    Op::Subtract => self.add(left, negative(right), fuel),
                    Op::Multiply => self.multiply(left, right, fuel),
                    Op::Divide => {
                        let inverse = self.inverse(right)?;
                        self.multiply(left, inverse, fuel)
                    }
                    Op::Power => self.power(left, right, fuel),
                }
            }
            Expr::Root(degree, of) => {
                let degree = self.value(degree, at, fuel)?;
                let of = self.value(of, at, fuel)?;
                let degree = whole(&degree).and_then(|n| n.to_u64());
                let degree = degree.filter(|n| (1..=DEGREE_MAX).contains(n));
                self.root(degree.ok_or(NoValue::Undefined)?, of, fuel)
            }
            Expr::Function(function, of) => {
                let of = self.value(of, at, fuel)?;
                self.function(*function, of, fuel)
            }
        }
    }

    fn ball(&mut self, value: Value) -> Result<Ball, NoValue> {
        let exact = match value {
            Value::Near(ball) => return Ok(ball),
            Value::Exact(exact) => exact,
        };
        if exact.is_zero() {
            return Ok(Ball { middle: BigFloat::new(PRECISION), error: -SIZE_BITS_MAX });
        }
        let mut float = |n: &BigInt| {
            let bits = usize::try_from(n.bits()).unwrap_or(usize::MAX).max(PRECISION);
            let text = n.to_str_radix(2);
            BigFloat::parse(&text, Radix::Bin, bits, ROUND, &mut self.constants)
        };
        let middle = float(exact.numer()).div(&float(exact.denom()), PRECISION, ROUND);
        sized(middle, i64::MIN)
    }

    fn add(&mut self, left: Value, right: Value, fuel: &mut Fuel) -> Valued {
        fuel.burn(2)?;
        if let (Value::Exact(a), Value::Exact(b)) = (&left, &right)
            && let Some(sum) = exactly(a.denom().bits() + b.denom().bits(), fuel, || a + b)?
        {
            return Ok(sum);
        }
        let (a, b) = (self.ball(left)?, self.ball(right)?);
        near(a.middle.add(&b.middle, PRECISION, ROUND), a.error.max(b.error) + 1)
    }

    fn multiply(&mut self, left: Value, right: Value, fuel: &mut Fuel) -> Valued {
        fuel.burn(2)?;
        if let (Value::Exact(a), Value::Exact(b)) = (&left, &right)
            && let Some(product) = exactly(bits(a) + bits(b), fuel, || a * b)?
        {
            return Ok(product);
        }
        let (a, b) = (self.ball(left)?, self.ball(right)?);
        let error = (size(&a) + b.error).max(size(&b) + a.error).max(a.error + b.error) + 2;
        near(a.middle.mul(&b.middle, PRECISION, ROUND), error)
    }

    fn inverse(&mut self, of: Value) -> Valued {
        match of {
            Value::Exact(exact) if exact.is_zero() => Err(NoValue::Undefined),
            Value::Exact(exact) => Ok(Value::Exact(exact.recip())),
            Value::Near(ball) => {
                let away = away_from_zero(&ball)?;
                near(ball.middle.reciprocal(PRECISION, ROUND), ball.error - 2 * away + 1)
            }
        }
    }

    fn power(&mut self, base: Value, exponent: Value, fuel: &mut Fuel) -> Valued {
        if let Some(n) = whole(&exponent) {
            let negative = n.is_negative();
            let n = n.abs().to_u64().ok_or(NoValue::TooMuch)?;
            let power = self.whole_power(base, n, fuel)?;
            return if negative { self.inverse(power) } else { Ok(power) };
        }
        if !is_positive(&base) {
            return Err(NoValue::Undefined);
        }
        let logarithm = self.function(Function::Ln, base, fuel)?;
        let product = self.multiply(logarithm, exponent, fuel)?;
        self.function(Function::Exp, product, fuel)
    }

    fn whole_power(&mut self, base: Value, n: u64, fuel: &mut Fuel) -> Valued {
        let one = Value::Exact(BigRational::one());
        match (&base, n) {
            (Value::Exact(exact), 0) if exact.is_zero() => return Err(NoValue::Undefined),
            (Value::Exact(exact), _) if exact.is_zero() || exact.is_one() => return Ok(base),
            _ => {}
        }
        let (mut result, mut square, mut left) = (one, base, n);
        while left > 0 {
            if left & 1 == 1 {
                result = self.multiply(result, square.clone(), fuel)?;
            }
            left >>= 1;
            if left > 0 {
                square = self.multiply(square.clone(), square, fuel)?;
            }
        }
        Ok(result)
    }

    fn root(&mut self, degree: u64, of: Value, fuel: &mut Fuel) -> Valued {
        if let Value::Exact(exact) = &of {
            if exact.is_zero() {
                return Ok(of);
            }
            if exact.is_negative() {
                // Odd roots of negative numbers are the real ones.
                if degree.is_multiple_of(2) {
                    return Err(NoValue::Undefined);
                }
                return Ok(negative(self.root(degree, Value::Exact(-exact), fuel)?));
            }
            fuel.burn(bits(exact) / 16)?;
            let degree = u32::try_from(degree).map_err(|_| NoValue::Undefined)?;
            let (above, below) = (exact.numer().nth_root(degree), exact.denom().nth_root(degree));
            if above.pow(degree) == *exact.numer() && below.pow(degree) == *exact.denom() {
                return Ok(Value::Exact(BigRational::new(above, below)));
            }
        }
        if !is_positive(&of) {
            return Err(NoValue::Undefined);
        }
        if degree == 2 {
            let ball = self.ball(of)?;
            let away = away_from_zero(&ball)?;
            fuel.burn(4)?;
            return near(ball.middle.sqrt(PRECISION, ROUND), ball.error - away.div_euclid(2) + 1);
        }
        let logarithm = self.function(Function::Ln, of, fuel)?;
        let part = Value::Exact(BigRational::new(BigInt::one(), degree.into()));
        let product = self.multiply(logarithm, part, fuel)?;
        self.function(Function::Exp, product, fuel)
    }

    fn function(&mut self, function: Function, of: Value, fuel: &mut Fuel) -> Valued {
        let ratio = |above: Value, below: Value, it: &mut Self, fuel: &mut Fuel| {
            let below = it.inverse(below)?;
            it.multiply(above, below, fuel)
        };
        let one = || Value::Exact(BigRational::one());
        match function {
            Function::Abs => match is_negative(&of) {
                true => Ok(negative(of)),
                // About zero, either sign keeps the bound.
                false => Ok(of),
            },
            Function::Percent => {
                let part = BigRational::new(BigInt::one(), 100.into());
                self.multiply(of, Value::Exact(part), fuel)
            }
            Function::Factorial => {
                let n = whole(&of).and_then(|n| n.to_u64()).ok_or(NoValue::Undefined)?;
                if n > FACTORIAL_MAX {
                    return Err(NoValue::TooMuch);
                }
                fuel.burn(n / 4)?;
                let product = (2..=n).fold(BigInt::one(), |product, k| product * k);
                Ok(Value::Exact(BigRational::from_integer(product)))
            }
            Function::Tan | Function::Cot => {
                let sine = self.transcend(Function::Sin, of.clone(), fuel)?;
                let cosine = self.transcend(Function::Cos, of, fuel)?;
                match function {
                    Function::Tan => ratio(sine, cosine, self, fuel),
                    _ => ratio(cosine, sine, self, fuel),
                }
            }
            Function::Sec => {
                let cosine = self.transcend(Function::Cos, of, fuel)?;
                ratio(one(), cosine, self, fuel)
            }
            Function::Csc => {
                let sine = self.transcend(Function::Sin, of, fuel)?;
                ratio(one(), sine, self, fuel)
            }
            Function::Exp | Function::Ln | Function::Sin | Function::Cos | Function::Arctan => {
                self.transcend(function, of, fuel)
            }
        }
    }

    fn transcend(&mut self, function: Function, of: Value, fuel: &mut Fuel) -> Valued {
        fuel.burn(200)?;
        let Ball { middle, error } = self.ball(of.clone())?;
        let size = size(&Ball { middle: middle.clone(), error });
        let constants = &mut self.constants;
        match function {
            Function::Exp => {
                // Then its size is below the largest, and its bound follows from the argument's.
                if size > 14 || error > -2 {
                    return Err(NoValue::TooMuch);
                }
                let result = middle.exp(PRECISION, ROUND, constants);
                let error = exponent(&result) + error + 1;
                near(result, error)
            }
            Function::Ln => {
                if !is_positive(&of) {
                    return Err(NoValue::Undefined);
                }
                let away = away_from_zero(&Ball { middle: middle.clone(), error })?;
                near(middle.ln(PRECISION, ROUND, constants), error - away + 1)
            }
            Function::Sin if size <= 64 => near(middle.sin(PRECISION, ROUND, constants), error),
            Function::Cos if size <= 64 => near(middle.cos(PRECISION, ROUND, constants), error),
            Function::Sin | Function::Cos => Err(NoValue::TooMuch),
            Function::Arctan => near(middle.atan(PRECISION, ROUND, constants), error),
            Function::Abs
            | Function::Factorial
            | Function::Tan
            | Function::Cot
            | Function::Sec
            | Function::Csc
            | Function::Percent => Err(NoValue::Undefined),
        }
    }

    /// Whether two values are the same number.
    pub(crate) fn nearness(&mut self, a: Value, b: Value) -> Nearness {
        if let (Value::Exact(a), Value::Exact(b)) = (&a, &b) {
            return if a == b { Nearness::Same } else { Nearness::Apart };
        }
        let (Ok(a), Ok(b)) = (self.ball(a), self.ball(b)) else { return Nearness::Unclear };
        let off = a.middle.sub(&b.middle, PRECISION, ROUND);
        let error = a.error.max(b.error) + 1;
        let scale = size(&a).max(size(&b)).max(0);
        // `off` is at least `2^(exponent - 1)`, less a rounding.
        if !off.is_zero() && exponent(&off) - 2 > error {
            Nearness::Apart
        } else if error <= scale - AGREE_BITS {
            Nearness::Same
        } else {
            Nearness::Unclear
        }
    }

    /// Whether the distance of the two is surely less than `within`.
    pub(crate) fn is_within(&mut self, a: Value, b: Value, within: &BigRational) -> bool {
        let mut fuel = Fuel::small();
        let distance = self
            .add(a, negative(b), &mut fuel)
            .and_then(|off| self.function(Function::Abs, off, &mut fuel))
            .and_then(|off| self.add(Value::Exact(within.clone()), negative(off), &mut fuel));
        distance.is_ok_and(|room| is_positive(&room))
    }

    /// Its first `digits` digits, as a text that is the same for values that are the same.
    pub(crate) fn digits(&mut self, value: Value, digits: usize) -> Option<String> {
        let ball = match value {
            Value::Exact(exact) => return Some(exact.to_string()),
            Value::Near(ball) => ball,
        };
        let scale = size(&ball);
        if ball.middle.is_zero() || ball.error > scale - AGREE_BITS {
            return None;
        }
        let text = ball.middle.format(Radix::Dec, ROUND, &mut self.constants).ok()?;
        let (mantissa, exponent) = text.split_once('e')?;
        Some(format!("{}e{exponent}", mantissa.chars().take(digits).collect::<String>()))
    }
}

/// The exact result, if it is not too long to be kept.
fn exactly(
    bits: u64,
    fuel: &mut Fuel,
    result: impl FnOnce() -> BigRational,
) -> Result<Option<Value>, NoValue> {
    fuel.burn(bits / 64)?;
    if bits > EXACT_BITS_MAX {
        return Ok(None);
    }
    let result = result();
    Ok((self::bits(&result) <= EXACT_BITS_MAX).then_some(Value::Exact(result)))
}

fn bits(value: &BigRational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

fn rounded(middle: BigFloat) -> Value {
    let error = exponent(&middle) - PRECISION as i64;
    Value::Near(Ball { middle, error })
}

/// With the error of one rounding on top.
fn near(middle: BigFloat, error: i64) -> Valued {
    sized(middle, error).map(Value::Near)
}

fn sized(middle: BigFloat, error: i64) -> Result<Ball, NoValue> {
    if middle.is_nan() || middle.is_inf() {
        return Err(NoValue::TooMuch);
    }
    let size = exponent(&middle);
    if !middle.is_zero() && !(-SIZE_BITS_MAX..=SIZE_BITS_MAX).contains(&size) {
        return Err(NoValue::TooMuch);
    }
    let error = error.max(size - PRECISION as i64).saturating_add(1);
    if error > SIZE_BITS_MAX {
        return Err(NoValue::TooMuch);
    }
    Ok(Ball { middle, error })
}

/// The middle is below two to this in size.
fn exponent(middle: &BigFloat) -> i64 {
    if middle.is_zero() { -SIZE_BITS_MAX } else { middle.exponent().map_or(0, i64::from) }
}

/// The true value is below two to this in size.
fn size(ball: &Ball) -> i64 {
    exponent(&ball.middle).max(ball.error) + 1
}

/// The true value is at least two to this in size, or cannot be told from zero.
fn away_from_zero(ball: &Ball) -> Result<i64, NoValue> {
    let least = exponent(&ball.middle) - 2;
    if ball.middle.is_zero() || ball.error >= least { Err(NoValue::Undefined) } else { Ok(least) }
}

fn negative(value: Value) -> Value {
    match value {
        Value::Exact(exact) => Value::Exact(-exact),
        Value::Near(Ball { middle, error }) => Value::Near(Ball { middle: middle.neg(), error }),
    }
}

pub(crate) fn is_positive(value: &Value) -> bool {
    match value {
        Value::Exact(exact) => exact.is_positive(),
        Value::Near(ball) => ball.middle.is_positive() && away_from_zero(ball).is_ok(),
    }
}

fn is_negative(value: &Value) -> bool {
    match value {
        Value::Exact(exact) => exact.is_negative(),
        Value::Near(ball) => ball.middle.is_negative() && away_from_zero(ball).is_ok(),
    }
}

fn whole(value: &Value) -> Option<BigInt> {
    match value {
        Value::Exact(exact) if exact.is_integer() => Some(exact.to_integer()),
        Value::Exact(_) | Value::Near(_) => None,
    }
}
