//! `serve --feed replay:FILE --at TIME`: from the middle of a recording, with how things stood then.

#![cfg(feature = "cli")]

mod support;

use std::path::PathBuf;
use support::client::Client;
use support::program::{Program, run};

const RECORDING: &str = r#"1700000000000000000 {"stream":"x@trade","data":1}
1700000001000000000 {"stream":"x@bookTicker","data":2}
1700000002000000000 {"stream":"x@bookTicker","data":3}
1700000003000000000 {"stream":"x@trade","data":4}
1700000003100000000 {"stream":"x@bookTicker","data":5}
"#;

struct Recording(PathBuf);

impl Recording {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tickwire-at-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the directory takes a file");
        Self(path)
    }

    fn feed(&self) -> String {
        format!("replay:{}", self.0.display())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A subscriber gets the last values of the moment at once, and then what follows; no trade from before.
#[test]
fn a_replay_begins_with_the_values_of_its_moment() {
    let recording = Recording::new("moment", RECORDING);
    let feed = recording.feed();
    for at in ["2023-11-14T22:13:22.5Z", "1700000002500", "+2500ms"] {
        let program = Program::start(&[
            "serve",
            "--feed",
            &feed,
            "--at",
            at,
            "--speed",
            "max",
            "--start-delay",
            "100ms",
        ]);
        let url = format!("ws://{}", program.address);
        support::eventually("what comes before is read", || {
            run(&["streams", &url]).stdout.starts_with("x@trade\t0\nx@bookTicker\t1\n")
        });
        let mut client = Client::open_at(program.address, "/ws/x@bookTicker/x@trade");
        assert_eq!(client.hear_all(3), ["3", "4", "5"], "--at {at}");
        let ended = program.logged("replay ended");
        assert!(ended.contains("events=2 ") && ended.contains("skipped=3"), "{ended}");
    }
}

/// A moment that the recording does not have is told.
#[test]
fn a_moment_outside_of_the_recording_is_told() {
    let recording = Recording::new("outside", RECORDING);
    let program = Program::start(&["serve", "--feed", &recording.feed(), "--at", "+1h"]);
    program.logged("all of it is from before --at");
    let untimed = Recording::new("untimed", "{\"stream\":\"x@trade\",\"data\":1}\n");
    let said = run(&["serve", "--listen", "127.0.0.1:0", "--feed", &untimed.feed(), "--at", "+1s"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stderr.contains("--at needs a recording with receive times"), "{said:?}");
    let said = run(&["serve", "--at", "noon"]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(said.stderr.contains("2024-08-08T23:54:30Z"), "{said:?}");
}
