//! Objects, secrets and keys by way of the admin API.

use axum::body::Body;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::rig::{Rig, whole};

#[tokio::test]
async fn objects_with_any_key() {
    let rig = Rig::new();
    for (key, path) in [
        ("cat.jpg", "cat.jpg"),
        ("2026/a b+ü?.jpg", "2026/a%20b%2B%C3%BC%3F.jpg"),
        ("../evil", "%2E%2E/evil"),
        ("//two", "//two"),
        ("a//b/", "a//b/"),
        ("%41", "%2541"),
    ] {
        let path = format!("/v1/buckets/photos/objects/{path}");
        let request = rig
            .request(Method::PUT, &path)
            .header(header::CONTENT_TYPE, "image/jpeg");
        let (status, body) =
            whole(rig.send(request.body("0123456789".into()).unwrap()).await).await;
        assert_eq!(status, StatusCode::CREATED, "{key}");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["key"], &body["size"]), (&json!(key), &json!(10)));
        let again = rig.ask(Method::PUT, &path, "0123456789").await.0;
        assert_eq!(again, StatusCode::OK, "{key}");
        let (status, body) = whole(
            rig.send(rig.request(Method::GET, &path).body(Body::empty()).unwrap())
                .await,
        )
        .await;
        assert_eq!(
            (status, &body[..]),
            (StatusCode::OK, &b"0123456789"[..]),
            "{key}"
        );
    }
    let all = rig.get("/v1/buckets/photos/objects?limit=2").await;
    assert_eq!(all["objects"][0]["key"], "%41");
    let next = all["next"].as_str().unwrap();
    assert_eq!(next, "../evil");
    let rest = rig
        .get("/v1/buckets/photos/objects?prefix=2026/&after=")
        .await;
    assert_eq!(rest["objects"].as_array().unwrap().len(), 1);
    assert_eq!(
        rig.get("/v1/buckets").await,
        json!({ "buckets": [{ "name": "photos" }] })
    );
}

#[tokio::test]
async fn an_object_in_part_in_full_and_not_at_all() {
    let rig = Rig::new();
    let path = "/v1/buckets/photos/objects/cat.jpg";
    let request = rig
        .request(Method::PUT, path)
        .header(header::CONTENT_TYPE, "image/jpeg");
    rig.send(request.body("0123456789".into()).unwrap()).await;

    let request = rig.request(Method::HEAD, path).body(Body::empty()).unwrap();
    let head = rig.send(request).await;
    let header = |name: &str| head.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(header("content-type"), "image/jpeg");
    assert_eq!(header("content-length"), "10");
    assert_eq!(header("content-security-policy"), "sandbox");
    assert_eq!(header("last-modified"), "Fri, 15 Jan 2027 08:00:00 GMT");
    let etag = header("etag");

    for (range, status, content_range, expected) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=8-", 206, "bytes 8-9/10", "89"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=10-", 416, "bytes */10", ""),
    ] {
        let request = rig.request(Method::GET, path).header(header::RANGE, range);
        let response = rig.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(response.headers()["content-range"], content_range);
        let (_, body) = whole(response).await;
        assert!(status == 416 || body == expected, "{range}");
    }
    for (name, value, expected) in [
        ("if-none-match", "*", 412),
        ("if-match", "\"other\"", 412),
        ("if-match", etag.as_str(), 200),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", 400),
        ("content-md5", "nonsense", 400),
        ("content-length", "11", 400),
    ] {
        let request = rig.request(Method::PUT, path).header(name, value);
        let response = rig.send(request.body("0123456789".into()).unwrap()).await;
        assert_eq!(response.status(), expected, "{name}: {value}");
    }
    let gone = rig.ask(Method::DELETE, path, Body::empty()).await.0;
    assert_eq!(gone, StatusCode::NO_CONTENT);
    let request = rig.request(Method::HEAD, path).body(Body::empty()).unwrap();
    assert_eq!(rig.send(request).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let rig = Rig::new();
    let body = json!({ "value": "s3cr3t-token" }).to_string();
    let (status, answer) = rig.ask(Method::PUT, "/v1/secrets/TOKEN", body).await;
    assert_eq!((status, answer), (StatusCode::NO_CONTENT, Value::Null));
    let name = "TOKEN".parse().unwrap();
    assert_eq!(
        rig.control.vault.secret(&name).as_deref(),
        Some("s3cr3t-token")
    );
    let list = rig.get("/v1/secrets").await;
    assert_eq!(list["secrets"][0]["name"], "TOKEN");
    assert!(!list.to_string().contains("s3cr3t"));
    let (status, _) = rig
        .ask(Method::GET, "/v1/secrets/TOKEN", Body::empty())
        .await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let (status, _) = rig
        .ask(Method::DELETE, "/v1/secrets/TOKEN", Body::empty())
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(rig.control.vault.secret(&name), None);
}

#[tokio::test]
async fn keys_open_what_they_are_for_until_they_are_removed() {
    let mut rig = Rig::new();
    let make = |name: &str, kind: &str| json!({ "name": name, "kind": kind }).to_string();
    let (status, partner) = rig
        .ask(Method::POST, "/v1/keys", make("partner", "function"))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, laptop) = rig
        .ask(Method::POST, "/v1/keys", make("laptop", "admin"))
        .await;
    let again = rig
        .refusal(Method::POST, "/v1/keys", &make("laptop", "admin"))
        .await;
    assert_eq!(again, (409, "conflict".to_owned()));
    let list = rig.get("/v1/keys").await;
    assert_eq!(list["keys"][0]["name"], "laptop");
    assert!(!list.to_string().contains("wk"), "{list}");

    let session = std::mem::replace(&mut rig.key, laptop["key"].as_str().unwrap().to_owned());
    rig.get("/v1/functions").await;
    rig.key = partner["key"].as_str().unwrap().to_owned();
    assert_eq!(rig.refusal(Method::GET, "/v1/functions", "").await.0, 401);
    rig.key = session;
    let (status, _) = rig
        .ask(Method::DELETE, "/v1/keys/laptop", Body::empty())
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    rig.key = laptop["key"].as_str().unwrap().to_owned();
    assert_eq!(rig.refusal(Method::GET, "/v1/functions", "").await.0, 401);
}
