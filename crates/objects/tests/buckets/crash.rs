//! What is on disk after failures and kills: everything the index knows, and nothing else for long.

use wakeful_core::port::StoreError;
use wakeful_objects::{Body, ObjectError};

use crate::support::{Fault, World, blob_files, bucket, noise, until};

#[tokio::test]
async fn what_was_refused_for_certain_leaves_no_blob() {
    let world = World::new();
    world.put("k", "old").await.unwrap();
    world.events();
    for error in [
        StoreError::DiskFull,
        StoreError::ReadOnly("read-only file system".into()),
        StoreError::Failed("?".into()),
    ] {
        world.faults([Fault::Refuse(error)]);
        let error = world.put("k", "new").await.unwrap_err();
        assert!(!error.may_have_happened(), "{error:?}");
        assert_eq!(world.blob_count(), 1);
        assert_eq!(world.read("k").await.unwrap(), "old");
    }
    assert!(world.events().is_empty());
}

/// When the answer of the disk was lost, the blob must stay: the index may refer to it.
#[tokio::test]
async fn what_may_have_happened_keeps_its_blob() {
    for error in [StoreError::Unknown("I/O error".into()), StoreError::Closed] {
        let world = World::new();
        world.faults([Fault::ApplyThen(error.clone())]);
        let answer = world.put("k", "body").await.unwrap_err();
        assert!(answer.may_have_happened(), "{answer:?}");
        assert_eq!(world.read("k").await.unwrap(), "body");

        world.faults([Fault::Refuse(error)]);
        world.put("lost", "body").await.unwrap_err();
        assert_eq!(world.blob_count(), 2);
        let world = world.restart();
        until("the orphan is swept", || world.blob_count() == 1).await;
        assert_eq!(world.read("k").await.unwrap(), "body");
    }
}

#[tokio::test]
async fn a_restart_keeps_what_is_visible_and_sweeps_the_rest() {
    for world in [World::new(), World::durable()] {
        restart_and_sweep(world).await;
    }
}

async fn restart_and_sweep(world: World) {
    world.put("small", "x").await.unwrap();
    world.put("large", noise(900_000)).await.unwrap();
    let headers = wakeful_objects::Headers::default();
    let upload = world
        .buckets
        .begin_upload(&bucket(), "up", headers, None)
        .await
        .unwrap()
        .id;
    world
        .buckets
        .put_part(&bucket(), "up", upload, 1, Body::from(noise(10)))
        .await
        .unwrap();
    // As kills leave them: a blob that was whole, one that was half, and one whose removal failed.
    for orphan in [
        "01/0000000000000001",
        "ff/00000000000000ff",
        "6f/0123456789abcdef",
    ] {
        std::fs::write(world.blobs().join(orphan), "orphan").unwrap();
    }
    std::fs::write(world.blobs().join("00").join("notes.txt"), "not ours").unwrap();
    let world = world.restart();
    until("the orphans are swept", || world.blob_count() == 4).await;
    assert_eq!(world.read("small").await.unwrap(), "x");
    assert_eq!(world.read("large").await.unwrap(), noise(900_000));
    assert_eq!(
        world
            .buckets
            .list_parts(&bucket(), "up", upload)
            .await
            .unwrap()
            .1
            .len(),
        1
    );
    assert!(
        blob_files(&world.blobs())
            .iter()
            .any(|file| file.ends_with("notes.txt"))
    );
}

/// A blob that this run writes has no index entry yet; its number is above the boundary.
#[tokio::test]
async fn what_is_being_written_is_not_swept() {
    let world = World::new();
    let young = world.blobs().join("00").join("7f00000000000000");
    std::fs::write(&young, "on its way").unwrap();
    let old = world.blobs().join("ff").join("00000000000000ff");
    std::fs::write(&old, "orphan").unwrap();
    let world = world.restart();
    // The folders are swept in order: when the last is done, the first was.
    until("the orphan is swept", || !old.exists()).await;
    assert!(young.exists());
    assert_eq!(world.blob_count(), 1);
}

/// Ids that a run with a clock ahead of ours left behind are not written over.
#[tokio::test]
async fn a_clock_that_was_set_back_overwrites_nothing() {
    let world = World::new();
    world.put("a", "first").await.unwrap();
    let before = world.buckets.head(&bucket(), "a").await.unwrap().unwrap();
    world.clock.advance(-3_600_000);
    let world = world.restart();
    world.clock.advance(3_599_000);
    for n in 0..20 {
        world.put(&format!("b{n}"), format!("{n}")).await.unwrap();
    }
    assert_eq!(world.read("a").await.unwrap(), "first");
    world.clock.advance(-3_600_000);
    let after = world.put("a", "second").await.unwrap();
    assert!(
        after.info.generation > before.generation,
        "a key's generation only grows"
    );
}

#[tokio::test]
async fn a_body_of_nothing_known_is_refused_with_its_reason() {
    let world = World::new();
    let error = world.put("", "x").await.unwrap_err();
    assert!(
        matches!(error, ObjectError::Key { length: 0 }) && error.to_string().contains("1 to 1024"),
        "{error}"
    );
}
