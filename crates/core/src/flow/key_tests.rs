use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    event::{Event, Extension, Extensions, Lineage},
    id::EventId,
    time::Timestamp,
};

fn event(data: Value) -> Event {
    Event {
        key: EventId::from_raw(7),
        origin: "topic:orders.paid".parse().unwrap(),
        id: "id-1".into(),
        source: "/shop".into(),
        kind: "orders.paid".into(),
        subject: Some("a|b".into()),
        time: Timestamp::from_millis(0),
        content_type: "application/json".into(),
        data: Bytes::from(data.to_string()),
        extensions: Extensions::from([
            ("tenant".into(), Extension::Text("acme".into())),
            ("urgent".into(), Extension::Boolean(true)),
            ("level".into(), Extension::Integer(-3)),
            ("weight".into(), Extension::Text(" 2.5 ".into())),
        ]),
        lineage: Lineage::default(),
    }
}

fn order() -> Event {
    event(json!({
        "id": 17, "big": 12345678901234567890u64, "price": 1.50, "paid": false, "none": null,
        "odd key": "o", "a.b": "dotted", "": "empty", "say \"hi\"": "quoted",
        "items": [{ "sku": "x-1" }, ["deep"]],
        "seconds": "90", "text": "ü|\\", "0": "zero", "infinite": "inf",
    }))
}

#[track_caller]
fn key(paths: &[&str], event: &Event) -> Option<String> {
    let parsed = KeyExpression::parse(paths).unwrap();
    let found = parsed.key_of(&EventView::of(event));
    // An event that is given as JSON has the same keys.
    let json = serde_json::from_slice(&event.to_json()).unwrap();
    assert_eq!(parsed.key_of(&EventView::of_json(json)), found, "{paths:?}");
    found
}

#[test]
fn values_without_parts_are_keys() {
    let order = order();
    let check = |path: &str, expected| {
        assert_eq!(key(&[path], &order).as_deref(), expected, "{path}");
    };
    check("id", Some("id-1"));
    check("source", Some("/shop"));
    check("type", Some("orders.paid"));
    check("subject", Some("a|b"));
    check("time", Some("1970-01-01T00:00:00.000Z"));
    check("datacontenttype", Some("application/json"));
    check("tenant", Some("acme"));
    check("urgent", Some("true"));
    check("level", Some("-3"));
    check("absent", None);
    check("data.id", Some("17"));
    check("data.big", Some("12345678901234567890"));
    check("data.price", Some("1.5"));
    check("data.paid", Some("false"));
    check("data.none", None);
    check("data.nothing", None);
    check("data.id.deeper", None);
    check("data[\"odd key\"]", Some("o"));
    check("data['odd key']", Some("o"));
    check("data[\"a.b\"]", Some("dotted"));
    check("data[\"\"]", Some("empty"));
    check("data[\"say \\\"hi\\\"\"]", Some("quoted"));
    check("data[\"0\"]", Some("zero"));
    check("data.items", None);
    check("data.items[0]", Some("{\"sku\":\"x-1\"}"));
    check("data.items[0].sku", Some("x-1"));
    check("data.items[1][0]", Some("deep"));
    check("data.items[2]", None);
    check("data.id[0]", None);
    check("data.text", Some("ü|\\"));
}

/// The key of a row is an object of its columns, and large numbers are objects too.
#[test]
fn an_object_is_a_key_as_a_whole() {
    let check = |data: &str, expected: Option<&str>| {
        let mut event = event(Value::Null);
        event.data = Bytes::from(data.to_owned());
        assert_eq!(key(&["data.key"], &event).as_deref(), expected, "{data}");
    };
    check(r#"{"key": {"id": 7}}"#, Some(r#"{"id":7}"#));
    check(
        r#"{"key": {"b": "x", "a": {"d": [1, {}], "c": null}}}"#,
        Some(r#"{"a":{"c":null,"d":[1,{}]},"b":"x"}"#),
    );
    check(
        r#"{"key": {"a": {"c": null, "d": [1, {}]}, "b": "x"}}"#,
        Some(r#"{"a":{"c":null,"d":[1,{}]},"b":"x"}"#),
    );
    check(
        r#"{"key": {"id": {"$int": "9"}}}"#,
        Some(r#"{"id":{"$int":"9"}}"#),
    );
    check(r#"{"key": {}}"#, None);
    check(r#"{"key": [1]}"#, None);
    let both = key(
        &["data.key", "subject"],
        &event(json!({ "key": { "a|": 1 } })),
    );
    assert_eq!(both.as_deref(), Some(r#"{"a\|":1}|a\|b"#));
}

#[test]
fn data_that_has_no_parts_can_be_a_key() {
    assert_eq!(key(&["data"], &event(json!("all"))).as_deref(), Some("all"));
    assert_eq!(key(&["data"], &event(json!([1]))), None);
    let mut image = event(json!(1));
    image.content_type = "image/png".into();
    assert_eq!(key(&["data"], &image), None);
}

#[test]
fn several_paths_make_one_key() {
    let order = order();
    let both = key(&["tenant", "data.id"], &order);
    assert_eq!(both.as_deref(), Some("acme|17"));
    let escaped = key(&["subject", "data.text", "data.paid"], &order);
    assert_eq!(escaped.as_deref(), Some("a\\|b|ü\\|\\\\|false"));
    assert_eq!(key(&["data.id", "data.none"], &order), None);
    assert_eq!(key(&["data.none", "data.id"], &order), None);
}

#[test]
fn numbers_are_found() {
    let order = order();
    let check = |path: &str, expected| {
        let parsed = KeyExpression::parse(&[path]).unwrap();
        assert_eq!(parsed.number_of(&EventView::of(&order)), expected, "{path}");
    };
    check("data.id", Some(17.0));
    check("data.price", Some(1.5));
    check("data.seconds", Some(90.0));
    check("level", Some(-3.0));
    check("weight", Some(2.5));
    check("urgent", None);
    check("tenant", None);
    check("data.infinite", None);
    check("data.items", None);
    check("data.nothing", None);
}

#[test]
fn long_keys_are_cut_and_stay_different() {
    let of = |text: String| key(&["data"], &event(Value::String(text))).unwrap();
    let most = limits::MAX_KEY;
    let longest = "a".repeat(most);
    assert_eq!(of(longest.clone()), longest);
    let (one, other) = (of(format!("{longest}1")), of(format!("{longest}2")));
    assert_ne!(one, other);
    assert_eq!(one.len(), most);
    assert!(one.starts_with(&"a".repeat(most - 33)), "{one}");
    assert_eq!(one, of(format!("{longest}1")));
    // Characters are not torn apart.
    let wide = of("🦀".repeat(most));
    assert!((most - 3..=most).contains(&wide.len()), "{wide}");
    // Nobody gets the key of another by writing what it was cut to.
    for cut in [one, wide] {
        assert_ne!(of(cut.clone()), cut);
    }
}

#[test]
fn mistakes_say_what_would_help() {
    let check = |path: &str, message: &str, help: &str| {
        let mistake = KeyExpression::parse(&[path]).expect_err(path);
        assert!(mistake.message.contains(message), "{path}: {mistake:?}");
        assert!(mistake.help.contains(help), "{path}: {mistake:?}");
    };
    check("", "is empty", "data.order.id");
    check("data..id", "has an empty step", "between two names");
    check(".id", "has an empty step", "");
    check("data.", "has an empty step", "");
    check("data[0", "`[` without its `]`", "[0]");
    check("data[\"a", "without its second", "");
    check("data[\"a\"", "`[` without its `]`", "");
    check("data[]", "`` in brackets", "[0]");
    check("data[*]", "`*` in brackets", "one element");
    check("data[-1]", "`-1` in brackets", "from the front");
    check("data[id]", "`id` in brackets", "[\"id\"]");
    check("data[99999999999]", "in brackets", "more elements");
    check("data[0]id", "with `i` after a `]`", "`.` or a `[`");
    check("data.items.0", "the number `0` behind a dot", "[0]");
    check("data.items.*.id", "has a '*' in a name", "one element");
    check("data.odd key", "has a ' ' in a name", "[\"odd key\"]");
    check("data.a]", "has a ']'", "behind a `[`");
    check("[0].id", "begins with a bracket", "data.order.id");
    check("body.order.id", "no event has `body`", "\"data.order.id\"");
    check(
        "body.x",
        "no event has `body`",
        "An event has `id`, `source`, `type`",
    );
    check("order_id", "no event has `order_id`", "\"data.order_id\"");
    check("order.id", "no event has `order`", "\"data.order.id\"");
    check("subjct", "no event has `subjct`", "\"subject\"");
    check("dta.id", "no event has `dta`", "\"data.id\"");
    check("key", "no event has `key`", "\"data.key\"");
    check("subject.key", "looks into `subject`", "write \"subject\"");
    check("$.data.id", "JSONPath", "write \"data.id\"");
    check("$..id", "JSONPath", "data.order.id");
    check("/data/id", "JSON pointer", "\"data.id\"");
    check("${data.id}", "template", "\"data.id\"");
    check("{{ data.id }}", "template", "\"data.id\"");
    check("event.data.id", "in code", "\"data.id\"");
    check(&"a".repeat(limits::MAX_KEY_PATH + 1), "bytes", "at most");
    check("data.\u{1b}[31m", "'\\u{1b}'", "");
    let check = |paths: &[&str], message: &str| {
        let mistake = KeyExpression::parse(paths).unwrap_err();
        assert!(mistake.message.contains(message), "{mistake:?}");
    };
    check(&[], "has 0 paths");
    check(&["id"; 9], "has 9 paths");
    check(&["data.a", "id", "data.a"], "names `data.a` twice");
    check(&["id", "data."], "empty step");
}

/// A path that leads to `steps`, with every key in quotes.
fn path_to(steps: &[Result<String, usize>]) -> String {
    let mut path = "data".to_owned();
    for step in steps {
        match step {
            Ok(key) => {
                let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
                path.push_str(&format!("[\"{escaped}\"]"));
            }
            Err(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

proptest! {
    #[test]
    fn what_is_put_under_any_keys_is_found(
        steps in proptest::collection::vec(
            prop_oneof![".{0,6}".prop_map(Ok), (0usize..4).prop_map(Err)], 0..6,
        ),
        text in ".{0,30}",
    ) {
        let mut data = Value::String(text.clone());
        for step in steps.iter().rev() {
            data = match step {
                Ok(key) => json!({ key.clone(): data }),
                Err(index) => {
                    let mut items = vec![Value::Null; *index];
                    items.push(data);
                    Value::Array(items)
                }
            };
        }
        let path = path_to(&steps);
        prop_assume!(path.len() <= limits::MAX_KEY_PATH);
        prop_assert_eq!(key(&[&path], &event(data)), Some(text));
    }

    #[test]
    fn different_values_make_different_keys(
        one in proptest::collection::vec(r"[ab|\\]{0,3}|a{250,260}", 3),
        other in proptest::collection::vec(r"[ab|\\]{0,3}|a{250,260}", 3),
    ) {
        let of = |values: &[String]| {
            key(&["data[0]", "data[1]", "data[2]"], &event(json!(values))).unwrap()
        };
        let (first, second) = (of(&one), of(&other));
        prop_assert_eq!(one == other, first == second);
        prop_assert!(first.len() <= limits::MAX_KEY);
    }

    #[test]
    fn any_text_is_a_path_or_a_mistake_with_help(text in r#"(data|id|[a-z.\[\]"'\\*0-9 ü]){0,8}"#) {
        match KeyExpression::parse(&[&text]) {
            Ok(parsed) => prop_assert_eq!(parsed.paths().next(), Some(text.as_str())),
            Err(mistake) => prop_assert!(!mistake.message.is_empty() && !mistake.help.is_empty()),
        }
    }
}
