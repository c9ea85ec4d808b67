use super::*;
use crate::{
    id::{EventId, RunId},
    name::{Scope, TriggerId},
    port::Keys,
    retry::KindRule,
};
use proptest::prelude::*;

const KINDS: [FailureKind; 11] = [
    FailureKind::UserError,
    FailureKind::Timeout,
    FailureKind::MissingResponse,
    FailureKind::BlockedLoop,
    FailureKind::OutOfMemory,
    FailureKind::Crash,
    FailureKind::Suspect,
    FailureKind::Bystander,
    FailureKind::Load,
    FailureKind::NotStarted,
    FailureKind::Interrupted,
];

fn delivery(attempts: u32, on_unknown: OnUnknown) -> Delivery {
    Delivery {
        id: RunId::from_raw(7),
        scope: Scope {
            project: "photos".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        },
        event: EventId::from_raw(6),
        trigger: TriggerId::from_stored("thumbnail/bucket.photos.default"),
        function: "thumbnail".parse().unwrap(),
        keys: Keys::default(),
        blocks: false,
        on_unknown,
        partition: 0,
        state: State::Running,
        starts: attempts + 2,
        attempts,
        ready_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(5_000_000),
        alone: false,
        held: None,
        dead: None,
        failure: None,
    }
}

fn advice() -> impl Strategy<Value = Option<RetryAdvice>> {
    prop_oneof![
        Just(None),
        Just(Some(RetryAdvice::Never)),
        (0..u64::MAX).prop_map(|ms| Some(RetryAdvice::AfterMs(ms))),
        (0..10_000u64).prop_map(|ms| Some(RetryAdvice::AfterMs(ms))),
    ]
}

proptest! {
    #[test]
    fn a_failure_is_retried_within_bounds_or_dead(
        kind in proptest::sample::select(KINDS.to_vec()),
        attempts in 1u32..20,
        max_attempts in 1u32..10,
        own_limit in proptest::option::of(1u32..10),
        now in 0i64..10_000_000,
        random in 0.0f64..1.0,
        advice in advice(),
        hold in any::<bool>(),
    ) {
        let rule = KindRule { kind: FailureKind::Timeout, max_attempts: own_limit, backoff: None };
        let policy = RetryPolicy { max_attempts, kinds: vec![rule], ..RetryPolicy::default() };
        let limit = if kind == FailureKind::Timeout { own_limit.unwrap_or(max_attempts) }
            else { max_attempts };
        let on_unknown = if hold { OnUnknown::Hold } else { OnUnknown::Retry };
        let delivery = delivery(attempts, on_unknown);
        let now = Timestamp::from_millis(now);
        let failure = Failure { advice, ..Failure::ours(kind, "") };
        let charged = kind.charge() == Charge::Charged;
        let unknown = hold && kind.leaves_outcome_unknown();
        let never = charged && advice == Some(RetryAdvice::Never);
        let (end, next) = settlement(Err(failure.clone()), &delivery, &policy, "v1", now, random);
        match next.unwrap() {
            Next::Dead(DeadReason::OutcomeUnknown) => prop_assert!(unknown),
            Next::Dead(DeadReason::NotRetriable) => prop_assert!(never && !unknown),
            Next::Dead(DeadReason::TooOld) => {
                prop_assert!(now >= delivery.expires_at && !never && !unknown);
            }
            Next::Dead(DeadReason::AttemptsExhausted) => {
                prop_assert!(attempts >= limit && charged && !never && !unknown);
            }
            Next::Dead(other) => prop_assert!(false, "{other:?} without a cause"),
            Next::Retry { at, charged: counts, alone } => {
                prop_assert!(!unknown && !never && now < delivery.expires_at);
                prop_assert_eq!(counts, charged);
                prop_assert!(!charged || attempts < limit);
                prop_assert_eq!(alone, kind == FailureKind::Suspect);
                match advice {
                    Some(RetryAdvice::AfterMs(ms)) if charged => {
                        let wait = Duration::from_millis(ms).min(limits::MOST_BACKOFF);
                        prop_assert_eq!(at, now.plus(wait).min(delivery.expires_at));
                    }
                    _ => prop_assert!(at >= now && at.since(now) <= policy.backoff_most),
                }
                let end_is = End::Retry { at, charged, alone, failure: Some(failure) };
                prop_assert_eq!(end, end_is);
            }
            Next::HoldForVersion => prop_assert_eq!(kind, FailureKind::Load),
        }
    }
}

/// What is interrupted while it runs alone is still under suspicion.
#[test]
fn a_suspect_stays_alone_until_it_was_tried() {
    let mut delivery = delivery(1, OnUnknown::Retry);
    delivery.alone = true;
    let policy = RetryPolicy::default();
    let now = Timestamp::from_millis(0);
    for (kind, alone) in [
        (FailureKind::Interrupted, true),
        (FailureKind::NotStarted, true),
        (FailureKind::UserError, false),
    ] {
        let next = after_failure(&Failure::ours(kind, ""), &delivery, &policy, now, 0.0);
        let Next::Retry { alone: found, .. } = next else {
            panic!("{next:?}");
        };
        assert_eq!(found, alone, "{kind:?}");
    }
}

#[test]
#[should_panic(expected = "is not claimed")]
fn what_nobody_claimed_is_not_settled() {
    let mut delivery = delivery(1, OnUnknown::Retry);
    delivery.state = State::Queued;
    let policy = RetryPolicy::default();
    settlement(Ok(()), &delivery, &policy, "v1", delivery.ready_at, 0.0);
}

/// The table of docs/guarantees.md, row by row.
#[test]
fn who_pays_is_what_the_guarantees_say() {
    use Charge::{Charged, Free, FreeAlone, HeldForVersion};
    let table = [
        (FailureKind::UserError, Charged, true),
        (FailureKind::Timeout, Charged, true),
        (FailureKind::MissingResponse, Charged, true),
        (FailureKind::BlockedLoop, Charged, true),
        (FailureKind::OutOfMemory, Charged, true),
        (FailureKind::Crash, Charged, true),
        (FailureKind::Suspect, FreeAlone, true),
        (FailureKind::Bystander, Free, true),
        (FailureKind::Load, HeldForVersion, false),
        (FailureKind::NotStarted, Free, false),
        (FailureKind::Interrupted, Free, true),
    ];
    assert_eq!(table.map(|(kind, ..)| kind), KINDS);
    for (kind, charge, effect) in table {
        assert_eq!(kind.charge(), charge, "{kind:?}");
        assert_eq!(kind.may_have_taken_effect(), effect, "{kind:?}");
    }
}

#[test]
fn stored_numbers_stay() {
    for (number, state) in [(0, State::Queued), (1, State::Running), (2, State::Dead)] {
        assert_eq!(
            (state as u8, State::from_stored(number)),
            (number, Some(state))
        );
    }
    for number in 0..6 {
        assert_eq!(DeadReason::from_stored(number).unwrap() as u8, number);
    }
}
