//! The history: what was recorded can be found, is kept within bounds, and may be lost.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    id::RunId,
    port::Clock,
    run::{Attempt, LogLevel, LogLine, LogStream, Run, RunKind, RunState},
    time::Timestamp,
};
use wakeful_store::{History, HistoryOptions, LogsQuery, RunsQuery};

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn open(folder: &Path) -> History {
    History::open(HistoryOptions::new(
        folder,
        Arc::new(Settable(Mutex::new(NOON))),
    ))
    .unwrap()
}

fn id(number: i64) -> RunId {
    RunId::from_raw(RunId::first_at(NOON).raw() + number)
}

fn run(number: i64, function: &str, state: RunState) -> Run {
    Run {
        id: id(number),
        kind: RunKind::Delivery,
        function: function.parse().unwrap(),
        trigger: Some(wakeful_core::name::TriggerId::from_stored("f/x")),
        event: Some(wakeful_core::id::EventId::from_raw(number)),
        about: format!("photos/{number}.jpg created"),
        state,
        accepted_at: NOON,
        ended_at: (state == RunState::Succeeded).then_some(NOON),
        attempts: 1,
        status: Some(200),
        failure: (state == RunState::Dead)
            .then(|| Failure::ours(FailureKind::Crash, "it \"crashed\"\n")),
    }
}

fn attempt(number: i64, nth: u32) -> Attempt {
    Attempt {
        run: id(number),
        number: nth,
        version: "abc".into(),
        worker: 42,
        cold: nth == 1,
        started_at: NOON,
        waited_us: 5,
        took_us: 7,
        result: Some("{}".into()),
        failure: None,
        charged: true,
        batch: None,
    }
}

fn line(number: Option<i64>, level: LogLevel, text: &str) -> LogLine {
    LogLine {
        at: NOON,
        function: "thumbnail".parse().unwrap(),
        run: number.map(id),
        attempt: number.map(|_| 1),
        worker: 42,
        level,
        stream: if number.is_some() {
            LogStream::Console
        } else {
            LogStream::Stderr
        },
        text: text.to_owned(),
        fields: Some("{\"a\":1}".into()),
    }
}

async fn found(history: &History, query: RunsQuery) -> Vec<i64> {
    let runs = history
        .runs(RunsQuery {
            limit: query.limit.max(1),
            ..query
        })
        .await
        .unwrap();
    runs.iter().map(|run| run.id.raw() - id(0).raw()).collect()
}

#[tokio::test]
async fn runs_are_found_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    let states = [
        RunState::Succeeded,
        RunState::Dead,
        RunState::Running,
        RunState::Failed,
        RunState::Succeeded,
        RunState::Dead,
    ];
    for (number, state) in (0..).zip(states) {
        let function = if number < 3 { "thumbnail" } else { "other" };
        history.record_run(run(number, function, RunState::Queued));
        history.record_run(run(number, function, state));
    }
    history.flush().await.unwrap();
    let all = || RunsQuery {
        limit: 10,
        ..RunsQuery::default()
    };
    let function = |name: &str| Some(name.parse().unwrap());
    let state = |state| RunsQuery {
        state: Some(state),
        ..all()
    };
    let cases = [
        (all(), vec![5, 4, 3, 2, 1, 0]),
        (RunsQuery { limit: 2, ..all() }, vec![5, 4]),
        (
            RunsQuery {
                before: Some(id(4)),
                limit: 2,
                ..all()
            },
            vec![3, 2],
        ),
        (
            RunsQuery {
                function: function("thumbnail"),
                ..all()
            },
            vec![2, 1, 0],
        ),
        (
            RunsQuery {
                function: function("nobody"),
                ..all()
            },
            vec![],
        ),
        (state(RunState::Dead), vec![5, 1]),
        (state(RunState::Succeeded), vec![4, 0]),
        (state(RunState::Queued), vec![]),
        (
            RunsQuery {
                function: function("other"),
                ..state(RunState::Dead)
            },
            vec![5],
        ),
        (
            RunsQuery {
                before: Some(id(5)),
                ..state(RunState::Dead)
            },
            vec![1],
        ),
        (
            RunsQuery {
                since: Some(NOON),
                ..all()
            },
            vec![5, 4, 3, 2, 1, 0],
        ),
        (
            RunsQuery {
                since: Some(NOON.plus(Duration::from_millis(1))),
                ..all()
            },
            vec![],
        ),
    ];
    for (query, expected) in cases {
        let what = format!("{query:?}");
        assert_eq!(found(&history, query).await, expected, "{what}");
    }
    assert_eq!(history.dropped(), 0);
}

#[tokio::test]
async fn a_run_is_shown_with_its_attempts_and_lines() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    history.record_run(run(1, "thumbnail", RunState::Running));
    history.record_attempt(Attempt {
        took_us: 1,
        ..attempt(1, 1)
    });
    history.record_attempt(attempt(1, 2));
    history.record_attempt(attempt(1, 1));
    history.record_log(line(Some(1), LogLevel::Info, "first"));
    history.record_log(line(None, LogLevel::Error, "the worker's own"));
    history.record_log(line(Some(1), LogLevel::Warn, "second"));
    history.flush().await.unwrap();
    history.record_run(run(1, "thumbnail", RunState::Dead));
    history.close();
    let history = open(folder.path());
    let detail = history.run(id(1)).await.unwrap().unwrap();
    assert_eq!(detail.run, run(1, "thumbnail", RunState::Dead));
    assert_eq!(detail.attempts, [attempt(1, 1), attempt(1, 2)]);
    let lines: Vec<_> = detail.logs.into_iter().map(|row| row.line).collect();
    assert_eq!(
        lines,
        [
            line(Some(1), LogLevel::Info, "first"),
            line(Some(1), LogLevel::Warn, "second")
        ]
    );
    assert_eq!(history.run(id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn lines_are_found_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    for (number, level) in [
        (Some(1), LogLevel::Debug),
        (Some(2), LogLevel::Info),
        (None, LogLevel::Warn),
        (Some(1), LogLevel::Error),
    ] {
        history.record_log(line(number, level, &format!("{level:?} 100%_")));
    }
    let mut other = line(Some(3), LogLevel::Error, "x");
    other.function = "other".parse().unwrap();
    other.at = NOON.plus(Duration::from_secs(5));
    history.record_log(other);
    history.flush().await.unwrap();
    let all = || LogsQuery {
        limit: 10,
        ..LogsQuery::default()
    };
    let rows = history.logs(all()).await.unwrap();
    assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    let cases = [
        (all(), vec![0, 1, 2, 3, 4]),
        (LogsQuery { limit: 2, ..all() }, vec![3, 4]),
        (
            LogsQuery {
                after_seq: Some(seqs[1]),
                limit: 2,
                ..all()
            },
            vec![2, 3],
        ),
        (
            LogsQuery {
                after_seq: Some(seqs[4]),
                ..all()
            },
            vec![],
        ),
        (
            LogsQuery {
                run: Some(id(1)),
                ..all()
            },
            vec![0, 3],
        ),
        (
            LogsQuery {
                level: Some(LogLevel::Warn),
                ..all()
            },
            vec![2, 3, 4],
        ),
        (
            LogsQuery {
                contains: Some("o 100%_".into()),
                ..all()
            },
            vec![1],
        ),
        (
            LogsQuery {
                contains: Some("ERROR".into()),
                ..all()
            },
            vec![],
        ),
        (
            LogsQuery {
                since: Some(NOON.plus(Duration::from_secs(1))),
                ..all()
            },
            vec![4],
        ),
        (
            LogsQuery {
                function: Some("thumbnail".parse().unwrap()),
                limit: 1,
                ..all()
            },
            vec![3],
        ),
        (
            LogsQuery {
                function: Some("nobody".parse().unwrap()),
                ..all()
            },
            vec![],
        ),
    ];
    for (query, expected) in cases {
        let what = format!("{query:?}");
        let found = history.logs(query).await.unwrap();
        let expected: Vec<i64> = expected.into_iter().map(|at: usize| seqs[at]).collect();
        assert_eq!(
            found.iter().map(|row| row.seq).collect::<Vec<_>>(),
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn numbers_of_lines_grow_over_retention_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Settable(Mutex::new(NOON)));
    let options = HistoryOptions {
        clock: clock.clone(),
        ..HistoryOptions::new(folder.path(), clock.clone())
    };
    let history = History::open(options.clone()).unwrap();
    history.record_log(line(Some(1), LogLevel::Info, "old"));
    history.record_run(run(1, "thumbnail", RunState::Succeeded));
    history.record_attempt(attempt(1, 1));
    history.flush().await.unwrap();
    let all = LogsQuery {
        limit: 10,
        ..LogsQuery::default()
    };
    let old = history.logs(all.clone()).await.unwrap()[0].seq;
    history.close();
    *clock.0.lock() = NOON.plus(options.retention + Duration::from_secs(1));
    // The retention is looked after at the start.
    let history = History::open(options).unwrap();
    until(async || history.logs(all.clone()).await.unwrap().is_empty()).await;
    assert_eq!(history.run(id(1)).await.unwrap(), None);
    history.record_log(line(Some(1), LogLevel::Info, "new"));
    history.flush().await.unwrap();
    assert!(history.logs(all).await.unwrap()[0].seq > old);
}

struct Settable(Mutex<Timestamp>);

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

async fn until(condition: impl AsyncFn() -> bool) {
    for _ in 0..3_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within 30 s");
}

#[tokio::test]
async fn the_oldest_goes_when_there_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let options = HistoryOptions::new(folder.path(), Arc::new(Settable(Mutex::new(NOON))));
    let history = History::open(options.clone()).unwrap();
    for number in 0..30_000 {
        history.record_run(run(number, "thumbnail", RunState::Succeeded));
        history.record_log(line(
            Some(number),
            LogLevel::Info,
            "some words that take room",
        ));
    }
    history.flush().await.unwrap();
    history.close();
    let file = folder.path().join("history.db");
    let before = std::fs::metadata(&file).unwrap().len();
    assert!(before > 4 << 20, "{before}");
    let bounded = HistoryOptions {
        max_bytes: 2 << 20,
        ..options
    };
    let history = History::open(bounded).unwrap();
    until(async || history.run(id(10_000)).await.unwrap().is_none()).await;
    history.record_run(run(40_000, "thumbnail", RunState::Succeeded));
    history.flush().await.unwrap();
    assert_eq!(found(&history, RunsQuery::default()).await, [40_000]);
    assert!(
        history.run(id(29_999)).await.unwrap().is_some(),
        "the newest stay"
    );
}

#[tokio::test]
async fn a_history_that_cannot_be_used_is_set_aside() {
    let newer = |file: &Path| {
        let conn = rusqlite::Connection::open(file).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
    };
    let garbage = |file: &Path| std::fs::write(file, vec![7; 10_000]).unwrap();
    let torn = |file: &Path| {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..4096 + 100]).unwrap();
    };
    for harm in [&newer as &dyn Fn(&Path), &garbage, &torn] {
        let folder = tempfile::tempdir().unwrap();
        let history = open(folder.path());
        history.record_run(run(1, "thumbnail", RunState::Succeeded));
        history.close();
        harm(&folder.path().join("history.db"));
        let history = open(folder.path());
        assert_eq!(history.run(id(1)).await.unwrap(), None);
        history.record_run(run(2, "thumbnail", RunState::Succeeded));
        history.flush().await.unwrap();
        assert_eq!(found(&history, RunsQuery::default()).await, [2]);
        let names = std::fs::read_dir(folder.path()).unwrap();
        let aside = format!("history.db.damaged-{}", NOON.as_millis());
        assert!(
            names
                .map(|entry| entry.unwrap().file_name())
                .any(|name| name == *aside)
        );
    }
}

#[tokio::test]
async fn a_history_that_is_only_locked_stays() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    history.record_run(run(1, "thumbnail", RunState::Succeeded));
    history.close();
    // A log that is no file hinders SQLite, and says nothing about the history.
    let log = folder.path().join("history.db-wal");
    std::fs::create_dir(&log).unwrap();
    let options = HistoryOptions::new(folder.path(), Arc::new(Settable(Mutex::new(NOON))));
    assert!(History::open(options).is_err());
    std::fs::remove_dir(&log).unwrap();
    let history = open(folder.path());
    assert!(history.run(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn the_last_of_the_disk_is_not_for_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let options = HistoryOptions {
        reserve: u64::MAX,
        ..HistoryOptions::new(folder.path(), Arc::new(Settable(Mutex::new(NOON))))
    };
    let history = History::open(options).unwrap();
    history.record_run(run(1, "thumbnail", RunState::Succeeded));
    history.flush().await.unwrap();
    assert_eq!(
        (history.run(id(1)).await.unwrap(), history.dropped()),
        (None, 1)
    );
}

#[tokio::test]
async fn what_becomes_damaged_while_open_is_set_aside_too() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    for number in 0..20_000 {
        history.record_run(run(number, "thumbnail", RunState::Dead));
    }
    history.flush().await.unwrap();
    history.close();
    let file = folder.path().join("history.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // All pages but the first, which the schema stands in, and those that opening looks at.
    let last = bytes.len() - 1024 * 1024;
    bytes[256 * 1024..last].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    let history = open(folder.path());
    let aside = folder
        .path()
        .join(format!("history.db.damaged-{}", NOON.as_millis()));
    let mut number = 0;
    until(async || {
        for number in 0..20_000 {
            history.record_run(run(number, "thumbnail", RunState::Succeeded));
        }
        history.flush().await.unwrap();
        aside.exists()
    })
    .await;
    number += 50_000;
    history.record_run(run(number, "thumbnail", RunState::Succeeded));
    history.flush().await.unwrap();
    assert_eq!(found(&history, RunsQuery::default()).await, [number]);
}

#[tokio::test]
async fn too_much_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    let text = "x".repeat(60 * 1024);
    let lines = 4_000;
    for _ in 0..lines {
        history.record_log(line(Some(1), LogLevel::Info, &text));
    }
    history.flush().await.unwrap();
    history.close();
    history.record_log(line(Some(1), LogLevel::Info, "too late"));
    let dropped = history.dropped();
    assert!(dropped > 1, "240 MB at once are more than the queue takes");
    let count: i64 = rusqlite::Connection::open(folder.path().join("history.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM logs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count as u64 + dropped, lines + 1);
}
