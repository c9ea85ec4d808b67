//! Cases: requests with an idempotency key are answered once.

use bytes::Bytes;
use wakeful_core::{
    flow::OnUnknown,
    id::RunId,
    port::{Answer, AnswerKey, BeginAnswer, Begun, Sweep},
    time::Timestamp,
};

use super::world::{NOON, World, later, scope, trigger};

fn key(text: &str) -> AnswerKey {
    AnswerKey {
        scope: scope("dev"),
        trigger: trigger("api/x"),
        key: text.to_owned(),
    }
}

fn request(world: &World, text: &str) -> BeginAnswer {
    BeginAnswer {
        key: key(text),
        fingerprint: [1; 32],
        run: world.ids.run(NOON),
        now: NOON,
        until: later(60),
        again: OnUnknown::Hold,
    }
}

fn answer() -> Answer {
    Answer {
        status: 201,
        headers: vec![
            ("set-cookie".into(), Bytes::from_static(b"a=1")),
            ("set-cookie".into(), Bytes::from_static(b"b=\xff\0")),
            ("x-empty".into(), Bytes::new()),
        ],
        body: Bytes::from_static(b"\0made\xff"),
    }
}

async fn begin(world: &World, begin: &BeginAnswer) -> Begun {
    let begun = world.store().begin_answer(begin.clone()).await;
    begun.expect("what stands")
}

async fn finish(world: &World, text: &str, answer: Option<Answer>) {
    let finished = world.store().finish_answer(key(text), answer).await;
    finished.expect("it is kept");
}

pub(super) async fn the_first_answer_is_kept(world: World) {
    let first = request(&world, "a");
    assert_eq!(begin(&world, &first).await, Begun::Fresh);
    assert_eq!(world.store().greatest_id(), first.run.raw());
    let second = request(&world, "a");
    assert_eq!(begin(&world, &second).await, Begun::Running(first.run));
    finish(&world, "a", Some(answer())).await;
    let answered = Begun::Answered(first.run, answer());
    assert_eq!(begin(&world, &second).await, answered);
    // A second one changes nothing, nor does forgetting.
    let other = Answer {
        status: 500,
        ..answer()
    };
    finish(&world, "a", Some(other)).await;
    finish(&world, "a", None).await;
    let world = world.restart();
    assert_eq!(begin(&world, &second).await, answered);
    let mismatch = BeginAnswer {
        fingerprint: [2; 32],
        ..second
    };
    assert_eq!(begin(&world, &mismatch).await, Begun::Mismatch(first.run));
}

pub(super) async fn keys_are_apart(world: World) {
    assert_eq!(begin(&world, &request(&world, "a")).await, Begun::Fresh);
    let mut elsewhere = request(&world, "a");
    elsewhere.key.trigger = trigger("api/y");
    let mut abroad = request(&world, "a");
    abroad.key.scope = scope("production");
    for other in [elsewhere, abroad, request(&world, "b"), request(&world, "")] {
        assert_eq!(begin(&world, &other).await, Begun::Fresh);
    }
}

pub(super) async fn what_was_begun_can_be_forgotten(world: World) {
    assert_eq!(begin(&world, &request(&world, "a")).await, Begun::Fresh);
    finish(&world, "a", None).await;
    finish(&world, "a", Some(answer())).await;
    finish(&world, "never begun", Some(answer())).await;
    for text in ["a", "never begun"] {
        assert_eq!(begin(&world, &request(&world, text)).await, Begun::Fresh);
    }
}

pub(super) async fn what_the_last_epoch_had_begun_is_unknown(world: World) {
    let first = request(&world, "a");
    begin(&world, &first).await;
    let world = world.restart();
    let second = request(&world, "a");
    assert_eq!(begin(&world, &second).await, Begun::Unknown(first.run));
    finish(&world, "a", Some(answer())).await;
    assert_eq!(
        begin(&world, &second).await,
        Begun::Unknown(first.run),
        "this epoch did not begin it"
    );
    let mismatch = BeginAnswer {
        fingerprint: [2; 32],
        again: OnUnknown::Retry,
        ..request(&world, "a")
    };
    assert_eq!(begin(&world, &mismatch).await, Begun::Mismatch(first.run));
    let again = BeginAnswer {
        again: OnUnknown::Retry,
        ..request(&world, "a")
    };
    assert_eq!(begin(&world, &again).await, Begun::Fresh);
    assert_eq!(begin(&world, &second).await, Begun::Running(again.run));
    finish(&world, "a", Some(answer())).await;
    let answered = Begun::Answered(again.run, answer());
    assert_eq!(begin(&world, &second).await, answered);
}

pub(super) async fn answers_are_forgotten(world: World) {
    let at = |now: Timestamp, world: &World| BeginAnswer {
        now,
        until: now.plus(std::time::Duration::from_secs(60)),
        ..request(world, "a")
    };
    let sweep = async |world: &World, now| {
        let sweep = Sweep {
            now,
            events_before: NOON,
            dead_before: None,
        };
        world.store().sweep(sweep).await.expect("a sweep");
    };
    let first = at(NOON, &world);
    begin(&world, &first).await;
    // While it is being answered it is not begun again, however long that takes.
    sweep(&world, later(100)).await;
    let again = begin(&world, &at(later(100), &world)).await;
    assert_eq!(again, Begun::Running(first.run));
    finish(&world, "a", Some(answer())).await;
    let kept = begin(&world, &at(later(59), &world)).await;
    assert_eq!(kept, Begun::Answered(first.run, answer()));
    sweep(&world, later(59)).await;
    assert!(matches!(
        begin(&world, &at(later(59), &world)).await,
        Begun::Answered(..)
    ));
    assert_eq!(begin(&world, &at(later(60), &world)).await, Begun::Fresh);
    finish(&world, "a", Some(answer())).await;
    sweep(&world, later(200)).await;
    let fresh = begin(&world, &at(later(59), &world)).await;
    assert_eq!(fresh, Begun::Fresh, "it was swept away");
    // What nobody answers any more goes too.
    let world = world.restart();
    sweep(&world, later(300)).await;
    assert_eq!(begin(&world, &at(later(59), &world)).await, Begun::Fresh);
}

pub(super) async fn of_many_at_once_one_is_fresh(world: World) {
    let requests: Vec<BeginAnswer> = (0..20).map(|_| request(&world, "a")).collect();
    let replies: Vec<_> = requests
        .iter()
        .map(|one| world.store().begin_answer(one.clone()))
        .collect();
    let mut fresh = Vec::new();
    let mut running: Vec<RunId> = Vec::new();
    for (request, reply) in requests.iter().zip(replies) {
        match reply.await.expect("what stands") {
            Begun::Fresh => fresh.push(request.run),
            Begun::Running(run) => running.push(run),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fresh.len(), 1);
    assert_eq!(running, vec![fresh[0]; 19]);
}
