use wakeful_core::name::{DatabaseName, TableName};

/// Who is told what happens to a capture. Called from the capture's own task: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened to the capture of `database`.
    fn report(&self, database: &DatabaseName, report: Report);
}

/// What happened to a capture. Its text says what, and how to mend it where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Report {
    /// The database was opened; its watched tables are captured from now on.
    #[error("changes of the database are captured")]
    Started,
    /// The file did not exist and was created, empty.
    #[error("the database did not exist; an empty one was created at {path}")]
    Created {
        /// The file.
        path: String,
    },
    /// A watched table does not exist. Said once, until it appears.
    #[error(
        "the database has no table `{table}`: create it, or correct the name in the trigger; \
         it is watched as soon as it appears"
    )]
    TableMissing {
        /// The table.
        table: TableName,
    },
    /// A watched table that was missing is there now, and captured.
    #[error("the table `{table}` appeared and is captured")]
    TableAppeared {
        /// The table.
        table: TableName,
    },
    /// A watched table cannot be captured. Said once, until that changes.
    #[error("the table `{table}` cannot be captured: {why}")]
    TableRefused {
        /// The table.
        table: TableName,
        /// Why, and what to do.
        why: String,
    },
    /// A watched table was altered or rebuilt, and its triggers were made anew.
    #[error("the table `{table}` was changed; its capture was renewed{}", gap_note(*gap))]
    SchemaChanged {
        /// The table.
        table: TableName,
        /// Whether it was rebuilt, which drops triggers, so that changes made between the
        /// rebuild and now were not seen.
        gap: bool,
    },
    /// The database is not the one that was read before, such as a restored backup.
    #[error(
        "the database was replaced by another one (or by a backup of it): its changes are read \
         from its own beginning, so some that were handled before may come again"
    )]
    Replaced,
    /// Recorded changes could not be read any more; they are passed.
    #[error(
        "{changes} recorded changes could not be read, because the tables `_wakeful.…` in the \
         database were emptied or altered: they are passed, and no event comes of them; leave \
         those tables alone when clearing the database"
    )]
    Lost {
        /// How many.
        changes: u64,
    },
    /// It does not work at the moment; tried again until it does. Said once for each cause.
    #[error("{0}")]
    Trouble(Trouble),
    /// It works again after trouble.
    #[error("the capture of changes works again")]
    Recovered,
}

fn gap_note(gap: bool) -> &'static str {
    if gap {
        " (a rebuild drops its triggers: rows changed between the rebuild and now were not seen)"
    } else {
        ""
    }
}

/// What keeps a capture from working. The text says what, where and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Another process holds the database's lock.
    #[error(
        "the database {path} is locked by another process for longer than usual; waiting for it. \
         A transaction that was left open somewhere is the usual cause"
    )]
    Locked {
        /// The file.
        path: String,
    },
    /// The file is not a database.
    #[error("{path} is not a SQLite database: correct the `url`, or move that file away")]
    NotADatabase {
        /// The file.
        path: String,
    },
    /// The file is damaged.
    #[error(
        "the database {path} is damaged ({cause}): restore a backup, or rescue what is readable \
         with `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// The file.
        path: String,
        /// SQLite's words.
        cause: String,
    },
    /// The file, or its folder, cannot be written.
    #[error(
        "the database {path} cannot be written ({cause}), but capture keeps its outbox in it: \
         give this process write access to the file and its folder"
    )]
    ReadOnly {
        /// The file.
        path: String,
        /// SQLite's words.
        cause: String,
    },
    /// The file, or its folder, cannot be opened.
    #[error("the database {path} cannot be opened ({cause}): look at the path and its permissions")]
    CannotOpen {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The disk is full.
    #[error("the disk of the database {path} is full: free some space")]
    DiskFull {
        /// The file.
        path: String,
    },
    /// The events could not be handed over.
    #[error("changes of the database wait, because they cannot be stored: {cause}")]
    NotAccepted {
        /// Why.
        cause: String,
    },
    /// Something else.
    #[error("the database {path} failed: {cause}")]
    Failed {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
}
