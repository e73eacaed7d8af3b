//! Order books over REST, asked for on threads of their own.
//! Invariant: at most one thread asks on; one that was overtaken by another ends at its next step.

use super::recorder::unix_ns;
use crate::client::Endpoint;
use crate::feed::ndjson::{Line, parse_line};
use crate::market::StreamClass;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Levels a side: as many as the exchange gives.
const LEVELS: u32 = 5000;
/// Waits between attempts; a server may have no book before its feed has brought one.
const WAITS_MS: [u64; 8] = [100, 250, 500, 1000, 2000, 4000, 8000, 16_000];

/// The order books of the symbols that have a depth stream.
#[derive(Debug)]
pub(super) struct Books {
    endpoint: Endpoint,
    symbols: Vec<String>,
    sender: Sender<(u64, String)>,
    receiver: Receiver<(u64, String)>,
    /// How often they were asked for.
    asked: Arc<AtomicU64>,
}

/// Why there is no book.
enum Missing {
    /// There is none now.
    Yet(String),
    /// The server has no such thing.
    Ever,
}

impl Books {
    pub(super) fn new(endpoint: &Endpoint, streams: &[String]) -> Self {
        let mut symbols: Vec<String> = Vec::new();
        for stream in streams.iter().filter(|name| StreamClass::of(name) == StreamClass::Diff) {
            let symbol = stream.split('@').next().unwrap_or_default().to_uppercase();
            if !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        let (sender, receiver) = channel();
        Self { endpoint: endpoint.clone(), symbols, sender, receiver, asked: Arc::default() }
    }

    /// Asks for all of them anew.
    pub(super) fn ask(&self) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if self.symbols.is_empty() {
            return;
        }
        let asking = Asking {
            endpoint: self.endpoint.clone(),
            symbols: self.symbols.clone(),
            sender: self.sender.clone(),
            asked: Arc::clone(&self.asked),
            number,
        };
        let spawned =
            std::thread::Builder::new().name("books".to_owned()).spawn(move || asking.run());
        if let Err(error) = spawned {
            tracing::warn!("no order books are recorded: cannot start a thread: {error}");
        }
    }

    /// The next that has come, and when.
    pub(super) fn next(&self) -> Option<(u64, String)> {
        self.receiver.try_recv().ok()
    }
}

struct Asking {
    endpoint: Endpoint,
    symbols: Vec<String>,
    sender: Sender<(u64, String)>,
    asked: Arc<AtomicU64>,
    number: u64,
}

impl Asking {
    fn is_overtaken(&self) -> bool {
        self.asked.load(Ordering::Relaxed) != self.number
    }

    fn run(&self) {
        let (mut left, mut why) = (self.symbols.clone(), String::new());
        for wait_ms in std::iter::once(0).chain(WAITS_MS) {
            std::thread::sleep(Duration::from_millis(wait_ms));
            let mut missing = Vec::new();
            for symbol in left {
                if self.is_overtaken() {
                    return;
                }
                match self.book(&symbol) {
                    // Nobody waits for it where the command has ended.
                    Ok(book) => _ = self.sender.send(book),
                    Err(Missing::Yet(answer)) => {
                        why = answer;
                        missing.push(symbol);
                    }
                    Err(Missing::Ever) => {
                        let at = &self.endpoint;
                        tracing::warn!(
                            "{at} answers no /api/v3/depth: the recording has no order books, \
                             and depth streams in it begin with what changes"
                        );
                        return;
                    }
                }
            }
            if missing.is_empty() {
                return;
            }
            left = missing;
        }
        let symbols = left.join(" ");
        tracing::warn!("no order book of {symbols} was to be had: {why}");
    }

    fn book(&self, symbol: &str) -> Result<(u64, String), Missing> {
        let target = format!("/api/v3/depth?symbol={symbol}&limit={LEVELS}");
        let answer = self.endpoint.get(&target).map_err(|error| Missing::Yet(error.to_string()))?;
        let received_ns = unix_ns();
        match answer.status {
            200 if is_book(&answer.content) => {
                let several = self.symbols.len() > 1;
                let symbol = several.then_some(symbol);
                Ok((received_ns, line(&answer.content, symbol)))
            }
            404 => Err(Missing::Ever),
            status => {
                let said: String = answer.content.chars().take(80).collect();
                Err(Missing::Yet(format!("HTTP {status} {}", said.escape_debug())))
            }
        }
    }
}

fn is_book(content: &str) -> bool {
    matches!(parse_line(content.as_bytes()), Ok(Line::Snapshot(_)))
}

/// A book as it came, with its symbol where that is given and not in it.
pub(super) fn line(content: &str, symbol: Option<&str>) -> String {
    let says_symbol = matches!(
        parse_line(content.as_bytes()),
        Ok(Line::Snapshot(book)) if book.symbol.is_some()
    );
    match (symbol.filter(|_| !says_symbol), content.trim_ascii().strip_prefix('{')) {
        (Some(symbol), Some(members)) => {
            format!(r#"{{"s":{},{members}"#, serde_json::Value::from(symbol))
        }
        _ => content.trim_ascii().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_depth_streams_each_once() {
        let streams = ["btcusdt@depth", "btcusdt@depth@100ms", "a@trade", "b@depth5", "c@depth"];
        let endpoint: Endpoint = "ws://127.0.0.1:1".parse().unwrap();
        assert_eq!(Books::new(&endpoint, &streams.map(str::to_owned)).symbols, ["BTCUSDT", "C"]);
    }

    #[test]
    fn an_answer_stays_as_it_is_but_for_its_symbol() {
        let book = r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#;
        assert!(is_book(book) && !is_book("{}") && !is_book("<html>"));
        assert_eq!(line(&format!("{book}\n"), None), book);
        let named = r#"{"s":"AB","lastUpdateId":1,"bids":[],"asks":[]}"#;
        assert_eq!(line(book, Some("AB")), named);
        assert_eq!(line(named, Some("AB")), named);
    }
}
