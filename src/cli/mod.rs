//! The program: arguments, start-up, its three servers, its clients, and its load generator.
//! Invariant: a mistake of the user's is answered in one line that says what to do; exit code 2 for
//! the command line and files of settings, 1 for everything else.

mod args;
mod bench;
mod chat;
mod descriptors;
mod echo;
mod feed_arguments;
mod feeds;
mod following;
mod message_limits;
mod metrics;
mod page;
mod queue_limits;
mod record;
mod replay_progress;
mod run;
mod serve;
mod settings;
mod signals;
mod socket_feed;
mod status_line;
mod streams;
mod tail;
mod topics;
mod units;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use settings::{Asked, Mistake, SettingsArguments};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// A low-latency WebSocket server, and a market-data broadcaster built on it.
#[derive(Debug, Parser)]
#[command(name = "tickwire", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Start with `tickwire serve`: it needs no configuration.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Broadcast market data: simulated, from a recording, or from standard input
    Serve(serve::ServeArguments),
    /// Send every message back to its sender
    Echo(echo::EchoArguments),
    /// Send every message to all connected clients, the sender too
    Chat(chat::ChatArguments),
    /// Write what a server of market streams sends, or what a feed says, to a file for replays
    Record(record::RecordArguments),
    /// Print what a server of market streams sends
    Tail(tail::TailArguments),
    /// List the streams that a server has
    Streams(streams::StreamsArguments),
    /// Put load on a WebSocket server, this one or another, and measure it
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Bench(bench::BenchArguments),
}

impl Command {
    /// Where settings come from, for those that have any.
    fn settings(&self) -> Option<&SettingsArguments> {
        match self {
            Self::Serve(serve) => Some(&serve.server.settings),
            Self::Echo(echo) => Some(&echo.relay.server.settings),
            Self::Chat(chat) => Some(&chat.relay.server.settings),
            Self::Record(_) | Self::Tail(_) | Self::Streams(_) | Self::Bench(_) => None,
        }
    }

    fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Echo(echo) => echo.run(),
            Self::Chat(chat) => chat.run(),
            Self::Record(record) => record.run(),
            Self::Tail(tail) => tail.run(),
            Self::Streams(streams) => streams.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}

/// Runs the program with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let result = match settings::read(&line) {
        Ok(Asked::Run(arguments)) => arguments.command.run(),
        Ok(Asked::Print(text)) => {
            run::announce(&text);
            Ok(())
        }
        Err(Mistake::CommandLine(error)) => return explain(&error),
        Err(Mistake::File(lines)) => {
            for line in lines {
                say(format_args!("error: {line}"));
            }
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells standard error, if anybody reads it.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints help where it was asked for, and a mistake in one line.
fn explain(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(
        error.kind(),
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // A closed pipe is no reason to complain.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let error = settings::in_one_line(error);
    say(format_args!("error: {error}; see 'tickwire{} --help'", subcommand()));
    ExitCode::from(2)
}

/// The subcommands on the command line, each after a space; nothing where there is none.
fn subcommand() -> String {
    let (mut command, mut known) = (Arguments::command(), String::new());
    for word in std::env::args_os().skip(1) {
        let Some(found) = command.find_subcommand(&word).cloned() else {
            break;
        };
        known.push_str(&format!(" {}", found.get_name()));
        command = found;
    }
    known
}
