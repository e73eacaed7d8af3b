//! A chat with rooms: the path is the room, and what one says all in the room hear.
//! Stop it with Ctrl-C.
//!
//!     cargo run --no-default-features --example chat [ADDRESS]

use std::env;
use std::error::Error;
use tickwire::proto::Message;
use tickwire::server::{Context, Handler, Opening, Server, Upgrade};

struct Chat;

impl Handler for Chat {
    /// The room that the client is in.
    type Session = String;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<String> {
        Upgrade::accept(opening.request.path().to_owned())
    }

    fn on_open(&mut self, cx: &mut Context<'_, String>) {
        let room = cx.session().clone();
        cx.subscribe(&room);
        cx.send(format!("you are in {room}").as_str());
    }

    fn on_message(&mut self, cx: &mut Context<'_, String>, message: Message<'_>) {
        let room = cx.session().clone();
        cx.publish(&room, message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let server = Server::bind(address.parse()?)?;
    println!("chat on ws://{0}/ROOM\ntry: npx wscat -c ws://{0}/tea", server.local_addr());
    println!("in two terminals, and say something in one of them");
    server.run(|_worker| Chat)?;
    Ok(())
}
