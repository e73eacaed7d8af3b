//! How a worker knows its connections: a place in its table and a generation.
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
            assert_ne!(key.successor(), key);
            assert_eq!(key.successor().index, key.index);
        }
    }
}
