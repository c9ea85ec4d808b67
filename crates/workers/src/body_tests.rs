//! Pipes: what goes in comes out, at the pace of the reader.

use std::{
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    task::Context,
};

use futures::task::noop_waker;

use super::*;

#[derive(Default)]
struct Told {
    taken: AtomicU32,
    gone: AtomicUsize,
}

impl Producer for Arc<Told> {
    fn taken(&self, bytes: u32) {
        self.taken.fetch_add(bytes, Ordering::SeqCst);
    }

    fn reader_gone(&self) {
        self.gone.fetch_add(1, Ordering::SeqCst);
    }
}

fn piece(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

fn far() -> (Arc<Told>, Arc<Pipe>, BodyStream) {
    let told = Arc::new(Told::default());
    let pipe = Pipe::opened(Box::new(Arc::clone(&told)), piece(10));
    let stream = BodyStream::from_pipe(Arc::clone(&pipe));
    (told, pipe, stream)
}

#[tokio::test]
async fn a_sender_waits_for_its_reader() {
    let (mut sender, body) = Body::channel();
    let Body::Stream(mut stream) = body else {
        panic!("a channel is a stream")
    };
    sender.send(piece(WINDOW)).await.unwrap();
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    let mut second = Box::pin(sender.send(piece(1)));
    assert!(
        second.as_mut().poll(&mut context).is_pending(),
        "the pipe is full"
    );
    assert_eq!(stream.next().await.unwrap().unwrap().len(), WINDOW);
    second.await.unwrap();
    sender.finish();
    assert_eq!(
        Body::Stream(stream)
            .collect(1)
            .await
            .unwrap()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_sender_that_goes_away_breaks_the_body_off() {
    let (mut sender, body) = Body::channel();
    sender.send(piece(3)).await.unwrap();
    drop(sender);
    let broken = body.collect(100).await.unwrap_err();
    assert_eq!(broken.kind, FailureKind::Interrupted);
    let (mut sender, body) = Body::channel();
    drop(body);
    assert_eq!(sender.send(piece(1)).await, Err(ReaderGone));
    let (mut sender, body) = Body::channel();
    sender.send(piece(11)).await.unwrap();
    assert_eq!(
        body.collect(10).await.unwrap(),
        None,
        "longer than asked for"
    );
}

#[tokio::test]
async fn credit_follows_the_reader() {
    let (told, pipe, mut stream) = far();
    assert_eq!(pipe.push(piece(WINDOW)), Pushed::InBounds);
    assert_eq!(told.taken.load(Ordering::SeqCst), 0);
    stream.next().await.unwrap().unwrap();
    assert_eq!(
        told.taken.load(Ordering::SeqCst),
        0,
        "a small piece is not worth a frame"
    );
    stream.next().await.unwrap().unwrap();
    assert_eq!(told.taken.load(Ordering::SeqCst) as usize, WINDOW + 10);
    assert_eq!(pipe.push(piece(WINDOW + 10)), Pushed::InBounds);
    assert_eq!(pipe.push(piece(1)), Pushed::Overrun);
}

#[tokio::test]
async fn what_nobody_reads_is_discarded_and_credited() {
    let (told, pipe, stream) = far();
    pipe.push(piece(100));
    drop(stream);
    assert_eq!(told.gone.load(Ordering::SeqCst), 1);
    assert_eq!(told.taken.load(Ordering::SeqCst), 110);
    pipe.push(piece(1000));
    assert_eq!(told.taken.load(Ordering::SeqCst), 1110);
    let (told, pipe, stream) = far();
    pipe.end(Ok(()));
    drop(stream);
    assert_eq!(
        told.gone.load(Ordering::SeqCst),
        0,
        "a whole body needs no signal"
    );
}

#[tokio::test]
async fn the_first_end_counts() {
    let (_told, pipe, mut stream) = far();
    pipe.end(Err(Failure::ours(FailureKind::Timeout, "late")));
    pipe.end(Ok(()));
    pipe.push(piece(5));
    assert_eq!(stream.next().await.unwrap().unwrap().len(), 10);
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().kind,
        FailureKind::Timeout
    );
    assert!(stream.next().await.is_none());
}
