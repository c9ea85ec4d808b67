//! Put, head, delete, copy: what is there afterwards, and which event tells of it.

use bytes::Bytes;
use wakeful_objects::{
    Algorithm, Body, BodyError, Claim, Coverage, Expect, Headers, ObjectError, Written,
};

use crate::support::{World, bucket, chunked, noise, other};

const SMALL: usize = 256 * 1024;

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    let world = World::new();
    for size in [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL, 3 * SMALL + 17] {
        for chunk in [1000, SMALL, 1 << 20] {
            let body = noise(size);
            let written = world.put_body("k", chunked(&body, chunk)).await.unwrap();
            assert_eq!(written.info.size, size as u64);
            assert_eq!(
                world.read("k").await.unwrap(),
                body,
                "{size} in chunks of {chunk}"
            );
            assert_eq!(world.blob_count(), 1, "the replaced blob is gone");
        }
    }
}

#[tokio::test]
async fn etag_and_checksum_are_those_of_s3() {
    let world = World::new();
    let written = world.put("k", "123456789").await.unwrap();
    assert_eq!(written.info.etag, "25f9e794323b453885f5181f1b624d0b");
    let checksum = written.info.checksum.unwrap();
    assert_eq!(
        (checksum.algorithm, checksum.coverage),
        (Algorithm::Crc64Nvme, Coverage::FullObject)
    );
    assert_eq!(checksum.value, "rosUhgp5mIg=");
    let head = world.buckets.head(&bucket(), "k").await.unwrap().unwrap();
    assert_eq!(
        (head.etag.as_str(), head.size),
        ("25f9e794323b453885f5181f1b624d0b", 9)
    );
    assert_eq!(head.headers.content_type.as_deref(), Some("text/plain"));
}

#[tokio::test]
async fn events_tell_what_happened() {
    let world = World::new();
    assert!(!world.put("a/b c.jpg", "one").await.unwrap().replaced);
    assert!(world.put("a/b c.jpg", "three").await.unwrap().replaced);
    assert!(world.buckets.remove(&bucket(), "a/b c.jpg").await.unwrap());
    let events = world.events();
    let verbs: Vec<_> = events.iter().map(|event| event.verb).collect();
    assert_eq!(verbs, ["created", "changed", "removed"]);
    assert!(events.iter().all(|event| event.subject == "a/b c.jpg"));
    let created = &events[0].data;
    assert_eq!(created["bucket"], "photos");
    assert_eq!(created["key"], "a/b c.jpg");
    assert_eq!(created["size"], 3);
    assert_eq!(created["etag"], "f97c5d29941bfb1b2fdab0874906ab82");
    assert_eq!(created["contentType"], "text/plain");
    assert_eq!(created["operation"], "put");
    assert_eq!(events[1].data["size"], 5);
    assert_eq!(events[2].data["operation"], "delete");
    let sequencers: Vec<_> = events
        .iter()
        .map(|event| event.data["sequencer"].as_str().unwrap().to_owned())
        .collect();
    assert!(sequencers.iter().all(|sequencer| sequencer.len() == 16));
    assert!(
        sequencers.is_sorted() && sequencers[0] != sequencers[1] && sequencers[1] != sequencers[2]
    );
}

#[tokio::test]
async fn removing_what_is_not_there_succeeds_without_an_event() {
    let world = World::new();
    assert!(!world.buckets.remove(&bucket(), "nothing").await.unwrap());
    assert!(world.events().is_empty());
    world.put("k", "x").await.unwrap();
    assert!(world.buckets.remove(&bucket(), "k").await.unwrap());
    assert_eq!(world.read("k").await, None);
    assert_eq!(world.blob_count(), 0);
    assert_eq!(world.verbs(), ["created", "removed"]);
}

fn is_length(error: &ObjectError) -> bool {
    matches!(error, ObjectError::Length { .. })
}

/// Bodies whose sender is wrong about them, small and large.
#[tokio::test]
async fn a_body_that_does_not_fit_its_claims_changes_nothing() {
    type Check = fn(&ObjectError) -> bool;
    let world = World::new();
    world.put("k", "good").await.unwrap();
    world.events();
    for size in [10, 3 * SMALL] {
        let body = || chunked(&noise(size), 1000);
        let broken = futures::stream::iter([
            Ok(noise(size)),
            Err(BodyError::Broken("the connection was reset".into())),
        ]);
        let is = |algorithm, value: &str| Claim::Is(algorithm, value.to_owned());
        let follows = |value: Option<&'static str>| {
            Claim::Follows(Algorithm::Crc32, Box::new(move || value.map(str::to_owned)))
        };
        let cases: Vec<(&str, Body, Check)> = vec![
            ("md5", body().with_md5(Some([7; 16])), |e| {
                matches!(e, ObjectError::Md5)
            }),
            (
                "crc32",
                body().with_claim(is(Algorithm::Crc32, "AAAAAA==")),
                |e| matches!(e, ObjectError::Checksum { .. }),
            ),
            (
                "sha256",
                body().with_claim(is(
                    Algorithm::Sha256,
                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                )),
                |e| matches!(e, ObjectError::Checksum { .. }),
            ),
            (
                "malformed",
                body().with_claim(is(Algorithm::Crc32, "x")),
                |e| matches!(e, ObjectError::MalformedChecksum { .. }),
            ),
            (
                "trailer",
                body().with_claim(follows(Some("AAAAAA=="))),
                |e| matches!(e, ObjectError::Checksum { .. }),
            ),
            ("no trailer", body().with_claim(follows(None)), |e| {
                matches!(e, ObjectError::MalformedChecksum { .. })
            }),
            (
                "too short",
                body().with_size(Some(size as u64 + 1)),
                is_length,
            ),
            (
                "too long",
                body().with_size(Some(size as u64 - 1)),
                is_length,
            ),
            ("broken", Body::new(broken), |e| {
                matches!(e, ObjectError::Body(BodyError::Broken(_)))
            }),
            ("huge", body().with_size(Some(6 << 30)), |e| {
                matches!(e, ObjectError::TooLarge { .. })
            }),
        ];
        for (name, body, expected) in cases {
            let error = world.put_body("k", body).await.unwrap_err();
            assert!(expected(&error), "{name}: {error:?}");
            assert_eq!(world.read("k").await.unwrap(), "good", "{name}");
        }
    }
    assert!(world.events().is_empty());
    assert_eq!(world.blob_count(), 1, "nothing is left of them");
}

#[tokio::test]
async fn claims_that_fit_are_accepted() {
    let world = World::new();
    for algorithm in Algorithm::ALL {
        let computed = world
            .put_body(
                "k",
                Body::from(noise(1000)).with_claim(Claim::Compute(*algorithm)),
            )
            .await
            .unwrap();
        let value = computed.info.checksum.unwrap().value;
        let follows = Claim::Follows(
            *algorithm,
            Box::new({
                let value = value.clone();
                move || Some(value)
            }),
        );
        for claim in [Claim::Is(*algorithm, value.clone()), follows] {
            let written = world
                .put_body("k", Body::from(noise(1000)).with_claim(claim))
                .await
                .unwrap();
            assert_eq!(written.info.checksum.unwrap().value, value);
        }
    }
}

#[tokio::test]
async fn conditions_of_a_write() {
    let world = World::new();
    let put = async |expect: Expect| -> Result<Written, ObjectError> {
        world
            .buckets
            .put(
                &bucket(),
                "k",
                Headers::default(),
                Body::from(Bytes::from("x")),
                expect,
            )
            .await
    };
    let nothing = |result: &Result<Written, ObjectError>| {
        matches!(result, Err(ObjectError::NoSuchKey { .. }))
    };
    let refused = |result: &Result<Written, ObjectError>| {
        matches!(result, Err(ObjectError::Precondition { .. }))
    };
    assert!(nothing(&put(Expect::Present).await));
    assert!(nothing(&put(Expect::ETag("x".into())).await));
    let etag = put(Expect::Absent).await.unwrap().info.etag;
    assert!(refused(&put(Expect::Absent).await));
    assert!(refused(&put(Expect::ETag("other".into())).await));
    put(Expect::ETag(etag.clone())).await.unwrap();
    put(Expect::Present).await.unwrap();
    let remove = async |expect| world.buckets.remove_if(&bucket(), "k", expect).await;
    assert!(matches!(
        remove(Expect::ETag("other".into())).await,
        Err(ObjectError::Precondition { .. })
    ));
    assert!(remove(Expect::ETag(etag)).await.unwrap());
    assert!(matches!(
        remove(Expect::Present).await,
        Err(ObjectError::NoSuchKey { .. })
    ));
    assert_eq!(world.verbs(), ["created", "changed", "changed", "removed"]);
    assert_eq!(world.blob_count(), 0);
}

#[tokio::test]
async fn headers_and_metadata_come_back() {
    let world = World::new();
    let headers = Headers {
        content_type: Some("image/png".into()),
        cache_control: Some("no-store".into()),
        content_disposition: Some("attachment".into()),
        content_encoding: Some("gzip".into()),
        content_language: Some("de".into()),
        expires: Some(wakeful_core::time::Timestamp::from_millis(
            1_900_000_000_000,
        )),
        user: [("author".to_owned(), "Größe".to_owned())].into(),
    };
    let put = async |headers: &Headers| {
        let body = Body::from(Bytes::from("x"));
        world
            .buckets
            .put(&bucket(), "k", headers.clone(), body, Expect::Anything)
            .await
    };
    put(&headers).await.unwrap();
    let head = world.buckets.head(&bucket(), "k").await.unwrap().unwrap();
    assert_eq!(head.headers, headers);
    let with = |name: &str, value: &str| Headers {
        user: [(name.to_owned(), value.to_owned())].into(),
        ..Headers::default()
    };
    let unsendable = [
        with("a b", "x"),
        with("Upper", "x"),
        with("", "x"),
        with("a", "line\nbreak"),
        Headers::of_type("text/plain\r\nX-Evil: 1"),
    ];
    for headers in unsendable {
        let error = put(&headers).await.unwrap_err();
        assert!(
            matches!(error, ObjectError::Header { .. }),
            "{headers:?}: {error:?}"
        );
    }
    let large = Headers {
        user: [("a".to_owned(), "x".repeat(2048))].into(),
        ..Headers::default()
    };
    assert!(matches!(
        put(&large).await,
        Err(ObjectError::MetadataTooLarge { length: 2049 })
    ));
}

#[tokio::test]
async fn copies_keep_or_replace_the_headers() {
    let world = World::new();
    world.put("a", noise(700_000)).await.unwrap();
    for headers in [None, Some(Headers::of_type("image/gif"))] {
        let source = world
            .buckets
            .get(&bucket(), "a", None)
            .await
            .unwrap()
            .unwrap();
        let expected = headers
            .clone()
            .unwrap_or_else(|| Headers::of_type("text/plain"));
        let copy = world
            .buckets
            .copy(source, (&other(), "b"), headers, None, Expect::Anything)
            .await
            .unwrap();
        assert_eq!(copy.info.headers, expected);
        assert_eq!(copy.info.size, 700_000);
    }
    let events = world.events();
    assert_eq!(events[1].data["operation"], "copy");
    assert_eq!(events[1].data["bucket"], "other");
    world.buckets.remove(&bucket(), "a").await.unwrap();
    let copy = world
        .buckets
        .get(&other(), "b", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        crate::support::collect(copy.body).await.unwrap(),
        noise(700_000)
    );
}

#[tokio::test]
async fn only_declared_buckets_are_within_reach() {
    let world = World::new();
    world.put("k", "x").await.unwrap();
    world.buckets.set_buckets([other()].into());
    let error = world.put("k", "y").await.unwrap_err();
    assert!(matches!(error, ObjectError::NoSuchBucket { .. }));
    assert!(error.to_string().contains("[bucket.photos]"), "{error}");
    assert!(world.buckets.get(&bucket(), "k", None).await.is_err());
    assert!(world.buckets.remove(&bucket(), "k").await.is_err());
    world.buckets.set_buckets([bucket()].into());
    assert_eq!(world.read("k").await.unwrap(), "x");
}
