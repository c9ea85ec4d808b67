//! What patterns mean, operator by operator.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use wakeful_core::{
    event::{Event, Extension, Extensions},
    filter::{EventView, Pattern},
    id::EventId,
    time::Timestamp,
};

use crate::{explain, matches, of_data};

/// The pattern of the field `x`, values that meet it, and values that do not.
fn check(wanted: Value, met: &[Value], unmet: &[Value]) {
    let pattern = of_data(&json!({ "x": wanted }));
    for value in met {
        assert!(
            matches(&pattern, &json!({ "x": value })),
            "{pattern:?} {value}"
        );
    }
    for value in unmet {
        assert!(
            !matches(&pattern, &json!({ "x": value })),
            "{pattern:?} {value}"
        );
    }
}

/// A pattern, and data with whether it is wanted.
fn cases(pattern: Value, data: &[(Value, bool)]) {
    let parsed = of_data(&pattern);
    for (data, expected) in data {
        assert_eq!(matches(&parsed, data), *expected, "{pattern} {data}");
    }
}

#[test]
fn exact_values() {
    check(
        json!(["paid"]),
        &[json!("paid")],
        &[json!("Paid"), json!(""), json!(null), json!(1)],
    );
    check(
        json!([""]),
        &[json!("")],
        &[json!(null), json!(" "), json!({}), json!([])],
    );
    check(
        json!([null]),
        &[json!(null), json!([1, null])],
        &[json!(""), json!("null"), json!(0)],
    );
    check(
        json!([true]),
        &[json!(true)],
        &[json!(false), json!("true"), json!(1)],
    );
    check(
        json!([false, 0]),
        &[json!(false), json!(0), json!(-0.0)],
        &[json!(true), json!("0")],
    );
    check(
        json!([300]),
        &[json!(300), json!(300.0), json!([1, 3e2])],
        &[json!("300"), json!(300.1)],
    );
    check(
        json!(["a", "b", 3, null]),
        &[json!("b"), json!(3), json!(null)],
        &[json!("c"), json!(4)],
    );
    let large = json!([9_007_199_254_740_993_u64]);
    check(
        large,
        &[json!(9_007_199_254_740_993_u64)],
        &[json!(9_007_199_254_740_992_u64)],
    );
}

#[test]
fn ends_of_texts() {
    check(
        json!([{ "prefix": "us-" }]),
        &[json!("us-east-1"), json!("us-"), json!(["eu", "us-2"])],
        &[json!("US-east-1"), json!("us"), json!(5), json!(null)],
    );
    check(
        json!([{ "suffix": ".png" }]),
        &[json!("a.png"), json!(".png")],
        &[json!("a.PNG"), json!("png")],
    );
    check(
        json!([{ "prefix": "" }]),
        &[json!(""), json!("a")],
        &[json!(1), json!(null)],
    );
    check(
        json!([{ "prefix": { "equals-ignore-case": "EventB" } }]),
        &[json!("eventbridge"), json!("EVENTB")],
        &[json!("event")],
    );
    check(
        json!([{ "suffix": { "equals-ignore-case": "tBridge" } }]),
        &[json!("EventBridge"), json!("TBRIDGE")],
        &[json!("bridge")],
    );
    check(
        json!([{ "equals-ignore-case": "alice" }]),
        &[json!("ALICE"), json!("alice")],
        &[json!("alice "), json!("alic")],
    );
}

#[test]
fn wildcards() {
    check(
        json!([{ "wildcard": "dir/*.png" }]),
        &[json!("dir/a.png"), json!("dir/sub/.png")],
        &[json!("dir/a.jpg"), json!("x/dir/a.png"), json!(7)],
    );
    check(
        json!([{ "wildcard": r"5 \* *" }]),
        &[json!("5 * 3")],
        &[json!("5 x 3")],
    );
    check(
        json!([{ "wildcard": r"c:\\*" }]),
        &[json!(r"c:\dir")],
        &[json!("c:dir")],
    );
    check(
        json!([{ "wildcard": "*" }]),
        &[json!(""), json!("a")],
        &[json!(null)],
    );
}

#[test]
fn anything_but() {
    check(
        json!([{ "anything-but": "initializing" }]),
        &[
            json!("running"),
            json!(1),
            json!(null),
            json!(["initializing", "running"]),
        ],
        &[
            json!("initializing"),
            json!(["initializing"]),
            json!({}),
            json!([]),
        ],
    );
    check(
        json!([{ "anything-but": 123 }]),
        &[json!(124), json!("123")],
        &[json!(123), json!(123.0)],
    );
    check(
        json!([{ "anything-but": ["stopped", "overloaded"] }]),
        &[json!("running")],
        &[json!("stopped"), json!("overloaded")],
    );
    check(
        json!([{ "anything-but": [100, 200, 300] }]),
        &[json!(150)],
        &[json!(200), json!(3e2)],
    );
    check(
        json!([{ "anything-but": null }]),
        &[json!(0), json!("")],
        &[json!(null)],
    );
    check(
        json!([{ "anything-but": [true, "x"] }]),
        &[json!(false)],
        &[json!(true), json!("x")],
    );
    check(
        json!([{ "anything-but": { "prefix": "init" } }]),
        &[json!("run"), json!(5)],
        &[json!("init")],
    );
    check(
        json!([{ "anything-but": { "prefix": ["a", "b"] } }]),
        &[json!("c")],
        &[json!("ax"), json!("bx")],
    );
    check(
        json!([{ "anything-but": { "suffix": [".png", ".jpg"] } }]),
        &[json!("a.txt")],
        &[json!("a.png"), json!("a.jpg")],
    );
    check(
        json!([{ "anything-but": { "equals-ignore-case": ["initializing", "stopped"] } }]),
        &[json!("running")],
        &[json!("INITIALIZING"), json!("Stopped")],
    );
    check(
        json!([{ "anything-but": { "wildcard": ["*/lib/*", "*/bin/*"] } }]),
        &[json!("/usr/share/x")],
        &[json!("/usr/lib/x"), json!("/usr/bin/x")],
    );
    check(
        json!([{ "anything-but": { "prefix": { "equals-ignore-case": "us-" } } }]),
        &[json!("eu-1")],
        &[json!("US-1"), json!("us-1")],
    );
    check(
        json!([{ "anything-but": { "suffix": { "equals-ignore-case": [".png", ".jpg"] } } }]),
        &[json!("a.gif")],
        &[json!("a.PNG"), json!("a.Jpg")],
    );
    // A value that is not there is not anything.
    cases(
        json!({ "x": [{ "anything-but": "a" }] }),
        &[(json!({}), false), (json!({ "y": 1 }), false)],
    );
    // Both of an array are alternatives: everything is other than one of the two.
    check(
        json!([{ "anything-but": "a" }, { "anything-but": "b" }]),
        &[json!("a"), json!("b")],
        &[],
    );
}

#[test]
fn ranges() {
    check(
        json!([{ "numeric": [">", 0, "<=", 5] }]),
        &[json!(0.1), json!(5), json!([9, 3])],
        &[
            json!(0),
            json!(5.01),
            json!("3"),
            json!(null),
            json!([9, -1]),
        ],
    );
    check(
        json!([{ "numeric": ["<", 10] }]),
        &[json!(9.99), json!(-1e300)],
        &[json!(10)],
    );
    check(
        json!([{ "numeric": [">=", 10] }]),
        &[json!(10)],
        &[json!(9)],
    );
    check(
        json!([{ "numeric": ["=", 3.018e2] }]),
        &[json!(301.8)],
        &[json!(301.81)],
    );
    check(
        json!([{ "numeric": ["<=", 5, ">", 0] }]),
        &[json!(1)],
        &[json!(0)],
    );
    check(
        json!([{ "numeric": [">=", 1, "<=", 1] }]),
        &[json!(1)],
        &[json!(2)],
    );
    check(
        json!([{ "numeric": ["<", 0] }, { "numeric": [">", 100] }, 50]),
        &[json!(-1), json!(101), json!(50)],
        &[json!(0)],
    );
}

#[test]
fn addresses() {
    check(
        json!([{ "cidr": "10.0.0.0/24" }]),
        &[json!("10.0.0.33"), json!(["1.2.3.4", "10.0.0.1"])],
        &[
            json!("10.0.1.1"),
            json!("x"),
            json!(""),
            json!(10),
            json!("2001:db8::1"),
        ],
    );
    check(
        json!([{ "cidr": "2001:db8::/32" }]),
        &[json!("2001:DB8::5")],
        &[json!("2001:db9::"), json!("10.0.0.1")],
    );
}

/// `exists` looks at values without parts: an object is none, an empty array holds none.
#[test]
fn existence() {
    let there = [
        json!(0),
        json!(""),
        json!(null),
        json!(false),
        json!([1]),
        json!([{}, 1]),
    ];
    let not_there = [
        json!({}),
        json!({ "c1": 100 }),
        json!([]),
        json!([{ "y": 1 }]),
        json!([[]]),
    ];
    check(json!([{ "exists": true }]), &there, &not_there);
    check(json!([{ "exists": false }]), &not_there, &there);
    check(
        json!([{ "null": true }]),
        &[json!(null)],
        &[json!(0), json!({}), json!([])],
    );
    check(
        json!([{ "null": false }]),
        &[json!(0), json!("")],
        &[json!(null), json!({}), json!([])],
    );
    cases(
        json!({ "x": [{ "exists": true }] }),
        &[(json!({ "y": 1 }), false), (json!({ "x": 1 }), true)],
    );
    cases(
        json!({ "x": [{ "exists": false }] }),
        &[(json!({ "y": 1 }), true), (json!([]), true)],
    );
    cases(
        json!({ "x": ["a", { "exists": false }] }),
        &[
            (json!({}), true),
            (json!({ "x": "a" }), true),
            (json!({ "x": "b" }), false),
        ],
    );
    cases(
        json!({ "a": { "b": [{ "exists": false }] } }),
        &[
            (json!({}), true),
            (json!({ "a": 5 }), true),
            (json!({ "a": [] }), true),
            (json!({ "a": { "b": 1 } }), false),
            (json!({ "a": { "b": {} } }), true),
        ],
    );
}

/// What is not there must be missing from every element, unless something else chose one.
#[test]
fn absence_in_arrays() {
    let items = |items: Value| json!({ "items": items });
    cases(
        json!({ "items": { "price": [{ "exists": false }] } }),
        &[
            (items(json!([{ "name": "x" }, { "price": 1 }])), false),
            (items(json!([{ "name": "x" }, { "name": "y" }])), true),
            (items(json!([1, { "name": "y" }])), true),
            (items(json!([1, { "price": 2 }])), false),
        ],
    );
    cases(
        json!({ "items": { "name": ["x"], "price": [{ "exists": false }] } }),
        &[
            (items(json!([{ "name": "x" }, { "price": 1 }])), true),
            (
                items(json!([{ "name": "x", "price": 1 }, { "name": "y" }])),
                false,
            ),
        ],
    );
}

#[test]
fn objects_and_arrays() {
    let employees = json!({ "employees": [
        { "firstName": "John", "lastName": "Doe" },
        { "firstName": "Anna", "lastName": "Smith" },
        { "firstName": "Peter", "lastName": "Jones" },
    ] });
    let nested = json!({ "employees": [
        [{ "firstName": "John", "lastName": "Doe" }, { "firstName": "Anna", "lastName": "Smith" }],
        [{ "firstName": "Peter", "lastName": "Jones" }],
    ] });
    let named = |first, last| json!({ "employees": { "firstName": [first], "lastName": [last] } });
    for event in [&employees, &nested] {
        cases(
            json!({ "employees": { "firstName": ["Anna"] } }),
            &[(event.clone(), true)],
        );
        cases(named("Anna", "Smith"), &[(event.clone(), true)]);
        cases(named("Anna", "Jones"), &[(event.clone(), false)]);
        // The same two demands, written apart: still of one element.
        for (last, expected) in [("Smith", true), ("Jones", false)] {
            let apart = json!({
                "employees": { "firstName": ["Anna"] },
                "$or": [{ "employees": { "lastName": [last] } }, { "none": ["x"] }],
            });
            cases(apart, &[(event.clone(), expected)]);
        }
    }
    let note = explain(&of_data(&named("Anna", "Jones")), &employees).note;
    assert!(note.unwrap().contains("no single element"), "{note:?}");
    // A key is a key: a dot in it leads nowhere.
    cases(
        json!({ "a.b": [1] }),
        &[
            (json!({ "a.b": 1 }), true),
            (json!({ "a": { "b": 1 } }), false),
        ],
    );
    // A field may be named as an operator is.
    cases(
        json!({ "prefix": { "numeric": [1] } }),
        &[(json!({ "prefix": { "numeric": 1 } }), true)],
    );
}

#[test]
fn alternatives() {
    let either = json!({
        "source": ["aws.cloudwatch"],
        "$or": [
            { "metricName": ["CPUUtilization", "ReadLatency"] },
            { "metricType": ["MetricType"], "namespace": ["AWS/EC2"], "$or": [
                { "metricId": [1234] }, { "spaceId": [1000] },
            ] },
            { "scope": ["Service"] },
        ],
    });
    cases(
        either,
        &[
            (
                json!({ "source": "aws.cloudwatch", "metricName": "ReadLatency" }),
                true,
            ),
            (
                json!({ "source": "aws.cloudwatch", "scope": "Service" }),
                true,
            ),
            (json!({ "source": "aws.ec2", "scope": "Service" }), false),
            (
                json!({ "source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2" }),
                false,
            ),
            (
                json!({ "source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2", "spaceId": 1000 }),
                true,
            ),
        ],
    );
    let parallel = json!({
        "$or": [{ "metricName": ["CPU"] }, { "namespace": ["EC2"] }],
        "detail": { "$or": [{ "source": ["cw"] }, { "detail-type": ["Alarm"] }] },
    });
    cases(
        parallel,
        &[
            (
                json!({ "namespace": "EC2", "detail": { "detail-type": "Alarm" } }),
                true,
            ),
            (json!({ "namespace": "EC2", "detail": {} }), false),
            (json!({ "detail": { "source": "cw" } }), false),
        ],
    );
    let same_key = json!({ "n": [{ "numeric": [">", 0] }], "$or": [{ "n": [{ "numeric": ["<", 9] }] }, { "vip": [true] }] });
    cases(
        same_key,
        &[
            (json!({ "n": 5 }), true),
            (json!({ "n": 10 }), false),
            (json!({ "n": 10, "vip": true }), true),
            (json!({ "n": -1, "vip": true }), false),
        ],
    );
    // Alternatives of two places that lead to the same elements: one element meets both.
    let both = json!({
        "a": { "$or": [{ "s": { "p": [1] } }, { "s": { "q": [1] } }] },
        "$or": [{ "a": { "$or": [{ "s": { "r": [1] } }, { "s": { "t": [1] } }] } }, { "z": [1] }],
    });
    cases(
        both,
        &[
            (json!({ "a": { "s": [{ "p": 1 }, { "r": 1 }] } }), false),
            (
                json!({ "a": { "s": [{ "p": 1, "t": 1 }, { "r": 1 }] } }),
                true,
            ),
            (
                json!({ "a": { "s": [{ "q": 1 }, { "r": 1 }] }, "z": 1 }),
                true,
            ),
        ],
    );
}

fn event(content_type: &str, data: impl Into<Bytes>) -> Event {
    Event {
        key: EventId::from_raw(7),
        origin: "bucket:photos".parse().unwrap(),
        id: "evt_7".into(),
        source: "/p/dev/bucket/photos".into(),
        kind: "wakeful.bucket.created".into(),
        subject: Some("a b.jpg".into()),
        time: Timestamp::from_millis(1_700_000_000_123),
        content_type: content_type.into(),
        data: data.into(),
        extensions: Default::default(),
        lineage: Default::default(),
    }
}

/// Attributes and data of a real event, and of the same one as JSON.
#[test]
fn attributes_of_events() {
    let check = |pattern: Value, expected| {
        let pattern = Pattern::parse(&pattern).unwrap();
        let event = event("application/json", r#"{"size": 5, "tags": ["x"]}"#);
        let json = serde_json::from_slice(&event.to_json()).unwrap();
        for view in [EventView::of(&event), EventView::of_json(json)] {
            assert_eq!(pattern.matches(&view), expected, "{pattern:?}");
            assert_eq!(pattern.explain(&view).matches, expected, "{pattern:?}");
        }
    };
    check(json!({ "id": ["evt_7"] }), true);
    check(
        json!({ "type": [{ "suffix": ".created" }], "subject": [{ "prefix": "a " }] }),
        true,
    );
    check(json!({ "source": ["/p/dev/bucket/photos"] }), true);
    check(
        json!({ "time": [{ "prefix": "2023-11-14T22:13:20" }] }),
        true,
    );
    check(json!({ "datacontenttype": ["application/json"] }), true);
    check(
        json!({ "type": ["wakeful.bucket.removed"], "data": { "size": [5] } }),
        false,
    );
    check(json!({ "data": { "size": [5], "tags": ["x"] } }), true);
    check(json!({ "data": { "size": [6] } }), false);
    check(
        json!({ "$or": [{ "subject": ["x"] }, { "data": { "size": [5] } }] }),
        true,
    );
    check(json!({ "type": { "x": ["y"] } }), false);
}

/// Beside its attributes a published event has others, by name.
#[test]
fn extension_attributes_of_events() {
    let check = |pattern: Value, expected, found: Option<&str>| {
        let pattern = Pattern::parse(&pattern).unwrap();
        let event = Event {
            extensions: Extensions::from([
                ("tenant".into(), Extension::Text("acme".into())),
                ("urgent".into(), Extension::Boolean(true)),
                ("level".into(), Extension::Integer(-3)),
            ]),
            ..event("application/json", "{}")
        };
        let json = serde_json::from_slice(&event.to_json()).unwrap();
        for view in [EventView::of(&event), EventView::of_json(json)] {
            assert_eq!(pattern.matches(&view), expected, "{pattern:?}");
            let explanation = pattern.explain(&view);
            assert_eq!(explanation.matches, expected, "{pattern:?}");
            assert_eq!(explanation.conditions[0].found.as_deref(), found);
        }
    };
    check(json!({ "tenant": ["acme"] }), true, Some("\"acme\""));
    check(
        json!({ "tenant": [{ "prefix": "b" }] }),
        false,
        Some("\"acme\""),
    );
    check(json!({ "urgent": [true] }), true, Some("true"));
    check(json!({ "urgent": [false, "true"] }), false, Some("true"));
    check(
        json!({ "level": [{ "numeric": ["<", 0] }] }),
        true,
        Some("-3"),
    );
    check(json!({ "level": [-2] }), false, Some("-3"));
    check(json!({ "absent": [{ "exists": false }] }), true, None);
    check(json!({ "absent": ["x"] }), false, None);
}

#[test]
fn data_that_cannot_be_looked_into_is_not_there() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for event in [
        event("image/png", &b"\x89PNG"[..]),
        event("text/plain", "{\"size\": 5}"),
        event("application/json", "no json"),
        event("application/json", ""),
        event("application/json", deep),
    ] {
        let view = EventView::of(&event);
        let wants = |pattern: Value| Pattern::parse(&pattern).unwrap().matches(&view);
        assert!(!wants(json!({ "data": { "size": [{ "exists": true }] } })));
        assert!(wants(json!({ "data": { "size": [{ "exists": false }] } })));
        assert!(wants(json!({ "subject": ["a b.jpg"] })));
    }
    let plain = event("application/json", "\"text\"");
    let pattern = Pattern::parse(&json!({ "data": ["text"] })).unwrap();
    assert!(pattern.matches(&EventView::of(&plain)));
}

#[test]
fn explanations_name_each_condition() {
    let pattern = of_data(&json!({
        "status": ["paid"],
        "$or": [{ "after": { "total": [{ "numeric": [">", 100] }] } }, { "vip": [{ "exists": true }] }],
    }));
    let explanation = explain(
        &pattern,
        &json!({ "status": "paid", "after": [{ "total": 5 }, { "total": 7 }] }),
    );
    assert!(!explanation.matches && explanation.note.is_none());
    let shown: Vec<_> = (explanation.conditions.iter())
        .map(|why| {
            (
                why.path.as_str(),
                why.wanted.as_str(),
                why.found.as_deref(),
                why.holds,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                "data.$or[0].after.total",
                r#"[{"numeric":[">",100]}]"#,
                Some("5 and 7"),
                false
            ),
            ("data.$or[1].vip", r#"[{"exists":true}]"#, None, false),
            ("data.status", r#"["paid"]"#, Some("\"paid\""), true),
        ]
    );
    let long = explain(
        &of_data(&json!({ "x": ["y"] })),
        &json!({ "x": "ä".repeat(5000) }),
    );
    assert_eq!(
        long.conditions[0].found.as_ref().unwrap().chars().count(),
        201
    );
}

/// Patterns and texts that send careless matchers into exponential time.
#[test]
fn hostile_patterns_end_soon() {
    let began = Instant::now();
    let wildcard = of_data(&json!({ "x": [{ "wildcard": format!("{}b", "*a".repeat(1000)) }] }));
    assert!(!matches(&wildcard, &json!({ "x": "a".repeat(1_000_000) })));
    let halves = of_data(&json!({ "x": [{ "wildcard": format!("*{}b*", "a".repeat(10_000)) }] }));
    assert!(!matches(&halves, &json!({ "x": "a".repeat(1_000_000) })));
    let mut event = json!([{ "y": 0 }]);
    let mut pattern = json!({ "y": [1] });
    for _ in 0..9 {
        event = json!([{ "x": event.clone() }, 1, "a"]);
        pattern = json!({ "x": pattern, "$or": [{ "x": [{ "prefix": "b" }] }, { "z": [{ "exists": false }] }] });
    }
    assert!(!matches(&of_data(&pattern), &event));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}
