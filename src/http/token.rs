//! Tokens and comma-separated lists (RFC 9110 §5.6): the grammar most field values are made of.
//!
//! Knows no field by name. Invariant: works on values a head scan has accepted, which hold no line
//! ends, so ASCII whitespace in them is only spaces and tabs.

/// §5.6.2: `tchar`, the bytes a token is made of.
///
/// RFC 6455 refers to the tokens of RFC 2616 §2.2, which are made of the same bytes.
pub(super) fn is_tchar(byte: u8) -> bool {
    // 128 bits, a look instead of a search: most bytes of a head come by here.
    byte.is_ascii() && TCHARS >> byte & 1 != 0
}

/// A bit for each `tchar`.
const TCHARS: u128 = {
    let (mut bits, mut byte) = (0, 0u8);
    while byte.is_ascii() {
        if byte.is_ascii_alphanumeric() {
            bits |= 1 << byte;
        }
        byte += 1;
    }
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~";
    while let Some((byte, others)) = rest.split_first() {
        bits |= 1 << *byte;
        rest = others;
    }
    bits
};

/// §5.6.2: `token = 1*tchar`.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// §5.5: the bytes of a field value: visible ASCII, space, tab, and bytes from 0x80 up.
pub(super) fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// §5.6.1: the elements of a list, without the whitespace around them. Empty ones are included:
/// most readers skip them, some must refuse them.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether `token`, in any case, is an element of the lists in these field values.
pub(super) fn lists_token<'v>(values: impl Iterator<Item = &'v [u8]>, token: &str) -> bool {
    values.flat_map(elements).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 §5.6.2: delimiters, whitespace, controls and non-ASCII are outside a token.
    #[test]
    fn a_token_is_made_of_tchars_only() {
        for byte in 0..=u8::MAX {
            let delimiter = b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(is_tchar(byte), byte.is_ascii_graphic() && !delimiter, "{byte:#04x}");
        }
        assert!(is_token(b"chat.v1"));
        assert!(!is_token(b""));
        assert!(!is_token(b"a b"));
    }

    /// RFC 9110 §5.5: no control but the tab may stand in a field value.
    #[test]
    fn a_field_byte_is_no_control() {
        for byte in 0..=u8::MAX {
            let allowed = byte == b'\t' || !byte.is_ascii_control();
            assert_eq!(is_field_byte(byte), allowed, "{byte:#04x}");
        }
    }

    /// RFC 9110 §5.6.1: an element stands between commas, with optional whitespace around it.
    #[test]
    fn a_listed_token_is_found_in_any_line_and_case() {
        let lines: [&[u8]; 2] = [b"keep-alive", b", x ,\tUPGRADE "];
        assert!(lists_token(lines.into_iter(), "upgrade"));
        assert!(!lists_token(lines.into_iter(), "grade"));
        assert!(!lists_token([&b"keep-alive upgrade"[..]].into_iter(), "upgrade"));
        assert_eq!(elements(b"a,,b").count(), 3);
    }
}
