//! A clock that is set forward or back, while running and across a restart.
//!
//! The rules: ids grow whatever the clock says. A key is remembered from when its delivery's id was
//! drawn, so that setting the clock back forgets nothing, and setting it forward lets windows pass
//! early. `ready_at` and `expires_at` are points of time: set forward, waits end and ages run out
//! early; set back, waits last longer by as much.

mod support;

use std::{path::Path, time::Duration};

use wakeful_core::{
    id::{IdSource, RunId},
    port::{Dedup, ExpiredQuery, NewDelivery, ReadyQuery, Store, Sweep, Transaction},
    time::Timestamp,
};
use wakeful_store::SqliteStore;

use support::{NOON, options, work};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn later(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOON.as_millis() + ms)
}

struct Server {
    store: SqliteStore,
    ids: IdSource,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let store = SqliteStore::open(options(folder)).unwrap();
        let ids = IdSource::after(store.greatest_id());
        Self { store, ids }
    }

    /// An event accepted when the clock says `now`; replies its run, and whether it was new.
    async fn accept(&self, now: Timestamp, change: impl FnOnce(&mut NewDelivery)) -> (RunId, bool) {
        let (mut event, mut delivery) = work(&self.ids, "{}");
        (event.key, delivery.id) = (self.ids.event(now), self.ids.run(now));
        (delivery.event, delivery.ready_at) = (event.key, now);
        change(&mut delivery);
        let run = delivery.id;
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        let committed = self.store.commit(transaction).await.unwrap();
        (run, committed.duplicates.is_empty())
    }

    async fn ready(&self, now: Timestamp) -> usize {
        let (_, any) = work(&IdSource::after(0), "");
        let query = ReadyQuery {
            scope: any.scope,
            trigger: any.trigger,
            now,
            after: None,
            limit: 1000,
        };
        self.store.ready(query).await.unwrap().len()
    }
}

/// Every jump of the clock from noon on, in milliseconds from there.
const JUMPS: [i64; 9] = [0, HOUR, 0, DAY, 0, -HOUR, -DAY, DAY, 10];

#[tokio::test]
async fn ids_grow_whatever_the_clock_says() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path());
        let mut last = 0;
        for jump in JUMPS {
            if restart {
                server.store.close();
                server = Server::start(folder.path());
            }
            for _ in 0..3 {
                let (run, new) = server.accept(later(jump), |_| {}).await;
                assert!(new && run.raw() > last, "{jump}: {run}");
                last = run.raw();
            }
            assert!(server.store.greatest_id() >= last);
        }
        let stats = server.store.stats().await.unwrap();
        assert_eq!(stats.queued as usize, JUMPS.len() * 3);
    }
}

#[tokio::test]
async fn a_clock_set_back_forgets_no_key() {
    for restart in [false, true] {
        for (jump, known) in [
            (0, true),
            (HOUR, true),
            (-HOUR, true),
            (-DAY, true),
            // The window has passed, as far as anyone can tell.
            (DAY + HOUR, false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut server = Server::start(folder.path());
            let key = |new: &mut NewDelivery| {
                new.dedup = Some(Dedup {
                    key: "from outside".into(),
                    window: Duration::from_millis(DAY as u64),
                });
            };
            assert!(server.accept(NOON, key).await.1);
            // What is swept goes by the clock as it is now.
            let sweep = Sweep {
                now: later(jump),
                events_before: later(jump - DAY),
                dead_before: None,
            };
            server.store.sweep(sweep).await.unwrap();
            if restart {
                server.store.close();
                server = Server::start(folder.path());
            }
            let (_, new) = server.accept(later(jump), key).await;
            assert_eq!(!new, known, "{jump}, restart {restart}");
        }
    }
}

#[tokio::test]
async fn waits_and_ages_are_points_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let (run, _) = server
        .accept(NOON, |new| {
            new.ready_at = later(HOUR / 2);
            new.expires_at = later(DAY / 2);
        })
        .await;
    for restart in [false, true] {
        if restart {
            server.store.close();
            server = Server::start(folder.path());
        }
        for (jump, ready, expired) in [
            (0, 0, 0),
            (HOUR, 1, 0),
            (-HOUR, 0, 0),
            (-DAY, 0, 0),
            (DAY, 1, 1),
            (HOUR, 1, 0),
        ] {
            let now = later(jump);
            assert_eq!(server.ready(now).await, ready, "{jump}");
            let query = ExpiredQuery { now, after: None };
            let old = server.store.expired(query).await.unwrap().deliveries;
            assert_eq!(old.len(), expired, "{jump}");
            // What is too old is not started, and is not lost: someone writes down that it died.
            if expired == 1 {
                assert_eq!(server.store.claim(vec![run], now).await.unwrap(), []);
            }
        }
    }
    let claimed = server.store.claim(vec![run], later(HOUR)).await.unwrap();
    assert_eq!(claimed.len(), 1, "the clock is right again");
}

#[tokio::test]
async fn a_sweep_with_a_clock_set_back_drops_nothing_early() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut events = Vec::new();
    for jump in [0, HOUR] {
        let (mut event, _) = work(&server.ids, "{}");
        event.key = server.ids.event(later(jump));
        events.push(event.key);
        let transaction = Transaction {
            events: vec![event],
            ..Transaction::default()
        };
        server.store.commit(transaction).await.unwrap();
    }
    let sweep = |now: Timestamp| Sweep {
        now,
        events_before: Timestamp::from_millis(now.as_millis() - DAY),
        dead_before: None,
    };
    for jump in [-DAY, -HOUR, HOUR, DAY - 1] {
        assert_eq!(
            server.store.sweep(sweep(later(jump))).await.unwrap(),
            0,
            "{jump}"
        );
    }
    assert_eq!(server.store.sweep(sweep(later(DAY + 1))).await.unwrap(), 1);
    assert!(server.store.event(events[1]).await.unwrap().is_some());
}
