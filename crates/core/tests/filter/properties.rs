//! What holds for all patterns and events.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wakeful_core::filter::{EventView, Pattern};

use crate::{explain, matches, mistakes, of_data};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
/// So few that one pattern often names the same place twice.
const FEW: [&str; 2] = ["a", "b"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4).prop_map(Value::from),
        (-2.0..2.0).prop_map(|number: f64| json!(number)),
        "[aA]{0,2}".prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
    ]
}

fn object(
    keys: &'static [&'static str],
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(keys), value), 0..4).prop_map(|entries| {
        let entries = entries.into_iter();
        Value::Object(
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    })
}

/// Data of any shape.
fn data() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            2 => object(&KEYS, inner.clone()),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

/// A pattern that is made from an event, so that the event meets it.
fn made_from(data: &Value) -> Value {
    let absent = || json!([{ "exists": false }]);
    match data {
        Value::Array(items) => {
            let mut leaves = Vec::new();
            leaves_of(items, &mut leaves);
            match leaves.as_slice() {
                [] => element(items).map_or_else(absent, made_from),
                [leaf, ..] => json!([leaf]),
            }
        }
        Value::Object(fields) if fields.is_empty() => absent(),
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), made_from(value)))
                    .collect(),
            )
        }
        scalar => json!([scalar]),
    }
}

/// An element to make a pattern from. One of several must not tell of an absence: what must not
/// exist must be missing from all of them.
fn element(items: &[Value]) -> Option<&Value> {
    let mut objects = items.iter().filter(|item| item.is_object());
    match objects.clone().count() {
        1 => objects.next(),
        _ => objects.find(|item| !tells_of_absence(item)),
    }
}

fn tells_of_absence(data: &Value) -> bool {
    match data {
        Value::Array(items) => {
            let mut leaves = Vec::new();
            leaves_of(items, &mut leaves);
            leaves.is_empty() && element(items).is_none_or(tells_of_absence)
        }
        Value::Object(fields) => fields.is_empty() || fields.values().any(tells_of_absence),
        _ => false,
    }
}

fn leaves_of<'a>(items: &'a [Value], found: &mut Vec<&'a Value>) {
    for item in items {
        match item {
            Value::Array(items) => leaves_of(items, found),
            Value::Object(_) => {}
            scalar => found.push(scalar),
        }
    }
}

/// Whether an absence may depend on which element of an array is looked at.
fn has_arrays(data: &Value) -> bool {
    match data {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(has_arrays),
        _ => false,
    }
}

/// Objects of arrays of objects of scalars: where elements must be told apart.
fn records() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..2).prop_map(Value::from),
        prop::collection::vec((0..2).prop_map(Value::from), 1..3).prop_map(Value::Array),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let one = object(&FEW, inner.clone());
        prop_oneof![
            2 => prop::collection::vec(object(&FEW, inner), 1..4).prop_map(Value::Array),
            1 => one,
        ]
    })
}

/// Patterns of exact values, objects and `$or`; no keys twice in one path by chance only.
fn demands() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec((0..2).prop_map(Value::from), 1..3).prop_map(Value::Array);
    leaf.prop_recursive(4, 30, 3, |inner| {
        let group = || {
            let key = prop::sample::select(&FEW[..]);
            prop::collection::vec((key, inner.clone()), 1..3).prop_map(|entries| {
                let entries = entries.into_iter();
                entries
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<Map<_, _>>()
            })
        };
        let choice = prop::collection::vec(group().prop_map(Value::Object), 2..4);
        (group(), prop::option::of(choice)).prop_map(|(mut group, choice)| {
            if let Some(choice) = choice {
                group.insert("$or".to_owned(), Value::Array(choice));
            }
            Value::Object(group)
        })
    })
}

/// All events that are left when of each array with objects one element is chosen. This is what
/// "the same element" means, said in the slowest way.
fn choices(data: &Value) -> Vec<Value> {
    match data {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().flat_map(choices).collect()
        }
        Value::Object(fields) => {
            let mut all = vec![Map::new()];
            for (key, value) in fields {
                let values = choices(value);
                all = (all.iter())
                    .flat_map(|chosen| {
                        values.iter().map(move |value| {
                            let mut chosen = chosen.clone();
                            chosen.insert(key.clone(), value.clone());
                            chosen
                        })
                    })
                    .collect();
            }
            all.into_iter().map(Value::Object).collect()
        }
        other => vec![other.clone()],
    }
}

/// Whether an event in which nothing is to be chosen meets a pattern of exact values.
fn meets(pattern: &Value, data: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(key, wanted)| match key.as_str() {
            "$or" => (wanted.as_array().unwrap().iter()).any(|wanted| meets(wanted, data)),
            key => meets(wanted, data.get(key).unwrap_or(&json!({}))),
        }),
        wanted => {
            let wanted = wanted.as_array().unwrap();
            match data {
                Value::Array(items) => items.iter().any(|item| wanted.contains(item)),
                data => wanted.contains(data),
            }
        }
    }
}

/// Text that looks like a pattern, mostly a wrong one.
fn nonsense() -> impl Strategy<Value = Value> {
    let words = [
        "data",
        "type",
        "$or",
        "prefix",
        "suffix",
        "equals-ignore-case",
        "wildcard",
        "anything-but",
        "numeric",
        "cidr",
        "exists",
        "null",
        "x",
    ];
    let leaf = prop_oneof![
        scalar(),
        prop::sample::select(vec!["=", ">", "<=", "a*", "**", "10.0.0.0/8", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let key = prop::sample::select(words.to_vec());
        prop_oneof![
            prop::collection::vec((key, inner.clone()), 0..4).prop_map(|entries| {
                let entries = entries.into_iter();
                Value::Object(
                    entries
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #[test]
    fn an_event_meets_a_pattern_made_from_it(data in data()) {
        let pattern = of_data(&made_from(&data));
        prop_assert!(matches(&pattern, &data), "{pattern:?}");
    }

    /// Whatever is true of the whole is true of the parts; and the other way round where no
    /// element of an array has to be chosen.
    #[test]
    fn explanations_agree(wanted in data(), data in data()) {
        let pattern = of_data(&made_from(&wanted));
        let explanation = explain(&pattern, &data);
        let each = explanation.conditions.iter().all(|why| why.holds);
        prop_assert!(each || !explanation.matches, "{explanation:?}");
        prop_assert_eq!(explanation.note.is_some(), each && !explanation.matches);
        if !has_arrays(&data) {
            prop_assert_eq!(each, explanation.matches);
        }
    }

    #[test]
    fn one_element_meets_everything(pattern in demands(), data in records()) {
        let parsed = of_data(&pattern);
        let expected = choices(&data).iter().any(|chosen| meets(&pattern, chosen));
        prop_assert_eq!(matches(&parsed, &data), expected, "{}", pattern);
    }

    #[test]
    fn nonsense_is_refused_with_a_place(value in nonsense()) {
        mistakes::check(&value);
        mistakes::check(&json!({ "data": value }));
        if let Ok(pattern) = Pattern::parse(&json!({ "data": value })) {
            let event = EventView::of_json(json!({ "data": value }));
            prop_assert_eq!(pattern.matches(&event), pattern.explain(&event).matches);
        }
    }
}
