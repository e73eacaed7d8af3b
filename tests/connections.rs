//! How many connections there may be, in all and from one address, and what those get that are
//! too many, over real sockets.

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use support::client::{Client, upgrade_request};
use support::server::{TestServer, options};
use support::{DEADLINE, eventually};
use tickwire::server::{AttemptLimit, Cause, Loopback, Options, Stats};

/// Refused connections that are answered at a time; others are reset.
const ANSWERED_MAX: usize = 256;

/// Every connection that was accepted is open, or has ended for one cause.
fn assert_accounted(stats: &Stats) {
    assert_eq!(stats.accepted, stats.open + stats.ended_total(), "{stats:?}");
}

fn refused_status(address: SocketAddr) -> u16 {
    let mut client = Client::connect(address);
    client.send(upgrade_request("/", "").as_bytes());
    client.read_answer().status
}

/// The limit holds over all workers together, and who leaves makes room.
#[test]
fn connections_are_limited_over_all_workers() {
    let options = Options { workers: 2, connections_max: 10, ..options() };
    let (server, _ends) = TestServer::echo(options);
    let mut open: Vec<Client> = (0..10).map(|_| Client::open(server.address)).collect();
    for _ in 0..5 {
        assert_eq!(refused_status(server.address), 503);
    }
    eventually("those who were refused are gone", || server.stats().open == 10);
    for client in &mut open {
        client.expect_alive();
    }
    open.pop().unwrap().close();
    eventually("there is room", || server.stats().open == 9);
    Client::open(server.address).expect_alive();
    drop(open);
    eventually("all are gone", || server.stats().open == 0);
    let stats = server.stats();
    assert_eq!(stats.ended(Cause::TooManyConnections), 5, "{stats:?}");
    assert_eq!((stats.refused_unanswered, stats.handshakes), (0, 11));
    assert_accounted(&stats);
}

/// A connection from another loopback address than 127.0.0.1.
fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("it is loopback");
    socket.connect(&to.into()).expect("the server listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    socket.into()
}

fn status_from(stream: &mut TcpStream) -> String {
    stream.write_all(upgrade_request("/", "").as_bytes()).expect("the server takes it");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    String::from_utf8(status.to_vec()).expect("ASCII")
}

/// Each address has as many as it may, whatever others have.
#[test]
fn connections_are_limited_by_address() {
    let options = Options {
        connections_per_address_max: Some(3),
        loopback: Loopback::Limited,
        workers: 2,
        ..options()
    };
    let (server, _ends) = TestServer::echo(options);
    let mut open: Vec<Client> = (0..3).map(|_| Client::open(server.address)).collect();
    assert_eq!(refused_status(server.address), 429);
    let mut others: Vec<TcpStream> =
        (0..4).map(|_| connect_from([127, 0, 0, 2], server.address)).collect();
    let mut statuses: Vec<_> = others.iter_mut().map(status_from).collect();
    statuses.sort();
    let [taken, refused] = ["HTTP/1.1 101", "HTTP/1.1 429"];
    assert_eq!(statuses, [taken, taken, taken, refused]);
    open.pop().unwrap().close();
    drop(others);
    eventually("there is room", || server.stats().open == 2);
    open.push(Client::open(server.address));
    assert_eq!(refused_status(server.address), 429);
    drop(open);
    eventually("all are gone", || server.stats().open == 0);
    let stats = server.stats();
    assert_eq!(stats.ended(Cause::TooManyOfAddress), 3, "{stats:?}");
    assert_accounted(&stats);
}

/// Loopback is exempt unless it is not to be; attempts count whether they were granted or not.
#[test]
fn attempts_are_limited_by_address() {
    let span = Duration::from_secs(3600);
    let attempt_limit = Some(AttemptLimit { attempts_max: 2, span });
    let (exempt, _ends) = TestServer::echo(Options { attempt_limit, ..options() });
    for _ in 0..10 {
        Client::open(exempt.address).close();
    }
    let limited = Options { attempt_limit, loopback: Loopback::Limited, ..options() };
    let (server, _ends) = TestServer::echo(limited);
    for _ in 0..2 {
        Client::open(server.address).close();
    }
    for _ in 0..3 {
        assert_eq!(refused_status(server.address), 429);
    }
    assert_eq!(status_from(&mut connect_from([127, 0, 0, 3], server.address)), "HTTP/1.1 101");
    eventually("all are gone", || server.stats().open == 0);
    let stats = server.stats();
    assert_eq!((stats.ended(Cause::TooManyAttempts), stats.handshakes), (3, 3), "{stats:?}");
}

/// A flood costs a reset each, beyond the few that are told why; a connection that was there before
/// does not notice, and there is room again when those who were told have gone.
#[test]
fn a_flood_over_the_limit_is_cut_off() {
    const FLOOD: usize = 1000;
    let (server, _ends) = TestServer::echo(Options { connections_max: 1, ..options() });
    let mut canary = Client::open(server.address);
    // A reset may come before the system has said that the connection is made.
    let flood: Vec<std::io::Result<TcpStream>> =
        (0..FLOOD).map(|_| TcpStream::connect_timeout(&server.address, DEADLINE)).collect();
    eventually("all are accepted", || server.stats().accepted == 1 + FLOOD as u64);
    canary.expect_alive();
    let stats = server.stats();
    assert_accounted(&stats);
    assert_eq!(stats.refused_unanswered, (FLOOD - ANSWERED_MAX) as u64, "{stats:?}");
    assert_eq!(stats.open, 1 + ANSWERED_MAX as u64);
    let mut reset = 0;
    for stream in flood {
        let read = stream.and_then(|mut stream| {
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.read(&mut [0])
        });
        // Those not reset are waited for, for a while, and then let go without a word.
        match read {
            Ok(len) => assert_eq!(len, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                reset += 1;
            }
        }
    }
    assert_eq!(reset, FLOOD - ANSWERED_MAX);
    eventually("they are gone", || server.stats().open == 1);
    assert_eq!(server.stats().ended(Cause::TooManyConnections), FLOOD as u64);
    assert_eq!(refused_status(server.address), 503);
    canary.close();
}
