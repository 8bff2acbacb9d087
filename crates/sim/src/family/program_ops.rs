//! Operations on lists, each with one English phrase, one line of Python and one meaning.

use crate::draw::Draws;

/// Where the number of an operation stands in its phrase and in its line.
const HOLE: &str = "{k}";

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    KeepEven,
    KeepOdd,
    KeepAbove,
    KeepBelow,
    DropMultiples,
    Multiply,
    Add,
    Square,
    Reverse,
    Ascending,
    Descending,
    Unique,
    TakeFirst,
    DropFirst,
    RunningSums,
}

use Kind::*;

const ALL: [Kind; 15] = [
    KeepEven,
    KeepOdd,
    KeepAbove,
    KeepBelow,
    DropMultiples,
    Multiply,
    Add,
    Square,
    Reverse,
    Ascending,
    Descending,
    Unique,
    TakeFirst,
    DropFirst,
    RunningSums,
];

impl Kind {
    fn phrase(self) -> &'static str {
        match self {
            KeepEven => "keep only the even numbers",
            KeepOdd => "keep only the odd numbers",
            KeepAbove => "keep only the numbers greater than {k}",
            KeepBelow => "keep only the numbers less than {k}",
            DropMultiples => "remove every multiple of {k}",
            Multiply => "multiply every number by {k}",
            Add => "add {k} to every number",
            Square => "square every number",
            Reverse => "reverse the list",
            Ascending => "sort the numbers in ascending order",
            Descending => "sort the numbers in descending order",
            Unique => "remove duplicates, keeping the first of each",
            TakeFirst => "keep only the first {k} numbers",
            DropFirst => "drop the first {k} numbers",
            RunningSums => {
                "replace every number by the sum of all numbers up to it, itself included"
            }
        }
    }

    fn code(self) -> &'static str {
        match self {
            KeepEven => "xs = [x for x in xs if x % 2 == 0]",
            KeepOdd => "xs = [x for x in xs if x % 2 == 1]",
            KeepAbove => "xs = [x for x in xs if x > {k}]",
            KeepBelow => "xs = [x for x in xs if x < {k}]",
            DropMultiples => "xs = [x for x in xs if x % {k} != 0]",
            Multiply => "xs = [x * {k} for x in xs]",
            Add => "xs = [x + {k} for x in xs]",
            Square => "xs = [x * x for x in xs]",
            Reverse => "xs = xs[::-1]",
            Ascending => "xs = sorted(xs)",
            Descending => "xs = sorted(xs, reverse=True)",
            Unique => "xs = list(dict.fromkeys(xs))",
            TakeFirst => "xs = xs[:{k}]",
            DropFirst => "xs = xs[{k}:]",
            RunningSums => "xs = [sum(xs[:i + 1]) for i in range(len(xs))]",
        }
    }

    /// Smallest and largest number drawn for it.
    fn range(self) -> (i64, i64) {
        match self {
            KeepAbove => (-2, 6),
            KeepBelow => (6, 15),
            DropMultiples => (3, 5),
            Multiply => (2, 9),
            Add => (1, 12),
            TakeFirst => (2, 5),
            DropFirst => (1, 3),
            KeepEven | KeepOdd | Square | Reverse | Ascending | Descending | Unique
            | RunningSums => (0, 0),
        }
    }

    /// What it is confused with.
    fn twin(self) -> Option<Self> {
        match self {
            KeepEven => Some(KeepOdd),
            KeepOdd => Some(KeepEven),
            KeepAbove => Some(KeepBelow),
            KeepBelow => Some(KeepAbove),
            Ascending => Some(Descending),
            Descending => Some(Ascending),
            TakeFirst => Some(DropFirst),
            DropFirst => Some(TakeFirst),
            Reverse => Some(Descending),
            Multiply => Some(Add),
            Add => Some(Multiply),
            DropMultiples | Square | Unique | RunningSums => None,
        }
    }
}

/// One operation, with its number where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Op {
    kind: Kind,
    k: i64,
}

impl Op {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let kind = *draws.pick(&ALL);
        let (low, high) = kind.range();
        Self { kind, k: draws.between(low, high) }
    }

    pub(super) fn is_square(self) -> bool {
        self.kind == Square
    }

    pub(super) fn phrase(self) -> String {
        self.kind.phrase().replace(HOLE, &self.k.to_string())
    }

    pub(super) fn code(self) -> String {
        self.kind.code().replace(HOLE, &self.k.to_string())
    }

    pub(super) fn read_phrase(text: &str) -> Option<Self> {
        Self::read(text, Kind::phrase)
    }

    pub(super) fn read_code(line: &str) -> Option<Self> {
        Self::read(line, Kind::code)
    }

    fn read(text: &str, template: fn(Kind) -> &'static str) -> Option<Self> {
        ALL.into_iter().find_map(|kind| {
            let k = match template(kind).split_once(HOLE) {
                None => (text == template(kind)).then_some(0),
                Some((before, behind)) => {
                    let number = text.strip_prefix(before)?.strip_suffix(behind)?;
                    // Python reads other spellings too; only its usual one is known here.
                    number.parse::<i64>().ok().filter(|k| k.to_string() == number)
                }
            };
            // Slices with numbers below 0 mean something else, multiples of 0 nothing.
            let low = match kind {
                TakeFirst | DropFirst => 0,
                DropMultiples => 1,
                KeepEven | KeepOdd | KeepAbove | KeepBelow | Multiply | Add | Square | Reverse
                | Ascending | Descending | Unique | RunningSums => i64::MIN,
            };
            k.filter(|k| *k >= low).map(|k| Self { kind, k })
        })
    }

    /// A plausible confusion: its twin, or its number off by one.
    pub(super) fn slipped(self, draws: &mut Draws) -> Option<Self> {
        let (low, high) = self.kind.range();
        let has_number = low != high;
        match self.kind.twin() {
            Some(kind) if !has_number || draws.chance(0.5) => Some(Self { kind, ..self }),
            _ if has_number => {
                let by = if draws.chance(0.5) { 1 } else { -1 };
                Some(Self { k: (self.k + by).max(low.max(1)), ..self })
            }
            _ => None,
        }
    }

    /// The list after it, as Python would have it; `None` when a number grows too large.
    pub(super) fn apply(self, xs: &[i64]) -> Option<Vec<i64>> {
        let k = self.k;
        let keep = |wanted: &dyn Fn(i64) -> bool| {
            Some(xs.iter().copied().filter(|x| wanted(*x)).collect())
        };
        let count = usize::try_from(k).unwrap_or(0).min(xs.len());
        match self.kind {
            KeepEven => keep(&|x| x.rem_euclid(2) == 0),
            KeepOdd => keep(&|x| x.rem_euclid(2) == 1),
            KeepAbove => keep(&|x| x > k),
            KeepBelow => keep(&|x| x < k),
            DropMultiples => keep(&|x| x.checked_rem_euclid(k) != Some(0)),
            Multiply => xs.iter().map(|x| x.checked_mul(k)).collect(),
            Add => xs.iter().map(|x| x.checked_add(k)).collect(),
            Square => xs.iter().map(|x| x.checked_mul(*x)).collect(),
            Reverse => Some(xs.iter().rev().copied().collect()),
            Ascending | Descending => {
                let mut sorted = xs.to_vec();
                sorted.sort_unstable();
                if self.kind == Descending {
                    sorted.reverse();
                }
                Some(sorted)
            }
            Unique => {
                let first = |at: &usize| !xs[..*at].contains(&xs[*at]);
                Some((0..xs.len()).filter(first).map(|at| xs[at]).collect())
            }
            TakeFirst => Some(xs[..count].to_vec()),
            DropFirst => Some(xs[count..].to_vec()),
            RunningSums => {
                let mut sum = 0_i64;
                let sums = xs.iter().map(|x| {
                    sum = sum.checked_add(*x)?;
                    Some(sum)
                });
                sums.collect()
            }
        }
    }
}
