//! `--config FILE`: a server's settings from TOML, and `--print-config`: those in force, as such a
//! file. Knows no setting by name: a key is a long flag without its dashes, and its value is checked
//! by the flag's own parser.
//!
//! What a file says takes the place of a flag's default, so the command line and the environment
//! win over it. Invariant: a file with a mistake in it changes nothing, and each of its mistakes
//! is told with its line.

mod file;
mod print;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::path::PathBuf;

/// Flags that say what to do with settings, and are none themselves.
const NO_SETTINGS: [&str; 4] = ["config", "print-config", "help", "version"];

#[derive(Debug, Args)]
pub(super) struct SettingsArguments {
    /// Read settings from a TOML file whose keys are these flags without their dashes, such as
    /// send-queue = "4MiB"; a flag on the command line wins over it [default: none]
    #[arg(long, value_name = "FILE", help_heading = super::args::SERVER)]
    config: Option<PathBuf>,

    /// Print all settings as such a file, each with what it is for, and exit
    #[arg(long, help_heading = super::args::SERVER)]
    print_config: bool,
}

/// What the program was asked to do.
pub(super) enum Asked {
    Run(Box<super::Arguments>),
    /// To print this.
    Print(String),
}

/// Why it cannot be known.
pub(super) enum Mistake {
    CommandLine(clap::Error),
    /// Lines for a person, one for each mistake in a file of settings.
    File(Vec<String>),
}

impl From<clap::Error> for Mistake {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

/// Reads the process's arguments, and the file that they may name.
pub(super) fn read(line: &[OsString]) -> Result<Asked, Mistake> {
    let command = super::Arguments::command();
    let (mut matches, mut arguments) = parse(command.clone(), line)?;
    let Some((name, _)) = matches.subcommand() else {
        return Ok(Asked::Run(Box::new(arguments)));
    };
    let name = name.to_owned();
    let file = arguments.command.settings().and_then(|settings| settings.config.as_deref());
    if let (Some(path), Some(subcommand)) = (file, command.find_subcommand(&name)) {
        let settings = file::read(path, subcommand).map_err(Mistake::File)?;
        // What is changed moves to the end, so the command as it was keeps the order.
        let command = command.clone();
        let changed = command.mut_subcommand(&name, |command| file::apply(settings, command));
        (matches, arguments) = parse(changed, line)?;
    }
    let print = arguments.command.settings().is_some_and(|settings| settings.print_config);
    match (command.find_subcommand(&name), matches.subcommand()) {
        (Some(subcommand), Some((_, matches))) if print => {
            Ok(Asked::Print(print::render(subcommand, matches)))
        }
        _ => Ok(Asked::Run(Box::new(arguments))),
    }
}

fn parse(
    command: clap::Command,
    line: &[OsString],
) -> Result<(ArgMatches, super::Arguments), clap::Error> {
    let matches = command.try_get_matches_from(line)?;
    let arguments = super::Arguments::from_arg_matches(&matches)?;
    Ok((matches, arguments))
}

/// The arguments of a command that are settings, with their keys.
fn settings(command: &clap::Command) -> impl Iterator<Item = (&str, &clap::Arg)> {
    let named = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    named.filter(|(key, _)| !NO_SETTINGS.contains(key))
}

/// What clap says of a mistake, in one line.
pub(super) fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text.lines().take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let said: Vec<&str> = said.map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = said.join("; ").replace(":; ", ": ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}
