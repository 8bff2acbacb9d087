//! Programs in answers: which one an answer gives, and what it is to be held against.
//!
//! Nothing is run here: a verifier has a sandbox for that.

use crate::{SpecError, final_answer};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::ops::RangeInclusive;

/// Cases of one check, each of which starts a process.
pub const TESTS_MAX: usize = 100;
/// Bytes of a function's name.
const NAME_BYTES_MAX: usize = 100;
/// Most of each limit: a check must end within its run's time, and beside others.
const CPU_MS: RangeInclusive<u64> = 10..=60_000;
const WALL_MS: RangeInclusive<u64> = 10..=120_000;
const MEMORY_BYTES: RangeInclusive<u64> = 32 << 20..=4 << 30;

/// Cases that a program is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeTests {
    /// The cases, in order.
    pub tests: Vec<CodeTest>,
    /// What counts as equal.
    #[serde(default)]
    pub comparator: Comparator,
    /// The function, or method of `Solution`, that is called: an input is one JSON value a
    /// line, each an argument, and what is expected is a JSON value. Without it, the program
    /// reads its standard input and writes to its standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// For each case.
    #[serde(default)]
    pub limits: CodeLimits,
    /// Import what programs for LiveCodeBench may rely on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imports: bool,
    /// Whether who tries again is told what was expected: for tests that the question shows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tell: bool,
}

/// Inputs on which programs are compared with each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeInputs {
    /// What the programs are given, one after the other.
    pub inputs: Vec<String>,
    /// As of [`CodeTests`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// For each input.
    #[serde(default)]
    pub limits: CodeLimits,
    /// As of [`CodeTests`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imports: bool,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeTest {
    /// What the program is given.
    pub input: String,
    /// What it should answer. It is compared outside of the sandbox, and never in it.
    pub expected: String,
}

/// What counts as equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Comparator {
    /// As LiveCodeBench: the same lines, or lines of the same exact decimals; Python's `==`.
    #[default]
    Lcb,
    /// The same text but for a last line end; the same JSON.
    Exact,
    /// As `lcb`, with numbers within either distance.
    Float {
        /// Of the numbers.
        absolute: f64,
        /// As a part of the expected number's size.
        relative: f64,
    },
}

/// What a program may use for one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeLimits {
    /// Of the processor.
    pub cpu_ms: u64,
    /// From its start to its end.
    pub wall_ms: u64,
    /// Of its address space.
    pub memory_bytes: u64,
}

impl Default for CodeLimits {
    /// LiveCodeBench's six seconds, and room for what its problems ask for.
    fn default() -> Self {
        Self { cpu_ms: 6_000, wall_ms: 12_000, memory_bytes: 1 << 30 }
    }
}

impl CodeTests {
    /// Whether programs can be held against them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn are_sensible(&self) -> Result<(), SpecError> {
        let Self { tests, comparator, function, limits, .. } = self;
        if !(1..=TESTS_MAX).contains(&tests.len()) {
            let message = format!("{} tests: expected 1 to {TESTS_MAX}", tests.len());
            return Err(SpecError::new("tests", message));
        }
        comparator.is_sensible()?;
        limits.are_sensible()?;
        let Some(function) = function else { return Ok(()) };
        is_name(function)?;
        for (number, test) in (1..).zip(tests) {
            are_arguments("tests", &format!("input of test {number}"), &test.input)?;
            is_json("tests", &format!("what test {number} expects"), &test.expected)?;
        }
        Ok(())
    }
}

impl CodeInputs {
    /// Whether programs can be given them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn are_sensible(&self) -> Result<(), SpecError> {
        let Self { inputs, function, limits, imports: _ } = self;
        if !(1..=TESTS_MAX).contains(&inputs.len()) {
            let message = format!("{} inputs: expected 1 to {TESTS_MAX}", inputs.len());
            return Err(SpecError::new("inputs", message));
        }
        limits.are_sensible()?;
        let Some(function) = function else { return Ok(()) };
        is_name(function)?;
        (1..).zip(inputs).try_for_each(|(number, input)| {
            are_arguments("inputs", &format!("input {number}"), input)
        })
    }
}

impl Comparator {
    fn is_sensible(self) -> Result<(), SpecError> {
        let Self::Float { absolute, relative } = self else { return Ok(()) };
        let distance = |number: f64| number.is_finite() && number >= 0.0;
        if distance(absolute) && distance(relative) {
            return Ok(());
        }
        let message = format!("{absolute} and {relative}: a distance is 0 or more");
        Err(SpecError::new("comparator", message))
    }
}

impl CodeLimits {
    fn are_sensible(self) -> Result<(), SpecError> {
        let Self { cpu_ms, wall_ms, memory_bytes } = self;
        for (name, value, range) in [
            ("cpu_ms", cpu_ms, CPU_MS),
            ("wall_ms", wall_ms, WALL_MS),
            ("memory_bytes", memory_bytes, MEMORY_BYTES),
        ] {
            if !range.contains(&value) {
                let (low, high) = range.into_inner();
                let message = format!("{name} is {value}: expected {low} to {high}");
                return Err(SpecError::new("limits", message));
            }
        }
        if wall_ms < cpu_ms {
            let message = format!("wall_ms, {wall_ms}, is less than cpu_ms, {cpu_ms}");
            return Err(SpecError::new("limits", message));
        }
        Ok(())
    }
}

/// A name that Python can define.
fn is_name(name: &str) -> Result<(), SpecError> {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|c| c == '_' || c.is_alphabetic());
    if starts && letters.all(|c| c == '_' || c.is_alphanumeric()) && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let message = format!("{name:?} is no name of a function");
    Err(SpecError::new("function", message))
}

/// A JSON value a line, each an argument.
fn are_arguments(field: &'static str, what: &str, lines: &str) -> Result<(), SpecError> {
    let lines = lines.split('\n').filter(|line| !line.trim().is_empty());
    lines.into_iter().try_for_each(|line| is_json(field, what, line))
}

fn is_json(field: &'static str, what: &str, text: &str) -> Result<(), SpecError> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        let shown = final_answer::shown(text);
        SpecError::new(field, format!("{what}: {shown} is not JSON: {error}"))
    })
}

/// The program that an answer gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its source.
    pub source: String,
    /// Whether it stood in a block. Else it is the whole answer, which may be no program.
    pub fenced: bool,
}

impl Program {
    /// The last block fenced as Python; without one, the last that is fenced as nothing; the
    /// whole answer if it has no block at all. A block whose end is missing ends with the
    /// answer.
    pub fn of(answer: &str) -> Option<Self> {
        let blocks = blocks(answer);
        let whole = blocks.is_empty().then(|| answer.to_owned());
        let last = |languages: &[&str]| {
            let of = |block: &&Block| languages.contains(&block.language.as_str());
            blocks.iter().rev().filter(of).find(|block| !block.text.trim().is_empty())
        };
        let block = last(&["python", "python3", "py"]).or_else(|| last(&[""]));
        let fenced = block.map(|block| Self { source: block.text.clone(), fenced: true });
        let whole = whole.filter(|text| !text.trim().is_empty());
        fenced.or_else(|| whole.map(|source| Self { source, fenced: false }))
    }
}

struct Block {
    language: String,
    text: String,
}

/// A line that opens or closes a block: how far it is indented, its mark and how many of
/// them, and what stands behind.
fn fence(line: &str) -> Option<(usize, char, usize, &str)> {
    let bare = line.trim_start();
    let mark = bare.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let behind = bare.trim_start_matches(mark);
    let marks = bare.len() - behind.len();
    let inline = mark == '`' && behind.contains('`');
    (marks >= 3 && !inline).then(|| (line.len() - bare.len(), mark, marks, behind.trim()))
}

/// All fenced blocks, in order, without the indentation of their fences.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((indent, mark, marks, info)) = fence(line) else { continue };
        let word = info.split(|c: char| c.is_whitespace() || c == ',').find(|w| !w.is_empty());
        let word = word.unwrap_or_default().trim_matches(['{', '}', '.']);
        let mut block = Block { language: word.to_lowercase(), text: String::new() };
        for line in lines.by_ref() {
            let closes = |(_, other, count, behind): (usize, char, usize, &str)| {
                other == mark && count >= marks && behind.is_empty()
            };
            if fence(line).is_some_and(closes) {
                break;
            }
            let spaces = line.bytes().take(indent).take_while(u8::is_ascii_whitespace).count();
            block.text.push_str(&line[spaces..]);
            block.text.push('\n');
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Check;
    use proptest::prelude::*;

    fn check(answer: &str, source: &str) {
        let code = Program::of(answer).unwrap_or(Program { source: "none".into(), fenced: true });
        assert_eq!(code.source.trim_end(), source, "{answer:?}");
        assert_eq!(code.fenced, source != answer, "{answer:?}");
    }

    #[test]
    fn the_last_block_of_python_is_the_program() {
        check("```python\na = 1\n```\nor\n```python\na = 2\n```\nas in\n```\n2\n```", "a = 2");
        check("```\na = 1\n```", "a = 1");
        check("```js\nlet a\n```\n```\na = 1\n```", "a = 1");
        check("```js\nlet a\n```", "none");
        check("```Python3 title=x\na = 1\n```", "a = 1");
        check("~~~{.python}\na = 1\n```\n~~~", "a = 1\n```");
        check("````py\na = '''\n```\n'''\n````", "a = '''\n```\n'''");
        check("1. So:\n   ```python\n   if a:\n       b\n   ```", "if a:\n    b");
        check("```python\na = 1\n```\n```python\n\n```", "a = 1");
        check("```python\na = 1\nb =", "a = 1\nb =");
        check("say ```a``` and\n```python\na\n```", "a");
        check("print(1)", "print(1)");
        check("", "none");
    }

    fn told(more: &str, expected: &str) {
        let json = format!(r#"{{"type": "code.tests", {more}}}"#);
        let told = match Check::read(&json).and_then(Check::usable) {
            Ok(_) => "ok".into(),
            Err(error) => format!("{}: {error}", error.field),
        };
        assert!(told.starts_with(expected), "{json}: {told}");
    }

    #[test]
    fn what_is_wrong_with_tests_is_said_before_anything_is_run() {
        let one = r#""tests": [{"input": "1\n[2]", "expected": "3"}]"#;
        told(one, "ok");
        told(&format!(r#"{one}, "function": "solve", "tell": true, "imports": true"#), "ok");
        told(&format!(r#"{one}, "comparator": "exact", "limits": {{"cpu_ms": 500}}"#), "ok");
        let float = r#""comparator": {"float": {"absolute": 1e-6, "relative": 0}}"#;
        told(&format!("{one}, {float}"), "ok");
        told(r#""tests": []"#, "tests: 0 tests: expected 1 to 100");
        let many = vec![r#"{"input": "", "expected": ""}"#; 101].join(", ");
        told(&format!(r#""tests": [{many}]"#), "tests: 101 tests");
        told(r#""tests": [{"input": "1"}]"#, ": missing field `expected`");
        told(&format!(r#"{one}, "functions": 1"#), ": unknown field `functions`");
        told(&format!(r#"{one}, "function": "a.b""#), "function: \"a.b\" is no name");
        told(&format!(r#"{one}, "function": """#), "function: \"\" is no name");
        told(&format!(r#"{one}, "comparator": "near""#), ": unknown variant `near`");
        let float = r#""comparator": {"float": {"absolute": -1, "relative": 0}}"#;
        told(&format!("{one}, {float}"), "comparator: -1 and 0: a distance");
        told(&format!(r#"{one}, "limits": {{"cpu_ms": 61000}}"#), "limits: cpu_ms is 61000");
        told(&format!(r#"{one}, "limits": {{"cpu_ms": 20000}}"#), "limits: wall_ms, 12000, is");
        told(&format!(r#"{one}, "limits": {{"files": 1}}"#), ": unknown field `files`");
        let bad = r#""tests": [{"input": "x", "expected": "1"}], "function": "f""#;
        told(bad, "tests: input of test 1: \"x\" is not JSON");
        let bad = r#""tests": [{"input": "1", "expected": "x"}], "function": "f""#;
        told(bad, "tests: what test 1 expects: \"x\" is not JSON");
    }

    #[test]
    fn tests_travel_as_json() {
        let json = r#"{"type":"code.tests","tests":[{"input":"1","expected":"2"}],"comparator":{"float":{"absolute":0.5,"relative":0.0}},"limits":{"cpu_ms":6000,"wall_ms":12000,"memory_bytes":1073741824},"tell":true}"#;
        assert_eq!(serde_json::to_string(&Check::read(json).unwrap()).unwrap(), json);
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(answer in "([`~]{1,4}|python|\n|[a-zé =()]| {1,3})*") {
            Program::of(&answer);
        }
    }
}
