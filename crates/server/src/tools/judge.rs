//! What triggers say of an event, in words.

use std::sync::Arc;

use wakeful_core::{
    event::Event,
    filter::EventView,
    project::{Answer, On, Trigger},
    routing::{Judgement, Triggers, judge},
};

use crate::admin::model::{Judged, conditions};

/// The triggers that events of this origin are owed to: all that listen to it, but for endpoints
/// whose callers wait.
pub(super) fn listeners<'a>(
    triggers: &'a Triggers,
    event: &'a Event,
) -> impl Iterator<Item = &'a Arc<Trigger>> {
    let listening = triggers.listening_to(&event.origin);
    listening.filter(|trigger| match &trigger.on {
        On::Http(on) => on.answer == Answer::Async,
        _ => true,
    })
}

/// What each trigger that listens to the event's origin says of it; those that want it first.
pub(super) fn judgements(triggers: &Triggers, event: &Event) -> Vec<Judged> {
    let view = EventView::of(event);
    let judged = listeners(triggers, event).map(|trigger| in_words(trigger, event, &view));
    let mut judged: Vec<_> = judged.collect();
    judged.sort_by(|a, b| {
        b.wants
            .cmp(&a.wants)
            .then_with(|| a.trigger.cmp(&b.trigger))
    });
    judged
}

fn in_words(trigger: &Trigger, event: &Event, view: &EventView<'_>) -> Judged {
    let judgement = judge(trigger, event, view);
    let wants = judgement.is_wanted();
    let (why, conditions) = match judgement {
        Judgement::Wanted(None) => (wanted_words(trigger), Vec::new()),
        Judgement::Wanted(Some(explanation)) => {
            ("its filter wants it".to_owned(), conditions(explanation))
        }
        Judgement::OtherKind { wanted, found } => {
            let wanted = wanted.join(", ");
            let why = format!("it listens to {wanted}, and this one is `{found}`");
            (why, Vec::new())
        }
        Judgement::OtherKey { wanted, found } => {
            let found = found.unwrap_or_default();
            let why = format!("its key `{wanted}` does not match `{found}`");
            (why, Vec::new())
        }
        Judgement::OtherTopic { wanted } => {
            let why = format!("it listens to `{wanted}`, which does not include this topic");
            (why, Vec::new())
        }
        Judgement::Filtered(explanation) => {
            let note = explanation.note.map(|note| format!(": {note}"));
            let why = format!("its filter does not want it{}", note.unwrap_or_default());
            (why, conditions(explanation))
        }
    };
    Judged {
        trigger: trigger.id.clone(),
        function: trigger.function.clone(),
        wants,
        why,
        conditions,
    }
}

fn wanted_words(trigger: &Trigger) -> String {
    match &trigger.on {
        On::Bucket(on) if on.key.is_some() => "kind and key match".to_owned(),
        On::Bucket(_) | On::Database(_) => "it listens to this kind".to_owned(),
        On::Topic(pattern) => format!("it listens to `{pattern}`"),
        On::Schedule(_) => "it is its own tick".to_owned(),
        On::Http(_) => "it is its own request".to_owned(),
        On::DeadLetters => "it listens to dead letters".to_owned(),
    }
}
