//! Rational expressions modulo a prime of 61 bits: if two differ at a point, they differ.
//!
//! The primes are of the form 4k + 1, so that the imaginary unit has a value as well.

use super::{
    Fuel,
    ast::{Constant, Expr, Function, Op},
    value::NoValue,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

/// A prime below 2^61, and a root of -1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    prime: u64,
    unit: u64,
}

/// The two largest that have a root of -1.
pub(crate) const FIELDS: [Field; 2] = [
    Field { prime: (1 << 61) - 31, unit: 583_529_827_753_931_384 },
    Field { prime: (1 << 61) - 259, unit: 966_685_122_347_009_555 },
];

/// Why there is no residue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoResidue {
    /// It has roots or functions, or a variable in an exponent.
    NotRational,
    /// A division by zero at this point.
    Undefined,
    /// Too much work.
    TooMuch,
}

impl From<NoValue> for NoResidue {
    fn from(_: NoValue) -> Self {
        Self::TooMuch
    }
}

impl Field {
    /// The residue where the variables have these values.
    pub(crate) fn residue(
        self,
        expr: &Expr,
        at: &dyn Fn(&str) -> u64,
        fuel: &mut Fuel,
    ) -> Result<u64, NoResidue> {
        fuel.burn(1)?;
        Ok(match expr {
            Expr::Number(value) | Expr::Decimal { value, .. } => self.of_rational(value)?,
            Expr::Constant(Constant::I) => self.unit,
            Expr::Constant(Constant::Pi | Constant::E | Constant::Infinity)
            | Expr::Root(..)
            | Expr::Function(
                Function::Abs
                | Function::Factorial
                | Function::Exp
                | Function::Ln
                | Function::Sin
                | Function::Cos
                | Function::Tan
                | Function::Cot
                | Function::Sec
                | Function::Csc
                | Function::Arctan,
                _,
            ) => return Err(NoResidue::NotRational),
            Expr::Variable(name) => at(name) % self.prime,
            Expr::Negative(inside) => self.subtract(0, self.residue(inside, at, fuel)?),
            Expr::Function(Function::Percent, inside) => {
                let inside = self.residue(inside, at, fuel)?;
                self.multiply(inside, self.inverse(100)?)
            }
            Expr::Binary(Op::Power, base, exponent) => {
                let exponent = whole(exponent).ok_or(NoResidue::NotRational)?;
                let base = self.residue(base, at, fuel)?;
                if base == 0 && exponent <= 0 {
                    return Err(NoResidue::Undefined);
                }
                let base = if exponent < 0 { self.inverse(base)? } else { base };
                self.power(base, exponent.unsigned_abs())
            }
            Expr::Binary(op, left, right) => {
                let left = self.residue(left, at, fuel)?;
                let right = self.residue(right, at, fuel)?;
                match op {
                    Op::Add => self.subtract(left, self.subtract(0, right)),
                    Op::Subtract => self.subtract(left, right),
                    Op::Multiply | Op::Power => self.multiply(left, right),
                    Op::Divide => self.multiply(left, self.inverse(right)?),
                }
            }
        })
    }

    fn of_rational(self, value: &BigRational) -> Result<u64, NoResidue> {
        let below = self.of_whole(value.denom());
        Ok(self.multiply(self.of_whole(value.numer()), self.inverse(below)?))
    }

    fn of_whole(self, value: &BigInt) -> u64 {
        let rest = (value.abs() % self.prime).to_u64().unwrap_or(0);
        if value.is_negative() { self.subtract(0, rest) } else { rest }
    }

    fn subtract(self, a: u64, b: u64) -> u64 {
        if a >= b { a - b } else { a + self.prime - b }
    }

    /// The product.
    pub(crate) fn multiply(self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b) % u128::from(self.prime);
        product as u64
    }

    fn power(self, base: u64, mut exponent: u64) -> u64 {
        let (mut result, mut square) = (1, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.multiply(result, square);
            }
            square = self.multiply(square, square);
            exponent >>= 1;
        }
        result
    }

    fn inverse(self, a: u64) -> Result<u64, NoResidue> {
        // Fermat's little theorem.
        if a == 0 { Err(NoResidue::Undefined) } else { Ok(self.power(a, self.prime - 2)) }
    }
}

/// An exponent that is a whole number as it stands.
fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Number(value) | Expr::Decimal { value, .. } if value.is_integer() => {
            value.numer().to_i64()
        }
        Expr::Number(_) | Expr::Decimal { .. } => None,
        Expr::Negative(inside) => whole(inside)?.checked_neg(),
        Expr::Binary(op, left, right) => {
            let (left, right) = (whole(left)?, whole(right)?);
            match op {
                Op::Add => left.checked_add(right),
                Op::Subtract => left.checked_sub(right),
                Op::Multiply => left.checked_mul(right),
                Op::Divide if right != 0 && (left % right).is_zero() => left.checked_div(right),
                Op::Divide => None,
                Op::Power => left.checked_pow(u32::try_from(right).ok()?),
            }
        }
        Expr::Constant(_) | Expr::Variable(_) | Expr::Root(..) | Expr::Function(..) => None,
    }
}
