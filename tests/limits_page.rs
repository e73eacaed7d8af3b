//! Whether docs/limits.md is true where that can be asked: every limit of the library is there, the
//! defaults of `serve` are the program's, and what a limit is counted as exists.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the page's tables, cell by cell.
fn rows() -> Vec<Vec<String>> {
    let page = read("docs/limits.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| in "));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The public fields of a struct in a source file, in order.
fn fields(path: &str, name: &str) -> Vec<String> {
    let source = read(path);
    let body = source.split(&format!("pub struct {name} {{\n")).nth(1).expect("the struct");
    let body = body.split("\n}").next().expect("its end");
    let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    fields.filter_map(|field| Some(field.split_once(':')?.0.to_owned())).collect()
}

/// What is in `Options` and bounds nothing.
const NO_LIMITS: [&str; 7] =
    ["workers", "waiting", "pin", "ping_payload", "origins", "deflate", "first_seq"];
/// What has several limits, and where these are.
const NESTED: [(&str, &str, &str); 3] = [
    ("limits", "src/proto/config.rs", "Limits"),
    ("timeouts", "src/proto/config.rs", "Timeouts"),
    ("head_limits", "src/http/head.rs", "HeadLimits"),
];

#[test]
fn every_limit_of_the_library_is_on_the_page() {
    let told: Vec<String> = rows().into_iter().map(|row| row[0].replace('`', "")).collect();
    let mut expected = Vec::new();
    for field in fields("src/server/options.rs", "Options") {
        match NESTED.iter().find(|(name, ..)| *name == field) {
            Some((_, path, name)) => {
                expected.extend(fields(path, name).iter().map(|one| format!("{field}.{one}")));
            }
            None if field == "sockets" => expected.push("sockets.notsent_lowat_bytes".to_owned()),
            None => expected.push(field),
        }
    }
    expected.retain(|name| !NO_LIMITS.contains(&&**name));
    assert!(expected.len() > 20, "{expected:?}");
    for name in &expected {
        assert!(told.contains(name), "docs/limits.md does not tell of {name}");
    }
    let known = |name: &String| expected.contains(name) || name == "—" || name.contains(',');
    for name in told {
        assert!(known(&name), "docs/limits.md tells of {name}, which is not there");
    }
}

/// A cause, a counter, or words.
#[test]
fn what_limits_are_counted_as_exists() {
    let handler = read("src/server/handler.rs");
    let stats = read("src/server/stats.rs");
    let mut names = 0;
    for row in rows() {
        for name in row[5].split('`').skip(1).step_by(2).filter(|name| !name.contains("::")) {
            names += 1;
            let is_cause = handler.contains(&format!("\"{name}\","));
            let kinds = [",", ": Gauge,"];
            let is_counter =
                kinds.iter().any(|kind| stats.contains(&format!("    {name}{kind}\n")));
            assert!(is_cause || is_counter, "{}: nothing is counted as {name}", row[0]);
        }
    }
    assert!(names > 20, "{names}");
}

/// The defaults of `serve` are those that it tells itself, and limits that have a flag have one.
#[cfg(feature = "cli")]
#[test]
fn the_defaults_of_serve_are_the_program_s() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tickwire"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (mut compared, mut told) = (0, Vec::new());
    for row in rows() {
        let flag = row[1].trim_matches('`');
        told.push(flag.to_owned());
        if flag == "—" {
            assert_eq!(row[3], "—", "{}: no flag, so no default of its own", row[0]);
            continue;
        }
        let about = help.split(&format!("      {flag} <")).nth(1);
        let about = about.unwrap_or_else(|| panic!("there is no {flag}"));
        let about = about.split("\n      --").next().unwrap();
        let words: Vec<&str> = about.split_whitespace().collect();
        let words = words.join(" ");
        let default = words.split("[default: ").nth(1).expect("a default");
        let default = default.trim_start_matches("serve ").split([']', ';']).next().unwrap();
        assert_eq!(row[3], default, "{flag}");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
    // Under the heading of limits, all of them are.
    let limits = help.split("\nLimits:\n").nth(1).expect("the heading");
    let limits = limits.split("\n\n").take_while(|part| part.starts_with(' '));
    for flag in limits.filter_map(|part| part.trim_start().strip_prefix("--")) {
        let flag = format!("--{}", flag.split_whitespace().next().unwrap());
        assert!(told.contains(&flag), "docs/limits.md does not tell of {flag}");
    }
}
