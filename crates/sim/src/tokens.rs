//! The simulated models' tokens: four bytes of text each, whole characters only.

/// Bytes in a token.
const TOKEN_BYTES: usize = 4;
/// Tokens that a message takes beside its text.
const MESSAGE_TOKENS: u64 = 4;

/// Tokens in a text.
pub(crate) fn of(text: &str) -> u64 {
    split(text).count() as u64
}

/// Bytes in so many tokens.
pub(crate) fn bytes(tokens: u32) -> usize {
    (tokens as usize).saturating_mul(TOKEN_BYTES).max(1)
}

/// Tokens in a message.
pub(crate) fn of_message(text: &str) -> u64 {
    text.len().div_ceil(TOKEN_BYTES) as u64 + MESSAGE_TOKENS
}

/// The tokens of a text, in order.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = TOKEN_BYTES.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (token, behind) = rest.split_at(end);
        rest = behind;
        Some(token)
    })
}

/// The first `max` tokens of a text, if it has more.
pub(crate) fn first(text: &str, max: u32) -> Option<&str> {
    let bytes: usize = split(text).take(max as usize).map(str::len).sum();
    (bytes < text.len()).then(|| &text[..bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_four_bytes_or_whole_characters() {
        assert_eq!(split("abcdefghi").collect::<Vec<_>>(), ["abcd", "efgh", "i"]);
        assert_eq!(split("äöü€x").collect::<Vec<_>>(), ["äö", "ü€", "x"]);
        assert_eq!(first("abcdefgh", 1), Some("abcd"));
        assert_eq!(first("abcdefgh", 2), None);
        assert_eq!((of(""), of("abcde"), of_message("abcde")), (0, 2, 6));
    }
}
