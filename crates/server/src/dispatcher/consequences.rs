//! What follows from the end of a delivery: news for its destination, and for whoever listens to
//! dead letters. It is committed together with the settlement, so that neither is there without
//! the other.

use std::sync::Arc;

use bytes::Bytes;
use wakeful_core::{
    delivery::{DeadReason, Failure},
    event::{Event, Origin},
    flow::{Destination, Flow},
    name::{FunctionName, HandlerName},
    port::{Arrival, Delivery, Kind, Target, Wishes},
    project::On,
};

use super::{Inner, gates::function_of, invoke::only_event_handler, submit::Prepared};
use crate::{
    destinations::{Told, outcome_event},
    internal::{Outcome, invoke_trigger, sent_trigger},
};

/// How a delivery ended.
#[derive(Clone, Copy)]
pub(super) enum How<'a> {
    /// It succeeded with this result.
    Succeeded(&'a Bytes),
    /// It is a dead letter.
    Dead(DeadReason, Option<&'a Failure>),
}

impl How<'_> {
    const fn outcome(self) -> Outcome {
        match self {
            How::Succeeded(_) => Outcome::Success,
            How::Dead(..) => Outcome::Failure,
        }
    }
}

/// A delivery that is about to end.
pub(super) struct Concluded<'a> {
    /// The delivery.
    pub delivery: &'a Delivery,
    /// Its event; none when it cannot be read.
    pub event: Option<&'a Event>,
    /// The rules of its trigger.
    pub flow: &'a Flow,
    /// How it ends.
    pub how: How<'a>,
}

impl Inner {
    /// What follows from these ends. A destination that is not there any more is left out, and
    /// told of in the server's log: the manifest is checked for that, so only a reload in this
    /// moment makes it happen.
    pub(super) fn consequences(&self, concluded: &[Concluded<'_>]) -> Prepared {
        let mut all = Prepared::default();
        for one in concluded {
            for arrival in self.news(one) {
                match self.prepare(vec![arrival]) {
                    Ok(prepared) => all.extend(prepared),
                    Err(error) => {
                        tracing::error!(run = %one.delivery.id, %error, "a destination is gone");
                    }
                }
            }
        }
        all
    }

    /// The same for one delivery, by the rules that are live.
    pub(super) fn consequences_of(
        &self,
        delivery: &Delivery,
        event: Option<&Event>,
        how: How<'_>,
    ) -> Prepared {
        let live = self.parts.live.load();
        let duty = live.duty(&delivery.function, &delivery.trigger);
        let flow = duty.map_or_else(Arc::default, |(_, duty)| duty.flow);
        self.consequences(&[Concluded {
            delivery,
            event,
            flow: &flow,
            how,
        }])
    }

    /// Whether anything would follow from its death.
    pub(super) fn somebody_listens(&self, delivery: &Delivery) -> bool {
        let live = self.parts.live.load();
        let duty = live.duty(&delivery.function, &delivery.trigger);
        duty.is_some_and(|(_, duty)| duty.flow.on_failure.is_some()) || self.alerts_wanted()
    }

    /// Whether a trigger listens to dead letters.
    fn alerts_wanted(&self) -> bool {
        let live = self.parts.live.load();
        live.triggers
            .iter()
            .any(|trigger| matches!(trigger.on, On::DeadLetters))
    }

    fn news(&self, one: &Concluded<'_>) -> Vec<Arrival> {
        let destination = one.how.outcome().destination(one.flow);
        let wanted = matches!(one.how, How::Dead(..)) && self.alerts_wanted();
        // The death of what alerts is no news for what alerts.
        let alert = wanted
            && one
                .event
                .is_none_or(|event| event.origin != Origin::DeadLetter);
        if destination.is_none() && !alert {
            return Vec::new();
        }
        let told = self.told(one);
        let mut news = Vec::new();
        if let Some(destination) = destination {
            news.push(self.addressed(told.clone(), one, destination));
        }
        if alert {
            news.push(Arrival {
                origin: Origin::DeadLetter,
                kind: Kind::Verb("dead_letter"),
                ..told
            });
        }
        news
    }

    fn told(&self, one: &Concluded<'_>) -> Arrival {
        let (result, dead) = match one.how {
            How::Succeeded(result) => (Some(result), None),
            How::Dead(reason, failure) => (None, Some((reason, failure))),
        };
        let redacted = dead.and_then(|(_, failure)| failure).cloned();
        let redacted = redacted.map(|failure| self.parts.recorder.redacted(failure));
        outcome_event(Told {
            delivery: one.delivery,
            event: one.event,
            result,
            dead: dead.map(|(reason, _)| reason),
            failure: redacted.as_ref(),
            now: self.now(),
        })
    }

    /// News on its way to a destination.
    fn addressed(&self, told: Arrival, one: &Concluded<'_>, destination: &Destination) -> Arrival {
        let delivery = one.delivery;
        let target = |function, trigger| Wishes {
            target: Target::Trigger(function, trigger),
            ..Wishes::default()
        };
        match destination {
            Destination::Topic(topic) => Arrival {
                origin: Origin::Topic(topic.clone()),
                kind: Kind::Given(topic.to_string()),
                ..told
            },
            Destination::Function(function, handler) => {
                let handler = handler.clone().or_else(|| self.only_handler(function));
                let trigger = invoke_trigger(function, handler.as_ref());
                Arrival {
                    wishes: target(function.clone(), trigger),
                    ..told
                }
            }
            Destination::Http { .. } => {
                let function = function_of(&delivery.trigger).unwrap_or(delivery.function.clone());
                let outcome = one.how.outcome();
                let trigger = sent_trigger(&function, &delivery.trigger, outcome);
                Arrival {
                    wishes: target(function, trigger),
                    ..told
                }
            }
        }
    }

    /// The export of a function that events call, when there is one and it has a name.
    fn only_handler(&self, function: &FunctionName) -> Option<HandlerName> {
        let live = self.parts.live.load();
        only_event_handler(live.version(function)?).ok().flatten()
    }
}
