//! Events in and out by way of the admin API: publishing, invoking without waiting, replays.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use wakeful_core::{id::EventId, port::Store};

use crate::rig::{Rig, whole};

#[tokio::test]
async fn events_are_published() {
    let rig = Rig::new();
    let topics = rig.get("/v1/topics").await;
    assert_eq!(
        topics["topics"],
        json!([{ "topic": "orders.*", "listeners": ["resize/paid"] }])
    );
    let path = "/v1/topics/orders.paid/events";
    let (status, body) = rig.ask(Method::POST, path, r#"{"total": 7}"#).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    // Its filter does not want it: it is kept all the same.
    assert_eq!(body["runs"], json!([]));
    let full = "/v1/topics/orders.paid/events?delay=1m&key=k&type=paid&subject=s";
    let body = rig.post(full, json!({ "total": 700 })).await;
    let event: EventId = body["event"].as_str().unwrap().parse().unwrap();
    let stored = rig.store.event(event).await.unwrap().unwrap();
    assert_eq!(
        (stored.kind.as_str(), stored.subject.as_deref()),
        ("paid", Some("s"))
    );
    let delivery = rig
        .delivery(body["runs"][0].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(delivery.keys.ordering.as_deref(), Some("k"));
    let waited = delivery.ready_at.since(event.drawn_at());
    assert!((59..=61).contains(&waited.as_secs()), "{waited:?}");

    let cloud_event = json!({
        "specversion": "1.0", "id": "7", "source": "/shop", "type": "paid",
        "data": { "total": 800 },
    });
    let request = rig
        .request(Method::POST, path)
        .header(header::CONTENT_TYPE, "application/cloudevents+json");
    let request = request.body(cloud_event.to_string().into()).unwrap();
    let (status, body) = whole(rig.send(request).await).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body:?}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let stored = body["event"].as_str().unwrap().parse().unwrap();
    let stored = rig.store.event(stored).await.unwrap().unwrap();
    assert_eq!((stored.id.as_str(), stored.source.as_str()), ("7", "/shop"));

    for (path, body, expected) in [
        ("/v1/topics/cats/events", "{}", (404, "not_found")),
        (path, "{", (400, "invalid_request")),
        (
            "/v1/topics/orders.paid/events?delay=31d",
            "{}",
            (400, "invalid_request"),
        ),
        (
            "/v1/topics/orders.paid/events?delay=soon",
            "{}",
            (400, "invalid_request"),
        ),
        (
            "/v1/topics/orders.paid/events?key=",
            "{}",
            (400, "invalid_request"),
        ),
        ("/v1/topics/a%20b/events", "{}", (400, "invalid_request")),
    ] {
        let (status, code) = rig.refusal(Method::POST, path, body).await;
        assert_eq!((status, code.as_str()), expected, "{path} {body}");
    }
    let (_, refused) = rig.ask(Method::POST, "/v1/topics/cats/events", "{}").await;
    assert_eq!(refused["error"]["help"], "there is `orders.*`");
}

#[tokio::test]
async fn invocations_that_are_not_waited_for_take_wishes() {
    let rig = Rig::new();
    let path = "/v1/functions/hello/invocations?wait=false&delay=1h&key=k";
    let body = rig.post(path, json!({})).await;
    let delivery = rig
        .delivery(body["runs"][0].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(delivery.keys.ordering.as_deref(), Some("k"));
    assert!(delivery.ready_at.since(delivery.id.drawn_at()).as_secs() >= 3599);
    let waited = "/v1/functions/hello/invocations?delay=1h";
    let refused = rig.refusal(Method::POST, waited, "{}").await;
    assert_eq!(refused, (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn events_are_replayed_for_those_who_want_them_now() {
    let rig = Rig::new();
    let jpg = rig.keep(rig.photo("cat.jpg")).await;
    let png = rig.keep(rig.photo("cat.png")).await;
    let mut caused = rig.photo("child.png");
    caused.lineage.run = Some(rig.control.ids.run(rig.control.clock.now()));
    caused.lineage.parent = Some(png);
    let caused = rig.keep(caused).await;
    let mut unheard = rig.photo("x");
    unheard.origin = "bucket:elsewhere".parse().unwrap();
    rig.keep(unheard).await;

    let since = "2020-01-01T00:00:00Z";
    let order = |more: Value| {
        let mut order = json!({ "since": since });
        order
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        order
    };
    let dry = rig
        .post("/v1/replays", order(json!({ "dry_run": true })))
        .await;
    assert_eq!(
        (&dry["looked_at"], &dry["replayed"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(dry["left_out"]["caused"], 1);
    assert_eq!(dry["left_out"]["unwanted"], 1);
    let triggers: Vec<_> = dry["triggers"].as_array().unwrap().iter().collect();
    assert_eq!(
        *triggers[0],
        json!({ "trigger": "hello/bucket.photos.default", "function": "hello", "count": 2 })
    );
    assert_eq!(triggers[1]["count"], 1);
    assert_eq!(dry["events"], json!([{ "of": jpg }, { "of": png }]));

    // Narrowed down to a function that wants only pictures: what functions caused is meant too.
    let done = rig
        .post(
            "/v1/replays",
            order(json!({ "function": "resize", "rate": "1/m" })),
        )
        .await;
    assert_eq!(
        (&done["replayed"], &done["left_out"]["unwanted"]),
        (&json!(2), &json!(2))
    );
    let mut ready = Vec::new();
    for (one, of) in done["events"].as_array().unwrap().iter().zip([png, caused]) {
        assert_eq!(one["of"], of.to_string());
        let new: EventId = one["event"].as_str().unwrap().parse().unwrap();
        let event = rig.store.event(new).await.unwrap().unwrap();
        assert_eq!(event.lineage.replay_of, Some(of));
        assert_eq!((event.lineage.run, event.lineage.parent), (None, None));
        let owed = rig.store.deliveries_of(new).await.unwrap();
        assert_eq!(owed.len(), 1);
        assert_eq!(owed[0].function.as_str(), "resize");
        ready.push(owed[0].ready_at.as_millis());
    }
    assert_eq!(ready[1] - ready[0], 60_000);

    // Replays are no originals, unless it is asked for them.
    let dry = rig
        .post("/v1/replays", order(json!({ "dry_run": true })))
        .await;
    assert_eq!(
        (&dry["left_out"]["replays"], &dry["replayed"]),
        (&json!(2), &json!(2))
    );
    let dry = rig
        .post(
            "/v1/replays",
            order(json!({ "dry_run": true, "again": true })),
        )
        .await;
    assert_eq!(dry["replayed"], 4);

    for (more, replayed) in [
        (json!({ "source": "bucket:photos" }), 3),
        (json!({ "source": "bucket:e*" }), 0),
        (json!({ "source": "/photos/*" }), 3),
        (json!({ "type": "wakeful.bucket.*" }), 3),
        (json!({ "type": "other" }), 0),
        (
            json!({ "filter": { "subject": [{ "suffix": ".png" }] } }),
            2,
        ),
        (json!({ "trigger": "resize/pictures" }), 2),
        (json!({ "limit": 1 }), 1),
        (json!({ "until": "2020-01-02T00:00:00Z" }), 0),
    ] {
        let mut order = order(more.clone());
        order["dry_run"] = json!(true);
        let dry = rig.post("/v1/replays", order).await;
        assert_eq!(dry["replayed"], replayed, "{more}");
    }
    for more in [
        json!({ "since": "2100-01-01T00:00:00Z" }),
        json!({ "filter": { "subject": "x" } }),
        json!({ "rate": "fast" }),
        json!({ "trigger": "pictures" }),
        json!({ "colour": "red" }),
    ] {
        let body = order(more.clone()).to_string();
        let refused = rig.refusal(Method::POST, "/v1/replays", &body).await;
        assert_eq!(refused, (400, "invalid_request".to_owned()), "{more}");
    }
    for more in [
        json!({ "function": "nobody" }),
        json!({ "trigger": "resize/none" }),
    ] {
        let body = order(more.clone()).to_string();
        let refused = rig.refusal(Method::POST, "/v1/replays", &body).await;
        assert_eq!(refused, (404, "not_found".to_owned()), "{more}");
    }
}

/// A payload that is no JSON comes back as it went in.
#[tokio::test]
async fn any_payload_is_published_and_read_back() {
    let rig = Rig::new();
    let bytes = Bytes::from_static(b"\x89PNG\r\n\0");
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/topics/orders.paid/events")
        .header(header::HOST, "127.0.0.1")
        .header(header::AUTHORIZATION, format!("Bearer {}", rig.key))
        .header(header::CONTENT_TYPE, "image/png");
    let (status, body) = whole(rig.send(request.body(bytes.clone().into()).unwrap()).await).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let path = format!("/v1/events/{}/data", body["event"].as_str().unwrap());
    let request = rig.request(Method::GET, &path).body(Body::empty()).unwrap();
    let response = rig.send(request).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/png");
    assert_eq!(whole(response).await.1, bytes);
}
