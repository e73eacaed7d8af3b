//! `Sec-WebSocket-Extensions` (RFC 6455 §9.1): whether a value is what the grammar says.
//!
//! A handshake that breaks the grammar is refused, whether or not an extension is negotiated
//! afterwards (see `deflate`).

use super::token::is_tchar;

/// §9.1: `extension-list = 1#extension`. RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a
/// reasonable number of empty list elements".
pub(super) fn is_extension_list(value: &[u8]) -> bool {
    let mut cursor = Cursor { rest: value };
    cursor.skip_whitespace();
    cursor.skip_commas();
    loop {
        if !cursor.extension() {
            return false;
        }
        if !cursor.rest.is_empty() && !cursor.eat(b',') {
            return false;
        }
        cursor.skip_commas();
        if cursor.rest.is_empty() {
            return true;
        }
    }
}

/// What is left to read. Each method reads one piece of the grammar, and whitespace around it.
struct Cursor<'v> {
    rest: &'v [u8],
}

impl Cursor<'_> {
    /// `extension = extension-token *( ";" extension-param )`
    fn extension(&mut self) -> bool {
        let mut well_formed = self.token();
        while well_formed && self.eat(b';') {
            well_formed = self.parameter();
        }
        well_formed
    }

    /// `extension-param = token [ "=" (token | quoted-string) ]`
    fn parameter(&mut self) -> bool {
        self.token() && (!self.eat(b'=') || self.quoted_token() || self.token())
    }

    fn token(&mut self) -> bool {
        self.skip_whitespace();
        let len = self.rest.iter().take_while(|&&byte| is_tchar(byte)).count();
        self.rest = self.rest.get(len..).unwrap_or_default();
        self.skip_whitespace();
        len > 0
    }

    /// §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
    fn quoted_token(&mut self) -> bool {
        let Some((b'"', mut rest)) = self.rest.split_first() else {
            return false;
        };
        let mut len = 0;
        loop {
            rest = match rest {
                [b'"', rest @ ..] if len > 0 => {
                    self.rest = rest;
                    self.skip_whitespace();
                    return true;
                }
                [b'\\', byte, rest @ ..] if is_tchar(*byte) => rest,
                [byte, rest @ ..] if is_tchar(*byte) => rest,
                _ => return false,
            };
            len += 1;
        }
    }

    fn skip_commas(&mut self) {
        while self.eat(b',') {}
    }

    fn eat(&mut self, byte: u8) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[byte]) else {
            return false;
        };
        self.rest = rest;
        self.skip_whitespace();
        true
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// §9.1: extensions, parameters, values, and whitespace where the list rule allows it.
    #[test]
    fn offers_that_browsers_and_libraries_send_are_well_formed() {
        let table = [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=\"10\"",
            "a , b;x ; y = \"\\1\\0\" ,c",
            "x-webkit-deflate-frame",
            " ,a, ,b;x,,",
        ];
        for value in table {
            assert!(is_extension_list(value.as_bytes()), "{value}");
        }
    }

    /// §9.1: whatever does not match the grammar is an invalid handshake.
    #[test]
    fn offers_outside_the_grammar_are_not_well_formed() {
        let table = [
            "",
            " ",
            ",",
            ", ,",
            "a;",
            "a;;b",
            "a b",
            "a=1",
            "a;=1",
            "a;x=",
            "a;x=\"\"",
            "a;x=\"1",
            "a;x=\"1 2\"",
            "a;x=\"\\\"",
            "a;x=1\"",
            "a;x=\"1\"2",
            "a;x=y=z",
            "(a)",
            "\"a\"",
        ];
        for value in table {
            assert!(!is_extension_list(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        /// §9.1: any bytes are either in the grammar or not; none make the reader panic or hang.
        #[test]
        fn any_value_is_judged(value in "[a,;=\"\\\\ ]{0,24}") {
            let listed = is_extension_list(value.as_bytes());
            prop_assert!(!listed || value.trim_start_matches([' ', ',']).starts_with('a'));
        }
    }
}
