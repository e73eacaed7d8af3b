//! The answers to control messages, written into a buffer of the caller's.
//! Clients tell a result from an error by the key `error`, so errors are nested.
//! Invariant: what is appended is one complete JSON object of bounded length, ids excepted.

use std::borrow::Cow;

use super::id::Id;
use super::json::push_string;

/// The longest piece of a client's own text repeated in an error, in characters.
const ECHO_CHARACTERS_MAX: usize = 64;

/// Appends the answer to a command that was carried out: `{"result":null,"id":1}`.
pub fn done(id: Id<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"result":null"#);
    finish_result(id, out);
}

/// Appends the answer to a `SUBSCRIBE` with `resume`: as [`done`], and where events are missing the
/// numbers of the first and the last: `{"result":null,"id":1,"gaps":{"btcusdt@trade":[7,9]}}`.
pub fn resumed<'a>(
    gaps: impl IntoIterator<Item = (&'a str, (u64, u64))>,
    id: Id<'_>,
    out: &mut Vec<u8>,
) {
    done(id, out);
    let mut separator: &[u8] = br#","gaps":{"#;
    let end = out.pop();
    let mut digits = itoa::Buffer::new();
    for (name, (first, last)) in gaps {
        out.extend_from_slice(separator);
        push_string(name, out);
        out.extend_from_slice(b":[");
        out.extend_from_slice(digits.format(first).as_bytes());
        out.push(b',');
        out.extend_from_slice(digits.format(last).as_bytes());
        out.push(b']');
        separator = b",";
    }
    if separator == b"," {
        out.push(b'}');
    }
    out.extend(end);
}

/// Appends the answer to `LIST_SUBSCRIPTIONS`, names in the order given.
pub fn subscriptions<'a>(names: impl IntoIterator<Item = &'a str>, id: Id<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"result":["#);
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(name, out);
    }
    out.push(b']');
    finish_result(id, out);
}

/// Appends the answer to `GET_PROPERTY`.
pub fn property(value: bool, id: Id<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"result":"#);
    out.extend_from_slice(if value { b"true" } else { b"false" as &[u8] });
    finish_result(id, out);
}

fn finish_result(id: Id<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#","id":"#);
    out.extend_from_slice(id.as_json().unwrap_or("null").as_bytes());
    out.push(b'}');
}

/// The answer to a control message that was not carried out.
#[derive(Debug)]
pub struct ErrorReply<'a> {
    id: Id<'a>,
    fault: Fault<'a>,
}

impl<'a> ErrorReply<'a> {
    /// An error that answers the request with this id.
    #[must_use]
    pub fn new(id: Id<'a>, fault: Fault<'a>) -> Self {
        Self { id, fault }
    }

    /// The answer to a binary message, which has no meaning in this protocol.
    #[must_use]
    pub fn binary() -> Self {
        Self::new(Id::ABSENT, Fault::Binary)
    }

    /// What was wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault<'a> {
        &self.fault
    }

    /// Appends the reply: `{"error":{"code":2,"msg":"…"},"id":1}`, without `id` where none is
    /// known.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"error":{"code":"#);
        out.push(b'0' + self.fault.code());
        out.extend_from_slice(br#","msg":"#);
        push_string(&self.fault.message(), out);
        out.push(b'}');
        if let Some(id) = self.id.as_json() {
            out.extend_from_slice(br#","id":"#);
            out.extend_from_slice(id.as_bytes());
        }
        out.push(b'}');
    }
}

/// What can be wrong with a control message.
#[derive(Debug)]
pub enum Fault<'a> {
    /// A property other than `combined` and `sequence`. Code 0.
    UnknownProperty,
    /// A property's value that is not `true` or `false`, or none. Code 1.
    NotBoolean,
    /// A JSON text that is not an object. Code 2, as all up to [`Self::InvalidStream`].
    NotAnObject,
    /// `method`, `params` or `id` occurs more than once.
    DuplicateField,
    /// `id` is of another type, a number beyond 64 bits, or over-long.
    InvalidId,
    /// No `method`.
    MissingMethod,
    /// `method` is not a string.
    MethodNotString,
    /// `method` names nothing.
    UnknownMethod(Cow<'a, str>),
    /// No `params` where streams are expected.
    MissingParams,
    /// `params` is not an array.
    ParamsNotList,
    /// More parameters than the method takes.
    TooManyParameters,
    /// The property's name is not a string, or not there.
    PropertyNotString,
    /// A stream's name is not a string.
    StreamNotString,
    /// A stream's name is empty, over-long or unprintable.
    InvalidStream,
    /// `resume` is not an object. Code 2, as the next two.
    ResumeNotObject,
    /// What `resume` says of a stream is no number that an event can have.
    ResumeNotNumber,
    /// `resume` names a stream that is not subscribed to.
    ResumeNotInParams,
    /// A text message that is not JSON. Code 3.
    InvalidJson(serde_json::Error),
    /// A binary message. Code 3.
    Binary,
    /// The connection has all the streams it may have. Code 4; the caller closes with 1008.
    TooManySubscriptions,
}

impl Fault<'_> {
    /// The code the exchange gives to this kind of error, 0 to 4.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::UnknownProperty => 0,
            Self::NotBoolean => 1,
            Self::NotAnObject
            | Self::DuplicateField
            | Self::InvalidId
            | Self::MissingMethod
            | Self::MethodNotString
            | Self::UnknownMethod(_)
            | Self::MissingParams
            | Self::ParamsNotList
            | Self::TooManyParameters
            | Self::PropertyNotString
            | Self::StreamNotString
            | Self::InvalidStream
            | Self::ResumeNotObject
            | Self::ResumeNotNumber
            | Self::ResumeNotInParams => 2,
            Self::InvalidJson(_) | Self::Binary => 3,
            Self::TooManySubscriptions => 4,
        }
    }

    fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UnknownProperty => "Unknown property",
            Self::NotBoolean => "Invalid value type: expected Boolean",
            Self::NotAnObject => "Invalid request: expected an object",
            Self::DuplicateField => "Invalid request: a field is given twice",
            Self::InvalidId => "Invalid request: request ID must be an unsigned integer",
            Self::MissingMethod => "Invalid request: missing field `method`",
            Self::MethodNotString => "Invalid request: method must be a string",
            Self::UnknownMethod(method) => return Cow::Owned(unknown_method(method)),
            Self::MissingParams => "Invalid request: missing field `params`",
            Self::ParamsNotList => "Invalid request: params must be an array",
            Self::TooManyParameters => "Invalid request: too many parameters",
            Self::PropertyNotString => "Invalid request: property name must be a string",
            Self::StreamNotString => "Invalid request: stream name must be a string",
            Self::InvalidStream => "Invalid request: invalid stream",
            Self::ResumeNotObject => "Invalid request: resume must be an object",
            Self::ResumeNotNumber => {
                "Invalid request: a number in resume must be an unsigned integer"
            }
            Self::ResumeNotInParams => {
                "Invalid request: resume names a stream that is not in params"
            }
            Self::InvalidJson(error) => return Cow::Owned(format!("Invalid JSON: {error}")),
            Self::Binary => "Invalid JSON: expected a text message",
            Self::TooManySubscriptions => "Too many subscriptions",
        })
    }
}

fn unknown_method(method: &str) -> String {
    let shown: String = method.chars().take(ECHO_CHARACTERS_MAX).collect();
    format!(
        "Invalid request: unknown variant `{shown}`, expected one of `SUBSCRIBE`, \
         `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::control;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Control messages: the answer to each kind of request, byte for byte.
    #[test]
    fn results_are_written_as_the_exchange_writes_them() {
        let message = r#"{"method":"LIST_SUBSCRIPTIONS","id":"a\u0031"}"#;
        let id = control::parse(message).unwrap().id;
        assert_eq!(written(|out| done(id, out)), r#"{"result":null,"id":"a\u0031"}"#);
        assert_eq!(
            written(|out| subscriptions(["a@trade", "b\"c"], id, out)),
            r#"{"result":["a@trade","b\"c"],"id":"a\u0031"}"#
        );
        assert_eq!(written(|out| subscriptions([], Id::ABSENT, out)), r#"{"result":[],"id":null}"#);
        assert_eq!(
            written(|out| property(false, Id::ABSENT, out)),
            r#"{"result":false,"id":null}"#
        );
        assert_eq!(written(|out| resumed([], id, out)), written(|out| done(id, out)));
        assert_eq!(
            written(|out| resumed([("a\"", (7, 9)), ("b", (1, 1))], Id::ABSENT, out)),
            r#"{"result":null,"id":null,"gaps":{"a\"":[7,9],"b":[1,1]}}"#
        );
        assert_eq!(written(|out| property(true, id, out)), r#"{"result":true,"id":"a\u0031"}"#);
    }

    /// Errors: the two that no text message causes by itself.
    #[test]
    fn binary_messages_and_too_many_subscriptions_are_answered() {
        assert_eq!(
            written(|out| ErrorReply::binary().encode(out)),
            r#"{"error":{"code":3,"msg":"Invalid JSON: expected a text message"}}"#
        );
        let id = control::parse(r#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#).unwrap().id;
        let reply = ErrorReply::new(id, Fault::TooManySubscriptions);
        assert_eq!(reply.fault().code(), 4);
        assert_eq!(
            written(|out| reply.encode(out)),
            r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":7}"#
        );
    }

    /// Errors: a method's name is repeated shortened and escaped, so a reply stays small and valid.
    #[test]
    fn an_unknown_method_is_echoed_safely() {
        let method = Cow::Owned(format!("\"{}", "é".repeat(5000)));
        let reply =
            written(|out| ErrorReply::new(Id::ABSENT, Fault::UnknownMethod(method)).encode(out));
        assert!(reply.len() < 400, "{}", reply.len());
        assert!(serde_json::from_str::<serde_json::Value>(&reply).is_ok(), "{reply}");
    }
}
