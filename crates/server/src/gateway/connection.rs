//! The functions' listener.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::connections;

/// Connections at once.
const MAX_CONNECTIONS: usize = 10_000;

/// Serves requests until `shutdown`, and then those that have begun; returns once the answers that
/// are kept for idempotency keys have been.
pub async fn listen(gateway: Gateway, listener: TcpListener, shutdown: CancellationToken) {
    let service_of = |remote: SocketAddr| {
        let gateway = gateway.clone();
        let remote: Arc<str> = remote.ip().to_string().into();
        service_fn(move |request| {
            let (gateway, remote) = (gateway.clone(), Arc::clone(&remote));
            async move { Ok::<_, Infallible>(gateway.serve(request, remote).await) }
        })
    };
    connections::serve(listener, service_of, MAX_CONNECTIONS, shutdown).await;
    gateway.settled().await;
}
