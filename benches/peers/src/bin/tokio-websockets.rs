//! The server on tokio-websockets.

use peers::{Hub, MESSAGE_BYTES_MAX, Task};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

fn main() {
    peers::run(serve);
}

async fn serve(stream: TcpStream, task: Task, hub: Hub<Message>) {
    let builder = ServerBuilder::new()
        // By default it cuts messages into frames of 4 MiB, and flushes at 8 KiB.
        .config(Config::default().frame_size(usize::MAX).flush_threshold(64 << 10))
        .limits(Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX)));
    let Ok((_request, socket)) = builder.accept(stream).await else { return };
    peers::serve(socket, |message| message.is_text() || message.is_binary(), task, hub).await;
}
