//! Pings and pongs (RFC 6455 §5.5.2, §5.5.3) over real sockets.

mod support;

use support::client::Client;
use support::frame;
use support::server::{TestServer, options};

/// §5.5.3: a pong "must have identical 'Application data'", from none to the most there can be.
#[test]
fn a_pong_carries_the_payload_of_its_ping() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let all_bytes: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"x", &all_bytes[..125], &all_bytes[131..]] {
        client.send(&frame::ping(payload));
        client.expect_pong(payload);
    }
    client.close();
}
