//! What a backup says of itself.
//!
//! # Format
//! `wakeful-backup`: one line, `wakeful-backup VERSION CRC`, the CRC-32C (8 hex digits) of what
//! follows, which is JSON. `wakeful-backup.files`: for each file a line `CRC SIZE PATH`, CRC-32C
//! in hex, bytes, and the path below the backup; its own checksum stands in the JSON.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, ErrorKind, Write},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wakeful_core::time::Timestamp;

use super::{
    Summary,
    error::{BackupError, io},
    files::Sum,
};
use crate::{
    doctor::objects,
    sqlite::{anatomy, folder as folders},
};

const FILE: &str = "wakeful-backup";
const LIST: &str = "wakeful-backup.files";
const MAGIC: &str = "wakeful-backup";
const VERSION: u32 = 1;
/// A manifest is some hundred bytes.
const MOST: u64 = 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Words {
    at: Timestamp,
    format: u32,
    seq: u64,
    files: u64,
    bytes: u64,
    objects: u64,
    took_ms: u64,
    list_crc: String,
}

/// A manifest that was read.
pub(super) struct Manifest {
    pub(super) summary: Summary,
    list_crc: String,
}

impl Manifest {
    /// One that is not written yet.
    pub(super) fn new(summary: Summary, list_crc: u32) -> Self {
        Self {
            summary,
            list_crc: format!("{list_crc:08x}"),
        }
    }
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) crc: u32,
    pub(super) size: u64,
    pub(super) path: String,
}

/// Writes the list of files.
pub(super) struct List {
    out: BufWriter<File>,
    sum: Sum,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) objects: u64,
}

impl List {
    pub(super) fn begin(backup: &Path) -> Result<Self, BackupError> {
        let path = backup.join(LIST);
        let file = File::create_new(&path).map_err(io("making", &path))?;
        Ok(Self {
            out: BufWriter::new(file),
            sum: Sum::default(),
            files: 0,
            bytes: 0,
            objects: 0,
        })
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), BackupError> {
        let line = format!("{:08x} {} {}\n", entry.crc, entry.size, entry.path);
        self.sum.add(line.as_bytes());
        self.files += 1;
        self.bytes += entry.size;
        self.objects += u64::from(entry.path.starts_with(objects::FOLDER));
        self.out
            .write_all(line.as_bytes())
            .map_err(io("writing", Path::new(LIST)))
    }

    /// Finishes the list; replies its checksum.
    pub(super) fn end(self) -> Result<u32, BackupError> {
        let failed = io("writing", Path::new(LIST));
        let file = self
            .out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(&failed)?;
        Ok(self.sum.value())
    }
}

/// Writes the manifest: from then on the folder is a backup.
pub(super) fn write(backup: &Path, summary: &Summary, list_crc: u32) -> Result<(), BackupError> {
    let words = Words {
        at: summary.at,
        format: summary.format,
        seq: summary.seq,
        files: summary.files,
        bytes: summary.bytes,
        objects: summary.objects,
        took_ms: summary.took.as_millis() as u64,
        list_crc: format!("{list_crc:08x}"),
    };
    let body = serde_json::to_string_pretty(&words)
        .map_err(|error| BackupError::failed("writing the manifest", error))?;
    let crc = crc32c::crc32c(body.as_bytes());
    let (path, new) = (backup.join(FILE), backup.join("wakeful-backup.new"));
    let written = (|| {
        let mut file = File::create(&new)?;
        file.write_all(format!("{MAGIC} {VERSION} {crc:08x}\n{body}").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        folders::sync(backup)
    })();
    written.map_err(io("writing", &path))
}

/// Reads the manifest of a backup.
pub(super) fn read(backup: &Path) -> Result<Manifest, BackupError> {
    let path = backup.join(FILE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(BackupError::NoBackup {
                folder: backup.display().to_string(),
            });
        }
        Ok(meta) if meta.len() > MOST => return Err(BackupError::damaged(FILE, "it is too long")),
        _ => {}
    }
    let text = fs::read(&path).map_err(io("reading", &path))?;
    let text = String::from_utf8(text).map_err(|_| BackupError::damaged(FILE, "it is no text"))?;
    let (header, body) = text.split_once('\n').unwrap_or((&text, ""));
    let words: Vec<&str> = header.split(' ').collect();
    let [MAGIC, version, crc] = words[..] else {
        return Err(BackupError::damaged(FILE, "it does not begin like one"));
    };
    match version.parse::<u32>() {
        Ok(VERSION) => {}
        Ok(newer) if newer > VERSION => return Err(newer_version(backup)),
        _ => return Err(BackupError::damaged(FILE, "its version is none")),
    }
    if crc != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
        return Err(BackupError::damaged(FILE, "its checksum does not fit"));
    }
    let words: Words =
        serde_json::from_str(body).map_err(|error| BackupError::damaged(FILE, error))?;
    if words.format > anatomy::FORMAT {
        return Err(newer_version(backup));
    }
    Ok(Manifest {
        summary: Summary {
            at: words.at,
            format: words.format,
            seq: words.seq,
            files: words.files,
            bytes: words.bytes,
            objects: words.objects,
            took: Duration::from_millis(words.took_ms),
            damage: Vec::new(),
        },
        list_crc: words.list_crc,
    })
}

fn newer_version(backup: &Path) -> BackupError {
    BackupError::Newer {
        folder: backup.display().to_string(),
    }
}

/// Calls `meet` for each file of a backup, after the list itself was found to be whole.
pub(super) fn each(
    backup: &Path,
    manifest: &Manifest,
    mut meet: impl FnMut(Entry) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let path = backup.join(LIST);
    let failed = io("reading", &path);
    let mut sum = Sum::default();
    let mut read = BufReader::new(File::open(&path).map_err(&failed)?);
    loop {
        let bytes = read.fill_buf().map_err(&failed)?;
        let length = bytes.len();
        if length == 0 {
            break;
        }
        sum.add(bytes);
        read.consume(length);
    }
    if format!("{:08x}", sum.value()) != manifest.list_crc {
        return Err(BackupError::damaged(LIST, "its checksum does not fit"));
    }
    let mut files = 0;
    for line in BufReader::new(File::open(&path).map_err(&failed)?).lines() {
        let line = line.map_err(&failed)?;
        let entry = parse(&line).ok_or_else(|| BackupError::damaged(LIST, "a line is none"))?;
        files += 1;
        meet(entry)?;
    }
    match files == manifest.summary.files {
        true => Ok(()),
        false => Err(BackupError::damaged(LIST, "it does not name all files")),
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.splitn(3, ' ');
    let crc = u32::from_str_radix(words.next()?, 16).ok()?;
    let size = words.next()?.parse().ok()?;
    let path = words.next()?.to_owned();
    is_ours(&path).then_some(Entry { crc, size, path })
}

/// Whether a path is one that a backup may hold: nothing else is ever written on restoring.
fn is_ours(path: &str) -> bool {
    if let Some(name) = path.strip_prefix("objects/") {
        let id = name
            .split_once('/')
            .and_then(|(_, id)| i64::from_str_radix(id, 16).ok());
        return id.is_some_and(|id| wakeful_core::port::BlobId(id).file() == name);
    }
    [anatomy::FILE, "history.db", "vault", "vault.key"].contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_our_own_are_restored() {
        for path in ["store.db", "vault.key", "objects/01/0000000000000001"] {
            assert!(is_ours(path), "{path}");
        }
        for path in [
            "",
            "../store.db",
            "/etc/passwd",
            "objects/../vault",
            "objects/02/0000000000000001",
            "objects/01/1",
            "high-water",
            "store.db/..",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
