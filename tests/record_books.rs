//! Order books in a recording: asked for over REST after each subscription, until they are there.

#![cfg(feature = "cli")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::eventually;
use support::program::Running;
use support::server::{TestServer, options};
use tickwire::http::{Request, Response, Status};
use tickwire::proto::{CloseCode, Message};
use tickwire::server::{Context, Handler, Opening, Upgrade};

/// A server that has no book at first, and closes a connection when it is told to.
#[derive(Clone, Default)]
struct Exchange {
    asked: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Handler for Exchange {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        assert_eq!(request.path(), "/api/v3/depth");
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        match request.query() {
            Some("symbol=A&limit=5000") if number == 0 => {
                Response::json(Status::BAD_REQUEST, r#"{"code":-1121,"msg":"Invalid symbol."}"#)
            }
            Some("symbol=A&limit=5000") => {
                Response::json(Status::OK, r#"{"lastUpdateId":7,"bids":[ ],"asks":[]}"#)
            }
            Some("symbol=B&limit=5000") => {
                Response::json(Status::OK, r#"{"lastUpdateId":8,"bids":[],"asks":[]}"#)
            }
            other => panic!("asked for {other:?}"),
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let Message::Text(text) = message else { panic!("binary") };
        assert!(text.starts_with(r#"{"method":"SUBSCRIBE","params":["#), "{text}");
        cx.send(r#"{"result":null,"id":1}"#);
        // The first connection is a short one.
        if self.connections.fetch_add(1, Ordering::Relaxed) == 0 {
            cx.send(r#"{"stream":"a@depth","data":1}"#);
            cx.close(CloseCode::TRY_AGAIN_LATER, "come back");
        }
    }
}

/// Books of all symbols with a depth stream are in the recording, with their symbols, though the server
/// had none at first; and again after the connection was lost.
#[test]
fn books_are_recorded_after_each_subscription() {
    let exchange = Exchange::default();
    let made = exchange.clone();
    let server = TestServer::start(options(), move |_| made.clone());
    let path = std::env::temp_dir().join(format!("tickwire-books-{}", std::process::id()));
    let (url, file) = (format!("ws://{}/ws", server.address), path.display().to_string());
    let streams = "a@depth,a@trade,b@depth@100ms,a@depth@100ms";
    let mut recorder = Running::start(&["record", &url, &file, "--streams", streams, "--force"]);
    recorder.logged("code 1013 \"come back\"; trying again in");
    let books = [
        r#"{"s":"A","lastUpdateId":7,"bids":[ ],"asks":[]}"#,
        r#"{"s":"B","lastUpdateId":8,"bids":[],"asks":[]}"#,
    ];
    let count = |text: &str, part: &str| text.matches(part).count();
    let mut text = String::new();
    eventually("both books are there after the second subscription", || {
        text = std::fs::read_to_string(&path).unwrap_or_default();
        exchange.connections.load(Ordering::Relaxed) == 2
            && books.iter().all(|book| count(&text, book) >= 1)
    });
    recorder.signal("INT");
    assert!(recorder.wait().success());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(count(&text, r#"{"stream":"a@depth","data":1}"#), 1, "{text}");
    assert!(text.lines().next().unwrap().ends_with(r#""a@depth@100ms"],"id":1}"#), "{text}");
}
