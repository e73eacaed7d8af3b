//! Control messages: the text a client sends to change what it listens to.
//!
//! A message is one JSON object with `method`, `params` and `id`; fields that are not known are
//! ignored, as the exchange does. Values borrow from the message. Knows no subscription table:
//! whether a name was subscribed before, or is one too many, is the caller's to say.
//! Invariant: a message yields a [`Request`] or an [`ErrorReply`], never a panic, and memory
//! proportional to its length. Nesting costs nothing: what is not understood is not descended.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{Framing, Sequence};
use super::id::Id;
use super::reply::{ErrorReply, Fault};
use super::stream::StreamName;

/// A well-formed control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// What to answer with.
    pub id: Id<'a>,
    /// What to do.
    pub command: Command<'a>,
}

/// What a control message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// `SUBSCRIBE`: add these streams, all of whose events up to these numbers the client has seen
    /// where there are any. Repetitions are kept.
    Subscribe(Vec<StreamName<'a>>, Resume),
    /// `UNSUBSCRIBE`: remove these streams; one that was never subscribed is no error.
    Unsubscribe(Vec<StreamName<'a>>),
    /// `LIST_SUBSCRIPTIONS`.
    ListSubscriptions,
    /// `GET_PROPERTY`.
    Get(Property),
    /// `SET_PROPERTY` of `combined`.
    SetCombined(Framing),
    /// `SET_PROPERTY` of `sequence`.
    SetSequence(Sequence),
}

/// Up to which number a client has seen the events of streams: the member `resume` of `SUBSCRIBE`,
/// which the exchange does not have.
pub type Resume = BTreeMap<String, u64>;

/// What `GET_PROPERTY` can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// `combined`: whether events carry their stream's name.
    Combined,
    /// `sequence`: whether combined events carry their number and the time of their coming in. The
    /// exchange has no such property.
    Sequence,
}

/// Reads one text message.
///
/// # Errors
/// The reply to send instead. It carries the `id` wherever that could be read.
///
/// # Example
/// ```
/// use tickwire::market::{Command, control};
///
/// let request = control::parse(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).unwrap();
/// assert_eq!(request.command, Command::ListSubscriptions);
/// assert_eq!(request.id.as_json(), Some("3"));
///
/// let mut out = Vec::new();
/// control::parse("}").unwrap_err().encode(&mut out);
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     r#"{"error":{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}}"#,
/// );
/// ```
pub fn parse(message: &str) -> Result<Request<'_>, ErrorReply<'_>> {
    let fields = Fields::parse(message).map_err(|fault| ErrorReply::new(Id::ABSENT, fault))?;
    let id = Id::parse(fields.id).map_err(|fault| ErrorReply::new(Id::ABSENT, fault))?;
    let command = fields.command().map_err(|fault| ErrorReply::new(id, fault))?;
    Ok(Request { id, command })
}

/// A flat struct of raw values: cheaper than a tagged enum, and the `id` is known even when
/// another field is wrong.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    resume: Option<&'a RawValue>,
    // `Option` alone would make `null` and nothing the same.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A string or a list element that borrows where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    fn parse(message: &'a str) -> Result<Self, Fault<'a>> {
        // serde also reads a struct from an array; the protocol does not.
        if !message.trim_start().starts_with('{') {
            return match serde_json::from_str::<&RawValue>(message) {
                Ok(_) => Err(Fault::NotAnObject),
                Err(error) => Err(Fault::InvalidJson(error)),
            };
        }
        serde_json::from_str(message).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::DuplicateField,
            _ => Fault::InvalidJson(error),
        })
    }

    fn command(&self) -> Result<Command<'a>, Fault<'a>> {
        let method = self.method.ok_or(Fault::MissingMethod)?;
        let Text(method) = text(method).ok_or(Fault::MethodNotString)?;
        match &*method {
            "SUBSCRIBE" => {
                let streams = self.streams()?;
                let resume = self.resume(&streams)?;
                Ok(Command::Subscribe(streams, resume))
            }
            "UNSUBSCRIBE" => Ok(Command::Unsubscribe(self.streams()?)),
            "LIST_SUBSCRIPTIONS" => {
                self.no_more_than(0)?;
                Ok(Command::ListSubscriptions)
            }
            "GET_PROPERTY" => {
                let params = self.no_more_than(1)?;
                property(params.first()).map(Command::Get)
            }
            "SET_PROPERTY" => {
                let params = self.no_more_than(2)?;
                let property = property(params.first())?;
                match (property, params.get(1).map(|value| value.get())) {
                    (Property::Combined, Some("true")) => {
                        Ok(Command::SetCombined(Framing::Combined))
                    }
                    (Property::Combined, Some("false")) => Ok(Command::SetCombined(Framing::Raw)),
                    (Property::Sequence, Some("true")) => Ok(Command::SetSequence(Sequence::Shown)),
                    (Property::Sequence, Some("false")) => {
                        Ok(Command::SetSequence(Sequence::Hidden))
                    }
                    _ => Err(Fault::NotBoolean),
                }
            }
            _ => Err(Fault::UnknownMethod(method)),
        }
    }

    /// The parameters of a method that must have some.
    fn streams(&self) -> Result<Vec<StreamName<'a>>, Fault<'a>> {
        let params = self.params.ok_or(Fault::MissingParams)?;
        list(params)?
            .into_iter()
            .map(|name| {
                let Text(name) = text(name).ok_or(Fault::StreamNotString)?;
                StreamName::new(name).map_err(|_| Fault::InvalidStream)
            })
            .collect()
    }

    /// Up to which number some of `streams` were seen.
    fn resume(&self, streams: &[StreamName<'a>]) -> Result<Resume, Fault<'a>> {
        let Some(resume) = self.resume else { return Ok(Resume::new()) };
        let resume: BTreeMap<String, &RawValue> =
            serde_json::from_str(resume.get()).map_err(|_| Fault::ResumeNotObject)?;
        let names: BTreeSet<&str> = streams.iter().map(StreamName::as_str).collect();
        let checked = resume.into_iter().map(|(name, seen)| {
            let seen = serde_json::from_str(seen.get()).map_err(|_| Fault::ResumeNotNumber)?;
            let known = names.contains(name.as_str());
            if known { Ok((name, seen)) } else { Err(Fault::ResumeNotInParams) }
        });
        checked.collect()
    }

    /// The parameters of a method that may have up to `count`.
    fn no_more_than(&self, count: usize) -> Result<Vec<&'a RawValue>, Fault<'a>> {
        let params = self.params.map_or(Ok(Vec::new()), list)?;
        if params.len() > count { Err(Fault::TooManyParameters) } else { Ok(params) }
    }
}

fn property<'a>(name: Option<&&'a RawValue>) -> Result<Property, Fault<'a>> {
    let Text(name) = name.and_then(|name| text(name)).ok_or(Fault::PropertyNotString)?;
    match &*name {
        "combined" => Ok(Property::Combined),
        "sequence" => Ok(Property::Sequence),
        _ => Err(Fault::UnknownProperty),
    }
}

fn text(raw: &RawValue) -> Option<Text<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn list<'a>(raw: &'a RawValue) -> Result<Vec<&'a RawValue>, Fault<'a>> {
    serde_json::from_str(raw.get()).map_err(|_| Fault::ParamsNotList)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_to(message: &str) -> String {
        let mut out = Vec::new();
        parse(message).expect_err(message).encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn names(names: &[&str]) -> Vec<StreamName<'static>> {
        names.iter().map(|name| StreamName::new(name.to_string()).unwrap()).collect()
    }

    /// Control messages: each method and its parameters.
    #[test]
    fn every_method_is_understood() {
        for (message, command) in [
            (
                r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","0"],"id":1}"#,
                Command::Subscribe(names(&["btcusdt@trade", "0"]), Resume::new()),
            ),
            (
                r#"{"method":"SUBSCRIBE","params":["a","b"],"resume":{"\u0062":12345},"id":1}"#,
                Command::Subscribe(names(&["a", "b"]), Resume::from([("b".to_owned(), 12345)])),
            ),
            (
                r#"{"method":"SUBSCRIBE","params":["a"],"resume":null,"id":1}"#,
                Command::Subscribe(names(&["a"]), Resume::new()),
            ),
            (
                r#"{"id":1,"params":[],"method":"SUBSCRIBE"}"#,
                Command::Subscribe(names(&[]), Resume::new()),
            ),
            (
                r#"{"method":"UNSUBSCRIBE","params":["btcusdt\u0040trade"],"id":1}"#,
                Command::Unsubscribe(names(&["btcusdt@trade"])),
            ),
            (r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#, Command::ListSubscriptions),
            (r#"{"method":"LIST_SUBSCRIPTIONS","params":[],"id":1}"#, Command::ListSubscriptions),
            (r#"{"method":"LIST_SUBSCRIPTIONS","params":null,"id":1}"#, Command::ListSubscriptions),
            (
                r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#,
                Command::Get(Property::Combined),
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["sequence"],"id":1}"#,
                Command::Get(Property::Sequence),
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":1}"#,
                Command::SetSequence(Sequence::Shown),
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["sequence",false],"id":1}"#,
                Command::SetSequence(Sequence::Hidden),
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined", true],"id":1}"#,
                Command::SetCombined(Framing::Combined),
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",false ],"id":1}"#,
                Command::SetCombined(Framing::Raw),
            ),
            (
                " {\n\"method\":\"LIST_SUBSCRIPTIONS\",\"extra\":{\"id\":[2]},\"id\":1}\n",
                Command::ListSubscriptions,
            ),
        ] {
            let request = parse(message).unwrap();
            assert_eq!(request.command, command, "{message}");
            assert_eq!(request.id.as_json(), Some("1"), "{message}");
        }
    }

    /// Errors: codes 0 to 2, with the id wherever it is known.
    #[test]
    fn a_malformed_request_is_explained() {
        for (message, code, text) in [
            (r#""method":"GET_PROPERTY","params":["x"]"#, 0, "Unknown property"),
            (r#""method":"SET_PROPERTY","params":["x",true]"#, 0, "Unknown property"),
            (
                r#""method":"SET_PROPERTY","params":["combined",1]"#,
                1,
                "Invalid value type: expected Boolean",
            ),
            (
                r#""method":"SET_PROPERTY","params":["combined"]"#,
                1,
                "Invalid value type: expected Boolean",
            ),
            (
                r#""method":"SET_PROPERTY","params":["sequence","true"]"#,
                1,
                "Invalid value type: expected Boolean",
            ),
            (
                r#""method":"FOO""#,
                2,
                "unknown variant `FOO`, expected one of `SUBSCRIBE`, \
                 `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
            ),
            (r#""params":[]"#, 2, "missing field `method`"),
            (r#""method":null"#, 2, "missing field `method`"),
            (r#""method":7"#, 2, "method must be a string"),
            (r#""method":"SUBSCRIBE""#, 2, "missing field `params`"),
            (r#""method":"SUBSCRIBE","params":"a@trade""#, 2, "params must be an array"),
            (r#""method":"SUBSCRIBE","params":["a",7]"#, 2, "stream name must be a string"),
            (r#""method":"SUBSCRIBE","params":[""]"#, 2, "invalid stream"),
            (r#""method":"UNSUBSCRIBE","params":["\n"]"#, 2, "invalid stream"),
            (
                r#""method":"SUBSCRIBE","params":["a"],"resume":["a",1]"#,
                2,
                "resume must be an object",
            ),
            (
                r#""method":"SUBSCRIBE","params":["a"],"resume":{"a":"1"}"#,
                2,
                "a number in resume must be an unsigned integer",
            ),
            (
                r#""method":"SUBSCRIBE","params":["a"],"resume":{"a":-1}"#,
                2,
                "a number in resume must be an unsigned integer",
            ),
            (
                r#""method":"SUBSCRIBE","params":["a"],"resume":{"b":1}"#,
                2,
                "resume names a stream that is not in params",
            ),
            (r#""method":"LIST_SUBSCRIPTIONS","params":["a"]"#, 2, "too many parameters"),
            (r#""method":"GET_PROPERTY","params":["combined",true]"#, 2, "too many parameters"),
            (r#""method":"SET_PROPERTY","params":["combined",true,1]"#, 2, "too many parameters"),
            (r#""method":"GET_PROPERTY""#, 2, "property name must be a string"),
            (
                r#""method":"SET_PROPERTY","params":[true,true]"#,
                2,
                "property name must be a string",
            ),
        ] {
            let text = if code == 2 { format!("Invalid request: {text}") } else { text.to_owned() };
            assert_eq!(
                error_to(&format!(r#"{{{message},"id":"a"}}"#)),
                format!(r#"{{"error":{{"code":{code},"msg":"{text}"}},"id":"a"}}"#),
                "{message}"
            );
        }
    }

    /// Errors: what is JSON but no request is code 2, what is not JSON is code 3.
    #[test]
    fn an_unreadable_message_is_explained_without_an_id() {
        for (message, code, text) in [
            ("[]", 2, "Invalid request: expected an object"),
            (r#"["SUBSCRIBE",["a"],1]"#, 2, "Invalid request: expected an object"),
            ("7", 2, "Invalid request: expected an object"),
            (r#"{"id":1,"id":2}"#, 2, "Invalid request: a field is given twice"),
            ("", 3, "Invalid JSON: EOF while parsing a value at line 1 column 0"),
            ("ping", 3, "Invalid JSON: expected value at line 1 column 1"),
            ("{\"id\":1,\n}", 3, "Invalid JSON: trailing comma at line 2 column 1"),
            (r#"{"id":1} x"#, 3, "Invalid JSON: trailing characters at line 1 column 10"),
        ] {
            assert_eq!(
                error_to(message),
                format!(r#"{{"error":{{"code":{code},"msg":"{text}"}}}}"#),
                "{message}"
            );
        }
    }

    /// A message nested as deep as it is long is refused, not recursed into.
    #[test]
    fn deep_nesting_is_answered() {
        let deep = "[".repeat(100_000);
        assert!(error_to(&deep).contains(r#""code":3"#));
        assert!(error_to(&format!(r#"{{"params":{deep}"#)).contains(r#""code":3"#));
        let closed = format!("{deep}{}", "]".repeat(100_000));
        for message in [
            format!(r#"{{"method":"SUBSCRIBE","params":{closed},"id":1}}"#),
            format!(r#"{{"method":{closed},"id":1}}"#),
            format!(r#"{{"method":"SUBSCRIBE","params":[],"id":{closed}}}"#),
        ] {
            assert!(error_to(&message).contains(r#""code":2"#));
        }
    }

    proptest! {
        /// A peer's message never panics and an error reply is always valid JSON.
        #[test]
        fn any_message_is_answered(
            message in any::<String>(),
            method in "(SUBSCRIBE|SET_PROPERTY|GET_PROPERTY|X)",
            value in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,30}",
        ) {
            for message in [
                format!(r#"{{"method":"{method}","params":[{value}],"id":{value}}}"#),
                format!(r#"{{"method":"{method}","params":{value},"id":1}}"#),
                message,
            ] {
                if let Err(reply) = parse(&message) {
                    let mut out = Vec::new();
                    reply.encode(&mut out);
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
                }
            }
        }
    }
}
