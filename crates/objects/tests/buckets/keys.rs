//! Keys are any text, and nothing of them reaches the file system.

use std::collections::BTreeSet;

use proptest::test_runner::{Config, TestRunner};
use wakeful_objects::ObjectError;

use crate::support::{World, blob_files, bucket};

const ODD: &[&str] = &[
    "../x",
    "../../../../etc/passwd",
    "/",
    "//",
    "/abs",
    ".",
    "..",
    "a",
    "a/b",
    "a/",
    "a//b",
    "a/./b",
    "%2e%2e/x",
    "ü/ñ/漢字/🦀",
    "\u{1}\u{7f}",
    "\n\r\t",
    "\0",
    "nul\0byte",
    " ",
    "a b+c&d?e#f",
    "CON",
    "\u{202e}x",
    "*?<>|:\"\\",
    "00/0000000000000000",
    "\u{10ffff}",
];

#[tokio::test]
async fn odd_keys_are_as_good_as_any() {
    let world = World::new();
    let longest = "k".repeat(1024);
    let keys = || ODD.iter().copied().chain([longest.as_str()]);
    for key in keys() {
        world.put(key, format!("body of {key}")).await.unwrap();
    }
    for key in keys() {
        assert_eq!(
            world.read(key).await.unwrap(),
            format!("body of {key}"),
            "{key:?}"
        );
    }
    assert_only_blobs(&world, ODD.len() + 1);
    for key in keys() {
        assert!(
            world.buckets.remove(&bucket(), key).await.unwrap(),
            "{key:?}"
        );
    }
    assert_only_blobs(&world, 0);
    for (key, length) in [(String::new(), 0), ("k".repeat(1025), 1025)] {
        match world.put(&key, "x").await {
            Err(ObjectError::Key { length: found }) => assert_eq!(found, length),
            other => panic!("{other:?}"),
        }
    }
}

/// Every file lies at `<2 hex>/<16 hex>`, and there are as many as objects.
fn assert_only_blobs(world: &World, count: usize) {
    let root = world.blobs();
    let files = blob_files(&root);
    assert_eq!(files.len(), count);
    for file in files {
        let inside = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let hex = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let (folder, name) = inside.split_once('/').unwrap();
        assert!(
            folder.len() == 2 && name.len() == 16 && hex(folder) && hex(name),
            "{inside}"
        );
    }
    let beside: Vec<_> = std::fs::read_dir(root.parent().unwrap()).unwrap().collect();
    assert_eq!(
        beside.len(),
        1,
        "nothing lies beside the folder of the blobs"
    );
}

#[test]
fn any_text_is_a_key_of_its_own() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let world = World::new();
    let texts = "\\PC{1,40}|[./\\\\\\x00-\\x1f]{1,12}";
    let keys = proptest::collection::btree_set(texts, 1..12);
    let mut runner = TestRunner::new(Config::with_cases(32));
    let case = |keys: BTreeSet<String>| {
        runtime.block_on(async {
            for key in &keys {
                world.put(key, key.clone()).await.unwrap();
            }
            for key in &keys {
                assert_eq!(world.read(key).await.unwrap(), *key);
            }
            assert_only_blobs(&world, keys.len());
            for key in &keys {
                assert!(world.buckets.remove(&bucket(), key).await.unwrap());
            }
        });
        Ok(())
    };
    runner.run(&keys, case).unwrap();
}
