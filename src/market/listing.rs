//! The list of streams that a server has, for programs and people: an answer of tickwire's own, which
//! the exchange has none of.
//! Invariant: what is written is one complete JSON object.

use super::json::push_string;
use crate::server::Topic;

/// `{"streams":[{"stream":"btcusdt@trade","events":123},…]}`, in the order given.
pub(super) fn streams(topics: &[Topic]) -> String {
    let mut out = Vec::from(br#"{"streams":["#);
    for (index, topic) in topics.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"stream":"#);
        push_string(topic.name(), &mut out);
        out.extend_from_slice(br#","events":"#);
        out.extend_from_slice(itoa::Buffer::new().format(topic.published()).as_bytes());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    // Names are text, and all else is ASCII.
    String::from_utf8(out).unwrap_or_default()
}
