//! What a transaction leaves in its database about itself.

use std::{collections::BTreeMap, time::Duration};

use wakeful_core::{name::DatabaseName, project::Level};
use wakeful_databases::{
    DatabaseUrl, Databases, ErrorCode, Memory, Options, Owner, Query, QueryError, Recall, Recalled,
    Remember, Target, TxId,
};

const ME: Owner = Owner(1);
const OTHER: Owner = Owner(2);

struct Bench {
    _folder: tempfile::TempDir,
    databases: Databases,
    name: DatabaseName,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            patience: Duration::from_millis(300),
            ..Options::default()
        };
        let databases = Databases::new(options);
        let name: DatabaseName = "shop".parse().unwrap();
        let target = Target {
            url: DatabaseUrl::Sqlite(folder.path().join("shop.db")),
            capture: None,
        };
        databases.set(BTreeMap::from([(name.clone(), target)]));
        Self {
            _folder: folder,
            databases,
            name,
        }
    }

    async fn begin(&self) -> TxId {
        self.databases.begin(&self.name, ME).await.unwrap()
    }

    async fn recall(&self, tx: TxId, key: &str, after: &str) -> Recalled {
        let recall = Recall {
            key: key.to_owned(),
            prefix: "p/dev/".to_owned(),
            after: after.to_owned(),
            limit: 2,
        };
        self.databases.recall(tx, ME, recall).await.unwrap()
    }

    async fn remember(&self, tx: TxId, key: &str, forget: &[&str]) -> Result<(), QueryError> {
        let remember = Remember {
            key: key.to_owned(),
            at: 7,
            memory: memory(),
            forget: forget.iter().map(|&key| key.to_owned()).collect(),
        };
        self.databases.remember(tx, ME, remember).await
    }

    async fn done(&self, key: &str, forget: &[&str]) {
        let tx = self.begin().await;
        self.remember(tx, key, forget).await.unwrap();
        self.databases.commit(tx, ME).await.unwrap();
    }

    async fn ask(&self, sql: &str) -> Result<String, QueryError> {
        let query = Query {
            database: &self.name,
            sql: sql.to_owned(),
            params: None,
            access: Level::Write,
            tx: None,
            owner: OTHER,
        };
        let result = self.databases.query(query).await?;
        Ok(String::from_utf8_lossy(&result.json).into_owned())
    }
}

fn memory() -> Memory {
    Memory {
        effects: "[]".to_owned(),
        result: Some("{\"ü\":1}".to_owned()),
    }
}

#[tokio::test]
async fn what_was_committed_is_recalled_and_what_was_not_is_not() {
    let bench = Bench::new();
    let tx = bench.begin().await;
    assert_eq!(bench.recall(tx, "p/dev/1/a", "").await, Recalled::default());
    bench.remember(tx, "p/dev/1/a", &[]).await.unwrap();
    bench.databases.rollback(tx, ME).await.unwrap();
    bench.done("p/dev/1/b", &[]).await;
    let tx = bench.begin().await;
    assert_eq!(bench.recall(tx, "p/dev/1/a", "").await.memory, None);
    assert_eq!(
        bench.recall(tx, "p/dev/1/b", "").await.memory,
        Some(memory())
    );
    let twice = bench.remember(tx, "p/dev/1/b", &[]).await.unwrap_err();
    assert_eq!(twice.code, ErrorCode::Conflict, "{twice}");
    assert!(twice.message.contains("another attempt"), "{twice}");
    bench.databases.rollback(tx, ME).await.unwrap();
}

#[tokio::test]
async fn others_are_named_in_their_order_and_forgotten_on_demand() {
    let bench = Bench::new();
    for key in ["p/dev/3/c", "p/dev/1/a", "q/dev/0/x", "p/dev/2/b"] {
        bench.done(key, &[]).await;
    }
    let others = async |after: &str| {
        let tx = bench.begin().await;
        let found = bench.recall(tx, "p/dev/9/z", after).await;
        bench.databases.rollback(tx, ME).await.unwrap();
        found.others
    };
    assert_eq!(others("").await, ["p/dev/1/a", "p/dev/2/b"]);
    assert_eq!(others("p/dev/2/b").await, ["p/dev/3/c"]);
    bench.done("p/dev/4/d", &["p/dev/1/a", "p/dev/2/b"]).await;
    assert_eq!(others("").await, ["p/dev/3/c", "p/dev/4/d"]);
}

#[tokio::test]
async fn functions_cannot_touch_it() {
    let bench = Bench::new();
    bench.done("p/dev/1/a", &[]).await;
    for sql in [
        "SELECT * FROM _wakeful_once",
        "DELETE FROM _wakeful_once",
        "DROP TABLE _Wakeful_Once",
        "CREATE VIEW v AS SELECT * FROM _wakeful_once; SELECT * FROM v",
        "SELECT effects, result FROM _wakeful_once WHERE key = ?1",
    ] {
        let error = bench.ask(sql).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Denied, "{sql}: {error}");
        assert!(error.message.contains("context.once()"), "{error}");
    }
}

#[tokio::test]
async fn a_transaction_of_another_is_out_of_reach() {
    let bench = Bench::new();
    let tx = bench.begin().await;
    let recall = Recall {
        key: "k".into(),
        prefix: String::new(),
        after: String::new(),
        limit: 1,
    };
    let error = bench
        .databases
        .recall(tx, OTHER, recall.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    bench.databases.release(ME).await;
    let error = bench.databases.recall(tx, ME, recall).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound, "it is over");
}
