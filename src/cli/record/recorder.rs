//! Lines into files: the list of streams first, then what comes, in one file after another.
//! Invariant: every file begins with the list of streams, where there is one.

use super::super::status_line::StatusLine;
use super::super::units::grouped;
use super::file::RecordingFile;
use super::rotation::Files;
use crate::client::one_line;
use anyhow::anyhow;
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks of a person at the terminal.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// Whether what was written last goes on in the file before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    SameFile,
    NewFile,
}

/// Writes a recording.
#[derive(Debug)]
pub(super) struct Recorder {
    files: Files,
    streams: Vec<String>,
    current: Option<Current>,
    line: StatusLine,
    shown: Shown,
    pub(super) events: u64,
    /// Bytes of events, unpacked.
    bytes: u64,
    files_made: u32,
}

#[derive(Debug)]
struct Current {
    file: RecordingFile,
    begun: Instant,
    /// Lines in it, the list of streams not counted.
    lines: u64,
}

/// What the terminal says.
#[derive(Debug)]
struct Shown {
    at: Instant,
    events: u64,
    bytes: u64,
}

impl Recorder {
    /// A recording of these streams; no file is made before there is something to write.
    pub(super) fn new(files: Files, streams: Vec<String>, line: StatusLine) -> Self {
        let shown = Shown { at: Instant::now(), events: 0, bytes: 0 };
        let (current, events, bytes, files_made) = (None, 0, 0, 0);
        Self { files, streams, current, line, shown, events, bytes, files_made }
    }

    /// A stream that is not in the list yet.
    pub(super) fn add_stream(&mut self, stream: &str) {
        if !self.streams.iter().any(|known| known == stream) {
            self.streams.push(stream.to_owned());
        }
    }

    /// Writes an event, as it came.
    pub(super) fn event(&mut self, received_ns: u64, text: &str) -> anyhow::Result<()> {
        self.write(received_ns, text)?;
        self.events += 1;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Writes an order book.
    pub(super) fn snapshot(&mut self, received_ns: u64, text: &str) -> anyhow::Result<()> {
        self.write(received_ns, text)
    }

    fn write(&mut self, received_ns: u64, text: &str) -> anyhow::Result<()> {
        self.open()?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let text = one_line(text);
        match current.file.line(received_ns, &text, Instant::now()) {
            Ok(()) => {
                current.lines += 1;
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Makes a file, where there is none under way.
    pub(super) fn open(&mut self) -> anyhow::Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        let made = self.files.next().and_then(|(mut file, begun)| {
            if !self.streams.is_empty() {
                let names = serde_json::Value::from(self.streams.as_slice());
                let list = format!(r#"{{"result":{names},"id":1}}"#);
                file.line(unix_ns(), &list, begun)?;
            }
            Ok(Current { file, begun, lines: 0 })
        });
        match made {
            Ok(current) => {
                tracing::info!(file = %current.file.path().display(), "recording");
                self.files_made += 1;
                self.current = Some(current);
                Ok(())
            }
            Err(error) => Err(self.files.refused(&error)),
        }
    }

    /// What is to be done from time to time: lines that are due, the next file, the terminal.
    pub(super) fn turn(&mut self, now: Instant) -> anyhow::Result<Turned> {
        self.show(now);
        let Some(current) = &mut self.current else {
            return Ok(Turned::SameFile);
        };
        let age = now.duration_since(current.begun);
        // An empty file would be followed by another one.
        if current.lines > 0 && self.files.rotation.is_due(current.file.bytes(), age) {
            self.finish_file()?;
            self.open()?;
            return Ok(Turned::NewFile);
        }
        match current.file.flush_due(now) {
            Ok(()) => Ok(Turned::SameFile),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Ends the recording, and says what is in it.
    pub(super) fn finish(mut self, took: Duration) -> anyhow::Result<()> {
        let path = self.current.as_ref().map(|current| current.file.path().display().to_string());
        self.finish_file()?;
        drop(self.line);
        let (events, bytes, files) = (self.events, self.bytes, self.files_made);
        let seconds = took.as_secs();
        // Where there was nothing to write, whatever prevented it is told.
        if files > 0 {
            tracing::info!(events, bytes, files, last = path, seconds, "recorded");
        }
        Ok(())
    }

    fn finish_file(&mut self) -> anyhow::Result<()> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        let path = current.file.path().to_owned();
        current.file.finish().map_err(|error| self.cannot_write(&path.display(), &error))
    }

    /// An error of the file that is under way, which is given up.
    fn failed(&mut self, error: &io::Error) -> anyhow::Error {
        match self.current.take() {
            Some(current) => self.cannot_write(&current.file.path().display(), error),
            None => anyhow!("cannot write: {error}"),
        }
    }

    fn cannot_write(&self, path: &impl std::fmt::Display, error: &io::Error) -> anyhow::Error {
        let what = match error.kind() {
            io::ErrorKind::StorageFull => "; make room, and go on in another file",
            _ => "; go on in another file",
        };
        anyhow!(
            "cannot write {path} on: {error}; what was in it at the last flush can be replayed \
             ({} events were taken){what}",
            self.events
        )
    }

    fn show(&mut self, now: Instant) {
        let since = now.duration_since(self.shown.at);
        if !self.line.is_shown() || since < SHOW_EVERY {
            return;
        }
        let per_s = |count: u64| {
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
            grouped(count.saturating_mul(1000) / millis)
        };
        let (events, bytes) = (self.events - self.shown.events, self.bytes - self.shown.bytes);
        let file = match &self.current {
            Some(current) => {
                let size = bytesize::ByteSize(current.file.bytes());
                format!("{} ({size})", current.file.path().display())
            }
            None => "nothing to write yet".to_owned(),
        };
        self.line.show(format!(
            "{} events, {}/s, {} B/s → {file}",
            grouped(self.events),
            per_s(events),
            per_s(bytes)
        ));
        self.shown = Shown { at: now, events: self.events, bytes: self.bytes };
    }
}

/// Nanoseconds since 1970, by the clock on the wall.
pub(super) fn unix_ns() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
