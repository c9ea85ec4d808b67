//! Sending an event to an HTTP address: one POST, judged by its status.

use std::{
    error::Error,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    event::Event,
    time::Timestamp,
};

use crate::{
    cloudevents::{self, Written},
    http_status::{Redirections, judged},
};

/// Who we say we are.
const AGENT: &str = concat!("wakeful/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections that are kept for one host.
const IDLE_PER_HOST: usize = 8;
/// How long they are kept: most servers close theirs after a minute.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read: enough for a connection to be used again.
const MOST_READ: usize = 64 * 1024;
/// Characters of it that a failure quotes.
const QUOTED: usize = 300;

type Sender = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One pool of connections for the process. How many are in use at once is for callers to bound.
static SENDER: LazyLock<Sender> = LazyLock::new(sender);

/// Sends `event` to `url` as a CloudEvent, in structured or in binary mode, and waits for the
/// answer at most `timeout` altogether. Success is a 2xx status; redirections are not followed.
///
/// # Errors
/// How it failed, with advice when trying again is of no use, or not before some time.
pub async fn send(
    url: &str,
    structured: bool,
    event: &Event,
    timeout: Duration,
) -> Result<(), Failure> {
    let request = request(url, structured, event)?;
    match tokio::time::timeout(timeout, exchange(request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failure(
            FailureKind::Timeout,
            format!("no answer within {timeout:?}; it may have arrived"),
            None,
        )),
    }
}

fn request(url: &str, structured: bool, event: &Event) -> Result<Request<Full<Bytes>>, Failure> {
    let never = |what: String| failure(FailureKind::UserError, what, Some(RetryAdvice::Never));
    let uri: Uri = url
        .parse()
        .map_err(|error| never(format!("the address is none: {error}")))?;
    let Written { headers, body } = match structured {
        true => cloudevents::structured(event),
        false => cloudevents::binary(event),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let agent = HeaderValue::from_static(AGENT);
    request.headers_mut().insert(header::USER_AGENT, agent);
    Ok(request)
}

async fn exchange(request: Request<Full<Bytes>>) -> Result<(), Failure> {
    let host = request.uri().authority().map(ToString::to_string);
    let response = SENDER.request(request).await.map_err(|error| {
        let host = host.unwrap_or_default();
        let what = match error.is_connect() {
            true => format!("no connection to {host}: {}", chain(&error)),
            false => format!(
                "the exchange with {host} broke off, and it may have arrived: {}",
                chain(&error)
            ),
        };
        failure(FailureKind::UserError, what, None)
    })?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let said = said(response).await;
    judged(
        status,
        &headers,
        Redirections::Fail,
        &said,
        answered_at(&headers),
    )
}

/// The time that a date in `retry-after` is counted from: that of the clock which wrote it.
fn answered_at(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(Timestamp::from_millis(date.as_millisecond()))
}

/// The beginning of an answer's body, for people. What is longer than `MOST_READ` is not read.
async fn said(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut read = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(piece) = frame.data_ref() {
            read.extend_from_slice(&piece[..piece.len().min(MOST_READ - read.len())]);
        }
        if read.len() >= MOST_READ {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(QUOTED).map(plain).collect()
}

/// Errors of connections say what happened only in their causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

fn failure(kind: FailureKind, message: String, advice: Option<RetryAdvice>) -> Failure {
    Failure {
        kind,
        name: "destination".to_owned(),
        message,
        stack: None,
        advice,
    }
}

fn sender() -> Sender {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(connector)
}

/// TLS with the certificates that the system trusts; where it has none, as in small containers,
/// with those of Mozilla.
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificates of the system could not be read");
    }
    let (_, unreadable) = roots.add_parsable_certificates(found.certs);
    if unreadable > 0 {
        tracing::debug!(unreadable, "certificates of the system were passed over");
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|error| unreachable!("ring speaks the default versions: {error}"));
    builder.with_root_certificates(roots).with_no_client_auth()
}
