//! Which triggers an event wakes.

use std::{collections::HashMap, sync::Arc};

use crate::{
    event::{Event, Origin},
    filter::{EventView, Explanation},
    name::TriggerId,
    project::{On, Project, Trigger},
};

/// The triggers of a project, found by what they listen to.
#[derive(Debug, Default)]
pub struct Triggers {
    by_origin: HashMap<Origin, Vec<Arc<Trigger>>>,
    /// Those that listen to several topics.
    by_pattern: Vec<Arc<Trigger>>,
    by_id: HashMap<TriggerId, Arc<Trigger>>,
}

impl Triggers {
    /// Of all functions of `project`.
    pub fn of(project: &Project) -> Self {
        let mut all = Self::default();
        for trigger in project.triggers() {
            let trigger = Arc::new(trigger.clone());
            let listening = match trigger.origin() {
                Some(origin) => all.by_origin.entry(origin).or_default(),
                None => &mut all.by_pattern,
            };
            listening.push(Arc::clone(&trigger));
            all.by_id.insert(trigger.id.clone(), trigger);
        }
        all
    }

    /// Those that `event` wakes. Its data is parsed at most once, and only if a filter looks into it.
    pub fn woken_by<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<Trigger>> {
        let view = EventView::of(event);
        (self.listening_to(&event.origin)).filter(move |trigger| wants(trigger, event, &view))
    }

    /// Those that look at events of an origin, and for topics also those whose pattern may mean it.
    pub fn listening_to(&self, origin: &Origin) -> impl Iterator<Item = &Arc<Trigger>> {
        let patterns: &[_] = match origin {
            Origin::Topic(_) => &self.by_pattern,
            _ => &[],
        };
        let listening = self.by_origin.get(origin).into_iter().flatten();
        listening.chain(patterns)
    }

    /// The trigger with this identity.
    pub fn get(&self, id: &TriggerId) -> Option<&Arc<Trigger>> {
        self.by_id.get(id)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Trigger>> {
        self.by_id.values()
    }
}

/// What a trigger that listens to an event's origin says of the event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It wants it; with a filter also what each condition found.
    Wanted(Option<Explanation>),
    /// Its `events` do not list what happened.
    OtherKind {
        /// What they list.
        wanted: Vec<&'static str>,
        /// What happened.
        found: String,
    },
    /// The object's key does not match its `key`.
    OtherKey {
        /// The pattern.
        wanted: String,
        /// The key.
        found: Option<String>,
    },
    /// Its topics do not include this one.
    OtherTopic {
        /// The pattern.
        wanted: String,
    },
    /// Its filter does not want it.
    Filtered(Explanation),
}

impl Judgement {
    /// Whether it wants the event.
    pub const fn is_wanted(&self) -> bool {
        matches!(self, Self::Wanted(_))
    }
}

/// What `trigger`, which listens to the event's origin, says of it: as [`Triggers::woken_by`]
/// decides, with the reason.
pub fn judge(trigger: &Trigger, event: &Event, view: &EventView<'_>) -> Judgement {
    if !listens(trigger, event) {
        return not_listening(trigger, event);
    }
    match &trigger.filter {
        None => Judgement::Wanted(None),
        Some(filter) => {
            let explanation = filter.explain(view);
            match explanation.matches {
                true => Judgement::Wanted(Some(explanation)),
                false => Judgement::Filtered(explanation),
            }
        }
    }
}

/// Why the keys of its source do not let the event through.
fn not_listening(trigger: &Trigger, event: &Event) -> Judgement {
    let kind = |wanted: Vec<&'static str>| Judgement::OtherKind {
        wanted,
        found: event.verb().to_owned(),
    };
    match &trigger.on {
        On::Bucket(on) if !on.events.iter().any(|verb| verb.as_str() == event.verb()) => {
            kind(on.events.iter().map(|verb| verb.as_str()).collect())
        }
        On::Bucket(on) => Judgement::OtherKey {
            wanted: (on.key.as_ref()).map_or_else(String::new, |key| key.text().to_owned()),
            found: event.subject.clone(),
        },
        On::Database(on) => kind(on.events.iter().map(|verb| verb.as_str()).collect()),
        On::Topic(pattern) => Judgement::OtherTopic {
            wanted: pattern.to_string(),
        },
        On::Http(_) | On::Schedule(_) | On::DeadLetters => kind(Vec::new()),
    }
}

/// Whether a trigger that listens to the event's origin wants this one.
fn wants(trigger: &Trigger, event: &Event, view: &EventView<'_>) -> bool {
    // What the source's own keys leave out needs no look at the data.
    listens(trigger, event) && (trigger.filter.as_ref()).is_none_or(|filter| filter.matches(view))
}

/// Whether the keys of its source let the event through.
fn listens(trigger: &Trigger, event: &Event) -> bool {
    let verb = event.verb();
    match &trigger.on {
        On::Bucket(on) => {
            on.events.iter().any(|wanted| wanted.as_str() == verb)
                && on.key.as_ref().is_none_or(|pattern| {
                    event
                        .subject
                        .as_deref()
                        .is_some_and(|key| pattern.matches(key))
                })
        }
        On::Database(on) => on.events.iter().any(|wanted| wanted.as_str() == verb),
        On::Topic(pattern) => match &event.origin {
            Origin::Topic(topic) => pattern.matches(topic),
            _ => false,
        },
        On::Http(_) | On::Schedule(_) | On::DeadLetters => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        event::ObjectVerb,
        filter::Pattern,
        id::EventId,
        project::{BucketTrigger, KeyPattern},
        retry::RetryPolicy,
        time::Timestamp,
    };

    fn on_photos(events: &[ObjectVerb], key: Option<&str>) -> Trigger {
        let function = "thumbnail".parse().unwrap();
        Trigger {
            id: TriggerId::new(&function, "t"),
            function,
            handler: None,
            on: On::Bucket(BucketTrigger {
                bucket: "photos".parse().unwrap(),
                events: events.to_vec(),
                key: key.map(|text| KeyPattern::parse(text).unwrap()),
            }),
            retry: RetryPolicy::default(),
            filter: None,
            flow: Arc::default(),
        }
    }

    fn object(verb: &str, key: &str) -> Event {
        Event {
            key: EventId::from_raw(1),
            origin: Origin::Bucket("photos".parse().unwrap()),
            id: String::new(),
            source: String::new(),
            kind: format!("wakeful.bucket.{verb}"),
            subject: Some(key.to_owned()),
            time: Timestamp::from_millis(0),
            content_type: "application/json".into(),
            data: "{}".into(),
            extensions: Default::default(),
            lineage: Default::default(),
        }
    }

    #[test]
    fn kinds_and_keys_decide() {
        use ObjectVerb::{Changed, Created};
        let images = Some("*.{jpg,png}");
        let check = |trigger: &Trigger, verb, key, expected| {
            let event = object(verb, key);
            let view = EventView::of(&event);
            let wanted = wants(trigger, &event, &view);
            assert_eq!(wanted, expected, "{verb} {key}");
            assert_eq!(judge(trigger, &event, &view).is_wanted(), expected);
        };
        let both = on_photos(&[Created, Changed], images);
        check(&both, "created", "a.jpg", true);
        check(&both, "changed", "ü b.png", true);
        check(&both, "removed", "a.jpg", false);
        check(&both, "created", "a.gif", false);
        check(&both, "created", "sub/a.jpg", false);
        check(
            &on_photos(&[Created], Some("**/*.jpg")),
            "created",
            "sub/a.jpg",
            true,
        );
        check(&on_photos(&[Created], None), "created", "anything", true);
    }

    #[test]
    fn a_filter_decides_among_what_the_source_lets_through() {
        let pattern = |value| Some(Arc::new(Pattern::parse(&value).unwrap()));
        let mut trigger = on_photos(&[ObjectVerb::Created], None);
        trigger.filter = pattern(json!({ "data": { "size": [{ "numeric": [">", 10] }] } }));
        let check = |trigger: &Trigger, verb, data: &'static str, expected| {
            let mut event = object(verb, "a.jpg");
            event.data = data.into();
            let view = EventView::of(&event);
            assert_eq!(wants(trigger, &event, &view), expected, "{verb} {data}");
            assert_eq!(judge(trigger, &event, &view).is_wanted(), expected);
        };
        check(&trigger, "created", r#"{"size": 11}"#, true);
        check(&trigger, "created", r#"{"size": 10}"#, false);
        check(&trigger, "changed", r#"{"size": 11}"#, false);
        check(&trigger, "created", "no JSON", false);
        trigger.filter = pattern(json!({ "subject": [{ "suffix": ".jpg" }] }));
        check(&trigger, "created", "no JSON", true);
    }

    #[test]
    fn a_judgement_says_what_stood_in_the_way() {
        let mut trigger = on_photos(&[ObjectVerb::Created], Some("*.jpg"));
        let pattern = Pattern::parse(&json!({ "data": { "size": [7] } })).unwrap();
        trigger.filter = Some(Arc::new(pattern));
        let judged = |verb, key, data: &'static str| {
            let mut event = object(verb, key);
            event.data = data.into();
            judge(&trigger, &event, &EventView::of(&event))
        };
        let kind = Judgement::OtherKind {
            wanted: vec!["created"],
            found: "removed".into(),
        };
        assert_eq!(judged("removed", "a.gif", "{}"), kind);
        let key = Judgement::OtherKey {
            wanted: "*.jpg".into(),
            found: Some("a.gif".into()),
        };
        assert_eq!(judged("created", "a.gif", "{}"), key);
        let Judgement::Filtered(why) = judged("created", "a.jpg", "{\"size\": 8}") else {
            panic!("the filter decides");
        };
        assert_eq!(why.conditions[0].found.as_deref(), Some("8"));
        let wanted = judged("created", "a.jpg", "{\"size\": 7}");
        assert!(matches!(wanted, Judgement::Wanted(Some(_))), "{wanted:?}");
    }
}
