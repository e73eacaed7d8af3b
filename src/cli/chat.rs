//! `tickwire chat`: every message goes to all connected clients.

use super::args::{Defaults, LIMITS, ServerArguments};
use super::run;
use super::units::bytes;
use crate::proto::Message;
use crate::server::{Context, Handler, Opening, Upgrade};
use clap::Args;
use std::sync::Arc;

/// The one topic, which every client is subscribed to.
const ROOM: &str = "room";

#[derive(Debug, Args)]
pub(super) struct ChatArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Longest message taken; a longer one closes the connection with code 1009
    #[arg(
        long, value_name = "BYTES", default_value = "64MiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_message: u64,

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
        run::start_log(&self.server)?;
        let defaults = Defaults::for_messages_up_to(self.max_message);
        let options = self.server.options(self.max_message, defaults);
        let server = run::listen(&self.server, options)?;
        let address = server.local_addr();
        let title = run::title("chat", &server);
        run::announce(&format!("{title}  try  npx wscat -c ws://{address}   in two terminals\n"));
        let greeting: Option<Arc<str>> = self.greeting.as_deref().map(Arc::from);
        run::serve(server, |_| Chat { greeting: greeting.clone() }, || ())
    }
}
