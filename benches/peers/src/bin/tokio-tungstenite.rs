//! The server on tokio-tungstenite.

use peers::{Hub, MESSAGE_BYTES_MAX, Task};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

fn main() {
    peers::run(serve);
}

async fn serve(stream: TcpStream, task: Task, hub: Hub<Message>) {
    let config = WebSocketConfig::default()
        // By default it clears 128 KiB before each read.
        .read_buffer_size(32 << 10)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let Ok(socket) = accept_async_with_config(stream, Some(config)).await else { return };
    peers::serve(socket, |message| message.is_text() || message.is_binary(), task, hub).await;
}
