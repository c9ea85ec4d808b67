//! Addresses that answer in every way, on loopback.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    event::{Event, Extensions},
    id::EventId,
    time::Timestamp,
};

use super::send;

const PATIENCE: Duration = Duration::from_secs(30);

fn event() -> Event {
    Event {
        key: EventId::from_raw(7),
        origin: "topic:orders.paid".parse().unwrap(),
        id: "order 7".into(),
        source: "/shop".into(),
        kind: "orders.paid".into(),
        subject: None,
        time: Timestamp::from_millis(0),
        content_type: "application/json".into(),
        data: Bytes::from_static(b"{\"total\":1}"),
        extensions: Extensions::new(),
        lineage: Default::default(),
    }
}

/// Sends to an address that answers with this text; what it was sent, and how it ended.
async fn exchange(answer: &'static str, structured: bool) -> (String, Result<(), Failure>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in?x=1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        while !text.ends_with(b"}") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "it broke off");
            text.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(text).unwrap()
    });
    let outcome = send(&url, structured, &event(), PATIENCE).await;
    (server.await.unwrap(), outcome)
}

#[tokio::test]
async fn events_are_posted_in_both_modes() {
    let (sent, outcome) = exchange("HTTP/1.1 204 No Content\r\n\r\n", false).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(sent.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{sent}");
    for line in [
        "ce-specversion: 1.0",
        "ce-id: order%207",
        "ce-type: orders.paid",
        "content-type: application/json",
        concat!("user-agent: wakeful/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(sent.contains(&format!("\r\n{line}\r\n")), "{line}: {sent}");
    }
    assert!(sent.ends_with("\r\n\r\n{\"total\":1}"), "{sent}");

    let (sent, outcome) =
        exchange("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", true).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("content-type: application/cloudevents+json"),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["id"], &body["data"]["total"]),
        (&"order 7".into(), &1.into())
    );
}

#[tokio::test]
async fn a_bad_answer_is_a_failure_with_advice() {
    use RetryAdvice::{AfterMs, Never};
    for (answer, advice, part) in [
        (
            "HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\nleft",
            Some(Never),
            "410 Gone: left",
        ),
        (
            "HTTP/1.1 503 X\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n",
            Some(AfterMs(3000)),
            "503",
        ),
        (
            "HTTP/1.1 429 X\r\ndate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\
             retry-after: Wed, 21 Oct 2015 07:28:10 GMT\r\ncontent-length: 0\r\n\r\n",
            Some(AfterMs(10_000)),
            "429",
        ),
        ("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", None, "500"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            Some(Never),
            "redirections are not followed",
        ),
        ("nonsense", None, "broke off"),
    ] {
        let (_, outcome) = exchange(answer, false).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.advice, advice, "{answer}: {failure:?}");
        assert_eq!(failure.kind, FailureKind::UserError, "{answer}");
        assert!(failure.message.contains(part), "{answer}: {failure:?}");
    }
}

#[tokio::test]
async fn whoever_does_not_answer_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/");
    let late = send(&url, true, &event(), Duration::from_millis(50)).await;
    let late = late.unwrap_err();
    assert_eq!(
        (late.kind, late.advice),
        (FailureKind::Timeout, None),
        "{late:?}"
    );

    drop(listener);
    let refused = send(&url, true, &event(), PATIENCE).await.unwrap_err();
    assert_eq!(refused.advice, None);
    assert!(
        refused.message.contains("no connection to 127.0.0.1"),
        "{refused:?}"
    );
    assert!(refused.message.contains("refused"), "{refused:?}");

    // No TLS is spoken there: the handshake fails, and may work another day.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let failed = send(&url, true, &event(), PATIENCE).await.unwrap_err();
    server.await.unwrap();
    assert_eq!(failed.advice, None, "{failed:?}");

    let wrong = send("http://a b/", true, &event(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(wrong.advice, Some(RetryAdvice::Never));
}
