//! The requests with which a client subscribes to market streams, and what is answered.
//!
//! The properties `combined` and `sequence` come first; a server that does not know the second
//! refuses it and serves plain events.
//! Invariant: each request has an identifier of its own, and each answer names one.

use super::scenario::Link;
use crate::proto::OpCode;

const COMBINED: u64 = 1;
const SEQUENCE: u64 = 2;
const SUBSCRIBE: u64 = 3;
/// How many answers there will be.
pub(super) const REQUESTS: u8 = 3;

/// How much of a text is told in a message.
const TOLD_CHARS: usize = 200;

/// The requests of one subscriber.
#[derive(Debug)]
pub(super) struct Subscription([String; REQUESTS as usize]);

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Done,
    /// The property `sequence` is not known.
    NoSequence,
    /// The server does not want to, in its words.
    Refused(String),
    /// It answers nothing that was asked.
    Strange(String),
}

impl Subscription {
    /// Subscribes to these streams.
    pub(super) fn to<'a>(streams: impl Iterator<Item = &'a str>) -> Self {
        let streams: Vec<&str> = streams.collect();
        let request = |method: &str, params: serde_json::Value, id: u64| {
            serde_json::json!({"method": method, "params": params, "id": id}).to_string()
        };
        Self([
            request("SET_PROPERTY", serde_json::json!(["combined", true]), COMBINED),
            request("SET_PROPERTY", serde_json::json!(["sequence", true]), SEQUENCE),
            request("SUBSCRIBE", serde_json::json!(streams), SUBSCRIBE),
        ])
    }

    pub(super) fn send(&self, link: &mut Link<'_>) {
        for request in &self.0 {
            link.send(OpCode::Text, request.as_bytes());
        }
    }
}

impl Reply {
    pub(super) fn read(text: &str) -> Self {
        let reply: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let id = reply.as_ref().and_then(|reply| reply.get("id")?.as_u64());
        let told = || text.chars().take(TOLD_CHARS).collect();
        match (reply, id) {
            (Some(reply), Some(id @ COMBINED..=SUBSCRIBE)) => match reply.get("error") {
                None => Self::Done,
                Some(_) if id == SEQUENCE => Self::NoSequence,
                Some(_) => Self::Refused(told()),
            },
            _ => Self::Strange(told()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control messages: a result, an error, and what is neither.
    #[test]
    fn answers_are_told_apart() {
        let error = r#"{"error":{"code":0,"msg":"Unknown property"},"id":"#;
        let [second, third] = [2, 3].map(|id| format!("{error}{id}}}"));
        assert_eq!(Reply::read(r#"{"result":null,"id":1}"#), Reply::Done);
        assert_eq!(Reply::read(&second), Reply::NoSequence);
        assert_eq!(Reply::read(&third), Reply::Refused(third.clone()));
        for strange in ["{}", "x", r#"{"result":null,"id":4}"#, r#"{"result":null,"id":"1"}"#] {
            assert_eq!(Reply::read(strange), Reply::Strange(strange.to_owned()));
        }
    }
}
