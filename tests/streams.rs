//! The list of a server's streams: the answer at `/tickwire/streams`, and `tickwire streams`.

#![cfg(feature = "cli")]

mod support;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use support::client::{Answer, Client};
use support::eventually;
use support::program::{Program, run};
use support::server::{TestServer, options};
use tickwire::market::{MarketHandler, MarketOptions};
use tickwire::server::{Retain, Server};

fn get(address: SocketAddr, target: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    client.read_answer()
}

/// Topics are listed in the order of their making, with how many events each has had.
#[test]
fn streams_are_listed_with_their_events() {
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let server = Server::builder(local).options(options()).build().unwrap();
    let (address, publisher) = (server.local_addr(), server.publisher());
    let shutdown = server.shutdown_handle();
    let market = MarketOptions { publisher: Some(publisher.clone()), ..MarketOptions::default() };
    let thread = std::thread::spawn(move || server.run(|_| MarketHandler::new(market.clone())));
    assert_eq!(get(address, "/tickwire/streams").content, r#"{"streams":[]}"#);
    // What a client asks for makes no stream.
    let mut client = Client::open_at(address, "/ws/nothing@trade");
    client.expect_alive();
    let [b, _, quoted] =
        ["b@trade", "a@depth", "c\"d"].map(|it| publisher.topic(it, Retain::Nothing));
    for _ in 0..3 {
        publisher.publish(&b, "1".into());
    }
    publisher.publish(&quoted, "1".into());
    let answer = get(address, "/tickwire/streams");
    assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/json")));
    assert_eq!(
        answer.content,
        r#"{"streams":[{"stream":"b@trade","events":3},{"stream":"a@depth","events":0},{"stream":"c\"d","events":1}]}"#
    );
    drop(client);
    shutdown.shutdown();
    thread.join().unwrap().unwrap();
}

/// The command prints what the server lists: columns for programs, or the answer itself.
#[test]
fn the_command_prints_names_and_events() {
    let mut program = Program::start(&["serve", "--feed", "stdin"]);
    let mut feed = program.stdin.take().unwrap();
    feed.write_all(
        b"{\"result\":[\"z@news\"],\"id\":1}\n{\"stream\":\"a@news\",\"data\":1}\n\
          {\"stream\":\"a@news\",\"data\":2}\n",
    )
    .unwrap();
    let url = format!("ws://{}/ws", program.address);
    eventually("both events were read", || run(&["streams", &url]).stdout.contains("a@news\t2"));
    let said = run(&["streams", &url]);
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    assert_eq!(said.stdout, "z@news\t0\na@news\t2\n");
    let said = run(&["streams", &program.address.to_string(), "--json"]);
    let list = r#"{"streams":[{"stream":"z@news","events":0},{"stream":"a@news","events":2}]}"#;
    assert_eq!(said.stdout, format!("{list}\n"));
}

/// A simulated market's streams are known before the first of their events.
#[test]
fn a_simulation_lists_all_of_its_streams_at_once() {
    let program = Program::start(&["serve", "--wait-for", "1", "--symbols", "BTCUSDT"]);
    let mut lines = Vec::new();
    eventually("the feed's thread has told them", || {
        let said = run(&["streams", &program.address.to_string()]);
        lines = said.stdout.lines().map(str::to_owned).collect();
        lines.len() > 20
    });
    assert!(lines.contains(&"btcusdt@depth@100ms\t0".to_owned()), "{lines:?}");
}

/// What cannot be listed is said in one line, with what to do.
#[test]
fn a_server_without_a_list_is_told_in_one_line() {
    let bare = TestServer::start(options(), |_| MarketHandler::new(MarketOptions::default()));
    let echo = Program::start(&["echo"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, says) in [
        (bare.address, "has no list of its streams (HTTP 404 for /tickwire/streams)"),
        (echo.address, "answers HTTP 426"),
        (nobody, "connection refused; is the server running, and on this port?"),
    ] {
        let said = run(&["streams", &format!("ws://{address}")]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stdout.is_empty() && said.stderr.lines().count() == 1, "{said:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(says), "{said:?}");
    }
    for (url, says) in [
        ("wss://127.0.0.1:9", "TLS is not spoken here"),
        ("ws://127.0.0.1:9/ws/a@trade", "name the server alone"),
        ("http://127.0.0.1:9", "ws://"),
    ] {
        let said = run(&["streams", url]);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        assert!(said.stderr.contains(says) && said.stderr.lines().count() == 1, "{said:?}");
    }
}
