//! The high-water mark: what the last acknowledged commit was, kept outside the database.
//!
//! SQLite ends the recovery of a write-ahead log at the first frame whose checksum does not fit.
//! A flipped bit in the middle of the log therefore drops every commit after it, and nothing in
//! the database tells. So each group of commits has a number, kept in the database and written
//! here once the group is on disk. A database that ends before its mark has lost commits.
//!
//! # What it detects, and what not
//! The mark is written after the commit's fsync, so it never leads. It is itself forced to disk
//! once a second under load, at every copy of the log into the database, and at the end;
//! between, it sits in the kernel's cache, so after a killed process it is exact, and after a
//! power cut it may lag by about a second. Detected is the loss of any commit that the mark
//! names: a damaged, truncated, deleted or swapped log or database. Not detected is, after a
//! power cut, a loss of only those commits that came after the last forced mark; and damage
//! inside a page that loses no commit, which the checksums of events and SQLite's own checks
//! find when the page is read.
//!
//! # Format
//! The file `high-water` has two slots, at 0 and at 2048, written in turn so that a torn write
//! leaves the other one whole: the 8 bytes `wkhigh01`, the number (8 bytes, little-endian) and
//! CRC-32C of both (4 bytes).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const FILE: &str = "high-water";
const MAGIC: &[u8; 8] = b"wkhigh01";
const SLOT: usize = 20;
const SLOT_DISTANCE: u64 = 2048;
const FILE_LEN: usize = 4096;
/// How long the mark may sit in the kernel's cache under load.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// What the file said at the start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none: a new folder, or someone removed it to go on without lost changes.
    Missing,
    /// It is there, but neither slot is whole.
    Unreadable,
    /// The number of the last acknowledged group of commits.
    At(u64),
}

/// Where the mark of `folder` stands.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Reads the mark of `folder`.
pub(super) fn read(folder: &Path) -> io::Result<Found> {
    let bytes = match std::fs::read(path(folder)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let slots = [0, SLOT_DISTANCE as usize].map(|at| bytes.get(at..at + SLOT).and_then(decode));
    Ok(match slots.into_iter().flatten().max() {
        Some(number) => Found::At(number),
        None => Found::Unreadable,
    })
}

fn decode(slot: &[u8]) -> Option<u64> {
    let (body, sum) = slot.split_at_checked(16)?;
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let number = body.strip_prefix(MAGIC)?.try_into().ok()?;
    (crc32c::crc32c(body) == sum).then(|| u64::from_le_bytes(number))
}

fn encode(number: u64) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..16].copy_from_slice(&number.to_le_bytes());
    let sum = crc32c::crc32c(&slot[..16]);
    slot[16..].copy_from_slice(&sum.to_le_bytes());
    slot
}

/// The mark while the store is open.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    synced: Instant,
}

impl Mark {
    /// Opens the mark of `folder` and sets it to `number`, on disk. The file gets its full
    /// length at once, so that a full disk cannot keep it from moving later.
    pub(super) fn start(folder: &Path, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path(folder))?;
        let mut page = [0; FILE_LEN];
        let second = SLOT_DISTANCE as usize;
        page[second..second + SLOT].copy_from_slice(&encode(number));
        page[..SLOT].copy_from_slice(&encode(number));
        // The slots one after the other: if this is torn, one of them holds the old number.
        file.write_all_at(&page[second..], SLOT_DISTANCE)?;
        file.sync_all()?;
        file.write_all_at(&page[..second], 0)?;
        file.sync_all()?;
        Ok(Self {
            file,
            synced: Instant::now(),
        })
    }

    /// Moves the mark to `number`, whose commit is on disk.
    pub(super) fn advance(&mut self, number: u64) -> io::Result<()> {
        let at = (number % 2) * SLOT_DISTANCE;
        self.file.write_all_at(&encode(number), at)?;
        if self.synced.elapsed() >= SYNC_AFTER {
            self.sync()?;
        }
        Ok(())
    }

    /// Forces the mark to disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_whole_slot_counts() {
        let folder = tempfile::tempdir().unwrap();
        let check = |expected| assert_eq!(read(folder.path()).unwrap(), expected);
        check(Found::Missing);
        let mut mark = Mark::start(folder.path(), 7).unwrap();
        check(Found::At(7));
        for number in 8..12 {
            mark.advance(number).unwrap();
            check(Found::At(number));
        }
        mark.sync().unwrap();
        // A torn write of the slot of 11 leaves 10; without either there is nothing to go by.
        mark.file.write_all_at(b"torn", SLOT_DISTANCE + 10).unwrap();
        check(Found::At(10));
        mark.file.write_all_at(b"torn", 10).unwrap();
        check(Found::Unreadable);
        Mark::start(folder.path(), 12).unwrap();
        check(Found::At(12));
    }
}
