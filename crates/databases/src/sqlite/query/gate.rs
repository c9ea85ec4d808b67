//! What a connection lets SQL do, and how a statement under way is stopped.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::{
    Connection, OpenFlags,
    hooks::{AuthAction, AuthContext, Authorization, TransactionOperation},
    limits::Limit,
};
use wakeful_core::project::Level;

use super::super::names::{ONCE, is_ours};

/// How long SQLite itself waits for a lock before we look whether someone still waits for us.
const BUSY: Duration = Duration::from_millis(50);
/// Instructions of SQLite's machine between two looks at whether to stop: some 20 µs.
const PROGRESS: i32 = 1000;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// What SQL of functions may ask SQLite for. A value and a row are held in memory, often several
/// times; a long pattern takes time in which nothing can be stopped.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (Limit::SQLITE_LIMIT_VDBE_OP, 4_000_000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];
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
    /// When the SQL must have ended.
    until: Mutex<Option<Instant>>,
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
        for (limit, most) in LIMITS {
            conn.set_limit(*limit, *most)?;
        }
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

    /// From now on, SQL of someone with this access runs, `until` then or until `stop` stops it.
    pub(super) fn serve(&self, access: Level, stop: &Stop, until: Instant) {
        self.gate
            .reading
            .store(access == Level::Read, Ordering::SeqCst);
        *self.gate.stop.lock() = Arc::clone(stop);
        *self.gate.denied.lock() = None;
        *self.gate.until.lock() = Some(until);
    }

    /// Whether the SQL has used up its time.
    pub(super) fn ran_out_of_time(&self) -> bool {
        self.gate.is_out_of_time()
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
        !self.ours.load(Ordering::SeqCst)
            && (self.stop.lock().load(Ordering::SeqCst) || self.is_out_of_time())
    }

    fn is_out_of_time(&self) -> bool {
        let until = *self.until.lock();
        until.is_some_and(|until| until <= Instant::now())
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
            // The triggers of ours use them; those of functions cannot have such a name.
            Some(accessor) if is_ours(accessor) => None,
            _ => ours_refusal(&context.action),
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

/// Why what belongs to us is not for functions, and why nothing else may be called
/// like it. (Its triggers may be dropped: they go with the tables that they are on.)
fn ours_refusal(action: &AuthAction<'_>) -> Option<String> {
    let names = match action {
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::Analyze { table_name }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropVtable { table_name, .. } => [Some(*table_name), None],
        AuthAction::CreateIndex {
            table_name,
            index_name,
        }
        | AuthAction::DropIndex {
            table_name,
            index_name,
        } => [Some(*table_name), Some(*index_name)],
        AuthAction::CreateTrigger {
            table_name,
            trigger_name,
        } => [Some(*table_name), Some(*trigger_name)],
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => {
            [Some(*view_name), None]
        }
        _ => return None,
    };
    let ours = names.into_iter().flatten().find(|name| is_ours(name))?;
    let owner = match ours.eq_ignore_ascii_case(ONCE) {
        true => "context.once()",
        false => "change capture",
    };
    Some(format!("`{ours}` belongs to {owner}"))
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
