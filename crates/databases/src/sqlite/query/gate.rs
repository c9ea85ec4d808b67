//! What a connection lets SQL do, and how a statement under way is stopped.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{
    Connection, OpenFlags,
    hooks::{AuthAction, AuthContext, Authorization, TransactionOperation},
};
use wakeful_core::project::Level;

use super::super::names::OURS;

/// How long SQLite itself waits for a lock before we look whether someone still waits for us.
const BUSY: Duration = Duration::from_millis(50);
/// Instructions of SQLite's machine between two looks at whether to stop: some 20 µs.
const PROGRESS: i32 = 1000;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// Pragmas that only tell, whatever they are given.
const TELLING: &[&str] = &[
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Pragmas that tell when they are given nothing.
const TELLING_WITHOUT_VALUE: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "encoding",
    "foreign_keys",
    "journal_mode",
    "page_size",
    "recursive_triggers",
    "schema_version",
    "synchronous",
    "user_version",
];
/// Pragmas that a writer may also set: they belong to the file, or to the transaction.
const SETTABLE: &[&str] = &["application_id", "defer_foreign_keys", "user_version"];

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Opened read-only: SQLite itself refuses to write.
    Reader,
    /// The one connection that writes.
    Writer,
}

/// Stops what runs, from another thread.
pub(crate) type Stop = Arc<AtomicBool>;

/// A connection for the SQL of functions.
pub(super) struct Guarded {
    pub(super) conn: Connection,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Whether the SQL is our own.
    ours: AtomicBool,
    /// Whether the SQL may only read, also on the writer.
    reading: AtomicBool,
    /// Why the last statement was not allowed.
    denied: Mutex<Option<String>>,
    stop: Mutex<Stop>,
}

impl Guarded {
    pub(super) fn open(path: &Path, role: Role) -> rusqlite::Result<Self> {
        let access = match role {
            Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let mut conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.pragma_update(None, "foreign_keys", "ON")?;
        if role == Role::Writer {
            // What a function was told is committed is on disk.
            conn.pragma_update(None, "synchronous", "FULL")?;
        }
        let gate = Arc::new(Gate::default());
        let asked = Arc::clone(&gate);
        conn.authorizer(Some(move |context: AuthContext<'_>| {
            asked.authorize(role, &context)
        }))?;
        let asked = Arc::clone(&gate);
        conn.progress_handler(PROGRESS, Some(move || asked.is_stopped()))?;
        Ok(Self { conn, gate })
    }

    /// From now on, SQL of someone with this access runs, and `stop` stops it.
    pub(super) fn serve(&self, access: Level, stop: &Stop) {
        self.gate
            .reading
            .store(access == Level::Read, Ordering::SeqCst);
        *self.gate.stop.lock() = Arc::clone(stop);
        *self.gate.denied.lock() = None;
    }

    /// Runs our own statements, which may do anything, and which nobody stops.
    pub(super) fn ours<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        self.gate.ours.store(true, Ordering::SeqCst);
        let done = work(&self.conn);
        self.gate.ours.store(false, Ordering::SeqCst);
        done
    }

    /// Why a statement was not allowed.
    pub(super) fn denied(&self) -> Option<String> {
        self.gate.denied.lock().take()
    }
}

impl Gate {
    fn is_stopped(&self) -> bool {
        !self.ours.load(Ordering::SeqCst) && self.stop.lock().load(Ordering::SeqCst)
    }

    fn authorize(&self, role: Role, context: &AuthContext<'_>) -> Authorization {
        if self.ours.load(Ordering::SeqCst) {
            return Authorization::Allow;
        }
        let role = match self.reading.load(Ordering::SeqCst) {
            true => Role::Reader,
            false => role,
        };
        let refusal = refusal(role, &context.action).or_else(|| match context.accessor {
            // Triggers of ours write there; nobody else should.
            Some(_) => None,
            None => ours_refusal(&context.action),
        });
        match refusal {
            None => Authorization::Allow,
            Some(why) => {
                *self.denied.lock() = Some(why);
                Authorization::Deny
            }
        }
    }
}

/// Why an action is not allowed.
fn refusal(role: Role, action: &AuthAction<'_>) -> Option<String> {
    let why = match action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            "other files cannot be attached (VACUUM, which does so, included): declare each \
             database in the manifest"
                .to_owned()
        }
        AuthAction::Transaction { operation } => {
            let word = match operation {
                TransactionOperation::Begin => "BEGIN",
                TransactionOperation::Rollback => "ROLLBACK",
                _ => "COMMIT",
            };
            format!(
                "{word} is not for SQL: use transaction() of the `wakeful` module. \
                 Several statements in one call take effect together anyway"
            )
        }
        AuthAction::Savepoint { .. } if role == Role::Reader => {
            "savepoints need a transaction".to_owned()
        }
        AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::DropTempIndex { .. }
        | AuthAction::DropTempTable { .. }
        | AuthAction::DropTempTrigger { .. }
        | AuthAction::DropTempView { .. } => {
            "temporary tables do not work here, since calls share connections: use WITH, or an \
             ordinary table"
                .to_owned()
        }
        AuthAction::Function { function_name } if *function_name == "load_extension" => {
            "extensions cannot be loaded".to_owned()
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => return pragma_refusal(role, pragma_name, *pragma_value),
        _ => return None,
    };
    Some(why)
}

/// Why the tables of change capture are not for functions to change. (Its triggers go with the
/// tables that they are on.)
fn ours_refusal(action: &AuthAction<'_>) -> Option<String> {
    let name = match action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. } => table_name,
        _ => return None,
    };
    name.starts_with(OURS)
        .then(|| format!("`{name}` belongs to change capture"))
}

fn pragma_refusal(role: Role, name: &str, value: Option<&str>) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let is_in = |list: &[&str]| list.contains(&name.as_str());
    let allowed = is_in(TELLING)
        || (value.is_none() && is_in(TELLING_WITHOUT_VALUE))
        || (role == Role::Writer && is_in(SETTABLE));
    (!allowed).then(|| {
        format!(
            "PRAGMA {name} is not available{}: calls share connections",
            match value {
                Some(_) => " with a value",
                None => "",
            }
        )
    })
}
