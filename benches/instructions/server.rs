//! A whole server on this thread alone: all that its clients say waits in their sockets before it
//! runs, and it stops at the last message, so that each run does the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tickwire::proto::frame::{self, Position};
use tickwire::proto::{Message, OpCode};
use tickwire::server::{
    Context, Handler, Opening, Options, Server, ShutdownHandle, SocketOptions, Upgrade,
};

const TOPIC: &str = "ticks";
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const PAYLOAD: [u8; 64] = [b'x'; 64];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Nothing here takes this long: a benchmark that hangs should end.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is done with a message.
#[derive(Clone, Copy)]
enum Task {
    Echo,
    /// It is published so many times.
    Publish(usize),
}

/// A server that has not begun to run, and clients that have said what they have to say.
pub(crate) struct Rehearsed {
    server: Option<Server>,
    clients: Vec<TcpStream>,
    task: Task,
    messages: usize,
}

impl Rehearsed {
    /// One client sends so many messages.
    pub(crate) fn echo(messages: usize) -> Self {
        Self::connect(1, Task::Echo, messages)
    }

    /// One message has so many events published to all clients.
    pub(crate) fn publish(clients: usize, events: usize) -> Self {
        Self::connect(clients, Task::Publish(events), 1)
    }

    fn connect(clients: usize, task: Task, messages: usize) -> Self {
        let local: SocketAddr = ([127, 0, 0, 1], 0).into();
        // Nobody answers the close frame.
        // Nobody reads before all is over: what the kernel would not take is another path.
        let sockets = SocketOptions { notsent_lowat_bytes: None, ..SocketOptions::default() };
        let options = Options { drain_timeout: Duration::ZERO, sockets, ..Options::default() };
        let server = Server::builder(local).options(options).build().expect("a free port");
        let connect = |_| {
            let mut client = TcpStream::connect(server.local_addr()).expect("a listening server");
            client.set_read_timeout(Some(READ_TIMEOUT)).expect("a TCP socket");
            client.write_all(REQUEST).expect("room in the socket");
            client
        };
        let mut clients: Vec<_> = (0..clients).map(connect).collect();
        // The one that came last, when all others are subscribers.
        if let Some(last) = clients.last_mut() {
            let mut wire = Vec::new();
            for _ in 0..messages {
                frame::encode(&mut wire, Position::Last, OpCode::Binary, Some(KEY), &PAYLOAD);
            }
            last.write_all(&wire).expect("room in the socket");
        }
        Self { server: Some(server), clients, task, messages }
    }

    /// Serves until all messages have come.
    pub(crate) fn run(&mut self) {
        let server = self.server.take().expect("it runs once");
        let shutdown = server.shutdown_handle();
        let (task, left) = (self.task, self.messages);
        server.run(|_| Application { task, left, shutdown: shutdown.clone() }).expect("a loop");
    }

    /// Everybody got the messages that were due.
    pub(crate) fn check(self) {
        let Self { clients, task, messages, .. } = self;
        let each = match task {
            Task::Echo => messages,
            Task::Publish(events) => events,
        };
        let mut expected = Vec::new();
        for _ in 0..each {
            frame::encode(&mut expected, Position::Last, OpCode::Binary, None, &PAYLOAD);
        }
        for mut client in clients {
            let mut received = Vec::new();
            client.read_to_end(&mut received).expect("the server has closed the connection");
            assert!(received.windows(expected.len()).any(|bytes| bytes == expected));
        }
    }
}

/// Stops the server after the last message.
struct Application {
    task: Task,
    left: usize,
    shutdown: ShutdownHandle,
}

impl Handler for Application {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe(TOPIC);
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        match self.task {
            Task::Echo => _ = cx.send(message),
            Task::Publish(events) => (0..events).for_each(|_| cx.publish(TOPIC, message)),
        }
        self.left -= 1;
        if self.left == 0 {
            self.shutdown.shutdown();
        }
    }
}
