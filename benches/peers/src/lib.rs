//! What the servers have in common: their command line, the loop that accepts, and the two tasks for
//! libraries whose connection is a `Stream` and a `Sink`.
//!
//! `NAME PORT echo|broadcast` listens on 127.0.0.1. One thread; TCP_NODELAY; no compression; messages
//! of up to [`MESSAGE_BYTES_MAX`]. What is ready is queued, and then flushed once.

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use std::future::Future;
use std::process::exit;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// As the program tickwire has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Messages that a subscriber may be behind before its connection is dropped.
const BACKLOG: usize = 4096;
/// Messages that are read before their echoes are sent.
const BATCH: usize = 64;

/// What a server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// It goes back to its sender.
    Echo,
    /// It goes to all clients, its sender too.
    Broadcast,
}

/// All that goes to every client.
pub type Hub<M> = broadcast::Sender<M>;

/// Serves as the command line says: `serve` is called for each connection.
pub fn run<M, F, S>(serve: S)
where
    M: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, Task, Hub<M>) -> F,
{
    let (port, task) = arguments();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap_or_else(|error| {
            eprintln!("cannot listen on port {port}: {error}");
            exit(1)
        });
        let (hub, _) = broadcast::channel(BACKLOG);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            if stream.set_nodelay(true).is_ok() {
                // As the libraries' own examples have it: the runtime's budget would cut batches.
                tokio::spawn(tokio::task::unconstrained(serve(stream, task, hub.clone())));
            }
        }
    })
}

/// The port and the task of the command line; without them the program ends.
pub fn arguments() -> (u16, Task) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = |name: &str| match name {
        "echo" => Some(Task::Echo),
        "broadcast" => Some(Task::Broadcast),
        _ => None,
    };
    if let [port, name] = arguments.as_slice()
        && let (Ok(port), Some(task)) = (port.parse(), task(name))
    {
        return (port, task);
    }
    eprintln!("two arguments are needed: PORT echo|broadcast");
    exit(2)
}

/// Serves one connection until it ends. `is_data` tells messages from control frames.
pub async fn serve<S, M, E>(socket: S, is_data: fn(&M) -> bool, task: Task, hub: Hub<M>)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    M: Clone,
{
    // An error ends the connection and nothing else.
    let _ended = match task {
        Task::Echo => echo(socket, is_data).await,
        Task::Broadcast => take_part(socket, is_data, hub).await,
    };
}

async fn echo<S, M, E>(mut socket: S, is_data: fn(&M) -> bool) -> Option<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    // First all that is ready, then the answers: some libraries flush before they read on.
    let mut ready = Vec::with_capacity(BATCH);
    loop {
        let mut next = Some(socket.next().await);
        while let Some(message) = next {
            ready.push(message?.ok()?);
            next = if ready.len() < BATCH { socket.next().now_or_never() } else { None };
        }
        for message in ready.drain(..).filter(is_data) {
            socket.feed(message).await.ok()?;
        }
        socket.flush().await.ok()?;
    }
}

async fn take_part<S, M, E>(mut socket: S, is_data: fn(&M) -> bool, hub: Hub<M>) -> Option<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    M: Clone,
{
    let mut events = hub.subscribe();
    loop {
        tokio::select! {
            message = socket.next() => {
                let mut next = Some(message);
                while let Some(message) = next {
                    let message = message?.ok()?;
                    if is_data(&message) {
                        hub.send(message).ok()?;
                    }
                    next = socket.next().now_or_never();
                }
            }
            event = events.recv() => {
                socket.feed(known(event)?).await.ok()?;
                while let Ok(event) = events.try_recv() {
                    socket.feed(event).await.ok()?;
                }
                socket.flush().await.ok()?;
            }
        }
    }
}

/// `None`, and a line about it, where the subscriber was too slow.
pub fn known<M>(event: Result<M, RecvError>) -> Option<M> {
    match event {
        Ok(event) => Some(event),
        Err(RecvError::Lagged(count)) => {
            eprintln!("a subscriber is {count} messages behind: dropped");
            None
        }
        Err(RecvError::Closed) => None,
    }
}
