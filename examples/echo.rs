//! The smallest server: every message goes back to its sender. Stop it with Ctrl-C.
//!
//!     cargo run --no-default-features --example echo [ADDRESS]

use std::env;
use std::error::Error;
use tickwire::proto::Message;
use tickwire::server::{Context, Handler, Opening, Server, Upgrade};

struct Echo;

impl Handler for Echo {
    /// What is kept for each connection: here nothing.
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let server = Server::bind(address.parse()?)?;
    println!("echo on ws://{0}\ntry: npx wscat -c ws://{0}", server.local_addr());
    server.run(|_worker| Echo)?;
    Ok(())
}
