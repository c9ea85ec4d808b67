//! The user's migrations: they work as without capture, and capture goes on after them.

use std::collections::BTreeMap;

use wakeful_core::project::Level;
use wakeful_databases::{DatabaseUrl, Databases, Options, Owner, Query, Report, Target};

use crate::bench::Bench;

const TABLE: &str =
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, u); CREATE UNIQUE INDEX tu ON t(u)";

/// Waits until the triggers fit the table as it is.
async fn until_renewed(bench: &Bench, count: usize) {
    bench
        .until("renewed triggers", |bench| {
            let renewed = |report: &Report| matches!(report, Report::SchemaChanged { .. });
            bench
                .reports()
                .iter()
                .filter(|report| renewed(report))
                .count()
                >= count
        })
        .await;
}

#[tokio::test]
async fn columns_come_go_and_change_their_names() {
    let mut bench = Bench::with(TABLE, &["t"]).await;
    // In one go, so that nobody has time to make the triggers anew in between.
    bench.sql(
        "BEGIN; INSERT INTO t VALUES (1, 'a', 'b', 'u'); \
         ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES (2, 'b', 'v'); \
         ALTER TABLE t RENAME COLUMN b TO \"b b\"; UPDATE t SET \"b b\" = 'c' WHERE id = 2; \
         ALTER TABLE t ADD COLUMN n DEFAULT 7; \
         DROP INDEX tu; ALTER TABLE t DROP COLUMN u; \
         REPLACE INTO t VALUES (2, 'd', 8); DELETE FROM t WHERE id = 1; COMMIT;",
    );
    until_renewed(&bench, 1).await;
    bench.sql("UPDATE t SET n = 9;");
    bench.until_events(7).await;
    assert_eq!(
        bench.events(),
        [
            r#"insert t/1 null {"a":"a","b":"b","id":1,"u":"u"}"#,
            r#"insert t/2 null {"a":null,"b":"b","id":2,"u":"v"}"#,
            r#"update t/2 {"a":null,"b":"b","id":2,"u":"v"} {"a":null,"b":"c","id":2,"u":"v"}"#,
            r#"delete t/2 {"a":null,"b":"c","id":2,"u":null} null"#,
            r#"insert t/2 null {"a":null,"b":"d","id":2,"u":null}"#,
            r#"delete t/1 {"a":null,"b":"b","id":1,"u":null} null"#,
            r#"update t/2 {"b b":"d","id":2,"n":8} {"b b":"d","id":2,"n":9}"#,
        ]
    );
    let reports = bench.reports();
    let changed = |gap| Report::SchemaChanged {
        table: "t".parse().unwrap(),
        gap,
    };
    assert!(reports.contains(&changed(false)), "{reports:?}");
    assert!(!reports.contains(&changed(true)), "{reports:?}");
    bench.stop().await;
}

#[tokio::test]
async fn a_rebuilt_table_is_captured_again_and_the_gap_is_told() {
    let mut bench = Bench::with(TABLE, &["t"]).await;
    bench.sql("INSERT INTO t VALUES (1, 'a', 'b', 'u');");
    bench.until_events(1).await;
    bench.sql(
        "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE new_t(id INTEGER PRIMARY KEY, a TEXT); \
         INSERT INTO new_t SELECT id, a FROM t; DROP TABLE t; ALTER TABLE new_t RENAME TO t; \
         COMMIT;",
    );
    until_renewed(&bench, 1).await;
    bench.sql("INSERT INTO t VALUES (2, 'x');");
    bench.until_events(2).await;
    assert_eq!(bench.events()[1], r#"insert t/2 null {"a":"x","id":2}"#);
    bench.until_reported("were not seen").await;
    bench.stop().await;
}

#[tokio::test]
async fn a_renamed_table_is_let_go() {
    let mut bench = Bench::with(TABLE, &["t"]).await;
    bench.sql("ALTER TABLE t RENAME TO t2; INSERT INTO t2 VALUES (1, 'a', 'b', 'u');");
    bench.until_reported("has no table `t`").await;
    bench.until_captured(&[]).await;
    bench.sql("INSERT INTO t2 VALUES (2, 'a', 'b', 'v'); CREATE TABLE t(id INTEGER PRIMARY KEY);");
    bench.until_reported("`t` appeared").await;
    bench.sql("INSERT INTO t VALUES (7);");
    let seen = |bench: &Bench| bench.events().iter().any(|event| event.contains("t/7"));
    bench.until("the new table's row", seen).await;
    // What happened to it before it was let go still counts.
    assert_eq!(bench.events().len(), 2, "{:?}", bench.events());
    let missing = |report: &&Report| matches!(report, Report::TableMissing { .. });
    assert_eq!(bench.reports().iter().filter(missing).count(), 1);
    bench.stop().await;
}

#[tokio::test]
async fn tables_come_and_go_with_the_triggers_of_the_project() {
    let mut bench = Bench::with(
        "CREATE TABLE t(a); CREATE TABLE u(a); CREATE VIEW v AS SELECT 1",
        &["t"],
    )
    .await;
    bench.watch(&["u", "v", "missing"]);
    bench.until_captured(&["u"]).await;
    bench.until_reported("it is a view").await;
    bench.until_reported("no table `missing`").await;
    bench.sql("INSERT INTO t VALUES (1); INSERT INTO u VALUES (2);");
    bench.until_events(1).await;
    assert_eq!(bench.events(), [r#"insert u/1 null {"a":2}"#]);
    bench.watch(&[]);
    bench.until_captured(&[]).await;
    bench.stop().await;
}

#[tokio::test]
async fn the_users_newer_triggers_still_run_after_ours() {
    let mut bench = Bench::with(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n DEFAULT 0)",
        &["t"],
    )
    .await;
    bench.sql(
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN UPDATE t SET n = 1 WHERE id = new.id; END;",
    );
    until_renewed(&bench, 1).await;
    bench.sql("INSERT INTO t(id) VALUES (1);");
    bench.until_events(2).await;
    assert_eq!(
        bench.events(),
        [
            r#"insert t/1 null {"id":1,"n":0}"#,
            r#"update t/1 {"id":1,"n":0} {"id":1,"n":1}"#
        ]
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_migration_by_a_function_leaves_no_gap() {
    let mut bench = Bench::new();
    bench.sql(TABLE);
    bench.watch(&["t"]);
    let capture = bench.start();
    bench.until_captured(&["t"]).await;
    let databases = Databases::new(Options::default());
    let name = "shop".parse().unwrap();
    let target = Target {
        url: DatabaseUrl::Sqlite(bench.path.clone()),
        capture: Some(capture),
    };
    databases.set(BTreeMap::from([("shop".parse().unwrap(), target)]));
    let run = async |sql: &str| {
        let query = Query {
            database: &name,
            sql: sql.to_owned(),
            params: None,
            access: Level::Write,
            tx: None,
            owner: Owner(1),
        };
        databases.query(query).await.unwrap();
    };
    for round in 0..20 {
        run(
            "CREATE TABLE new_t(id INTEGER PRIMARY KEY, a); INSERT INTO new_t SELECT id, a FROM t; \
             DROP TABLE t; ALTER TABLE new_t RENAME TO t",
        )
        .await;
        run(&format!("INSERT INTO t(a) VALUES ({round})")).await;
    }
    bench.until_events(20).await;
    assert_eq!(bench.events()[19], r#"insert t/20 null {"a":19,"id":20}"#);
    for sql in [
        "DELETE FROM \"_wakeful.shop.dev.shop.outbox\"",
        "SELECT * FROM \"_WAKEFUL.shop.dev.shop.outbox\"",
        "CREATE INDEX i ON \"_wakeful.shop.dev.shop.meta\"(value)",
        "CREATE TRIGGER x AFTER INSERT ON \"_wakeful.shop.dev.shop.outbox\" BEGIN SELECT 1; END",
        "CREATE TRIGGER \"_wakeful.x\" AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN \
         DELETE FROM \"_wakeful.shop.dev.shop.meta\"; END; INSERT INTO t(a) VALUES (1)",
        "CREATE VIEW v AS SELECT * FROM \"_wakeful.shop.dev.shop.meta\"; SELECT * FROM v",
        "CREATE TABLE \"_wakeful.mine\"(a)",
    ] {
        let query = Query {
            database: &name,
            sql: sql.to_owned(),
            params: None,
            access: Level::Write,
            tx: None,
            owner: Owner(1),
        };
        let refused = databases.query(query).await.unwrap_err();
        assert!(
            refused.message.contains("belongs to change capture"),
            "{sql}: {refused}"
        );
    }
    let gaps = bench
        .reports()
        .iter()
        .filter(|r| r.to_string().contains("not seen"))
        .count();
    assert_eq!(gaps, 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_database_that_is_captured_no_more_has_no_triggers() {
    let mut bench = Bench::with(TABLE, &["t"]).await;
    bench.stop().await;
    bench.sql("INSERT INTO t VALUES (1, 'a', 'b', 'u');");
    let url = DatabaseUrl::Sqlite(bench.path.clone());
    let scope = wakeful_core::name::Scope {
        project: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    };
    let name = "shop".parse().unwrap();
    for _ in 0..2 {
        wakeful_databases::withdraw(&scope, &name, &url)
            .await
            .unwrap();
    }
    let left = bench.sql("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger';");
    assert_eq!(left.trim(), "0");
    // What was recorded before is not lost when it comes back.
    bench.start();
    bench.until_events(1).await;
    bench.stop().await;
    let nowhere = DatabaseUrl::Sqlite(bench.folder.path().join("nowhere.db"));
    wakeful_databases::withdraw(&scope, &name, &nowhere)
        .await
        .unwrap();
    assert!(!bench.folder.path().join("nowhere.db").exists());
}

#[tokio::test]
async fn everything_can_be_removed_by_hand() {
    let mut bench = Bench::with(TABLE, &["t"]).await;
    bench.sql("INSERT INTO t VALUES (1, 'a', 'b', 'u');");
    bench.until_events(1).await;
    bench.stop().await;
    let drops = bench.sql(
        r#"SELECT 'DROP ' || type || ' "' || replace(name, '"', '""') || '";' FROM sqlite_schema
           WHERE name LIKE '\_wakeful.%' ESCAPE '\' AND type IN ('trigger', 'table') ORDER BY type DESC;"#,
    );
    bench.sql(&drops);
    let left = bench.sql("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%wakeful%';");
    assert_eq!(left.trim(), "0");
    bench.sql("INSERT INTO t VALUES (2, 'a', 'b', 'v');");
}
