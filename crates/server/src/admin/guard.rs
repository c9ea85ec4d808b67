//! Who may ask: the name by which the server was reached, the admin key, and for how long.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use wakeful_core::limits;

use super::{Admin, error::ApiError};

/// Refuses requests that came by a name which is not ours: a web page whose host name suddenly
/// points here (DNS rebinding) must not talk to us. An IP address cannot be rebound.
pub(super) async fn host(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match reached_as(request.uri(), request.headers()) {
        Some(name) if is_ours(&name, &admin.hosts) => next.run(request).await,
        Some(name) => ApiError::WrongHost(name).into_response(),
        None => {
            ApiError::Invalid("the request has no valid Host header".to_owned()).into_response()
        }
    }
}

fn reached_as(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let name = |authority: &Authority| authority.host().to_owned();
    if let Some(authority) = uri.authority() {
        return Some(name(authority));
    }
    let text = headers.get(header::HOST)?.to_str().ok()?;
    text.parse::<Authority>().ok().as_ref().map(name)
}

fn is_ours(name: &str, ours: &[String]) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || ours.iter().any(|host| host.eq_ignore_ascii_case(&name))
}

/// Refuses requests without an admin key.
pub(super) async fn key(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Some(key) if admin.control.vault.verify_admin_key(key) => next.run(request).await,
        Some(_) => ApiError::UnknownKey.into_response(),
        None => ApiError::Unauthorized.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Ends what takes too long.
pub(super) async fn patience(request: Request, next: Next) -> Response {
    match tokio::time::timeout(limits::ADMIN_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_ours() {
        let ours = ["wakeful.example.com".to_owned()];
        for (name, expected) in [
            ("127.0.0.1", true),
            ("[::1]", true),
            ("192.168.1.7", true),
            ("localhost", true),
            ("LOCALHOST.", true),
            ("admin.localhost", true),
            ("Wakeful.Example.com", true),
            ("evil.example.com", false),
            ("localhost.evil.com", false),
            ("notlocalhost", false),
            ("127.0.0.1.nip.io", false),
            ("", false),
        ] {
            assert_eq!(is_ours(name, &ours), expected, "{name}");
        }
    }
}
