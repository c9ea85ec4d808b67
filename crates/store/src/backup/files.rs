//! Files: copied with a checksum on the way, and room looked after.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::error::{BackupError, io as failed};
use crate::sqlite::{folder, space};

const CHUNK: usize = 1024 * 1024;

/// A CRC-32C under way.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sum(u32);

impl Sum {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    pub(super) fn value(self) -> u32 {
        self.0
    }
}

/// Copies a file to a new one, readable for its owner alone; replies checksum and size.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<(u32, u64)> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    through(&mut source, |bytes| target.write_all(bytes))
}

/// The checksum and size of a file.
pub(super) fn sum(path: &Path) -> io::Result<(u32, u64)> {
    through(&mut File::open(path)?, |_| Ok(()))
}

fn through(
    source: &mut File,
    mut pass: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u32, u64)> {
    let (mut sum, mut size) = (Sum::default(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok((sum.value(), size));
        }
        pass(&buffer[..read])?;
        sum.add(&buffer[..read]);
        size += read as u64;
    }
}

/// Makes `folder` (mode 0700), or sees that nothing is in it.
pub(super) fn make_empty(at: &Path) -> Result<(), BackupError> {
    let error = failed("making", at);
    folder::create(at).map_err(&error)?;
    if fs::read_dir(at).map_err(&error)?.next().is_some() {
        return Err(BackupError::Occupied {
            folder: at.display().to_string(),
        });
    }
    Ok(())
}

/// Makes the folder that a file goes to.
pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), folder::create)
}

/// Sees that there is room for `needed` bytes where `at` is.
pub(super) fn room(at: &Path, needed: u64) -> Result<(), BackupError> {
    match space::free(at) {
        Some(free) if free < needed => Err(BackupError::Full {
            folder: at.display().to_string(),
            needed,
            free,
        }),
        _ => Ok(()),
    }
}

/// Brings everything on the file system of `at` to the disk.
pub(super) fn sync_all(at: &Path) -> Result<(), BackupError> {
    let synced = File::open(at).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
    synced.map_err(failed("bringing to the disk", at))
}
