//! `tickwire chat`: every message goes to all connected clients.

use super::args::RelayArguments;
use crate::proto::Message;
use crate::server::{Context, Handler, Opening, Upgrade};
use clap::Args;
use std::sync::Arc;

/// The one topic, which every client is subscribed to.
const ROOM: &str = "room";

#[derive(Debug, Args)]
pub(super) struct ChatArguments {
    #[command(flatten)]
    pub(super) relay: RelayArguments,

    /// Send this text to each client when it connects
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
}

struct Chat {
    greeting: Option<Arc<str>>,
}

impl Handler for Chat {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        if let Some(greeting) = &self.greeting {
            cx.send(&**greeting);
        }
        cx.subscribe(ROOM);
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.publish(ROOM, message);
    }
}

impl ChatArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let listening = self.relay.start()?;
        let address = listening.server.local_addr();
        let more = format!("  try    npx wscat -c ws://{address}   in two terminals\n");
        listening.announce("chat", &more);
        let greeting: Option<Arc<str>> = self.greeting.as_deref().map(Arc::from);
        listening.serve(|_| Chat { greeting: greeting.clone() }, || ())
    }
}
