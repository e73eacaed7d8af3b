//! The opening handshake (RFC 6455 §4.2) and plain HTTP, over real sockets.

mod support;

use std::net::SocketAddr;
use support::client::{Answer, Client, upgrade_request};
use support::eventually;
use support::frame::{ping, text};
use support::server::{TestServer, options};
use tickwire::http::{HeadLimits, Request, Response, Status};
use tickwire::proto::Message;
use tickwire::server::{Accept, Cause, Context, Handler, Opening, Options, Upgrade};

/// Refuses what its path says, speaks two subprotocols, serves one page, and echoes.
struct Doors;

impl Handler for Doors {
    type Session = ();

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<()> {
        let refusal = match opening.request.path() {
            "/unauthorized" => Some(Status::UNAUTHORIZED),
            "/missing" => Some(Status::NOT_FOUND),
            "/busy" => Some(Status::TOO_MANY_REQUESTS),
            _ => None,
        };
        if let Some(status) = refusal {
            return Upgrade::Respond(Response::text(status, "not here\n"));
        }
        let chosen = match opening.request.path() {
            "/wrong-subprotocol" => Some("never.offered"),
            _ => opening.handshake.select(&["v2.ticks", "v1.ticks"]),
        };
        Upgrade::Accept(Accept { session: (), subprotocol: chosen.map(Box::from) })
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        match request.path() {
            "/page" => Response::text(Status::OK, format!("asked for {}\n", request.target())),
            _ => Response::text(Status::NOT_FOUND, "nothing here\n"),
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

fn doors(options: Options) -> TestServer {
    TestServer::start(options, |_| Doors)
}

/// Sends a request on a connection of its own and reads an answer, which must be well-formed and
/// the last thing on the connection.
fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut client = Client::connect(address);
    client.send(request);
    let answer = client.read_answer();
    let connection = answer.field("Connection").expect("what becomes of the connection");
    assert!(connection.split(", ").any(|option| option == "close"), "{answer:?}");
    let date = answer.field("Date").expect("a date");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    if !request.starts_with(b"HEAD") {
        let len = answer.field("Content-Length").and_then(|len| len.parse().ok());
        assert_eq!(len, Some(answer.content.len()), "{answer:?}");
    }
    answer
}

/// A handshake with one line replaced, or left out.
fn handshake_with(line: &str, replacement: &str) -> String {
    let request = upgrade_request("/", "");
    assert!(request.contains(line), "{line}");
    request.replace(line, replacement)
}

const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const HOST: &str = "Host: localhost\r\n";

/// §4.2.1: the server "MUST stop processing the client's handshake and return an HTTP response
/// with an appropriate error code (such as 400 Bad Request)".
#[test]
fn a_handshake_that_breaks_a_rule_is_answered_with_its_status() {
    let server = doors(options());
    let cases = [
        (400, handshake_with(HOST, "")),
        (400, handshake_with(HOST, "Host: a\r\nHost: b\r\n")),
        (400, handshake_with(HOST, "Host: not a host\r\n")),
        (400, handshake_with(CONNECTION, "")),
        (400, handshake_with(CONNECTION, "Connection: keep-alive\r\n")),
        (400, handshake_with(KEY, "")),
        (400, handshake_with(KEY, &KEY.repeat(2))),
        (400, handshake_with(KEY, "Sec-WebSocket-Key: dG9vIHNob3J0\r\n")),
        (400, handshake_with(KEY, "Sec-WebSocket-Key: not base64 at all!!\r\n")),
        (400, handshake_with(VERSION, &VERSION.repeat(2))),
        (426, handshake_with(VERSION, "Sec-WebSocket-Version: thirteen\r\n")),
        (426, handshake_with(VERSION, "Sec-WebSocket-Version: 013\r\n")),
        (426, handshake_with(VERSION, "Sec-WebSocket-Version: 8\r\n")),
        (426, handshake_with(VERSION, "")),
        (400, handshake_with("HTTP/1.1", "HTTP/1.0")),
        (400, upgrade_request("*", "")),
        (400, upgrade_request("/#fragment", "")),
        (400, upgrade_request("/", "Sec-WebSocket-Protocol: a, a\r\n")),
        (400, upgrade_request("/", "Sec-WebSocket-Protocol: a b\r\n")),
        (400, upgrade_request("/", "Sec-WebSocket-Extensions: ;\r\n")),
        (400, upgrade_request("/", "Folded: a\r\n b\r\n")),
        (400, upgrade_request("/", "Spaced : a\r\n")),
        (400, upgrade_request("/", "Transfer-Encoding: chunked\r\n")),
        (400, upgrade_request("/", "").replace("\r\n", "\n")),
        (405, upgrade_request("/", "").replace("GET", "POST")),
        (405, upgrade_request("/", "").replace("GET", "HEAD")),
        (413, upgrade_request("/", "Content-Length: 5\r\n") + "hello"),
        (417, upgrade_request("/", "Expect: 100-continue\r\n")),
        (501, upgrade_request("/", "").replace("GET", "BREW")),
        (505, handshake_with("HTTP/1.1", "HTTP/2.0")),
        (401, upgrade_request("/unauthorized", "")),
        (404, upgrade_request("/missing", "")),
        (429, upgrade_request("/busy", "")),
        (500, upgrade_request("/wrong-subprotocol", "")),
    ];
    for (status, request) in &cases {
        let answer = ask(server.address, request.as_bytes());
        assert_eq!(answer.status, *status, "{request}");
    }
    server.expect_ended(Cause::HandshakeRefused, cases.len() as u64);
    assert_eq!(server.stats().handshakes, 0);
}

/// §4.4, RFC 9110 §15.5.6, §15.5.22: a refusal says what would be accepted.
#[test]
fn a_refusal_says_what_would_do() {
    let server = doors(options());
    for version in ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: x\r\n"] {
        let answer = ask(server.address, handshake_with(VERSION, version).as_bytes());
        assert_eq!(answer.field("Sec-WebSocket-Version"), Some("13"));
        assert_eq!(answer.field("Upgrade"), Some("websocket"));
        assert_eq!(answer.field("Connection"), Some("Upgrade, close"));
    }
    let answer = ask(server.address, upgrade_request("/", "").replace("GET", "PUT").as_bytes());
    assert_eq!(answer.field("Allow"), Some("GET"));
    let answer = ask(server.address, b"DELETE /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD")));
}

/// RFC 9112 §3, RFC 6585 §5: what is too long is refused at its limit and not before, and the
/// refusal reaches a peer that goes on sending.
#[test]
fn a_request_over_a_limit_is_refused() {
    let limits = HeadLimits { head_bytes_max: 1000, target_bytes_max: 100, fields_max: 10 };
    let server = doors(Options { head_limits: limits, ..options() });
    let longest = format!("/{}", "x".repeat(99));
    Client::open_at(server.address, &longest).close();
    let ask = |target: &str, fields: &str| {
        ask(server.address, upgrade_request(target, fields).as_bytes()).status
    };
    assert_eq!(ask(&format!("{longest}x"), ""), 414);
    assert_eq!(ask("/", &"A: b\r\n".repeat(6)), 431);
    assert_eq!(ask("/", &format!("A: {}\r\n", "b".repeat(1000))), 431);
    assert_eq!(ask("/", &format!("A: {}\r\n", "b".repeat(4 << 20))), 431);
}

/// Those limits have defaults that no browser comes near.
#[test]
fn the_default_limits_are_16_kib_and_100_fields() {
    let server = doors(options());
    let base = upgrade_request("/", "A: \r\n").len();
    let fits = upgrade_request("/", &format!("A: {}\r\n", "b".repeat((16 << 10) - base)));
    let mut client = Client::connect(server.address);
    client.send(fits.as_bytes());
    client.expect_switch();
    let over = fits.replace("A: ", "A: b");
    assert_eq!(ask(server.address, over.as_bytes()).status, 431);
    let fields = upgrade_request("/", &"A: b\r\n".repeat(96));
    assert_eq!(ask(server.address, fields.as_bytes()).status, 431);
}

/// §4.2.1: names and tokens in any case, in lists, among other fields.
#[test]
fn field_names_and_tokens_are_compared_without_case() {
    let server = doors(options());
    let request = "GET / HTTP/1.1\r\nhOST: localhost\r\nuser-agent: x\r\n\
        upgrade: other/1, WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n\
        sec-websocket-version:13\r\nsec-websocket-key:   dGhlIHNhbXBsZSBub25jZQ==  \r\n\r\n";
    let mut client = Client::connect(server.address);
    client.send(request.as_bytes());
    client.expect_switch();
    client.close();
}

/// RFC 9112 §3.2.2: "a server MUST accept the absolute-form in requests".
#[test]
fn an_absolute_target_is_accepted() {
    let server = doors(options());
    for target in ["http://localhost/x?y", "ws://localhost:9001/", "ws://localhost"] {
        Client::open_at(server.address, target).close();
    }
    let page = b"GET http://localhost/page HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(server.address, page).status, 200);
}

/// TCP may cut a request anywhere.
#[test]
fn a_request_may_come_a_byte_at_a_time() {
    let server = doors(options());
    let mut client = Client::connect(server.address);
    for byte in upgrade_request("/", "Origin: http://a.example\r\n").as_bytes() {
        client.send(&[*byte]);
    }
    client.expect_switch();
    client.expect_alive();
    client.close();
}

/// Frames may come in the segment that the request ends in, whole or in part.
#[test]
fn frames_in_the_requests_segment_are_not_lost() {
    let server = doors(options());
    let request = upgrade_request("/", "").into_bytes();
    let frames = [ping(b"early"), text("early")].concat();
    let bytes = [request.clone(), frames].concat();
    for cut in [5, request.len() - 1, request.len(), request.len() + 1, bytes.len() - 2] {
        let mut client = Client::connect(server.address);
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        client.expect_switch();
        client.expect_pong(b"early");
        client.expect_text("early");
        client.close();
    }
}

/// §4.2.2, 4: "The value chosen MUST be derived from the client's handshake".
#[test]
fn the_servers_favourite_among_the_offered_subprotocols_is_chosen() {
    let server = doors(options());
    let cases = [
        ("Sec-WebSocket-Protocol: v1.ticks, v2.ticks\r\n", Some("v2.ticks")),
        ("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: v1.ticks\r\n", Some("v1.ticks")),
        ("Sec-WebSocket-Protocol: V1.TICKS\r\n", None),
        ("", None),
    ];
    for (fields, chosen) in cases {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/", fields).as_bytes());
        assert_eq!(client.expect_switch().field("Sec-WebSocket-Protocol"), chosen);
        client.close();
    }
}

/// §9.1: a server need not accept an extension that is offered.
#[test]
fn offered_extensions_are_declined() {
    let server = doors(options());
    let mut client = Client::connect(server.address);
    let fields = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    client.send(upgrade_request("/", fields).as_bytes());
    // Which checks that none is accepted.
    client.expect_switch();
    client.close();
}

/// §4.2.2, 4, §10.2: pages of other origins get 403; who is no page is let in.
#[test]
fn only_pages_of_listed_origins_are_let_in() {
    let origins = "https://app.example.com, https://*.example.org".parse().unwrap();
    let server = doors(Options { origins, ..options() });
    for origin in ["https://app.example.com", "https://a.b.example.org:443"] {
        let mut client = Client::connect(server.address);
        client.send(upgrade_request("/", &format!("Origin: {origin}\r\n")).as_bytes());
        client.expect_switch();
        client.close();
    }
    Client::open(server.address).close();
    for origin in ["http://app.example.com", "https://evil.example", "null"] {
        let request = upgrade_request("/", &format!("Origin: {origin}\r\n"));
        assert_eq!(ask(server.address, request.as_bytes()).status, 403, "{origin}");
    }
    let twice = upgrade_request("/", &"Origin: https://app.example.com\r\n".repeat(2));
    assert_eq!(ask(server.address, twice.as_bytes()).status, 400);
}

/// RFC 9110 §9.3.1, §9.3.2: a HEAD is a GET whose answer ends with its head.
#[test]
fn plain_requests_are_answered_by_the_handler() {
    let server = doors(options());
    for version in ["1.1", "1.0"] {
        let request = format!("GET /page?q HTTP/{version}\r\nHost: a\r\n\r\n");
        let answer = ask(server.address, request.as_bytes());
        assert_eq!((answer.status, &*answer.content), (200, "asked for /page?q\n"));
        let request = request.replace("GET", "HEAD");
        let answer = ask(server.address, request.as_bytes());
        assert_eq!((answer.status, &*answer.content), (200, ""));
        assert_eq!(answer.field("Content-Length"), Some("18"));
    }
    // RFC 9112 §3.2: only HTTP/1.1 asks for a Host.
    assert_eq!(ask(server.address, b"GET /page HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(ask(server.address, b"GET /page HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(ask(server.address, b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
    server.expect_ended(Cause::HandshakeRefused, 1);
    eventually("all are counted", || server.stats().ended(Cause::Http) == 6);
}

/// The answer says that the connection closes: a request after it is not looked at.
#[test]
fn a_second_request_on_a_connection_is_not_answered() {
    let server = doors(options());
    let twice = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    assert_eq!(ask(server.address, twice.as_bytes()).content, "asked for /page\n");
}

/// RFC 9110 §15.5.22: a handler that serves no HTTP leaves it to the library to say so.
#[test]
fn a_plain_request_where_only_websocket_is_served_is_answered_426() {
    let (server, _ends) = TestServer::echo(options());
    let answer = ask(server.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("Sec-WebSocket-Version")), (426, Some("13")));
    server.expect_ended(Cause::Http, 1);
}

/// A peer that leaves before its request is complete has abandoned it.
#[test]
fn an_unfinished_request_is_counted_as_abandoned() {
    let server = doors(options());
    for part in ["", "GET / HT"] {
        let mut client = Client::connect(server.address);
        client.send(part.as_bytes());
        client.finish();
        client.expect_eof();
    }
    server.expect_ended(Cause::HandshakeAbandoned, 2);
}

/// What is not HTTP at all, such as the first bytes of TLS, is told so.
#[test]
fn bytes_that_are_not_http_are_answered_400() {
    let server = doors(options());
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\n\n", b"hello\r\n\r\n", b"GET /\r\n\r\n"] {
        assert_eq!(ask(server.address, bytes).status, 400);
    }
}
