//! The data folder: made if it is missing, held by one process at a time.

use std::{
    ffi::OsString,
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use wakeful_core::port::OpenError;

/// Holds a folder for this process; the kernel lets go of it when the process ends, however.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Makes `folder` and what it is in (mode 0700) where missing, so that it survives a power cut.
pub(crate) fn create(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        // Only a root has none, and is there.
        None => return Ok(()),
    };
    create(parent)?;
    // Together with others who may make it at the same time.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    sync(parent)
}

/// Makes `file` if it is missing, and it and its companions of SQLite readable for its owner
/// alone: SQLite gives what it makes beside a file the mode of that file.
pub(crate) fn own(file: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for end in ["", "-wal", "-shm"] {
        let mut path = OsString::from(file);
        path.push(end);
        let path = PathBuf::from(path);
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        let mode = meta.permissions().mode();
        if mode & 0o077 != 0 {
            let closed = Permissions::from_mode(mode & !0o077);
            if let Err(error) = std::fs::set_permissions(&path, closed) {
                tracing::warn!(file = %path.display(), %error, "others may read this file");
            }
        }
    }
    Ok(())
}

/// Makes what was created or renamed in `folder` survive a power cut.
pub(crate) fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Why `folder` could not be opened.
pub(super) fn failed(folder: &Path, cause: impl std::fmt::Display) -> OpenError {
    OpenError::Failed {
        folder: folder.display().to_string(),
        cause: cause.to_string(),
    }
}

/// How long a folder that is held is waited for. Of a server that was just killed, the kernel may
/// still be closing the files; a process that it had begun to start holds them until it runs.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Holds `folder`, or says who does.
pub(super) fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let io = |error: std::io::Error| failed(folder, format!("its `lock` file: {error}"));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))
        .map_err(io)?;
    let began = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse {
                    folder: folder.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(error) => return Err(io(error.into())),
        }
    }
    // The process id is only for people, so a full disk does not matter here.
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(FolderLock { _file: file })
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(32).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!(" (process {pid})"),
        _ => String::new(),
    }
}
