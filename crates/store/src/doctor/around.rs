//! What is beside the database: the mark, the history, the vault, and who may read them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    exam::restore_or_salvage,
    report::{Code, DoctorError, Finding, Remedy, Report},
};
use crate::sqlite::anatomy::{self, Mark};

/// The history's file.
pub(crate) const HISTORY: &str = "history.db";
/// The vault's file and its key's.
pub(crate) const VAULT: [&str; 2] = ["vault", "vault.key"];

struct Note<'a> {
    code: Code,
    place: &'a str,
    what: String,
    consequence: &'a str,
    remedy: Remedy,
}

fn add(report: &mut Report, note: Note<'_>) {
    report.add(Finding {
        code: note.code,
        place: note.place.to_owned(),
        what: note.what,
        consequence: note.consequence.to_owned(),
        remedy: note.remedy,
    });
}

/// Opens the database for reading and holds it against its mark; `None`, and a finding, when
/// there is nothing that could be looked at any further.
pub(super) fn mark_and_format(
    folder: &Path,
    report: &mut Report,
) -> Result<Option<Connection>, DoctorError> {
    let mark = anatomy::mark(folder)
        .map_err(|error| DoctorError::failed("reading the high-water mark", error))?;
    let file = folder.join(anatomy::FILE);
    if !file.is_file() {
        let expected = match mark {
            Mark::At(seq) => seq.to_string(),
            Mark::Missing | Mark::Unreadable => "an unknown number of".to_owned(),
        };
        lost(
            report,
            format!("there is no database; {expected} commits were made in it"),
        );
        return Ok(None);
    }
    let opened = open(&file);
    let (conn, format) = match opened {
        Ok(opened) => opened,
        Err(cause) => {
            add(
                report,
                Note {
                    code: Code::PageDamaged,
                    place: anatomy::FILE,
                    what: format!("it cannot be opened: {cause}"),
                    consequence: "nothing in it can be read",
                    remedy: Remedy::Person("restore a backup".to_owned()),
                },
            );
            return Ok(None);
        }
    };
    if format > anatomy::FORMAT {
        return Err(DoctorError::Newer {
            folder: folder.display().to_string(),
            found: format,
            supported: anatomy::FORMAT,
        });
    }
    report.format = format;
    if format == 0 {
        if let Mark::At(seq) = mark {
            lost(
                report,
                format!("the database is empty; {seq} commits were made in it"),
            );
        }
        return Ok(None);
    }
    if format < anatomy::FORMAT {
        add(
            report,
            Note {
                code: Code::OlderFormat,
                place: anatomy::FILE,
                what: format!("it has format {format}, the newest is {}", anatomy::FORMAT),
                consequence: "the next start brings it up to date; deliveries and objects can be \
                              examined afterwards",
                remedy: Remedy::None,
            },
        );
    }
    against_mark(&conn, mark, report);
    Ok(Some(conn))
}

/// Opens a database, so far that its first page was read.
fn open(file: &Path) -> Result<(Connection, u32), String> {
    let conn = anatomy::open_reader(file)?;
    let format = anatomy::format(&conn)?;
    Ok((conn, format))
}

fn lost(report: &mut Report, what: String) {
    add(
        report,
        Note {
            code: Code::CommitsLost,
            place: "high-water",
            what,
            consequence: "changes that were acknowledged are missing; no server starts on it",
            remedy: Remedy::Person(
                "restore a backup; or, to go on without them, remove the file `high-water`"
                    .to_owned(),
            ),
        },
    );
}

fn against_mark(conn: &Connection, mark: Mark, report: &mut Report) {
    let seq = anatomy::count(conn, "SELECT seq FROM counters");
    match (mark, seq) {
        (Mark::At(mark), Ok(seq)) if seq < mark => {
            lost(
                report,
                format!("commit {mark} was acknowledged, the database ends at {seq}"),
            );
        }
        (Mark::At(_), Ok(_)) => {}
        (_, Err(error)) => add(
            report,
            Note {
                code: Code::PageDamaged,
                place: "counters",
                what: format!("they cannot be read: {error}"),
                consequence: "no server starts on it",
                remedy: restore_or_salvage(),
            },
        ),
        (Mark::Missing, Ok(seq)) => add(
            report,
            Note {
                code: Code::MarkMissing,
                place: "high-water",
                what: "it is not there".to_owned(),
                consequence: "if commits were lost, this does not show",
                remedy: Remedy::Repair(format!("write it, for commit {seq}")),
            },
        ),
        (Mark::Unreadable, Ok(seq)) => add(
            report,
            Note {
                code: Code::MarkDamaged,
                place: "high-water",
                what: "it cannot be read".to_owned(),
                consequence: "if commits were lost, this does not show; no server starts on it",
                remedy: Remedy::Person(format!(
                    "the database ends at commit {seq}: if the rest of this report is clean and \
                     nothing seems to be missing, remove the file; otherwise restore a backup"
                )),
            },
        ),
    }
}

/// Looks at what is beside the database.
pub(super) fn companions(folder: &Path, report: &mut Report) {
    history(folder, report);
    vault(folder, report);
    let versions = folder.join("versions");
    if versions.exists() && fs::read_dir(&versions).is_err() {
        add(
            report,
            Note {
                code: Code::VersionsDamaged,
                place: "versions",
                what: "it is no folder that can be read".to_owned(),
                consequence: "the server cannot keep its copies of the code",
                remedy: Remedy::Person("remove it: each start makes it anew".to_owned()),
            },
        );
    }
    open_to_others(folder, report);
}

fn history(folder: &Path, report: &mut Report) {
    let file = folder.join(HISTORY);
    if !file.exists() {
        return;
    }
    let checked = (|| -> rusqlite::Result<String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&file, flags)?;
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    })();
    let what = match checked {
        Ok(line) if line == "ok" => return,
        Ok(line) => line,
        Err(error) => error.to_string(),
    };
    add(
        report,
        Note {
            code: Code::HistoryDamaged,
            place: HISTORY,
            what,
            consequence: "some runs and logs cannot be shown; no work depends on them",
            remedy: Remedy::Repair("set it aside and begin a new one".to_owned()),
        },
    );
}

fn vault(folder: &Path, report: &mut Report) {
    let Ok(bytes) = fs::read(folder.join(VAULT[0])) else {
        return;
    };
    if let Err(what) = vault_shape(&bytes) {
        add(
            report,
            Note {
                code: Code::VaultDamaged,
                place: VAULT[0],
                what: what.to_owned(),
                consequence: "secrets and keys cannot be read; no server starts on it",
                remedy: Remedy::Person(
                    "restore this file from a backup; without one, remove it and set secrets and \
                     keys again"
                        .to_owned(),
                ),
            },
        );
    }
    let key = fs::read_to_string(folder.join(VAULT[1]));
    let (what, remedy) = match key {
        Ok(key) if is_key(&key) => return,
        Ok(_) => (
            "it is no key",
            Remedy::Person("restore this file: without it the vault cannot be opened".to_owned()),
        ),
        // Then it must come from the environment, which is as good.
        Err(_) => ("it is not there", Remedy::None),
    };
    add(
        report,
        Note {
            code: Code::VaultKey,
            place: VAULT[1],
            what: what.to_owned(),
            consequence: "the vault opens only with WAKEFUL_MASTER_KEY",
            remedy,
        },
    );
}

/// Whether it is a header line and JSON; whether they are authentic takes the key.
fn vault_shape(bytes: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    let (header, body) = text.split_once('\n').ok_or("it has no header line")?;
    let words: Vec<&str> = header.split(' ').collect();
    match words[..] {
        ["wakeful-vault", version, _, _, _] if version.parse::<u32>().is_ok() => {}
        _ => return Err("it does not begin like a vault"),
    }
    let document: serde_json::Value =
        serde_json::from_str(body).map_err(|_| "what follows its header is no JSON")?;
    match document.is_object() {
        true => Ok(()),
        false => Err("what follows its header is no document"),
    }
}

/// Whether a text is 32 bytes in base64.
fn is_key(text: &str) -> bool {
    let text = text.trim();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.len() == 44 && text.ends_with('=') && text[..43].bytes().all(known)
}

fn open_to_others(folder: &Path, report: &mut Report) {
    let Ok(meta) = fs::metadata(folder) else {
        return;
    };
    if meta.permissions().mode() & 0o077 != 0 {
        let place = folder.display().to_string();
        add(
            report,
            Note {
                code: Code::OpenToOthers,
                place: &place,
                what: "other users of this machine may look into the folder".to_owned(),
                consequence: "payloads, logs and keys are for the server's user alone",
                remedy: Remedy::Repair("close it (mode 0700)".to_owned()),
            },
        );
    }
}

/// A file and its companions of SQLite.
pub(crate) fn with_companions(file: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}
