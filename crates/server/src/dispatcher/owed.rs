//! What an event owes: a delivery for each trigger that gets it, with the keys and times that the
//! trigger's rules say.

use std::time::Duration;

use wakeful_core::{
    delivery::DeadReason,
    event::Event,
    filter::EventView,
    flow::{Flow, OnExhausted, Priority},
    limits,
    name::{FunctionName, TriggerId},
    port::{Dedup, Keys, NewDebounce, NewDelivery, SubmitError, Target, Wishes},
    retry::RetryPolicy,
};

use super::Inner;
use crate::live::Live;

/// A trigger that gets an event.
pub(super) struct Debtor<'a> {
    function: &'a FunctionName,
    trigger: &'a TriggerId,
    retry: &'a RetryPolicy,
    flow: &'a Flow,
}

impl Inner {
    /// The deliveries that `event` is owed. `dedup_id` is its sender's own id for it.
    pub(super) fn owed(
        &self,
        live: &Live,
        event: &Event,
        dedup_id: Option<&str>,
        wishes: &Wishes,
    ) -> Result<Vec<NewDelivery>, SubmitError> {
        let view = EventView::of(event);
        let owe = |debtor: Debtor<'_>| self.new_delivery(event, &view, dedup_id, wishes, &debtor);
        if let Target::Trigger(function, trigger) = &wishes.target {
            let Some((_, duty)) = live.duty(function, trigger) else {
                return Err(SubmitError::NoSuchFunction(function.clone()));
            };
            return Ok(vec![owe(Debtor {
                function,
                trigger,
                retry: &duty.retry,
                flow: &duty.flow,
            })]);
        }
        let only = match &wishes.target {
            Target::Function(function) if live.version(function).is_none() => {
                return Err(SubmitError::NoSuchFunction(function.clone()));
            }
            Target::Function(function) => Some(function),
            _ => None,
        };
        let woken = live.triggers.woken_by(event);
        let woken = woken.filter(|trigger| only.is_none_or(|only| trigger.function == *only));
        Ok(woken
            .map(|trigger| {
                owe(Debtor {
                    function: &trigger.function,
                    trigger: &trigger.id,
                    retry: &trigger.retry,
                    flow: &trigger.flow,
                })
            })
            .collect())
    }

    fn new_delivery(
        &self,
        event: &Event,
        view: &EventView<'_>,
        dedup_id: Option<&str>,
        wishes: &Wishes,
        to: &Debtor<'_>,
    ) -> NewDelivery {
        let now = self.now();
        let due = wishes.not_before.map_or(now, |time| time.max(now));
        let debounce = debounce(to.flow, view);
        // A head start would cut short a delay, or the wait for quiet.
        let ready_at = match (&to.flow.priority, wishes.not_before, &debounce) {
            (Some(priority), None, None) => due.minus(head_start(priority, view)),
            _ => due,
        };
        NewDelivery {
            id: self.parts.ids.run(now),
            scope: self.parts.scope.clone(),
            event: event.key,
            trigger: to.trigger.clone(),
            function: to.function.clone(),
            keys: keys(to.flow, view, wishes),
            key_limit: (to.flow.concurrency.as_ref()).map(|concurrency| concurrency.limit),
            blocks: (to.flow.ordering.as_ref())
                .is_some_and(|ordering| ordering.on_exhausted == OnExhausted::Block),
            on_unknown: to.flow.on_unknown,
            debounce,
            ready_at,
            // A delay does not eat up the age.
            expires_at: due.plus(to.retry.max_age),
            claimed: false,
            dead: (event.lineage.depth > limits::MAX_CHAIN).then_some(DeadReason::Loop),
            dedup: dedup(to.flow, (event, view), dedup_id, wishes),
        }
    }
}

/// The keys that order, limits and breaker find. Where one finds none, all such events share the
/// empty key: so the rule holds for them too.
fn keys(flow: &Flow, view: &EventView<'_>, wishes: &Wishes) -> Keys {
    let of = |key: &wakeful_core::flow::KeyExpression| key.key_of(view).unwrap_or_default();
    let ordering = flow
        .ordering
        .as_ref()
        .map(|rule| match &wishes.ordering_key {
            Some(key) => key.clone(),
            None => of(&rule.key),
        });
    Keys {
        ordering,
        concurrency: flow.concurrency.as_ref().map(|rule| of(&rule.key)),
        rate: (flow.rate.as_ref())
            .and_then(|rule| rule.key.as_ref())
            .map(of),
        breaker: (flow.breaker.as_ref())
            .and_then(|rule| rule.key.as_ref())
            .map(of),
    }
}

/// An event without the key is not debounced: it would be lost among strangers.
fn debounce(flow: &Flow, view: &EventView<'_>) -> Option<NewDebounce> {
    let rule = flow.debounce.as_ref()?;
    let key = match &rule.key {
        None => String::new(),
        Some(key) => key.key_of(view)?,
    };
    Some(NewDebounce {
        key,
        wait: rule.wait,
        most: rule.most,
    })
}

/// How a repetition is recognised: by the trigger's own rule, by what the sender asked for, or by
/// the sender's id. A replay repeats on purpose.
fn dedup(
    flow: &Flow,
    (event, view): (&Event, &EventView<'_>),
    dedup_id: Option<&str>,
    wishes: &Wishes,
) -> Option<Dedup> {
    if event.lineage.replay_of.is_some() {
        return None;
    }
    let by_rule = flow.dedup.as_ref().and_then(|rule| {
        let key = format!("key\n{}", rule.key.key_of(view)?);
        Some((key, rule.window))
    });
    let by_word = || {
        let key = format!("word\n{}", wishes.dedup.as_ref()?);
        Some((key, limits::DEDUP_WINDOW))
    };
    let by_id = || {
        let key = format!("id\n{}\n{}", event.source, dedup_id?);
        Some((key, limits::DEDUP_WINDOW))
    };
    let (key, window) = by_rule.or_else(by_word).or_else(by_id)?;
    Some(Dedup { key, window })
}

fn head_start(priority: &Priority, view: &EventView<'_>) -> Duration {
    match priority {
        Priority::Fixed(start) => *start,
        Priority::Key(key) => {
            let seconds = key.number_of(view).unwrap_or_default();
            let most = limits::MOST_PRIORITY.as_secs_f64();
            Duration::from_secs_f64(if seconds.is_finite() {
                seconds.clamp(0.0, most)
            } else {
                0.0
            })
        }
    }
}
