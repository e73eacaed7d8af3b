//! The layers of docs/ARCHITECTURE.md, and the rules that hold for every source file: read from
//! the sources, so that the picture cannot lie.
//!
//! A file belongs to the layer of its first path segment under `src/` (`src/outbox.rs` and
//! `src/proto/mask.rs`: `outbox` and `proto`). Every `crate::<layer>` in it is an edge, in `use`
//! and elsewhere, tests included; `super::` stays inside a layer, or the path leaves it by name.

use std::fs;
use std::path::{Path, PathBuf};

/// What each layer may name. A layer that is not listed may name none and be named by none.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("http", &["proto"]),
    ("net", &[]),
    ("hub", &["proto"]),
    ("outbox", &["proto"]),
    ("server", &["hub", "outbox", "net", "http", "proto"]),
    ("market", &["server", "http", "proto"]),
    ("feed", &["market"]),
    ("load", &["net", "http", "proto"]),
    ("cli", &["market", "feed", "load", "server", "http", "proto"]),
];

/// Crates that only some layers may name.
const RESTRICTED: &[(&str, &[&str])] = &[
    ("mio", &["net", "server", "load"]),
    ("socket2", &["net"]),
    ("rustix", &["net", "cli"]),
    ("getrandom", &["net"]),
    ("core_affinity", &["server"]),
    ("slab", &["hub", "server"]),
    ("httparse", &["http"]),
    ("zlib_rs", &["proto"]),
    ("hdrhistogram", &["load"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("plotters", &["cli"]),
    ("anyhow", &["cli"]),
    ("prometheus_client", &["cli"]),
    ("toml", &["cli"]),
];

/// What a pure state machine has no use for. To `http`, addresses are values in a Host field.
const BANNED_IN_LAYER: &[(&str, &[&str])] = &[
    ("proto", &["Instant::now", "SystemTime::now", "std::io", "std::net", "std::thread"]),
    ("http", &["Instant::now", "SystemTime::now", "std::io", "std::thread", "std::net::Tcp"]),
    ("outbox", &["Instant::now", "SystemTime::now", "std::io", "std::net", "std::thread"]),
];

/// What no file may hold.
const BANNED: &[&str] = &["unsafe", "todo!", "unimplemented!", "dbg!", "TODO", "FIXME", "XXX"];

const LINES_MAX: usize = 500;

/// What is wrong with a file, `path` being relative to `src/`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let layer = path.split(['/', '.']).next().unwrap_or_default();
    let mut faults = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = code_of(line);
        let mut fault = |what: String| faults.push(format!("{path}:{}: {what}", number + 1));
        for name in named_layers(&code) {
            if !may_name(layer, &name) {
                fault(format!("{layer} must not name {name}"));
            }
        }
        for (dependency, layers) in RESTRICTED {
            if names_crate(&code, dependency) && !layers.contains(&layer) {
                fault(format!("{layer} must not name {dependency}"));
            }
        }
        let banned_here = BANNED_IN_LAYER.iter().filter(|(name, _)| *name == layer);
        for banned in banned_here.flat_map(|(_, all)| *all).filter(|word| has_word(&code, word)) {
            fault(format!("{layer} must not use {banned}"));
        }
        for banned in BANNED {
            // Comments may speak of `unsafe`, but promise nothing to be done.
            let text = if banned.chars().all(|c| c.is_ascii_uppercase()) { line } else { &code };
            if has_word(text, banned) {
                fault(format!("{banned} has no place here"));
            }
        }
    }
    if !source.starts_with("//! ") {
        faults.push(format!("{path}:1: a file begins by saying what it is, after `//!`"));
    }
    let lines = source.lines().count();
    if lines > LINES_MAX {
        faults.push(format!("{path}: {lines} lines, more than {LINES_MAX}"));
    }
    faults
}

fn may_name(layer: &str, other: &str) -> bool {
    let named = MAY_NAME.iter().find(|(name, _)| *name == layer);
    // `lib` and `main` put everything together.
    layer == other
        || matches!(layer, "lib" | "main")
        || named.is_some_and(|(_, others)| others.contains(&other))
}

/// A line without its comment and without what stands in string literals.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => _ = chars.next(),
            '"' => in_string = !in_string,
            // A quote as a character is no string.
            '\'' if !in_string && chars.peek() == Some(&'"') => _ = chars.next(),
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

/// The names that follow `crate::` in a line, those of `crate::{a::…, b::…}` too.
fn named_layers(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => item = true,
                _ if item && depth == 0 && c.is_alphabetic() => {
                    names.push(first_word(&group[at..]));
                    item = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn names_crate(code: &str, dependency: &str) -> bool {
    has_word(code, &format!("{dependency}::"))
        || has_word(code, &format!("use {dependency};"))
        || has_word(code, &format!("use {dependency} as"))
}

/// Whether `text` has `word` with no letter of a longer one before or after it.
fn has_word(text: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(in_word);
        let ends_in_word = word.ends_with(in_word);
        let after = text[at + word.len()..].chars().next().is_some_and(in_word);
        !(before || ends_in_word && after)
    })
}

/// All sources, by their path relative to `src/`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path: PathBuf = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).expect("a readable file");
                let relative = path.strip_prefix(&root).expect("a path under the root");
                sources.push((relative.to_string_lossy().replace('\\', "/"), source));
            }
        }
    }
    sources.sort();
    sources
}

/// A module imports only from lines below its own, and every file keeps the rules.
#[test]
fn every_source_keeps_to_its_layer() {
    let sources = sources();
    assert!(sources.len() > 50, "the sources were found");
    let faults: Vec<String> =
        sources.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every layer that exists is drawn, and every layer that is drawn exists.
#[test]
fn the_layers_are_those_that_exist() {
    let mut existing: Vec<String> = sources()
        .iter()
        .map(|(path, _)| path.split(['/', '.']).next().unwrap_or_default().to_owned())
        .filter(|layer| layer != "lib" && layer != "main")
        .collect();
    existing.dedup();
    let mut drawn: Vec<&str> = MAY_NAME.iter().map(|(layer, _)| *layer).collect();
    drawn.sort_unstable();
    assert_eq!(existing, drawn);
}

/// The order of the table is an order of layers: each names only layers that stand before it.
#[test]
fn no_layer_names_one_above_it() {
    for (index, (layer, others)) in MAY_NAME.iter().enumerate() {
        let below: Vec<&str> = MAY_NAME[..index].iter().map(|(below, _)| *below).collect();
        let above: Vec<_> = others.iter().filter(|other| !below.contains(other)).collect();
        assert!(above.is_empty(), "{layer} names {above:?}");
    }
}

/// The checker finds what it is there to find, and nothing else.
#[test]
fn the_checker_finds_planted_faults() {
    let planted = [
        ("proto/mask.rs", "use crate::server::Options;"),
        ("hub/topic.rs", "use crate::{proto::Message, net};"),
        ("outbox.rs", "fn f() -> crate::hub::Topic {"),
        ("net/tcp.rs", "use crate::http::Status;"),
        ("http/head.rs", "use crate::hub;"),
        ("server/worker.rs", "use crate::feed::Sink;"),
        ("feed/replay.rs", "use crate::{feed::Sink, server::{Options, Stats}};"),
        ("load/fleet.rs", "use crate::server::Options;"),
        ("market/book.rs", "let x = crate::hub::Topics::default();"),
        ("hub/inbox.rs", "use mio::Waker;"),
        ("proto/time.rs", "let now = std::time::Instant::now();"),
        ("proto/time.rs", "use std::io::Read;"),
        ("http/head.rs", "    now: SystemTime::now(),"),
        ("proto/mask.rs", "let key = getrandom::fill(&mut key);"),
        ("cli/run.rs", "    unsafe { f() }"),
        ("cli/run.rs", "    todo!()"),
        ("cli/run.rs", "    let x = dbg!(x);"),
        ("cli/run.rs", "    // TODO: later"),
    ];
    for (path, line) in planted {
        let found = faults(path, &format!("//! A file.\n{line}\n"));
        assert_eq!(found.len(), 1, "{path}: {line}: {found:?}");
        assert!(found[0].starts_with(&format!("{path}:2: ")), "{found:?}");
    }
    let innocent = [
        ("proto/mask.rs", "//! Contains no `unsafe`, and knows no crate::server."),
        ("proto/mask.rs", "use super::frame; use crate::proto::header;"),
        ("proto/time.rs", "use std::time::Duration; fn instant_now() {}"),
        ("server/worker.rs", "use crate::{hub::{Inbox, Topic}, net::Tcp, proto::Millis};"),
        ("server/worker.rs", "let text = \"crate::feed and unsafe\"; // \"todo!\""),
        ("cli/run.rs", "let quote = '\"'; let x = crate::server::Options::default(); // '\"'"),
        ("hub/mod.rs", "let premio = antimio::f();"),
    ];
    for (path, line) in innocent {
        assert_eq!(faults(path, &format!("//! A file.\n{line}\n")), [] as [&str; 0]);
    }
    assert_eq!(faults("cli/run.rs", "use std::fs;\n").len(), 1, "no words at the top");
    let long = format!("//! A file.\n{}", "\n".repeat(LINES_MAX));
    assert_eq!(faults("cli/run.rs", &long).len(), 1, "too long");
}
