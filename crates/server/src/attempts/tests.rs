use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wakeful_core::{
    delivery::State,
    event::{Event, Extensions, Origin},
    flow::OnUnknown,
    id::EventId,
    limits,
    port::{Arrival, Keys},
    time::Timestamp,
};

use super::*;
use crate::attempts::gathering::Refused;

const KEY: AttemptKey = (RunId::from_raw(7), 1);
const OTHER: RunId = RunId::from_raw(8);

fn owed(run: RunId, depth: u16) -> (Delivery, Event) {
    let event = Event {
        key: EventId::from_raw(run.raw() + 100),
        origin: Origin::Topic("orders".parse().unwrap()),
        id: "1".into(),
        source: "/s".into(),
        kind: "orders".into(),
        subject: None,
        time: Timestamp::from_millis(0),
        content_type: "application/json".into(),
        data: Bytes::new(),
        extensions: Extensions::new(),
        lineage: Lineage {
            depth,
            ..Lineage::default()
        },
    };
    let delivery = Delivery {
        id: run,
        scope: wakeful_core::name::Scope {
            project: "p".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        },
        event: event.key,
        trigger: wakeful_core::name::TriggerId::from_stored("f/x"),
        function: "f".parse().unwrap(),
        keys: Keys::default(),
        blocks: false,
        on_unknown: OnUnknown::Retry,
        partition: 0,
        state: State::Running,
        starts: 1,
        attempts: 1,
        ready_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(0),
        alone: false,
        held: None,
        dead: None,
        failure: None,
    };
    (delivery, event)
}

fn serving(attempts: &Attempts, runs: &[(RunId, u16)]) -> Underway {
    let all: Vec<_> = runs.iter().map(|(run, depth)| owed(*run, *depth)).collect();
    attempts.serving(KEY, all.iter().map(|(delivery, event)| (delivery, event)))
}

fn effect(bytes: usize) -> Effect {
    let topic = Origin::Topic("a".parse().unwrap());
    let data = Bytes::from(vec![0; bytes]);
    Effect::Event(Box::new(Arrival::new(
        topic,
        "",
        Timestamp::from_millis(0),
        data,
    )))
}

fn gather(attempt: &Attempt, name: &str, run: Option<RunId>, effects: usize) -> GatheringId {
    let id = attempt.begin(name, run).unwrap();
    let effects = (0..effects).map(|_| effect(1)).collect();
    attempt.add(id, effects).unwrap();
    id
}

fn commit(attempt: &Attempt, id: GatheringId) {
    attempt.commit(id, |_| ()).unwrap();
    attempt.committed(id);
}

#[tokio::test]
async fn what_is_committed_is_taken_with_its_delivery_once() {
    let attempts = Attempts::default();
    let underway = serving(&attempts, &[(KEY.0, 0), (OTHER, 0)]);
    let attempt = attempts.calling(KEY);
    commit(&attempt, gather(&attempt, "a", Some(KEY.0), 2));
    commit(&attempt, gather(&attempt, "b", Some(KEY.0), 1));
    commit(&attempt, gather(&attempt, "a", Some(OTHER), 1));
    gather(&attempt, "open", Some(KEY.0), 5);
    let aborted = gather(&attempt, "aborted", Some(KEY.0), 5);
    attempt.abort(aborted);
    underway.certain().await.unwrap();
    assert_eq!(underway.take(KEY.0).arrivals.len(), 3);
    assert_eq!(underway.take(KEY.0).arrivals.len(), 0);
    assert_eq!(underway.take(OTHER).arrivals.len(), 1);
}

#[tokio::test]
async fn nothing_is_certain_while_a_commit_is_under_way() {
    let attempts = Attempts::default();
    let underway = Arc::new(serving(&attempts, &[(KEY.0, 0)]));
    let attempt = attempts.calling(KEY);
    let id = gather(&attempt, "a", Some(KEY.0), 1);
    attempt.commit(id, |_| ()).unwrap();
    attempts.ended(KEY);
    let mut certain = Box::pin(underway.certain());
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut certain).await;
    assert!(waited.is_err(), "it may commit still");
    attempt.committed(id);
    certain.await.unwrap();
    assert_eq!(underway.take(KEY.0).arrivals.len(), 1);
}

#[test]
fn an_attempt_that_is_over_gathers_nothing_more() {
    let attempts = Attempts::default();
    let underway = serving(&attempts, &[(KEY.0, 0)]);
    let attempt = attempts.calling(KEY);
    let open = gather(&attempt, "a", Some(KEY.0), 1);
    let over = attempt.over();
    attempts.ended(KEY);
    assert!(over.is_cancelled());
    assert_eq!(attempt.begin("b", Some(KEY.0)), Err(Refused::Over));
    assert_eq!(attempt.add(open, vec![effect(1)]), Err(Refused::NotOpen));
    assert_eq!(attempt.commit(open, |_| ()), Err(Refused::NotOpen));
    drop(underway);
    assert_eq!(attempts.len(), 0);
}

#[test]
fn code_that_outlives_its_settlement_gathers_nothing() {
    let attempts = Attempts::default();
    drop(serving(&attempts, &[(KEY.0, 0)]));
    assert_eq!(attempts.len(), 1, "its code may still call");
    let attempt = attempts.calling(KEY);
    assert!(attempt.serves(), "it is not taken for a request");
    assert_eq!(attempt.begin("a", Some(KEY.0)), Err(Refused::Over));
    attempts.ended(KEY);
    assert_eq!(attempts.len(), 0);
}

#[test]
fn what_nobody_announced_answers_a_request_until_it_ends() {
    let attempts = Attempts::default();
    let attempt = attempts.calling(KEY);
    assert!(!attempt.serves());
    assert_eq!(attempt.delivery(None), Ok(None));
    let id = gather(&attempt, "a", None, 2);
    attempt.commit(id, |_| ()).unwrap();
    attempts.ended(KEY);
    assert_eq!(attempt.take_one(id).arrivals.len(), 2);
    assert_eq!(attempts.len(), 0);
}

#[test]
fn a_batch_says_for_which_delivery() {
    let attempts = Attempts::default();
    let _underway = serving(&attempts, &[(KEY.0, 0), (OTHER, 0)]);
    let attempt = attempts.calling(KEY);
    let stranger = RunId::from_raw(9);
    assert_eq!(attempt.delivery(None), Err(Refused::NoRun));
    assert_eq!(attempt.delivery(Some(OTHER)), Ok(Some(OTHER)));
    assert_eq!(
        attempt.delivery(Some(stranger)),
        Err(Refused::OtherRun(stranger))
    );
    attempt.begin("a", Some(OTHER)).unwrap();
    attempt.begin("a", Some(KEY.0)).unwrap();
    let twice = Refused::Twice("a".into());
    assert_eq!(attempt.begin("a", Some(OTHER)), Err(twice));
}

#[test]
fn all_gatherings_of_an_attempt_share_the_bounds() {
    let attempts = Attempts::default();
    let _underway = serving(&attempts, &[(KEY.0, 0)]);
    let attempt = attempts.calling(KEY);
    let most = limits::MAX_ONCE_EFFECTS;
    commit(&attempt, gather(&attempt, "a", Some(KEY.0), most - 1));
    let b = gather(&attempt, "b", Some(KEY.0), 1);
    assert_eq!(attempt.add(b, vec![effect(0)]), Err(Refused::TooMuch));
    attempt.abort(b);
    let c = attempt.begin("c", Some(KEY.0)).unwrap();
    let large = usize::try_from(limits::MAX_BODY).unwrap();
    assert_eq!(attempt.add(c, vec![effect(large)]), Err(Refused::TooMuch));
    attempt.add(c, vec![effect(1000)]).unwrap();
}

#[test]
fn what_an_attempt_does_follows_from_its_event() {
    let attempts = Attempts::default();
    let underway = serving(&attempts, &[(KEY.0, 2), (OTHER, 5)]);
    let of = |run: RunId, depth| Lineage {
        run: Some(run),
        parent: Some(EventId::from_raw(run.raw() + 100)),
        depth,
        replay_of: None,
    };
    assert_eq!(attempts.cause(KEY), of(OTHER, 6), "the longest chain");
    let attempt = attempts.calling(KEY);
    for (run, depth) in [(KEY.0, 3), (OTHER, 6)] {
        let id = attempt.begin("a", Some(run)).unwrap();
        assert_eq!(attempt.look(id).unwrap().0, of(run, depth));
    }
    drop(underway);
    attempts.ended(KEY);
    let request = Lineage {
        run: Some(KEY.0),
        ..Lineage::default()
    };
    assert_eq!(attempts.cause(KEY), request);
}

#[test]
fn what_lingers_is_bounded() {
    let attempts = Attempts::default();
    let function: FunctionName = "f".parse().unwrap();
    for run in 0..MOST_LINGERING + 10 {
        let run = RunId::from_raw(i64::try_from(run).unwrap());
        drop(attempts.answering((run, 1), &function, Lineage::default(), Vec::new()));
    }
    assert_eq!(attempts.len(), MOST_LINGERING);
}

#[test]
fn what_runs_no_code_does_not_linger() {
    let attempts = Attempts::default();
    let underway = serving(&attempts, &[(KEY.0, 0)]);
    underway.without_code();
    drop(underway);
    assert_eq!(attempts.len(), 0);
}
