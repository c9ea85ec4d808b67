//! Changes that are made later, together, in a transaction of another's.

use std::sync::Arc;

use bytes::Bytes;
use wakeful_core::{
    event::Lineage,
    id::{EventId, RunId},
    port::{StoreError, Submission, SubmitError},
};
use wakeful_objects::{Body, Headers, Joint, ObjectError, Staged};

use crate::support::{Fault, World, bucket, until};

async fn stage(world: &World, key: &str, body: &'static str) -> Staged {
    let body = Body::from(Bytes::from(body));
    let headers = Headers::of_type("text/plain");
    let staged = world.buckets.stage(&bucket(), key, headers, body).await;
    staged.unwrap()
}

fn removal(world: &World, key: &str) -> Staged {
    world.buckets.stage_removal(&bucket(), key).unwrap()
}

/// Makes them, as whoever owns the transaction does.
async fn make(world: &World, staged: Vec<Staged>) -> Result<(), SubmitError> {
    let mut joint = Joint::of(&staged).await.unwrap();
    let submission = Submission {
        arrivals: std::mem::take(&mut joint.arrivals),
        objects: joint.objects.clone(),
        ..Submission::default()
    };
    world.submit(submission).await?;
    joint.applied(staged).await;
    Ok(())
}

#[tokio::test]
async fn staged_changes_show_together_with_one_event_each() {
    let world = World::new();
    world.put("gone", "old").await.unwrap();
    world.put("there", "old").await.unwrap();
    world.events();
    let staged = vec![
        stage(&world, "new", "1").await,
        stage(&world, "there", "22").await,
        removal(&world, "gone"),
        removal(&world, "never"),
    ];
    assert_eq!(staged[1].described().map(|(_, size)| size), Some(2));
    assert_eq!(world.read("new").await, None, "not before its time");
    assert_eq!(world.read("there").await.unwrap(), "old");
    assert!(world.events().is_empty());
    make(&world, staged).await.unwrap();
    let told: Vec<_> = (world.events().into_iter())
        .map(|seen| (seen.verb, seen.subject))
        .collect();
    let expected = [
        ("created", "new"),
        ("changed", "there"),
        ("removed", "gone"),
    ];
    assert_eq!(told, expected.map(|(verb, key)| (verb, key.to_owned())));
    assert_eq!(world.read("new").await.unwrap(), "1");
    assert_eq!(world.read("there").await.unwrap(), "22");
    assert_eq!(world.read("gone").await, None);
    assert_eq!(world.blob_count(), 2);
    assert_eq!(world.visible_blobs().await, 2);
}

#[tokio::test]
async fn of_several_changes_of_one_object_the_last_counts() {
    let world = World::new();
    let staged = vec![
        stage(&world, "a", "1").await,
        removal(&world, "b"),
        stage(&world, "a", "2").await,
        stage(&world, "b", "3").await,
        removal(&world, "b"),
    ];
    make(&world, staged).await.unwrap();
    assert_eq!(world.verbs(), ["created"]);
    assert_eq!(world.read("a").await.unwrap(), "2");
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test]
async fn what_is_dropped_leaves_nothing_behind() {
    let world = World::new();
    let staged = vec![stage(&world, "a", "1").await];
    assert_eq!(world.blob_count(), 1);
    world.faults([Fault::Refuse(StoreError::DiskFull)]);
    assert!(make(&world, staged).await.is_err());
    assert_eq!(world.blob_count(), 0);
    assert_eq!(world.read("a").await, None);
}

#[tokio::test]
async fn what_may_be_on_disk_is_kept() {
    let world = World::new();
    let staged = vec![stage(&world, "a", "1").await];
    let joint = Joint::of(&staged).await.unwrap();
    let submission = Submission {
        objects: joint.objects.clone(),
        ..Submission::default()
    };
    world.faults([Fault::ApplyThen(StoreError::Unknown("odd".into()))]);
    assert!(world.submit(submission).await.is_err());
    Joint::unknown(staged);
    drop(joint);
    assert_eq!(world.read("a").await.unwrap(), "1");
}

#[tokio::test]
async fn other_writers_of_the_object_wait_for_it() {
    let world = Arc::new(World::new());
    let staged = vec![stage(&world, "a", "1").await, stage(&world, "b", "1").await];
    let joint = Joint::of(&staged).await.unwrap();
    let other = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.put("a", "2").await })
    };
    until("its bytes are on disk", || world.blob_count() == 3).await;
    let submission = Submission {
        objects: joint.objects.clone(),
        ..Submission::default()
    };
    world.submit(submission).await.unwrap();
    assert!(!other.is_finished());
    joint.applied(staged).await;
    assert!(other.await.unwrap().unwrap().replaced);
    assert_eq!(world.read("a").await.unwrap(), "2");
}

#[tokio::test]
async fn a_bucket_that_is_gone_meanwhile_is_said() {
    let world = World::new();
    let staged = [stage(&world, "a", "1").await];
    staged[0].check().unwrap();
    world.buckets.set_buckets([].into());
    let error = staged[0].check().unwrap_err();
    assert!(matches!(error, ObjectError::NoSuchBucket { .. }), "{error}");
}

#[tokio::test]
async fn events_carry_what_caused_the_change() {
    let world = World::new();
    let cause = Lineage {
        run: Some(RunId::from_raw(1)),
        parent: Some(EventId::from_raw(2)),
        depth: 3,
        replay_of: None,
    };
    let caused = world.buckets.caused_by(cause);
    let body = || Body::from(Bytes::from("x"));
    let headers = Headers::default;
    caused
        .put(&bucket(), "a", headers(), body(), Default::default())
        .await
        .unwrap();
    caused.remove(&bucket(), "a").await.unwrap();
    let staged = caused
        .stage(&bucket(), "b", headers(), body())
        .await
        .unwrap();
    make(&world, vec![staged]).await.unwrap();
    make(&world, vec![caused.stage_removal(&bucket(), "b").unwrap()])
        .await
        .unwrap();
    world.put("c", "x").await.unwrap();
    let causes: Vec<Lineage> = world.events().iter().map(|seen| seen.cause).collect();
    assert_eq!(causes, [cause, cause, cause, cause, Lineage::default()]);
}
