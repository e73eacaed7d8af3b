//! `--config` and `--print-config`: a server's settings in a file.

#![cfg(feature = "cli")]

mod support;

use std::path::PathBuf;
use std::process::Command;
use support::client::Client;
use support::frame::{binary, header};
use support::program::{Program, run};

const SERVERS: [&str; 3] = ["serve", "echo", "chat"];

/// A file of this name with this text.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the folder is there");
    path.to_str().expect("its name is UTF-8").to_owned()
}

/// What a server says of all its settings.
fn printed(arguments: &[&str]) -> String {
    let said = run(&[arguments, &["--print-config"]].concat());
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    said.stdout
}

/// Each flag in a server's help is a setting, but for those that no file can hold.
#[test]
fn every_flag_is_a_setting() {
    for server in SERVERS {
        let (help, settings) = (run(&[server, "--help"]).stdout, printed(&[server]));
        let lines = help.lines().map(|line| line.trim_start().trim_start_matches("-h, "));
        let flags = lines.filter_map(|line| line.strip_prefix("--"));
        let flags = flags.filter_map(|rest| rest.split_whitespace().next());
        let mut count = 0;
        for flag in flags.filter(|flag| !["config", "print-config", "help"].contains(flag)) {
            let told = settings
                .lines()
                .filter(|line| line.trim_start_matches("# ").starts_with(&format!("{flag} = ")));
            assert_eq!(told.count(), 1, "{server}: {flag} in {settings}");
            count += 1;
        }
        assert!(count > 20, "{server}: only {count} flags were found in {help}");
    }
}

#[test]
fn what_is_printed_is_read_back_as_the_same() {
    for server in SERVERS {
        let text = printed(&[server]);
        let path = file(&format!("{server}-defaults.toml"), &text);
        assert_eq!(printed(&[server, "--config", &path]), text);
    }
    let changed = [
        "serve",
        "--symbols",
        "BTCUSDT,ETHUSDT",
        "--spin",
        "--pin",
        "0,1",
        "--idle-timeout",
        "off",
        "--allow-origin",
        "https://a.example,https://*.b.example",
        "--start-time",
        "99999999999999",
        "--feed",
        "replay:a \"b\".ndjson",
        "--send-queue",
        "1 MiB",
        "--rate",
        "2.5",
    ];
    let text = printed(&changed);
    for line in [
        "symbols = [\"BTCUSDT\", \"ETHUSDT\"]",
        "spin = true",
        "pin = \"0,1\"",
        "idle-timeout = \"off\"",
        "feed = \"replay:a \\\"b\\\".ndjson\"",
        "workers = 1",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
    let path = file("changed.toml", &text);
    assert_eq!(printed(&["serve", "--config", &path]), text);
}

/// The command line wins over the environment, that over the file, and that over the default.
#[test]
fn the_nearest_word_wins() {
    let path = file("nearest.toml", "log = \"error\"\nworkers = 3\nsymbols = [\"ADAUSDT\"]\n");
    let print = |environment: Option<&str>, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
        command.args(["serve", "--config", &path, "--print-config"]).args(more);
        match environment {
            Some(value) => command.env("TICKWIRE_LOG", value),
            None => command.env_remove("TICKWIRE_LOG"),
        };
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let has = |text: &str, line: &str| assert!(text.lines().any(|l| l == line), "{line}: {text}");
    let text = print(None, &[]);
    has(&text, "log = \"error\"");
    has(&text, "symbols = [\"ADAUSDT\"]");
    has(&text, "seed = 1");
    has(&print(Some("debug"), &[]), "log = \"debug\"");
    let text = print(Some("debug"), &["--log", "trace", "--workers=2", "--symbols", "BTCUSDT"]);
    has(&text, "log = \"trace\"");
    has(&text, "workers = 2");
    has(&text, "symbols = [\"BTCUSDT\"]");
}

#[test]
fn a_server_does_what_its_file_says() {
    let path = file("served.toml", "max-message = \"1KiB\"\nmax-fragments = 2\n");
    let program = Program::start(&["echo", "--config", &path]);
    let mut client = Client::open(program.address);
    client.send(&binary(&[1; 1024]));
    client.expect_binary(&[1; 1024]);
    client.send(&header(0x82, 1025));
    client.expect_failure(1009);
    let program = Program::start(&["echo", "--config", &path, "--max-message", "2KiB"]);
    let mut client = Client::open(program.address);
    client.send(&binary(&[1; 1025]));
    client.expect_binary(&[1; 1025]);
    for first in [0x02, 0x00, 0x80] {
        client.send(&header(first, 0));
    }
    client.expect_failure(1008);
}

/// One line for each mistake, with its place in the file, and exit code 2.
#[test]
fn mistakes_in_a_file_are_told_with_their_lines() {
    let text = "# mine\nlisten = \"here\"\nsend_queue = \"4MiB\"\nmessage-burst = 0\n\
                log-format = \"xml\"\nconfig = \"other.toml\"\nidle-timeout = 5.5\n";
    let path = file("mistakes.toml", text);
    let said = run(&["serve", "--config", &path]);
    assert_eq!((said.status.code(), said.stdout.as_str()), (Some(2), ""), "{said:?}");
    let expected = [
        (2, vec!["'here' for 'listen'"]),
        (3, vec!["unknown setting 'send_queue'", "did you mean 'send-queue'?"]),
        (4, vec!["'0' for 'message-burst'"]),
        (5, vec!["'xml' for 'log-format'", "text, json"]),
        (6, vec!["'config'", "command line"]),
        (7, vec!["'5.5' for 'idle-timeout'", "such as 5s"]),
    ];
    assert_eq!(said.stderr.lines().count(), expected.len(), "{}", said.stderr);
    for (line, (number, parts)) in said.stderr.lines().zip(expected) {
        assert!(line.starts_with(&format!("error: {path}:{number}: ")), "{line}");
        for part in parts {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    // A setting of another server's is none of echo's.
    let path = file("of-serve.toml", "\nsymbols = [\"BTCUSDT\"]\n");
    let said = run(&["echo", "--config", &path]);
    assert!(said.stderr.starts_with(&format!("error: {path}:2: unknown setting 'symbols'")));
}

/// A file that cannot be read, or is no TOML, is one mistake in one line.
#[test]
fn a_file_that_cannot_be_read_is_answered_in_one_line() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let missing = format!("{folder}/no-such-file.toml");
    let torn = file("torn.toml", "workers = 1\nlisten = \"127.0.0.1:0\n");
    let table = file("table.toml", "[serve]\nworkers = 1\n");
    let large = file("large.toml", &"#".repeat((1 << 20) + 1));
    let cases = [
        (missing.as_str(), missing.as_str()),
        (folder, "directory"),
        (torn.as_str(), "torn.toml:2: "),
        (table.as_str(), "table.toml:1: there is no table 'serve'"),
        (large.as_str(), "more than 1048576 bytes"),
    ];
    for (path, says) in cases {
        let said = run(&["serve", "--config", path]);
        assert_eq!((said.status.code(), said.stdout.as_str()), (Some(2), ""), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        assert!(
            said.stderr.starts_with("error: ") && said.stderr.contains(says),
            "{}",
            said.stderr
        );
    }
}
