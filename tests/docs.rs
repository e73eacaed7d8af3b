//! Whether the documentation is true where that can be asked: the functions that the pages
//! of rules cite, the defaults that README.md lists, the files that any page links to.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts between single backticks in a page's prose and tables.
fn code_spans(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// The pages that list an RFC's rules, and at least how many functions each cites.
const RULES: [(&str, usize); 2] = [("docs/rfc6455.md", 200), ("docs/rfc7692.md", 60)];

/// Each `file.rs::function` in a page of rules is there; a file is under src/ unless in tests/.
#[test]
fn every_function_cited_for_a_rule_exists() {
    for (name, cited_min) in RULES {
        check_citations(name, cited_min);
    }
}

fn check_citations(name: &str, cited_min: usize) {
    let page = read(&root().join(name));
    let cited: Vec<_> =
        code_spans(&page).into_iter().filter_map(|span| span.split_once(".rs::")).collect();
    assert!(cited.len() > cited_min, "{name}: only {} citations were found", cited.len());
    let mut missing = Vec::new();
    for (file, function) in cited {
        let base = if file.starts_with("tests/") { "" } else { "src" };
        let path = root().join(base).join(format!("{file}.rs"));
        let source = fs::read_to_string(&path).unwrap_or_default();
        let defined = ["(", "<"].iter().any(|end| source.contains(&format!("fn {function}{end}")));
        if !defined {
            missing.push(format!("{file}.rs::{function}"));
        }
    }
    assert!(missing.is_empty(), "{name} cites what is not there: {missing:#?}");
}

/// A row that says where a rule is obeyed has a test, but for those below.
#[test]
fn every_rule_has_a_test() {
    let pages = RULES.map(|(name, _)| read(&root().join(name)));
    let lines = pages.iter().flat_map(|page| page.lines());
    let rows = lines.filter(|line| line.starts_with("| ") && line.contains(".rs::"));
    let mut untested = Vec::new();
    for row in rows {
        let row = row.replace("\\|", " ");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "a row has four cells: {row}");
        if cells[3].is_empty() {
            untested.push(cells[1].to_owned());
        }
    }
    assert!(untested.is_empty(), "rules without a test: {untested:#?}");
}

/// README.md's table of flags has the defaults that `tickwire serve --help` tells.
#[cfg(feature = "cli")]
#[test]
fn the_defaults_in_the_readme_are_those_of_the_program() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tickwire"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let readme = read(&root().join("README.md"));
    let rows: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("| `--")).collect();
    assert!(rows.len() >= 15, "only {} flags are listed", rows.len());
    for row in rows {
        let (flag, rest) = row.split_once('`').unwrap();
        let default = rest.split('|').nth(1).unwrap().trim().trim_matches('`');
        if help.contains(&format!("--{flag}\n")) {
            assert_eq!(default, "off", "--{flag} takes no value");
            continue;
        }
        let about = help.split(&format!("--{flag} <")).nth(1);
        let about = about.unwrap_or_else(|| panic!("there is no --{flag}"));
        let about = about.split("\n      --").next().unwrap_or(about);
        // Long texts are wrapped at the terminal's width.
        let told: Vec<&str> = about.split_whitespace().collect();
        let told = told.join(" ");
        let told = told.split("[default: ").nth(1).unwrap();
        // "4MiB", or where the servers differ: "serve 4MiB; …", "pages of all origins".
        let told = told.split([']', ';']).next().unwrap();
        let same = told == default || told == format!("serve {default}");
        let same = same || (default == "all" && told.contains("all"));
        assert!(same, "--{flag}: README.md says {default}, the program {told}");
    }
}

/// The files of settings in docs/operations.md are taken as they stand.
#[cfg(feature = "cli")]
#[test]
fn settings_in_the_documentation_are_accepted() {
    let page = read(&root().join("docs/operations.md"));
    let examples: Vec<&str> = page.split("```toml\n").skip(1).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let text = example.split("```").next().unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documented.toml");
        fs::write(&path, text).unwrap();
        let said = std::process::Command::new(env!("CARGO_BIN_EXE_tickwire"))
            .args(["serve", "--print-config", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let settings = String::from_utf8(said.stdout).unwrap();
        for line in text.lines() {
            assert!(settings.lines().any(|set| set == line), "{line} is not in force: {settings}");
        }
    }
}

/// README.md names every cause that a connection's end can be counted under.
#[test]
fn the_readme_names_every_cause() {
    let readme = read(&root().join("README.md"));
    let source = read(&root().join("src/server/handler.rs"));
    let names = source.split("NAMES: [&str;").nth(1).and_then(|rest| rest.split("];").next());
    let names: Vec<&str> = names.unwrap().split('"').skip(1).step_by(2).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(code_spans(&readme).contains(&name), "README.md does not name {name}");
    }
}

/// Pages in the root, docs/ and the folders that have a README.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let with_readme = ["autobahn", "tests/clients", "tests/interop", "fuzz", "benches/peers"];
    for folder in ["", "docs", "docs/decisions"].into_iter().chain(with_readme) {
        let Ok(entries) = fs::read_dir(root().join(folder)) else {
            continue;
        };
        let paths = entries.flatten().map(|entry| entry.path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    pages
}

/// A link to a file of ours leads to one.
#[test]
fn no_link_between_pages_is_dead() {
    let pages = pages();
    assert!(pages.len() > 10, "only {} pages were found", pages.len());
    let (mut links, mut dead) = (0, Vec::new());
    for page in pages {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            if !page.parent().unwrap().join(target).exists() {
                dead.push(format!("{} → {target}", page.display()));
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

/// The decisions are numbered without gaps, and each title has its file's number.
#[test]
fn decisions_are_numbered_from_one() {
    let mut names: Vec<String> = fs::read_dir(root().join("docs/decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should be number {number}");
        let page = read(&root().join("docs/decisions").join(name));
        assert!(page.starts_with(&format!("# {number}. ")), "{name}: the title lacks its number");
    }
}
