//! Connections of our HTTP/1.1 listeners: accepted within bounds, closed in good order.

use std::{error::Error, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::limits;

/// The wait after the kernel refused a connection (no descriptors left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `shutdown`, at most `most` at once (further ones wait in the kernel's
/// backlog); then no new ones are accepted, those that are idle are closed and the others after
/// their present request. Returns when all are closed; what is open after `limits::DRAIN` is cut.
/// `service_of` makes the service of one connection, for its caller's address.
pub(crate) async fn serve<M, S, B>(
    listener: TcpListener,
    service_of: M,
    most: usize,
    shutdown: CancellationToken,
) where
    M: Fn(SocketAddr) -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Future + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let graceful = GracefulShutdown::new();
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let permits = Arc::new(Semaphore::new(most));
    let server = settings();
    while let Some((stream, remote, permit)) = accept(&listener, &permits, &shutdown).await {
        let connection = server.serve_connection(TokioIo::new(stream), service_of(remote));
        let connection = graceful.watch(connection);
        let cut = cut.clone();
        tasks.spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = cut.cancelled() => {}
                // A client that breaks off or sends nonsense is its own business: hyper answered
                // what could be answered.
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%remote, %error, "a connection ended badly");
                }
            }
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(limits::DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the drain");
        cut.cancel();
    }
    tasks.wait().await;
}

fn settings() -> http1::Builder {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::MAX_HEADERS.max(64 * 1024));
    server
}

/// The next connection; `None` when there shall be no more.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(
    tokio::net::TcpStream,
    SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
)> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let _ = stream.set_nodelay(true);
                    return Some((stream, remote, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}
