//! Finding the final answer in a reply, and bringing texts into one form.

use std::borrow::Cow;

/// How many `\boxed{` are tried, from the last one, until one that is closed.
const BOXES_TRIED_MAX: usize = 8;

/// What a reply says in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Final<'a> {
    /// The final answer, without what marks it.
    pub(crate) text: Cow<'a, str>,
    /// Whether it stood in a place for final answers; else it is the whole reply.
    pub(crate) marked: bool,
}

/// The final answer: what stands behind the last `Answer:` or `answer is`, or in the last
/// `\boxed{}`, or else the whole text. Several boxes side by side are one answer, a list:
/// who gives two answers did not decide for one.
pub(crate) fn final_answer(reply: &str) -> Final<'_> {
    let labelled = last_labelled(reply);
    let boxed = last_boxed(reply);
    let marked = |text| Final { text, marked: true };
    match (labelled, boxed) {
        (Some((at, _)), Some((boxed_at, boxed))) if boxed_at >= at => marked(boxed),
        (Some((_, text)), _) => marked(Cow::Borrowed(text)),
        (None, Some((_, boxed))) => marked(boxed),
        (None, None) => Final { text: Cow::Borrowed(reply.trim()), marked: false },
    }
}

/// Where the last line with a label is, and what stands behind it.
fn last_labelled(reply: &str) -> Option<(usize, &str)> {
    let mut found = None;
    let mut at = 0;
    for line in reply.split_inclusive('\n') {
        if let Some(text) = behind_label(line) {
            found = Some((at, text));
        }
        at += line.len();
    }
    found
}

/// `Answer: 4`, `**Final answer:** 4`, `so the answer is 4. It is even.`
fn behind_label(line: &str) -> Option<&str> {
    let bare = line.trim().trim_start_matches(['*', '#', '_', '>', ' ']);
    let lower = bare.to_ascii_lowercase();
    let label = ["final answer", "answer"].into_iter().find(|label| lower.starts_with(label));
    let behind = label.and_then(|label| {
        bare[label.len()..].trim_start_matches(['*', '_', ' ']).strip_prefix(':')
    });
    let text = behind.or_else(|| {
        const SAID: &str = "answer is";
        let rest = &bare[lower.rfind(SAID)? + SAID.len()..];
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        // The rest of its sentence.
        rest.starts_with([' ', '*', '\\', '$']).then(|| rest.split(". ").next().unwrap_or(rest))
    })?;
    let text = bare_of_emphasis(text);
    (!text.is_empty()).then_some(text)
}

/// Without the marks of emphasis around it. A star alone may be an operator.
fn bare_of_emphasis(text: &str) -> &str {
    text.trim().trim_matches(['*', '_', '`']).trim()
}

/// Where the last `\boxed{…}` is, and what is in it, braces matched, with the boxes beside.
fn last_boxed(reply: &str) -> Option<(usize, Cow<'_, str>)> {
    const OPEN: &str = "\\boxed{";
    let mut until = reply.len();
    for _ in 0..BOXES_TRIED_MAX {
        let at = reply[..until].rfind(OPEN)?;
        let Some(inside) = matched(&reply[at + OPEN.len()..]) else {
            until = at;
            continue;
        };
        let line = reply[..at].rfind('\n').map_or(0, |end| end + 1);
        let mut boxes = vec![inside.trim()];
        let mut first = at;
        for _ in 0..BOXES_TRIED_MAX {
            let Some(before) = reply[line..first].rfind(OPEN).map(|place| line + place) else {
                break;
            };
            let Some(text) = matched(&reply[before + OPEN.len()..first]) else { break };
            let between = &reply[before + OPEN.len() + text.len() + 1..first];
            if !separates(between) {
                break;
            }
            boxes.insert(0, text.trim());
            first = before;
        }
        let text = match boxes.as_slice() {
            [one] => Cow::Borrowed(*one),
            more => Cow::Owned(more.join(", ")),
        };
        return Some((at, text));
    }
    None
}

fn separates(between: &str) -> bool {
    let word = between.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    ["", "or", "and"].contains(&word.as_str())
}

/// What stands before the brace that closes.
fn matched(inside: &str) -> Option<&str> {
    let mut depth = 1_usize;
    for (place, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inside[..place]);
        }
    }
    None
}

/// One form for one meaning: case, white space, surrounding marks, `\text{}` around it and
/// a last full stop do not matter.
pub(crate) fn normal(answer: &str) -> String {
    let folded: Vec<_> = answer.split_whitespace().collect();
    let folded = folded.join(" ").to_lowercase();
    let mut text = folded.as_str();
    loop {
        let before = text;
        text = text.trim_matches(['$', '`', '"', '\'', '*', ' ']).trim_end_matches('.');
        for wrapper in ["\\text{", "\\textbf{", "\\mathrm{", "\\mbox{"] {
            let inside = text.strip_prefix(wrapper).and_then(|text| text.strip_suffix('}'));
            text = inside.filter(|inside| !inside.contains(['{', '}'])).unwrap_or(text);
        }
        if text == before {
            return text.to_owned();
        }
    }
}

/// A text as it is shown in feedback: one line, not long, no control characters.
pub fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = clean.take(CHARS_MAX).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_answer_is_the_final_one() {
        for (reply, answer) in [
            ("Answer: 3\nno, wait.\n**Answer:** 4", "4"),
            ("so \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
            ("Final answer: Paris.", "Paris."),
            ("The final answer is $42$. That is even. Good.", "$42$"),
            ("The answer is 3.5", "3.5"),
            ("Answer: 3, that is \\boxed{5}", "5"),
            ("\\boxed{41} or \\boxed{42}", "41, 42"),
            ("\\boxed{41}, no:\n\\boxed{42}", "42"),
            ("first \\boxed{41}, better \\boxed{42}", "42"),
            ("\\boxed{\\boxed{42}}", "42"),
            ("\\boxed{42} \\boxed{", "42"),
            ("Paris", "Paris"),
            ("Answer:\n", "Answer:"),
        ] {
            assert_eq!(final_answer(reply).text, answer, "{reply:?}");
        }
    }

    #[test]
    fn texts_have_one_form() {
        for (text, form) in [
            ("  The\n Moon. ", "the moon"),
            ("$\\text{Even}$.", "even"),
            ("**\"B\"**", "b"),
            ("\\text{a}b\\text{c}", "\\text{a}b\\text{c}"),
        ] {
            assert_eq!(normal(text), form);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\\\boxed\\{|[a-z.$*: \\n]|Answer|\\}|é)*") {
            let answer = final_answer(&text).text;
            normal(&answer);
            shown(&answer);
        }
    }
}
