//! A database under capture, with the real `sqlite3` shell as the other process that writes.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    event::RowVerb,
    name::{DatabaseName, Scope},
    port::{
        Arrival, Epoch, Kind, Receipt, Reply, Sink, Store, StoreError, Submission, SubmitError,
        Transaction,
    },
};
use wakeful_databases::{
    Capture, CaptureHandle, CaptureOptions, DatabaseUrl, Kinds, Observer, Report, Watched,
};
use wakeful_store::MemoryStore;

/// No condition takes longer than this, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the sink does with submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes them.
    Willing,
    /// It refuses them; nothing is written.
    Refusing,
    /// It writes them and then says that it failed.
    Lying,
}

/// A sink that commits checkpoints to the store and keeps the events.
pub struct TestSink {
    store: Arc<MemoryStore>,
    mood: Mutex<Mood>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    pub submissions: AtomicU32,
}

impl Sink for TestSink {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let mood = *self.mood.lock();
        self.submissions.fetch_add(1, Ordering::SeqCst);
        let (store, kept) = (Arc::clone(&self.store), Arc::clone(&self.arrivals));
        let failed = || SubmitError::Store(StoreError::Failed("as the test wants it".into()));
        Box::pin(async move {
            if mood == Mood::Refusing {
                return Err(failed());
            }
            let transaction = Transaction {
                checkpoints: submission.checkpoint.into_iter().collect(),
                ..Transaction::default()
            };
            store
                .commit(transaction)
                .await
                .map_err(SubmitError::Store)?;
            kept.lock().extend(submission.arrivals);
            match mood {
                Mood::Lying => Err(failed()),
                _ => Ok(Receipt::default()),
            }
        })
    }
}

#[derive(Default)]
pub struct TestObserver(Mutex<Vec<Report>>);

impl Observer for TestObserver {
    fn report(&self, _: &DatabaseName, report: Report) {
        self.0.lock().push(report);
    }
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub path: PathBuf,
    pub store: Arc<MemoryStore>,
    pub sink: Arc<TestSink>,
    pub observer: Arc<TestObserver>,
    pub tables: watch::Sender<Watched>,
    pub poll: Duration,
    pub environment: &'static str,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new(Epoch(1)));
        Self {
            path: folder.path().join("shop.db"),
            folder,
            sink: Arc::new(TestSink {
                store: Arc::clone(&store),
                mood: Mutex::new(Mood::Willing),
                arrivals: Arc::default(),
                submissions: AtomicU32::new(0),
            }),
            store,
            observer: Arc::default(),
            tables: watch::channel(Watched::new()).0,
            poll: Duration::from_millis(500),
            environment: "dev",
            running: None,
        }
    }

    /// With this done in the database, all kinds of changes of `tables` watched, and running.
    pub async fn with(ddl: &str, tables: &[&str]) -> Self {
        let mut bench = Self::new();
        bench.sql(ddl);
        bench.watch(tables);
        bench.start();
        bench.until_captured(tables).await;
        bench
    }

    pub fn watch(&self, tables: &[&str]) {
        self.watch_kinds(tables.iter().map(|table| (*table, Kinds::ALL)));
    }

    pub fn watch_kinds<'a>(&self, tables: impl IntoIterator<Item = (&'a str, Kinds)>) {
        let tables = tables.into_iter();
        self.tables.send_replace(
            tables
                .map(|(table, kinds)| (table.parse().unwrap(), kinds))
                .collect(),
        );
    }

    pub fn start(&mut self) -> CaptureHandle {
        let scope = Scope {
            project: "shop".parse().unwrap(),
            environment: self.environment.parse().unwrap(),
        };
        let url = DatabaseUrl::Sqlite(self.path.clone());
        let mut options =
            CaptureOptions::new(scope, "shop".parse().unwrap(), url, self.tables.subscribe());
        options.poll = self.poll;
        let (capture, handle) = Capture::new(
            options,
            Arc::clone(&self.store) as Arc<dyn Store>,
            Arc::clone(&self.sink) as Arc<dyn Sink>,
            Arc::clone(&self.observer) as Arc<dyn Observer>,
        );
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(capture.run(shutdown.clone()));
        self.running = Some((shutdown, task));
        handle
    }

    pub async fn stop(&mut self) {
        let (shutdown, task) = self.running.take().unwrap();
        shutdown.cancel();
        task.await.unwrap();
    }

    /// Drops the capture wherever it stands.
    pub async fn kill(&mut self) {
        let (_, task) = self.running.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    /// Runs SQL in the shell; its output.
    pub fn sql(&self, sql: &str) -> String {
        let output = self.shell(sql);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn shell(&self, sql: &str) -> Output {
        let mut shell = Command::new("sqlite3")
            .arg("-bail")
            .arg("-batch")
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the sqlite3 shell is installed");
        let mut input = shell.stdin.take().unwrap();
        let script = format!(".timeout 30000\n{sql}\n");
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = shell.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output
    }

    pub fn mood(&self, mood: Mood) {
        *self.sink.mood.lock() = mood;
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.sink.arrivals.lock().clone()
    }

    /// The events so far, each as `verb subject before after`.
    pub fn events(&self) -> Vec<String> {
        let all = self.arrivals();
        all.iter()
            .map(|arrival| {
                let data: Value = serde_json::from_slice(&arrival.data).unwrap();
                let verb = verb(arrival);
                assert_eq!(data["operation"], verb);
                let subject = arrival.subject.as_deref().unwrap();
                format!("{verb} {subject} {} {}", data["before"], data["after"])
            })
            .collect()
    }

    pub fn reports(&self) -> Vec<Report> {
        self.observer.0.lock().clone()
    }

    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "waited for {what}; reports: {:?}; events: {:?}",
                self.reports(),
                self.events().iter().rev().take(20).collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn until_reported(&self, what: &str) {
        let has = |bench: &Self| bench.reports().iter().any(|r| r.to_string().contains(what));
        self.until(what, has).await;
    }

    pub async fn until_events(&self, count: usize) {
        self.until(&format!("{count} events"), |bench| {
            bench.sink.arrivals.lock().len() >= count
        })
        .await;
    }

    /// Waits until triggers for all of `tables` are there.
    pub async fn until_captured(&self, tables: &[&str]) {
        self.until("triggers", |bench| {
            let found = bench.sql(
                "SELECT count(DISTINCT lower(tbl_name)) FROM sqlite_schema \
                 WHERE type = 'trigger' AND name LIKE '\\_wakeful.%' ESCAPE '\\';",
            );
            found.trim() == tables.len().to_string()
        })
        .await;
    }
}

pub fn kinds(verbs: &[RowVerb]) -> Kinds {
    verbs.iter().copied().collect()
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((shutdown, _)) = &self.running {
            shutdown.cancel();
        }
    }
}

/// What an arrival tells of.
pub fn verb(arrival: &Arrival) -> &'static str {
    match &arrival.kind {
        Kind::Verb(verb) => verb,
        Kind::Given(other) => panic!("a table's event is of the kind {other}"),
    }
}
