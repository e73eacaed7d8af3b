//! `--metrics`: the text, whether it adds up, and that it holds nothing up.
//!
//! The text is read by a parser of the test's own, after OpenMetrics 1.0.

#![cfg(feature = "cli")]

mod support;

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use support::client::{Answer, Client};
use support::frame::{close, text};
use support::program::Program;
use support::{DEADLINE, eventually};

/// Starts a server with metrics on a free port.
fn start(arguments: &[&str]) -> (Program, SocketAddr) {
    let program = Program::start(&[arguments, &["--metrics", ":0"]].concat());
    loop {
        let line = program.stdout.recv_timeout(DEADLINE).expect("it says where the metrics are");
        if let Some((_, rest)) = line.split_once("watch  http://") {
            let address = rest.split('/').next().and_then(|address| address.parse().ok());
            return (program, address.expect("an address"));
        }
    }
}

fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    client.read_answer()
}

/// What the metrics say now, by names and labels as they are written.
fn scrape(address: SocketAddr) -> HashMap<String, f64> {
    let answer = ask(address, "GET", "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    samples(&answer.content)
}

/// The samples in a text, all of whose rules are checked.
fn samples(text: &str) -> HashMap<String, f64> {
    let text = text.strip_suffix("# EOF\n").expect("§3.2: it ends with EOF");
    let mut samples = HashMap::new();
    let mut families: HashMap<&str, &str> = HashMap::new();
    let (mut family, mut kind) = ("", "");
    for line in text.lines() {
        assert_eq!(line.trim(), line, "no more space than there has to be");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, about) = rest.split_once(' ').expect(line);
            assert!(is_name(name) && about.len() > 5, "{line}");
            (family, kind) = (name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let of = rest.split_once(' ').expect(line);
            assert!(of.0 == family && kind.is_empty(), "one type, after the help: {line}");
            assert!(families.insert(of.0, of.1).is_none(), "a family is told once: {line}");
            kind = of.1;
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').expect(line);
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let name = series.split('{').next().unwrap_or(series);
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{family}: {line}"));
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                _ => panic!("{kind}: {line}"),
            };
            assert!(suffixes.contains(&suffix), "{kind}: {line}");
            check_labels(&series[name.len()..]);
            let value: f64 = value.parse().expect(line);
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line} is there twice");
        }
    }
    for (family, _) in families.iter().filter(|(_, kind)| **kind == "histogram") {
        check_histogram(family, text, &samples);
    }
    samples
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Nothing, or labels in braces; none of ours has anything to be escaped in its value.
fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect(labels);
    for label in inner.split(',') {
        let (name, value) = label.split_once('=').expect(labels);
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect(labels);
        assert!(is_name(name) && !value.contains(['"', '\\']), "{labels}");
    }
}

/// §5.3: bounds rise, what is within them does not fall, and all of it is within the last.
fn check_histogram(family: &str, text: &str, samples: &HashMap<String, f64>) {
    let start = format!("{family}_bucket{{le=\"");
    let (mut bound, mut within, mut bounds) = (f64::MIN, 0.0, 0);
    for line in text.lines().filter_map(|line| line.strip_prefix(&start)) {
        let (le, count) = line.split_once("\"} ").expect(line);
        let number = |text: &str| text.parse::<f64>().expect(line);
        let (le, count) = (number(le), number(count));
        assert!(le > bound && count >= within, "{family}: {line}");
        (bound, within, bounds) = (le, count, bounds + 1);
    }
    assert!(bound == f64::INFINITY && bounds > 10, "{family}: {bounds} buckets up to {bound}");
    assert_eq!(within, samples[&format!("{family}_count")], "{family}");
    let sum = samples[&format!("{family}_sum")];
    assert_eq!(sum > 0.0, within > 0.0, "{family}: {within} took {sum} s");
}

/// Accepted = open + all that ended.
fn check_connections(samples: &HashMap<String, f64>) {
    let ended = samples.iter().filter(|(name, _)| name.starts_with("tickwire_disconnects_total{"));
    let ended: f64 = ended.map(|(_, count)| count).sum();
    let open = samples["tickwire_connections_open"];
    assert_eq!(samples["tickwire_connections_accepted_total"], open + ended, "{samples:?}");
}

#[test]
fn metrics_are_answered_to_get_and_head_and_nothing_else_is_there() {
    for server in ["echo", "chat", "serve"] {
        let (_program, address) = start(&[server]);
        let answer = ask(address, "GET", "/metrics?name=x");
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some(media_type)));
        let samples = samples(&answer.content);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(samples[&format!("tickwire_build_info{{version=\"{version}\"}}")], 1.0);
        assert!(
            samples["process_resident_memory_bytes"] > 1e6 && samples["process_max_fds"] > 10.0
        );
        assert_eq!(samples.contains_key("tickwire_feed_events_total"), server == "serve");
        check_connections(&samples);
        let head = ask(address, "HEAD", "/metrics");
        assert_eq!((head.status, head.field("Content-Type")), (200, Some(media_type)));
        assert_eq!(head.content, "");
        assert!(head.field("Content-Length").is_some_and(|len| len.parse::<u32>().unwrap() > 1000));
        let healthy = ask(address, "GET", "/healthz");
        assert_eq!((healthy.status, healthy.content.as_str()), (200, "ok\n"));
        assert_eq!(ask(address, "GET", "/").status, 404);
        assert_eq!(ask(address, "GET", "/metrics/").status, 404);
        assert_eq!(ask(address, "POST", "/metrics").status, 405);
        let mut client = Client::connect(address);
        client.send(support::client::upgrade_request("/metrics", "").as_bytes());
        assert_eq!(client.read_answer().status, 404, "it is no WebSocket server");
    }
}

/// docs/operations.md says what to watch; all of it is there to be watched.
#[test]
fn the_metrics_in_the_documentation_exist() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let spans = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let named = spans.filter(|name| ["tickwire_", "process_"].iter().any(|p| name.starts_with(p)));
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    let (_program, address) = start(&["serve"]);
    let samples = scrape(address);
    for name in named {
        let exists = |series: &String| {
            let series = series.split('{').next().unwrap();
            series == name || series.strip_suffix("_bucket") == Some(name)
        };
        assert!(samples.keys().any(exists), "there is no {name}");
    }
}

#[test]
fn each_connection_is_open_or_ended_for_a_reason() {
    for workers in ["1", "2"] {
        let (program, metrics) = start(&["echo", "--workers", workers]);
        let mut clients: Vec<Client> = (0..8).map(|_| Client::open(program.address)).collect();
        for client in &mut clients {
            client.send(&text("hello"));
            client.expect_text("hello");
        }
        clients.remove(0).close();
        clients.remove(0).reset();
        let mut wrong = clients.remove(0);
        wrong.send(&[0x81, 0x00]);
        wrong.expect_failure(1002);
        drop(wrong);
        assert_eq!(ask(program.address, "GET", "/").status, 426);
        let mut samples = scrape(metrics);
        eventually("five are left", || {
            samples = scrape(metrics);
            samples["tickwire_connections_open"] == 5.0
        });
        check_connections(&samples);
        let ended = |reason| samples[&format!("tickwire_disconnects_total{{reason=\"{reason}\"}}")];
        for reason in ["peer_closed", "reset", "violation", "http"] {
            assert_eq!(ended(reason), 1.0, "{reason}");
        }
        assert_eq!(samples["tickwire_handshakes_total"], 8.0);
        assert_eq!(samples["tickwire_messages_in_total"], 8.0);
    }
}

#[test]
fn a_feed_s_events_are_counted_from_their_lines_to_their_subscribers() {
    let (mut program, metrics) = start(&["serve", "--feed", "stdin", "--wait-for", "1"]);
    let mut client = Client::open_at(program.address, "/ws/a@trade");
    let mut feed = program.stdin.take().unwrap();
    for n in 0..3 {
        writeln!(feed, r#"{{"stream":"a@trade","data":{{"n":{n}}}}}"#).unwrap();
    }
    writeln!(feed, "oops").unwrap();
    for n in 0..3 {
        client.expect_text(&format!(r#"{{"n":{n}}}"#));
    }
    let mut samples = scrape(metrics);
    // A client may have its event before the worker has counted it.
    eventually("the last line is read, and the flush of the last event over", || {
        samples = scrape(metrics);
        samples["tickwire_feed_malformed_lines_total"] == 1.0
            && samples["tickwire_ingest_to_last_write_seconds_count"] == 3.0
    });
    for name in ["feed_events", "published", "events_in", "deliveries"] {
        assert_eq!(samples[&format!("tickwire_{name}_total")], 3.0, "{name}");
    }
    assert_eq!(samples["tickwire_feed_bytes_total"], 21.0);
    assert_eq!(samples["tickwire_dropped_inbox_full_total"], 0.0);
    for end in ["first", "last"] {
        let name = format!("tickwire_ingest_to_{end}_write_seconds");
        assert_eq!(samples[&format!("{name}_count")], 3.0);
        assert!(samples[&format!("{name}_sum")] < 3.0 * DEADLINE.as_secs_f64());
    }
}

#[test]
fn metrics_stay_up_while_the_server_drains() {
    let patient = ["echo", "--drain-timeout", "1h", "--close-timeout", "1h"];
    let (mut program, metrics) = start(&patient);
    let mut client = Client::open(program.address);
    client.expect_alive();
    program.signal("TERM");
    client.expect_close(1001);
    let draining = ask(metrics, "GET", "/healthz");
    assert_eq!((draining.status, draining.content.as_str()), (503, "draining\n"));
    let samples = scrape(metrics);
    assert_eq!(samples["tickwire_connections_open"], 1.0);
    client.send(&close(1001, ""));
    client.expect_eof();
    drop(client);
    assert!(program.wait().success());
    assert!(std::net::TcpStream::connect(metrics).is_err(), "nobody listens any more");
}

/// Who asks slowly is let go, and neither waits for the other: the server, and its metrics.
#[test]
fn slow_readers_of_metrics_hold_nothing_up() {
    let (mut program, metrics) = start(&["echo"]);
    let mut slow: Vec<Client> = (0..32).map(|_| Client::connect(metrics)).collect();
    for client in &mut slow {
        client.send(b"GET /metrics HTTP/1.1\r\n");
    }
    Client::open(program.address).expect_alive();
    scrape(metrics);
    for mut client in slow {
        assert_eq!(client.read_answer().status, 408);
    }
    // One that never reads its answer nor leaves does not keep the program from ending.
    let mut stays = Client::connect(metrics);
    stays.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    program.signal("TERM");
    assert!(program.wait().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_scrapes_leak_nothing() {
    let (program, metrics) = start(&["serve"]);
    let folder = format!("/proc/{}", program.id());
    let descriptors = || std::fs::read_dir(format!("{folder}/fd")).unwrap().count();
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    for _ in 0..100 {
        scrape(metrics);
    }
    eventually("the scrapes so far are over", || descriptors() < 24);
    let (open, resident) = (descriptors(), resident_kib());
    for _ in 0..1000 {
        scrape(metrics);
    }
    eventually("their descriptors are closed", || descriptors() <= open);
    let grown = resident_kib().saturating_sub(resident);
    assert!(grown < 1024, "{grown} KiB more after 1,000 scrapes");
}
