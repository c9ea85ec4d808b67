//! The JSON Schema for editors, held against the manifests that are read.

use std::{fs, path::Path};

use serde_json::Value;
use wakeful_core::manifest;

use crate::{cases, folder};

#[test]
fn the_schema_is_the_one_that_was_read_over() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/schema.json");
    let actual = serde_json::to_string_pretty(&manifest::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == actual,
        "the schema changed"
    );
}

#[test]
fn the_schema_accepts_every_valid_manifest() {
    let schema = manifest::schema();
    for (path, text) in cases("valid") {
        let value: Value = toml::from_str(&text).unwrap();
        let faults = faults(&schema, &value);
        assert!(faults.is_empty(), "{}: {faults:#?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_it_can_know_to_be_wrong() {
    let schema = manifest::schema();
    for name in [
        "unknown-key",
        "unknown-top-key",
        "memory-number",
        "timeout-number",
        "node-unsupported",
        "events-word",
        "two-sources",
        "no-source",
        "env-number",
        "on-table",
        "not-yet-trigger-keys",
        "filter",
        "rules-shape",
        "rules-destination",
        "rules-retry-kinds",
        "rules-topic-table",
    ] {
        let text = fs::read_to_string(folder("invalid").join(format!("{name}.toml"))).unwrap();
        let value: Value = toml::from_str(&text).unwrap();
        assert!(!faults(&schema, &value).is_empty(), "{name}");
    }
}

/// Where a value breaks a schema.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    schema_faults(schema, schema, value, "")
}

/// As much of JSON Schema as ours uses, patterns left out; an unknown keyword is a fault.
fn schema_faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" | "pattern" => {
                true
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                faults.extend(property_faults(root, schema, value, at, keyword));
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    faults.extend(schema_faults(root, rule, item, &format!("{at}[]")));
                }
                true
            }
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("no {pointer}"));
                faults.extend(schema_faults(root, target, value, at));
                true
            }
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                other => panic!("unknown type {other}"),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => (rule.as_array().unwrap().iter())
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "anyOf" => matching(root, rule, value) >= 1,
            "oneOf" => matching(root, rule, value) == 1,
            "minItems" => value
                .as_array()
                .is_none_or(|it| it.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value
                .as_array()
                .is_none_or(|it| it.len() as u64 <= rule.as_u64().unwrap()),
            "minProperties" => value
                .as_object()
                .is_none_or(|it| it.len() as u64 >= rule.as_u64().unwrap()),
            "maxProperties" => value
                .as_object()
                .is_none_or(|it| it.len() as u64 <= rule.as_u64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|it| it.len() as u64 >= rule.as_u64().unwrap()),
            "minimum" => value.as_i64().is_none_or(|it| it >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|it| it <= rule.as_i64().unwrap()),
            "uniqueItems" => true,
            other => panic!("the test does not know the keyword {other}"),
        };
        if !holds {
            faults.push(format!("{at}: {value} breaks {keyword}: {rule}"));
        }
    }
    faults
}

fn matching(root: &Value, schemas: &Value, value: &Value) -> usize {
    (schemas.as_array().unwrap().iter())
        .filter(|schema| schema_faults(root, schema, value, "").is_empty())
        .count()
}

fn property_faults(
    root: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    keyword: &str,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        let own = schema.get("properties").and_then(|all| all.get(key));
        let own = own.or_else(|| pattern_property(schema, key));
        match (keyword, own, &schema["additionalProperties"]) {
            ("properties", Some(rule), _) => faults.extend(schema_faults(root, rule, inner, &at)),
            ("additionalProperties", None, Value::Bool(false)) => {
                faults.push(format!("{at} is not known"));
            }
            ("additionalProperties", None, rule @ Value::Object(_)) => {
                faults.extend(schema_faults(root, rule, inner, &at));
            }
            _ => {}
        }
    }
    faults
}

/// What the schema says of a key by its form; there is one pattern in ours.
fn pattern_property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let rule = schema.get("patternProperties")?.get("^[a-z0-9]+$")?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    key.bytes().all(fits).then_some(rule)
}
