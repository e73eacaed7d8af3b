//! A handler that does what a client's messages say, so that a test can drive the library's API
//! from a socket.

use super::client::Client;
use super::frame::text;
use super::server::{End, Ends, TestServer};
use std::sync::mpsc::{Receiver, Sender, channel};
use tickwire::http::{Request, Response, Status};
use tickwire::proto::{CloseCode, Message};
use tickwire::server::{Closed, Context, Handler, Opening, Options, Published, Upgrade, View};

/// So many frames of 100 kB that no socket takes them all at once.
pub(crate) const FLOOD_FRAMES: usize = 300;

/// Does what its messages say, and tells the test what it was called for.
pub(crate) struct Puppet {
    pub(crate) worker: usize,
    pub(crate) ends: Sender<End>,
    pub(crate) calls: Sender<&'static str>,
}

impl Handler for Puppet {
    type Session = String;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<String> {
        assert_ne!(opening.request.path(), "/panic-on-request", "on purpose");
        Upgrade::accept(opening.request.path().to_owned())
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        assert_ne!(request.path(), "/panic", "on purpose");
        Response::new(Status::NO_CONTENT)
    }

    fn on_open(&mut self, cx: &mut Context<'_, String>) {
        match cx.session().as_str() {
            "/panic-on-open" => panic!("on purpose"),
            "/close-on-open" => cx.close(CloseCode::TRY_AGAIN_LATER, "full"),
            _ => {}
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, String>, message: Message<'_>) {
        let Message::Text(said) = message else {
            return;
        };
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "panic" => panic!("on purpose"),
            "close" => cx.close(CloseCode::NORMAL, ""),
            "worker" => _ = cx.send(&*self.worker.to_string()),
            "subscribe" => {
                let new = cx.subscribe(rest);
                cx.send(if new { "subscribed" } else { "again" });
            }
            "unsubscribe" => {
                let was = cx.unsubscribe(rest);
                cx.send(if was { "unsubscribed" } else { "never was" });
            }
            "publish" => {
                let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
                cx.publish(topic, payload);
            }
            // Frames for `a` that do not follow one another, in one turn.
            "interleave" => {
                let payload = "x".repeat(rest.len());
                for n in 0..200 {
                    cx.publish("a", &*format!("{n} {payload}"));
                    cx.publish("b", "");
                }
            }
            "flood" => {
                for _ in 0..FLOOD_FRAMES {
                    cx.send(&[0; 100_000][..]);
                }
            }
            _ => _ = cx.send(message),
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_, String>) {
        let _ = self.calls.send("on_drain");
        cx.send("drained");
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_, String>) {
        let _ = self.calls.send("on_shutdown");
        cx.send("last words");
    }

    fn render(event: &Published<'_>, _: View, out: &mut Vec<u8>) {
        out.extend_from_slice(event.payload);
        assert_ne!(event.payload, b"panic-on-render", "on purpose");
    }

    fn on_close(&mut self, session: String, closed: &Closed<'_>) {
        let _ = self.ends.send(closed.into());
        assert_ne!(session, "/panic-on-close", "on purpose");
    }
}

/// A server whose handlers are puppets, and what they tell.
pub(crate) struct Stage {
    pub(crate) server: TestServer,
    pub(crate) ends: Ends,
    pub(crate) calls: Receiver<&'static str>,
}

pub(crate) fn puppets(options: Options) -> Stage {
    let (ends, ends_receiver) = channel();
    let (calls, calls_receiver) = channel();
    let make = move |worker| Puppet { worker, ends: ends.clone(), calls: calls.clone() };
    let server = TestServer::start(options, make);
    Stage { server, ends: Ends(ends_receiver), calls: calls_receiver }
}

impl Stage {
    pub(crate) fn open(&self) -> Client {
        Client::open(self.server.address)
    }

    /// A client that is subscribed to a topic.
    pub(crate) fn subscriber(&self, topic: &str) -> Client {
        let mut client = self.open();
        client.send(&text(&format!("subscribe {topic}")));
        client.expect_text("subscribed");
        client
    }
}
