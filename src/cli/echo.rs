//! `tickwire echo`: every message goes back to its sender.

use super::args::{Defaults, LIMITS, ServerArguments};
use super::run;
use super::units::bytes;
use crate::proto::Message;
use crate::server::{Context, Handler, Opening, Upgrade};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct EchoArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Longest message taken; a longer one closes the connection with code 1009
    #[arg(
        long, value_name = "BYTES", default_value = "64MiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_message: u64,
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

impl EchoArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run::start_log(&self.server)?;
        let defaults = Defaults::for_messages_up_to(self.max_message);
        let options = self.server.options(self.max_message, defaults);
        let server = run::listen(&self.server, options)?;
        let address = server.local_addr();
        let title = run::title("echo", &server);
        run::announce(&format!("{title}  try  npx wscat -c ws://{address}\n"));
        run::serve(server, |_| Echo, || ())
    }
}
