//! In steady state a worker allocates nothing and frees nothing: measured with an allocator that
//! counts, which is why this is a test binary of its own.
//!
//! Counts are kept by thread, so that neither the test's own clients nor other tests are counted. A
//! worker's are asked for over a connection: its handler answers with them.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use support::client::Client;
use support::frame::{self, BINARY, FIN, Frame, PING};
use support::server::{TestServer, options};
use tickwire::proto::{Message, Timeouts};
use tickwire::server::{
    Context, Delivery, Handler, Opening, Options, Publisher, Retain, Topic, Upgrade,
};

/// Messages published, and messages echoed.
const MESSAGES: usize = 100_000;
/// Messages on their way: few enough that sockets take all at once.
const WINDOW: usize = 32;
/// In one turn before anything is counted, so that no later turn has more.
const WARM_UP: usize = 8 * WINDOW;
const SUBSCRIBERS: usize = 100;
const ECHOING: usize = 16;
const PAYLOAD: [u8; 128] = [b'x'; 128];
const TOPIC: &str = "ticks";
/// What a client sends to be told the worker's counts.
const COUNTS: &str = "counts";
/// What a client sends to have the worker allocate and free once.
const ALLOCATE: &str = "allocate";

/// The system's allocator, counting.
struct Counting;

/// What a thread asked of its allocator so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    allocations: u64,
    frees: u64,
}

thread_local! {
    // Made at compile time and without a destructor: to reach it takes no allocation.
    static OF_THREAD: Cell<Counts> = const { Cell::new(Counts { allocations: 0, frees: 0 }) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "there is no other way to count allocations")]
// SAFETY: all is left to the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counts::add(1, 0);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counts::add(1, 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counts::add(1, 1);
        // SAFETY: as above; `pointer` came from `System`, as all do.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counts::add(0, 1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

impl Counts {
    const NONE: Self = Self { allocations: 0, frees: 0 };

    fn add(allocations: u64, frees: u64) {
        let Self { allocations: before, frees: freed } = OF_THREAD.get();
        OF_THREAD.set(Self {
            allocations: before.wrapping_add(allocations),
            frees: freed.wrapping_add(frees),
        });
    }

    /// Those of the calling thread.
    fn of_thread() -> Self {
        OF_THREAD.get()
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations - earlier.allocations,
            frees: self.frees - earlier.frees,
        }
    }
}

/// What becomes of a binary message.
#[derive(Clone, Copy)]
enum Binary {
    Echoed,
    Published,
}

/// Subscribes everybody where messages are published, and tells its thread's counts.
struct Application {
    binary: Binary,
}

impl Handler for Application {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        if matches!(self.binary, Binary::Published) {
            cx.subscribe(TOPIC);
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        match (message, self.binary) {
            (Message::Binary(_), Binary::Echoed) => _ = cx.send(message),
            (Message::Binary(_), Binary::Published) => cx.publish(TOPIC, message),
            (Message::Text(ALLOCATE), _) => drop(black_box(Box::new(1u64))),
            (Message::Text(COUNTS), _) => {
                let Counts { allocations, frees } = Counts::of_thread();
                let mut payload = [0; 16];
                payload[..8].copy_from_slice(&allocations.to_be_bytes());
                payload[8..].copy_from_slice(&frees.to_be_bytes());
                cx.send(&payload[..]);
            }
            (Message::Text(other), _) => panic!("nobody sends {other}"),
        }
    }
}

/// Clients of a server with one worker, and the first of them by itself, which asks for counts.
struct Clients {
    // Dropped before the server is.
    asking: Client,
    sockets: Vec<TcpStream>,
    server: TestServer,
}

impl Clients {
    /// One worker, which no ping interrupts.
    fn connect(count: usize, binary: Binary) -> Self {
        Self::connect_with(count, binary, None)
    }

    fn connect_with(count: usize, binary: Binary, ping_interval: Option<Duration>) -> Self {
        let timeouts = Timeouts { ping_interval, idle_timeout: None, ..Timeouts::default() };
        let options = Options { timeouts, ..options() };
        let server = TestServer::start(options, move |_| Application { binary });
        let clients: Vec<Client> = (0..count).map(|_| Client::open(server.address)).collect();
        let sockets = clients.iter().map(Client::writer).collect();
        let asking = clients.into_iter().next().expect("there is one client at least");
        Self { asking, sockets, server }
    }

    fn worker_counts(&mut self) -> Counts {
        self.asking.send(&frame::text(COUNTS));
        let mut frames = std::iter::repeat_with(|| self.asking.read_frame());
        let answer = frames.find(|frame| frame.first != FIN | PING);
        let Frame { first, payload } = answer.expect("frames without end");
        let numbers = payload.as_chunks::<8>().0;
        let &[allocations, frees] = numbers else { panic!("no counts: {payload:?}") };
        assert_eq!(first, FIN | BINARY);
        let [allocations, frees] = [allocations, frees].map(u64::from_be_bytes);
        Counts { allocations, frees }
    }

    /// What the worker allocates and frees while `work` is done.
    fn counts_during(&mut self, work: impl FnOnce(&mut Self)) -> Counts {
        // The first answer may allocate.
        self.worker_counts();
        let before = self.worker_counts();
        work(self);
        self.worker_counts().since(before)
    }

    /// Has each of the sockets named in `senders` send `count` messages, and reads what all get.
    fn exchange(&mut self, senders: usize, count: usize, received: usize) {
        let request = frame::frame(FIN | BINARY, &PAYLOAD).repeat(count);
        for socket in self.sockets.iter_mut().take(senders) {
            socket.write_all(&request).expect("the server reads");
        }
        self.read(received);
    }

    /// Reads so many messages from each socket.
    fn read(&mut self, count: usize) {
        let expected = sent_frame().repeat(count);
        let mut received = vec![0; expected.len()];
        for socket in &mut self.sockets {
            socket.read_exact(&mut received).expect("the server sends");
            assert!(received == expected, "not what was sent");
        }
    }
}

/// A message as a server sends it.
fn sent_frame() -> Vec<u8> {
    let mut bytes = vec![FIN | BINARY, 126];
    bytes.extend_from_slice(&u16::to_be_bytes(128));
    bytes.extend_from_slice(&PAYLOAD);
    bytes
}

/// What allocates is counted, on the thread that does: on a worker as here.
#[test]
fn the_counter_counts() {
    let before = Counts::of_thread();
    drop(black_box(Vec::<u8>::with_capacity(black_box(10))));
    thread::spawn(|| drop(black_box(vec![0u8; 100]))).join().expect("a thread that allocates");
    let here = Counts::of_thread().since(before);
    assert!(here.allocations > 0 && here.frees > 0, "{here:?}");

    let mut clients = Clients::connect(1, Binary::Echoed);
    let counts = clients.counts_during(|clients| {
        for _ in 0..3 {
            clients.asking.send(&frame::text(ALLOCATE));
        }
    });
    assert_eq!(counts, Counts { allocations: 3, frees: 3 });
}

#[test]
fn echoes_allocate_nothing() {
    let mut clients = Clients::connect(ECHOING, Binary::Echoed);
    clients.exchange(ECHOING, WARM_UP, WARM_UP);
    let counts = clients.counts_during(|clients| {
        for _ in 0..MESSAGES.div_ceil(ECHOING * WINDOW) {
            clients.exchange(ECHOING, WINDOW, WINDOW);
        }
    });
    assert_eq!(counts, Counts::NONE);
}

#[test]
fn broadcasts_of_a_client_allocate_nothing() {
    let mut clients = Clients::connect(SUBSCRIBERS, Binary::Published);
    clients.exchange(1, WARM_UP, WARM_UP);
    let counts = clients.counts_during(|clients| {
        for _ in 0..MESSAGES.div_ceil(WINDOW) {
            clients.exchange(1, WINDOW, WINDOW);
        }
    });
    assert_eq!(counts, Counts::NONE);
}

/// §5.5.2: timers and what they send cost no memory either.
#[test]
fn pings_allocate_nothing() {
    let mut clients = Clients::connect_with(8, Binary::Echoed, Some(Duration::from_millis(20)));
    let ping = |clients: &mut Clients| {
        for socket in &mut clients.sockets {
            let mut frame = [0; 2];
            socket.read_exact(&mut frame).expect("the server sends");
            assert_eq!(frame, [FIN | PING, 0]);
        }
    };
    // The first client is asking: its pings are among the answers.
    clients.sockets.remove(0);
    (0..20).for_each(|_| ping(&mut clients));
    let counts = clients.counts_during(|clients| (0..50).for_each(|_| ping(clients)));
    assert_eq!(counts, Counts::NONE);
}

/// A message has a copy made by the thread that publishes it, and nothing more.
#[test]
fn broadcasts_of_another_thread_allocate_nothing_on_the_worker() {
    let mut clients = Clients::connect(SUBSCRIBERS, Binary::Published);
    clients.exchange(1, WARM_UP, WARM_UP);
    let publisher = clients.server.publisher.clone();
    let topic = publisher.topic(TOPIC, Retain::Nothing);
    let batch = |clients: &mut Clients| {
        let before = Counts::of_thread();
        publish(&publisher, &topic);
        let published = Counts::of_thread().since(before);
        clients.read(WINDOW);
        published.allocations
    };
    for _ in 0..100 {
        batch(&mut clients);
    }
    let mut copies = 0;
    let counts = clients.counts_during(|clients| {
        copies = (0..MESSAGES.div_ceil(WINDOW)).map(|_| batch(clients)).sum();
    });
    println!("worker {counts:?}, {copies} allocations of the publishing thread");
    assert_eq!(counts.allocations, 0, "{counts:?}");
    assert!(copies <= MESSAGES as u64, "{copies} allocations for {MESSAGES} messages");
}

fn publish(publisher: &Publisher, topic: &Topic) {
    for _ in 0..WINDOW {
        let delivery = publisher.publish(topic, Message::Binary(&PAYLOAD));
        assert_eq!(delivery, Delivery::Delivered);
    }
}
