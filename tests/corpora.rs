//! Replays the committed fuzz corpora through the checks of the fuzz targets, so that what is known
//! to matter is checked where no fuzzer is installed.

use std::collections::HashSet;
use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use tickwire::http::{ClientHandshake, HandshakeFailure, HeadLimits, HeadParser, Rejection, Url};
use tickwire::http::{HeadError, classify};
use tickwire::proto::{Header, Role, Violation};

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

/// Corpora are kept in git and read by people: they stay small.
const FILES_MAX: usize = 60;
const FILE_BYTES_MAX: usize = 2047;

const SERVER: Role = Role::Server;
const CLIENT: Role = Role::Client(|| [0; 4]);

/// The inputs of a target with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the target has a corpus");
    let inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            (path.display().to_string(), fs::read(&path).expect("a readable file"))
        })
        .collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    assert!(inputs.len() <= FILES_MAX, "{} has {} files", folder.display(), inputs.len());
    inputs
}

fn replay(target: &str, check: fn(&[u8])) {
    for (name, bytes) in corpus(target) {
        assert!(bytes.len() <= FILE_BYTES_MAX, "{name} has {} bytes", bytes.len());
        catch_unwind(|| check(&bytes)).unwrap_or_else(|panic| {
            eprintln!("the input is {name}");
            resume_unwind(panic)
        });
    }
}

/// RFC 6455 §5.2: headers.
#[test]
fn the_header_corpus_holds() {
    replay("header", targets::header);
}

/// RFC 6455 §5: frames, cut anywhere, for both roles.
#[test]
fn the_decoder_corpus_holds() {
    replay("decoder", targets::decoder);
}

/// RFC 6455 §4: requests and answers, cut anywhere.
#[test]
fn the_handshake_corpus_holds() {
    replay("handshake", targets::handshake);
}

/// RFC 6455 §5, §7: both ends, whatever is done to them.
#[test]
fn the_connection_corpus_holds() {
    replay("connection", targets::connection);
}

/// RFC 6455 §5: the same messages as tungstenite's.
#[test]
fn the_differential_corpus_holds() {
    replay("differential", targets::differential);
}

/// RFC 7692 §5, §7.1: which offer is accepted.
#[test]
fn the_extensions_corpus_holds() {
    replay("extensions", targets::extensions);
}

/// RFC 7692 §7.2: compressed messages.
#[test]
fn the_inflate_corpus_holds() {
    replay("inflate", targets::inflate);
}

/// Control messages of the market-stream protocol.
#[test]
fn the_control_corpus_holds() {
    replay("control", targets::control);
}

/// Lines of a feed, read and pushed.
#[test]
fn the_lines_corpus_holds() {
    replay("lines", targets::lines);
}

/// Order-book differences and clients that lag.
#[test]
fn the_depth_corpus_holds() {
    replay("depth", targets::depth);
}

/// Order books, from diffs and snapshots in any order.
#[test]
fn the_book_corpus_holds() {
    replay("book", targets::book);
}

/// Events in every view.
#[test]
fn the_envelope_corpus_holds() {
    replay("envelope", targets::envelope);
}

/// Paths, RFC 6455 §3 URLs, RFC 6454 origins.
#[test]
fn the_addresses_corpus_holds() {
    replay("addresses", targets::addresses);
}

/// A server on a network that is made up, from decisions in bytes.
#[test]
fn the_simulator_corpus_holds() {
    replay("simulator", targets::simulator);
}

/// Fuzzing starts from inputs that reach every rule: RFC 6455 §5, §7 and §8 as frames.
#[test]
fn the_decoder_corpus_breaks_every_rule_of_framing() {
    use Violation as V;
    let all = [
        V::ReservedBits,
        V::ReservedOpCode,
        V::ControlFragmented,
        V::ControlTooLong,
        V::Unmasked,
        V::Masked,
        V::LengthNotMinimal,
        V::LengthTopBit,
        V::ContinuationUnexpected,
        V::ContinuationExpected,
        V::InvalidUtf8,
        V::CloseTooShort,
        V::CloseCodeInvalid,
        V::CloseReasonInvalidUtf8,
        V::FrameTooLarge,
        V::MessageTooLarge,
        V::TooManyFragments,
    ];
    let corpus = corpus("decoder");
    let broken: HashSet<Violation> = corpus
        .iter()
        .flat_map(|(_, bytes)| [SERVER, CLIENT].map(|role| targets::run(role, &[bytes]).violation))
        .flatten()
        .collect();
    for violation in all {
        assert!(broken.contains(&violation), "no input breaks {violation:?}");
    }
}

/// RFC 6455 §4.2.1: every rejection of a request, but for heads over the limits of some KiB and for
/// what an application decides.
#[test]
fn the_handshake_corpus_breaks_every_rule_for_requests() {
    use HeadError as H;
    use Rejection as R;
    let heads = [
        H::EmptyLines,
        H::LeadingWhitespace,
        H::BareLf,
        H::BareCr,
        H::MethodInvalid,
        H::MethodTooLong,
        H::TargetInvalid,
        H::TargetFragment,
        H::VersionInvalid,
        H::VersionUnsupported,
        H::FoldedLine,
        H::FieldNameEmpty,
        H::FieldNameInvalid,
        H::SpaceBeforeColon,
        H::FieldValueInvalid,
        H::TooManyFields,
    ];
    let requests = [
        R::TargetForm,
        R::HostMissing,
        R::HostRepeated,
        R::HostInvalid,
        R::OriginRepeated,
        R::OriginInvalid,
        R::MethodUnknown,
        R::MethodNotServed,
        R::Expectation,
        R::Content,
        R::ContentLengthInvalid,
        R::TransferEncoding,
        R::HandshakeMethod,
        R::HandshakeHttp10,
        R::ConnectionNotUpgrade,
        R::VersionUnsupported,
        R::VersionInvalid,
        R::VersionRepeated,
        R::KeyMissing,
        R::KeyRepeated,
        R::KeyInvalid,
        R::SubprotocolInvalid,
        R::SubprotocolRepeated,
        R::TooManySubprotocols,
        R::ExtensionsInvalid,
    ];
    let corpus = corpus("handshake");
    let broken: Vec<R> = corpus.iter().filter_map(|(_, bytes)| rejection(bytes)).collect();
    for rejection in heads.map(R::Head).iter().chain(&requests) {
        assert!(broken.contains(rejection), "no input is refused for {rejection:?}");
    }
}

fn rejection(bytes: &[u8]) -> Option<Rejection> {
    match HeadParser::new().try_parse(bytes, &HeadLimits::default()) {
        Ok(request) => classify(&request?).err(),
        Err(rejection) => Some(rejection),
    }
}

/// RFC 6455 §4.1: every check of a server's answer, and one answer that passes them all.
#[test]
fn the_handshake_corpus_breaks_every_rule_for_answers() {
    use HandshakeFailure as F;
    let url: Url = "ws://localhost/".parse().unwrap();
    let corpus = corpus("handshake");
    let outcomes: Vec<_> = corpus
        .iter()
        .map(|(_, bytes)| {
            let mut handshake = ClientHandshake::new(&url, [0; 16]);
            handshake.try_parse(bytes, &HeadLimits::default()).map(|answer| answer.is_some())
        })
        .collect();
    for failure in [
        F::Head(HeadError::StatusInvalid),
        F::Http10,
        F::Refused(404),
        F::Upgrade,
        F::Connection,
        F::Accept,
        F::Extension,
        F::Subprotocol,
    ] {
        assert!(outcomes.contains(&Err(failure)), "no answer fails for {failure:?}");
    }
    assert!(outcomes.contains(&Ok(true)), "no answer is accepted");
}

/// An oracle that cannot fail shows nothing: decoders that are wrong on purpose are found out.
#[test]
fn wrong_decoders_are_detected() {
    let ping_between = b"\x01\x03Hel\x89\x01?\x80\x02lo";
    let right = |pieces: &[&[u8]]| targets::run(CLIENT, pieces);
    assert_eq!(targets::same_however_cut(ping_between, right).events.len(), 2);

    // Forgets between two reads what came before.
    let forgetful = |pieces: &[&[u8]]| {
        let runs = pieces.iter().map(|piece| targets::run(CLIENT, &[piece]).events);
        runs.collect::<Vec<_>>().concat()
    };
    assert!(catch_unwind(|| targets::same_however_cut(ping_between, forgetful)).is_err());
}

/// The same for headers: one that takes a length in more bytes than needed (§5.2), and one that
/// waits for bytes that it does not need.
#[test]
fn wrong_header_parsers_are_detected() {
    let parse = |bytes: &[u8]| Header::parse(bytes, CLIENT);
    let ping = b"\x89\x05Hello";
    targets::check_header(ping, parse);

    let waits = |bytes: &[u8]| if bytes.len() < 4 { Ok(None) } else { parse(bytes) };
    assert!(catch_unwind(|| targets::check_header(ping, waits)).is_err());

    let lax = |bytes: &[u8]| match (bytes, parse(b"\x82\x05")) {
        ([0x82, 0x7e, 0, 5, ..], Ok(Some((header, _)))) => Ok(Some((header, 4))),
        _ => Ok(None),
    };
    assert!(catch_unwind(|| targets::check_header(b"\x82\x7e\x00\x05Hello", lax)).is_err());
}
