//! A file of a recording under way: whole lines, plain or packed by gzip.
//!
//! Lines are gathered and handed to the system together, at the latest after [`FLUSH_EVERY`]; a packed
//! file is flushed in such a way that all up to there can be unpacked. What the system has is in the file
//! whatever becomes of this process. What an error has cut in two is taken off again.
//! Invariant: up to its length at the last flush, a file holds whole lines.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A line waits no longer than this for others to be written with.
pub(super) const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// Lines are handed over when there are so many bytes of them.
const GATHERED_BYTES_MAX: usize = 256 << 10;

/// What to do where a file is already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Keep,
    Replace,
}

/// A file that lines are written to.
#[derive(Debug)]
pub(super) struct RecordingFile {
    path: PathBuf,
    packing: Packing,
    gathered: Vec<u8>,
    /// When the first of the gathered lines came.
    since: Option<Instant>,
    /// Bytes in the file at the last flush.
    flushed_bytes: u64,
}

#[derive(Debug)]
enum Packing {
    Plain(Counted),
    Gzip(GzEncoder<Counted>),
}

/// A file, and how many bytes it was given.
#[derive(Debug)]
struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        // A write's length is far below 2^64.
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RecordingFile {
    /// Makes the file; packed where its name ends in `.gz`.
    pub(super) fn create(path: &Path, existing: Existing) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        match existing {
            Existing::Keep => options.create_new(true),
            Existing::Replace => options.create(true).truncate(true),
        };
        let file = Counted { file: options.open(path)?, bytes: 0 };
        let is_packed = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        let packing = if is_packed {
            Packing::Gzip(GzEncoder::new(file, Compression::default()))
        } else {
            Packing::Plain(file)
        };
        let (gathered, since, flushed_bytes) = (Vec::new(), None, 0);
        Ok(Self { path: path.to_owned(), packing, gathered, since, flushed_bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file, and those gathered for it; what gathered lines come to in a packed file is not
    /// known before they are flushed.
    pub(super) fn bytes(&self) -> u64 {
        match &self.packing {
            Packing::Plain(file) => file.bytes + self.gathered.len() as u64,
            Packing::Gzip(encoder) => encoder.get_ref().bytes,
        }
    }

    /// Writes a line: its time, a space, and a text without a line feed.
    pub(super) fn line(&mut self, received_ns: u64, text: &str, now: Instant) -> io::Result<()> {
        writeln!(self.gathered, "{received_ns} {text}")?;
        self.since.get_or_insert(now);
        if self.gathered.len() >= GATHERED_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Hands lines to the system that have waited for long enough.
    pub(super) fn flush_due(&mut self, now: Instant) -> io::Result<()> {
        match self.since {
            Some(since) if now.duration_since(since) >= FLUSH_EVERY => self.flush(),
            _ => Ok(()),
        }
    }

    /// Hands all lines to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.packing {
            Packing::Plain(file) => file.write_all(&self.gathered),
            Packing::Gzip(encoder) => {
                // A sync flush (RFC 1951 §3.2.4, an empty stored block): what came before it can be
                // unpacked without what follows.
                encoder.write_all(&self.gathered).and_then(|()| encoder.flush())
            }
        };
        self.gathered.clear();
        self.since = None;
        match flushed {
            Ok(()) => self.flushed_bytes = self.file().bytes,
            Err(error) => {
                // Best effort: it may be no file that can be cut, and what failed is told anyway.
                let _ = self.file().file.set_len(self.flushed_bytes);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Hands over all lines and ends the file, and has the system put it on the disk.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let file = match self.packing {
            Packing::Plain(file) => file,
            Packing::Gzip(encoder) => encoder.finish()?,
        };
        // What is no file on a disk cannot be synchronised.
        match file.file.sync_all() {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    fn file(&self) -> &Counted {
        match &self.packing {
            Packing::Plain(file) => file,
            Packing::Gzip(encoder) => encoder.get_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
    use std::io::Read as _;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("tickwire-file-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        /// What can be read of the file now, whether or not it is whole.
        fn content(&self) -> String {
            let (bytes, mut text) = (std::fs::read(&self.0).unwrap(), String::new());
            if self.0.extension().is_some_and(|end| end == "gz") {
                let mut unpacked = Vec::new();
                let _ = MultiGzDecoder::new(&*bytes).read_to_end(&mut unpacked);
                text.push_str(std::str::from_utf8(&unpacked).unwrap());
            } else {
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            text
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Lines wait to be written together, and not for longer than they should.
    #[test]
    fn a_line_is_in_the_file_once_it_is_due() {
        for name in ["due.ndjson", "due.ndjson.gz"] {
            let (place, start) = (Place::new(name), Instant::now());
            let mut file = RecordingFile::create(&place.0, Existing::Keep).unwrap();
            file.line(1, "{}", start).unwrap();
            file.line(2, "[]", start + FLUSH_EVERY / 2).unwrap();
            file.flush_due(start + FLUSH_EVERY / 2).unwrap();
            assert_eq!(place.content(), "");
            file.flush_due(start + FLUSH_EVERY).unwrap();
            assert_eq!(place.content(), "1 {}\n2 []\n");
            file.line(3, "3", start).unwrap();
            file.finish().unwrap();
            assert_eq!(place.content(), "1 {}\n2 []\n3 3\n");
        }
    }

    /// Many lines are handed over without waiting, so that memory is bounded.
    #[test]
    fn gathered_lines_are_bounded() {
        let (place, now) = (Place::new("many"), Instant::now());
        let mut file = RecordingFile::create(&place.0, Existing::Keep).unwrap();
        let text = "x".repeat(1000);
        for _ in 0..1000 {
            file.line(1, &text, now).unwrap();
            assert!(file.gathered.len() < GATHERED_BYTES_MAX);
        }
        assert!(place.content().len() > 700_000);
        assert_eq!(file.bytes(), 1003 * 1000);
    }

    /// A file that is there is replaced only where that was asked for.
    #[test]
    fn a_file_that_is_there_is_kept() {
        let place = Place::new("kept");
        std::fs::write(&place.0, "before").unwrap();
        let error = RecordingFile::create(&place.0, Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(place.content(), "before");
        RecordingFile::create(&place.0, Existing::Replace).unwrap().finish().unwrap();
        assert_eq!(place.content(), "");
    }

    /// A device that is full says so.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let mut file = RecordingFile::create(Path::new("/dev/full"), Existing::Replace).unwrap();
        file.line(1, "{}", Instant::now()).unwrap();
        assert_eq!(file.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
