//! Control messages of the market-stream protocol, and the replies to them, beside serde_json's
//! reading of both.

use serde_json::Value;
use tickwire::market::{Command, ErrorReply, Request, StreamName, control, reply};

/// Any text yields a request or a reply that is JSON, with the id that it came with.
pub fn control(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What is nested too deep for a tree of values is read here all the same.
    let message: Option<Value> = serde_json::from_str(text).ok();
    match control::parse(text) {
        Ok(request) => check_request(&request, message.as_ref()),
        Err(error) => check_error(&error, message.as_ref()),
    }
}

fn check_request(request: &Request<'_>, message: Option<&Value>) {
    let names = match &request.command {
        Command::Subscribe(names, _) | Command::Unsubscribe(names) => names.as_slice(),
        _ => &[],
    };
    let names: Vec<&str> = names.iter().map(StreamName::as_str).collect();
    check_resume(request, &names, message);
    let mut done = Vec::new();
    reply::done(request.id, &mut done);
    let mut property = Vec::new();
    reply::property(true, request.id, &mut property);
    let mut listed = Vec::new();
    reply::subscriptions(names.iter().copied(), request.id, &mut listed);

    let results = [(done, Value::Null), (property, Value::Bool(true)), (listed, names.into())];
    for (reply, result) in results {
        let reply: Value = serde_json::from_slice(&reply).expect("a reply is JSON");
        let members = reply.as_object().expect("a reply is an object");
        assert_eq!(members.len(), 2);
        assert_eq!(members.get("result"), Some(&result));
        let Some(message) = message else { continue };
        assert_eq!(members.get("id"), Some(message.get("id").unwrap_or(&Value::Null)));
        if matches!(request.command, Command::Subscribe(..)) && result.is_array() {
            assert_eq!(message.get("params"), Some(&result));
        }
    }
}

/// What is resumed is subscribed to, and what the reply says of gaps can be read back.
fn check_resume(request: &Request<'_>, names: &[&str], message: Option<&Value>) {
    let Command::Subscribe(_, resume) = &request.command else { return };
    assert!(resume.keys().all(|stream| names.contains(&stream.as_str())));
    if let Some(resumed) = message.and_then(|message| message.get("resume")) {
        assert_eq!(resumed.as_object().map_or(0, |resumed| resumed.len()), resume.len());
        let said = |(stream, seen): (&String, &u64)| resumed[stream].as_u64() == Some(*seen);
        assert!(resume.iter().all(said));
    }
    let gaps = resume.iter().map(|(stream, seen)| (stream.as_str(), (*seen, u64::MAX)));
    let mut reply = Vec::new();
    reply::resumed(gaps, request.id, &mut reply);
    let reply: Value = serde_json::from_slice(&reply).expect("a reply is JSON");
    let gaps = reply.get("gaps").and_then(Value::as_object);
    assert_eq!(gaps.map_or(0, |gaps| gaps.len()), resume.len());
}

fn check_error(error: &ErrorReply<'_>, message: Option<&Value>) {
    let mut out = Vec::new();
    error.encode(&mut out);
    let reply: Value = serde_json::from_slice(&out).expect("a reply is JSON");
    let code = reply.pointer("/error/code").and_then(Value::as_u64).expect("a code");
    assert!(code <= 3, "{reply}");
    assert!(reply.pointer("/error/msg").is_some_and(Value::is_string), "{reply}");
    if let (Some(id), Some(message)) = (reply.get("id"), message) {
        assert_eq!(message.get("id"), Some(id));
    }
    assert!(code != 3 || message.is_none(), "{reply} to valid JSON");
    // An error's own words are bounded; an id is at most 36 escapes, or a number as it came.
    let id_bytes = reply.get("id").map_or(0, |id| id.to_string().len());
    assert!(out.len() < 1_000 + 12 * id_bytes, "{} bytes", out.len());
}
