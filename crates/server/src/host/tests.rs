//! Calls over a store in memory, with real databases and buckets.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use wakeful_core::{
    event::{Event, Lineage},
    flow::OnUnknown,
    id::{EventId, IdSource},
    name::{DatabaseName, TriggerId},
    port::{Delivery, Epoch, EventsQuery, Keys, NewDelivery, Transaction},
};
use wakeful_databases::{DatabaseUrl, Memory, Recall, Remember, Target};
use wakeful_store::{History, HistoryOptions, MemoryStore};

use super::*;
use crate::{
    attempts::{Effects, Underway},
    dispatcher,
    live::Live,
    options::Mode,
    vault::Vault,
};

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    host: HostCalls,
    store: MemoryStore,
    ids: Arc<IdSource>,
    folder: tempfile::TempDir,
}

const MANIFEST: &str = "name = \"p\"\n[topic.\"orders.*\"]\n[bucket.files]\n\
                        [database.books]\nurl = \"sqlite:books.db\"\n\
                        [function.f]\n[[function.f.on]]\ntopic = \"orders.new\"\n";

impl World {
    fn new() -> Self {
        Self::with(Mode::Dev)
    }

    fn with(mode: Mode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("functions")).unwrap();
        std::fs::write(folder.path().join("wakeful.toml"), MANIFEST).unwrap();
        std::fs::write(folder.path().join("functions/f.js"), "").unwrap();
        let environment = "dev".parse().unwrap();
        let project = match crate::deploy::read(folder.path(), &environment) {
            Ok(loaded) => loaded.project,
            Err(error) => panic!("{error}"),
        };
        let store = MemoryStore::new(Epoch(1));
        let port: Arc<dyn Store> = Arc::new(store.clone());
        let clock: Arc<dyn Clock> = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let history = HistoryOptions::new(folder.path(), Arc::clone(&clock));
        let vault = Arc::new(Vault::open(folder.path()).unwrap());
        let recorder = Recorder::new(History::open(history).unwrap(), vault);
        let scope = project.scope();
        let live = LiveCell::new(Live::new(project, Vec::new()));
        let ids = Arc::new(IdSource::after(0));
        let attempts = Attempts::default();
        let dispatcher = Dispatcher::new(dispatcher::Parts {
            scope: scope.clone(),
            store: Arc::clone(&port),
            live: live.clone(),
            recorder: recorder.clone(),
            attempts: attempts.clone(),
            ids: Arc::clone(&ids),
            clock: Arc::clone(&clock),
            runtime: Handle::current(),
        });
        let options = wakeful_objects::Options {
            folder: folder.path().join("objects"),
            scope: scope.clone(),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let sink = Arc::new(dispatcher.clone());
        let buckets = Buckets::open(options, Arc::clone(&port), sink).unwrap();
        buckets.set_buckets(["files".parse().unwrap()].into());
        let databases = Databases::new(wakeful_databases::Options::default());
        let target = Target {
            url: DatabaseUrl::Sqlite(folder.path().join("books.db")),
            capture: None,
        };
        databases.set(BTreeMap::from([(books(), target)]));
        let host = HostCalls::new(Parts {
            scope,
            grants: Grants::new(live.clone(), mode, Arc::new(|_| ())),
            live,
            buckets,
            databases,
            dispatcher,
            attempts,
            store: port,
            recorder,
            clock,
            runtime: Handle::current(),
        });
        Self {
            host,
            store,
            ids,
            folder,
        }
    }

    fn parts(&self) -> &Parts {
        &self.host.parts
    }

    /// A delivery that was claimed by a run drawn so long ago.
    async fn owed(&self, ago: Duration) -> (Delivery, Event) {
        let now = Timestamp::from_millis(self.host.now().as_millis() - ago.as_millis() as i64);
        let event = Event {
            key: self.ids.event(now),
            origin: "topic:orders.new".parse().unwrap(),
            id: "1".into(),
            source: "/s".into(),
            kind: "orders.new".into(),
            subject: None,
            time: now,
            content_type: "application/json".into(),
            data: Bytes::from_static(b"1"),
            extensions: BTreeMap::new(),
            lineage: Lineage::default(),
        };
        let delivery = NewDelivery {
            id: self.old_run(ago),
            scope: self.parts().scope.clone(),
            event: event.key,
            trigger: TriggerId::from_stored("f/topic.orders.new.default"),
            function: "f".parse().unwrap(),
            keys: Keys::default(),
            key_limit: None,
            blocks: false,
            on_unknown: OnUnknown::Retry,
            debounce: None,
            ready_at: now,
            expires_at: now.plus(Duration::from_secs(100_000)),
            claimed: true,
            dead: None,
            dedup: None,
        };
        let run = delivery.id;
        let transaction = Transaction {
            events: vec![event.clone()],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        self.store.commit(transaction).await.unwrap();
        (self.store.delivery(run).await.unwrap().unwrap(), event)
    }

    fn old_run(&self, ago: Duration) -> RunId {
        let at = Timestamp::from_millis(self.host.now().as_millis() - ago.as_millis() as i64);
        let serial = self.ids.draw(self.host.now()) & 0xff;
        RunId::from_raw(RunId::first_at(at).raw() + serial)
    }

    async fn ask(&self, run: RunId, op: &str, params: Value) -> Result<Value, HostError> {
        self.ask_with(run, op, params, Bytes::new()).await
    }

    async fn ask_with(
        &self,
        run: RunId,
        op: &str,
        params: Value,
        body: impl Into<Bytes>,
    ) -> Result<Value, HostError> {
        let call = HostCall {
            scope: self.parts().scope.clone(),
            function: "f".parse().unwrap(),
            version: "v1".into(),
            run: Some((run, 1)),
            running: true,
            op: op.to_owned(),
            params: Bytes::from(params.to_string()),
            body: Body::Full(body.into()),
        };
        let reply = self.host.call(call).await?;
        Ok(serde_json::from_slice(&reply.head).unwrap())
    }

    fn serving(&self, (delivery, event): &(Delivery, Event)) -> Underway {
        self.parts()
            .attempts
            .serving((delivery.id, 1), [(delivery, event)])
    }

    /// The attempt's code ends; what it has gathered.
    async fn end(&self, underway: &Underway, run: RunId) -> Effects {
        self.host
            .ended(&self.parts().scope, &"f".parse().unwrap(), run, 1);
        underway.certain().await.unwrap();
        underway.take(run)
    }

    async fn events(&self) -> usize {
        let query = EventsQuery {
            from: EventId::from_raw(0),
            before: EventId::from_raw(i64::MAX),
            limit: 100,
        };
        self.store.events(query).await.unwrap().len()
    }

    /// The keys of all memories in the database.
    async fn memories(&self) -> Vec<String> {
        let databases = &self.parts().databases;
        let owner = Owner(99);
        let tx = databases.begin(&books(), owner).await.unwrap();
        let recall = Recall {
            key: String::new(),
            prefix: "p/dev/".into(),
            after: String::new(),
            limit: 100,
        };
        let found = databases.recall(tx, owner, recall).await.unwrap();
        databases.rollback(tx, owner).await.unwrap();
        found.others
    }

    async fn memory(&self, key: &str) {
        let databases = &self.parts().databases;
        let owner = Owner(99);
        let tx = databases.begin(&books(), owner).await.unwrap();
        let remember = Remember {
            key: key.to_owned(),
            at: 0,
            memory: Memory {
                effects: "{\"v\":1,\"effects\":[]}".into(),
                result: None,
            },
            forget: Vec::new(),
        };
        databases.remember(tx, owner, remember).await.unwrap();
        databases.commit(tx, owner).await.unwrap();
    }

    fn refused(error: &HostError, code: HostErrorCode, text: &str) {
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(text), "{text}: {error}");
    }
}

fn books() -> DatabaseName {
    "books".parse().unwrap()
}

const JUST_NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn what_is_published_is_on_disk_with_its_cause() {
    let world = World::new();
    let owed = world.owed(JUST_NOW).await;
    let _underway = world.serving(&owed);
    let events =
        json!({ "events": [{ "topic": "orders.new", "length": 1 }, { "topic": "orders.x" }] });
    let reply = world
        .ask_with(owed.0.id, "publish", events, "7")
        .await
        .unwrap();
    assert_eq!(reply["duplicates"], 0);
    let id: EventId = reply["ids"][0].as_str().unwrap().parse().unwrap();
    let event = world.store.event(id).await.unwrap().unwrap();
    assert_eq!(
        (&event.kind[..], &event.data[..]),
        ("orders.new", &b"7"[..])
    );
    let cause = Lineage {
        run: Some(owed.0.id),
        parent: Some(owed.1.key),
        depth: 1,
        replay_of: None,
    };
    assert_eq!(event.lineage, cause);
    assert_eq!(world.store.deliveries_of(id).await.unwrap().len(), 1);
    let put = json!({ "bucket": "files", "key": "a" });
    world
        .ask_with(owed.0.id, "bucket.put", put, "x")
        .await
        .unwrap();
    let children = world.store.children(owed.1.key).await.unwrap();
    assert_eq!(children.len(), 3, "the bucket's event has the cause too");
}

#[tokio::test]
async fn all_events_of_a_call_are_taken_or_none() {
    let world = World::new();
    let run = world.old_run(JUST_NOW);
    let moon = json!({ "events": [{ "topic": "orders.new" }, { "topic": "moon" }] });
    let error = world.ask(run, "publish", moon).await.unwrap_err();
    World::refused(&error, HostErrorCode::NotFound, "[topic.\"moon\"]");
    let large = Bytes::from(vec![b' '; 6 * 1024 * 1024 + 1]);
    let one = json!({ "events": [{ "topic": "orders.new", "length": large.len() }] });
    let error = world
        .ask_with(run, "publish", one, large)
        .await
        .unwrap_err();
    World::refused(&error, HostErrorCode::TooLarge, "bucket");
    assert_eq!(world.events().await, 0);
    let strict = World::with(Mode::Serve);
    let event = json!({ "events": [{ "topic": "orders.new" }] });
    let error = strict.ask(run, "publish", event).await.unwrap_err();
    World::refused(
        &error,
        HostErrorCode::Denied,
        "access = { topic = [\"orders.*\"] }",
    );
}

#[tokio::test]
async fn effects_are_gathered_and_nothing_of_them_happens() {
    let world = World::new();
    let owed = world.owed(JUST_NOW).await;
    let run = owed.0.id;
    let underway = world.serving(&owed);
    let before = world.events().await;
    let begun = world
        .ask(run, "once.begin", json!({ "name": "a" }))
        .await
        .unwrap();
    let once = begun["id"].clone();
    assert_eq!(begun, json!({ "done": false, "id": once }));
    let publish = json!({ "once": once, "events": [{ "topic": "orders.new", "delayMs": 5 }] });
    assert_eq!(
        world.ask(run, "once.publish", publish).await.unwrap(),
        json!({})
    );
    let put = json!({ "once": once, "bucket": "files", "key": "k" });
    let stored = world.ask_with(run, "once.put", put, "abc").await.unwrap();
    assert_eq!(stored["size"], 3);
    let remove = json!({ "once": once, "bucket": "files", "key": "other" });
    world.ask(run, "once.remove", remove).await.unwrap();
    let wrong = json!({ "once": once, "events": [{ "topic": "moon" }] });
    let error = world.ask(run, "once.publish", wrong).await.unwrap_err();
    World::refused(&error, HostErrorCode::NotFound, "moon");
    let twice = world
        .ask(run, "once.begin", json!({ "name": "a" }))
        .await
        .unwrap_err();
    World::refused(&twice, HostErrorCode::Conflict, "once(`a`)");
    world
        .ask(run, "once.commit", json!({ "once": once, "result": 7 }))
        .await
        .unwrap();
    let over = world
        .ask(run, "once.abort", json!({ "once": once }))
        .await
        .unwrap_err();
    World::refused(&over, HostErrorCode::Invalid, "over");
    let aborted = world
        .ask(run, "once.begin", json!({ "name": "b" }))
        .await
        .unwrap();
    let publish = json!({ "once": aborted["id"], "events": [{ "topic": "orders.new" }] });
    world.ask(run, "once.publish", publish).await.unwrap();
    world
        .ask(run, "once.abort", json!({ "once": aborted["id"] }))
        .await
        .unwrap();
    let effects = world.end(&underway, run).await;
    assert_eq!((effects.arrivals.len(), effects.staged.len()), (1, 2));
    assert!(effects.arrivals[0].wishes.not_before.is_some());
    assert_eq!(effects.arrivals[0].lineage.parent, Some(owed.1.key));
    assert_eq!(world.events().await, before);
    let late = world
        .ask(run, "once.begin", json!({ "name": "c" }))
        .await
        .unwrap_err();
    World::refused(&late, HostErrorCode::Invalid, "over");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let owed = world.owed(JUST_NOW).await;
    let run = owed.0.id;
    let _underway = world.serving(&owed);
    for params in [
        json!({ "name": "" }),
        json!({ "name": "x".repeat(129) }),
        json!({ "name": "a", "run": "run_0000000000009" }),
        json!({ "name": "a", "run": "nonsense" }),
    ] {
        let error = world
            .ask(run, "once.begin", params.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code, HostErrorCode::Invalid, "{params}: {error}");
    }
    let moon = json!({ "name": "a", "database": "moon" });
    let error = world.ask(run, "once.begin", moon).await.unwrap_err();
    World::refused(&error, HostErrorCode::NotFound, "moon");
    let begun = world
        .ask(run, "once.begin", json!({ "name": "a" }))
        .await
        .unwrap();
    let large = "x".repeat(256 * 1024);
    let large = json!({ "once": begun["id"], "result": large });
    let error = world.ask(run, "once.commit", large).await.unwrap_err();
    World::refused(&error, HostErrorCode::TooLarge, "key");
    let error = world
        .ask(run, "once.commit", json!({ "once": 99 }))
        .await
        .unwrap_err();
    World::refused(&error, HostErrorCode::Invalid, "over");
    for run in [None, Some((run, 1))] {
        let call = HostCall {
            scope: world.parts().scope.clone(),
            function: "f".parse().unwrap(),
            version: "v1".into(),
            run,
            running: false,
            op: "once.begin".into(),
            params: Bytes::from_static(b"{\"name\":\"a\"}"),
            body: Body::empty(),
        };
        let error = world.host.call(call).await.unwrap_err();
        World::refused(&error, HostErrorCode::Invalid, "handler");
    }
}

#[tokio::test]
async fn a_transaction_that_committed_is_not_done_again_and_its_effects_apply_all_the_same() {
    let world = World::new();
    let owed = world.owed(JUST_NOW).await;
    let run = owed.0.id;
    let first = world.serving(&owed);
    let begin = json!({ "name": "book", "database": "books" });
    let begun = world.ask(run, "once.begin", begin.clone()).await.unwrap();
    let (once, tx) = (begun["id"].clone(), begun["tx"].clone());
    let sql = json!({ "database": "books", "sql": "create table t(a)", "tx": tx });
    world.ask(run, "db.query", sql).await.unwrap();
    for op in ["db.commit", "db.rollback"] {
        let error = world
            .ask(run, op, json!({ "database": "books", "tx": tx }))
            .await;
        World::refused(&error.unwrap_err(), HostErrorCode::Invalid, "once()");
    }
    let put = json!({ "once": once, "bucket": "files", "key": "k" });
    let error = world
        .ask_with(run, "once.put", put, "abc")
        .await
        .unwrap_err();
    World::refused(&error, HostErrorCode::Invalid, "database");
    let publish =
        json!({ "once": once, "events": [{ "topic": "orders.new", "length": 1, "key": "k" }] });
    world
        .ask_with(run, "once.publish", publish, "7")
        .await
        .unwrap();
    let remove = json!({ "once": once, "bucket": "files", "key": "other" });
    world.ask(run, "once.remove", remove).await.unwrap();
    world
        .ask(
            run,
            "once.commit",
            json!({ "once": once, "result": { "n": 1 } }),
        )
        .await
        .unwrap();
    // The attempt fails: what it has gathered is dropped.
    world
        .host
        .ended(&world.parts().scope, &"f".parse().unwrap(), run, 1);
    drop(first);
    let second = world.serving(&owed);
    let again = world.ask(run, "once.begin", begin.clone()).await.unwrap();
    assert_eq!(again, json!({ "done": true, "result": { "n": 1 } }));
    let twice = world.ask(run, "once.begin", begin).await.unwrap_err();
    assert_eq!(twice.code, HostErrorCode::Conflict);
    let effects = world.end(&second, run).await;
    assert_eq!(effects.staged.len(), 1);
    let arrival = &effects.arrivals[0];
    assert_eq!(
        (&arrival.data[..], arrival.lineage.parent),
        (&b"7"[..], Some(owed.1.key))
    );
    assert_eq!(arrival.wishes.ordering_key.as_deref(), Some("k"));
    assert_eq!(world.parts().databases.open_transactions(), 0);
}

#[tokio::test]
async fn an_attempt_that_ends_leaves_no_transaction_open() {
    let world = World::new();
    let owed = world.owed(JUST_NOW).await;
    let run = owed.0.id;
    let underway = world.serving(&owed);
    let begin = json!({ "name": "book", "database": "books" });
    let begun = world.ask(run, "once.begin", begin.clone()).await.unwrap();
    let sql = json!({ "database": "books", "sql": "create table t(a)", "tx": begun["tx"] });
    world.ask(run, "db.query", sql).await.unwrap();
    assert!(world.end(&underway, run).await.arrivals.is_empty());
    drop(underway);
    let _second = world.serving(&owed);
    let again = world.ask(run, "once.begin", begin).await.unwrap();
    assert_eq!(again["done"], false, "nothing of it was committed");
    world
        .ask(run, "once.abort", json!({ "once": again["id"] }))
        .await
        .unwrap();
    let asked = json!({ "database": "books", "sql": "select * from t" });
    assert!(
        world.ask(run, "db.query", asked).await.is_err(),
        "there is no such table"
    );
    assert!(world.folder.path().join("books.db").exists());
}

#[tokio::test]
async fn memories_of_what_is_not_owed_any_more_are_cleared_away() {
    let world = World::new();
    let hours = |count: u64| Duration::from_secs(count * 3600);
    let kept = world.owed(hours(3)).await.0.id;
    let young = world.old_run(Duration::from_secs(60));
    let mut gone = Vec::new();
    for _ in 0..12 {
        let run = world.old_run(hours(2));
        world.memory(&format!("p/dev/{run}/x")).await;
        gone.push(run);
    }
    for run in [kept, young] {
        world.memory(&format!("p/dev/{run}/x")).await;
    }
    world.memory("p/dev/nonsense/x").await;
    world.memory("other/dev/run/x").await;
    let owed = world.owed(JUST_NOW).await;
    let run = owed.0.id;
    let _underway = world.serving(&owed);
    for turn in 0..4 {
        let begin = json!({ "name": format!("book{turn}"), "database": "books" });
        let begun = world.ask(run, "once.begin", begin).await.unwrap();
        world
            .ask(run, "once.commit", json!({ "once": begun["id"] }))
            .await
            .unwrap();
    }
    let left = world.memories().await;
    let has = |run: RunId| left.iter().any(|key| key.contains(&run.to_string()));
    assert!(gone.iter().all(|run| !has(*run)), "{left:?}");
    assert!(has(kept) && has(young) && has(run), "{left:?}");
    assert!(left.iter().any(|key| key.contains("nonsense")), "{left:?}");
}

#[tokio::test]
async fn a_call_without_a_delivery_applies_its_effects_at_once() {
    let world = World::new();
    let run = world.old_run(JUST_NOW);
    let begin = json!({ "name": "a", "database": "books" });
    let begun = world.ask(run, "once.begin", begin).await.unwrap();
    let publish = json!({ "once": begun["id"], "events": [{ "topic": "orders.new" }] });
    world.ask(run, "once.publish", publish).await.unwrap();
    assert_eq!(world.events().await, 0);
    world
        .ask(run, "once.commit", json!({ "once": begun["id"] }))
        .await
        .unwrap();
    assert_eq!(world.events().await, 1);
    assert!(
        world.memories().await.is_empty(),
        "no other attempt will ask"
    );
    let begun = world
        .ask(run, "once.begin", json!({ "name": "b" }))
        .await
        .unwrap();
    let put = json!({ "once": begun["id"], "bucket": "files", "key": "k" });
    world.ask_with(run, "once.put", put, "abc").await.unwrap();
    let visible = async || {
        let found = world
            .parts()
            .buckets
            .head(&"files".parse().unwrap(), "k")
            .await;
        found.unwrap().is_some()
    };
    assert!(!visible().await);
    world
        .ask(run, "once.commit", json!({ "once": begun["id"] }))
        .await
        .unwrap();
    assert!(visible().await);
    assert_eq!(world.events().await, 2);
}
