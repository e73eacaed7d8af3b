//! Publishing from another thread: the seconds since the start, to everybody who is connected.
//! Stop it with Ctrl-C.
//!
//!     cargo run --no-default-features --example clock [ADDRESS]

use std::error::Error;
use std::time::Duration;
use std::{env, thread};
use tickwire::proto::Message;
use tickwire::server::{Context, Delivery, Handler, Opening, Publisher, Retain, Server, Upgrade};

const TICKS: &str = "ticks";

struct Clock;

impl Handler for Clock {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe(TICKS);
    }

    fn on_message(&mut self, _: &mut Context<'_, ()>, _: Message<'_>) {}
}

fn tick(publisher: &Publisher) {
    // The last tick is kept, so that nobody waits a second for the first one.
    let topic = publisher.topic(TICKS, Retain::Last);
    for seconds in 0_u64.. {
        if publisher.publish(&topic, seconds.to_string().as_str().into()) == Delivery::Stopped {
            return;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let server = Server::bind(address.parse()?)?;
    println!("clock on ws://{0}\ntry: npx wscat -c ws://{0}", server.local_addr());
    let publisher = server.publisher();
    thread::spawn(move || tick(&publisher));
    server.run(|_worker| Clock)?;
    Ok(())
}
