//! A large object passes through in bounded memory, in and out. Alone in its process, whose
//! peak it measures.

mod support;

use bytes::Bytes;
use futures::StreamExt;
use support::{World, bucket};
use wakeful_objects::Body;

const CHUNK: usize = 64 * 1024;
const SIZE: usize = 256 * 1024 * 1024;
/// Far more than the few stretches that are held, far less than the object. KiB.
const BOUND: u64 = 24 * 1024;

/// The most memory this process ever had, KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_large_object_takes_little_memory() {
    let world = World::new();
    world.put("warm", vec![7; 1024 * 1024]).await.unwrap();
    world.read("warm").await.unwrap();
    let before = peak();
    let chunks =
        futures::stream::iter(0..SIZE / CHUNK).map(|n| Ok(Bytes::from(vec![n as u8; CHUNK])));
    let written = world.put_body("large", Body::new(chunks)).await.unwrap();
    assert_eq!(written.info.size, SIZE as u64);
    let mut body = world
        .buckets
        .get(&bucket(), "large", None)
        .await
        .unwrap()
        .unwrap()
        .body;
    let mut read = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.unwrap();
        assert_eq!(usize::from(chunk[0]), read / CHUNK % 256);
        read += chunk.len();
    }
    assert_eq!(read, SIZE);
    let grown = peak() - before;
    assert!(grown < BOUND, "memory grew by {grown} KiB");
}
