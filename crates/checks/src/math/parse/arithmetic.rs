//! Sums, products, powers, roots and functions.

use super::{DEPTH_MAX, Parsed, Parser};
use crate::math::{
    Unreadable,
    ast::{Constant, Expr, Function, Op},
    lexer::Token,
};
use num_rational::BigRational;
use num_traits::{One, Signed};

impl Parser<'_> {
    pub(super) fn sum(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            let mut left = parser.product()?;
            loop {
                let op = match parser.peek() {
                    Some(Token::Sign('+')) => Op::Add,
                    Some(Token::Sign('-')) => Op::Subtract,
                    Some(Token::Sign('±')) if parser.plus => Op::Add,
                    Some(Token::Sign('∓')) if !parser.plus => Op::Add,
                    Some(Token::Sign('±' | '∓')) => Op::Subtract,
                    _ => return Ok(left),
                };
                parser.at += 1;
                left = Expr::binary(op, left, parser.product()?);
            }
        })
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.signed()?;
        let mut divided = false;
        loop {
            let op = match self.peek() {
                Some(Token::Sign('*')) => Op::Multiply,
                Some(Token::Sign('/')) => Op::Divide,
                _ if self.begins_factor() => {
                    if divided {
                        return Err(Unreadable::Ambiguous("a product behind a slash"));
                    }
                    left = Expr::binary(Op::Multiply, left, self.power()?);
                    continue;
                }
                _ => return Ok(left),
            };
            self.at += 1;
            divided = op == Op::Divide;
            left = Expr::binary(op, left, self.signed()?);
        }
    }

    /// Whether what comes next is multiplied without a sign. Two numbers side by side are not.
    fn begins_factor(&self) -> bool {
        match self.peek() {
            Some(Token::Letter(_)) => true,
            Some(Token::Name(name)) => *name != "or",
            Some(Token::Sign('(' | '{' | 'π' | '[')) => true,
            Some(Token::Sign('|')) => self.bars == 0,
            Some(Token::Sign(_) | Token::Number(..) | Token::Space) | None => false,
        }
    }

    fn signed(&mut self) -> Parsed<Expr> {
        let negative = match self.peek() {
            Some(Token::Sign('-')) => true,
            Some(Token::Sign('±')) => !self.plus,
            Some(Token::Sign('∓')) => self.plus,
            Some(Token::Sign('+')) => false,
            _ => return self.power(),
        };
        self.at += 1;
        let inside = self.deeper(Self::signed)?;
        Ok(if negative { Expr::Negative(Box::new(inside)) } else { inside })
    }

    fn power(&mut self) -> Parsed<Expr> {
        let base = self.postfixed()?;
        if !self.eat('^') {
            return Ok(base);
        }
        let exponent = self.exponent()?;
        Ok(Expr::binary(Op::Power, base, exponent))
    }

    fn exponent(&mut self) -> Parsed<Expr> {
        if self.peek() == Some(&Token::Sign('{')) {
            self.group()
        } else {
            self.deeper(Self::signed)
        }
    }

    fn postfixed(&mut self) -> Parsed<Expr> {
        let mut inside = self.primary()?;
        loop {
            let function = if self.eat('!') {
                Function::Factorial
            } else if self.eat('%') {
                Function::Percent
            } else {
                return Ok(inside);
            };
            // A tower of signs is as deep as one of brackets.
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(Unreadable::TooDeep);
            }
            inside = Expr::Function(function, Box::new(inside));
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek().cloned().ok_or(Unreadable::Ends)?;
        self.at += 1;
        match token {
            Token::Number(value, places, significant) => self.number(value, places, significant),
            Token::Letter(name) => Ok(match name.as_str() {
                "e" => Expr::Constant(Constant::E),
                "i" => Expr::Constant(Constant::I),
                _ => Expr::Variable(name),
            }),
            Token::Sign('π') => Ok(Expr::Constant(Constant::Pi)),
            Token::Sign('∞') => Ok(Expr::Constant(Constant::Infinity)),
            Token::Sign('(' | '[' | '{') => {
                self.at -= 1;
                self.group()
            }
            Token::Sign('|') if self.bars == 0 => {
                self.bars += 1;
                let inside = self.sum();
                self.bars -= 1;
                let inside = inside?;
                self.expect(&['|'])?;
                Ok(Expr::Function(Function::Abs, Box::new(inside)))
            }
            Token::Name("frac") => {
                let above = self.argument()?;
                Ok(Expr::binary(Op::Divide, above, self.argument()?))
            }
            Token::Name("sqrt") => {
                let degree = if self.eat('[') {
                    let degree = self.sum()?;
                    self.expect(&[']'])?;
                    degree
                } else {
                    Expr::whole(2)
                };
                Ok(Expr::Root(Box::new(degree), Box::new(self.argument()?)))
            }
            Token::Name("cbrt") => {
                Ok(Expr::Root(Box::new(Expr::whole(3)), Box::new(self.argument()?)))
            }
            Token::Name(name) if name != "or" => self.function(name),
            Token::Sign(_) | Token::Name(_) | Token::Space => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    /// A number, or a mixed one: `1 1/2`, `1\frac{1}{2}`.
    fn number(
        &mut self,
        value: BigRational,
        places: Option<u32>,
        significant: u32,
    ) -> Parsed<Expr> {
        if let Some(places) = places {
            return Ok(Expr::Decimal { value, places, significant });
        }
        let fraction = match &self.tokens[self.at..] {
            [Token::Number(a, None, _), Token::Sign('/'), Token::Number(b, None, _), ..] => {
                Some((a, b, 3))
            }
            [Token::Name("frac"), rest @ ..] => proper(rest),
            _ => None,
        };
        let Some((above, below, length)) = fraction else { return Ok(Expr::Number(value)) };
        if !value.is_integer() || above >= below || !above.is_positive() || !above.is_integer() {
            return Ok(Expr::Number(value));
        }
        self.at += length;
        Ok(Expr::Number(value + above / below))
    }

    /// `{…}`, `(…)`, or a single thing.
    fn argument(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Some(Token::Sign('{' | '(')) => self.group(),
            _ => self.deeper(Self::primary),
        }
    }

    fn group(&mut self) -> Parsed<Expr> {
        let (closer, bars) = match self.expect(&['(', '[', '{'])? {
            '(' => (')', self.bars),
            '[' => (']', self.bars),
            _ => ('}', self.bars),
        };
        self.bars = 0;
        let inside = self.sum();
        self.bars = bars;
        let inside = inside?;
        self.expect(&[closer])?;
        Ok(inside)
    }

    /// `\sin x`, `\sin^2(x)`, `\log_2 8`, `exp(x)`.
    fn function(&mut self, name: &'static str) -> Parsed<Expr> {
        let power = if self.eat('^') { Some(self.exponent()?) } else { None };
        let base = if name == "log" {
            if !self.eat('_') {
                return Err(Unreadable::Ambiguous("a logarithm without its base"));
            }
            Some(self.argument()?)
        } else {
            (name == "lg").then(|| Expr::whole(10))
        };
        let argument = match self.peek() {
            Some(Token::Sign('(' | '{' | '[')) => self.group()?,
            _ => self.deeper(Self::bare_argument)?,
        };
        let of = |function, argument| Expr::Function(function, Box::new(argument));
        let applied = match (name, base) {
            (_, Some(base)) => {
                let (above, below) = (of(Function::Ln, argument), of(Function::Ln, base));
                Expr::binary(Op::Divide, above, below)
            }
            (name, None) => of(named(name).ok_or_else(|| Unreadable::Word(name.into()))?, argument),
        };
        Ok(match power {
            // `\sin^{-1}` is the inverse to some, and the reciprocal to others.
            Some(Expr::Negative(_)) => {
                return Err(Unreadable::Ambiguous("a function to a negative power"));
            }
            Some(power) => Expr::binary(Op::Power, applied, power),
            None => applied,
        })
    }

    /// `2x` of `\sin 2x`.
    fn bare_argument(&mut self) -> Parsed<Expr> {
        let mut argument = self.power()?;
        while matches!(self.peek(), Some(Token::Letter(_) | Token::Sign('π'))) {
            argument = Expr::binary(Op::Multiply, argument, self.power()?);
        }
        Ok(argument)
    }
}

/// `{1}{2}` behind `\frac`, of plain whole numbers.
fn proper(tokens: &[Token]) -> Option<(&BigRational, &BigRational, usize)> {
    let (above, rest, first) = plain(tokens)?;
    let (below, _, second) = plain(rest)?;
    (below.is_integer() && *below > BigRational::one()).then_some((
        above,
        below,
        1 + first + second,
    ))
}

fn plain(tokens: &[Token]) -> Option<(&BigRational, &[Token], usize)> {
    match tokens {
        [Token::Number(value, None, _), rest @ ..] => Some((value, rest, 1)),
        [Token::Sign('{'), Token::Number(value, None, _), Token::Sign('}'), rest @ ..] => {
            Some((value, rest, 3))
        }
        _ => None,
    }
}

fn named(name: &str) -> Option<Function> {
    Some(match name {
        "abs" => Function::Abs,
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" => Function::Tan,
        "cot" => Function::Cot,
        "sec" => Function::Sec,
        "csc" => Function::Csc,
        "arctan" => Function::Arctan,
        _ => return None,
    })
}
