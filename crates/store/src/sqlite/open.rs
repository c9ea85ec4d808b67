//! Opening a folder: refuse it as it stands, or begin a new epoch in it.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rusqlite::{Connection, MAIN_DB, params, wal::CheckpointMode};
use wakeful_core::{
    port::{Epoch, OpenError},
    time::Timestamp,
};

use super::{
    Inner, Options,
    apply::{Applier, Memory},
    fault::{Fault, malformed},
    folder,
    intake::Intake,
    mark::{self, Mark},
    readers::Readers,
    schema,
    space::Space,
    writer::{Figures, Writer},
};

/// How long a start waits for others' tools that read the log.
const OLD_LOG_WAIT: Duration = Duration::from_secs(1);

/// Opens the store of a folder.
pub(super) fn open(options: &Options) -> Result<Inner, OpenError> {
    let folder = &options.folder;
    let failed = |cause: String| folder::failed(folder, cause);
    folder::create(folder).map_err(|error| failed(error.to_string()))?;
    let lock = folder::lock(folder)?;
    let file = folder.join(schema::FILE);
    let mut conn = inspect(folder, &file)?;
    let begun = begin(&mut conn, options.clock.now()).map_err(|fault| failed(text(fault)))?;
    let mark = Mark::start(folder, begun.seq)
        .and_then(|mark| folder::sync(folder).map(|()| mark))
        .map_err(|error| failed(format!("its high-water mark: {error}")))?;
    let figures = Arc::new(Figures::default());
    figures
        .greatest
        .store(begun.greatest, std::sync::atomic::Ordering::Release);
    let space = Space::new(folder, options.reserve);
    let place = (begun.epoch, begun.seq);
    let writer = Writer::new(conn, place, mark, space, Arc::clone(&figures))
        .map_err(|fault| failed(text(fault)))?;
    let readers = Readers::start(&file).map_err(|fault| failed(text(fault)))?;
    let (intake, jobs) = Intake::new();
    let ended = intake.ended();
    let thread = std::thread::Builder::new()
        .name("store-write".to_owned())
        .spawn(move || writer.run(jobs, &ended))
        .map_err(|error| failed(format!("a thread to write with: {error}")))?;
    tracing::debug!(folder = %folder.display(), epoch = begun.epoch.0, voided = begun.voided, "store opened");
    Ok(Inner {
        folder: folder.clone(),
        epoch: begun.epoch,
        intake,
        readers,
        figures,
        writer: Mutex::new(Some(thread)),
        lock: Mutex::new(Some(lock)),
    })
}

fn text(fault: Fault) -> String {
    match fault {
        Fault::Conflict(text)
        | Fault::Refused(text)
        | Fault::ReadOnly(text)
        | Fault::Corrupt(text)
        | Fault::Malformed(text)
        | Fault::Broken(text)
        | Fault::Other(text) => text,
        Fault::Full => "the disk is full".to_owned(),
    }
}

/// Looks at what is there and refuses what must not be touched, changing nothing.
fn inspect(folder: &Path, file: &Path) -> Result<Connection, OpenError> {
    let failed = |fault| folder::failed(folder, text(fault));
    let mark = mark::read(folder)
        .map_err(|error| folder::failed(folder, format!("its high-water mark: {error}")))?;
    let lost = |expected, found| OpenError::Lost {
        folder: folder.display().to_string(),
        expected,
        found,
        mark: mark::path(folder).display().to_string(),
    };
    let expected = match mark {
        mark::Found::At(expected) => expected,
        mark::Found::Missing => 0,
        mark::Found::Unreadable => {
            let path = mark::path(folder);
            let cause = format!(
                "its high-water mark {} is damaged, so it cannot be told whether acknowledged \
                 changes are missing; remove that file to go on without knowing",
                path.display()
            );
            return Err(folder::failed(folder, cause));
        }
    };
    if expected > 0 && !file.exists() {
        return Err(lost(expected, 0));
    }
    let conn = schema::open_writer(file).map_err(failed)?;
    let format = schema::format(&conn).map_err(failed)?;
    if format > schema::FORMAT {
        return Err(OpenError::Newer {
            folder: folder.display().to_string(),
            found: format,
            supported: schema::FORMAT,
        });
    }
    let found = match format {
        0 => 0,
        _ => schema::seq(&conn).map_err(failed)?,
    };
    if found < expected {
        return Err(lost(expected, found));
    }
    if mark == mark::Found::Missing && found > 0 {
        tracing::warn!(
            folder = %folder.display(),
            "there is no high-water mark: lost changes, if any, would not be noticed this once"
        );
    }
    Ok(conn)
}

/// Copies what the last process left in the log. If that process met a failed fsync, the kernel
/// may show what the disk does not have, and would never write it again; copied, it is new.
fn copy_old_log(conn: &Connection) -> Result<(), Fault> {
    conn.busy_timeout(OLD_LOG_WAIT)?;
    let copied = conn
        .wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE)
        .map_err(Fault::from);
    conn.busy_timeout(schema::BUSY)?;
    match copied {
        Ok(_) => Ok(()),
        Err(fault @ (Fault::Full | Fault::Other(_))) => {
            tracing::warn!(
                ?fault,
                "what is in the store's log was not copied out of it"
            );
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

struct Begun {
    epoch: Epoch,
    seq: u64,
    greatest: i64,
    voided: usize,
}

/// Brings the format up to date and begins the next epoch.
fn begin(conn: &mut Connection, now: Timestamp) -> Result<Begun, Fault> {
    let format = schema::format(conn)?;
    schema::begin(conn, format)?;
    copy_old_log(conn)?;
    let transaction = conn.transaction()?;
    let (seq, epoch, greatest): (i64, u32, i64) = transaction.query_row(
        "UPDATE counters SET epoch = epoch + 1 RETURNING seq + 1, epoch, greatest",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut memory = Memory::load(&transaction)?;
    let mut applier = Applier::new(&transaction, &mut memory, Epoch(epoch));
    let voided = applier.void_claims(now)?;
    applier.delta.write(&transaction, seq)?;
    let now = now.as_millis();
    transaction.execute(
        "INSERT OR IGNORE INTO meta VALUES ('created_at', ?1)",
        params![now],
    )?;
    transaction.execute(
        "INSERT OR REPLACE INTO meta VALUES ('opened_at', ?1)",
        params![now],
    )?;
    transaction.commit()?;
    Ok(Begun {
        epoch: Epoch(epoch),
        seq: u64::try_from(seq).map_err(|_| malformed("a commit number"))?,
        greatest,
        voided,
    })
}
