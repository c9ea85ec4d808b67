//! Connections: accepted within bounds, closed in good order.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use wakeful_core::limits;

use super::Gateway;

/// Connections at once; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 10_000;
/// The wait after the kernel refused a connection (no descriptors left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `shutdown`; then no new ones are accepted, those that are idle are
/// closed and the others after their present request. Returns when all are closed, or after
/// `limits::DRAIN`.
pub async fn listen(gateway: Gateway, listener: TcpListener, shutdown: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIMEOUT)
        .max_buf_size(limits::MAX_HEADERS.max(64 * 1024))
        .pipeline_flush(true);
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let (stream, remote) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let service = service_of(&gateway, remote);
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _permit = permit;
            // A client that breaks off or sends nonsense is its own business: hyper answered
            // what could be answered.
            if let Err(error) = connection.await {
                tracing::debug!(%remote, %error, "a connection ended badly");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits::DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the drain");
    }
}

type Service = hyper::Request<hyper::body::Incoming>;

fn service_of(
    gateway: &Gateway,
    remote: SocketAddr,
) -> impl hyper::service::Service<
    Service,
    Response = hyper::Response<super::ResponseBody>,
    Error = Infallible,
    Future: Send,
> + use<> {
    let gateway = gateway.clone();
    let remote: Arc<str> = remote.ip().to_string().into();
    service_fn(move |request| {
        let gateway = gateway.clone();
        let remote = Arc::clone(&remote);
        async move { Ok(gateway.serve(request, &remote).await) }
    })
}
