//! Finding the final answer in a reply, and bringing it into one form.

/// The final answer: what stands behind the last `Answer:`, in the last `\boxed{}`, or
/// else the whole text.
pub(crate) fn final_answer(reply: &str) -> &str {
    let labelled = last_labelled(reply);
    let boxed = last_boxed(reply);
    match (labelled, boxed) {
        (Some((at, text)), Some((boxed_at, boxed))) => {
            if boxed_at > at {
                boxed
            } else {
                text
            }
        }
        (Some((_, text)), None) | (None, Some((_, text))) => text,
        (None, None) => reply.trim(),
    }
}

/// Where the last line with an `Answer:` label is, and what it says.
fn last_labelled(reply: &str) -> Option<(usize, &str)> {
    let mut found = None;
    let mut at = 0;
    for line in reply.split_inclusive('\n') {
        let bare = line.trim().trim_start_matches(['*', '#', '_', '>', ' ']);
        for label in ["final answer", "answer"] {
            let Some(head) = bare.get(..label.len()) else { continue };
            if !head.eq_ignore_ascii_case(label) {
                continue;
            }
            let rest = bare[label.len()..].trim_start_matches(['*', '_', ' ']);
            if let Some(text) = rest.strip_prefix(':') {
                let text = text.trim().trim_matches(['*', '_', '`']).trim();
                if !text.is_empty() {
                    found = Some((at, text));
                }
            }
            break;
        }
        at += line.len();
    }
    found
}

/// Where the last `\boxed{…}` is, and what is in it, braces matched.
fn last_boxed(reply: &str) -> Option<(usize, &str)> {
    const OPEN: &str = "\\boxed{";
    let at = reply.rfind(OPEN)?;
    let inside = &reply[at + OPEN.len()..];
    let mut depth = 1_usize;
    for (place, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((at, inside[..place].trim()));
        }
    }
    None
}

/// One form for one meaning: case, white space, surrounding marks and a last full stop
/// do not matter.
pub(crate) fn normal(answer: &str) -> String {
    let folded: Vec<_> = answer.split_whitespace().collect();
    let folded = folded.join(" ").to_lowercase();
    folded.trim_matches(['$', '`', '"', '\'', '*', ' ']).trim_end_matches('.').to_owned()
}

/// The number that an answer is, or ends with: `1,234.50`, `-3`, `2e5`, `about 7 apples`.
pub(crate) fn number(answer: &str) -> Option<f64> {
    let mut last = None;
    let bytes = answer.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_part(bytes, at) {
            at += 1;
        }
        let signed = start > 0
            && bytes[start - 1] == b'-'
            && (start < 2 || !bytes[start - 2].is_ascii_alphanumeric());
        let digits: String = answer[start..at].chars().filter(|c| *c != ',').collect();
        let value = digits.trim_end_matches('.').parse::<f64>().ok();
        last = value.map(|value| if signed { -value } else { value }).or(last);
    }
    last
}

/// Whether the byte goes on with a number: digits; a point, a comma or an exponent
/// before a digit.
fn is_part(bytes: &[u8], at: usize) -> bool {
    let digit = |n: usize| bytes.get(n).is_some_and(u8::is_ascii_digit);
    match bytes[at] {
        b'0'..=b'9' => true,
        b'.' | b',' => digit(at + 1),
        b'e' | b'E' => digit(at + 1) || (bytes.get(at + 1) == Some(&b'-') && digit(at + 2)),
        b'-' => matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E')) && digit(at + 1),
        _ => false,
    }
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
            ("Answer: 3, that is \\boxed{5}", "5"),
            ("Paris", "Paris"),
            ("Answer:\n", "Answer:"),
        ] {
            assert_eq!(final_answer(reply), answer, "{reply:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, value) in [
            ("1,234.50", Some(1234.5)),
            ("x = -3.", Some(-3.0)),
            ("2e5", Some(2e5)),
            ("between 3 and 7 apples", Some(7.0)),
            ("10-3", Some(3.0)),
            ("none", None),
            ("-0.5", Some(-0.5)),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in ".*") {
            let answer = final_answer(&text);
            number(answer);
            normal(answer);
        }

        #[test]
        fn every_integer_is_read(n in any::<i32>()) {
            prop_assert_eq!(number(&format!("Answer: {n}")), Some(f64::from(n)));
        }
    }
}
