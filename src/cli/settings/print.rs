//! The settings in force, as a file that `--config` reads.
//! Invariant: what is printed is read back as the same settings.

use super::settings;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::fmt::Write as _;

/// Columns of a comment.
const COLUMNS: usize = 98;

/// All settings of a command, under the headings of its help, each below what it is for.
pub(super) fn render(command: &Command, matches: &ArgMatches) -> String {
    let mut headings: Vec<Option<&str>> = Vec::new();
    for (_, arg) in settings(command) {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    let name = command.get_name();
    let mut out = format!("# The settings of `tickwire {name}`, for its --config.\n");
    for heading in headings {
        // A line for a heading, as for all that is written to a text.
        let _ = write!(out, "\n## {}\n", heading.unwrap_or("Options"));
        for (key, arg) in settings(command) {
            if arg.get_help_heading() == heading {
                out.push('\n');
                comment(&mut out, arg);
                out.push_str(&line(key, arg, matches));
            }
        }
    }
    out
}

/// What a setting is for, in lines that fit.
fn comment(out: &mut String, arg: &Arg) {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut words = help;
    let possible = arg.get_possible_values();
    if !possible.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let names: Vec<&str> = possible.iter().map(|value| value.get_name()).collect();
        let _ = write!(words, ": {}", names.join(", "));
    }
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// A setting's key and value; one that has none is a comment that shows its form.
fn line(key: &str, arg: &Arg, matches: &ArgMatches) -> String {
    let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let texts: Vec<String> = raw.map(|text| text.to_string_lossy().into_owned()).collect();
    let value = match (arg.get_action(), texts.as_slice()) {
        (_, []) => {
            let names = arg.get_value_names().unwrap_or_default();
            let name = names.first().map_or("VALUE", |name| name.as_str());
            return format!("# {key} = <{name}>\n");
        }
        (ArgAction::SetTrue, [text, ..]) => text.clone(),
        (ArgAction::Append, texts) => {
            let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
            format!("[{}]", texts.join(", "))
        }
        (_, [text, ..]) => literal(text),
    };
    format!("{key} = {value}\n")
}

/// A text as TOML: bare where it is a whole number, in quotes otherwise.
fn literal(text: &str) -> String {
    // No sign, no zero in front: what TOML reads back as the same digits.
    if text.parse::<u32>().is_ok_and(|number| number.to_string() == text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_as_they_were() {
        for text in ["", "5", "05", "+5", "4MiB", "a\"b\\c", "a\nb\u{1}", "wëlcome", "99999999999"]
        {
            let literal = literal(text);
            let line = format!("key = {literal}");
            let table = toml::de::DeTable::parse(&line).unwrap();
            let read = match table.get_ref().get("key").unwrap().get_ref() {
                toml::de::DeValue::String(read) => read.to_string(),
                toml::de::DeValue::Integer(read) => read.to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!(read, text);
        }
        assert_eq!(literal("5"), "5");
    }
}
