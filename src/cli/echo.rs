//! `tickwire echo`: every message goes back to its sender.

use super::args::RelayArguments;
use super::run;
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
        let server = self.relay.start()?;
        let address = server.local_addr();
        let title = run::title("echo", &server);
        run::announce(&format!("{title}  try  npx wscat -c ws://{address}\n"));
        run::serve(server, |_| Echo, || ())
    }
}
