//! What a filter costs: `cargo run --release -p wakeful-core --example filter`.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use wakeful_core::{
    event::Event,
    filter::{EventView, Pattern},
    id::EventId,
    time::Timestamp,
};

const ROUNDS: u32 = 20_000;

fn main() {
    let items: Vec<Value> = (0..20)
        .map(|i| json!({ "kind": if i % 2 == 0 { "book" } else { "pen" }, "price": i, "name": format!("item {i}") }))
        .collect();
    let data = json!({
        "operation": "update",
        "before": { "id": 7, "status": "open", "total": 0 },
        "after": { "id": 7, "status": "paid", "total": 120.5, "ip": "10.1.2.3", "file": "ftp/inbox/today.csv" },
        "items": items,
    });
    let event = Event {
        key: EventId::from_raw(1),
        origin: "table:shop:orders".parse().expect("an origin"),
        id: "1".into(),
        source: "/shop/dev/database/shop".into(),
        kind: "wakeful.database.update".into(),
        subject: Some("orders/7".into()),
        time: Timestamp::from_millis(0),
        content_type: "application/json".into(),
        data: Bytes::from(data.to_string()),
        extensions: Default::default(),
        lineage: Default::default(),
    };
    println!(
        "event with {} bytes of data, {ROUNDS} rounds",
        event.data.len()
    );
    time(
        "parsing its data, once an event",
        || {
            let pattern = pattern(json!({ "data": { "none": [{ "exists": true }] } }));
            move |event: &Event| pattern.matches(&EventView::of(event))
        },
        &event,
    );
    for (what, wanted) in [
        (
            "an attribute",
            json!({ "type": ["wakeful.database.update"] }),
        ),
        (
            "a field",
            json!({ "data": { "after": { "status": ["paid"] } } }),
        ),
        (
            "status, range, wildcard, address",
            json!({ "data": { "after": {
            "status": ["paid"], "total": [{ "numeric": [">", 100] }],
            "file": [{ "wildcard": "*/inbox/*.csv" }], "ip": [{ "cidr": "10.0.0.0/8" }],
        } } }),
        ),
        (
            "one of 1000 texts",
            json!({ "data": { "after": {
            "status": (0..1000).map(|i| json!(format!("s{i}"))).chain([json!("paid")]).collect::<Vec<_>>(),
        } } }),
        ),
        (
            "an element of 20, not found",
            json!({ "data": { "items": { "kind": ["pen"], "price": [18] } } }),
        ),
    ] {
        let pattern = pattern(wanted);
        let view = EventView::of(&event);
        pattern.matches(&view);
        time(what, || |_: &Event| pattern.matches(&view), &event);
    }
}

fn pattern(value: Value) -> Pattern {
    Pattern::parse(&value).expect("a pattern")
}

fn time<F: Fn(&Event) -> bool>(what: &str, make: impl FnOnce() -> F, event: &Event) {
    let ask = make();
    let began = Instant::now();
    let mut wanted = 0;
    for _ in 0..ROUNDS {
        wanted += u32::from(black_box(ask(black_box(event))));
    }
    let each = began.elapsed() / ROUNDS;
    let answer = if wanted > 0 { "yes" } else { "no" };
    println!("{what:34} {each:>10.1?}  {answer}");
}
