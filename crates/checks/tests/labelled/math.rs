//! Mathematics: numbers, surds, expressions, collections, each right and wrong.

use crate::{Case, Draws, Kind};
use serde_json::json;

/// Expected, found, whether it is right, whether it is tricky.
type Pair = (String, String, bool, Kind);

pub(crate) fn cases(draws: &mut Draws) -> Vec<Case> {
    let mut pairs = Vec::new();
    for _ in 0..12 {
        whole(draws, &mut pairs);
        fractions(draws, &mut pairs);
        surds(draws, &mut pairs);
        polynomials(draws, &mut pairs);
        collections(draws, &mut pairs);
        intervals(draws, &mut pairs);
    }
    cheats(&mut pairs);
    hard(&mut pairs);
    let case = |(expected, found, right, kind): Pair| {
        let check = json!({"type": "math.answer", "expected": expected});
        Case::of(&check, draws.marked(&found), right, kind)
    };
    pairs.into_iter().map(case).collect()
}

fn add(pairs: &mut Vec<Pair>, expected: impl ToString, right: &[String], wrong: &[String]) {
    let expected = expected.to_string();
    for (found, is_right) in right.iter().map(|f| (f, true)).chain(wrong.iter().map(|f| (f, false)))
    {
        let plain = *found == expected || found.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let kind = if plain { Kind::Plain } else { Kind::Tricky };
        pairs.push((expected.clone(), found.clone(), is_right, kind));
    }
}

fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let (head, tail) = digits.split_at(digits.len() - 3);
    format!("{head},{tail}")
}

fn whole(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    let n = draws.int(2, 997);
    let (k, big) = (draws.int(2, 40), draws.int(1_000, 999_999));
    add(
        pairs,
        n,
        &[
            n.to_string(),
            format!("{n}.0"),
            format!("{} + {k}", n - k),
            format!("\\frac{{{}}}{{{k}}}", n * k),
            format!("x = {n}"),
            format!("{n}\\text{{ cm}}"),
            format!("\\${n}.00"),
            format!("\\sqrt{{{}}}", n * n),
            format!("{n}00\\%"),
        ],
        &[
            (n + 1).to_string(),
            (n - 1).to_string(),
            (-n).to_string(),
            format!("{n}0"),
            format!("{n}\\%"),
            format!("{n} + {k}"),
            format!("{n}.{k}"),
            format!("{n} \\text{{ or }} {}", n + k),
            format!("{n}, {}", n + k),
            format!("\\frac{{{n}}}{{{k}}}"),
        ],
    );
    add(pairs, big, &[thousands(big), big.to_string()], &[thousands(big + 1), format!("{big}000")]);
}

fn fractions(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    // In lowest terms.
    let (p, q) = *draws.pick(&[(1, 3), (2, 7), (5, 6), (4, 9), (7, 11), (3, 13)]);
    let k = draws.int(2, 9);
    let digits = p * 1_000_000 / q;
    add(
        pairs,
        format!("\\frac{{{p}}}{{{q}}}"),
        &[
            format!("{p}/{q}"),
            format!("\\dfrac{{{}}}{{{}}}", p * k, q * k),
            format!("1 - \\frac{{{}}}{{{q}}}", q - p),
            format!("\\frac{{{p}}}{{{q}}}\\%\\cdot 100"),
            format!("{p} \\div {q}"),
        ],
        &[
            format!("\\frac{{{q}}}{{{p}}}"),
            format!("-\\frac{{{p}}}{{{q}}}"),
            format!("\\frac{{{p}}}{{{}}}", q + 1),
            format!("0.{}", digits / 10_000 + 1),
            format!("{p}{q}"),
        ],
    );
    // A value that decimals reach, and percents.
    let cents = draws.int(1, 99);
    add(
        pairs,
        format!("0.{cents:02}"),
        &[
            format!("{cents}\\%"),
            format!("{cents}%"),
            format!("\\frac{{{cents}}}{{100}}"),
            format!("0.{cents:02}0"),
            format!(".{cents:02}"),
            format!("{cents}e-2"),
        ],
        &[
            cents.to_string(),
            format!("0.{cents:02}\\%"),
            format!("0.{cents:02}1"),
            format!("{cents}.0"),
        ],
    );
    let w = draws.int(2, 30);
    add(
        pairs,
        format!("\\frac{{{}}}{{{q}}}", w * q + p),
        &[
            format!("{w}\\frac{{{p}}}{{{q}}}"),
            format!("{w} {p}/{q}"),
            format!("{w}+\\frac{p}{{{q}}}"),
        ],
        &[format!("{w}\\frac{{{p}}}{{{}}}", q + 1), format!("-{w}\\frac{{{p}}}{{{q}}}")],
    );
}

fn surds(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    let b = *draws.pick(&[2, 3, 5, 6, 7, 10, 11]);
    let (a, c) = (draws.int(2, 9), draws.int(2, 9));
    add(
        pairs,
        format!("{a}\\sqrt{{{b}}}"),
        &[
            format!("\\sqrt{{{}}}", a * a * b),
            format!(
                "\\sqrt{b}\\cdot {a}",
                b = if b < 10 { b.to_string() } else { format!("{{{b}}}") }
            ),
            format!("\\frac{{{}}}{{\\sqrt{{{b}}}}}", a * b),
            format!("{a}*{b}^(1/2)"),
            format!("{a}\\sqrt{{{b}}} + 0"),
            format!("\\frac{{{}\\sqrt{{{b}}}}}{{{c}}}", a * c),
        ],
        &[
            format!("\\sqrt{{{}}}", a * b),
            format!("{a}\\sqrt{{{}}}", b + 1),
            format!("{}\\sqrt{{{b}}}", a + 1),
            format!("-{a}\\sqrt{{{b}}}"),
            format!("{}", a * b),
            format!("{a}\\sqrt[3]{{{b}}}"),
            format!("{a}\\sqrt{{{b}}} + 10^{{-60}}"),
        ],
    );
    add(
        pairs,
        format!("\\frac{{{a}\\pi}}{{{c}}}"),
        &[
            format!("{a}\\pi/{c}"),
            format!("\\frac{{{a}}}{{{c}}}\\pi"),
            format!("{a}π/{c}"),
            format!("{}\\arctan(1) / {c}", 4 * a),
        ],
        &[
            format!("\\frac{{{a}\\pi}}{{{}}}", c + 1),
            format!("\\frac{{{a}}}{{{c}}}"),
            format!("\\frac{{{a} \\cdot 22}}{{{c}\\cdot 7}}"),
            format!("\\frac{{{a}e}}{{{c}}}"),
        ],
    );
    add(
        pairs,
        format!("{a}^{{{}}}", c + 20),
        &[format!("{a} \\cdot {a}^{{{}}}", c + 19), format!("e^{{{}\\ln {a}}}", c + 20)],
        &[format!("{a}^{{{}}} + 1", c + 20), format!("{a}^{{{}}}", c + 21)],
    );
}

fn polynomials(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    let (a, b, c) = (draws.int(1, 9), draws.int(1, 9), draws.int(2, 6));
    add(
        pairs,
        format!("x^2 + {}x + {}", a + b, a * b),
        &[
            format!("(x+{a})(x+{b})"),
            format!("{} + {}x + x^2", a * b, a + b),
            format!("x(x + {}) + {}", a + b, a * b),
            format!("\\frac{{{c}x^2 + {}x + {}}}{{{c}}}", c * (a + b), c * a * b),
            format!("f(x) = (x+{b})(x+{a})"),
        ],
        &[
            format!("(x+{a})(x-{b})"),
            format!("x^2 + {}x + {}", a + b, a * b + 1),
            format!("x^2 + {}x + {}", a + b + 1, a * b),
            format!("x^3 + {}x + {}", a + b, a * b),
            format!("(x+{a})(x+{b}) + 2305843009213693921"),
            format!("(y+{a})(y+{b})"),
        ],
    );
    add(
        pairs,
        format!("\\frac{{1}}{{x+{a}}}"),
        &[
            format!("(x+{a})^{{-1}}"),
            format!("\\frac{{x+{a}}}{{x^2+{}x+{}}}", 2 * a, a * a),
            format!("1/(x+{a})"),
        ],
        &[
            format!("\\frac{{1}}{{x-{a}}}"),
            format!("\\frac1x+{a}"),
            format!("\\frac{{-1}}{{x+{a}}}"),
        ],
    );
    add(
        pairs,
        format!("{a} + {b}i"),
        &[format!("{b}i + {a}"), format!("{a} - \\frac{{{b}}}{{i}}")],
        &[format!("{a} - {b}i"), format!("{b} + {a}i + i")],
    );
}

fn collections(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    let a = draws.int(-20, 20);
    let (b, c) = (a + draws.int(1, 9), a + draws.int(10, 19));
    add(
        pairs,
        format!("({a}, {b})"),
        &[format!("({a},{b})"), format!("\\left({a}.0, \\frac{{{}}}{{2}}\\right)", 2 * b)],
        &[format!("({b}, {a})"), format!("({a}, {c})"), format!("({a}, {b}, {c})"), a.to_string()],
    );
    add(
        pairs,
        format!("\\{{{a}, {b}, {c}\\}}"),
        &[
            format!("\\{{{c}, {a}, {b}\\}}"),
            format!("{{{b}, {c}, {a}}}"),
            format!("{b}, {a}, {c}"),
            format!("x = {c}, x = {b} \\text{{ or }} x = {a}"),
        ],
        &[
            format!("\\{{{a}, {b}\\}}"),
            format!("\\{{{a}, {b}, {}\\}}", c + 1),
            format!("\\{{{a}, {b}, {c}, 100\\}}"),
            b.to_string(),
        ],
    );
    let d = draws.int(2, 9);
    add(
        pairs,
        format!("{a} \\pm \\sqrt{{{d}}}"),
        &[format!("\\{{{a} - \\sqrt{{{d}}}, {a} + \\sqrt{{{d}}}\\}}")],
        &[
            format!("{a} + \\sqrt{{{d}}}"),
            format!("{a} \\pm \\sqrt{{{}}}", d + 1),
            format!("{} \\pm \\sqrt{{{d}}}", a + 1),
        ],
    );
}

fn intervals(draws: &mut Draws, pairs: &mut Vec<Pair>) {
    let a = draws.int(-20, 20);
    let b = a + draws.int(1, 9);
    add(
        pairs,
        format!("[{a}, {b})"),
        &[
            format!("{a} \\le x < {b}"),
            format!("{b} > x \\ge {a}"),
            format!("\\left[{a},{b}\\right)"),
        ],
        &[
            format!("({a}, {b}]"),
            format!("[{a}, {b}]"),
            format!("({a}, {b})"),
            format!("{a} < x < {b}"),
            format!("[{a}, {})", b + 1),
        ],
    );
    add(
        pairs,
        format!("(-\\infty, {a}) \\cup ({b}, \\infty)"),
        &[
            format!("x < {a} \\text{{ or }} x > {b}"),
            format!("({b}, \\infty) \\cup (-\\infty, {a})"),
        ],
        &[
            format!("({a}, {b})"),
            format!("x < {a}"),
            format!("(-\\infty, {a}] \\cup [{b}, \\infty)"),
            format!("x > {a} \\text{{ or }} x > {b}"),
        ],
    );
    add(
        pairs,
        format!("y = {b}x + {a}"),
        &[format!("{b}x - y + {a} = 0"), format!("y = {a} + {b}x")],
        &[format!("y = {b}x - {}", a + 50), format!("y = {}x + {a}", b + 50)],
    );
}

fn cheats(pairs: &mut Vec<Pair>) {
    for found in [
        "the reference",
        "x",
        "\\text{any}",
        "42 \\text{ or any other number}",
        "\\frac{0}{0}",
        "\\infty",
        "\\emptyset",
        "\\{41, 42, 43\\}",
        "[0, 100]",
        "\\pm 42",
        "0 \\cdot x + 43",
        "42.0000000000000000000000001",
        "42 + 10^{-100}",
        "42 + 2305843009213693921",
        "42 + 2305843009213693921 \\cdot 2305843009213693693",
        "\\boxed{41} or \\boxed{42}",
        "\\text{not } 42",
        "42 \\neq x",
        "x > 41",
        "41 < x < 43",
        "n",
        "9^{9^{9^9}}",
    ] {
        pairs.push(("42".into(), found.into(), false, Kind::Tricky));
    }
}

/// What is right and hard to see, and what is wrong and looks right.
fn hard(pairs: &mut Vec<Pair>) {
    for (expected, found, right) in [
        ("5", "five", true),
        ("10", "\\binom{5}{2}", true),
        ("\\frac13", "0.\\overline{3}", true),
        ("5", "101_2", true),
        ("\\frac12", "\\sin 30^\\circ", true),
        ("2", "\\lfloor 2.5 \\rfloor", true),
        ("1, 2", "2, 1", true),
        ("\\{5\\}", "5", true),
        ("2:5", "4:10", true),
        ("\\frac{x}{2}", "1/2x", true),
        ("100\\text{ cm}", "1\\text{ m}", true),
        ("2^{10000}", "4^{5000}", true),
        ("(-1)^n", "\\cos(\\pi n)", true),
        ("2i", "\\sqrt{-4}", true),
        ("\\ln 2", "\\frac12 \\ln 4", true),
        ("\\cos 2\\theta", "1 - 2\\sin^2\\theta", true),
        ("\\text{even}", "even", true),
        ("x^2 y", "y x^2", true),
        ("\\frac{1}{\\sqrt2+1}", "\\sqrt2 - 1", true),
        ("n(n+1)/2", "\\sum_{k=1}^n k", true),
        ("12:30", "6:15", false),
        ("2024-01-02", "2021", false),
        ("5\\text{ m}", "5\\text{ cm}", false),
        ("5\\text{ m}", "5\\text{ m}^2", false),
        ("\\text{even}", "odd", false),
        ("no", "on", false),
        ("0.1", "10", false),
        ("10", "10\\%", false),
        ("\\frac13", "0.33", false),
        ("50000000000000000", "50000000000000001", false),
        ("\\sqrt{x^2}", "x", false),
        ("\\ln x^2", "\\ln 2x", false),
        ("101_2", "101", false),
    ] {
        pairs.push((expected.into(), found.into(), right, Kind::Tricky));
    }
}
