//! When a recording goes on in another file, and what the files are called.
//! Invariant: the files of a recording are numbered in the order in which they were begun, and none that
//! was there before is touched.

use super::file::{Existing, RecordingFile};
use anyhow::{anyhow, ensure};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Digits in a file's number: so that names are in order for as long as there are not more.
const DIGITS: usize = 4;
const NUMBER_MAX: u32 = 999_999;

/// When to begin the next file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotation {
    pub(super) bytes: Option<u64>,
    pub(super) time: Option<Duration>,
}

impl Rotation {
    fn is_asked_for(self) -> bool {
        self.bytes.is_some() || self.time.is_some()
    }

    /// Whether a file with so many bytes, begun then, is to be the last no longer.
    pub(super) fn is_due(self, bytes: u64, age: Duration) -> bool {
        self.bytes.is_some_and(|max| bytes >= max) || self.time.is_some_and(|max| age >= max)
    }
}

/// The files of a recording, one after another.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    existing: Existing,
    pub(super) rotation: Rotation,
    number: u32,
}

impl Files {
    pub(super) fn new(path: &Path, existing: Existing, rotation: Rotation) -> Self {
        Self { path: path.to_owned(), existing, rotation, number: 0 }
    }

    /// Looks whether a file can be made, before anything is done for it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        ensure!(
            folder.is_none_or(Path::is_dir),
            "cannot make {}: its folder is not there; make it first",
            self.path.display()
        );
        ensure!(!self.path.is_dir(), "{} is a folder; name a file in it", self.path.display());
        let taken = self.existing == Existing::Keep && !self.rotation.is_asked_for();
        if taken && self.path.exists() {
            return Err(self.refused(&io::ErrorKind::AlreadyExists.into()));
        }
        Ok(())
    }

    /// Why a file could not be made, in words.
    pub(super) fn refused(&self, error: &io::Error) -> anyhow::Error {
        let path = self.path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow!("{path} is there already; give another name, or replace it with --force")
            }
            io::ErrorKind::PermissionDenied => {
                anyhow!("cannot make {path}: no permission; write to another folder")
            }
            _ => anyhow!("cannot make {path}: {error}; choose another place"),
        }
    }

    /// Makes the next file. With rotation it has a number; those that are taken are passed over, so
    /// that a recorder that is started again goes on behind the files of the one before.
    pub(super) fn next(&mut self) -> io::Result<(RecordingFile, Instant)> {
        if !self.rotation.is_asked_for() {
            return RecordingFile::create(&self.path, self.existing).map(|it| (it, Instant::now()));
        }
        loop {
            self.number += 1;
            match RecordingFile::create(&numbered(&self.path, self.number), Existing::Keep) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && self.number < NUMBER_MAX => {
                }
                made => return made.map(|file| (file, Instant::now())),
            }
        }
    }
}

/// The name with a number before its endings: `day.ndjson.gz`, `day-0001.ndjson.gz`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name that begins with a dot has its ending after another one.
    let at = name.char_indices().skip(1).find(|(_, c)| *c == '.').map_or(name.len(), |(at, _)| at);
    let (stem, ends) = name.split_at_checked(at).unwrap_or((&name, ""));
    path.with_file_name(format!("{stem}-{number:0DIGITS$}{ends}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_endings() {
        for (path, expected) in [
            ("day.ndjson.gz", "day-0001.ndjson.gz"),
            ("a.b/day", "a.b/day-0001"),
            ("/x/.hidden.ndjson", "/x/.hidden-0001.ndjson"),
            ("é.gz", "é-0001.gz"),
        ] {
            assert_eq!(numbered(Path::new(path), 1), Path::new(expected));
        }
        assert_eq!(numbered(Path::new("a"), 12_345), Path::new("a-12345"));
    }

    #[test]
    fn a_file_ends_by_its_size_or_by_its_age() {
        let (second, rotation) = (Duration::from_secs(1), Rotation::default());
        assert!(!rotation.is_due(u64::MAX, Duration::MAX));
        let rotation = Rotation { bytes: Some(10), time: Some(second) };
        assert!(!rotation.is_due(9, second / 2));
        assert!(rotation.is_due(10, Duration::ZERO) && rotation.is_due(0, second));
    }
}
