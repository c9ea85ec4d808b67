//! The tools, by way of the admin API: dead letters, explanations, pauses.

use axum::body::Body;
use http::{Method, header};
use serde_json::{Value, json};
use wakeful_core::{
    delivery::DeadReason,
    flow::Hold,
    id::{EventId, RunId},
    port::{Delivery, Store},
    run::{LogLevel, RunState},
    time::Timestamp,
};

use crate::rig::{Rig, whole};

impl Rig {
    /// The JSON body of a POST that succeeds.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, body.to_string()).await;
        assert!(status.is_success(), "{path} {body}: {status} {answer}");
        answer
    }

    pub async fn delivery(&self, run: &str) -> Option<Delivery> {
        self.store.delivery(run.parse().unwrap()).await.unwrap()
    }

    async fn ready_at(&self, run: RunId) -> i64 {
        let delivery = self.store.delivery(run).await.unwrap().unwrap();
        delivery.ready_at.as_millis()
    }
}

#[tokio::test]
async fn dead_letters_are_narrowed_down_and_counted() {
    let rig = Rig::new();
    let mut runs = Vec::new();
    for (function, reason, key) in [
        ("hello", DeadReason::AttemptsExhausted, None),
        ("hello", DeadReason::TooOld, None),
        ("hello", DeadReason::AttemptsExhausted, Some("a")),
        ("resize", DeadReason::AttemptsExhausted, None),
    ] {
        runs.push(rig.die_of(function, reason, key).await.0.to_string());
    }
    let listed = async |query: &str| -> Vec<String> {
        let body = rig.get(&format!("/v1/dead?{query}")).await;
        let dead = body["dead"].as_array().unwrap().iter();
        dead.map(|one| one["run"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed("reason=too_old").await, [runs[1].clone()]);
    assert_eq!(
        listed("trigger=resize/bucket.photos.default").await,
        [runs[3].clone()]
    );
    let died = rig.get(&format!("/v1/dead/{}", runs[2])).await["dead"].clone();
    assert_eq!(died["blocks"], "a");
    let since = died["died_at"].as_str().unwrap();
    assert_eq!(
        listed(&format!("since={since}")).await,
        [runs[3].clone(), runs[2].clone()]
    );
    assert_eq!(
        listed(&format!("until={since}")).await,
        [runs[1].clone(), runs[0].clone()]
    );

    let summary = rig.get("/v1/dead/summary").await;
    assert_eq!(
        (&summary["total"], &summary["complete"]),
        (&json!(4), &json!(true))
    );
    let group = |place: usize| {
        let group = &summary["groups"][place];
        (
            group["function"].clone(),
            group["reason"].clone(),
            group["count"].clone(),
        )
    };
    assert_eq!(
        group(0),
        (json!("hello"), json!("attempts_exhausted"), json!(2))
    );
    assert_eq!(summary["groups"].as_array().unwrap().len(), 3);
    assert_eq!(summary["groups"][0]["failure"]["name"], "TypeError");
    let one = rig.get("/v1/dead/summary?reason=too_old").await;
    assert_eq!(one["total"], 1);
}

#[tokio::test]
async fn a_dead_letter_with_everything_and_without_its_history() {
    let rig = Rig::new();
    let (dead, event) = rig.die("hello").await;
    let path = format!("/v1/dead/{dead}");
    let bare = rig.get(&path).await;
    assert_eq!(
        (&bare["in_history"], &bare["attempts"]),
        (&json!(false), &json!([]))
    );
    rig.record_as(dead, "hello", RunState::Dead, Some(event));
    rig.log("hello", Some(dead), LogLevel::Warn, "about to fail");
    let full = rig.get(&path).await;
    assert_eq!(full["in_history"], true);
    assert_eq!(full["attempts"][0]["failure"]["name"], "TypeError");
    assert_eq!(full["logs"][0]["text"], "about to fail");
    assert_eq!(full["event"]["data"]["size"], 7);
    assert_eq!(full["about"], "photos/cat.jpg created");
    assert_eq!(
        full["payload"],
        json!({ "size": 10, "content_type": "application/json" })
    );

    let request = rig.request(Method::GET, &format!("/v1/events/{event}/data"));
    let response = rig.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        response.headers()[header::X_CONTENT_TYPE_OPTIONS],
        "nosniff"
    );
    assert_eq!(whole(response).await.1, &b"{\"size\":7}"[..]);
}

#[tokio::test]
async fn a_redrive_at_a_rate_lets_the_oldest_go_first() {
    let rig = Rig::new();
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(rig.die("hello").await.0);
    }
    let dry = rig
        .post(
            "/v1/dead/redrive?rate=2/s&dry_run=true",
            json!({ "function": "hello" }),
        )
        .await;
    assert_eq!((&dry["count"], &dry["dry_run"]), (&json!(5), &json!(true)));
    assert!(dry["last_at"].is_string(), "{dry}");
    assert_eq!(
        rig.get("/v1/dead").await["dead"].as_array().unwrap().len(),
        5
    );

    let done = rig
        .post("/v1/dead/redrive?rate=2/s", json!({ "function": "hello" }))
        .await;
    assert_eq!(done["count"], 5);
    let first = rig.ready_at(runs[0]).await;
    for (nth, run) in runs.iter().enumerate() {
        assert_eq!(rig.ready_at(*run).await - first, nth as i64 * 500, "{nth}");
    }
    let last: Timestamp = Timestamp::from_millis(first + 2_000);
    assert_eq!(done["last_at"], last.to_string());

    // By name they are spread too; without a rate all are ready now.
    let (a, b) = (rig.die("hello").await.0, rig.die("hello").await.0);
    rig.post("/v1/dead/redrive?rate=1/m", json!({ "runs": [b, a] }))
        .await;
    assert_eq!(rig.ready_at(b).await - rig.ready_at(a).await, 60_000);
    for refused in ["rate=1/fortnight", "rate=0/s"] {
        let path = format!("/v1/dead/redrive?{refused}");
        let refusal = rig.refusal(Method::POST, &path, r#"{"all":true}"#).await;
        assert_eq!(refusal, (400, "invalid_request".to_owned()), "{refused}");
    }
    // A month is the longest wait.
    let (c, d) = (rig.die("hello").await.0, rig.die("hello").await.0);
    let body = json!({ "runs": [c, d] }).to_string();
    let refusal = rig
        .refusal(Method::POST, "/v1/dead/redrive?rate=1/40d", &body)
        .await;
    assert_eq!(refusal, (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn what_is_discarded_keeps_the_word_why() {
    let rig = Rig::new();
    let (dead, event) = rig.die("hello").await;
    let dry = rig
        .post("/v1/dead/discard?dry_run=true", json!({ "runs": [dead] }))
        .await;
    assert_eq!(dry["count"], 1);
    let done = rig
        .post(
            "/v1/dead/discard?why=rubbish%20from%20the%20camera",
            json!({ "runs": [dead] }),
        )
        .await;
    assert_eq!(done["count"], 1);
    let story = rig.get(&format!("/v1/events/{event}/story")).await;
    assert_eq!(story["fates"][0]["state"], "discarded");
    assert_eq!(story["fates"][0]["said"], "rubbish from the camera");
}

#[tokio::test]
async fn an_edited_dead_letter_is_replaced_by_a_new_event() {
    let rig = Rig::new();
    let (dead, old) = rig.die("hello").await;
    let path = format!("/v1/dead/{dead}/edit");
    let refused = rig.refusal(Method::POST, &path, "{").await;
    assert_eq!(refused, (400, "invalid_request".to_owned()));
    assert!(rig.delivery(&dead.to_string()).await.is_some());

    let replaced = rig.post(&path, json!({ "size": 8 })).await;
    assert_eq!(replaced["replaces"], dead.to_string());
    let new: EventId = replaced["event"].as_str().unwrap().parse().unwrap();
    let event = rig.store.event(new).await.unwrap().unwrap();
    assert_eq!(event.data, &b"{\"size\":8}"[..]);
    assert_eq!(event.lineage.replay_of, Some(old));
    assert_eq!(event.kind, "wakeful.bucket.created");
    let json: Value = serde_json::from_slice(&event.to_json()).unwrap();
    assert_eq!(json["replayof"], old.to_string());
    let run = replaced["runs"][0].as_str().unwrap();
    let delivery = rig.delivery(run).await.unwrap();
    assert_eq!(delivery.trigger.as_str(), "hello/bucket.photos.default");
    assert!(rig.delivery(&dead.to_string()).await.is_none());

    // Both stories lead to each other; a second edit finds nothing.
    let story = rig.get(&format!("/v1/events/{old}/story")).await;
    assert_eq!(story["fates"][0]["said"], format!("replaced by {new}"));
    assert_eq!(story["children"][0]["event"], new.to_string());
    assert_eq!(story["children"][0]["repeats"], true);
    let again = rig.refusal(Method::POST, &path, "{}").await;
    assert_eq!(again, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_story_says_who_wanted_an_event_and_why() {
    let rig = Rig::new();
    let (run, event) = rig.owe("hello", None, false).await;
    let story = rig.get(&format!("/v1/events/{event}/story")).await;
    assert_eq!(story["received"]["origin"], "bucket:photos");
    assert_eq!(story["received"]["about"], "photos/cat.jpg created");
    let judged = story["judged"].as_array().unwrap();
    assert_eq!(judged.len(), 2);
    assert_eq!(
        (&judged[0]["trigger"], &judged[0]["wants"]),
        (&json!("hello/bucket.photos.default"), &json!(true))
    );
    assert_eq!(judged[1]["why"], "its key `*.png` does not match `cat.jpg`");
    assert_eq!(story["fates"][0]["run"], run.to_string());
    assert_eq!(story["fates"][0]["state"], "queued");
    assert_eq!(story["fates"][0]["waits"], Value::Null);

    let published = rig
        .post("/v1/topics/orders.paid/events", json!({ "total": 7 }))
        .await;
    let event = published["event"].as_str().unwrap();
    let story = rig.get(&format!("/v1/events/{event}/story")).await;
    let condition = &story["judged"][0]["conditions"][0];
    assert_eq!(condition["path"], "data.total");
    assert_eq!(
        (&condition["found"], &condition["holds"]),
        (&json!("7"), &json!(false))
    );
    assert_eq!(story["fates"], json!([]));
    let gone = rig
        .refusal(Method::GET, "/v1/events/evt_0000000000000/story", "")
        .await;
    assert_eq!(gone, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_story_says_what_a_delivery_waits_for() {
    let rig = Rig::new();
    let waits = async |event: EventId| {
        let story = rig.get(&format!("/v1/events/{event}/story")).await;
        story["fates"][0]["waits"].clone()
    };
    let (blocking, _) = rig
        .die_of("hello", DeadReason::AttemptsExhausted, Some("k"))
        .await;
    let (_, behind) = rig.owe("hello", Some("k"), false).await;
    let wait = waits(behind).await;
    assert_eq!(
        (&wait[0]["for"], &wait[0]["key"]),
        (&json!("blocked"), &json!("k"))
    );
    assert_eq!(wait[0]["runs"][0], blocking.to_string());

    let (running, _) = rig.owe("hello", Some("m"), true).await;
    let (_, second) = rig.owe("hello", Some("m"), false).await;
    let wait = waits(second).await;
    assert_eq!(
        (&wait[0]["for"], &wait[0]["runs"]),
        (&json!("order"), &json!([running]))
    );

    let until = rig
        .control
        .clock
        .now()
        .plus(std::time::Duration::from_secs(60));
    rig.holds.lock().unwrap().extend([
        Hold::Rate { key: None, until },
        Hold::Breaker {
            key: Some("other".into()),
            since: until,
            until,
            probe: None,
            failures: 5,
        },
    ]);
    let (_, free) = rig.owe("hello", None, false).await;
    let wait = waits(free).await;
    // The breaker is another key's.
    assert_eq!(wait.as_array().unwrap().len(), 1, "{wait}");
    assert_eq!(
        (&wait[0]["for"], &wait[0]["until"]),
        (&json!("rate"), &json!(until.to_string()))
    );
}

#[tokio::test]
async fn why_a_queue_does_not_move() {
    let rig = Rig::new();
    let why = async |function: &str| rig.get(&format!("/v1/functions/{function}/why")).await;
    let calm = why("hello").await;
    assert_eq!(calm["advice"]["trouble"], "none");
    assert_eq!(
        calm["advice"]["text"],
        "Nothing waits and nothing is wrong."
    );
    let broken = why("broken").await;
    assert_eq!(broken["advice"]["trouble"], "standing");
    assert_eq!(broken["failure"]["name"], "TypeError");

    rig.owe("hello", None, false).await;
    let moving = why("hello").await;
    assert_eq!(moving["triggers"][0]["census"]["queued"], 1);
    assert_eq!(
        moving["advice"]["text"],
        "Nothing holds it: the queue is moving."
    );

    let until = rig
        .control
        .clock
        .now()
        .plus(std::time::Duration::from_secs(60));
    rig.holds
        .lock()
        .unwrap()
        .push(Hold::Rate { key: None, until });
    let slow = why("hello").await;
    assert_eq!(slow["triggers"][0]["waits"][0]["for"], "rate");
    assert_eq!(slow["advice"]["trouble"], "passing");

    // What somebody has to mend goes before what passes.
    let (dead, _) = rig
        .die_of("hello", DeadReason::AttemptsExhausted, Some("k"))
        .await;
    rig.owe("hello", Some("k"), false).await;
    let blocked = why("hello").await;
    assert_eq!(blocked["advice"]["trouble"], "standing");
    let listed = rig.get("/v1/functions").await["functions"][1].clone();
    assert_eq!((&listed["held"], &listed["dead"]), (&json!(1), &json!(1)));
    assert_eq!(
        blocked["advice"]["command"],
        format!("wakeful dead show {dead}")
    );
    let pause = json!({ "function": "hello", "why": "the camera sends rubbish" });
    rig.post("/v1/pauses", pause).await;
    let paused = why("hello").await;
    assert_eq!(paused["advice"]["command"], "wakeful resume hello");
    assert_eq!(paused["pauses"][0]["why"], "the camera sends rubbish");
    let nobody = rig
        .refusal(Method::GET, "/v1/functions/nobody/why", "")
        .await;
    assert_eq!(nobody, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn what_could_never_be_held_is_not_paused() {
    let rig = Rig::new();
    let refused = async |target: Value| {
        let target = target.to_string();
        let (status, refused) = rig.ask(Method::POST, "/v1/pauses", target).await;
        assert_eq!(status, 400, "{refused}");
        refused["error"]["message"].as_str().unwrap().to_owned()
    };
    let asked = refused(json!({ "function": "broken", "trigger": "asked" })).await;
    assert!(asked.contains("requests are not held: "), "{asked}");
    let none = refused(json!({ "function": "hello", "key": "k" })).await;
    assert!(
        none.contains("`hello` have no key") && none.ends_with("with a `key`"),
        "{none}"
    );
    let other = json!({ "function": "resize", "trigger": "paid", "key": "k" });
    let other = refused(other).await;
    assert!(
        other.ends_with("; `resize/pictures` has `concurrency_key`"),
        "{other}"
    );
    assert_eq!(rig.get("/v1/pauses").await["pauses"], json!([]));
    for held in [
        json!({ "function": "broken" }),
        json!({ "function": "resize", "key": "k" }),
    ] {
        rig.post("/v1/pauses", held).await;
    }
}

#[tokio::test]
async fn why_tells_of_pauses_before_anything_waits() {
    let rig = Rig::new();
    let pause = json!({ "function": "hello", "why": "the camera sends rubbish" });
    rig.post("/v1/pauses", pause).await;
    let paused = rig.get("/v1/functions/hello/why").await["advice"].clone();
    assert_eq!(paused["trouble"], "standing");
    assert_eq!(paused["command"], "wakeful resume hello");
    let text = paused["text"].as_str().unwrap();
    assert!(
        text.starts_with("Nothing waits yet, but the function is paused by hand since 2027-")
            && text.contains(": the camera sends rubbish."),
        "{text}"
    );
    // A key of one trigger as well.
    let resume = json!({ "function": "hello" });
    rig.post("/v1/pauses/resume", resume).await;
    let other = json!({ "function": "resize", "trigger": "paid" });
    rig.post("/v1/pauses", other).await;
    let paused = rig.get("/v1/functions/resize/why").await["advice"].clone();
    assert_eq!(
        paused["command"],
        "wakeful resume resize --trigger resize/paid"
    );
}

#[tokio::test]
async fn why_tells_of_what_is_owed_under_names_that_are_gone() {
    let rig = Rig::new();
    // Nothing of the function listens under this name.
    for _ in 0..2 {
        rig.owe("resize", None, false).await;
    }
    let why = rig.get("/v1/functions/resize/why").await;
    let queues = why["triggers"].as_array().unwrap();
    let queue = queues
        .iter()
        .find(|queue| queue["trigger"] == "resize/bucket.photos.default")
        .unwrap_or_else(|| panic!("{why}"));
    assert_eq!(queue["census"]["queued"], 2);
    assert_eq!(
        (&queue["waits"][0]["for"], &queue["waits"][0]["count"]),
        (&json!("gone"), &json!(2))
    );
    assert_eq!(why["advice"]["trouble"], "standing");
    assert_eq!(
        why["advice"]["command"],
        "wakeful runs --function resize --state queued"
    );

    rig.owe("old", None, false).await;
    rig.die("old").await;
    let (status, refused) = rig.ask(Method::GET, "/v1/functions/old/why", "").await;
    assert_eq!(status, 404);
    let help = refused["error"]["help"].as_str().unwrap();
    assert!(
        help.contains("deliveries owed to it: 1 (`old/bucket.photos.default`: 1)")
            && help.contains("dead letters of it: 1")
            && help.contains("`hello`"),
        "{help}"
    );
}

#[tokio::test]
async fn what_is_paused_is_resumed() {
    let rig = Rig::new();
    let pause = json!({ "function": "resize", "trigger": "pictures", "key": "a b", "why": "w" });
    let info = rig.post("/v1/pauses", pause.clone()).await;
    assert_eq!(info["trigger"], "resize/pictures");
    rig.post("/v1/pauses", json!({ "function": "resize" }))
        .await;
    let list = rig.get("/v1/pauses").await;
    assert_eq!(list["pauses"].as_array().unwrap().len(), 2);
    let functions = rig.get("/v1/functions").await;
    assert_eq!(
        functions["functions"][2]["pauses"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let advice = rig.get("/v1/functions/resize/why").await["pauses"].clone();
    assert_eq!(advice.as_array().unwrap().len(), 2);

    // Paused again, it stays so for the reason that was given, until there is another one.
    let first = &list["pauses"][0];
    for (why, expected) in [("", "w"), ("other", "other"), ("", "other")] {
        let mut again = pause.clone();
        again["why"] = why.into();
        let info = rig.post("/v1/pauses", again).await;
        assert_eq!(
            (&info["why"], &info["since"]),
            (&json!(expected), &first["since"])
        );
    }

    // Exactly what was paused is resumed.
    let other = json!({ "function": "resize", "trigger": "pictures" }).to_string();
    let (_, refused) = rig.ask(Method::POST, "/v1/pauses/resume", other).await;
    assert_eq!(refused["error"]["code"], "not_found");
    let help = refused["error"]["help"].as_str().unwrap();
    assert!(
        help.contains("`resize --trigger resize/pictures --key 'a b'`"),
        "{help}"
    );
    rig.post("/v1/pauses/resume", json!({ "function": "resize" }))
        .await;
    let key = json!({ "function": "resize", "trigger": "resize/pictures", "key": "a b" });
    rig.post("/v1/pauses/resume", key).await;
    assert_eq!(rig.get("/v1/pauses").await["pauses"], json!([]));
    for (body, expected) in [
        (json!({ "function": "nobody" }), 404),
        (json!({ "function": "resize", "trigger": "none" }), 404),
        (json!({ "function": "resize", "key": "k".repeat(300) }), 400),
        (
            json!({ "function": "resize", "why": "w".repeat(2000) }),
            400,
        ),
    ] {
        let refused = rig
            .refusal(Method::POST, "/v1/pauses", &body.to_string())
            .await;
        assert_eq!(refused.0, expected, "{body}");
    }
    let never = json!({ "function": "hello" }).to_string();
    assert_eq!(
        rig.refusal(Method::POST, "/v1/pauses/resume", &never)
            .await
            .0,
        404
    );
}
