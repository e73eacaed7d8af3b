//! A table of streams that is drawn over itself.
//! Invariant: whatever ends this, the terminal is given back as it was.

use super::super::units::grouped;
use super::readable::{Envelope, describe, printable};
use console::Term;
use std::collections::HashMap;
use std::io::{self, Write as _, stdout};
use std::time::{Duration, Instant};

const DRAW_EVERY: Duration = Duration::from_millis(250);
/// A rate is that of the last seconds: how much of it is of the time since the last drawing.
const RATE_SHARE: f64 = 0.3;
/// Lines above and below the rows.
const OTHER_LINES: usize = 3;
const NAME_COLUMNS_MAX: usize = 28;

/// The other screen of the terminal, with the cursor hidden; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal, from [`ENTER`] to [`LEAVE`].
struct Screen {
    term: Term,
}

impl Screen {
    fn enter() -> Self {
        // A terminal that is gone shows at the first drawing.
        let _ = write(ENTER);
        Self { term: Term::stdout() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The table.
pub(super) struct Top {
    screen: Screen,
    table: Table,
    drawn: Instant,
}

impl Top {
    pub(super) fn start(server: &str, streams: &[String]) -> Self {
        let table = Table::new(server, streams);
        Self { screen: Screen::enter(), table, drawn: Instant::now() }
    }

    pub(super) fn note(&mut self, received_ns: u64, envelope: &Envelope<'_>) {
        self.table.note(received_ns, envelope);
    }

    /// Says something in the line below the table.
    pub(super) fn notice(&mut self, text: String) {
        self.table.notice = text;
    }

    /// Draws, if it is time to.
    pub(super) fn draw(&mut self, now: Instant) -> io::Result<()> {
        let since = now.duration_since(self.drawn);
        if since < DRAW_EVERY {
            return Ok(());
        }
        self.drawn = now;
        self.table.advance(since);
        let (lines, columns) = self.screen.term.size();
        write(&self.table.render(usize::from(lines), usize::from(columns)))
    }

    /// Gives the terminal back.
    pub(super) fn finish(self) -> io::Result<()> {
        drop(self.screen);
        Ok(())
    }
}

/// What is known of the streams.
struct Table {
    server: String,
    notice: String,
    rows: Vec<Row>,
    places: HashMap<String, usize>,
}

#[derive(Default)]
struct Row {
    stream: String,
    last: String,
    events: u64,
    /// Events since the last drawing.
    new: u64,
    per_s: f64,
    /// From the server's having the newest event to its being read here.
    latency: Option<Duration>,
}

impl Table {
    fn new(server: &str, streams: &[String]) -> Self {
        let mut table = Self {
            server: printable(server),
            notice: String::new(),
            rows: Vec::new(),
            places: HashMap::new(),
        };
        streams.iter().for_each(|stream| _ = table.place(stream));
        table
    }

    fn place(&mut self, stream: &str) -> usize {
        if let Some(at) = self.places.get(stream) {
            return *at;
        }
        self.places.insert(stream.to_owned(), self.rows.len());
        self.rows.push(Row { stream: printable(stream), ..Row::default() });
        self.rows.len() - 1
    }

    fn note(&mut self, received_ns: u64, envelope: &Envelope<'_>) {
        let at = self.place(&envelope.stream);
        let Some(row) = self.rows.get_mut(at) else {
            return;
        };
        row.events += 1;
        row.new += 1;
        row.last = describe(envelope.data.get());
        let latency_ns = envelope.ts.and_then(|ts| received_ns.checked_sub(ts));
        row.latency = latency_ns.map(Duration::from_nanos);
    }

    /// Brings the rates up to date.
    fn advance(&mut self, since: Duration) {
        for row in &mut self.rows {
            #[allow(clippy::cast_precision_loss, reason = "events of a fraction of a second")]
            let now = row.new as f64 / since.as_secs_f64();
            row.per_s += (now - row.per_s) * RATE_SHARE;
            row.new = 0;
        }
    }

    /// The screen's lines, each written over the one that was there.
    fn render(&self, lines: usize, columns: usize) -> String {
        let events: u64 = self.rows.iter().map(|row| row.events).sum();
        let rate: f64 = self.rows.iter().map(|row| row.per_s).sum();
        let title = format!("{}  {} events, {rate:.0}/s", self.server, grouped(events));
        let widest = self.rows.iter().map(|row| row.stream.chars().count()).max().unwrap_or(0);
        let name = widest.clamp(6, NAME_COLUMNS_MAX);
        let heading =
            format!("{:name$} {:>9} {:>8} {:>9}  last", "stream", "events", "/s", "latency");
        let mut all = vec![title, heading];
        let shown = lines.saturating_sub(OTHER_LINES);
        for row in self.rows.iter().take(shown) {
            let stream = cut(&row.stream, name);
            let latency = row.latency.map(|it| format!("{it:.0?}")).unwrap_or_default();
            let (events, per_s, last) = (row.events, row.per_s, &row.last);
            all.push(format!("{stream:name$} {events:>9} {per_s:>8.1} {latency:>9}  {last}"));
        }
        let hidden = self.rows.len().saturating_sub(shown);
        let more =
            if hidden > 0 { format!("… and {hidden} more streams  ") } else { String::new() };
        all.push(format!("{more}{}", self.notice));
        let mut text = String::from("\x1b[H");
        for line in all.iter().take(lines) {
            text.push_str(&cut(line, columns));
            text.push_str("\x1b[K\r\n");
        }
        // The last line feed would move the screen.
        text.truncate(text.len().saturating_sub(2));
        text.push_str("\x1b[J");
        text
    }
}

/// The first characters of a text.
fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("ws://here", &["a@trade".to_owned(), "b@trade".to_owned()]);
        for number in 0..4 {
            let event = format!(
                r#"{{"stream":"a@trade","seq":1,"ts":1000,"data":{{"e":"trade","t":{number},"p":"5","q":"1","m":true}}}}"#
            );
            table.note(251_000, &Envelope::parse(&event).unwrap());
        }
        table.advance(Duration::from_secs(1));
        table
    }

    #[test]
    fn a_row_has_the_last_event_and_how_many_there_were() {
        let drawn = table().render(24, 100);
        assert!(drawn.contains("ws://here  4 events, 1/s"), "{drawn}");
        assert!(drawn.contains("a@trade         4      1.2     250µs  sell 1 at 5  #3"), "{drawn}");
        assert!(drawn.contains("b@trade         0      0.0 "), "{drawn}");
    }

    /// However small the terminal, a line is no longer than it, and there are no more than it has.
    #[test]
    fn what_is_drawn_fits_the_terminal() {
        let mut table = table();
        table.notice = "x".repeat(500);
        for (lines, columns) in [(24, 80), (4, 20), (1, 5), (3, 0)] {
            let drawn = table.render(lines, columns);
            let rows: Vec<&str> = drawn.trim_start_matches("\x1b[H").split("\r\n").collect();
            assert!(rows.len() <= lines, "{lines}: {drawn:?}");
            for row in rows {
                let text = row.replace("\x1b[K", "").replace("\x1b[J", "");
                assert!(text.chars().count() <= columns, "{columns}: {text}");
            }
        }
    }
}
