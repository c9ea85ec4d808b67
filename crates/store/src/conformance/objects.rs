//! Cases: the object index.

use wakeful_core::port::{
    BlobId, BlobPart, Object, ObjectChange, ObjectsQuery, StoreError, Transaction, UploadId,
};

use super::world::{World, at, bucket, checkpoint, checkpoint_key};

fn put(object: &Object, expect: Option<i64>) -> ObjectChange {
    ObjectChange::Put {
        object: object.clone(),
        expect,
        completes: None,
    }
}

pub(super) async fn put_replace_and_delete(world: World) {
    let first = world.object("a");
    world.change(vec![put(&first, None)]).await.expect("a put");
    assert_eq!(world.get_object("a").await, Some(first.clone()));
    let mut second = world.object("a");
    second.blobs.push(BlobPart {
        blob: BlobId(world.ids.draw(super::world::NOON)),
        size: u64::from(u32::MAX) * 1000,
    });
    second.size = u64::from(u32::MAX) * 1000 + 3;
    world
        .change(vec![put(&second, Some(first.generation))])
        .await
        .expect("a replacement");
    assert_eq!(world.get_object("a").await, Some(second.clone()));
    let delete = ObjectChange::Delete {
        at: at("a"),
        expect: second.generation,
    };
    world.change(vec![delete]).await.expect("a delete");
    assert_eq!(world.get_object("a").await, None);
    let empty = Object {
        blobs: Vec::new(),
        size: 0,
        ..world.object("a")
    };
    world
        .change(vec![put(&empty, None)])
        .await
        .expect("an empty object");
    assert_eq!(world.get_object("a").await, Some(empty));
}

pub(super) async fn a_conflict_applies_nothing(world: World) {
    let there = world.object("there");
    world.change(vec![put(&there, None)]).await.expect("a put");
    let wrong = [
        put(&world.object("there"), None),
        put(&world.object("there"), Some(there.generation + 1)),
        put(&world.object("missing"), Some(1)),
        ObjectChange::Delete {
            at: at("there"),
            expect: there.generation - 1,
        },
        ObjectChange::Delete {
            at: at("missing"),
            expect: 1,
        },
    ];
    for change in wrong {
        let event = world.event("{}");
        let fresh = world.object("fresh");
        let refused = world
            .try_commit(Transaction {
                events: vec![event.clone()],
                deliveries: vec![world.owed(&event)],
                checkpoints: vec![checkpoint("s", "1")],
                objects: vec![put(&fresh, None), change],
                ..Transaction::default()
            })
            .await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(_))),
            "{refused:?}"
        );
        assert!(!world.has_event(event.key).await);
        assert_eq!(world.get_object("fresh").await, None);
        assert_eq!(world.get_object("there").await, Some(there.clone()));
        let blobs = vec![fresh.blobs[0].blob];
        assert_eq!(
            world
                .store()
                .unreferenced(blobs.clone())
                .await
                .expect("blobs"),
            blobs
        );
        let value = world.store().checkpoint(checkpoint_key("s")).await;
        assert_eq!(value.expect("read"), None);
    }
    assert!(world.ready().await.is_empty());
}

pub(super) async fn keys_are_bytes(world: World) {
    let keys = [
        "../../etc/passwd",
        "a",
        "a/",
        "a/k",
        "a\0b",
        "ü",
        "𝄞",
        " ",
        "%2e",
        "A",
    ];
    for key in keys {
        world
            .change(vec![put(&world.object(key), None)])
            .await
            .expect(key);
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(list(&world, "", None, 100).await, sorted);
    for key in keys {
        assert_eq!(
            world.get_object(key).await.map(|object| object.at),
            Some(at(key))
        );
    }
}

async fn list(world: &World, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let query = ObjectsQuery {
        bucket: bucket("dev", "photos"),
        prefix: prefix.into(),
        after: after.map(str::to_owned),
        limit,
    };
    let found = world.store().objects(query).await.expect("a list");
    found.into_iter().map(|object| object.at.key).collect()
}

pub(super) async fn lists_are_by_prefix_and_place(world: World) {
    for key in [
        "a",
        "b/1",
        "b/2",
        "b/3",
        "b0",
        "c\u{10ffff}",
        "c\u{10ffff}x",
        "d",
    ] {
        world
            .change(vec![put(&world.object(key), None)])
            .await
            .expect(key);
    }
    let cases: [(&str, Option<&str>, usize, &[&str]); 9] = [
        ("b/", None, 10, &["b/1", "b/2", "b/3"]),
        ("b/", None, 2, &["b/1", "b/2"]),
        ("b/", Some("b/1"), 10, &["b/2", "b/3"]),
        ("b/", Some("a"), 1, &["b/1"]),
        ("b/", Some("b/3"), 10, &[]),
        ("b/", Some("z"), 10, &[]),
        ("b", Some("b/3"), 10, &["b0"]),
        ("c\u{10ffff}", None, 10, &["c\u{10ffff}", "c\u{10ffff}x"]),
        ("", Some("c"), 0, &[]),
    ];
    for (prefix, after, limit, expected) in cases {
        assert_eq!(
            list(&world, prefix, after, limit).await,
            expected,
            "{prefix} {after:?}"
        );
    }
}

pub(super) async fn buckets_are_apart(world: World) {
    let here = world.object("a");
    let mut elsewhere = [world.object("a"), world.object("a")];
    elsewhere[0].at.bucket = bucket("dev", "thumbnails");
    elsewhere[1].at.bucket = bucket("production", "photos");
    for object in [&here, &elsewhere[0], &elsewhere[1]] {
        world.change(vec![put(object, None)]).await.expect("a put");
    }
    assert_eq!(world.get_object("a").await, Some(here));
    assert_eq!(list(&world, "", None, 10).await, ["a"]);
    for object in elsewhere {
        let found = world
            .store()
            .object(object.at.clone())
            .await
            .expect("an object");
        assert_eq!(found, Some(object));
    }
    let nobody = ObjectsQuery {
        bucket: bucket("dev", "nobody"),
        prefix: String::new(),
        after: None,
        limit: 1,
    };
    assert!(
        world
            .store()
            .objects(nobody)
            .await
            .expect("nothing")
            .is_empty()
    );
}

pub(super) async fn uploads_gather_parts(world: World) {
    let mut upload = world.upload("b");
    let early = world.upload("a");
    let begin = [upload.clone(), early.clone()].map(ObjectChange::Begin);
    world.change(begin.into()).await.expect("begun");
    let (one, two, again) = (world.part(1), world.part(2), world.part(2));
    for part in [&two, &one, &again] {
        let change = ObjectChange::Part(upload.id, part.clone());
        world.change(vec![change]).await.expect("a part");
    }
    let listed = world
        .store()
        .uploads(bucket("dev", "photos"))
        .await
        .expect("uploads");
    assert_eq!(
        listed,
        [early.clone(), upload.clone()],
        "by key, without parts"
    );
    upload.parts = vec![one, again];
    let found = world.store().upload(upload.id).await.expect("an upload");
    assert_eq!(found.as_ref(), Some(&upload));
    let abort = ObjectChange::Abort(upload.id);
    world.change(vec![abort.clone()]).await.expect("an abort");
    world
        .change(vec![abort])
        .await
        .expect("ignored when there is none");
    assert_eq!(world.store().upload(upload.id).await.expect("none"), None);
    let listed = world
        .store()
        .uploads(bucket("dev", "photos"))
        .await
        .expect("uploads");
    assert_eq!(listed, [early]);
    assert!(
        world
            .store()
            .uploads(bucket("dev", "nobody"))
            .await
            .expect("none")
            .is_empty()
    );
}

pub(super) async fn an_upload_becomes_an_object(world: World) {
    let upload = world.upload("big");
    let part = world.part(1);
    let mut object = world.object("big");
    object.blobs = vec![part.blob];
    world
        .change(vec![
            ObjectChange::Begin(upload.clone()),
            ObjectChange::Part(upload.id, part.clone()),
        ])
        .await
        .expect("an upload");
    let complete = |expect| ObjectChange::Put {
        object: object.clone(),
        expect,
        completes: Some(upload.id),
    };
    let refused = world.change(vec![complete(Some(5))]).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert!(
        world
            .store()
            .upload(upload.id)
            .await
            .expect("still there")
            .is_some()
    );
    world.change(vec![complete(None)]).await.expect("completed");
    assert_eq!(world.get_object("big").await, Some(object.clone()));
    assert_eq!(world.store().upload(upload.id).await.expect("none"), None);
    let blobs = vec![part.blob.blob];
    assert!(
        world
            .store()
            .unreferenced(blobs)
            .await
            .expect("in use")
            .is_empty()
    );
    let twice = world.change(vec![complete(Some(object.generation))]).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    assert_eq!(world.get_object("big").await, Some(object));
}

pub(super) async fn uploads_without_their_begin(world: World) {
    let part = world.part(1);
    let refused = world
        .change(vec![ObjectChange::Part(UploadId(77), part.clone())])
        .await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    let blobs = vec![part.blob.blob];
    assert_eq!(
        world
            .store()
            .unreferenced(blobs.clone())
            .await
            .expect("blobs"),
        blobs
    );
    let mut upload = world.upload("a");
    upload.parts = vec![part];
    world
        .change(vec![ObjectChange::Begin(upload.clone())])
        .await
        .expect("with its parts");
    let found = world.store().upload(upload.id).await.expect("an upload");
    assert_eq!(found.as_ref(), Some(&upload));
    let again = world.change(vec![ObjectChange::Begin(upload)]).await;
    assert!(matches!(again, Err(StoreError::Failed(_))), "{again:?}");
}

pub(super) async fn blobs_are_counted(world: World) {
    let mut first = world.object("a");
    let shared = first.blobs[0];
    first.blobs.push(shared);
    let second = Object {
        blobs: vec![shared],
        ..world.object("b")
    };
    let free = async || {
        let asked = vec![shared.blob, BlobId(1)];
        world.store().unreferenced(asked).await.expect("blobs")
    };
    assert_eq!(free().await, [shared.blob, BlobId(1)]);
    world
        .change(vec![put(&first, None), put(&second, None)])
        .await
        .expect("puts");
    assert_eq!(free().await, [BlobId(1)]);
    let delete = |object: &Object| ObjectChange::Delete {
        at: object.at.clone(),
        expect: object.generation,
    };
    world.change(vec![delete(&first)]).await.expect("a delete");
    assert_eq!(free().await, [BlobId(1)]);
    let replacement = world.object("b");
    world
        .change(vec![put(&replacement, Some(second.generation))])
        .await
        .expect("a put");
    assert_eq!(free().await, [shared.blob, BlobId(1)]);
}
