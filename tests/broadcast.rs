//! Publishing to many: who gets what, in which order, over topics, views, workers and publishers.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;
use support::client::Client;
use support::eventually;
use support::program::Program;
use support::server::{TestServer, options};
use tickwire::proto::{Message, Timeouts};
use tickwire::server::{
    Context, Handler, Opening, Options, Published, Publisher, Retain, Stamp, Topic, Upgrade, View,
};

/// The path says which view and topics a client wants: `/1/a,b`. Its first message tells the
/// worker's number.
struct Board {
    worker: usize,
}

struct Wish {
    view: View,
    topics: Vec<String>,
}

impl Handler for Board {
    type Session = Wish;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<Wish> {
        let mut parts = opening.request.path().split('/').skip(1);
        let view =
            parts.next().and_then(|part| part.parse().ok()).and_then(View::new).expect("a view");
        let topics = parts.next().expect("topics").split(',').map(str::to_owned).collect();
        Upgrade::accept(Wish { view, topics })
    }

    fn on_open(&mut self, cx: &mut Context<'_, Wish>) {
        let Wish { view, topics } = cx.session();
        let (view, topics) = (*view, std::mem::take(topics));
        cx.send(&*self.worker.to_string());
        cx.set_view(view);
        for topic in topics {
            cx.subscribe(&topic);
        }
    }

    /// Publishes to topics in turn, all in one turn of the loop: the topics, separated by commas,
    /// how often, and how many bytes.
    fn on_message(&mut self, cx: &mut Context<'_, Wish>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        let mut words = text.split(' ');
        let topics: Vec<&str> = words.next().expect("topics").split(',').collect();
        let mut number =
            || -> usize { words.next().and_then(|word| word.parse().ok()).expect("a number") };
        let (times, bytes) = (number(), number());
        for time in 0..times {
            for topic in &topics {
                cx.publish(topic, &*format!("{time:0bytes$}"));
            }
        }
    }

    fn render(event: &Published<'_>, view: View, out: &mut Vec<u8>) {
        if view.number() > 0 {
            out.extend_from_slice(format!("{}{}:", view.number(), event.topic).as_bytes());
        }
        out.extend_from_slice(event.payload);
    }
}

fn serve(workers: usize) -> TestServer {
    // No ping comes to the rescue of what got stuck.
    let timeouts = Timeouts { ping_interval: None, idle_timeout: None, ..Timeouts::default() };
    TestServer::start(Options { workers, timeouts, ..options() }, |worker| Board { worker })
}

fn topics(publisher: &Publisher, names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| publisher.topic(name, Retain::Nothing)).collect()
}

/// Events of all topics that a connection is subscribed to come in the order of their publishing,
/// each as the connection wants to see it, on whichever worker it is.
#[test]
fn each_subscriber_gets_its_own_events_in_order() {
    const EVENTS: usize = 3000;
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    const WISHES: [(u8, &str); 6] =
        [(0, "a"), (1, "a,b"), (0, "d,c,b,a"), (2, "c"), (1, "d,nobody"), (7, "b,d")];
    let server = serve(3);
    let mut workers = BTreeSet::new();
    let mut clients = Vec::new();
    for (view, wanted) in WISHES.iter().cycle().take(36) {
        let mut client = Client::open_at(server.address, &format!("/{view}/{wanted}"));
        workers.insert(client.hear());
        clients.push((client, *view, wanted.split(',').collect::<Vec<_>>()));
    }
    assert!(workers.len() > 1, "all connections are on one worker");
    let topics = topics(&server.publisher, &NAMES);
    for number in 0..EVENTS {
        // Of no regular pattern: topics follow one another in every order.
        let topic = &topics[number * number / 7 % NAMES.len()];
        server.publisher.publish_waiting(topic, (*number.to_string()).into());
    }
    for (client, view, wanted) in &mut clients {
        for number in 0..EVENTS {
            let name = NAMES[number * number / 7 % NAMES.len()];
            if wanted.contains(&name) {
                let prefix = if *view > 0 { format!("{view}{name}:") } else { String::new() };
                assert_eq!(client.hear(), format!("{prefix}{number}"));
            }
        }
        client.expect_alive();
    }
}

/// Two publishers at once: each one's events are complete and in its order for everybody.
#[test]
fn each_publisher_s_order_is_kept() {
    const EVENTS: usize = 2000;
    let server = serve(2);
    let mut clients: Vec<Client> =
        (0..8).map(|_| Client::open_at(server.address, "/0/a,b")).collect();
    for client in &mut clients {
        client.hear();
    }
    std::thread::scope(|scope| {
        for name in ["x", "y"] {
            let publisher = server.publisher.clone();
            scope.spawn(move || {
                let topics = topics(&publisher, &["a", "b"]);
                for number in 0..EVENTS {
                    let text = format!("{name}{number}");
                    publisher.publish_waiting(&topics[number % 2], (*text).into());
                }
            });
        }
    });
    for client in &mut clients {
        let (mut x, mut y) = (0, 0);
        for _ in 0..2 * EVENTS {
            let text = client.hear();
            let next = if text.starts_with('x') { &mut x } else { &mut y };
            assert_eq!(text[1..], next.to_string());
            *next += 1;
        }
        client.expect_alive();
    }
}

/// Whoever joins in the middle gets everything from then on, without a gap.
#[test]
fn a_subscriber_that_joins_in_the_middle_misses_nothing_after_it() {
    const EVENTS_MAX: usize = 1_000_000;
    let server = serve(2);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let publisher = server.publisher.clone();
    let publishing = std::thread::spawn(move || {
        let topic = publisher.topic("a", Retain::Nothing);
        let pause = Duration::from_micros(100);
        let goes_on = |_: &usize| {
            stopped
                .recv_timeout(pause)
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
        };
        (0..EVENTS_MAX).take_while(goes_on).for_each(|number| {
            publisher.publish_waiting(&topic, (*number.to_string()).into());
        });
        publisher.publish_waiting(&topic, "end".into());
    });
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::open_at(server.address, "/0/a");
        client.hear();
        let first: usize = client.hear().parse().unwrap();
        clients.push((client, first));
    }
    drop(stop);
    publishing.join().unwrap();
    let mut totals = BTreeSet::new();
    for (mut client, first) in clients {
        let mut next = first + 1;
        loop {
            match &*client.hear() {
                "end" => break,
                number => assert_eq!(number, next.to_string()),
            }
            next += 1;
        }
        totals.insert(next);
    }
    assert_eq!(totals.len(), 1, "all see the same last event");
}

/// What a connection has to send in one turn may be in many pieces and long: it all goes out, and
/// not only when something else happens on the connection.
#[test]
fn a_turn_s_events_go_out_even_in_many_long_pieces() {
    const TIMES: usize = 150;
    let server = serve(1);
    // Each one's events lie between the other's, so neither has two in one piece.
    let mut clients = ["a", "b"].map(|topic| {
        let mut client = Client::open_at(server.address, &format!("/0/{topic}"));
        client.hear();
        client
    });
    clients[0].say(&format!("a,b {TIMES} 1000"));
    for client in &mut clients {
        for time in 0..TIMES {
            assert_eq!(client.hear(), format!("{time:01000}"));
        }
    }
}

/// `tickwire chat` with two workers: each message reaches everybody, its sender too.
#[test]
fn chat_reaches_the_clients_of_all_workers() {
    const CLIENTS: usize = 12;
    const MESSAGES: usize = 5;
    let program = Program::start(&["chat", "--workers", "2"]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::open(program.address)).collect();
    for message in 0..MESSAGES {
        for (number, client) in clients.iter_mut().enumerate() {
            client.say(&format!("{number} {message}"));
        }
    }
    for client in &mut clients {
        let mut next = [0; CLIENTS];
        for text in client.hear_all(CLIENTS * MESSAGES) {
            let (sender, message) = text.split_once(' ').unwrap();
            let sender: usize = sender.parse().unwrap();
            assert_eq!(message, next[sender].to_string(), "of sender {sender}");
            next[sender] += 1;
        }
        client.expect_alive();
    }
}

/// Ingest to written: each event is counted once on each worker that has subscribers to it, from
/// the time that its source says it came in at; one that nobody wants is not.
#[test]
fn the_way_from_a_source_to_the_sockets_is_measured() {
    const EVENTS: usize = 100;
    let server = serve(2);
    let mut clients: Vec<Client> =
        (0..8).map(|_| Client::open_at(server.address, "/0/a")).collect();
    let workers: BTreeSet<String> = clients.iter_mut().map(Client::hear).collect();
    let [wanted, unwanted] = ["a", "b"].map(|name| server.publisher.topic(name, Retain::Nothing));
    for number in 0..EVENTS {
        server.publisher.publish_waiting(&unwanted, "".into());
        server.publisher.publish_waiting(&wanted, (*number.to_string()).into());
    }
    for client in &mut clients {
        assert_eq!(client.hear_all(EVENTS).len(), EVENTS);
    }
    let expected = (EVENTS * workers.len()) as u64;
    eventually("all are counted", || server.latency().last.count() == expected);
    let latency = server.latency();
    assert_eq!(latency.first.count(), expected);
    assert!(latency.first.quantile(0.5) <= latency.last.quantile(0.5), "{latency:?}");
    assert!(latency.last.max() < Duration::from_secs(20) && !latency.first.max().is_zero());

    let hour = Duration::from_secs(3600);
    let at = std::time::Instant::now().checked_sub(hour).unwrap();
    server.publisher.publish_stamped(&wanted, "old".into(), Stamp { at, ..Stamp::now() });
    assert!(clients.iter_mut().all(|client| client.hear() == "old"));
    let expected = expected + workers.len() as u64;
    eventually("all are counted", || server.latency().last.count() == expected);
    assert!((hour..2 * hour).contains(&server.latency().first.max()));
}

/// Ingest to written: a message that a handler publishes came in when the handler was told it.
#[test]
fn what_a_handler_publishes_is_measured_too() {
    let server = serve(1);
    let mut client = Client::open_at(server.address, "/0/a");
    client.expect_text("0");
    // So much that the connections are flushed in the middle of the turn.
    client.say("a,nobody 300 10000");
    assert_eq!(client.hear_all(300).len(), 300);
    eventually("all are counted", || server.latency().last.count() == 300);
    assert_eq!(server.latency().first.count(), 300);
}
