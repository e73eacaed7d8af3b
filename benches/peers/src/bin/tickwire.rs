//! The server on tickwire's library, for the fan-out benchmark: `benches/peers/run` measures the
//! program itself.

use peers::{MESSAGE_BYTES_MAX, Task, arguments};
use tickwire::proto::{Limits, Message};
use tickwire::server::{Context, Handler, Opening, Options, Server, Upgrade};

const ROOM: &str = "room";

struct Application(Task);

impl Handler for Application {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        if self.0 == Task::Broadcast {
            cx.subscribe(ROOM);
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        match self.0 {
            Task::Echo => _ = cx.send(message),
            Task::Broadcast => cx.publish(ROOM, message),
        }
    }
}

fn main() {
    let (port, task) = arguments();
    let limits = Limits::message(MESSAGE_BYTES_MAX as u64);
    let options = Options { limits, ..Options::default() };
    let builder = Server::builder(([127, 0, 0, 1], port).into()).options(options);
    let served = builder
        .build()
        .map_err(|error| error.to_string())
        .and_then(|server| server.run(|_| Application(task)).map_err(|error| error.to_string()));
    if let Err(error) = served {
        eprintln!("cannot serve on port {port}: {error}");
        std::process::exit(1);
    }
}
