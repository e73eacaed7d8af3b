//! How a worker knows its connections: a place in its table and a generation; and its sources'
//! sockets.
//! Invariant: two connections that had the same place one after the other have different keys, so
//! an event or a reminder for the first never reaches the second.

use mio::Token;

/// A connection's place in its worker's table, and how often the place was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// The listener's token.
pub(super) const LISTENER: Token = Token(usize::MAX);
/// The token of wake-ups from other threads.
pub(super) const WAKER: Token = Token(usize::MAX - 1);
/// The token of the alarm that ends a sleep.
pub(super) const ALARM: Token = Token(usize::MAX - 2);

/// What a source's tokens have in common. Generations stay below it.
const SOURCE: usize = 1 << 63;
/// Where in such a token the source's number stands; its part stands below.
const SOURCE_NUMBER_SHIFT: u32 = 32;

/// The token of a source's own socket, part 0, or of another of its sockets.
pub(super) const fn source_token(number: usize, part: usize) -> Token {
    Token(SOURCE | number << SOURCE_NUMBER_SHIFT | part)
}

/// The source's number and the part that a token stands for, if it is a source's.
pub(super) const fn source_of(token: Token) -> Option<(usize, usize)> {
    if token.0 & SOURCE == 0 {
        return None;
    }
    let number = (token.0 & !SOURCE) >> SOURCE_NUMBER_SHIFT;
    Some((number, token.0 & ((1 << SOURCE_NUMBER_SHIFT) - 1)))
}

// A token holds both halves of a key.
const _: () = assert!(usize::BITS == 64, "tickwire needs a 64-bit platform");

impl Key {
    pub(super) const fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub(super) const fn from_token(token: Token) -> Self {
        Self { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }

    /// The key of whoever takes the place next. Generations stay below the tokens that are not
    /// connections'.
    pub(super) const fn successor(self) -> Self {
        Self { generation: (self.generation + 1) & (u32::MAX >> 1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_keys_and_never_the_reserved_ones() {
        for key in [
            Key { index: 0, generation: 0 },
            Key { index: 7, generation: 3 },
            Key { index: u32::MAX, generation: u32::MAX >> 1 },
        ] {
            assert_eq!(Key::from_token(key.token()), key);
            assert!(![LISTENER, WAKER, ALARM].contains(&key.token()));
            assert_eq!(source_of(key.token()), None);
            assert_ne!(key.successor(), key);
            assert_eq!(key.successor().index, key.index);
        }
    }

    #[test]
    fn a_source_s_token_tells_its_number_and_part() {
        for of in [(0, 0), (0, 64), (1000, 7), (1, u32::MAX as usize)] {
            let token = source_token(of.0, of.1);
            assert_eq!(source_of(token), Some(of));
            assert!(token != LISTENER && token != WAKER);
        }
    }
}
