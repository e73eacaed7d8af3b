//! A file of settings (TOML 1.0): from its text to the values of flags.
//! Invariant: no value is taken that its flag's own parser would refuse.

use super::{in_one_line, settings};
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Command};
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A flag, by clap's name for it, and its values.
pub(super) type Setting = (String, Vec<String>);

/// The settings in a file, for a command that takes them; or its mistakes, a line for each.
pub(super) fn read(path: &Path, command: &Command) -> Result<Vec<Setting>, Vec<String>> {
    let name = path.display();
    let text = read_text(path)
        .map_err(|error| vec![format!("cannot read the settings in {name}: {error}")])?;
    let tell = |(at, what): (Range<usize>, String)| {
        // Lines end with LF, as TOML's do.
        let before = text.bytes().take(at.start);
        let line = before.filter(|byte| *byte == b'\n').count() + 1;
        format!("{name}:{line}: {what}")
    };
    parse(&text, command).map_err(|mistakes| mistakes.into_iter().map(tell).collect())
}

fn read_text(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = read().map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// The settings in a file's text; or its mistakes in their order, each with its place.
fn parse(text: &str, command: &Command) -> Result<Vec<Setting>, Vec<(Range<usize>, String)>> {
    let table = DeTable::parse(text).map_err(|error| {
        let said: Vec<&str> = error.message().lines().map(str::trim).collect();
        vec![(error.span().unwrap_or_default(), said.join("; "))]
    })?;
    let (mut settings, mut mistakes) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        match check(key.get_ref(), value, command) {
            Ok(setting) => settings.push(setting),
            Err(mistake) => mistakes.push((key.span(), mistake)),
        }
    }
    // The table has its keys in the order of the alphabet.
    mistakes.sort_by_key(|(at, _)| at.start);
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

fn check(key: &str, value: &Spanned<DeValue<'_>>, command: &Command) -> Result<Setting, String> {
    let Some((_, arg)) = settings(command).find(|(long, _)| *long == key) else {
        return Err(unknown(key, value.get_ref(), command));
    };
    let id = arg.get_id().to_string();
    match (arg.get_action(), value.get_ref()) {
        (ArgAction::SetTrue, DeValue::Boolean(on)) => Ok((id, vec![on.to_string()])),
        (ArgAction::SetTrue, _) => Err(format!("'{key}' is on or off: write true or false")),
        (action, value) => {
            let texts = texts(key, value)?;
            let texts =
                if matches!(action, ArgAction::Append) { texts } else { vec![texts.join(",")] };
            let flags = texts.iter().map(|text| format!("--{key}={text}"));
            let line = std::iter::once(command.get_name().to_owned()).chain(flags);
            match command.clone().try_get_matches_from(line) {
                Ok(_) => Ok((id, texts)),
                Err(error) => Err(match error.get(ContextKind::InvalidArg) {
                    // "--workers <N>"
                    Some(ContextValue::String(flag)) => in_one_line(&error).replace(flag, key),
                    _ => in_one_line(&error),
                }),
            }
        }
    }
}

/// A value as it would stand on the command line: one text, or those of a list.
fn texts(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err(format!("'{key}' takes a text in quotes, a number, or a list of them"))
        }
    };
    match value {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

/// What to say of a key that is no setting of the command's.
fn unknown(key: &str, value: &DeValue<'_>, command: &Command) -> String {
    if matches!(value, DeValue::Table(_)) {
        return format!("there is no table '{key}': settings stand by themselves");
    }
    if super::NO_SETTINGS.contains(&key) {
        return format!("'{key}' belongs on the command line, not in a file");
    }
    // clap knows the nearest flag, and has no other way to be asked for it.
    let error = command.clone().try_get_matches_from([command.get_name(), &format!("--{key}")]);
    let nearest = match error.as_ref().err().and_then(|e| e.get(ContextKind::SuggestedArg)) {
        Some(ContextValue::String(flag)) => flag.strip_prefix("--"),
        _ => None,
    };
    let nearest = nearest.filter(|nearest| settings(command).any(|(long, _)| long == *nearest));
    match nearest {
        Some(nearest) => format!("unknown setting '{key}'; did you mean '{nearest}'?"),
        None => format!("unknown setting '{key}'; --print-config prints all that there are"),
    }
}

/// The command, with these settings in place of its defaults.
pub(super) fn apply(settings: Vec<Setting>, mut command: Command) -> Command {
    for (id, texts) in settings {
        command = command.mut_arg(id, |arg| arg.default_values(texts.into_iter().map(OsStr::from)));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, value_parser};

    fn command() -> Command {
        let flag = |name: &'static str| Arg::new(name.replace('-', "_")).long(name);
        Command::new("serve").args([
            flag("listen").env("TICKWIRE_NEVER_SET").default_value("here"),
            flag("workers").value_parser(value_parser!(u8).range(1..)),
            flag("factor").value_parser(value_parser!(f64)),
            flag("symbols").action(ArgAction::Append).value_delimiter(','),
            flag("pin"),
            flag("spin").action(ArgAction::SetTrue),
            flag("config"),
        ])
    }

    /// The mistakes in a text, each with the line that it stands in.
    fn mistakes(text: &str) -> Vec<(usize, String)> {
        let mistakes = parse(text, &command()).expect_err(text);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        mistakes.into_iter().map(|(at, what)| (line(at.start), what)).collect()
    }

    #[test]
    fn a_file_takes_the_place_of_defaults_and_the_command_line_wins() {
        let text = "workers = 3\nlisten = \"there\"\nspin = true\nfactor = 1.5\npin = [1, 2]\n\
                    symbols = [\"a\", \"b\"]\n";
        let command = apply(parse(text, &command()).unwrap(), command());
        let line = ["serve", "--listen", "elsewhere", "--symbols", "c"];
        let matches = command.clone().try_get_matches_from(line).unwrap();
        assert_eq!(matches.get_one::<u8>("workers"), Some(&3));
        assert_eq!(matches.get_one::<f64>("factor"), Some(&1.5));
        assert_eq!(matches.get_one::<String>("pin").unwrap(), "1,2");
        assert_eq!(matches.get_one::<String>("listen").unwrap(), "elsewhere");
        assert_eq!(matches.get_many::<String>("symbols").unwrap().collect::<Vec<_>>(), ["c"]);
        assert!(matches.get_flag("spin"));
        let matches = command.try_get_matches_from(["serve"]).unwrap();
        assert_eq!(matches.get_one::<String>("listen").unwrap(), "there");
        assert_eq!(matches.get_many::<String>("symbols").unwrap().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn each_mistake_is_told_with_its_line() {
        let text = "# here\nlisen = 1\n\nworkers = 0\nspin = 1\nconfig = \"x\"\nzzz = 2\n\
                    symbols = [[1]]\n[limits]\nworkers = 1\n";
        let told = mistakes(text);
        let expected = [
            (2, "unknown setting 'lisen'; did you mean 'listen'?"),
            (4, "invalid value '0' for 'workers': 0 is not in 1..=255"),
            (5, "'spin' is on or off: write true or false"),
            (6, "'config' belongs on the command line, not in a file"),
            (7, "unknown setting 'zzz'; --print-config prints all that there are"),
            (8, "'symbols' takes a text in quotes, a number, or a list of them"),
            (9, "there is no table 'limits': settings stand by themselves"),
        ];
        assert_eq!(told, expected.map(|(line, what)| (line, what.to_owned())));
    }

    #[test]
    fn what_is_not_toml_is_told_in_one_line() {
        for (text, line) in [("workers = \n", 1), ("a = 1\nworkers 2\n", 2), ("a = 1\na = 2", 2)] {
            let told = mistakes(text);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].0, line, "{told:?}");
            assert!(!told[0].1.contains('\n') && !told[0].1.is_empty(), "{told:?}");
        }
    }
}
