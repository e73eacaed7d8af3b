//! A recording on disk, looked at before anything depends on it.
//! Invariant: an opened [`Recording`] was a readable file with an event near its start.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::bufread::MultiGzDecoder;

use super::super::ndjson::{LINE_BYTES_MAX_DEFAULT, Line, LineError, LineReader, parse_line};
use super::progress::Counting;

/// How many lines are looked at for a first event.
const LINES_CHECKED_MAX: u64 = 1000;
/// RFC 1952 §2.3.1: the two bytes that every gzip member starts with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A file of [NDJSON](super::super::ndjson) lines, plain or packed by gzip. Which of the two is
/// told by its first bytes, not by its name.
#[derive(Debug, Clone)]
pub struct Recording {
    path: PathBuf,
    bytes_total: u64,
    is_timed: bool,
}

impl Recording {
    /// Opens the file and reads up to its first event, so that a wrong file is refused before a
    /// server starts on it.
    ///
    /// # Errors
    /// Each says what is wrong with which file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RecordingError> {
        let mut recording = Self { path: path.into(), bytes_total: 0, is_timed: false };
        match recording.find_event() {
            Ok(()) => Ok(recording),
            Err(problem) => Err(RecordingError { path: recording.path, problem }),
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file when it was opened, packed or not.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Whether its first event says when it was received.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Reads it from its start, unpacked, and counts the file's bytes.
    pub(super) fn reader(&self, bytes: Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
        let file = Counting { reader: File::open(&self.path)?, bytes };
        let mut file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
            let unpacked = MultiGzDecoder::new(file);
            return Ok(Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, unpacked)));
        }
        Ok(Box::new(file))
    }

    fn find_event(&mut self) -> Result<(), Problem> {
        let metadata = std::fs::metadata(&self.path).map_err(Problem::of_opening)?;
        if metadata.is_dir() {
            return Err(Problem::IsDirectory);
        }
        // It is opened twice and may be read many times, which a pipe would not survive.
        if !metadata.is_file() {
            return Err(Problem::NotAFile);
        }
        self.bytes_total = metadata.len();
        let reader = self.reader(Arc::default()).map_err(Problem::of_opening)?;
        let mut lines = LineReader::new(reader, LINE_BYTES_MAX_DEFAULT);
        let mut first_error = None;
        while lines.line_number() < LINES_CHECKED_MAX {
            let Some(line) = lines.next_line().map_err(Problem::Damaged)? else {
                break;
            };
            match line.and_then(parse_line) {
                Ok(Line::Event(event)) => {
                    self.is_timed = event.received_ns.is_some();
                    return Ok(());
                }
                Ok(Line::Blank | Line::Snapshot(_) | Line::Streams(_)) => {}
                Err(error) => {
                    first_error.get_or_insert((lines.line_number(), error));
                }
            }
        }
        Err(match first_error {
            Some((line, error)) => Problem::NotARecording { line, error },
            None => Problem::NoEvents,
        })
    }
}

/// What is wrong with a file that should be a recording.
#[derive(Debug, thiserror::Error)]
#[error("recording {}: {problem}", path.display())]
pub struct RecordingError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("there is no such file")]
    Missing,
    #[error("no permission to read it")]
    NotPermitted,
    #[error("is a directory; name a file in it")]
    IsDirectory,
    #[error("is not a regular file; feed pipes through standard input instead")]
    NotAFile,
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("{}", describe(_0))]
    Damaged(io::Error),
    #[error("holds no event")]
    NoEvents,
    #[error(
        "holds no event in its first {LINES_CHECKED_MAX} lines; line {line}: {error} (expected \
         lines such as {{\"stream\":\"btcusdt@trade\",\"data\":{{…}}}}, with or without a time \
         in nanoseconds in front)"
    )]
    NotARecording { line: u64, error: LineError },
}

impl Problem {
    fn of_opening(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Unreadable(error),
        }
    }
}

/// What an error means behind lines that could be read.
pub(super) fn describe_rest(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            "is truncated, as of a recorder that was killed: all lines before that are replayed"
                .to_owned()
        }
        _ => describe(error),
    }
}

/// What an error in the middle of a recording means.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            "is truncated: its gzip data ends too early; unpack what is left of it or record anew"
                .to_owned()
        }
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            format!("is damaged: its gzip data cannot be unpacked ({error})")
        }
        _ => format!("cannot be read on: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TempFile, gzip};
    use super::*;

    fn refusal(path: &Path) -> String {
        Recording::open(path).unwrap_err().to_string()
    }

    fn refusal_of(name: &str, content: &[u8]) -> String {
        refusal(&TempFile::new(name, content).0)
    }

    /// Start-up: each unusable file is refused with a reason and its path.
    #[test]
    fn a_file_that_is_no_recording_is_refused() {
        let missing = refusal(Path::new("/nonexistent/ticks.ndjson"));
        assert_eq!(missing, "recording /nonexistent/ticks.ndjson: there is no such file");
        assert!(refusal(&std::env::temp_dir()).ends_with("is a directory; name a file in it"));
        assert!(refusal(Path::new("/dev/null")).contains("is not a regular file"));
        assert!(refusal_of("empty", b"").ends_with("holds no event"));
        assert!(refusal_of("blank", b"\n\n").ends_with("holds no event"));
        let snapshot = b"{\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}";
        assert!(refusal_of("snapshot", snapshot).ends_with("holds no event"));
        let text = refusal_of("text", b"\n# Notes\nand more");
        assert!(text.contains("line 2: not valid JSON"), "{text}");
        assert!(text.contains(r#"such as {"stream":"btcusdt@trade","data":{…}}, with"#), "{text}");
        let picture = refusal_of("binary", &[0xff; 5000]);
        assert!(picture.contains("line 1: not UTF-8"), "{picture}");
    }

    /// Start-up: a damaged archive is told from a file of another kind.
    #[test]
    fn a_damaged_archive_is_refused_as_such() {
        let packed = gzip(b"{\"stream\":\"a\",\"data\":1}\n");
        let truncated = refusal_of("cut", &packed[..packed.len() - 20]);
        assert!(truncated.contains("is truncated"), "{truncated}");
        let damaged = refusal_of("damaged", &[0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        assert!(damaged.contains("is damaged"), "{damaged}");
    }

    /// Start-up: a few wrong lines in front of an event do no harm.
    #[test]
    fn a_first_event_after_other_lines_is_found() {
        let file = TempFile::new("late", b"garbage\n\n7 {\"stream\":\"a\",\"data\":1}");
        assert_eq!(Recording::open(&file.0).unwrap().path(), file.0);
    }
}
