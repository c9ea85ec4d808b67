//! The listener: what is under way comes to its end, and nobody holds it up for ever.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use wakeful_objects::serve;

struct Endpoint {
    address: SocketAddr,
    /// Requests that have come in tell of it here.
    entered: Arc<Notify>,
    /// They are answered when this says so.
    release: Arc<Notify>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn endpoint() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stop, stopped) = oneshot::channel();
    let (enter, leave) = (entered.clone(), release.clone());
    let service = service_fn(move |_: Request<Incoming>| {
        let (enter, leave) = (enter.clone(), leave.clone());
        async move {
            enter.notify_one();
            leave.notified().await;
            Ok::<_, Infallible>(Response::new(s3s::Body::from(Bytes::from_static(b"done"))))
        }
    });
    let server = tokio::spawn(serve(listener, service, async {
        let _ = stopped.await;
    }));
    Endpoint {
        address,
        entered,
        release,
        stop,
        server,
    }
}

async fn request(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stream
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_no_new_one_is_taken() {
    let endpoint = endpoint().await;
    let mut idle = TcpStream::connect(endpoint.address).await.unwrap();
    let mut stream = request(endpoint.address).await;
    endpoint.entered.notified().await;
    endpoint.stop.send(()).unwrap();
    // The idle connection is closed, which says that the drain has begun.
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(endpoint.address).await.is_err());
    assert!(!endpoint.server.is_finished());
    endpoint.release.notify_one();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"),
        "{answer}"
    );
    endpoint.server.await.unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let endpoint = endpoint().await;
    let mut stream = request(endpoint.address).await;
    endpoint.entered.notified().await;
    // From here on, time passes as soon as everybody waits for it.
    tokio::time::pause();
    endpoint.stop.send(()).unwrap();
    endpoint.server.await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let endpoint = endpoint().await;
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    tokio::time::pause();
    let answer = rest(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    endpoint.stop.send(()).unwrap();
    endpoint.server.await.unwrap();
}
