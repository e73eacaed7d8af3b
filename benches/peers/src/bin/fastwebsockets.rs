//! The server on fastwebsockets. It has no `Sink`: each message is a write.

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocket, WebSocketError,
    WebSocketWrite,
};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use peers::{Hub, MESSAGE_BYTES_MAX, Task, known};
use std::future::ready;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Socket = TokioIo<Upgraded>;

/// What goes to every client.
#[derive(Clone)]
struct Event {
    opcode: OpCode,
    payload: Bytes,
}

fn main() {
    peers::run(serve);
}

async fn serve(stream: TcpStream, task: Task, hub: Hub<Event>) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let hub = hub.clone();
        async move {
            let (response, opened) = upgrade(&mut request)?;
            tokio::spawn(tokio::task::unconstrained(talk(opened, task, hub)));
            Ok::<Response<Empty<Bytes>>, WebSocketError>(response)
        }
    });
    // An error ends the connection and nothing else.
    let _ended =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn talk(opened: UpgradeFut, task: Task, hub: Hub<Event>) {
    let Ok(mut socket) = opened.await else { return };
    socket.set_max_message_size(MESSAGE_BYTES_MAX);
    let _ended = match task {
        Task::Echo => echo(socket).await,
        Task::Broadcast => take_part(socket, hub).await,
    };
}

async fn echo(socket: WebSocket<Socket>) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Reads here; a task of its own writes, since a read cannot be given up half-way.
async fn take_part(socket: WebSocket<Socket>, hub: Hub<Event>) -> Result<(), WebSocketError> {
    let (reader, writer) = socket.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let (replies, to_reply) = unbounded_channel();
    let events = hub.subscribe();
    let writing = tokio::spawn(tokio::task::unconstrained(write(writer, events, to_reply)));
    let ended = read(&mut reader, &hub, &replies).await;
    writing.abort();
    ended
}

async fn read(
    reader: &mut FragmentCollectorRead<ReadHalf<Socket>>,
    hub: &Hub<Event>,
    replies: &UnboundedSender<Event>,
) -> Result<(), WebSocketError> {
    let mut reply = |frame: Frame<'_>| ready(replies.send(Event::from(frame)));
    loop {
        let frame = reader.read_frame(&mut reply).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            // Nobody listens where all have gone, this one too.
            OpCode::Text | OpCode::Binary => _ = hub.send(frame.into()),
            _ => {}
        }
    }
}

/// Writes what goes to everyone, and the answers to pings and closes. Ends with an error.
async fn write(
    mut writer: WebSocketWrite<WriteHalf<Socket>>,
    mut events: Receiver<Event>,
    mut replies: UnboundedReceiver<Event>,
) -> Option<()> {
    loop {
        let Event { opcode, payload } = tokio::select! {
            event = events.recv() => known(event)?,
            reply = replies.recv() => reply?,
        };
        let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
        writer.write_frame(frame).await.ok()?;
        writer.flush().await.ok()?;
    }
}

impl From<Frame<'_>> for Event {
    fn from(frame: Frame<'_>) -> Self {
        Self { opcode: frame.opcode, payload: Bytes::copy_from_slice(&frame.payload) }
    }
}
