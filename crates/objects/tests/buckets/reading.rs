//! Ranges, and readers who are overtaken by writers.

use futures::StreamExt;
use wakeful_objects::{ByteRange, ObjectError};

use crate::support::{World, blob_files, bucket, collect, noise};

#[tokio::test]
async fn ranges_bring_exactly_their_bytes() {
    let world = World::new();
    let body = noise(700_000);
    world.put("k", body.clone()).await.unwrap();
    let from = |first, last| ByteRange::From { first, last };
    for (range, expected) in [
        (from(0, Some(0)), 0..1),
        (from(262_143, Some(262_144)), 262_143..262_145),
        (from(100, None), 100..700_000),
        (from(1, Some(9_999_999)), 1..700_000),
        (ByteRange::Last(5), 699_995..700_000),
        (ByteRange::Last(9_999_999), 0..700_000),
    ] {
        let read = world.read_range("k", Some(range)).await.unwrap().unwrap();
        assert_eq!(read, body[expected], "{range:?}");
    }
    for range in [from(700_000, None), ByteRange::Last(0)] {
        let error = world.read_range("k", Some(range)).await.unwrap_err();
        assert!(
            matches!(error, ObjectError::Range { size: 700_000 }),
            "{error:?}"
        );
    }
    assert_eq!(
        world.read_range("none", Some(from(0, None))).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_reader_keeps_what_it_began_to_read() {
    let world = World::new();
    let old = noise(2_000_000);
    world.put("k", old.clone()).await.unwrap();
    let begun = world
        .buckets
        .get(&bucket(), "k", None)
        .await
        .unwrap()
        .unwrap();
    let mut halfway = world
        .buckets
        .get(&bucket(), "k", None)
        .await
        .unwrap()
        .unwrap()
        .body;
    let first = halfway.next().await.unwrap().unwrap();

    world.put("k", "new").await.unwrap();
    world.buckets.remove(&bucket(), "k").await.unwrap();
    assert_eq!(
        world.blob_count(),
        1,
        "the old blob is kept for its readers"
    );

    assert_eq!(collect(begun.body).await.unwrap(), old);
    let rest = collect(halfway).await.unwrap();
    assert_eq!([first, rest].concat(), old);
    assert_eq!(world.blob_count(), 0, "its last reader took it along");
}

#[tokio::test]
async fn reads_and_overwrites_at_once_never_meet_half_an_object() {
    let world = World::new();
    let bodies: Vec<_> = (1..=20).map(|n| noise(n * 20_000)).collect();
    world.put("k", bodies[0].clone()).await.unwrap();
    let writes = async {
        for body in &bodies {
            world.put("k", body.clone()).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..60 {
            let read = world.read("k").await.unwrap();
            assert!(
                bodies.contains(&read),
                "{} bytes are of no version",
                read.len()
            );
        }
    };
    tokio::join!(writes, reads);
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test]
async fn damage_on_disk_is_an_error_that_names_the_object() {
    let world = World::new();
    world.put("short", noise(600_000)).await.unwrap();
    let file = blob_files(&world.blobs()).remove(0);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(300_000)
        .unwrap();
    let read = world
        .buckets
        .get(&bucket(), "short", None)
        .await
        .unwrap()
        .unwrap();
    let error = collect(read.body).await.unwrap_err();
    assert!(
        matches!(error, ObjectError::Damaged { .. }) && error.to_string().contains("short"),
        "{error}"
    );
    std::fs::remove_file(&file).unwrap();
    let error = world
        .buckets
        .get(&bucket(), "short", None)
        .await
        .unwrap_err();
    assert!(matches!(error, ObjectError::Damaged { .. }), "{error:?}");
    world.put("short", "mended").await.unwrap();
    assert_eq!(world.read("short").await.unwrap(), "mended");
}
