//! What is refused, where, and what is said about it.

use serde_json::{Value, json};
use wakeful_core::{
    filter::{Mistake, Part, Pattern, Step},
    limits,
};

fn mistakes(pattern: &Value) -> Vec<Mistake> {
    Pattern::parse(pattern).expect_err("the pattern was accepted")
}

/// A pattern and its mistakes, as `path: message; help`.
#[test]
fn mistakes_are_named_with_their_place() {
    for (pattern, expected) in [
        (
            json!("x"),
            &[": the pattern is the string \"x\"; expected an object"][..],
        ),
        (json!({}), &[": the pattern is empty"]),
        (
            json!({ "detail": { "a": [1] } }),
            &["detail: no event has the attribute \"detail\"; EventBridge's `detail` is `data`"],
        ),
        (
            json!({ "datta": ["x"] }),
            &["datta: no event has the attribute \"datta\"; did you mean `data`?"],
        ),
        (
            json!({ "after": { "a": [1] } }),
            &[
                "after: no event has the attribute \"after\"; it is a part of the data: write data.after",
            ],
        ),
        (
            json!({ "type": "a" }),
            &["type: `type` is the string \"a\"; wanted values stand in an array: [\"a\"]"],
        ),
        (
            json!({ "data": { "n": 5, "t": true, "z": null } }),
            &[
                "data.n: `data.n` is the number 5; wanted values stand in an array: [5]",
                "data.t: `data.t` is true",
                "data.z: `data.z` is null",
            ],
        ),
        (json!({ "data": {} }), &["data: `data` asks for nothing"]),
        (
            json!({ "data": { "x": [] } }),
            &["data.x: `data.x` is an empty array"],
        ),
        (
            json!({ "data": { "x": [[1]] } }),
            &["data.x[0]: a wanted value is an array"],
        ),
        (
            json!({ "data": { "x": [{}] } }),
            &["data.x[0]: an operator is an object with one key"],
        ),
        (
            json!({ "data": { "x": [{ "prefix": "a", "suffix": "b" }] } }),
            &["data.x[0]: an operator is an object with one key"],
        ),
        (
            json!({ "data": { "x": [{ "prefx": "a" }] } }),
            &["data.x[0].prefx: there is no operator \"prefx\"; did you mean `prefix`?"],
        ),
        (
            json!({ "data": { "x": [{ "regex": "a" }] } }),
            &["data.x[0].regex: there is no operator \"regex\"; there is none"],
        ),
        (
            json!({ "data": { "x": [{ ">": 5 }] } }),
            &["data.x[0].\">\": there is no operator \">\"; write { numeric"],
        ),
        (
            json!({ "data": { "x": { "prefix": "a" } } }),
            &["data.x.prefix: the operator `prefix` stands outside of an array; put it into one"],
        ),
        (
            json!({ "data": { "x": { "numeric": [">", 1] } } }),
            &["data.x.numeric: the operator `numeric` stands outside"],
        ),
        (
            json!({ "data": { "x": { "anything-but": ["a"] } } }),
            &["data.x.anything-but: the operator"],
        ),
        (
            json!({ "data": { "x": [{ "prefix": 5 }] } }),
            &["data.x[0].prefix: `data.x[0].prefix` is the number 5; expected a text, or"],
        ),
        (
            json!({ "data": { "x": [{ "prefix": ["a"] }] } }),
            &["data.x[0].prefix: `data.x[0].prefix` is an array; expected one text"],
        ),
        (
            json!({ "data": { "x": [{ "suffix": { "prefix": "a" } }] } }),
            &["data.x[0].suffix: `data.x[0].suffix` is an object"],
        ),
        (
            json!({ "data": { "x": [{ "wildcard": "a**b" }] } }),
            &["data.x[0].wildcard: \"a**b\" is no wildcard: two `*` stand side by side"],
        ),
        (
            json!({ "data": { "x": [{ "wildcard": "a\\b" }] } }),
            &["data.x[0].wildcard: \"a\\\\b\" is no wildcard: a `\\` stands only before"],
        ),
        (
            json!({ "data": { "x": [{ "numeric": [] }] } }),
            &[
                "data.x[0].numeric: `data.x[0].numeric` is an array; expected one or two comparisons",
            ],
        ),
        (
            json!({ "data": { "x": [{ "numeric": ["!", "5"] }] } }),
            &[
                "data.x[0].numeric[0]: the string \"!\" is no comparison",
                "data.x[0].numeric[1]: `data.x[0].numeric[1]` is the string \"5\"; expected a number",
            ],
        ),
        (
            json!({ "data": { "x": [{ "numeric": [">", 5, "<", 5] }] } }),
            &["data.x[0].numeric: `data.x[0].numeric` is a range in which no number is"],
        ),
        (
            json!({ "data": { "x": [{ "numeric": [">", 5, "<=", 5] }] } }),
            &["data.x[0].numeric: `data.x[0].numeric` is a range in which no number is"],
        ),
        (
            json!({ "data": { "x": [{ "numeric": [">", 5, ">=", 7] }] } }),
            &["data.x[0].numeric: `data.x[0].numeric` compares twice"],
        ),
        (
            json!({ "data": { "x": [{ "numeric": ["=", 5, "<", 7] }] } }),
            &["data.x[0].numeric: `data.x[0].numeric` compares twice"],
        ),
        (
            json!({ "data": { "x": [{ "cidr": "10.0.0.0" }] } }),
            &[
                "data.x[0].cidr: \"10.0.0.0\" is no block of addresses: the number of leading bits is missing",
            ],
        ),
        (
            json!({ "data": { "x": [{ "cidr": "::/129" }] } }),
            &[
                "data.x[0].cidr: \"::/129\" is no block of addresses: behind the `/` stands a number from 0 to 128",
            ],
        ),
        (
            json!({ "data": { "x": [{ "exists": "yes" }] } }),
            &["data.x[0].exists: `data.x[0].exists` is the string \"yes\"; expected true or false"],
        ),
        (
            json!({ "data": { "x": [{ "anything-but": [] }] } }),
            &["data.x[0].anything-but: `data.x[0].anything-but` is empty"],
        ),
        (
            json!({ "data": { "x": [{ "anything-but": { "numeric": ["=", 1] } }] } }),
            &["data.x[0].anything-but: `data.x[0].anything-but` is an object; expected a value"],
        ),
        (
            json!({ "data": { "x": [{ "anything-but": { "prefix": ["a", "", 5] } }] } }),
            &[
                "data.x[0].anything-but.prefix[1]: an empty prefix excludes every text",
                "data.x[0].anything-but.prefix[2]: `data.x[0].anything-but.prefix[2]` is the number 5",
            ],
        ),
        (
            json!({ "$or": { "data": [1] } }),
            &["$or: `$or` is an object; expected an array of two or more objects"],
        ),
        (
            json!({ "$or": [{ "data": [1] }] }),
            &["$or: `$or` has fewer than two alternatives"],
        ),
        (
            json!({ "$or": [{ "data": [1] }, {}, 5, { "detail": [1] }] }),
            &[
                "$or[1]: an alternative is empty",
                "$or[2]: an alternative is the number 5",
                "$or[3].detail: no event has the attribute \"detail\"",
            ],
        ),
        (
            json!({ "data": { "x": [{ "$or": [1, 2] }] } }),
            &["data.x[0].$or: there is no operator \"$or\"; a `$or` stands beside"],
        ),
    ] {
        let found = mistakes(&pattern);
        let shown: Vec<String> = (found.iter())
            .map(|it| format!("{}: {}; {}", it.path, it.message, it.help))
            .collect();
        assert_eq!(shown.len(), expected.len(), "{pattern}: {shown:#?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(
                shown.starts_with(expected),
                "{pattern}:\n{shown}\n{expected}"
            );
        }
    }
}

/// Every mistake's path leads to something in the pattern.
fn check_places(pattern: &Value, mistakes: &[Mistake]) {
    assert!(!mistakes.is_empty());
    for mistake in mistakes {
        let mut at = pattern;
        for step in mistake.path.steps() {
            let next = match step {
                Step::Key(key) => at.get(key),
                Step::Index(index) => at.get(index),
            };
            at = next.unwrap_or_else(|| panic!("{pattern}: {} leads nowhere", mistake.path));
        }
        let ends_in_key = matches!(mistake.path.steps().last(), Some(Step::Key(_)));
        assert!(
            mistake.part == Part::Value || ends_in_key,
            "{pattern}: {mistake:?}"
        );
    }
}

pub(crate) fn check(pattern: &Value) {
    if let Err(mistakes) = Pattern::parse(pattern) {
        check_places(pattern, &mistakes);
    }
}

#[test]
fn patterns_are_bounded() {
    let mut deep = json!({ "x": [1] });
    for _ in 0..200 {
        deep = json!({ "x": deep });
    }
    let many: serde_json::Map<_, _> = (0..1000).map(|i| (format!("k{i}"), json!([i]))).collect();
    let values: Vec<u32> = (0..10_000).collect();
    for (pattern, expected) in [
        (
            json!({ "data": deep }),
            format!("more than {} deep", limits::MAX_FILTER_DEPTH),
        ),
        (
            json!({ "data": many }),
            "the pattern has 1000 conditions".to_owned(),
        ),
        (
            json!({ "data": { "x": values } }),
            "the pattern has 10000 wanted values".to_owned(),
        ),
        (
            json!({ "data": { "x": [{ "anything-but": values }] } }),
            "the pattern has 10001 wanted values".to_owned(),
        ),
    ] {
        let found = mistakes(&pattern);
        check_places(&pattern, &found);
        assert!(found[0].message.contains(&expected), "{:?}", found[0]);
    }
}

/// Alternatives that must be looked at together multiply, and are refused beyond a bound.
#[test]
fn alternatives_that_multiply_are_bounded() {
    // Each level adds two alternatives for what is below the same `a.s`.
    fn chain(levels: usize) -> Value {
        let or =
            json!([{ "s": { format!("p{levels}"): [1] } }, { "s": { format!("q{levels}"): [1] } }]);
        match levels {
            0 => json!({ "a": { "$or": or } }),
            _ => json!({ "a": { "$or": or }, "$or": [chain(levels - 1), { "z": [1] }] }),
        }
    }
    assert!(Pattern::parse(&json!({ "data": chain(6) })).is_ok());
    let found = mistakes(&json!({ "data": chain(14) }));
    assert!(
        found[0].message.contains("multiply to too many"),
        "{:?}",
        found[0]
    );
    check_places(&json!({ "data": chain(14) }), &found);
}
