//! The server on sockudo-ws.

use bytes::BytesMut;
use peers::{Hub, MESSAGE_BYTES_MAX, Task};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn main() {
    peers::run(serve);
}

async fn serve(mut stream: TcpStream, task: Task, hub: Hub<Message>) {
    if shake_hands(&mut stream).await.is_none() {
        return;
    }
    let config = Config::builder()
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .build();
    let socket = WebSocketStream::server(stream, config);
    let is_data = |message: &Message| matches!(message, Message::Text(_) | Message::Binary(_));
    peers::serve(socket, is_data, task, hub).await;
}

/// The opening handshake is the application's.
async fn shake_hands(stream: &mut TcpStream) -> Option<()> {
    let mut received = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        if let Some((request, _)) = parse_request(&received).ok()? {
            let key = generate_accept_key(request.key);
            return stream.write_all(&build_response(&key, None, None)).await.ok();
        }
    }
}
