//! What deliveries wait for, in words: the same for one delivery and for a queue.

use wakeful_core::{
    delivery::{Failure, State},
    flow::Hold,
    id::RunId,
    name::TriggerId,
    port::{Delivery, Held, Pause},
};

use super::{ToolError, Tools};
use crate::{
    admin::model::{Wait, WaitKind},
    control::{FunctionState, FunctionStatus},
};

/// Runs that are named as standing in the way.
const MOST_NAMED: usize = 5;

impl Tools {
    /// What a queued delivery waits for; nothing for one that runs or is dead.
    pub(super) async fn waits_of(
        &self,
        delivery: &Delivery,
        pauses: &[Pause],
    ) -> Result<Vec<Wait>, ToolError> {
        if delivery.state != State::Queued {
            return Ok(Vec::new());
        }
        let now = self.now();
        let holds = self.operations.holds(&delivery.trigger);
        let status = self.status(&delivery.function).await;
        match &delivery.held {
            Some(Held::Version(version)) => Ok(vec![for_version(version, status.as_ref())]),
            Some(Held::Order) => Ok(vec![self.behind(delivery, WaitKind::Order).await?]),
            Some(Held::Concurrency) => {
                Ok(vec![self.behind(delivery, WaitKind::Concurrency).await?])
            }
            Some(Held::Paused) => Ok(paused(delivery, pauses)),
            Some(Held::Breaker) => Ok(breakers(&holds, delivery.keys.breaker.as_deref())),
            None if delivery.ready_at > now => Ok(vec![for_time(delivery)]),
            None => Ok(self.ready(delivery, pauses, &holds, status.as_ref())),
        }
    }

    /// Its time has come and no key holds it: what holds its trigger or function.
    fn ready(
        &self,
        delivery: &Delivery,
        pauses: &[Pause],
        holds: &[Hold],
        status: Option<&FunctionStatus>,
    ) -> Vec<Wait> {
        let mut waits = paused(delivery, pauses);
        waits.extend(of_holds(holds, |hold| match hold {
            Hold::Rate { key, .. } => applies(key, &delivery.keys.rate),
            Hold::Breaker { key, .. } => applies(key, &delivery.keys.breaker),
            // Those that the store has tell more.
            Hold::Paused(_) => false,
        }));
        waits.extend(self.for_worker(&delivery.trigger));
        match status {
            Some(status) => {
                if let FunctionState::Broken(failure) = &status.state {
                    waits.push(not_loading(failure));
                }
                waits.extend(self.for_place(status));
            }
            None => waits.push(Wait::new(
                WaitKind::Gone,
                "the project no longer has its function: it waits for one that does",
            )),
        }
        if status.is_some() {
            waits.extend(self.without_trigger(&delivery.trigger));
        }
        waits
    }

    /// Whether nothing live owns a trigger that stands in a manifest.
    pub(super) fn triggerless(&self, trigger: &TriggerId) -> bool {
        let invoked = trigger.as_str().split('/').nth(1);
        let invoked = invoked.is_some_and(|name| name.starts_with('$'));
        !invoked && self.triggers().get(trigger).is_none()
    }

    /// That no worker could be started.
    pub(super) fn for_worker(&self, trigger: &TriggerId) -> Option<Wait> {
        let failure = self.operations.no_worker(trigger)?;
        let text = format!("no worker could be started: {}", first_line(&failure));
        Some(Wait::new(WaitKind::Worker, text))
    }

    /// That all places of a function are taken.
    pub(super) fn for_place(&self, status: &FunctionStatus) -> Option<Wait> {
        let project = self.control.project.borrow();
        let most = project.functions.get(&status.name)?.concurrency;
        let full = status.in_flight >= usize::try_from(most).unwrap_or(usize::MAX);
        full.then(|| {
            Wait::new(
                WaitKind::Place,
                format!("all {most} places of its function are taken (`concurrency`)"),
            )
        })
    }

    /// Who stands before it, in its order or for its places.
    async fn behind(&self, delivery: &Delivery, kind: WaitKind) -> Result<Wait, ToolError> {
        let ahead = self.control.store.ahead_of(delivery.id).await?;
        let (key, rule) = match kind {
            WaitKind::Order => (&delivery.keys.ordering, "ordering"),
            _ => (&delivery.keys.concurrency, "concurrency"),
        };
        let dead = ahead.iter().find(|other| other.state == State::Dead);
        let named = quoted(key.as_deref().unwrap_or_default());
        let mut wait = match (dead, ahead.first()) {
            (Some(dead), _) => Wait::new(
                WaitKind::Blocked,
                format!(
                    "the dead letter {} blocks its ordering key {named}",
                    dead.id
                ),
            ),
            (None, Some(first)) => Wait::new(
                kind,
                format!(
                    "{} {} stands before it, with the same {rule} key {named}{}",
                    standing(first),
                    first.id,
                    and_others(ahead.len() - 1)
                ),
            ),
            (None, None) => Wait::new(kind, format!("its {rule} key {named} was held until now")),
        };
        wait.key.clone_from(key);
        wait.count = Some(ahead.len() as u64);
        wait.runs = dead
            .into_iter()
            .chain(&ahead)
            .map(|other| other.id)
            .collect();
        distinct(&mut wait.runs);
        Ok(wait)
    }
}

fn distinct(runs: &mut Vec<RunId>) {
    let mut seen = Vec::new();
    runs.retain(|run| {
        let new = !seen.contains(run) && seen.len() < MOST_NAMED;
        if new {
            seen.push(*run);
        }
        new
    });
}

fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", and 1 other".to_owned(),
        count => format!(", and {count} others"),
    }
}

fn standing(delivery: &Delivery) -> &'static str {
    match delivery.state {
        State::Running => "the running",
        State::Dead => "the dead letter",
        State::Queued if delivery.attempts > 0 => "the retrying",
        State::Queued => "the queued",
    }
}

fn applies(key: &Option<String>, ours: &Option<String>) -> bool {
    key.is_none() || key == ours
}

fn for_time(delivery: &Delivery) -> Wait {
    let text = match delivery.attempts {
        0 => "it is not to be started before its time".to_owned(),
        n => format!("attempt {n} failed, and the next one has its time"),
    };
    Wait {
        until: Some(delivery.ready_at.into()),
        ..Wait::new(WaitKind::Time, text)
    }
}

fn for_version(version: &str, status: Option<&FunctionStatus>) -> Wait {
    let failure = status.and_then(|status| match &status.state {
        FunctionState::Broken(failure) | FunctionState::Outdated(failure) => Some(failure),
        FunctionState::Live | FunctionState::Loading => None,
    });
    match failure {
        Some(failure) => not_loading(failure),
        None => Wait::new(
            WaitKind::Version,
            format!("version {version} of its code could not be loaded: it waits for another one"),
        ),
    }
}

pub(super) fn not_loading(failure: &Failure) -> Wait {
    Wait::new(
        WaitKind::Version,
        format!("its code cannot be loaded: {}", first_line(failure)),
    )
}

/// What a failure says, in one line.
pub(super) fn first_line(failure: &Failure) -> String {
    let message = failure.message.lines().next().unwrap_or_default();
    if failure.name.is_empty() || failure.name == failure.kind.as_str() {
        return message.to_owned();
    }
    format!("{}: {message}", failure.name)
}

/// The pauses that hold a delivery.
fn paused(delivery: &Delivery, pauses: &[Pause]) -> Vec<Wait> {
    let keys = &delivery.keys;
    let keys = [&keys.ordering, &keys.concurrency, &keys.rate, &keys.breaker];
    let ours = pauses.iter().filter(|pause| {
        pause.function == delivery.function
            && pause
                .trigger
                .as_ref()
                .is_none_or(|id| *id == delivery.trigger)
            && (pause.key.as_ref()).is_none_or(|key| keys.into_iter().flatten().any(|k| k == key))
    });
    ours.map(for_pause).collect()
}

pub(super) fn for_pause(pause: &Pause) -> Wait {
    let what = match (&pause.key, &pause.trigger) {
        (Some(key), _) => format!("its key {}", quoted(key)),
        (None, Some(_)) => "its trigger".to_owned(),
        (None, None) => "its function".to_owned(),
    };
    let why = match pause.why.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    Wait {
        key: pause.key.clone(),
        since: Some(pause.at.into()),
        ..Wait::new(WaitKind::Pause, format!("{what} is paused by hand{why}"))
    }
}

fn breakers(holds: &[Hold], key: Option<&str>) -> Vec<Wait> {
    let ours = of_holds(holds, |hold| match hold {
        Hold::Breaker { key: of, .. } => of.is_none() || of.as_deref() == key,
        _ => false,
    });
    if !ours.is_empty() {
        return ours;
    }
    vec![Wait {
        key: key.map(str::to_owned),
        ..Wait::new(WaitKind::Breaker, "the breaker of its key is open")
    }]
}

/// What rates and breakers hold; pauses are told of as the store has them.
pub(super) fn of_holds(holds: &[Hold], wanted: impl Fn(&Hold) -> bool) -> Vec<Wait> {
    let wanted = holds.iter().filter(|hold| wanted(hold));
    wanted.filter_map(for_hold).collect()
}

fn for_hold(hold: &Hold) -> Option<Wait> {
    let of = |key: &Option<String>| match key {
        Some(key) => format!("of the key {}", quoted(key)),
        None => "of its trigger".to_owned(),
    };
    match hold {
        Hold::Paused(_) => None,
        Hold::Rate { key, until } => Some(Wait {
            key: key.clone(),
            until: Some((*until).into()),
            ..Wait::new(WaitKind::Rate, format!("the rate {} is used up", of(key)))
        }),
        Hold::Breaker {
            key,
            since,
            until,
            probe,
            failures,
        } => {
            // When the next one is tried stands in `until` and `runs`.
            let failed = match failures {
                1 => "1 failure".to_owned(),
                failures => format!("{failures} failures in a row"),
            };
            let text = format!("the breaker {} is open, after {failed}", of(key));
            Some(Wait {
                key: key.clone(),
                since: Some((*since).into()),
                until: probe.is_none().then_some((*until).into()),
                runs: probe.iter().copied().collect(),
                ..Wait::new(WaitKind::Breaker, text)
            })
        }
    }
}

fn quoted(key: &str) -> String {
    format!("`{key}`")
}
