//! How connections end (RFC 6455 §5.5.1, §7) over real sockets.

mod support;

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use support::client::Client;
use support::frame::{self, CLOSE, FIN, PING, TEXT, close, frame as encode, header, ping, text};
use support::server::{End, Ends, TestServer, options};
use tickwire::proto::{CloseCode, Message, Timeouts, Violation};
use tickwire::server::{Cause, Closed, Context, Handler, Opening, Options, Upgrade};

/// Sends messages back; closes the connection with code 4001 for the message "close".
struct Obedient(Sender<End>);

impl Handler for Obedient {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
        if message == Message::Text("close") {
            cx.close(CloseCode::on_wire(4001).expect("a private code"), "as asked");
            cx.close(CloseCode::NORMAL, "the first call counts");
        }
    }

    fn on_close(&mut self, (): (), closed: &Closed<'_>) {
        let _ = self.0.send(closed.into());
    }
}

fn obedient(options: Options) -> (TestServer, Ends) {
    let (sender, receiver) = channel();
    (TestServer::start(options, move |_| Obedient(sender.clone())), Ends(receiver))
}

fn with_close_timeout(close_timeout: Duration) -> Options {
    Options { timeouts: Timeouts { close_timeout, ..Timeouts::default() }, ..options() }
}

/// Whom we started to close tells us nothing in return.
const NO_ANSWER: u16 = 1006;

/// §5.5.1: the answer to a close frame "typically echos the status code it received"; §7.1.1: the
/// server closes TCP first; §7.4: which codes there are.
#[test]
fn every_valid_close_code_is_echoed() {
    let (server, ends) = TestServer::echo(options());
    let codes = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]);
    for code in codes {
        let mut client = Client::open(server.address);
        client.send(&close(code, "because"));
        assert_eq!(client.expect_failure(code), "");
        let reason = "because".to_owned();
        assert_eq!(ends.next(), End { cause: Cause::PeerClosed, code, reason });
    }
    server.stop();
    ends.expect_no_more();
}

/// §7.4.1, §7.4.2: codes that must not be sent, and those that nobody has defined.
#[test]
fn every_invalid_close_code_fails_the_connection() {
    let (server, ends) = TestServer::echo(options());
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let mut client = Client::open(server.address);
        client.send(&close(code, ""));
        client.expect_failure(1002);
        ends.expect_abnormal(Cause::Violation(Violation::CloseCodeInvalid));
    }
}

/// §5.5.1: a body is a code and then text, or there is none.
#[test]
fn the_body_of_a_close_frame_is_checked() {
    let (server, ends) = TestServer::echo(options());
    let cases = [
        (&b"\x03"[..], 1002, Violation::CloseTooShort),
        (b"\x03\xe8\xff", 1007, Violation::CloseReasonInvalidUtf8),
        (b"\x03\xe8cut \xe2\x82", 1007, Violation::CloseReasonInvalidUtf8),
    ];
    for (body, code, violation) in cases {
        let mut client = Client::open(server.address);
        client.send(&encode(FIN | CLOSE, body));
        client.expect_failure(code);
        ends.expect_abnormal(Cause::Violation(violation));
    }
    let longest = "é".repeat(61) + "e";
    let mut client = Client::open(server.address);
    client.send(&close(1000, &longest));
    client.expect_failure(1000);
    assert_eq!(ends.next(), End { cause: Cause::PeerClosed, code: 1000, reason: longest });
}

/// §5.5.1, §7.1.5: a close frame without a body is answered by one without a body.
#[test]
fn an_empty_close_is_answered_by_an_empty_close() {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(&encode(FIN | CLOSE, b""));
    client.expect_frame(FIN | CLOSE, b"");
    client.expect_eof();
    assert_eq!(ends.next(), End { cause: Cause::PeerClosed, code: 1005, reason: String::new() });
}

/// §1.4: after a close frame "any further data received" is discarded, whether it came with the
/// close frame or long after, and it does not reset the connection.
#[test]
fn nothing_is_processed_after_a_close_frame() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let after = [text("after"), ping(b"after"), encode(FIN | 0x3, b"")].concat();
    client.send(&[text("before"), close(1000, ""), after.clone()].concat());
    client.expect_text("before");
    client.expect_failure(1000);
    client.send(&after.repeat(10_000));
    client.finish();
    client.expect_eof();
    server.expect_ended(Cause::PeerClosed, 1);
    assert_eq!(server.stats().messages_in, 1);
}

/// §7.1.1: closing TCP with unread data resets the connection, and the peer might never see why it
/// was failed. So what a peer still sends is read and thrown away.
#[test]
fn the_close_code_reaches_a_peer_that_is_still_sending() {
    let (server, _ends) = TestServer::echo(options());
    for megabytes in [1, 16] {
        let mut client = Client::open(server.address);
        client.send(&encode(FIN | 0x3, b""));
        client.send(&vec![0; megabytes << 20]);
        client.expect_failure(1002);
        client.send(&vec![0; megabytes << 20]);
        client.finish();
        client.expect_eof();
    }
    server.expect_ended(Cause::Violation(Violation::ReservedOpCode), 2);
}

/// §7.1.7: what we owe goes out before the close frame of the failure.
#[test]
fn replies_owed_come_before_the_close_of_a_failure() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let large = vec![7; 4 << 20];
    client.send(&frame::binary(&large));
    client.send(&[ping(b"owed"), text("owed"), encode(FIN | 0x3, b"")].concat());
    client.expect_binary(&large);
    client.expect_pong(b"owed");
    client.expect_text("owed");
    client.expect_failure(1002);
}

/// §7.1.4, §7.1.5: a connection that ends without a close frame has code 1006, also within a
/// frame or a message.
#[test]
fn an_end_without_a_close_frame_is_abnormal() {
    let (server, ends) = TestServer::echo(options());
    let unfinished = [vec![], header(FIN | TEXT, 10), encode(TEXT, b"x"), vec![FIN | PING]];
    for bytes in &unfinished {
        let mut client = Client::open(server.address);
        client.send(bytes);
        client.finish();
        client.expect_eof();
        ends.expect_abnormal(Cause::PeerVanished);
    }
    server.expect_ended(Cause::PeerVanished, unfinished.len() as u64);
    server.stop();
    ends.expect_no_more();
}

/// A reset is told from an end.
#[test]
fn a_reset_is_counted_as_such() {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.expect_alive();
    client.reset();
    ends.expect_abnormal(Cause::Reset);
    server.expect_ended(Cause::Reset, 1);
}

/// A peer that shuts its end of TCP after a message can still read: it gets its reply.
#[test]
fn a_reply_reaches_a_peer_that_has_shut_its_own_end() {
    let (server, ends) = TestServer::echo(options());
    for len in [1, 8 << 20] {
        let mut client = Client::open(server.address);
        client.send(&frame::binary(&vec![1; len]));
        client.finish();
        client.expect_binary(&vec![1; len]);
        client.expect_eof();
        ends.expect_abnormal(Cause::PeerVanished);
    }
    server.expect_ended(Cause::PeerVanished, 2);
}

/// §7.1.2: the server starts the closing handshake, after all it sent before; the peer's answer
/// completes it.
#[test]
fn the_application_closes_after_what_it_sent() {
    let (server, ends) = obedient(options());
    let mut client = Client::open(server.address);
    client.send(&[text("close"), text("not for the handler any more")].concat());
    client.expect_text("close");
    assert_eq!(client.expect_close(4001), "as asked");
    // §5.5.2: until it has received a close frame, an endpoint answers pings.
    client.expect_alive();
    client.send(&close(4002, "well then"));
    client.expect_eof();
    let (cause, reason) = (Cause::Application, "well then".to_owned());
    assert_eq!(ends.next(), End { cause, code: 4002, reason });
    drop(client);
    server.expect_ended(Cause::Application, 1);
    assert_eq!(server.stats().messages_in, 1);
}

/// §7.1.6 and §5.5.1: both sides send their close frame without having seen the other's.
#[test]
fn when_both_close_at_once_each_sends_one_close_frame() {
    let (server, ends) = obedient(options());
    let mut client = Client::open(server.address);
    client.send(&[text("close"), close(1001, "leaving")].concat());
    client.expect_text("close");
    client.expect_failure(4001);
    let reason = "leaving".to_owned();
    assert_eq!(ends.next(), End { cause: Cause::Application, code: 1001, reason });
}

/// §5.5.1, §7.1.7: a failure while closing sends no second close frame.
#[test]
fn a_violation_while_closing_ends_the_connection_without_a_word() {
    let (server, ends) = obedient(options());
    let mut client = Client::open(server.address);
    client.send(&[text("close"), encode(FIN | 0x3, b"")].concat());
    client.expect_text("close");
    client.expect_failure(4001);
    ends.expect_abnormal(Cause::Application);
}

/// A peer that never answers our close frame is let go after the close timeout.
#[test]
fn a_peer_that_does_not_answer_a_close_is_let_go() {
    let (server, ends) = obedient(with_close_timeout(Duration::from_millis(50)));
    let mut client = Client::open(server.address);
    client.send(&text("close"));
    client.expect_text("close");
    client.expect_failure(4001);
    let end = End { cause: Cause::Application, code: NO_ANSWER, reason: String::new() };
    assert_eq!(ends.next(), end);
    server.expect_ended(Cause::Application, 1);
}

/// §7.1.1: a peer that does not close TCP is let go, silent or not.
#[test]
fn a_peer_that_does_not_close_tcp_is_let_go() {
    let (server, _ends) = TestServer::echo(with_close_timeout(Duration::from_millis(50)));
    let mut silent = Client::open(server.address);
    silent.send(&close(1000, ""));
    silent.expect_failure(1000);
    let mut talkative = Client::open(server.address);
    talkative.send(&close(1000, ""));
    talkative.expect_failure(1000);
    while talkative.try_send(&[0; 1000]).is_ok() {}
    server.expect_ended(Cause::PeerClosed, 2);
}
