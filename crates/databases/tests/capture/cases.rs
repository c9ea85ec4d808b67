//! What becomes of the changes that another process makes: many cases as data.

use crate::bench::{Bench, kinds, verb};
use wakeful_core::event::RowVerb;
use wakeful_databases::Kinds;

/// After `ddl`, `sql` in another process makes exactly the events `expected`, in this order.
/// All kinds of changes of the table `t` are watched.
async fn check(ddl: &str, sql: &str, expected: &[&str]) {
    check_kinds(Kinds::ALL, ddl, sql, expected).await;
}

async fn check_kinds(kinds: Kinds, ddl: &str, sql: &str, expected: &[&str]) {
    let mut bench = Bench::new();
    bench.sql(&format!("{ddl}; CREATE TABLE the_end(x);"));
    bench.watch_kinds([("t", kinds), ("the_end", Kinds::ALL)]);
    bench.start();
    bench.until_captured(&["t", "the_end"]).await;
    bench.sql(sql);
    bench.sql("INSERT INTO the_end VALUES (1);");
    let ended = |bench: &Bench| bench.events().iter().any(|event| event.contains("the_end"));
    bench.until("the end", ended).await;
    let mut events = bench.events();
    events.retain(|event| !event.contains("the_end"));
    assert_eq!(events, expected, "{ddl}\n{sql}");
    bench.stop().await;
}

const PLAIN: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)";

#[tokio::test]
async fn the_three_kinds_of_change() {
    check(
        PLAIN,
        "INSERT INTO t VALUES (1, 'x'), (2, 'y'); UPDATE t SET a = 'z' WHERE id = 1; \
         DELETE FROM t;",
        &[
            r#"insert t/1 null {"a":"x","id":1}"#,
            r#"insert t/2 null {"a":"y","id":2}"#,
            r#"update t/1 {"a":"x","id":1} {"a":"z","id":1}"#,
            r#"delete t/1 {"a":"z","id":1} null"#,
            r#"delete t/2 {"a":"y","id":2} null"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn only_the_kinds_that_are_wanted() {
    let sql = "INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y'; \
               REPLACE INTO t VALUES (1, 'z'); DELETE FROM t;";
    check_kinds(
        kinds(&[RowVerb::Insert]),
        PLAIN,
        sql,
        &[
            r#"insert t/1 null {"a":"x","id":1}"#,
            r#"insert t/1 null {"a":"z","id":1}"#,
        ],
    )
    .await;
    check_kinds(
        kinds(&[RowVerb::Update]),
        PLAIN,
        sql,
        &[r#"update t/1 {"a":"x","id":1} {"a":"y","id":1}"#],
    )
    .await;
    check_kinds(
        kinds(&[RowVerb::Delete]),
        PLAIN,
        sql,
        &[
            r#"delete t/1 {"a":"y","id":1} null"#,
            r#"delete t/1 {"a":"z","id":1} null"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn values_keep_their_types() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "INSERT INTO t(v) VALUES (NULL), (9007199254740993), (-9223372036854775808), (0.1), (1e300), \
         (9e999), ('tex''t'), (x'00ff'), (x''), ('a' || char(0) || 'b'), \
         (CAST(x'61ff' AS TEXT)), (2.0), (0.1 + 0.2);",
        &[
            r#"insert t/1 null {"id":1,"v":null}"#,
            r#"insert t/2 null {"id":2,"v":{"$int":"9007199254740993"}}"#,
            r#"insert t/3 null {"id":3,"v":{"$int":"-9223372036854775808"}}"#,
            r#"insert t/4 null {"id":4,"v":0.1}"#,
            r#"insert t/5 null {"id":5,"v":1e+300}"#,
            r#"insert t/6 null {"id":6,"v":{"$real":"Infinity"}}"#,
            r#"insert t/7 null {"id":7,"v":"tex't"}"#,
            r#"insert t/8 null {"id":8,"v":{"$bytes":"AP8="}}"#,
            r#"insert t/9 null {"id":9,"v":{"$bytes":""}}"#,
            r#"insert t/10 null {"id":10,"v":"a\u0000b"}"#,
            r#"insert t/11 null {"id":11,"v":{"$bytes":"Yf8="}}"#,
            r#"insert t/12 null {"id":12,"v":2.0}"#,
            r#"insert t/13 null {"id":13,"v":0.30000000000000004}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_real_column_gives_reals() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, price REAL)",
        "INSERT INTO t VALUES (1, 3);",
        &[r#"insert t/1 null {"id":1,"price":3.0}"#],
    )
    .await;
}

#[tokio::test]
async fn values_in_a_utf_16_database() {
    check(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)",
        "INSERT INTO t VALUES (1, 'aü😀');",
        &[r#"insert t/1 null {"a":"aü😀","id":1}"#],
    )
    .await;
}

#[tokio::test]
async fn keys_of_every_kind() {
    // Composite, in the key's own order.
    check(
        "CREATE TABLE t(a, b, c, PRIMARY KEY (c, a))",
        "INSERT INTO t VALUES (1, 2, 'x'); UPDATE t SET c = 'y';",
        &[
            r#"insert t/x,1 null {"a":1,"b":2,"c":"x"}"#,
            r#"update t/y,1 {"a":1,"b":2,"c":"x"} {"a":1,"b":2,"c":"y"}"#,
        ],
    )
    .await;
    check(
        "CREATE TABLE t(b, a PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO t VALUES (1, x'00'); UPDATE t SET b = 2; DELETE FROM t;",
        &[
            r#"insert t/AA== null {"a":{"$bytes":"AA=="},"b":1}"#,
            r#"update t/AA== {"a":{"$bytes":"AA=="},"b":1} {"a":{"$bytes":"AA=="},"b":2}"#,
            r#"delete t/AA== {"a":{"$bytes":"AA=="},"b":2} null"#,
        ],
    )
    .await;
    // None declared: the rowid, under whichever of its names is free.
    check(
        "CREATE TABLE t(a)",
        "INSERT INTO t VALUES ('x'); UPDATE t SET a = 'y', rowid = 5; DELETE FROM t;",
        &[
            r#"insert t/1 null {"a":"x"}"#,
            r#"update t/5 {"a":"x"} {"a":"y"}"#,
            r#"delete t/5 {"a":"y"} null"#,
        ],
    )
    .await;
    check(
        "CREATE TABLE t(rowid TEXT, _rowid_ TEXT)",
        "INSERT INTO t VALUES ('x', 'y');",
        &[r#"insert t/1 null {"_rowid_":"y","rowid":"x"}"#],
    )
    .await;
}

#[tokio::test]
async fn odd_names_are_only_names() {
    let table = r#""we ird'""`[t]; --""#;
    let mut bench = Bench::new();
    bench.sql(&format!(
        r#"CREATE TABLE {table}("the "" key" INTEGER PRIMARY KEY, "select" TEXT, 'new', "old.x", "ü")"#
    ));
    bench.watch(&[r#"we ird'"`[t]; --"#]);
    bench.start();
    bench.until_captured(&["one"]).await;
    bench.sql(&format!(
        "INSERT INTO {table} VALUES (1, 'a', 'b', 'c', 'd'); DELETE FROM {table};"
    ));
    bench.until_events(2).await;
    assert_eq!(
        bench.events()[0],
        r#"insert we ird'"`[t]; --/1 null {"new":"b","old.x":"c","select":"a","the \" key":1,"ü":"d"}"#
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_table_is_found_in_other_letters() {
    let mut bench = Bench::with("CREATE TABLE Orders(id INTEGER PRIMARY KEY)", &["oRDERS"]).await;
    bench.sql("INSERT INTO orders VALUES (1);");
    bench.until_events(1).await;
    assert_eq!(bench.events(), [r#"insert oRDERS/1 null {"id":1}"#]);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_rolled_back_did_not_happen() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)",
        "BEGIN; INSERT INTO t VALUES (1, 'a'); ROLLBACK; \
         BEGIN; INSERT INTO t VALUES (2, 'b'); SAVEPOINT s; INSERT INTO t VALUES (3, 'c'); \
         ROLLBACK TO s; COMMIT; \
         INSERT OR IGNORE INTO t VALUES (2, 'other'), (4, 'b'), (5, 'e'); \
         UPDATE OR IGNORE t SET u = 'e' WHERE id = 2; \
         INSERT INTO t VALUES (6, 'b') ON CONFLICT DO NOTHING;",
        &[
            r#"insert t/2 null {"id":2,"u":"b"}"#,
            r#"insert t/5 null {"id":5,"u":"e"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn an_upsert_is_an_update() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, n)",
        "INSERT INTO t VALUES (1, 'a', 1); \
         INSERT INTO t VALUES (2, 'a', 5) ON CONFLICT(u) DO UPDATE SET n = n + excluded.n; \
         DELETE FROM t; INSERT INTO t VALUES (1, 'b', 1);",
        &[
            r#"insert t/1 null {"id":1,"n":1,"u":"a"}"#,
            r#"update t/1 {"id":1,"n":1,"u":"a"} {"id":1,"n":6,"u":"a"}"#,
            r#"delete t/1 {"id":1,"n":6,"u":"a"} null"#,
            r#"insert t/1 null {"id":1,"n":1,"u":"b"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn replaced_rows_are_deleted_first() {
    let both = [
        r#"delete t/2 {"id":2,"u":"b","w":"l"} null"#,
        r#"delete t/3 {"id":3,"u":"c","w":"m"} null"#,
    ];
    // When SQLite itself tells of replaced rows, it goes by the order of its indexes.
    for (recursive, [one, other]) in [("OFF", both), ("ON", [both[1], both[0]])] {
        let ddl =
            "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, w); CREATE UNIQUE INDEX tw ON t(w)";
        let sql = format!(
            "PRAGMA recursive_triggers = {recursive}; \
             INSERT INTO t VALUES (1, 'a', 'k'), (2, 'b', 'l'), (3, 'c', 'm'); \
             REPLACE INTO t VALUES (1, 'a', 'K'); \
             INSERT OR REPLACE INTO t VALUES (9, 'b', 'm'); \
             UPDATE OR REPLACE t SET u = 'a' WHERE id = 9;"
        );
        check(
            ddl,
            &sql,
            &[
                r#"insert t/1 null {"id":1,"u":"a","w":"k"}"#,
                r#"insert t/2 null {"id":2,"u":"b","w":"l"}"#,
                r#"insert t/3 null {"id":3,"u":"c","w":"m"}"#,
                r#"delete t/1 {"id":1,"u":"a","w":"k"} null"#,
                r#"insert t/1 null {"id":1,"u":"a","w":"K"}"#,
                one,
                other,
                r#"insert t/9 null {"id":9,"u":"b","w":"m"}"#,
                r#"delete t/1 {"id":1,"u":"a","w":"K"} null"#,
                r#"update t/9 {"id":9,"u":"b","w":"m"} {"id":9,"u":"a","w":"m"}"#,
            ],
        )
        .await;
    }
    check(
        "CREATE TABLE t(k TEXT COLLATE NOCASE, l, v, PRIMARY KEY (k, l)) WITHOUT ROWID",
        "INSERT INTO t VALUES ('a', 1, 'x'), ('b', 1, 'y'); REPLACE INTO t VALUES ('A', 1, 'z');",
        &[
            r#"insert t/a,1 null {"k":"a","l":1,"v":"x"}"#,
            r#"insert t/b,1 null {"k":"b","l":1,"v":"y"}"#,
            r#"delete t/a,1 {"k":"a","l":1,"v":"x"} null"#,
            r#"insert t/A,1 null {"k":"A","l":1,"v":"z"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn every_conflict_clause_does_what_it_says() {
    for clause in [
        "",
        "OR ABORT",
        "OR FAIL",
        "OR ROLLBACK",
        "OR IGNORE",
        "OR REPLACE",
    ] {
        let sql = format!(
            "INSERT {clause} INTO t VALUES (1, 'a'); INSERT {clause} INTO t VALUES (2, 'b'); \
             UPDATE {clause} t SET a = 'c' WHERE id = 2;"
        );
        check(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)",
            &sql,
            &[
                r#"insert t/1 null {"a":"a","id":1}"#,
                r#"insert t/2 null {"a":"b","id":2}"#,
                r#"update t/2 {"a":"b","id":2} {"a":"c","id":2}"#,
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn wide_tables_are_whole() {
    for count in [16, 17, 130, 1000, 2000] {
        let mut bench = Bench::new();
        let columns: Vec<_> = (1..count).map(|at| format!("c{at}")).collect();
        bench.sql(&format!(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, {}); CREATE UNIQUE INDEX u ON t(c1);",
            columns.join(", ")
        ));
        bench.watch(&["t"]);
        bench.start();
        bench.until_captured(&["t"]).await;
        bench.sql(&format!(
            "INSERT INTO t(id, c1, c{last}) VALUES (1, 'u', 'end'); UPDATE t SET c{last} = 'new'; \
             REPLACE INTO t(id, c1) VALUES (2, 'u');",
            last = count - 1
        ));
        bench.until_events(4).await;
        let arrivals = bench.arrivals();
        let data: Vec<serde_json::Value> = arrivals
            .iter()
            .map(|arrival| serde_json::from_slice(&arrival.data).unwrap())
            .collect();
        let verbs: Vec<_> = arrivals.iter().map(verb).collect();
        assert_eq!(verbs, ["insert", "update", "delete", "insert"]);
        let last = format!("c{}", count - 1);
        assert_eq!(data[0]["after"].as_object().unwrap().len(), count);
        assert_eq!(data[0]["after"][&last], "end");
        assert_eq!(data[1]["before"][&last], "end");
        assert_eq!(data[1]["after"][&last], "new");
        assert_eq!(data[2]["before"][&last], "new");
        assert_eq!(data[2]["before"].as_object().unwrap().len(), count);
        assert_eq!(data[3]["key"]["id"], 2);
        bench.stop().await;
    }
}

#[tokio::test]
async fn strict_and_computed_columns() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, \
         v INTEGER AS (a * 2) VIRTUAL, s INTEGER AS (a + 1) STORED) STRICT",
        "INSERT INTO t(a) VALUES (1); UPDATE t SET a = 5; DELETE FROM t;",
        &[
            r#"insert t/1 null {"a":1,"id":1,"s":2,"v":2}"#,
            r#"update t/1 {"a":1,"id":1,"s":2} {"a":5,"id":1,"s":6,"v":10}"#,
            r#"delete t/1 {"a":5,"id":1,"s":6} null"#,
        ],
    )
    .await;
    // A computed column that fails on a row that is there must not keep it there.
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'no json'); \
         ALTER TABLE t ADD COLUMN v AS (json_extract(a, '$.x'))",
        "DELETE FROM t;",
        &[r#"delete t/1 {"a":"no json","id":1} null"#],
    )
    .await;
}

#[tokio::test]
async fn foreign_keys_and_the_users_own_triggers() {
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, up REFERENCES t(id) ON DELETE CASCADE)",
        "PRAGMA foreign_keys = ON; INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2); \
         DELETE FROM t WHERE id = 1;",
        &[
            r#"insert t/1 null {"id":1,"up":null}"#,
            r#"insert t/2 null {"id":2,"up":1}"#,
            r#"insert t/3 null {"id":3,"up":2}"#,
            // A cascade runs before the trigger on the row that started it.
            r#"delete t/3 {"id":3,"up":2} null"#,
            r#"delete t/2 {"id":2,"up":1} null"#,
            r#"delete t/1 {"id":1,"up":null} null"#,
        ],
    )
    .await;
    // What a trigger does to a row comes after what woke it.
    check(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, n DEFAULT 0); \
         CREATE TRIGGER count AFTER INSERT ON t BEGIN \
         UPDATE t SET n = n + 1 WHERE id = new.id; END",
        "INSERT INTO t(a) VALUES ('x');",
        &[
            r#"insert t/1 null {"a":"x","id":1,"n":0}"#,
            r#"update t/1 {"a":"x","id":1,"n":0} {"a":"x","id":1,"n":1}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn untrusted_schemas_and_plain_journals() {
    for journal in ["WAL", "DELETE", "TRUNCATE", "PERSIST"] {
        check(
            &format!("PRAGMA journal_mode = {journal}; {PLAIN}"),
            "PRAGMA trusted_schema = OFF; INSERT INTO t VALUES (1, 'x');",
            &[r#"insert t/1 null {"a":"x","id":1}"#],
        )
        .await;
    }
}

#[tokio::test]
async fn long_values_are_left_out_and_measured() {
    let mut bench = Bench::with("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)", &["t"]).await;
    bench.sql(
        "INSERT INTO t VALUES (1, zeroblob(4194305), zeroblob(4194304), 'x'); \
         INSERT INTO t VALUES (2, zeroblob(200000000), \
         replace(hex(zeroblob(3000000)), '00', 'ü'), 'y'); UPDATE t SET c = 'z' WHERE id = 2;",
    );
    bench.until_events(3).await;
    let data: Vec<serde_json::Value> = bench
        .arrivals()
        .iter()
        .map(|arrival| serde_json::from_slice(&arrival.data).unwrap())
        .collect();
    assert_eq!(data[0]["after"]["a"]["$omitted"], 4194305);
    let b = data[0]["after"]["b"]["$bytes"].as_str().unwrap();
    assert_eq!(b.len(), 4_194_304usize.div_ceil(3) * 4);
    assert_eq!(data[1]["after"]["a"]["$omitted"], 200_000_000);
    // The event as a whole stays below the limit: before and after do not both fit.
    assert_eq!(
        data[1]["after"]["b"].as_str().unwrap().chars().count(),
        3_000_000
    );
    assert_eq!(data[2]["before"]["b"]["$omitted"], 6_000_000);
    assert_eq!(data[2]["after"]["c"], "z");
    bench.stop().await;
}
