//! Sockets that events come from, read in a worker's own loop: producers over TCP and UDP, what
//! they get wrong, and what they cannot do to others.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use support::client::Client;
use support::program::Program;
use support::puppet::Puppet;
use support::server::options;
use support::{DEADLINE, eventually};
use tickwire::server::{Ingest, Ingestor, Input, Retain, Server, Source};

/// A server whose feed is a socket of this kind, on a free port; where that is.
fn serve(protocol: &str, more: &[&str]) -> (Program, SocketAddr) {
    let feed = format!("{protocol}:127.0.0.1:0");
    let mut arguments = vec!["serve", "--feed", &feed];
    arguments.extend(more);
    let (program, title) = Program::start_and_tell(&arguments);
    let (_, rest) = title.split_once(&format!("what comes to {protocol} ")).expect(&title);
    let address = rest.split(' ').next().and_then(|address| address.parse().ok()).expect(&title);
    (program, address)
}

fn producer(address: SocketAddr) -> TcpStream {
    let producer = TcpStream::connect_timeout(&address, DEADLINE).expect("the feed listens");
    producer.set_nodelay(true).expect("a new connection takes options");
    producer.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    producer.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    producer
}

fn line(stream: &str, payload: usize) -> String {
    format!("{{\"stream\":\"{stream}\",\"data\":{payload}}}\n")
}

/// TCP: several producers at once, lines cut anywhere; what is wrong costs only its line; one that
/// goes is reported with what it did, and may come again.
#[test]
fn producers_come_go_and_make_mistakes() {
    let (program, address) = serve("tcp", &[]);
    let mut client = Client::open_at(program.address, "/ws/s@trade");
    let (mut first, mut second) = (producer(address), producer(address));
    let text = line("s@trade", 1);
    for part in text.as_bytes().chunks(7) {
        first.write_all(part).unwrap();
    }
    assert_eq!(client.hear(), "1");
    // Half a line of one does not mix with another's.
    first.write_all(b"{\"stream\":\"s@tr").unwrap();
    second.write_all(format!("no line\n{}", line("s@trade", 2)).as_bytes()).unwrap();
    assert_eq!(client.hear(), "2");
    let long = "x".repeat((1 << 20) + 1);
    first
        .write_all(format!("ade\",\"data\":3}}\n{long}\n{}", line("s@trade", 4)).as_bytes())
        .unwrap();
    assert_eq!(client.hear_all(2), ["3", "4"]);
    let skipped = [program.logged("line skipped"), program.logged("line skipped")];
    assert!(
        skipped[0].contains("not valid JSON") && skipped[0].contains(" line=1 "),
        "{skipped:?}"
    );
    assert!(skipped[1].contains("longest line") && skipped[1].contains(" line=3 "), "{skipped:?}");
    drop(second);
    let gone = program.logged("a producer has gone");
    assert!(gone.contains(" events=1 malformed_lines=1"), "{gone}");
    let mut again = producer(address);
    // The last line needs no line feed when its producer ends.
    again.write_all(line("s@trade", 5).trim_end().as_bytes()).unwrap();
    drop(again);
    assert_eq!(client.hear(), "5");
    first.write_all(line("s@trade", 6).as_bytes()).unwrap();
    assert_eq!(client.hear(), "6");
    program.signal("TERM");
    let ended = program.logged("the feed has ended");
    assert!(ended.contains("events=6 malformed_lines=2"), "{ended}");
}

/// UDP: a datagram holds one line or more, and what is left open in it does not run on into the
/// next.
#[test]
fn a_datagram_holds_whole_lines() {
    let (program, address) = serve("udp", &[]);
    let mut client = Client::open_at(program.address, "/ws/s@trade");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |text: &str| socket.send_to(text.as_bytes(), address).unwrap();
    send(&format!("{}{}", line("s@trade", 1), line("s@trade", 2).trim_end()));
    assert_eq!(client.hear_all(2), ["1", "2"]);
    send("{\"stream\":\"s@trade\",\"data\":");
    send("");
    send(&line("s@trade", 3));
    assert_eq!(client.hear(), "3");
    assert!(program.logged("line skipped").contains("not valid JSON"));
    program.signal("TERM");
    let ended = program.logged("the feed has ended");
    assert!(ended.contains("events=3 malformed_lines=1"), "{ended}");
}

/// Each worker's subscribers get every event, in order and with the same number, whether their
/// worker reads the source or has it from its inbox; so do those who come later.
#[test]
fn subscribers_of_all_workers_get_what_one_worker_reads() {
    const EVENTS: usize = 500;
    let (program, address) = serve("tcp", &["--workers", "2"]);
    let sequence = r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":1}"#;
    let target = "/stream?streams=s@trade/s@bookTicker";
    let mut clients: Vec<Client> =
        (0..12).map(|_| Client::open_at(program.address, target)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(sequence), r#"{"result":null,"id":1}"#);
    }
    let mut producer = producer(address);
    for number in 0..EVENTS {
        let stream = if number % 3 == 0 { "s@bookTicker" } else { "s@trade" };
        producer.write_all(line(stream, number).as_bytes()).unwrap();
    }
    let expected = clients[0].hear_all(EVENTS);
    // Both streams begin at the same number.
    let first = expected[0].split(',').find_map(|part| part.strip_prefix(r#""seq":"#));
    let first: usize = first.expect(&expected[0]).parse().unwrap();
    for (number, text) in expected.iter().enumerate() {
        let stream = if number % 3 == 0 { "s@bookTicker" } else { "s@trade" };
        let seq = first + if number % 3 == 0 { number / 3 } else { number - number / 3 - 1 };
        let start = format!(r#"{{"stream":"{stream}","seq":{seq},"ts":"#);
        assert!(text.starts_with(&start) && text.ends_with(&format!("{number}}}")), "{text}");
    }
    for client in &mut clients[1..] {
        assert_eq!(client.hear_all(EVENTS), expected);
    }
    let last = (EVENTS - 1) / 3 * 3;
    for _ in 0..6 {
        let mut late = Client::open_at(program.address, "/ws/s@bookTicker");
        assert_eq!(late.hear(), last.to_string());
    }
}

/// A producer that sends more than a turn reads, without end, does not keep others from being
/// served: neither connections nor another producer.
#[test]
fn a_flood_starves_nobody() {
    let (program, address) = serve("tcp", &["--message-rate", "0"]);
    let (ends, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut flood = producer(address);
    let thread = std::thread::spawn({
        let (ends, sent) = (Arc::clone(&ends), Arc::clone(&sent));
        move || {
            let lines = line("flood@trade", 1).repeat(10_000);
            while !ends.load(Ordering::Relaxed) {
                flood.write_all(lines.as_bytes()).expect("the feed goes on");
                sent.fetch_add(lines.len(), Ordering::Relaxed);
            }
        }
    });
    let mut client = Client::open_at(program.address, "/ws/s@trade");
    let mut other = producer(address);
    // As long as it takes to be a flood, and then some.
    let mut number = 0;
    while number < 50 || sent.load(Ordering::Relaxed) <= 1 << 20 {
        client.expect_alive();
        other.write_all(line("s@trade", number).as_bytes()).unwrap();
        assert_eq!(client.hear(), number.to_string());
        number += 1;
    }
    ends.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

/// More producers than there is room for are turned away, and there is room again when one goes.
#[test]
fn producers_are_bounded() {
    let (program, address) = serve("tcp", &[]);
    let mut client = Client::open_at(program.address, "/ws/s@trade");
    let mut producers: Vec<TcpStream> = (0..64).map(|_| producer(address)).collect();
    for (number, producer) in producers.iter_mut().enumerate() {
        producer.write_all(line("s@trade", number).as_bytes()).unwrap();
        assert_eq!(client.hear(), number.to_string());
    }
    let mut too_many = producer(address);
    assert_eq!(too_many.read(&mut [0]).unwrap(), 0, "it is closed");
    assert!(program.logged("turned away").contains("64 producers"));
    drop(producers.pop());
    program.logged("a producer has gone");
    let mut next = producer(address);
    next.write_all(line("s@trade", 100).as_bytes()).unwrap();
    assert_eq!(client.hear(), "100");
}

/// Publishes each byte, panics on an `x`, and tells the test who comes and goes.
struct Bytes(Sender<&'static str>);

impl Ingestor for Bytes {
    type Producer = ();

    fn on_producer(&mut self, peer: Option<SocketAddr>) {
        assert!(peer.is_some_and(|peer| peer.ip().is_loopback()));
        let _ = self.0.send("came");
    }

    fn on_input(&mut self, cx: &mut Ingest<'_>, (): &mut (), input: Input<'_>) {
        let Input::Stream(bytes) = input else { panic!("no datagram") };
        assert!(cx.stamp().at.elapsed() < DEADLINE);
        let topic = cx.topic("bytes", Retain::Nothing);
        for byte in bytes {
            assert_ne!(*byte, b'x', "on purpose");
            cx.publish(&topic, &*char::from(*byte).to_string());
        }
    }

    fn on_end(&mut self, _: &mut Ingest<'_>, (): ()) {
        let _ = self.0.send("went");
    }
}

/// The library: where an ingestor panics, the producer it was called for is cut off; each is told
/// of once when it comes and once when it goes, be it that the server stops.
#[test]
fn a_panic_costs_one_producer() {
    let (sender, told) = channel();
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let builder = Server::builder(local).options(options());
    let server = builder.source(Source::Tcp(local), Bytes(sender)).build().unwrap();
    let (address, source) = (server.local_addr(), server.source_addrs()[0]);
    let (shutdown, stats) = (server.shutdown_handle(), server.stats());
    let thread = std::thread::spawn(move || {
        server.run(|worker| {
            let (ends, calls) = (channel().0, channel().0);
            Puppet { worker, ends, calls }
        })
    });
    let mut client = Client::open(address);
    assert_eq!(client.ask("subscribe bytes"), "subscribed");
    let [mut broken, mut sound] = [producer(source), producer(source)];
    broken.write_all(b"a").unwrap();
    assert_eq!(client.hear(), "a");
    broken.write_all(b"x").unwrap();
    assert_eq!(broken.read(&mut [0]).unwrap_or(0), 0, "it is cut off");
    sound.write_all(b"bc").unwrap();
    assert_eq!(client.hear_all(2), ["b", "c"]);
    let mut events: Vec<_> = (0..3).map(|_| told.recv_timeout(DEADLINE).unwrap()).collect();
    events.sort_unstable();
    assert_eq!(events, ["came", "came", "went"]);
    eventually("all are measured", || stats.latency().last.count() == 3);
    shutdown.shutdown();
    assert_eq!(told.recv_timeout(DEADLINE), Ok("went"));
    assert!(told.recv_timeout(DEADLINE).is_err(), "the ingestor is dropped when the server ends");
    thread.join().unwrap().unwrap();
}
