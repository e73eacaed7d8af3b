//! `tickwire echo`: every message goes back to its sender.

use super::args::RelayArguments;
use crate::proto::Message;
use crate::server::{Context, Handler, Opening, Upgrade};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct EchoArguments {
    #[command(flatten)]
    pub(super) relay: RelayArguments,
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
        let listening = self.relay.start()?;
        let address = listening.server.local_addr();
        listening.announce("echo", &format!("  try    npx wscat -c ws://{address}\n"));
        listening.serve(|_| Echo, || ())
    }
}
