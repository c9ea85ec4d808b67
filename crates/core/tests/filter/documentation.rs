//! The examples of `docs/filters.md` mean what stands beside them.

use std::{fs, path::Path};

use serde_json::{Value, json};
use wakeful_core::filter::{ATTRIBUTES, EventView, OPERATORS, Pattern};

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filters.md");
    fs::read_to_string(path).unwrap()
}

fn pattern(toml: &str) -> Value {
    let value: toml::Table = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    serde_json::to_value(value).unwrap()
}

/// The rows of tables whose first cell is a pattern of `x`: the pattern, what it wants of `x`, what
/// it does not want. Cells hold code, several pieces with a comma between them.
#[test]
fn the_tables_are_true() {
    let mut rows = 0;
    for line in text().lines().filter(|line| line.starts_with("| `x = ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [wanted, _, met, unmet] = cells.as_slice() else {
            panic!("{line}");
        };
        let wanted = pattern(wanted.trim_matches('`'));
        let parsed = Pattern::parse(&json!({ "data": wanted })).unwrap();
        for (cell, expected) in [(met, true), (unmet, false)] {
            let pieces: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            assert!(!pieces.is_empty(), "{line}");
            for piece in pieces {
                let data = match piece {
                    "{}" => json!({}),
                    piece => json!({ "x": serde_json::from_str::<Value>(piece).unwrap() }),
                };
                let event = EventView::of_json(json!({ "data": data }));
                assert_eq!(parsed.matches(&event), expected, "{line}: {piece}");
            }
        }
        rows += 1;
    }
    assert!(rows >= 15, "{rows}");
}

/// Fences marked `toml filter`, each with what it wants (`json wants`) and what not (`json leaves`).
#[test]
fn the_examples_are_true() {
    let text = text();
    let mut current: Option<Pattern> = None;
    let mut counts = [0, 0, 0];
    for fence in text.split("\n```").skip(1).step_by(2) {
        let (language, body) = fence.split_once('\n').unwrap();
        match language {
            "toml filter" => {
                current = Some(Pattern::parse(&pattern(body)).unwrap());
                counts[0] += 1;
            }
            "json wants" | "json leaves" => {
                let wants = language == "json wants";
                let event = EventView::of_json(serde_json::from_str(body).unwrap());
                let filter = current.as_ref().unwrap();
                assert_eq!(filter.matches(&event), wants, "{filter:?} {body}");
                counts[if wants { 1 } else { 2 }] += 1;
            }
            _ => {}
        }
    }
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
}

#[test]
fn everything_is_documented() {
    let text = text();
    for name in OPERATORS.iter().chain(&ATTRIBUTES).chain(&["$or"]) {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}
