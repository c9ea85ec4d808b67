//! What functions may ask of a database, and what they are told.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json, value::to_raw_value};
use wakeful_core::{name::DatabaseName, project::Level};
use wakeful_databases::{
    DatabaseUrl, Databases, ErrorCode, Options, Owner, Query, QueryError, Target, TxId,
};

const ME: Owner = Owner(1);

struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    databases: Databases,
    name: DatabaseName,
}

impl Bench {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/shop.db");
        let databases = Databases::new(options);
        let name: DatabaseName = "shop".parse().unwrap();
        let target = Target {
            url: DatabaseUrl::Sqlite(path.clone()),
            capture: None,
        };
        databases.set(BTreeMap::from([(name.clone(), target)]));
        Self {
            _folder: folder,
            path,
            databases,
            name,
        }
    }

    async fn ask(
        &self,
        access: Level,
        tx: Option<TxId>,
        sql: &str,
        params: Value,
    ) -> Result<Value, QueryError> {
        let query = Query {
            database: &self.name,
            sql: sql.to_owned(),
            params: Some(to_raw_value(&params).unwrap()),
            access,
            tx,
            owner: ME,
        };
        let result = self.databases.query(query).await?;
        Ok(serde_json::from_slice(&result.json).unwrap())
    }

    async fn run(&self, sql: &str, params: Value) -> Value {
        let answer = self.ask(Level::Write, None, sql, params).await;
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn rows(&self, sql: &str) -> Value {
        let answer = self.ask(Level::Read, None, sql, json!([])).await;
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))["rows"].clone()
    }

    async fn fails(&self, access: Level, sql: &str, params: Value) -> QueryError {
        match self.ask(access, None, sql, params).await {
            Ok(answer) => panic!("{sql} succeeded: {answer}"),
            Err(error) => error,
        }
    }
}

#[tokio::test]
async fn answers_have_the_shape_of_the_protocol() {
    let bench = Bench::new();
    let made = bench
        .run("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", json!([]))
        .await;
    assert_eq!(
        made,
        json!({"columns": [], "rows": [], "changes": 0, "lastInsertRowid": null})
    );
    let inserted = bench
        .run("INSERT INTO t(a) VALUES (?), (?)", json!(["x", 2.5]))
        .await;
    assert_eq!(
        inserted,
        json!({"columns": [], "rows": [], "changes": 2, "lastInsertRowid": 2})
    );
    assert_eq!(
        bench
            .run("SELECT id, a AS b FROM t ORDER BY id", json!([]))
            .await,
        json!({"columns": ["id", "b"], "rows": [[1, "x"], [2, 2.5]], "changes": 0,
               "lastInsertRowid": null})
    );
    assert_eq!(
        bench
            .run("UPDATE t SET a = 1 RETURNING id", json!([]))
            .await,
        json!({"columns": ["id"], "rows": [[1], [2]], "changes": 2, "lastInsertRowid": null})
    );
    // The file was created as one that readers and a writer share.
    assert_eq!(bench.rows("PRAGMA journal_mode").await, json!([["wal"]]));
}

#[tokio::test]
async fn values_cross_both_ways() {
    let bench = Bench::new();
    for (value, kind) in [
        (json!(null), "null"),
        (json!(7), "integer"),
        (json!(-7.25), "real"),
        (json!("a\u{0}ü'"), "text"),
        (json!({"$int": "9223372036854775807"}), "integer"),
        (json!({"$bytes": "AP8="}), "blob"),
        (json!({"$real": "-Infinity"}), "real"),
    ] {
        let answer = bench.run("SELECT ?1, typeof(?1)", json!([value])).await;
        assert_eq!(answer["rows"], json!([[value, kind]]));
    }
    let answer = bench.run("SELECT ?, ?", json!([true, false])).await;
    assert_eq!(answer["rows"], json!([[1, 0]]));
    let named = json!({"a": 1, "b": "x", ":c": 3});
    let answer = bench.run("SELECT :a, @b, :c, $a", named).await;
    assert_eq!(answer["rows"], json!([[1, "x", 3, 1]]));
}

#[tokio::test]
async fn mistakes_are_named() {
    let bench = Bench::new();
    bench
        .run(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL UNIQUE)",
            json!([]),
        )
        .await;
    bench.run("INSERT INTO t VALUES (1, 'x')", json!([])).await;
    use ErrorCode::{Conflict, Denied, Invalid};
    for (sql, params, code, words) in [
        ("SELEC 1", json!([]), Invalid, "SELEC"),
        (
            "SELECT * FROM missing",
            json!([]),
            Invalid,
            "no such table: missing",
        ),
        ("SELECT ?, ?", json!([1]), Invalid, "2 parameters"),
        ("SELECT 1", json!([1]), Invalid, "0 parameters"),
        ("SELECT :a", json!({}), Invalid, "`:a`"),
        ("SELECT :a", json!({"a": 1, "b": 2}), Invalid, "`b`"),
        ("SELECT ?", json!({"a": 1}), Invalid, "as a list"),
        ("SELECT ?", json!([[1]]), Invalid, "number 1"),
        ("SELECT ?", json!([{"x": 1}]), Invalid, "JSON text"),
        (
            "SELECT ?",
            json!([18446744073709551615u64]),
            Invalid,
            "64 bits",
        ),
        ("SELECT 1", json!("x"), Invalid, "a list"),
        (
            "SELECT ?; SELECT 2",
            json!([1]),
            Invalid,
            "single statement",
        ),
        (
            "INSERT INTO t VALUES (1, 'y')",
            json!([]),
            Conflict,
            "UNIQUE constraint failed: t.id",
        ),
        (
            "INSERT INTO t VALUES (2, NULL)",
            json!([]),
            Conflict,
            "NOT NULL",
        ),
        ("ATTACH 'x.db' AS x", json!([]), Denied, "attached"),
        ("VACUUM INTO 'x.db'", json!([]), Invalid, "VACUUM"),
        ("BEGIN", json!([]), Denied, "transaction()"),
        ("COMMIT", json!([]), Denied, "transaction()"),
        ("CREATE TEMP TABLE x(a)", json!([]), Denied, "temporary"),
        (
            "SELECT load_extension('x')",
            json!([]),
            Denied,
            "extensions",
        ),
        (
            "PRAGMA journal_mode = DELETE",
            json!([]),
            Denied,
            "journal_mode",
        ),
        (
            "PRAGMA writable_schema = ON",
            json!([]),
            Denied,
            "writable_schema",
        ),
    ] {
        let error = bench.fails(Level::Write, sql, params).await;
        assert_eq!(error.code, code, "{sql}: {error}");
        assert!(error.message.contains(words), "{sql}: {error}");
    }
    let error = bench
        .fails(Level::Write, "SELECT id FROM t WHERE nope = 1", json!([]))
        .await;
    assert_eq!(error.offset, Some(23), "{error}");
    let missing: DatabaseName = "other".parse().unwrap();
    let query = Query {
        database: &missing,
        sql: "SELECT 1".into(),
        params: None,
        access: Level::Read,
        tx: None,
        owner: ME,
    };
    let error = bench.databases.query(query).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn who_may_read_cannot_write() {
    let bench = Bench::new();
    bench
        .run(
            "CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)",
            json!([]),
        )
        .await;
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    // Prepared and cached by someone who may.
    bench
        .ask(Level::Write, Some(tx), "PRAGMA user_version = 7", json!([]))
        .await
        .unwrap();
    bench
        .ask(
            Level::Write,
            Some(tx),
            "DELETE FROM t WHERE a = 9",
            json!([]),
        )
        .await
        .unwrap();
    for sql in [
        "INSERT INTO t VALUES (2)",
        "DELETE FROM t WHERE a = 9",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "UPDATE t SET a = 2 RETURNING a",
        "CREATE TABLE u(a)",
        "DROP TABLE t",
        "SELECT 1; DELETE FROM t",
        "/* SELECT */ DELETE FROM t",
        "PRAGMA user_version = 7",
        "REINDEX",
        "ANALYZE",
        "SAVEPOINT x",
    ] {
        for tx in [None, Some(tx)] {
            let result = bench.ask(Level::Read, tx, sql, json!([])).await;
            let error = result.expect_err(sql);
            assert_eq!(error.code, ErrorCode::Denied, "{sql}: {error}");
        }
    }
    let copy = bench.path.with_file_name("copy.db");
    let sql = format!("VACUUM INTO '{}'", copy.display());
    let error = bench.fails(Level::Read, &sql, json!([])).await;
    assert_eq!(error.code, ErrorCode::Denied, "{error}");
    assert!(!copy.exists());
    let seen = bench
        .ask(Level::Read, Some(tx), "SELECT a FROM t", json!([]))
        .await
        .unwrap();
    assert_eq!(seen["rows"], json!([[1]]));
    bench.databases.rollback(tx, ME).await.unwrap();
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[1]]));
    assert_eq!(bench.rows("PRAGMA table_info(t)").await[0][1], json!("a"));
}

#[tokio::test]
async fn a_script_takes_effect_whole_or_not_at_all() {
    let bench = Bench::new();
    let script = "CREATE TABLE t(a UNIQUE); -- ; a comment\n INSERT INTO t VALUES ('x;y'); \
                  INSERT INTO t VALUES (2); SELECT count(*) AS n FROM t;";
    let answer = bench.run(script, json!([])).await;
    assert_eq!(answer["rows"], json!([[2]]));
    assert_eq!(answer["changes"], 2);
    let failing = "INSERT INTO t VALUES (3); CREATE TABLE u(a); INSERT INTO t VALUES (2);";
    assert_eq!(
        bench.fails(Level::Write, failing, json!([])).await.code,
        ErrorCode::Conflict
    );
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[2]]));
    assert_eq!(
        bench
            .rows("SELECT name FROM sqlite_schema WHERE name = 'u'")
            .await,
        json!([])
    );
    assert_eq!(
        bench.run("  -- nothing\n", json!([])).await["rows"],
        json!([])
    );
}

#[tokio::test]
async fn too_much_is_refused_and_undone() {
    let bench = Bench::with(Options {
        max_rows: 10,
        max_bytes: 1000,
        ..Options::default()
    });
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT ?) ";
    let ten = bench
        .run(&format!("{count} SELECT n FROM c"), json!([10]))
        .await;
    assert_eq!(ten["rows"].as_array().unwrap().len(), 10);
    let error = bench
        .fails(
            Level::Write,
            &format!("{count} SELECT n FROM c"),
            json!([11]),
        )
        .await;
    assert_eq!(
        (error.code, error.message.contains("10 rows")),
        (ErrorCode::TooLarge, true)
    );
    let error = bench
        .fails(Level::Read, "SELECT zeroblob(100000000)", json!([]))
        .await;
    assert_eq!(
        (error.code, error.message.contains("too big")),
        (ErrorCode::TooLarge, true)
    );
    let error = bench
        .fails(Level::Read, "SELECT zeroblob(1000000)", json!([]))
        .await;
    assert_eq!(
        (error.code, error.message.contains("1000 bytes")),
        (ErrorCode::TooLarge, true)
    );
    let pattern = format!("SELECT 'a' LIKE '{}'", "%a".repeat(1000));
    let error = bench.fails(Level::Read, &pattern, json!([])).await;
    assert!(error.message.contains("too complex"), "{error}");
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    let sql = format!("{count} INSERT INTO t SELECT n FROM c RETURNING a");
    let error = bench
        .ask(Level::Write, Some(tx), &sql, json!([11]))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    bench.databases.commit(tx, ME).await.unwrap();
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
}

#[tokio::test]
async fn transactions_are_seen_when_they_are_committed() {
    let bench = Bench::new();
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    bench
        .ask(
            Level::Write,
            Some(tx),
            "INSERT INTO t VALUES (1)",
            json!([]),
        )
        .await
        .unwrap();
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
    let stranger = bench.databases.commit(tx, Owner(2)).await.unwrap_err();
    assert_eq!(stranger.code, ErrorCode::NotFound);
    // A failing statement undoes itself, not the transaction.
    bench
        .ask(
            Level::Write,
            Some(tx),
            "INSERT INTO missing VALUES (1)",
            json!([]),
        )
        .await
        .unwrap_err();
    bench.databases.commit(tx, ME).await.unwrap();
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[1]]));
    let over = bench
        .ask(Level::Write, Some(tx), "SELECT 1", json!([]))
        .await
        .unwrap_err();
    assert_eq!(over.code, ErrorCode::NotFound);

    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    bench
        .ask(Level::Write, Some(tx), "DELETE FROM t", json!([]))
        .await
        .unwrap();
    bench.databases.rollback(tx, ME).await.unwrap();
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[1]]));
    assert_eq!(bench.databases.open_transactions(), 0);
}

#[tokio::test]
async fn what_an_attempt_leaves_open_is_rolled_back() {
    let bench = Bench::new();
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    bench
        .ask(
            Level::Write,
            Some(tx),
            "INSERT INTO t VALUES (1)",
            json!([]),
        )
        .await
        .unwrap();
    bench.databases.release(ME).await;
    assert_eq!(bench.databases.open_transactions(), 0);
    bench.run("INSERT INTO t VALUES (2)", json!([])).await;
    assert_eq!(bench.rows("SELECT a FROM t").await, json!([[2]]));
}

#[tokio::test]
async fn a_forgotten_transaction_ends_by_itself() {
    let bench = Bench::with(Options {
        idle: Duration::from_millis(200),
        ..Options::default()
    });
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    bench
        .ask(
            Level::Write,
            Some(tx),
            "INSERT INTO t VALUES (1)",
            json!([]),
        )
        .await
        .unwrap();
    // Waits for its turn, and gets it.
    bench.run("INSERT INTO t VALUES (2)", json!([])).await;
    assert_eq!(bench.rows("SELECT a FROM t").await, json!([[2]]));
    let error = bench.databases.commit(tx, ME).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

const FOREVER: &str =
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c";

#[tokio::test]
async fn a_query_that_runs_for_too_long_is_stopped() {
    let bench = Bench::with(Options {
        statement: Duration::from_millis(100),
        ..Options::default()
    });
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let write = format!("INSERT INTO t {FOREVER}");
    for (access, sql) in [(Level::Read, FOREVER), (Level::Write, write.as_str())] {
        let error = bench.fails(access, sql, json!([])).await;
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(error.message.contains("too long"), "{error}");
    }
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
}

#[tokio::test]
async fn a_transaction_ends_although_no_thread_is_free() {
    // One is released, one is rolled back, one is forgotten, while a query has the only thread.
    let other = Owner(2);
    for round in 0..3 {
        let options = Options {
            threads: 1,
            patience: Duration::from_millis(50),
            idle: Duration::from_millis(if round == 2 { 100 } else { 60_000 }),
            ..Options::default()
        };
        let bench = Bench::with(options);
        bench.run("CREATE TABLE t(a)", json!([])).await;
        let tx = bench.databases.begin(&bench.name, other).await.unwrap();
        let busy = bench.ask(Level::Read, None, FOREVER, json!([]));
        let ended = async {
            // Until the busy one has the thread.
            loop {
                let asked = Query {
                    database: &bench.name,
                    sql: "SELECT 1".to_owned(),
                    params: None,
                    access: Level::Read,
                    tx: None,
                    owner: other,
                };
                if bench.databases.query(asked).await.is_err() {
                    break;
                }
            }
            match round {
                0 => bench.databases.release(other).await,
                1 => bench.databases.rollback(tx, other).await.unwrap(),
                _ => {}
            }
            while bench.databases.open_transactions() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            answer = busy => panic!("{answer:?}"),
            ended = tokio::time::timeout(Duration::from_secs(20), ended) => ended.unwrap(),
        }
        // The lock is free again.
        let insert = async {
            while bench
                .ask(Level::Write, None, "INSERT INTO t VALUES (1)", json!([]))
                .await
                .is_err()
            {}
        };
        tokio::time::timeout(Duration::from_secs(20), insert)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_query_ends_when_nobody_waits_for_it() {
    let bench = Bench::with(Options {
        readers: 1,
        ..Options::default()
    });
    bench.run("CREATE TABLE t(a)", json!([])).await;
    // Dropped.
    for access in [Level::Read, Level::Write] {
        let asked = bench.ask(access, None, FOREVER, json!([]));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), asked)
                .await
                .is_err()
        );
    }
    let write = format!("INSERT INTO t {FOREVER}");
    let asked = bench.ask(Level::Write, None, &write, json!([]));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), asked)
            .await
            .is_err()
    );
    // The only reader and the writer are free again, and nothing was written.
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
    bench.run("INSERT INTO t VALUES (1)", json!([])).await;
    // Released.
    let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
    let (answer, ()) = tokio::join!(
        bench.ask(Level::Write, Some(tx), FOREVER, json!([])),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            bench.databases.release(ME).await;
        }
    );
    assert_eq!(answer.unwrap_err().code, ErrorCode::Unavailable);
    bench.run("INSERT INTO t VALUES (2)", json!([])).await;
    assert_eq!(bench.databases.open_transactions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_take_turns() {
    let bench = Arc::new(Bench::new());
    bench
        .run("CREATE TABLE t(n); INSERT INTO t VALUES (0)", json!([]))
        .await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            if number % 2 == 0 {
                bench.run("UPDATE t SET n = n + 1", json!([])).await;
                return;
            }
            let tx = bench.databases.begin(&bench.name, ME).await.unwrap();
            let seen = bench
                .ask(Level::Write, Some(tx), "SELECT n FROM t", json!([]))
                .await
                .unwrap();
            let next = seen["rows"][0][0].as_i64().unwrap() + 1;
            bench
                .ask(Level::Write, Some(tx), "UPDATE t SET n = ?", json!([next]))
                .await
                .unwrap();
            bench.databases.commit(tx, ME).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(bench.rows("SELECT n FROM t").await, json!([[40]]));
}

#[tokio::test]
async fn another_process_that_holds_the_lock_is_waited_for() {
    let bench = Bench::with(Options {
        patience: Duration::from_millis(300),
        ..Options::default()
    });
    bench.run("CREATE TABLE t(a)", json!([])).await;
    let other = rusqlite::Connection::open(&bench.path).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
        .unwrap();
    let error = bench
        .fails(Level::Write, "INSERT INTO t VALUES (2)", json!([]))
        .await;
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
    let (answer, ()) = tokio::join!(
        bench.ask(Level::Write, None, "INSERT INTO t VALUES (2)", json!([])),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            other.execute_batch("COMMIT").unwrap();
        }
    );
    answer.unwrap();
    assert_eq!(bench.rows("SELECT a FROM t").await, json!([[1], [2]]));
}

#[tokio::test]
async fn what_a_killed_writer_left_in_the_log_is_read() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path.parent().unwrap()).unwrap();
    let live = bench.path.with_file_name("live.db");
    let writer = rusqlite::Connection::open(&live).unwrap();
    writer
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)")
        .unwrap();
    // The files as they are when the writer dies: nothing was moved out of the log yet.
    for ending in ["", "-wal"] {
        let name = |path: &PathBuf| format!("{}{ending}", path.display());
        std::fs::copy(name(&live), name(&bench.path)).unwrap();
    }
    assert_eq!(bench.rows("SELECT a FROM t").await, json!([[1]]));
}

#[tokio::test]
async fn a_file_that_took_the_place_of_another_is_noticed() {
    let bench = Bench::new();
    bench
        .run("CREATE TABLE t(a); INSERT INTO t VALUES (1)", json!([]))
        .await;
    bench.rows("SELECT 1").await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", bench.path.display()));
    }
    bench.run("CREATE TABLE t(a)", json!([])).await;
    assert_eq!(bench.rows("SELECT count(*) FROM t").await, json!([[0]]));
}

#[tokio::test]
async fn what_is_no_database_is_said_so() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path.parent().unwrap()).unwrap();
    std::fs::write(
        &bench.path,
        "this is a text, long enough to be looked at as a header".repeat(20),
    )
    .unwrap();
    let error = bench.fails(Level::Read, "SELECT * FROM t", json!([])).await;
    assert!(error.message.contains("not a database"), "{error}");
}
