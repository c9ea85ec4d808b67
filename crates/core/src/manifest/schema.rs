//! A JSON Schema of the manifest, for editors; made from the keys that the reader knows.

use serde_json::{Map, Value, json};

use super::{
    filter,
    keys::{Key, Need, Section, Shape, Short},
    sections::{PROJECT, REFERENCE},
};
use crate::{limits, project::NodeMajor};

/// The JSON Schema (draft 2020-12) of `wakeful.toml`. It accepts whatever [`load`](super::load)
/// accepts; references between resources, routes and globs are checked only there.
pub fn schema() -> Value {
    let mut defs = Map::new();
    for section in [&PROJECT, &REFERENCE] {
        define(section, &mut defs);
    }
    let Some(Value::Object(mut root)) = defs.remove(PROJECT.id) else {
        unreachable!("the project was defined just now");
    };
    defs.insert("duration".to_owned(), duration());
    defs.insert("size".to_owned(), size());
    defs.insert("setting".to_owned(), setting());
    defs.insert("key".to_owned(), key());
    defs.extend(filter::definitions());
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wakeful.toml",
        "description": "What a Wakeful project consists of: functions, what wakes them, and what they use.",
    });
    let Value::Object(mut all) = head else {
        unreachable!("it is written as an object");
    };
    all.append(&mut root);
    all.insert("$defs".to_owned(), Value::Object(defs));
    Value::Object(all)
}

/// Adds `section`, and all sections that its keys lead to, to `defs`.
fn define(section: &'static Section, defs: &mut Map<String, Value>) {
    if defs.contains_key(section.id) {
        return;
    }
    // First a place holder, so that a section that leads to itself ends.
    defs.insert(section.id.to_owned(), Value::Null);
    for key in section.keys {
        inner(key.shape, &mut |section| define(section, defs));
    }
    defs.insert(section.id.to_owned(), table(section));
}

/// Calls `found` with each section that a shape leads to.
fn inner(shape: Shape, found: &mut dyn FnMut(&'static Section)) {
    match shape {
        Shape::Table(section)
        | Shape::Named(section)
        | Shape::Tables(section)
        | Shape::TextOr(section)
        | Shape::TextOrNamed(section)
        | Shape::Rule(_, section) => found(section),
        Shape::Text(_)
        | Shape::Texts(_)
        | Shape::OneOf(_)
        | Shape::SomeOf(_)
        | Shape::Duration
        | Shape::Durations
        | Shape::Size
        | Shape::Count { .. }
        | Shape::NodeMajor
        | Shape::Boolean
        | Shape::DurationOrBoolean
        | Shape::Key
        | Shape::Setting
        | Shape::Settings
        | Shape::Filter
        | Shape::Levels => {}
    }
}

fn table(section: &'static Section) -> Value {
    let properties: Map<String, Value> = (section.keys.iter())
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<&str> = (section.keys.iter())
        .filter(|key| key.need == Need::Required)
        .map(|key| key.name)
        .collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !section.one_of.is_empty() {
        let one = section.one_of.iter();
        let one: Vec<Value> = one.map(|name| json!({ "required": [name] })).collect();
        schema["oneOf"] = json!(one);
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(key.shape);
    schema["description"] = json!(key.about);
    if let Some(default) = key.default {
        let number = default.parse::<u32>().ok();
        schema["default"] = match (key.shape, number) {
            (Shape::Count { .. }, Some(number)) => json!(number),
            _ if matches!(default, "true" | "false") => json!(default == "true"),
            _ => json!(default),
        };
    }
    schema
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text(examples) => json!({ "type": "string", "examples": examples }),
        Shape::Texts(examples) => {
            json!({ "type": "array", "items": { "type": "string", "examples": examples } })
        }
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::SomeOf(words) => json!({
            "type": "array", "items": { "enum": words }, "minItems": 1, "uniqueItems": true
        }),
        Shape::Duration => reference("duration"),
        Shape::Durations => json!({
            "type": "array", "items": reference("duration"), "minItems": 2, "maxItems": 2
        }),
        Shape::Size => reference("size"),
        Shape::Count { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::NodeMajor => json!({ "enum": node_majors() }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::DurationOrBoolean => {
            json!({ "anyOf": [reference("duration"), { "type": "boolean" }] })
        }
        Shape::Key => reference("key"),
        Shape::Rule(short, section) => rule(short, section),
        Shape::Setting => reference("setting"),
        Shape::Settings => map_of(reference("setting")),
        Shape::Levels => map_of(json!({ "enum": super::sections::LEVELS })),
        Shape::Filter => reference("filter"),
        Shape::Table(section) => reference(section.id),
        Shape::Named(section) => map_of(reference(section.id)),
        Shape::Tables(section) => json!({ "type": "array", "items": reference(section.id) }),
        Shape::TextOr(section) => text_or(section),
        Shape::TextOrNamed(section) => map_of(text_or(section)),
    }
}

fn reference(id: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{id}") })
}

fn map_of(value: Value) -> Value {
    json!({ "type": "object", "additionalProperties": value })
}

fn text_or(section: &Section) -> Value {
    json!({ "anyOf": [{ "type": "string" }, reference(section.id)] })
}

fn rule(short: Short, section: &Section) -> Value {
    let off = json!({ "enum": [false] });
    let mut forms = vec![reference(section.id)];
    match short {
        Short::None => forms.push(off),
        Short::Text(examples) => {
            forms.extend([json!({ "type": "string", "examples": examples }), off]);
        }
        Short::Duration => forms.extend([reference("duration"), off]),
        Short::Key => forms.extend([reference("key"), off]),
        Short::Default => forms.push(json!({ "type": "boolean" })),
    }
    json!({ "anyOf": forms })
}

fn node_majors() -> Vec<Value> {
    let texts = NodeMajor::ALL.iter().map(|major| json!(major.to_string()));
    let numbers = NodeMajor::ALL.iter().map(|major| json!(major.number()));
    texts.chain(numbers).collect()
}

fn duration() -> Value {
    json!({
        "type": "string",
        "description": "A number and its unit (ms, s, m, h, d), or several, the largest first: 1h30m.",
        "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "minLength": 2,
        "examples": ["500ms", "30s", "5m", "1h30m"],
    })
}

fn size() -> Value {
    json!({
        "type": "string",
        "description": "A number and its unit: KiB, MiB, GiB (1024) or KB, MB, GB (1000).",
        "pattern": "^[0-9]+(\\.[0-9]{1,3})? *(KiB|MiB|GiB|KB|MB|GB)$",
        "examples": ["256MiB", "1.5GiB"],
    })
}

fn key() -> Value {
    let path = json!({
        "type": "string",
        "minLength": 1,
        "examples": ["data.order.id", "subject", "data.items[0].sku"],
    });
    let several = json!({
        "type": "array", "items": path, "minItems": 1, "maxItems": limits::MAX_KEY_PATHS
    });
    json!({
        "description": "Where in an event a key is found: a path, or several whose values together are the key.",
        "anyOf": [path, several],
    })
}

fn setting() -> Value {
    let mut elsewhere = reference(REFERENCE.id);
    elsewhere["minProperties"] = json!(1);
    elsewhere["maxProperties"] = json!(1);
    json!({ "anyOf": [{ "type": "string" }, elsewhere] })
}
