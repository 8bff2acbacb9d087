//! Keeps untrusted text apart from instructions.

/// The character that fences are made of; rare at the start of lines.
const RAIL: char = '~';
/// Shortest fence.
const RAIL_MIN: usize = 4;

/// `text` between two lines of tildes, longer than any run of tildes in the text: it
/// cannot hold its own end.
pub(super) fn fence(what: &str, text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == RAIL { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let rail: String = std::iter::repeat_n(RAIL, RAIL_MIN.max(longest + 1)).collect();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{rail} {what}\n{text}{end}{rail}\n")
}

/// The first `max` characters, with a mark where the rest is left out.
pub(super) fn head(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let left_out = text.chars().count() - max;
            let shown = text.get(..end).unwrap_or("");
            format!("{shown}\n[{left_out} more characters are not shown]")
        }
    }
}

/// The last `max` characters, with a mark where the rest is left out.
pub(super) fn tail(text: &str, max: usize) -> String {
    let all = text.chars().count();
    match all.checked_sub(max).filter(|left_out| *left_out > 0) {
        None => text.to_owned(),
        Some(left_out) => {
            let shown: String = text.chars().skip(left_out).collect();
            format!("[{left_out} characters before this are not shown]\n{shown}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(head("äbc", 3), "äbc");
        assert_eq!(head("äbcd", 2), "äb\n[2 more characters are not shown]");
        assert_eq!(tail("abü", 3), "abü");
        assert_eq!(tail("abcü", 2), "[2 characters before this are not shown]\ncü");
    }

    proptest! {
        /// However often a text is fenced, its end is the first line that equals its rail.
        #[test]
        fn nothing_ends_its_own_fence(text in "[~a\n ]{0,60}") {
            let once = fence("a", &text);
            let twice = fence("b", &once);
            let rail = twice.split(' ').next().unwrap_or_default();
            let ends = twice.lines().filter(|line| *line == rail).count();
            prop_assert_eq!(ends, 1);
            prop_assert!(twice.contains(&once));
        }
    }
}
