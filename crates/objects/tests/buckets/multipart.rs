//! Multipart uploads: S3's rules, and what is left of parts nobody needs.

use bytes::Bytes;
use wakeful_core::port::UploadId;
use wakeful_objects::{
    Algorithm, Body, CompletedPart, Completion, Coverage, Expect, Headers, ObjectError, PartInfo,
    Written,
};

use crate::support::{World, bucket, collect, noise};

const MIN: usize = 5 * 1024 * 1024;

impl World {
    async fn begin(&self, key: &str) -> UploadId {
        let headers = Headers::of_type("video/mp4");
        self.buckets
            .begin_upload(&bucket(), key, headers, None)
            .await
            .unwrap()
            .id
    }

    async fn part(&self, upload: UploadId, number: u16, body: Bytes) -> PartInfo {
        self.buckets
            .put_part(&bucket(), "k", upload, number, Body::from(body))
            .await
            .unwrap()
    }

    async fn complete(
        &self,
        upload: UploadId,
        parts: &[&PartInfo],
    ) -> Result<Written, ObjectError> {
        self.complete_with(upload, completion(parts)).await
    }

    async fn complete_with(
        &self,
        upload: UploadId,
        completion: Completion,
    ) -> Result<Written, ObjectError> {
        self.buckets
            .complete_upload(&bucket(), "k", upload, completion)
            .await
    }
}

fn completion(parts: &[&PartInfo]) -> Completion {
    let named = |part: &&PartInfo| CompletedPart {
        number: part.number,
        etag: part.etag.clone(),
        checksum: part
            .checksum
            .as_ref()
            .map(|sum| (sum.algorithm, sum.value.clone())),
    };
    Completion {
        parts: parts.iter().map(named).collect(),
        ..Completion::default()
    }
}

#[tokio::test]
async fn parts_become_one_object() {
    let world = World::new();
    let upload = world.begin("k").await;
    let whole = noise(MIN + 700_000);
    let last = world.part(upload, 7, whole.slice(MIN..)).await;
    let first = world.part(upload, 2, whole.slice(..MIN)).await;
    assert!(world.events().is_empty(), "nothing is visible yet");
    assert_eq!(world.read("k").await, None);

    let written = world.complete(upload, &[&first, &last]).await.unwrap();
    assert_eq!(written.info.parts, Some(2));
    assert!(written.info.etag.ends_with("-2"), "{}", written.info.etag);
    assert_eq!(
        written.info.headers.content_type.as_deref(),
        Some("video/mp4")
    );
    assert_eq!(world.read("k").await.unwrap(), whole);
    let range = wakeful_objects::ByteRange::From {
        first: MIN as u64 - 10,
        last: Some(MIN as u64 + 9),
    };
    assert_eq!(
        world.read_range("k", Some(range)).await.unwrap().unwrap(),
        whole[MIN - 10..MIN + 10]
    );

    let plain = world.put("plain", whole).await.unwrap();
    assert_eq!(
        written.info.checksum, plain.info.checksum,
        "the checksum is that of the bytes"
    );
    let events = world.events();
    assert_eq!(events[0].verb, "created");
    assert_eq!(events[0].data["operation"], "multipart");
    world.buckets.remove(&bucket(), "k").await.unwrap();
    world.buckets.remove(&bucket(), "plain").await.unwrap();
    assert_eq!(world.blob_count(), 0);
}

#[tokio::test]
async fn a_completion_that_is_repeated_succeeds_without_a_second_event() {
    let world = World::new();
    let upload = world.begin("k").await;
    let part = world.part(upload, 1, noise(10)).await;
    let first = world.complete(upload, &[&part]).await.unwrap();
    let again = world.complete(upload, &[&part]).await.unwrap();
    assert_eq!(first.info, again.info);
    assert_eq!(world.verbs(), ["created"]);
    world.put("k", "other").await.unwrap();
    let error = world.complete(upload, &[&part]).await.unwrap_err();
    assert!(
        matches!(error, ObjectError::NoSuchUpload { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn wrong_completions_leave_the_upload_as_it_was() {
    let world = World::new();
    let upload = world.begin("k").await;
    let small = world.part(upload, 1, noise(100)).await;
    let last = world.part(upload, 2, noise(200)).await;
    let stranger = PartInfo {
        number: 3,
        ..last.clone()
    };
    let forged = PartInfo {
        etag: small.etag.clone(),
        ..last.clone()
    };
    let check = async |name: &str, completion: Completion, expected: fn(&ObjectError) -> bool| {
        let error = world.complete_with(upload, completion).await.unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
    };
    check("none", completion(&[]), |e| {
        matches!(e, ObjectError::NoParts)
    })
    .await;
    check("order", completion(&[&last, &small]), |e| {
        matches!(e, ObjectError::PartOrder { number: 1 })
    })
    .await;
    check("twice", completion(&[&last, &last]), |e| {
        matches!(e, ObjectError::PartOrder { number: 2 })
    })
    .await;
    check("unknown", completion(&[&stranger]), |e| {
        matches!(e, ObjectError::InvalidPart { number: 3 })
    })
    .await;
    check("etag", completion(&[&forged]), |e| {
        matches!(e, ObjectError::InvalidPart { number: 2 })
    })
    .await;
    check("small", completion(&[&small, &last]), |e| {
        matches!(
            e,
            ObjectError::PartTooSmall {
                number: 1,
                size: 100
            }
        )
    })
    .await;
    let with = |change: fn(&mut Completion)| {
        let mut completion = completion(&[&last]);
        change(&mut completion);
        completion
    };
    check(
        "part checksum",
        with(|c| c.parts[0].checksum = Some((Algorithm::Crc64Nvme, "AAAAAAAAAAA=".into()))),
        |e| matches!(e, ObjectError::InvalidPart { number: 2 }),
    )
    .await;
    check(
        "checksum",
        with(|c| c.checksum = Some((Algorithm::Crc64Nvme, "AAAAAAAAAAA=".into()))),
        |e| matches!(e, ObjectError::Checksum { .. }),
    )
    .await;
    check("size", with(|c| c.size = Some(201)), |e| {
        matches!(e, ObjectError::Length { .. })
    })
    .await;
    check("condition", with(|c| c.expect = Expect::Present), |e| {
        matches!(e, ObjectError::NoSuchKey { .. })
    })
    .await;
    assert!(world.events().is_empty());
    assert_eq!(world.blob_count(), 2);

    world.complete(upload, &[&last]).await.unwrap();
    assert_eq!(world.read("k").await.unwrap(), noise(200));
    assert_eq!(world.blob_count(), 1, "the part that was not named is gone");
}

#[tokio::test]
async fn a_part_that_comes_again_replaces_the_first() {
    let world = World::new();
    let upload = world.begin("k").await;
    let old = world.part(upload, 1, noise(10)).await;
    let new = world.part(upload, 1, noise(20)).await;
    assert_eq!(world.blob_count(), 1);
    assert!(matches!(
        world.complete(upload, &[&old]).await,
        Err(ObjectError::InvalidPart { .. })
    ));
    world.complete(upload, &[&new]).await.unwrap();
    assert_eq!(world.read("k").await.unwrap(), noise(20));
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let world = World::new();
    let upload = world.begin("k").await;
    let part = world.part(upload, 1, noise(10)).await;
    let (info, parts) = world
        .buckets
        .list_parts(&bucket(), "k", upload)
        .await
        .unwrap();
    assert_eq!((info.id, parts.as_slice()), (upload, &[part.clone()][..]));
    assert_eq!(
        world.buckets.list_uploads(&bucket()).await.unwrap().len(),
        1
    );
    world
        .buckets
        .abort_upload(&bucket(), "k", upload)
        .await
        .unwrap();
    assert_eq!(world.blob_count(), 0);
    assert!(
        world
            .buckets
            .list_uploads(&bucket())
            .await
            .unwrap()
            .is_empty()
    );

    let gone = |error| {
        assert!(
            matches!(error, ObjectError::NoSuchUpload { .. }),
            "{error:?}"
        )
    };
    gone(
        world
            .buckets
            .abort_upload(&bucket(), "k", upload)
            .await
            .unwrap_err(),
    );
    gone(world.complete(upload, &[&part]).await.unwrap_err());
    gone(
        world
            .buckets
            .list_parts(&bucket(), "k", upload)
            .await
            .unwrap_err(),
    );
    let late = world
        .buckets
        .put_part(&bucket(), "k", upload, 2, Body::from(noise(10)))
        .await;
    gone(late.unwrap_err());
    assert_eq!(world.blob_count(), 0);
}

#[tokio::test]
async fn an_upload_belongs_to_its_key() {
    let world = World::new();
    let upload = world.begin("k").await;
    let elsewhere = world
        .buckets
        .put_part(&bucket(), "other", upload, 1, Body::from(noise(1)))
        .await;
    assert!(matches!(elsewhere, Err(ObjectError::NoSuchUpload { .. })));
    for number in [0, 10_001] {
        let result = world
            .buckets
            .put_part(&bucket(), "k", upload, number, Body::from(noise(1)))
            .await;
        assert!(
            matches!(result, Err(ObjectError::PartNumber { .. })),
            "{number}"
        );
    }
}

#[tokio::test]
async fn checksums_of_the_whole_as_s3_offers_them() {
    let world = World::new();
    let begin = async |checksum| {
        world
            .buckets
            .begin_upload(&bucket(), "k", Headers::default(), Some(checksum))
            .await
    };
    for impossible in [
        (Algorithm::Sha256, Coverage::FullObject),
        (Algorithm::Crc64Nvme, Coverage::Composite),
    ] {
        let result = begin((impossible.0, Some(impossible.1))).await;
        assert!(
            matches!(result, Err(ObjectError::Coverage { .. })),
            "{impossible:?}"
        );
    }
    for algorithm in [Algorithm::Crc32, Algorithm::Sha1, Algorithm::Sha256] {
        let upload = begin((algorithm, None)).await.unwrap().id;
        let part = world.part(upload, 1, noise(10)).await;
        assert_eq!(part.checksum.as_ref().unwrap().algorithm, algorithm);
        let sum = world
            .complete(upload, &[&part])
            .await
            .unwrap()
            .info
            .checksum
            .unwrap();
        assert_eq!(sum.coverage, Coverage::Composite);
        assert!(sum.value.ends_with("-1"), "{}", sum.value);
    }
}

#[tokio::test]
async fn a_part_is_copied_from_an_object() {
    let world = World::new();
    world.put("source", noise(1000)).await.unwrap();
    let upload = world.begin("k").await;
    let range = wakeful_objects::ByteRange::From {
        first: 100,
        last: Some(199),
    };
    let source = world
        .buckets
        .get(&bucket(), "source", Some(range))
        .await
        .unwrap()
        .unwrap();
    let part = world
        .buckets
        .copy_part(source, (&bucket(), "k"), upload, 1)
        .await
        .unwrap();
    assert_eq!(part.size, 100);
    world.complete(upload, &[&part]).await.unwrap();
    assert_eq!(world.read("k").await.unwrap(), noise(1000)[100..200]);
}

#[tokio::test]
async fn a_reader_of_many_parts_is_not_overtaken() {
    let world = World::new();
    let upload = world.begin("k").await;
    let whole = noise(2 * MIN + 10);
    let a = world.part(upload, 1, whole.slice(..MIN)).await;
    let b = world.part(upload, 2, whole.slice(MIN..2 * MIN)).await;
    let c = world.part(upload, 3, whole.slice(2 * MIN..)).await;
    world.complete(upload, &[&a, &b, &c]).await.unwrap();
    let read = world
        .buckets
        .get(&bucket(), "k", None)
        .await
        .unwrap()
        .unwrap();
    world.buckets.remove(&bucket(), "k").await.unwrap();
    assert_eq!(world.blob_count(), 3);
    assert_eq!(collect(read.body).await.unwrap(), whole);
    assert_eq!(world.blob_count(), 0);
}
