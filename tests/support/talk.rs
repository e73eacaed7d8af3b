//! What a client says and hears where messages are text: requests, replies and events.

use super::client::Client;
use super::frame::{self, FIN, PING, TEXT};

impl Client {
    /// Sends a text message.
    pub(crate) fn say(&mut self, text: &str) {
        self.send(&frame::text(text));
    }

    /// The text message that comes next, pings aside.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let frame = self.read_frame();
            if frame.first != FIN | PING {
                assert_eq!(frame.first, FIN | TEXT, "not a text message: {frame:?}");
                return String::from_utf8(frame.payload).expect("§8.1: a text message is UTF-8");
            }
        }
    }

    /// The next `count` text messages.
    pub(crate) fn hear_all(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.hear()).collect()
    }

    /// Sends a text message; yields the one that comes next.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.hear()
    }
}
