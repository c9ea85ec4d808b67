//! A data folder with something of everything in it, and ways to harm it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses its part of it, and one of them uses all"
)]

pub(crate) mod checks;

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use md5::{Digest, Md5};
use rusqlite::Connection;
use wakeful_core::{
    delivery::DeadReason,
    id::{EventId, IdSource, RunId},
    port::{
        BlobId, BlobPart, BucketRef, Checkpoint, CheckpointKey, Claim, Dedup, End, Keys,
        NewDelivery, Object, ObjectChange, ObjectId, Settlement, Store, Transaction, Upload,
        UploadId, UploadPart,
    },
    time::Timestamp,
};
use wakeful_store::{History, HistoryOptions, SqliteStore};

use crate::support::{NOON, options, work};

/// A time at which nothing of the world is young any more.
pub(crate) const LATER: Timestamp = Timestamp::from_millis(NOON.as_millis() + 3 * 86_400_000);

/// What was put into a folder.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    /// Events in the order in which they came.
    pub(crate) events: Vec<EventId>,
    /// Those of the lane of the ordering key `a`.
    pub(crate) lane: Vec<RunId>,
    /// Those of the room of the concurrency key `t`, which has two seats.
    pub(crate) room: Vec<RunId>,
    /// A dead letter.
    pub(crate) dead: RunId,
    /// The files of objects and parts.
    pub(crate) blobs: Vec<PathBuf>,
}

impl World {
    /// The database, opened by hand.
    pub(crate) fn sql(&self) -> Connection {
        Connection::open(self.folder.join("store.db")).unwrap()
    }

    /// Changes the database behind the store's back.
    pub(crate) fn harm(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    /// The payload of event number `at`.
    pub(crate) fn payload(at: usize) -> Vec<u8> {
        let len = if at.is_multiple_of(7) { 9_000 } else { 300 };
        let mut payload = format!("{{\"number\":{at},\"rest\":\"").into_bytes();
        payload.resize(len, b'a' + (at % 26) as u8);
        payload.extend(b"\"}");
        payload
    }
}

/// Makes a world in `folder`, closed as a server leaves it.
pub(crate) async fn world(folder: &Path) -> World {
    let folder = folder.join("data");
    let store = SqliteStore::open(options(&folder)).unwrap();
    let ids = IdSource::after(0);
    let mut events = Vec::new();
    let mut add = async |change: &dyn Fn(&mut NewDelivery)| {
        let (event, mut delivery) = work(&ids, World::payload(events.len()));
        events.push(event.key);
        change(&mut delivery);
        let run = delivery.id;
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
        run
    };
    for _ in 0..60 {
        add(&|_| {}).await;
    }
    let (mut lane, mut room) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        lane.push(add(&|new| new.keys = keys(Some("a"), None)).await);
        add(&|new| new.keys = keys(Some("b"), None)).await;
    }
    for _ in 0..4 {
        room.push(
            add(&|new| {
                new.keys = keys(None, Some("t"));
                new.key_limit = Some(2);
            })
            .await,
        );
    }
    for number in 0..5 {
        let key = format!("from outside {number}");
        add(&|new| {
            new.dedup = Some(Dedup {
                key: key.clone(),
                window: wakeful_core::limits::DEDUP_WINDOW,
            });
        })
        .await;
    }
    let dead = add(&|_| {}).await;
    die(&store, dead).await;
    remember(&store).await;
    let blobs = objects(&store, &folder, &ids).await;
    store.close();
    let clock = options(&folder).clock;
    History::open(HistoryOptions::new(&folder, clock))
        .unwrap()
        .close();
    fs::write(
        folder.join("vault"),
        "wakeful-vault 1 id nonce tag\n{\"secrets\":{}}\n",
    )
    .unwrap();
    fs::write(folder.join("vault.key"), format!("{}=", "A".repeat(43))).unwrap();
    fs::create_dir(folder.join("versions")).unwrap();
    World {
        folder,
        events,
        lane,
        room,
        dead,
        blobs,
    }
}

fn keys(ordering: Option<&str>, concurrency: Option<&str>) -> Keys {
    Keys {
        ordering: ordering.map(str::to_owned),
        concurrency: concurrency.map(str::to_owned),
        ..Keys::default()
    }
}

async fn die(store: &SqliteStore, run: RunId) {
    let claimed = store.claim(vec![run], NOON).await.unwrap();
    let claim = Claim {
        run,
        epoch: store.epoch(),
        start: claimed[0].starts,
    };
    let end = End::Dead {
        reason: DeadReason::TooOld,
        at: NOON,
        failure: None,
    };
    let transaction = Transaction {
        settlements: vec![Settlement { claim, end }],
        ..Transaction::default()
    };
    store.commit(transaction).await.unwrap();
}

async fn remember(store: &SqliteStore) {
    let (_, any) = work(&IdSource::after(0), "");
    let checkpoint = Checkpoint {
        key: CheckpointKey {
            scope: any.scope,
            source: "database:shop".into(),
        },
        value: Bytes::from_static(b"42"),
    };
    let transaction = Transaction {
        checkpoints: vec![checkpoint],
        ..Transaction::default()
    };
    store.commit(transaction).await.unwrap();
}

/// An object of one file, one of two parts, and an upload under way.
async fn objects(store: &SqliteStore, folder: &Path, ids: &IdSource) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut blob = |bytes: &[u8]| {
        let blob = BlobId(ids.draw(NOON));
        let path = folder.join("objects").join(blob.file());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        files.push(path);
        BlobPart {
            blob,
            size: bytes.len() as u64,
        }
    };
    let one = [blob(b"one file")];
    let two = [blob(&[7; 70_000]), blob(b"the rest")];
    let part = blob(b"a part of an upload");
    let parts = [Md5::digest([7; 70_000]), Md5::digest(b"the rest")].concat();
    let upload = UploadId(ids.draw(NOON));
    let changes = vec![
        put(ids, "cat.jpg", &one, hex(&Md5::digest(b"one file"))),
        put(
            ids,
            "film.mp4",
            &two,
            format!("{}-2", hex(&Md5::digest(parts))),
        ),
        ObjectChange::Begin(Upload {
            id: upload,
            at: at("slow.bin"),
            started: NOON,
            meta: Bytes::from_static(b"{}"),
            parts: Vec::new(),
        }),
        ObjectChange::Part(
            upload,
            UploadPart {
                number: 1,
                blob: part,
                etag: hex(&Md5::digest(b"a part of an upload")),
                modified: NOON,
                meta: Bytes::from_static(b"{}"),
            },
        ),
    ];
    let transaction = Transaction {
        objects: changes,
        ..Transaction::default()
    };
    store.commit(transaction).await.unwrap();
    files
}

/// A change that puts an object.
pub(crate) fn put(ids: &IdSource, key: &str, blobs: &[BlobPart], etag: String) -> ObjectChange {
    ObjectChange::Put {
        object: Object {
            at: at(key),
            generation: ids.draw(NOON),
            blobs: blobs.to_vec(),
            size: blobs.iter().map(|part| part.size).sum(),
            etag,
            modified: NOON,
            meta: Bytes::from_static(b"{}"),
        },
        expect: None,
        completes: None,
    }
}

/// An object's place.
pub(crate) fn at(key: &str) -> ObjectId {
    let (_, any) = work(&IdSource::after(0), "");
    ObjectId {
        bucket: BucketRef {
            scope: any.scope,
            name: "photos".parse().unwrap(),
        },
        key: key.to_owned(),
    }
}

/// Hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mode = fs::metadata(from).unwrap().permissions();
    fs::set_permissions(to, mode).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
